"""Splits that a card lacks are taken from its training images: each image is in one of them."""

import numpy as np
import pytest
import tensorflow as tf

from tf_tickets.errors import SettingError
from tf_tickets.lab.data import DATASETS, DatasetCard, dataset
from tf_tickets.lab.data.card import SPLITS

NUM_IMAGES = 113  # no multiple of the period


def reader(streamed):
    """A data set of which each image has a colour of its own, as has its label."""

    def read(split, size, limit, data_dir):
        number = {"train": NUM_IMAGES}.get(split, 9)
        offset = 0 if split == "train" else 200
        values = np.arange(number, dtype=np.uint8) + offset
        images = np.ones((number, size, size, 1), np.uint8) * values[:, None, None, None]
        pairs = images[:limit], values[:limit].astype(np.int64)
        return (tf.data.Dataset.from_tensor_slices(pairs) if streamed else pairs), number

    return read


@pytest.fixture(params=[False, True], ids=["in memory", "stream"])
def add(request):
    """Add a card with some of the splits."""

    def add(splits=("train", "test"), num_classes=10):
        read = reader(request.param)
        DATASETS.add(DatasetCard("own", "Own", read, 1, num_classes, splits=splits))

    return add


def colours(split, limit=None):
    loaded = dataset.load("own", split, 8, limit)
    images, labels = zip(*loaded.examples.as_numpy_iterator(), strict=True)
    found = np.rint((np.array(images)[:, 0, 0, 0] + 1) * 127.5).astype(int)
    assert np.array_equal(found, labels) and loaded.num_images == len(found)
    assert loaded.digest == f"own-{split}-8-{len(found)}"
    return found


@pytest.mark.parametrize(
    ("own", "shares"),
    [
        (("train", "test"), {"train": 0.65, "classifier": 0.2, "validation": 0.15}),
        (("train", "validation", "test"), {"train": 0.8, "classifier": 0.2}),
        (("train", "classifier", "test"), {"train": 0.85, "validation": 0.15}),
    ],
)
def test_what_is_missing_is_taken_from_the_training_images(add, own, shares):
    add(own)
    found = {split: colours(split) for split in SPLITS}
    taken = np.concatenate([found[split] for split in shares])
    assert sorted(taken) == list(range(NUM_IMAGES)), "each once"
    for split, share in shares.items():
        assert len(found[split]) == pytest.approx(share * NUM_IMAGES, abs=4)
    for split in set(SPLITS) - set(shares):
        assert list(found[split]) == list(range(200, 209))


def test_images_without_labels_are_kept_for_no_classifier(add):
    add(num_classes=0)
    found = [colours(split) for split in ("train", "validation")]
    assert sorted(np.concatenate(found)) == list(range(NUM_IMAGES))
    assert len(found[0]) == pytest.approx(0.85 * NUM_IMAGES, abs=4)


@pytest.mark.parametrize("limit", [1, 3, 4, 16, 40, 1000])
def test_a_limit_gives_the_first_images_of_each_split(add, limit):
    add()
    for split in SPLITS:
        assert list(colours(split, limit)) == list(colours(split)[:limit]), split


def test_an_own_split_of_another_name_is_none(add):
    add(("train", "test", "extra"))
    with pytest.raises(SettingError, match="Unknown split 'extra'"):
        dataset.load("own", "extra", 8)
