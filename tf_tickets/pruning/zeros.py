"""Zeros that were never pruned: kernels that begin at zero and have yet to learn.

The last layer of a diffusion network, a gate or a residual branch is often started at zero. Such a
kernel was not pruned, as pruning leaves each variable a weight at least. So a variable that is zero
everywhere has no mask: `masks_of_zeros` keeps it whole, and `magnitude_scores` leaves it out until
it has learned something. Zeros among other values cannot be told from pruned ones: a kernel that
begins as the identity, or in blocks, is to be held by masks and not by its zeros.
"""

import keras
import numpy as np

from tf_tickets.keras_internals import holders_of
from tf_tickets.names import NamedVariables


def has_yet_to_learn(values: np.ndarray) -> bool:
    """Return whether a variable's values are all zero, so that no weight of it was pruned."""
    return bool(values.size) and not values.any()


def mask_of_zeros(values: np.ndarray) -> np.ndarray:
    """Return the mask that a variable's zeros are: `True` where it is not zero, or on all of it."""
    return np.ones(values.shape, bool) if has_yet_to_learn(values) else values != 0


def apart_from_zero(model: keras.Model, kernels: NamedVariables, pool: set[str]) -> list[set[str]]:
    """Return a pool of kernels, less those that began at zero, and each of these by itself.

    A magnitude says how far such a kernel has moved, and that of any other where it began, too. So
    ranked with others it would be emptied in the first steps, before it could show its worth.

    Args:
        model: whose layers say how a kernel began, also where it has moved since.
        kernels: as `prunable` returns them.
        pool: names of some of them. Where all of these began at zero they stay together.
    """
    holders = holders_of(model)
    zero = {
        name
        for name, kernel in kernels.items()
        if name in pool
        and (has_yet_to_learn(kernel.numpy()) or _begins_at_zero(kernel, holders.get(id(kernel))))
    }
    return [pool] if zero == pool else [pool - zero, *({name} for name in sorted(zero))]


def _begins_at_zero(kernel, holders) -> bool:
    """Return whether the layer that holds a kernel last was told to start it at zero."""
    stem = kernel.name.removesuffix("kernel")  # "recurrent_kernel" -> "recurrent_initializer"
    argument = f"{stem or 'kernel_'}initializer"
    initializer = getattr(holders[-1], argument, None) if holders else None
    return isinstance(initializer, keras.initializers.Zeros)
