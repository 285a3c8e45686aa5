import types

import numpy as np
import pytest
import sklearn.datasets
import tensorflow as tf


def make_dataset(images, labels, split, digest):
    return types.SimpleNamespace(
        name="stand-in",
        split=split,
        num_images=len(images),
        image_shape=images.shape[1:],
        num_classes=10,
        examples=tf.data.Dataset.from_tensor_slices((images, labels.astype(np.int64))),
        digest=digest,
    )


@pytest.fixture(scope="session")
def digits():
    """The real digits at 32 x 32 in [-1, 1]: (train, test) of 1437 and 360 images."""
    data = sklearn.datasets.load_digits()
    images = tf.image.resize(data.images[..., None] / 8 - 1, (32, 32)).numpy()
    order = np.random.default_rng(0).permutation(len(images))
    images, labels = images[order], data.target[order]
    train = make_dataset(images[:1437], labels[:1437], "train", "digits-train")
    return train, make_dataset(images[1437:], labels[1437:], "test", "digits-test")


@pytest.fixture(scope="session")
def tiny():
    """Ten classes of 8 x 8 x 3 images, each a brightness: (train, test) of 60 and 30 images."""
    labels = np.arange(90) % 10
    noise = np.random.default_rng(0).normal(0, 0.02, (90, 8, 8, 3))
    images = (labels[:, None, None, None] / 5 - 0.9 + noise).astype(np.float32).clip(-1, 1)
    train = make_dataset(images[:60], labels[:60], "train", "tiny-train")
    return train, make_dataset(images[60:], labels[60:], "test", "tiny-test")
