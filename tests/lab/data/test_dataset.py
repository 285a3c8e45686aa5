"""Real digits everywhere; real MNIST and CIFAR-10 where they lie beside the project."""

import os
import pathlib
import shutil
import urllib.error
import urllib.request

import numpy as np
import pytest
import sklearn.datasets
import tensorflow as tf
import tensorflow_datasets as tfds

from tf_tickets.errors import FileError, SettingError
from tf_tickets.lab.data import DATASETS, DatasetCard, pixels
from tf_tickets.lab.data import dataset as data
from tf_tickets.lab.data.card import SPLITS

REAL_DATA = pathlib.Path(__file__).resolve().parents[3] / "../shared/tfds"
needs_real_data = pytest.mark.skipif(not REAL_DATA.is_dir(), reason="no prepared data here")


@pytest.fixture
def offline(monkeypatch):
    def refuse(*args, **kwargs):
        raise urllib.error.URLError("no network in tests")

    monkeypatch.setattr(urllib.request, "urlopen", refuse)


def batches(dataset, batch_size=100, seed=7, start=0, stop=1):
    stream = data.training_batches(dataset, batch_size, seed, start, stop)
    return np.stack([batch.numpy() for batch in stream])


def tags(images):
    """One number per image, to tell images apart."""
    weights = np.linspace(1, 2, images[0].size)
    return (images.reshape(len(images), -1).astype(np.float64) @ weights).round(3)


@pytest.fixture(scope="module")
def digits():
    return data.load("digits", "train")


def test_digits_are_whole_and_in_range(digits):
    assert (digits.num_images, digits.image_shape, digits.num_classes) == (647, (32, 32, 1), 10)
    assert digits.digest == "digits-train-32-647"
    images, labels = next(iter(digits.examples.batch(2000)))
    assert images.shape == (647, 32, 32, 1) and images.dtype == tf.float32
    assert labels.dtype == tf.int64
    assert images.numpy().min() == -1.0 and images.numpy().max() == 1.0
    image, label = next(iter(digits.examples))
    assert np.array_equal(image, images[0]) and label == labels[0]


def test_each_digit_is_in_one_split_and_all_classes_are_as_frequent_in_each():
    splits = {split: data.load("digits", split, image_size=8).stored for split in SPLITS}
    whole = sklearn.datasets.load_digits()
    frequent = np.bincount(whole.target) / 1797
    for _, labels in splits.values():
        assert np.abs(np.bincount(labels) / len(labels) - frequent).max() < 0.005
    # At their own size the values are exactly v / 8 - 1 for v in 0..16.
    values = [(images.numpy()[..., 0] + 1) * 8 for images, _ in splits.values()]
    found = sorted(image.tobytes() for image in np.concatenate(values))
    assert found == sorted(image.astype("float32").tobytes() for image in whole.images)
    assert len(set(found)) == len(found) == 1797, "no two are alike, so that none is in two splits"


def test_limit_keeps_the_first_images(digits):
    few = data.load("digits", "train", limit=50)
    assert (few.num_images, few.digest) == (50, "digits-train-32-50")
    assert np.array_equal(few.stored[0], digits.stored[0][:50])
    assert data.load("digits", "train", limit=10**6).digest == digits.digest


def test_an_epoch_shows_every_image_once_and_reshuffles(digits):
    few = data.load("digits", "train", limit=60)
    everything = sorted(tags(few.stored[0].numpy()))
    first, second = (tags(batches(few, 20, 7, 3 * e, 3 * e + 3).reshape(60, -1)) for e in (0, 1))
    assert sorted(first) == everything and sorted(second) == everything
    assert (first != second).any() and (first != tags(few.stored[0].numpy())).any()
    assert (tags(batches(few, 20, 8, 0, 3).reshape(60, -1)) != first).any()


def test_last_partial_batch_is_dropped_in_training(digits):
    assert data.steps_per_epoch(digits, 100) == 6
    stream = data.training_batches(digits, 100, 0, 0, 15)
    assert len(stream) == 15
    assert {batch.shape for batch in stream} == {(100, 32, 32, 1)}


@pytest.mark.parametrize("start", [1, 5, 6, 7, 13, 30])
def test_stepping_in_gives_the_batches_of_an_uninterrupted_run(digits, start):
    whole = batches(digits, stop=32)
    tf.random.set_seed(start)  # neither the global seed nor the start may matter
    assert np.array_equal(batches(digits, start=start, stop=32), whole[start:])


def test_no_steps_give_no_batches(digits):
    assert list(data.training_batches(digits, 100, 0, 5, 5)) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("nope", "train"), "digits, mnist, cifar10, celeb_a"),
        (("digits", "holdout"), "train, classifier, validation, test"),
        (("digits", "train", 7), "at least 8"),
        (("digits", "train", 32, 0), "limit=0"),
    ],
)
def test_bad_settings_are_refused_in_one_line(arguments, message):
    with pytest.raises(SettingError, match=message) as caught:
        data.load(*arguments)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((648, 0, 0, 1), "batch_size=648"),
        ((0, 0, 0, 1), "batch_size=0"),
        ((10, -1, 0, 1), "seed=-1"),
        ((10, 0, -1, 1), "start_step=-1"),
        ((10, 0, 5, 4), "stop_step=4"),
    ],
)
def test_bad_batches_are_refused(digits, arguments, message):
    with pytest.raises(SettingError, match=message):
        data.training_batches(digits, *arguments)


@needs_real_data
@pytest.mark.parametrize(
    ("name", "size", "shape", "num_available"),
    [
        ("mnist", None, (32, 32, 1), 10_000),
        ("mnist", 28, (28, 28, 1), 10_000),
        ("cifar10", None, (32, 32, 3), 10_000),
        ("cifar10", 16, (16, 16, 3), 10_000),
    ],
)
def test_real_images(name, size, shape, num_available):
    dataset = data.load(name, "test", size, 300, data_dir=REAL_DATA)
    images, labels = next(iter(dataset.examples.batch(1000)))
    assert images.shape == (300, *shape) and dataset.image_shape == shape
    assert -1 <= images.numpy().min() < -0.9 and 0.9 < images.numpy().max() <= 1
    assert len(np.unique(labels)) == 10
    assert dataset.digest == f"{name}-test-{shape[0]}-300" and num_available > 300


@needs_real_data
def test_pixels_and_order_are_those_of_the_file(monkeypatch):
    monkeypatch.setenv("TFDS_DATA_DIR", os.path.relpath(REAL_DATA))
    dataset = data.load("cifar10", "test", limit=20)
    raw = tfds.load("cifar10", split="test", data_dir=REAL_DATA, download=False).take(20)
    for (image, label), example in zip(dataset.examples, raw, strict=True):
        assert label == example["label"]
        restored = (image.numpy() + 1) * 127.5
        np.testing.assert_allclose(restored, example["image"], atol=1e-4)


@pytest.mark.slow
@needs_real_data
@pytest.mark.parametrize("name", ["mnist", "cifar10"])
def test_the_splits_of_the_training_images_are_disjoint_and_all_of_them(name):
    parts = [data.load(name, split, 8, None, REAL_DATA) for split in SPLITS[:3]]
    images = np.concatenate([part.stored[0].numpy() for part in parts])
    raw = tfds.load(name, split="train", data_dir=REAL_DATA, download=False).batch(10_000)
    whole = [pixels.square(batch["image"], 8) for batch in raw]
    np.testing.assert_array_equal(images, np.concatenate(whole))
    assert [part.num_images for part in parts] == [
        DATASETS[name].num_images[split] for split in SPLITS[:3]
    ]


@needs_real_data
def test_all_of_mnist_is_held_as_bytes():
    dataset = data.load("mnist", "test", data_dir=REAL_DATA)
    assert dataset.in_memory and dataset.digest == "mnist-test-32-10000"
    assert dataset.stored[0].dtype == tf.uint8 and len(dataset.stored[0]) == 10_000


@needs_real_data
def test_a_stream_answers_as_memory_does(monkeypatch):
    held = data.load("cifar10", "test", 16, 500, REAL_DATA)
    monkeypatch.setattr(pixels, "MEMORY_BYTES", 1000)
    monkeypatch.setattr(data, "_SHUFFLE_BYTES", 200 * 16 * 16 * 3)
    stream = data.load("cifar10", "test", 16, 500, REAL_DATA)
    assert not stream.in_memory and stream.digest == held.digest
    pairs = zip(held.examples.batch(64), stream.examples.batch(64), strict=True)
    for (images, labels), (streamed_images, streamed_labels) in pairs:
        assert np.array_equal(images, streamed_images)
        assert np.array_equal(labels, streamed_labels)
    whole = batches(stream, 50, stop=20)
    everything = sorted(tags(held.stored[0].numpy() / np.float32(127.5) - 1))
    epochs = [tags(whole[i : i + 10].reshape(500, -1)) for i in (0, 10)]
    assert sorted(epochs[0]) == everything and sorted(epochs[1]) == everything
    assert (epochs[0] != epochs[1]).any()
    tf.random.set_seed(99)
    assert np.array_equal(batches(stream, 50, start=13, stop=20), whole[13:])
    assert not np.array_equal(batches(stream, 50, seed=8, stop=20), whole)


@needs_real_data
def test_memory_stays_flat_over_a_stream(monkeypatch):
    resource = pytest.importorskip("resource")
    monkeypatch.setattr(pixels, "MEMORY_BYTES", 1000)
    monkeypatch.setattr(data, "_SHUFFLE_BYTES", 2**20)
    # Held, these float images would take 10,000 x 64 x 64 x 3 x 4 = 491 MB.
    stream = iter(
        data.training_batches(data.load("cifar10", "test", 64, None, REAL_DATA), 50, 0, 0, 200)
    )
    for _ in range(20):
        next(stream)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert sum(len(batch) for batch in stream) == 9000
    grown_mb = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    assert grown_mb < 100


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_celeb_a_is_cropped_resized_and_labelled(tmp_path):
    with tfds.testing.mock_data(num_examples=5):
        dataset = data.load("celeb_a", "train", data_dir=tmp_path)
        large = data.load("celeb_a", "validation", image_size=178, limit=3, data_dir=tmp_path)
        # The mock draws its features in turn, so only the same choice of them gives the same.
        wanted = tfds.decode.PartialDecoding({"image": True, "attributes": {"Smiling"}})
        raw = list(tfds.load("celeb_a", split="train", data_dir=tmp_path, decoders=wanted))
    assert dataset.image_shape == (32, 32, 3) and dataset.num_classes == 2
    assert dataset.digest == "celeb_a-train-32-5" and dataset.num_images == 5
    labels = [int(label) for _, label in dataset.examples]
    assert labels == [int(example["attributes"]["Smiling"]) for example in raw]
    assert large.num_images == 3 and large.digest == "celeb_a-validation-178-3"
    # The mock draws the same faces for each split: the square is rows 20 to 197.
    image = raw[0]["image"].numpy()
    assert np.array_equal(large.stored[0][0], image[20:198])
    small = tf.image.resize(image[20:198], (32, 32), antialias=True).numpy().round()
    assert np.array_equal(dataset.stored[0][0], small)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_faces_in_the_wild_are_square_and_without_labels(tmp_path):
    with tfds.testing.mock_data(num_examples=20_000):  # splits are counted from the front
        dataset = data.load("lfw", "train", limit=4, data_dir=tmp_path)
        wanted = tfds.decode.PartialDecoding({"image": True})
        raw = list(tfds.load("lfw", split="train", data_dir=tmp_path, decoders=wanted).take(4))
    assert dataset.image_shape == (32, 32, 3) and dataset.num_classes == 0
    assert dataset.digest == "lfw-train-32-4"
    small = tf.image.resize(raw[0]["image"], (32, 32), antialias=True).numpy().round()
    assert np.array_equal(dataset.stored[0][0], small)
    assert [int(label) for _, label in dataset.examples] == [-1] * 4


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_horses_and_zebras_are_on_top_of_each_other_and_the_fewer_begin_again(tmp_path):
    with tfds.testing.mock_data(num_examples=5):  # of either domain
        dataset = data.load("horse2zebra", "train", limit=7, data_dir=tmp_path)
        wanted = tfds.decode.PartialDecoding({"image": True})
        first = [
            next(iter(tfds.load(name, split=split, data_dir=tmp_path, decoders=wanted)))
            for name, split in (("cycle_gan/horse2zebra", f"train{x}") for x in "AB")
        ]
    assert dataset.image_shape == (32, 32, 6) and dataset.digest == "horse2zebra-train-32-7"
    images = dataset.stored[0]
    for number, example in enumerate(first):
        small = pixels.square(example["image"], 32)
        assert np.array_equal(images[0, ..., 3 * number : 3 * number + 3], small)
    a, b = (tags(np.asarray(images[..., own])) for own in (slice(3), slice(3, 6)))
    assert np.array_equal(a[5:], a[:2]) and np.array_equal(b[5:], b[:2])
    assert len(set(a)) == 5
    assert set(np.asarray(dataset.of_domain(1).stored[1])) == {1}


@pytest.mark.parametrize("name", ["mnist", "cifar10", "celeb_a", "lfw", "horse2zebra"])
def test_data_that_cannot_be_downloaded_is_one_line(name, tmp_path, offline):
    with pytest.raises(FileError, match="digits") as caught:
        data.load(name, "train", data_dir=tmp_path / "none")
    message = str(caught.value)
    assert "\n" not in message and str(tmp_path / "none") in message and name in message


@needs_real_data
@pytest.mark.parametrize(
    "damage",
    [
        *("truncated", "flipped", "no records", "bad description", "no description"),
        *("a list as description", "a nested description", "another description"),
    ],
)
def test_damaged_data_is_one_line(damage, tmp_path, offline):
    shutil.copytree(REAL_DATA / "mnist", tmp_path / "mnist")
    folder = next((tmp_path / "mnist").iterdir())
    folder.chmod(0o755)
    records, description = (
        folder / "mnist-test.tfrecord-00000-of-00001",
        folder / "dataset_info.json",
    )
    records.chmod(0o644), description.chmod(0o644)
    content = records.read_bytes()
    if damage == "truncated":
        records.write_bytes(content[: len(content) // 2])
    elif damage == "flipped":
        middle = len(content) // 2
        records.write_bytes(content[:middle] + bytes(20) + content[middle + 20 :])
    elif damage == "no records":
        records.unlink()
    elif damage == "bad description":
        description.write_text('{"a":')
    elif damage == "a list as description":
        description.write_text("[]")
    elif damage == "a nested description":
        description.write_text("[" * 100_000)
    elif damage == "another description":
        description.write_text('{"splits": [{"shardLengths": "x"}], "name": 3}')
    else:
        description.unlink()
    with pytest.raises(FileError, match="mnist") as caught:
        data.load("mnist", "test", data_dir=tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", ["floats without labels", "bytes with labels"])
def test_arrays_of_any_kind_become_images_and_labels(kind, monkeypatch):
    if kind == "floats without labels":
        images, labels = np.linspace(-1, 1, 256).reshape(4, 8, 8, 1), None
        expected = images
    else:
        images, labels = np.arange(256, dtype=np.uint8).reshape(4, 8, 8, 1), np.arange(4)
        expected = images / 127.5 - 1
    card = DatasetCard("arrays", "arrays", lambda *_: ((images, labels), 4), 1, 0, splits=SPLITS)
    monkeypatch.setitem(DATASETS._cards, "arrays", card)
    found, classes = next(iter(data.load("arrays", "train", 8).examples.batch(4)))
    assert found.dtype == tf.float32 and classes.dtype == tf.int64
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert list(classes) == ([-1] * 4 if labels is None else [0, 1, 2, 3])
