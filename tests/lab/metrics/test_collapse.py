import numpy as np
import pytest
import tensorflow as tf

from tf_tickets.errors import DivergedError
from tf_tickets.lab.metrics.collapse import PixelDeviation, refuse_collapse


def deviation_of(images, batch_size=10):
    deviation = PixelDeviation()
    for start in range(0, len(images), batch_size):
        deviation.update(images[start : start + batch_size])
    return deviation


@pytest.mark.parametrize("batch_size", [1, 7, 50])
def test_it_agrees_with_numpy_whatever_the_batches(batch_size):
    images = np.random.default_rng(0).uniform(-1, 1, (50, 4, 4, 3)).astype(np.float32)
    expected = np.std(images, axis=0, dtype=np.float64).mean()
    deviation = deviation_of(images, batch_size)
    assert (deviation.count, deviation.mean) == (50, pytest.approx(expected, rel=1e-12))


def test_equal_images_do_not_differ_by_more_than_rounding():
    image = np.random.default_rng(1).uniform(-1, 1, (1, 4, 4, 1))
    assert 0 <= deviation_of(np.repeat(image, 10_000, axis=0), 500).mean < 1e-6


@pytest.mark.parametrize("dtype", [tf.float32, tf.bfloat16])
def test_images_that_look_the_same_are_one(dtype):
    """Black and nearly black: bfloat16 has a step of 1/256 below 1, half a grey level."""
    images = tf.cast(np.tile([[[[-1.0]]], [[[-1 + 1 / 256]]]], (10, 4, 4, 1)), dtype)
    with pytest.raises(DivergedError, match=r"samples are all nearly one image.*0\.002 on"):
        refuse_collapse({"sample_deviation": deviation_of(images).mean})


def test_few_pixels_that_differ_are_enough():
    """One pixel of sixteen that is black or white: a deviation of 1 / 16 on average."""
    images = np.zeros((20, 4, 4, 1))
    images[:, 0, 0] = np.tile([-1, 1], 10)[:, None]
    deviation = deviation_of(images)
    assert deviation.mean == pytest.approx(1 / 16)
    refuse_collapse({"sample_deviation": deviation.mean})


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("values", [(np.nan, 0.0), (np.inf, -np.inf), (np.inf, np.inf)])
def test_what_is_not_finite_is_left_to_the_distances(values):
    images = np.reshape(values, (2, 1, 1, 1)) * np.ones((2, 4, 4, 1))
    deviation = deviation_of(images).mean
    assert np.isnan(deviation)
    refuse_collapse({"sample_deviation": deviation})
