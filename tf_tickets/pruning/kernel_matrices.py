"""Kernels as the matrices that they are: inputs in rows, outputs in columns."""

import dataclasses
import math
from collections.abc import Mapping, Sequence

import keras
import numpy as np

from tf_tickets.keras_internals import holders_of
from tf_tickets.names import names_of

_TRANSPOSED = (
    keras.layers.Conv1DTranspose,
    keras.layers.Conv2DTranspose,
    keras.layers.Conv3DTranspose,
)


@dataclasses.dataclass(frozen=True)
class KernelMatrix:
    """Which axes of a kernel are inputs and outputs of its layer.

    Attributes:
        inputs: axes over which the layer sums.
        outputs: axes that its output has.
        places: all others, such as the height and width of a convolution; there is a matrix for
            each of their positions.
    """

    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    places: tuple[int, ...] = ()

    def of(self, values: np.ndarray) -> np.ndarray:
        """Return an array shaped like the kernel as one of shape (..., inputs, outputs)."""
        ordered = values.transpose(self._order)
        num_places = len(self.places)
        split = num_places + len(self.inputs)
        sides = ordered.shape[num_places:split], ordered.shape[split:]
        return ordered.reshape(*ordered.shape[:num_places], *map(math.prod, sides))

    def back(self, matrices: np.ndarray, shape: Sequence[int]) -> np.ndarray:
        """Return what `of` made of an array of a shape as that array again."""
        ordered = matrices.reshape([shape[axis] for axis in self._order])
        return ordered.transpose(np.argsort(self._order))

    @property
    def _order(self):
        return (*self.places, *self.inputs, *self.outputs)


def kernel_matrices(model: keras.Model, kernels) -> dict[str, KernelMatrix]:
    """Return the KernelMatrix of each kernel, by its name in the model.

    Kernels of a layer that Keras does not have are taken for (..., inputs, outputs). So are those
    of depthwise convolutions, which are (..., channels, multiples): each output has one input.

    Args:
        model: built.
        kernels: variables of the model, of two axes or more.
    """
    names, holders = names_of(model), holders_of(model)
    return {
        names[id(kernel)]: _matrix(holders.get(id(kernel), [None])[-1], len(kernel.shape))
        for kernel in kernels
    }


def _matrix(layer, ndim):
    if isinstance(layer, keras.layers.EinsumDense):
        return _of_equation(layer.equation)
    last, last_but_one = ndim - 1, ndim - 2
    if isinstance(layer, _TRANSPOSED):
        return KernelMatrix((last,), (last_but_one,), tuple(range(ndim - 2)))
    return KernelMatrix((last_but_one,), (last,), tuple(range(ndim - 2)))


def _of_equation(equation):
    """Return the axes of an EinsumDense's kernel, such as the "cde" of "abc,cde->abde"."""
    operands, result = equation.replace(" ", "").split("->")
    received, kernel = operands.split(",")
    axes: Mapping[str, list] = {"inputs": [], "outputs": [], "places": []}
    for axis, letter in enumerate(kernel):
        summed = letter in received and letter not in result
        side = "inputs" if summed else "places" if letter in received else "outputs"
        axes[side].append(axis)
    return KernelMatrix(**{side: tuple(found) for side, found in axes.items()})
