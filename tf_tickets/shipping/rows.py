"""What became of each of a model's variables."""

import dataclasses
import math
from collections.abc import Sequence

import keras
import numpy as np

from tf_tickets.keras_internals import layers_of
from tf_tickets.names import variable_names
from tf_tickets.protocols import averages_of
from tf_tickets.pruning.kernel_matrices import KernelMatrix, kernel_matrices
from tf_tickets.pruning.masks import Masks
from tf_tickets.pruning.prunable import why_not_prunable

_AVERAGE = "a moving average: it follows the mask of what it averages"
_WITH_PATTERNS = (keras.layers.Dense, keras.layers.EinsumDense, keras.layers.Conv2D)


@dataclasses.dataclass(frozen=True)
class WeightRow:
    """One variable of a model.

    Attributes:
        path: the variable's name, which is its place in the model.
        shape: of the variable.
        kind: the class of the layer that holds it.
        size: how many weights it has.
        num_kept: how many of them its mask keeps; all, where it has none.
        skipped: why it is not among those that may be pruned; empty where it is.
        pattern: how its zeros lie: "2:4" where at least two of every four inputs are zero, "(4, 1)"
            where four neighbouring inputs are zero or kept together, or "".
    """

    path: str
    shape: tuple[int, ...]
    kind: str
    size: int
    num_kept: int
    skipped: str = ""
    pattern: str = ""

    @property
    def sparsity(self) -> float:
        """Fraction of the weights that is removed."""
        return 1 - self.num_kept / self.size if self.size else 0.0


def weight_rows(model: keras.Model, masks: Masks) -> tuple[WeightRow, ...]:
    """Return a row for each of a model's variables.

    Args:
        model: a built model.
        masks: of some of its variables.
    """
    variables = variable_names(model)
    kernels = [v for name, v in variables.items() if name in masks and len(v.shape) > 1]
    matrices = kernel_matrices(model, kernels)
    # A layer comes after the one that holds it, so that the innermost has the last word.
    holders = {id(v): layer for layer in layers_of(model) for v in layer.variables}
    averages = {id(average) for _, average in averages_of(model)}
    rows = []
    for name, variable in variables.items():
        layer = holders[id(variable)]
        size = math.prod(variable.shape)
        kept = masks.get(name)
        rows.append(
            WeightRow(
                name,
                tuple(variable.shape),
                type(layer).__name__,
                size,
                size if kept is None else int(np.count_nonzero(kept)),
                _AVERAGE if id(variable) in averages else why_not_prunable(variable),
                _pattern(layer, kept, matrices.get(name)),
            )
        )
    return tuple(rows)


def _pattern(layer, kept, matrix: KernelMatrix | None) -> str:
    """Return how the zeros lie along the inputs of a dense layer's or a convolution's kernel."""
    if matrix is None or not isinstance(layer, _WITH_PATTERNS) or kept.all():
        return ""
    by_output = np.moveaxis(matrix.of(kept), -2, -1)  # (..., outputs, inputs)
    if by_output.shape[-1] % 4:
        return ""
    num_kept = by_output.reshape(-1, 4).sum(axis=1)  # (groups of four inputs,)
    if np.isin(num_kept, (0, 4)).all():
        return "(4, 1)"
    return "2:4" if np.all(num_kept <= 2) else ""


def sparsity_of(rows: Sequence[WeightRow]) -> float:
    """Return the fraction that is removed of all weights of some rows."""
    size = sum(row.size for row in rows)
    return 1 - sum(row.num_kept for row in rows) / size if size else 0.0
