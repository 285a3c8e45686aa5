"""The penalties of a discriminator against numbers worked out without them."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from tf_tickets.lab.models.families.gan_penalties import bernoulli_divergence, gradient_penalty

IMAGES = np.random.default_rng(0).uniform(-1, 1, (24, 4, 4, 1)).astype("float32")


def test_bernoulli_divergence_in_closed_form():
    first, second = np.random.default_rng(0).normal(0, 3, (2, 50))
    p, q = (1 / (1 + np.exp(-x)) for x in (first, second))
    expected = p * np.log(p / q) + (1 - p) * np.log((1 - p) / (1 - q))
    found = bernoulli_divergence(first.astype("float32"), second.astype("float32"))
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    far = np.float32([100.0, -100.0])  # probabilities of exactly 0 and 1 in float32
    np.testing.assert_allclose(bernoulli_divergence(far, far[::-1]), [100, 100])


def penalty_in_float64(first, bias, second, points):
    """Of the critic second . tanh(first x + bias), whose gradient is known."""
    slopes = 1 - np.tanh(points @ first + bias) ** 2
    gradients = (slopes * second[:, 0]) @ first.T
    return np.mean((np.linalg.norm(gradients, axis=1) - 1) ** 2)


def test_gradient_penalty_and_its_gradient_against_float64():
    images = keras.Input((4, 4, 1))
    x = layers.Dense(5, activation="tanh")(layers.Flatten()(images))
    critic = keras.Model(images, layers.Dense(1, use_bias=False)(x))
    critic.layers[2].bias.assign(np.linspace(-1, 1, 5))
    points = 0.3 * IMAGES[:7]
    with tf.GradientTape() as tape:
        found = gradient_penalty(critic, tf.constant(points))
    gradients = tape.gradient(found, critic.trainable_variables)

    weights = [weight.numpy().astype("float64") for weight in critic.trainable_variables]
    points = points.reshape(7, -1).astype("float64")
    assert float(found) == pytest.approx(penalty_in_float64(*weights, points), rel=1e-5)
    for weight, gradient in zip(weights, gradients, strict=True):
        expected = np.empty_like(weight)
        for index in np.ndindex(weight.shape):
            ends = []
            kept = weight[index]
            for shift in (1e-6, -1e-6):
                weight[index] = kept + shift
                ends.append(penalty_in_float64(*weights, points))
            weight[index] = kept
            expected[index] = (ends[0] - ends[1]) / 2e-6
        np.testing.assert_allclose(gradient, expected, rtol=1e-3, atol=1e-5)


def test_the_penalty_of_a_flat_critic_is_finite():
    flat = keras.Sequential([keras.Input((4, 4, 1)), layers.Flatten(), layers.Dense(1)])
    flat.layers[-1].kernel.assign(np.zeros((16, 1)))
    with tf.GradientTape() as tape:
        found = gradient_penalty(flat, tf.constant(IMAGES))
    (gradient, _) = tape.gradient(found, flat.trainable_variables)
    assert float(found) == pytest.approx(1, abs=1e-5) and np.isfinite(gradient).all()
