import numpy as np
import pytest
import tensorflow as tf

from tf_tickets.lab.data import dataset


def make_dataset(images, labels, split, digest):
    return dataset.ImageDataset(
        name="stand-in",
        split=split,
        num_images=len(images),
        image_shape=images.shape[1:],
        num_classes=10,
        digest=digest,
        stored=(tf.constant(images), tf.constant(labels, tf.int64)),
    )


@pytest.fixture(scope="session")
def digits():
    """The digits at 8 x 8, for the classifier and two others: 450, 350 and 350 images."""
    return [dataset.load("digits", split, 8) for split in ("classifier", "validation", "test")]


@pytest.fixture(scope="session")
def tiny():
    """Ten classes of 8 x 8 x 3 images, each a brightness: 60, 30 and 30 images.

    The first are for the classifier, the second those that models are judged by.
    """
    labels = np.arange(120) % 10
    noise = np.random.default_rng(0).normal(0, 0.02, (120, 8, 8, 3))
    images = (labels[:, None, None, None] / 5 - 0.9 + noise).astype(np.float32).clip(-1, 1)
    return [
        make_dataset(images[rows], labels[rows], split, f"tiny-{split}")
        for split, rows in (
            ("classifier", slice(60)),
            ("validation", slice(60, 90)),
            ("test", slice(90, None)),
        )
    ]
