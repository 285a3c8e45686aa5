"""What an activation does to zeros and to channels, found out by trying it."""

import keras
import numpy as np


def keeps_zero(activation) -> bool:
    """Return whether a layer or function gives zero for zero."""
    if activation is None:
        return True
    return not np.any(keras.ops.convert_to_numpy(activation(np.zeros((1, 2), "float32"))))


def is_elementwise(activation) -> bool:
    """Return whether an activation makes of each channel alone what it makes of it among others.

    Softmax does not; nor does what treats channels by their places, or cannot be tried out here.
    """
    if activation is None:
        return True
    values = np.random.default_rng(0).normal(0, 2, (16, 5)).astype("float32")
    try:
        together = keras.ops.convert_to_numpy(activation(values))
        alone = [
            keras.ops.convert_to_numpy(activation(values[:, i : i + 1]))
            for i in range(values.shape[1])
        ]
    except Exception:  # anybody's code, which may be made for one width or shape only
        return False
    if together.shape != values.shape or any(each.shape != (16, 1) for each in alone):
        return False
    return np.allclose(together, np.concatenate(alone, axis=1), rtol=1e-4, atol=1e-5)


def name_of(activation) -> str:
    """Return what a message calls an activation."""
    return getattr(activation, "__name__", None) or getattr(activation, "name", repr(activation))
