"""What is said of data sets without TensorFlow, against what is loaded with it."""

import subprocess
import sys

import pytest

from tf_tickets.errors import SettingError
from tf_tickets.lab.data import DATASETS, DatasetCard, dataset, image_shape
from tf_tickets.lab.data.card import SPLITS


def test_cards_and_shapes_need_no_tensorflow():
    code = """if True:
        import sys
        from tf_tickets.lab.data import DATASETS, image_shape
        print(DATASETS["celeb_a"].at(None).num_classes, image_shape("cifar10", 28))
        for name in ("tensorflow", "tensorflow.python", "keras", "sklearn", "PIL", "numpy"):
            assert name not in sys.modules, name
    """
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "2 (28, 28, 3)\n"


def test_the_data_sets_and_their_sizes():
    plain = ["digits", "mnist", "cifar10", "celeb_a", "lfw"]
    of_two = ["horse2zebra", "digits-relief", "mnist-relief"]
    assert list(DATASETS) == [*plain, *of_two, "images", "two-folders"]
    sizes = {name: dict(card.num_images or {}) for name, card in DATASETS.items()}
    assert sizes == {
        "digits": {"train": 647, "classifier": 450, "validation": 350, "test": 350},
        "mnist": {"train": 40_000, "classifier": 10_000, "validation": 10_000, "test": 10_000},
        "cifar10": {"train": 30_000, "classifier": 10_000, "validation": 10_000, "test": 10_000},
        "celeb_a": {
            "train": 142_770,
            "classifier": 20_000,
            "validation": 19_867,
            "test": 19_962,
        },
        "lfw": {"train": 10_233, "validation": 1_500, "test": 1_500},
        "horse2zebra": {"train": 934, "classifier": 160, "validation": 160, "test": 120},
        "digits-relief": {"train": 323, "classifier": 450, "validation": 350, "test": 350},
        "mnist-relief": {
            "train": 20_000,
            "classifier": 10_000,
            "validation": 10_000,
            "test": 10_000,
        },
        "images": {},
        "two-folders": {},
    }
    for name in ("digits", "mnist", "cifar10", "celeb_a"):
        assert DATASETS[name].splits == SPLITS


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("size", [None, 8])
@pytest.mark.parametrize("limit", [None, 1, 349, 350, 5000])
def test_the_digest_names_what_is_loaded(split, size, limit):
    loaded = dataset.load("digits", split, size, limit)
    amount = min(limit or 5000, DATASETS["digits"].num_images[split])
    assert loaded.digest == f"digits-{split}-{size or 32}-{amount}"
    assert image_shape("digits", size) == loaded.image_shape


@pytest.mark.parametrize("limit", [None, 2, 3])
def test_a_data_set_of_ones_own_is_a_card(limit):
    def read(split, size, limit, data_dir):
        import tensorflow as tf

        images = tf.zeros((3, size, size, 1), tf.uint8)
        return (images[:limit], tf.range(3, dtype=tf.int64)[:limit]), 3

    card = DATASETS.add(
        DatasetCard("zeros", "Zeros", read, channels=1, num_classes=3, splits=SPLITS)
    )
    try:
        loaded = dataset.load("zeros", "train", 8, limit)
        assert loaded.digest == f"zeros-train-8-{limit or 3}"
        assert len(list(loaded.examples)) == loaded.num_images == (limit or 3)
    finally:
        del DATASETS._cards[card.name]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("nope", "train"), "Unknown data set 'nope'. Choose one of: digits, mnist"),
        (
            ("digits", "all"),
            "Unknown split 'all'. Choose one of: train, classifier, validation, test",
        ),
        (("digits", "train", 7), "`image_size` must be at least 8. Received: image_size=7"),
        (("digits", "train", 32, 0), "`limit` must be at least 1. Received: limit=0"),
    ],
)
def test_bad_settings_are_refused(arguments, message):
    with pytest.raises(SettingError, match=message):
        dataset.load(*arguments)
