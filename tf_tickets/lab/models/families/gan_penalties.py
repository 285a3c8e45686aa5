"""What may be added to a discriminator's loss: a gradient penalty, and what a teacher asks."""

import tensorflow as tf
from keras import ops


def gradient_penalty(critic, points):
    """Return the mean of (|gradient of critic at a point| - 1)^2.

    Args:
        critic: function of points -> (batch, 1).
        points: float32 (batch, height, width, channels).

    Source: Gulrajani et al., 2017, arXiv:1704.00028.
    """
    with tf.GradientTape() as tape:
        tape.watch(points)
        answers = critic(points)
    gradients = tape.gradient(answers, points)
    norms = ops.sqrt(ops.sum(ops.square(gradients), axis=(1, 2, 3)) + 1e-12)  # smooth at zero
    return ops.mean(ops.square(norms - 1))


def bernoulli_divergence(first_logits, second_logits):
    """Return the Kullback-Leibler divergence between Bernoulli variables, elementwise."""
    probability = ops.sigmoid(first_logits)
    return probability * (first_logits - second_logits) + (
        ops.softplus(second_logits) - ops.softplus(first_logits)
    )
