"""The replay buffer against a slow reference."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tf_tickets.lab.models.families.replay import ReplayBuffer


def replayed(size, new, seed):
    """Return what a buffer shows, one image after another, by plain Python."""
    generator = keras.random.SeedGenerator(seed)
    held, shown = [], []
    for batch in new:
        places = np.asarray(keras.random.randint((len(batch),), 0, size, seed=generator))
        takes_place = np.asarray(keras.random.uniform((len(batch),), seed=generator)) < 0.5
        for image, place, takes in zip(batch, places, takes_place, strict=True):
            if len(held) < size:
                held.append(image)
                shown.append(image)
            elif takes:
                shown.append(held[place])
                held[place] = image
            else:
                shown.append(image)
    return np.stack(shown), np.stack(held)


@pytest.mark.parametrize("size", [1, 3, 8])
@pytest.mark.parametrize("in_graph", [True, False])
def test_a_buffer_shows_what_a_slow_reference_shows(size, in_graph):
    rng = np.random.default_rng(0)
    new = [rng.normal(size=(n, 2, 2, 1)).astype("float32") for n in (2, 5, 1, 4, 7)]
    buffer, generator = ReplayBuffer(size, (2, 2, 1)), keras.random.SeedGenerator(3)
    exchange = tf.function(buffer.exchange) if in_graph else buffer.exchange
    found = np.concatenate([exchange(tf.constant(batch), generator) for batch in new])
    shown, held = replayed(size, new, seed=3)
    np.testing.assert_array_equal(found, shown)
    np.testing.assert_array_equal(buffer.images, held)
    assert int(buffer.filled) == size


def test_about_half_of_the_images_shown_are_old():
    buffer, generator = ReplayBuffer(50, (1, 1, 1)), keras.random.SeedGenerator(0)
    new = tf.reshape(tf.range(2000.0), (40, 50, 1, 1, 1))
    shown = np.stack([buffer.exchange(batch, generator) for batch in new])
    is_old = shown[1:] != np.asarray(new)[1:]
    assert is_old.mean() == pytest.approx(0.5, abs=0.04)
    assert np.all(np.asarray(shown[0]) == np.asarray(new[0]))


def test_without_a_buffer_new_images_are_shown():
    batch = tf.zeros((2, 4, 4, 1))
    assert ReplayBuffer(0, (4, 4, 1)).exchange(batch, keras.random.SeedGenerator(0)) is batch
