"""From scores to masks: one threshold over the whole pool, with exact counts."""

from collections.abc import Callable, Collection, Mapping, Sequence

import numpy as np

from tf_tickets.errors import DivergedError, SettingError, check_sparsity
from tf_tickets.names import named
from tf_tickets.pruning.masks import Masks, check_same_variables


def global_masks(
    scores: Mapping[str, np.ndarray], sparsity: float, within: Masks | None = None
) -> Masks:
    """Return the masks that keep the highest scores of all variables pooled together.

    Exactly `round((1 - sparsity) * pool)` weights are kept. Of equal scores the one that comes
    first is kept: earlier variable, then lower index in C order. No variable is ever emptied: each
    keeps its best weight, at the cost of the lowest that is kept elsewhere.

    Args:
        scores: variable name -> float array shaped like the variable; higher means keep.
        sparsity: fraction of the whole pool to remove, in [0, 1), what is already removed included.
        within: masks of the same variables; what they remove stays removed.

    Raises:
        SettingError: if `sparsity` is outside [0, 1), leaves fewer weights than variables, or is
            less than `within` has removed already; if there are no scores, or `within` is of other
            variables.
        DivergedError: if a score is NaN or infinite.

    Source: Kalibhat et al., 2021, arXiv:2010.02350, secs. 3.1 and 4.
    """
    check_scores(scores, within)
    pool = sum(score.size for score in scores.values())
    num_kept = num_kept_of(sparsity, pool, len(scores))
    if within is not None and within.num_kept < num_kept:
        raise SettingError(
            f"Cannot prune to sparsity {sparsity:.4f}: {within.sparsity:.4f} is removed already, "
            "and removed weights do not come back."
        )
    kept = _keep_candidates(scores, within, num_kept)
    return Masks(
        {
            name: mask.reshape(score.shape) if within is None else _expand(mask, within[name])
            for mask, (name, score) in zip(kept, scores.items(), strict=True)
        }
    )


def pooled_masks(
    scores: Mapping[str, np.ndarray],
    sparsity: float,
    within: Masks,
    pools: Sequence[Collection[str]],
) -> Masks:
    """Return the masks of `global_masks` for each of several pools, in the order of `within`.

    A variable that is a pool by itself keeps one weight at least, however few it has.

    Args:
        scores: variable name -> float array; higher means keep.
        sparsity: of each pool.
        within: masks of the same variables; what they remove stays removed.
        pools: sets of variable names, disjoint and together all that is scored.

    Raises:
        SettingError, DivergedError: as `global_masks` does.
    """
    _check_arrays(scores)
    check_same_variables(scores, within, "The scores and the masks to stay within")
    pruned = {}
    for pool in pools:
        of_pool = Masks({name: mask for name, mask in within.items() if name in pool})
        most = sparsity
        if len(of_pool) == 1 and 0 <= sparsity < 1:
            most = min(sparsity, 1 - 1 / of_pool.size)
        pruned |= global_masks({name: scores[name] for name in of_pool}, most, of_pool)
    return Masks({name: pruned[name] for name in within})


def masks_where_scored(
    scores: Mapping[str, np.ndarray],
    sparsity: float,
    within: Masks,
    pools: Sequence[Collection[str]],
    select: Callable[..., Masks] = pooled_masks,
) -> Masks:
    """Return the masks that `select` draws of what has scores; the masks of the rest stay.

    Args:
        scores: variable name -> float array, of some of the variables in `within`.
        sparsity, within, pools: as `pooled_masks` takes them.
        select: draws the masks as `pooled_masks` does, from the same arguments.
    """
    ranked = Masks({name: mask for name, mask in within.items() if name in scores})
    pools = [names for names in (set(pool) & scores.keys() for pool in pools) if names]
    return Masks({**within, **select(scores, sparsity, ranked, pools)}) if pools else within


def check_pool(pool: str) -> None:
    """Raise SettingError unless `pool` says what `pools_by` ranks together."""
    if pool not in ("model", "layer"):
        raise SettingError(f"`pool` must be 'model' or 'layer'. Received: pool={pool!r}")


def pools_by(pool: str, variables) -> list[set[str]]:
    """Return the names of all variables as one pool, or for "layer" each as a pool by itself."""
    names = list(named(variables))
    return [{name} for name in names] if pool == "layer" else [set(names)]


def check_scores(scores: Mapping[str, np.ndarray], within: Masks | None = None) -> None:
    """Raise unless there are scores, all finite, of the variables that `within` has masks for.

    Raises:
        SettingError: if there are none, they are no mapping or no arrays of real numbers, or
            `within` is of other variables.
        DivergedError: if a score is NaN or infinite.
    """
    if not isinstance(scores, Mapping):
        raise SettingError(
            "`scores` must map variable names to arrays, as tt.magnitude_scores(tt.prunable(model))"
            f" does. Received: a {type(scores).__name__}"
        )
    if not scores:
        raise SettingError("There are no scores to choose weights by.")
    _check_arrays(scores)
    if within is not None:
        if not isinstance(within, Masks):
            raise SettingError(f"`within` must be tt.Masks. Received: a {type(within).__name__}")
        check_same_variables(scores, within, "The scores and the masks to stay within")
    for name, score in scores.items():
        # The extremes show a NaN or an infinity at a fraction of the cost of `isfinite` on it all.
        if score.size and not (np.isfinite(score.max()) and np.isfinite(score.min())):
            raise DivergedError(f"A score of {name} is NaN or infinite: nothing was pruned on it.")


def _check_arrays(scores):
    for name, score in scores.items():
        dtype = getattr(score, "dtype", None)
        if not isinstance(score, np.ndarray) or not np.can_cast(dtype, np.float64):
            raise SettingError(
                "A score must be a NumPy array of real numbers, shaped like its variable. "
                f"Received for {name}: {dtype or type(score).__name__}"
            )


def num_kept_of(sparsity: float, pool: int, num_variables: int) -> int:
    """Return how many weights of a pool of so many variables stay at a sparsity.

    Raises:
        SettingError: if the sparsity is outside [0, 1), or would empty a variable.
    """
    check_sparsity("sparsity", sparsity)
    num_kept = round((1 - sparsity) * pool)
    if num_kept < num_variables:
        raise SettingError(
            f"Sparsity {sparsity} of {pool} weights leaves {num_kept}, fewer than the "
            f"{num_variables} variables, of which none may be emptied."
        )
    return num_kept


def check_pools(
    sparsity: float, sizes: Mapping[str, int], pools: Sequence[Collection[str]]
) -> None:
    """Raise SettingError unless `pooled_masks` could prune each pool to a sparsity.

    Args:
        sparsity: of each pool.
        sizes: variable name -> how many weights it has, or blocks where these are what is pruned.
        pools: as `pooled_masks` takes them.
    """
    check_sparsity("sparsity", sparsity)
    for names in pools:
        if len(names) > 1:  # one by itself keeps a weight at least, however sparse the others are
            num_kept_of(sparsity, sum(sizes[name] for name in names), len(names))


def _keep_candidates(scores, within, num_kept) -> list:
    """Return for each variable a bool array over its weights that `within` has left."""
    # A copy of 10^8 scores is worth saving.
    candidates = [
        score.ravel() if within is None or within[name].all() else score[within[name]]
        for name, score in scores.items()
    ]
    kept = _keep_highest(candidates, num_kept)
    if not all(mask.any() for mask in kept if mask.size):
        kept = _keep_highest([_with_best_certain(c) for c in candidates], num_kept)
    return kept


def _keep_highest(candidates: list, num_kept: int) -> list:
    """Return a bool array for each 1-D array, `True` on the `num_kept` highest of all."""
    threshold = _kth_largest(candidates, num_kept)
    kept = [candidate >= threshold for candidate in candidates]
    surplus = sum(np.count_nonzero(mask) for mask in kept) - num_kept
    for mask, candidate in zip(reversed(kept), reversed(candidates), strict=True):
        if not surplus:
            break
        ties = np.flatnonzero(candidate == threshold)[-surplus:]
        mask[ties] = False
        surplus -= ties.size
    return kept


def _kth_largest(candidates: list, k: int):
    """Return the k-th largest value of several 1-D arrays, counted together from 1.

    A sorted sample brackets the value, so that only the few percent inside the bracket have to be
    gathered and partitioned; when the sample misled, all are.
    """
    low, high = _bracket(candidates, k)
    above = sum(np.count_nonzero(candidate > high) for candidate in candidates)
    inside = np.concatenate([c[(c >= low) & (c <= high)] for c in candidates])
    if not above < k <= above + inside.size:
        above, inside = 0, np.concatenate(candidates)
    index = inside.size - (k - above)
    return np.partition(inside, index)[index]


def _bracket(candidates, k, sample_size=65_536):
    """Return two values between which the k-th largest very probably lies."""
    size = sum(candidate.size for candidate in candidates)
    stride = max(1, size // sample_size)
    sample = np.sort(np.concatenate([candidate[::stride] for candidate in candidates]))
    fraction = 1 - k / size
    # Six standard deviations of the sampled rank, and one for rounding.
    margin = int(6 * np.sqrt(sample.size * fraction * (1 - fraction))) + 1
    rank = int(fraction * sample.size)
    low, high = rank - margin, rank + margin
    return (
        sample[low] if low > 0 else -np.inf,
        sample[high] if high < sample.size else np.inf,
    )


def _with_best_certain(candidate):
    candidate = candidate.copy()
    if candidate.size:
        candidate[candidate.argmax()] = np.inf
    return candidate


def _expand(kept, within):
    mask = np.zeros(within.shape, bool)
    mask[within] = kept
    return mask
