"""Data sets of tensorflow_datasets, from a folder that holds them already or by a download.

Another one is one more line in `CARDS`.
"""

import contextlib
import functools
import os
import pathlib
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping

from tf_tickets.errors import FileError
from tf_tickets.lab.data.card import DatasetCard


def _card(
    name: str,
    title: str,
    channels: int,
    num_classes: int,
    splits: Mapping[str, tuple[str, int]],
    host: str,
    label: str | None = "label",
) -> DatasetCard:
    """Return the card of a data set of tensorflow_datasets.

    Args:
        name: there and here.
        title, channels, num_classes: as in the card.
        splits: split -> what tensorflow_datasets calls these images, and how many they are.
        host: where tensorflow_datasets downloads it from.
        label: the class or the yes/no attribute that serves as label, by its path in an example;
            None if there is neither.
    """
    return DatasetCard(
        name=name,
        title=title,
        read=functools.partial(_read, name, channels, host, label, splits),
        channels=channels,
        num_classes=num_classes,
        num_images={split: number for split, (_, number) in splits.items()},
        splits=tuple(splits),
    )


def _card_of_two(name: str, title: str, domains, splits, host: str) -> DatasetCard:
    """Return the card of two domains of `cycle_gan` there.

    Args:
        name: of the config there, and here.
        title, domains: as in the card.
        splits: split -> what tensorflow_datasets calls the images of A and those of B, and how many
            rows they make.
        host: where tensorflow_datasets downloads it from.
    """
    return DatasetCard(
        name=name,
        title=title,
        read=functools.partial(_read_two, name, host, splits),
        channels=6,
        num_classes=0,
        num_images={split: number for split, (*_, number) in splits.items()},
        splits=tuple(splits),
        domains=domains,
    )


def _read_two(name, host, splits, split, size, limit, data_dir):
    """Read two domains; of what is trained on, the smaller one begins again when it ends."""
    import tensorflow as tf

    from tf_tickets.lab.data.pixels import fits_in_memory, hold, square

    *names, num_available = splits[split]
    folder = _folder(data_dir)
    num_images = min(limit or num_available, num_available)
    config = f"cycle_gan/{name}"
    with _one_line_errors(config, folder):
        streams = [_open(config, each, folder, host, None) for each in names]
        images = [stream.repeat().map(lambda image, _: square(image, size)) for stream in streams]
        rows = tf.data.Dataset.zip(*images).take(num_images)
        stacked = rows.map(
            lambda a, b: (tf.concat([a, b], axis=-1), tf.constant(-1, tf.int64)), tf.data.AUTOTUNE
        )
        shape = (num_images, size, size, 6)
        if fits_in_memory(shape):
            return hold(stacked.batch(64), shape), num_available
    return stacked, num_available


def _read(name, channels, host, label, splits, split, size, limit, data_dir):
    import tensorflow as tf

    from tf_tickets.lab.data.pixels import fits_in_memory, hold, square

    def to_square(images, labels):
        return square(images, size), labels

    folder = _folder(data_dir)
    with _one_line_errors(name, folder):
        stream = _open(name, splits[split][0], folder, host, label)
        num_available = int(stream.cardinality())
        num_images = min(limit or num_available, num_available)
        shape = (num_images, size, size, channels)
        stream = stream.take(num_images)
        if fits_in_memory(shape):
            return hold(stream.batch(512).map(to_square, tf.data.AUTOTUNE), shape), num_available
    return stream.map(to_square, tf.data.AUTOTUNE), num_available


def _folder(data_dir) -> pathlib.Path:
    place = data_dir or os.environ.get("TFDS_DATA_DIR") or "~/tensorflow_datasets"
    return pathlib.Path(os.path.expanduser(place))  # of whom there is no home, as it is


def _open(name, split, folder, host, label):
    """Return (uint8 image, int64 label) pairs in file order, downloaded first if need be."""
    import tensorflow as tf
    import tensorflow_datasets as tfds

    group, _, name_of_label = (label or "").rpartition("/")
    wanted = {group: {name_of_label}} if group else {name_of_label: True}
    builder = tfds.builder(name, data_dir=str(folder))

    def open_split():
        return builder.as_dataset(
            split=split,
            shuffle_files=False,
            decoders=tfds.decode.PartialDecoding({"image": True, **(wanted if label else {})}),
            # What fits is kept by us, as one tensor; a second copy would only cost memory.
            read_config=tfds.ReadConfig(try_autocache=False),
        )

    try:
        examples = open_split()
    except AssertionError:  # what tensorflow_datasets raises if nothing is prepared
        _download(builder, host)
        examples = open_split()

    def to_pair(example):
        labels = example[group] if group else example
        return example["image"], tf.cast(labels[name_of_label] if label else -1, tf.int64)

    return examples.map(to_pair, tf.data.AUTOTUNE)


def _download(builder, host: str) -> None:
    import tensorflow_datasets as tfds

    # Without a network tensorflow_datasets tries again for minutes: look first.
    with contextlib.suppress(urllib.error.HTTPError):  # refused, but there
        urllib.request.urlopen(host, timeout=10).close()
    if not sys.stderr.isatty():
        tfds.disable_progress_bar()
    builder.download_and_prepare()


@contextlib.contextmanager
def _one_line_errors(name: str, folder: pathlib.Path):
    """Turn what tensorflow_datasets raises over missing or damaged files into a FileError."""
    import tensorflow as tf
    from google.protobuf.json_format import ParseError
    from tensorflow_datasets.core import download

    failures = (
        OSError,  # no network, no such folder, no permission, no space
        KeyError,  # a prepared folder without its description
        TypeError,  # or with another value than a description
        ValueError,
        AttributeError,
        AssertionError,
        RecursionError,
        tf.errors.OpError,  # a missing, truncated or damaged record file
        ParseError,
        download.DownloadError,
        download.download_manager.NonMatchingChecksumError,
        download.extractor.ExtractError,
    )
    try:
        yield
    except failures as error:
        reason = " ".join(str(error).split())[:200]
        raise FileError(
            f"The data set {name} could not be read from {folder} or downloaded to it "
            f"({type(error).__name__}: {reason}). Give the folder that holds it as `data_dir` or "
            f"in the environment's TFDS_DATA_DIR, delete {folder / name} if it is damaged, or use "
            "the data set digits, which needs no download."
        ) from error


CARDS = (
    _card(
        "mnist",
        "MNIST",
        channels=1,
        num_classes=10,
        splits={
            "train": ("train[:40000]", 40_000),
            "classifier": ("train[40000:50000]", 10_000),
            "validation": ("train[50000:]", 10_000),
            "test": ("test", 10_000),
        },
        host="https://storage.googleapis.com",
    ),
    _card(
        "cifar10",
        "CIFAR-10",
        channels=3,
        num_classes=10,
        splits={
            "train": ("train[:30000]", 30_000),
            "classifier": ("train[30000:40000]", 10_000),
            "validation": ("train[40000:]", 10_000),
            "test": ("test", 10_000),
        },
        host="https://www.cs.toronto.edu",
    ),
    _card(
        "celeb_a",
        "Celeb-A",
        channels=3,
        num_classes=2,
        splits={
            "train": ("train[:142770]", 142_770),
            "classifier": ("train[142770:]", 20_000),
            "validation": ("validation", 19_867),
            "test": ("test", 19_962),
        },
        host="https://drive.google.com",
        # The attribute closest to one half (48 %), so that accuracy means something.
        label="attributes/Smiling",
    ),
    _card(
        "lfw",
        "Labeled Faces in the Wild",
        channels=3,
        num_classes=0,
        splits={
            "train": ("train[:10233]", 10_233),
            "validation": ("train[10233:11733]", 1_500),
            "test": ("train[11733:]", 1_500),
        },
        host="http://vis-www.cs.umass.edu",
        label=None,  # there it is the person's name, and most people have one image
    ),
    _card_of_two(
        "horse2zebra",
        "horses and zebras",
        ("horses", "zebras"),
        splits={
            "train": ("trainA[:747]", "trainB[:934]", 934),
            "classifier": ("trainA[747:907]", "trainB[934:1134]", 160),
            "validation": ("trainA[907:]", "trainB[1134:]", 160),
            "test": ("testA", "testB", 120),
        },
        host="https://efrosgans.eecs.berkeley.edu",
    ),
)
