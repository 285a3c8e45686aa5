"""Gradients of the mean loss of several batches, which change nothing in the model."""

from collections.abc import Callable, Sequence

import keras
import numpy as np
import tensorflow as tf

from tf_tickets.errors import SettingError


def mean_gradients(
    variables: Sequence[keras.Variable], losses: Sequence[Callable[[], tf.Tensor]]
) -> list[np.ndarray]:
    """Return the gradient of the losses' mean, an array for each variable.

    Raises:
        SettingError: if there are no losses.
    """
    if not losses:
        raise SettingError("There is no batch to score weights by: `losses` is empty.")
    total = [np.zeros(variable.shape, "float32") for variable in variables]
    with keras.StatelessScope():
        for loss in losses:
            total = [
                t + g.numpy() for t, g in zip(total, gradients_of(loss, variables), strict=True)
            ]
    return [gradient / len(losses) for gradient in total]


def gradients_of(loss: Callable[[], tf.Tensor], variables: Sequence[keras.Variable]) -> list:
    """Return the gradient of one loss, a tensor for each variable."""
    values = [variable.value for variable in variables]
    with tf.GradientTape() as tape:
        value = loss()
    return tape.gradient(value, values, unconnected_gradients=tf.UnconnectedGradients.ZERO)
