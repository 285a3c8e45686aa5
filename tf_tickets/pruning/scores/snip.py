"""SNIP: how much the loss hangs on each weight, before anything is trained.

Only the variables that are given are scored, kernels as `prunable` returns them; the code of SNIP's
authors scores biases too.
"""

from collections.abc import Callable, Sequence

import keras
import numpy as np
import tensorflow as tf

from tf_tickets.names import named
from tf_tickets.pruning.scores.gradients import mean_gradients


def snip_scores(
    variables: Sequence[keras.Variable], losses: Sequence[Callable[[], tf.Tensor]]
) -> dict[str, np.ndarray]:
    """Return how much the loss hangs on each weight: `abs(w dL/dw)`, higher means keep.

    Args:
        variables: Keras variables, as `prunable` returns them.
        losses: each returns the scalar loss of one batch; L is their mean. They are called in
            order. Whatever they assign to Keras variables, such as moving statistics and the states
            of random generators, holds until the last is done, and is dropped then.

    Returns:
        Variable name -> float array shaped like the variable.

    Raises:
        SettingError: if there are no losses.

    Source: Lee et al., 2019, arXiv:1810.02340.
    """
    names = named(variables)
    gradients = mean_gradients(variables, losses)
    return {
        name: np.abs(variable.numpy() * gradient)
        for (name, variable), gradient in zip(names.items(), gradients, strict=True)
    }
