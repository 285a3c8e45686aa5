"""Gradients of the mean loss of several batches, which change nothing in the model."""

from collections.abc import Callable, Sequence

import keras
import numpy as np
import tensorflow as tf

from tf_tickets.errors import DivergedError, SettingError


def mean_gradients(
    variables: Sequence[keras.Variable], losses: Sequence[Callable[[], tf.Tensor]]
) -> list[np.ndarray]:
    """Return the gradient of the losses' mean, an array for each variable.

    Raises:
        SettingError: if there are no losses, they are no functions, or one returns no scalar.
        DivergedError: if no gradient reaches any of the variables: it would tell none from another.
    """
    _check_losses(losses)
    total = [np.zeros(variable.shape, "float32") for variable in variables]
    with keras.StatelessScope():
        for loss in losses:
            total = [
                t + g.numpy() for t, g in zip(total, gradients_of(loss, variables), strict=True)
            ]
    if not any(map(np.any, total)):
        raise DivergedError(
            "All gradients are zero: no gradient of the losses reaches these weights, so there is "
            "nothing to choose them by. Are they of the model that the losses are of?"
        )
    return [gradient / len(losses) for gradient in total]


def _check_losses(losses):
    if losses is None or (isinstance(losses, Sequence) and not losses):
        raise SettingError("There is no batch to score weights by: `losses` is empty.")
    if not isinstance(losses, Sequence) or not all(map(callable, losses)):
        raise SettingError(
            "`losses` must be a list of functions of nothing, each of which returns the loss of a "
            f"batch. Received: {type(losses).__name__}"
        )


def gradients_of(loss: Callable[[], tf.Tensor], variables: Sequence[keras.Variable]) -> list:
    """Return the gradient of one loss, a tensor for each variable.

    Raises:
        SettingError: if the loss is no scalar tensor.
    """
    values = [variable.value for variable in variables]
    with tf.GradientTape() as tape:
        value = loss()
    if not tf.is_tensor(value) or value.shape.rank != 0:
        shape = value.shape if tf.is_tensor(value) else type(value).__name__
        raise SettingError(
            f"A function of `losses` must return a tensor, the scalar loss of a batch. Received: "
            f"{shape}"
        )
    return tape.gradient(value, values, unconnected_gradients=tf.UnconnectedGradients.ZERO)
