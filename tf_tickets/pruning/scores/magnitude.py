"""Magnitudes: what a training has made of each weight."""

import keras
import numpy as np

from tf_tickets.errors import SettingError
from tf_tickets.names import named


def magnitude_scores(variables) -> dict[str, np.ndarray]:
    """Return the magnitude of every weight: variable name -> float array, higher means keep.

    Args:
        variables: Keras variables, as `prunable` returns them.

    Raises:
        SettingError: if they are a model.

    Source: Han et al., 2015, arXiv:1506.02626; Kalibhat et al., 2021,
    arXiv:2010.02350, sec. 3.1.
    """
    if isinstance(variables, keras.Model):
        raise SettingError(
            "`variables` must be kernels, as tt.prunable(model) returns them. Received: a model."
        )
    return {name: np.abs(variable.numpy()) for name, variable in named(variables).items()}
