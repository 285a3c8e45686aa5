"""Image data sets as `tf.data`, with pixels in [-1, 1] and an order that can be repeated.

`digits` comes with scikit-learn; `mnist`, `cifar10` and `celeb_a` come through
tensorflow_datasets, from a folder that holds them already or by a download.
"""

import contextlib
import dataclasses
import os
import pathlib
import sys
import urllib.error
import urllib.request

import numpy as np
import tensorflow as tf

from tf_tickets.errors import FileError, SettingError

# Decoded images smaller than this are held in memory, larger data stays a stream.
_MEMORY_BYTES = 2**30
# What a stream may hold back in order to shuffle: about 5,000 images of 64x64x3.
_SHUFFLE_BYTES = 2**26


@dataclasses.dataclass(frozen=True)
class _Source:
    """What is known of a data set before any of it is read."""

    channels: int
    num_classes: int
    splits: tuple[str, ...] = ("train", "test")
    host: str | None = None  # where tensorflow_datasets downloads it from
    attribute: str | None = None  # the yes/no attribute that serves as label


_SOURCES = {
    "digits": _Source(1, 10),
    "mnist": _Source(1, 10, host="https://storage.googleapis.com"),
    "cifar10": _Source(3, 10, host="https://www.cs.toronto.edu"),
    # Smiling is the attribute closest to one half (48 %), so that accuracy means something.
    "celeb_a": _Source(
        3, 2, ("train", "validation", "test"), "https://drive.google.com", attribute="Smiling"
    ),
}

NAMES = tuple(_SOURCES)


@dataclasses.dataclass(frozen=True, eq=False)
class ImageDataset:
    """One split of a data set, decoded and resized; made by `load`.

    Attributes:
        name: one of `NAMES`.
        split: "train", "test" or, for Celeb-A, "validation".
        num_images: how many images it holds, after any limit.
        image_shape: (height, width, channels).
        num_classes: number of different labels.
        digest: names data, split, image size and limit, as in "mnist-train-32-all".
        stored: where all of it fits in memory, two tensors: images (uint8, or float32 in
            [-1, 1]) of shape (num_images, height, width, channels) and int64 labels; else a
            `tf.data.Dataset` of such pairs, one image at a time.
    """

    name: str
    split: str
    num_images: int
    image_shape: tuple[int, int, int]
    num_classes: int
    digest: str
    stored: tuple[tf.Tensor, tf.Tensor] | tf.data.Dataset = dataclasses.field(repr=False)

    @property
    def in_memory(self) -> bool:
        """Whether all images are held decoded in memory."""
        return isinstance(self.stored, tuple)

    @property
    def examples(self) -> tf.data.Dataset:
        """Unbatched (float32 image in [-1, 1], int64 label) pairs, always in the same order."""
        return _finish(self._pairs().map(_with_float_image), self.num_images)

    def _pairs(self) -> tf.data.Dataset:
        return tf.data.Dataset.from_tensor_slices(self.stored) if self.in_memory else self.stored


def load(
    name: str,
    split: str,
    image_size: int | None = None,
    limit: int | None = None,
    data_dir: str | None = None,
) -> ImageDataset:
    """Return one split of an image data set, square and in [-1, 1].

    Images are cropped to the central square of their shorter side (Celeb-A's 218x178 to
    178x178) and resized bilinearly, with smoothing where they shrink. A split whose decoded
    bytes stay below 1 GiB is decoded once, here, and held in memory; a larger one is read
    again in each pass, and needs no more memory than its shuffle buffer.

    Args:
        name: "digits" (1,437 train and 360 test images, a fixed stratified split), "mnist",
            "cifar10" or "celeb_a", whose label says whether the face smiles.
        split: "train" or "test"; Celeb-A also has "validation".
        image_size: height and width in pixels, at least 8; 32 by default.
        limit: keep the first so many images only; no others are decoded.
        data_dir: the folder of tensorflow_datasets; by default the environment's
            `TFDS_DATA_DIR`, else `~/tensorflow_datasets`. What is not there is downloaded.

    Raises:
        SettingError: if an argument has a value that cannot work.
        FileError: if the data can be neither found nor downloaded, or is damaged.
    """
    source = _choose("dataset", name, _SOURCES)
    _choose("split", split, dict.fromkeys(source.splits))
    size = 32 if image_size is None else _at_least("image_size", image_size, 8)
    if limit is not None:
        _at_least("limit", limit, 1)
    if name == "digits":
        stored, num_available = _read_digits(split, size, limit)
    else:
        stored, num_available = _read_tfds(name, split, size, limit, data_dir)
    num_images = min(limit or num_available, num_available)
    amount = "all" if num_images == num_available else num_images
    return ImageDataset(
        name=name,
        split=split,
        num_images=num_images,
        image_shape=image_shape(name, size),
        num_classes=source.num_classes,
        digest=f"{name}-{split}-{size}-{amount}",
        stored=stored,
    )


def image_shape(name: str, image_size: int) -> tuple[int, int, int]:
    """Return the (height, width, channels) that `load` gives, without reading any data.

    Args:
        name: of the data set, as `load` takes it.
        image_size: height and width in pixels.
    """
    return (image_size, image_size, _choose("dataset", name, _SOURCES).channels)


def steps_per_epoch(dataset: ImageDataset, batch_size: int) -> int:
    """Return the number of whole batches in one pass over the data.

    Args:
        dataset: as `load` returns it.
        batch_size: images per batch.

    Raises:
        SettingError: if `batch_size` is below 1 or above the number of images.
    """
    _at_least("batch_size", batch_size, 1)
    if batch_size > dataset.num_images:
        raise SettingError(
            f"`batch_size` must not exceed the {dataset.num_images} images of {dataset.digest}. "
            f"Received: batch_size={batch_size}. Choose a smaller batch or more images."
        )
    return dataset.num_images // batch_size


def training_batches(
    dataset: ImageDataset, batch_size: int, seed: int, start_step: int, stop_step: int
) -> tf.data.Dataset:
    """Return the image batches of optimizer steps `start_step` to `stop_step - 1`.

    Each epoch is a reshuffle of the data whose order follows from (seed, epoch) alone, and
    its last, partial batch is dropped. So the batch at a step depends on the seed and the step
    only: training that is resumed at step 10 sees what uninterrupted training sees. A stream
    is shuffled within a buffer, and starting inside an epoch reads that epoch from its start.

    Args:
        dataset: where the images come from.
        batch_size: images per batch.
        seed: orders the data; a non-negative integer below 2**31.
        start_step: the first step, counted from 0 at the start of training.
        stop_step: one past the last step.

    Returns:
        A data set of `stop_step - start_step` float32 batches in [-1, 1], of shape
        (batch_size, height, width, channels).

    Raises:
        SettingError: if an argument has a value that cannot work.
    """
    num_steps = steps_per_epoch(dataset, batch_size)
    if not 0 <= seed < 2**31:
        raise SettingError(f"`seed` must be in [0, 2**31). Received: seed={seed}.")
    _at_least("start_step", start_step, 0)
    _at_least("stop_step", stop_step, start_step)
    first_epoch = start_step // num_steps
    epochs = tf.data.Dataset.range(first_epoch, -(-stop_step // num_steps))
    shuffled = _shuffled_rows if dataset.in_memory else _shuffled_images
    batches = epochs.flat_map(lambda epoch: shuffled(dataset, batch_size, seed, epoch))
    batches = batches.skip(start_step - first_epoch * num_steps).take(stop_step - start_step)
    if dataset.in_memory:
        images = dataset.stored[0]
        batches = batches.map(lambda rows: tf.gather(images, rows), tf.data.AUTOTUNE)
    return _finish(batches.map(_to_float, tf.data.AUTOTUNE), stop_step - start_step)


def _shuffled_rows(dataset, batch_size, seed, epoch) -> tf.data.Dataset:
    num_used = steps_per_epoch(dataset, batch_size) * batch_size
    order = tf.random.experimental.stateless_shuffle(
        tf.range(dataset.num_images), seed=tf.stack([tf.constant(seed, tf.int64), epoch])
    )
    return tf.data.Dataset.from_tensor_slices(tf.reshape(order[:num_used], (-1, batch_size)))


def _shuffled_images(dataset, batch_size, seed, epoch) -> tf.data.Dataset:
    buffer_size = max(1, _SHUFFLE_BYTES // int(np.prod(dataset.image_shape)))
    # `shuffle` mixes its seed with the global one. Inside `flat_map` this sets the seed of the
    # traced function only, so the order follows from (seed, epoch) whatever the process set.
    # The sum keeps it from 0, for which TensorFlow would compare `epoch` as if it were a number.
    tf.random.set_seed(seed + 1)
    images = dataset.stored.map(lambda image, label: image)
    images = images.shuffle(buffer_size, seed=epoch, reshuffle_each_iteration=False)
    return images.batch(batch_size, drop_remainder=True)


def _finish(dataset: tf.data.Dataset, length: int) -> tf.data.Dataset:
    options = tf.data.Options()
    options.deterministic = True
    dataset = dataset.apply(tf.data.experimental.assert_cardinality(length))
    return dataset.with_options(options).prefetch(tf.data.AUTOTUNE)


def _to_float(images: tf.Tensor) -> tf.Tensor:
    """Return 8-bit pixels as float32 in [-1, 1]; float images are in that range already."""
    return tf.cast(images, tf.float32) / 127.5 - 1.0 if images.dtype == tf.uint8 else images


def _with_float_image(images, labels):
    return _to_float(images), labels


def _square(images: tf.Tensor, size: int) -> tf.Tensor:
    """Return the central square of one image or a batch, resized, as uint8 if it came so."""
    height, width = images.shape[-3:-1]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    images = images[..., top : top + side, left : left + side, :]
    if side == size:
        return images
    resized = tf.image.resize(images, (size, size), antialias=True)
    return tf.cast(tf.round(resized), tf.uint8) if images.dtype == tf.uint8 else resized


def _read_digits(split: str, size: int, limit: int | None):
    from sklearn import datasets, model_selection  # here, as only this data set needs it

    digits = datasets.load_digits()
    rows = model_selection.train_test_split(
        np.arange(len(digits.target)), test_size=360, stratify=digits.target, random_state=0
    )[("train", "test").index(split)]
    with tf.device("CPU"):  # where tf.data runs
        # Values 0..16 stay exact as floats, which eight bits would round.
        images = tf.constant(digits.images[rows[:limit], ..., np.newaxis] / 8.0 - 1.0, tf.float32)
        labels = tf.constant(digits.target[rows[:limit]], tf.int64)
        return (_square(images, size), labels), len(rows)


def _read_tfds(name: str, split: str, size: int, limit: int | None, data_dir: str | None):
    folder = pathlib.Path(
        data_dir or os.environ.get("TFDS_DATA_DIR") or "~/tensorflow_datasets"
    ).expanduser()
    with _one_line_errors(name, folder):
        stream = _open_tfds(name, split, folder)
        num_available = int(stream.cardinality())
        num_images = min(limit or num_available, num_available)
        shape = (num_images, size, size, _SOURCES[name].channels)
        stream = stream.take(num_images)
        if np.prod(shape, dtype=np.int64) < _MEMORY_BYTES:
            return _decode(stream, shape), num_available
    square = stream.map(lambda image, label: (_square(image, size), label), tf.data.AUTOTUNE)
    return square, num_available


def _open_tfds(name: str, split: str, folder: pathlib.Path) -> tf.data.Dataset:
    """Return (uint8 image, int64 label) pairs in file order, downloaded first if need be."""
    import tensorflow_datasets as tfds  # here, as `digits` needs none of it

    attribute = _SOURCES[name].attribute
    wanted = {"attributes": {attribute}} if attribute else {"label": True}
    builder = tfds.builder(name, data_dir=str(folder))

    def open_split():
        return builder.as_dataset(
            split=split,
            shuffle_files=False,
            decoders=tfds.decode.PartialDecoding({"image": True, **wanted}),
            # What fits is kept by us, as one tensor; a second copy would only cost memory.
            read_config=tfds.ReadConfig(try_autocache=False),
        )

    try:
        examples = open_split()
    except AssertionError:  # what tensorflow_datasets raises where nothing is prepared
        _download(builder, _SOURCES[name].host)
        examples = open_split()

    def to_pair(example):
        label = example["attributes"][attribute] if attribute else example["label"]
        return example["image"], tf.cast(label, tf.int64)

    return examples.map(to_pair, tf.data.AUTOTUNE)


def _download(builder, host: str) -> None:
    import tensorflow_datasets as tfds

    # Without a network tensorflow_datasets tries again for minutes: look first.
    with contextlib.suppress(urllib.error.HTTPError):  # refused, but there
        urllib.request.urlopen(host, timeout=10).close()
    if not sys.stderr.isatty():
        tfds.disable_progress_bar()
    builder.download_and_prepare()


def _decode(stream: tf.data.Dataset, shape: tuple[int, ...]) -> tuple[tf.Tensor, tf.Tensor]:
    batches = stream.batch(512).map(
        lambda images, labels: (_square(images, shape[1]), labels), tf.data.AUTOTUNE
    )
    images, labels = np.empty(shape, np.uint8), np.empty(shape[0], np.int64)
    filled = 0
    for some_images, some_labels in batches.prefetch(2).as_numpy_iterator():
        rows = slice(filled, filled + len(some_labels))
        images[rows], labels[rows] = some_images, some_labels
        filled = rows.stop
    with tf.device("CPU"):  # where tf.data runs
        return tf.convert_to_tensor(images), tf.convert_to_tensor(labels)


@contextlib.contextmanager
def _one_line_errors(name: str, folder: pathlib.Path):
    """Turn what tensorflow_datasets raises over missing or damaged files into a FileError."""
    from google.protobuf.json_format import ParseError
    from tensorflow_datasets.core import download

    failures = (
        OSError,  # no network, no such folder, no permission, no space
        KeyError,  # a prepared folder without its description
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
            f"({type(error).__name__}: {reason}). Give the folder that holds it with --data-dir "
            f"or TFDS_DATA_DIR, delete {folder / name} if it is damaged, or use the data set "
            "digits, which needs no download."
        ) from error


def _choose(what: str, value: str, choices: dict):
    if value not in choices:
        raise SettingError(f"Unknown {what} {value!r}. Choose one of: {', '.join(choices)}.")
    return choices[value]


def _at_least(what: str, value: int, minimum: int) -> int:
    if value < minimum:
        raise SettingError(f"`{what}` must be at least {minimum}. Received: {what}={value}.")
    return value
