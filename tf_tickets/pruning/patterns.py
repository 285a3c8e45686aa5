"""Masks with a pattern that hardware and libraries can use: blocks, and m zeros of every n."""

import math
from collections.abc import Collection, Mapping, Sequence

import numpy as np

from tf_tickets.errors import SettingError
from tf_tickets.interop import generate_m_by_n_mask
from tf_tickets.pruning.kernel_matrices import KernelMatrix
from tf_tickets.pruning.masks import Masks
from tf_tickets.pruning.selection import check_scores, pooled_masks


def block_masks(
    scores: Mapping[str, np.ndarray],
    sparsity: float,
    within: Masks,
    pools: Sequence[Collection[str]],
    *,
    block_size: tuple[int, int],
    matrices: Mapping[str, KernelMatrix],
) -> Masks:
    """Return masks that keep or remove whole blocks, by the mean score of each.

    The blocks tile the matrices, inputs by outputs, that a kernel is made of; those at the ends may
    be cut off. With (4, 1) four neighbouring inputs of one output go together.

    Args:
        scores: variable name -> float array of two axes or more; higher means keep.
        sparsity: fraction of the blocks of each pool to remove, in [0, 1).
        within: masks of the same variables; what they remove stays removed.
        pools: sets of variable names, disjoint and together all that is scored.
        block_size: inputs and outputs of a block.
        matrices: variable name -> KernelMatrix.

    Raises:
        SettingError, DivergedError: as `global_masks` does, of blocks in place of weights.

    Source: TF-MOT, `block_size` with pooling "AVG", which takes kernels of two axes only.
    """
    blocks = {
        name: _block_means(matrices[name].of(score), block_size) for name, score in scores.items()
    }
    blocks_within = {
        name: _block_means(matrices[name].of(m), block_size) > 0 for name, m in within.items()
    }
    kept = pooled_masks(blocks, sparsity, Masks(blocks_within), pools)
    masks = {}
    for name, mask in within.items():
        expanded = _expand(kept[name], block_size, matrices[name].of(mask).shape)
        masks[name] = matrices[name].back(expanded, mask.shape) & mask
    return Masks(masks)


def num_blocks(shape: Sequence[int], block_size: tuple[int, int], matrix: KernelMatrix) -> int:
    """Return how many blocks `block_masks` sees in a kernel, those that are cut off included."""
    rows, columns, places = (
        math.prod(shape[axis] for axis in axes)
        for axes in (matrix.inputs, matrix.outputs, matrix.places)
    )
    return places * math.ceil(rows / block_size[0]) * math.ceil(columns / block_size[1])


def _block_means(values, block_size):
    return _block_sums(values, block_size) / _block_sums(np.ones(values.shape[-2:]), block_size)


def _block_sums(values, block_size):
    values = values.astype(np.float64)
    for axis, size in zip((-2, -1), block_size, strict=True):
        values = np.add.reduceat(values, np.arange(0, values.shape[axis], size), axis)
    return values


def _expand(blocks, block_size, shape):
    for axis, size in zip((-2, -1), block_size, strict=True):
        blocks = np.repeat(blocks, size, axis)
    return blocks[..., : shape[-2], : shape[-1]]


def m_by_n_masks(
    scores: Mapping[str, np.ndarray],
    sparsity: float,
    within: Masks,
    pools: Sequence[Collection[str]],
    *,
    m_by_n: tuple[int, int],
    matrices: Mapping[str, KernelMatrix],
) -> Masks:
    """Return masks that remove the m lowest of every n neighbouring inputs, such as 2 of 4.

    Neighbours are inputs of the same output, at each place of a convolution. NVIDIA's sparse tensor
    cores know 2 of 4.

    Args:
        scores: variable name -> float array of two axes or more; higher means keep.
        sparsity: not asked, nor are `pools`: the pattern says how many are removed of each layer.
        within: masks of the same variables; what they remove stays removed.
        m_by_n: how many are removed (m) of how many (n).
        matrices: variable name -> KernelMatrix.

    Raises:
        DivergedError: if a score is NaN or infinite.

    Source: TF-MOT, `sparsity_m_by_n`, which takes kernels of two or four axes only.
    """
    check_scores(scores, within)
    return Masks(
        {n: _m_by_n_mask(scores[n], m_by_n, matrices[n]) & mask for n, mask in within.items()}
    )


def _m_by_n_mask(score, m_by_n, matrix):
    rows = np.moveaxis(matrix.of(score), -2, -1)  # (..., outputs, inputs)
    mask = generate_m_by_n_mask(rows.reshape(-1, rows.shape[-1]), m_by_n).numpy() != 0
    return matrix.back(np.moveaxis(mask.reshape(rows.shape), -1, -2), score.shape)


def check_pattern(name: str, pattern, smallest: tuple[int, int]) -> None:
    """Raise SettingError unless a pattern is two whole numbers, neither below its smallest."""
    try:
        first, second = pattern
        fits = all(int(number) == number for number in pattern)
        fits = fits and first >= smallest[0] and second >= smallest[1]
    except (TypeError, ValueError):
        fits = False
    if not fits:
        raise SettingError(
            f"`{name}` must be two whole numbers, the first at least {smallest[0]} and the second "
            f"at least {smallest[1]}. Received: {name}={pattern!r}"
        )
