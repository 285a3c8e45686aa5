"""GraSP: how much of the gradient's norm hangs on each weight, before anything is trained."""

import functools
from collections.abc import Callable, Sequence

import keras
import numpy as np
import tensorflow as tf

from tf_tickets.names import named
from tf_tickets.pruning.scores.gradients import gradients_of, mean_gradients


def grasp_scores(
    variables: Sequence[keras.Variable], losses: Sequence[Callable[[], tf.Tensor]]
) -> dict[str, np.ndarray]:
    """Return how much of the gradient's norm is lost without each weight: `w (H g)`.

    Higher means keep. g is the gradient of the loss L, and H its Hessian, both in the given
    variables alone. The authors rank by `-w (H g)` and remove the highest: the sign counts. They
    also divide the logits by a temperature of 200; here there is none, as most losses of generative
    models have no logits to divide. Batch normalisation in training mode makes H that of its
    batches.

    Args:
        variables: Keras variables, as `prunable` returns them, of a model that computes in float32:
            in 16 bits a product of two derivatives is mostly rounding.
        losses: as `snip_scores` takes them; each is called twice, and has to give the same value.

    Returns:
        Variable name -> float array shaped like the variable, of either sign.

    Raises:
        SettingError: if there are no losses.

    Source: Wang et al., 2020, arXiv:2002.07376.
    """
    names = named(variables)
    gradients = mean_gradients(variables, losses)
    # H g is the gradient of <g, dL/dw> where g is held constant.
    slopes = [functools.partial(_slope, loss, variables, gradients) for loss in losses]
    products = mean_gradients(variables, slopes)
    return {
        name: variable.numpy() * product
        for (name, variable), product in zip(names.items(), products, strict=True)
    }


def _slope(loss, variables, direction):
    products = zip(gradients_of(loss, variables), direction, strict=True)
    return tf.add_n([tf.reduce_sum(gradient * d) for gradient, d in products])
