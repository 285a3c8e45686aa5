"""Ways of pruning against the unpruned network, seed by seed."""

import dataclasses
import math
from collections.abc import Mapping, Sequence

import numpy as np
import scipy.stats

_CONFIDENCE = 0.95


@dataclasses.dataclass(frozen=True)
class Paired:
    """How a metric of one way differs from that of the unpruned network, over the seeds of both.

    Attributes:
        change: by which factor, the geometric mean over the seeds; or the mean difference.
        low, high: the 95 % interval of the change; None of fewer than two seeds.
        p: of a two-sided paired t test that there is no change; None of fewer than two seeds, or
            if all seeds change by the very same.
        is_ratio: whether the change is a factor, and not a difference.
        num_seeds: how many seeds have both values.
    """

    change: float
    low: float | None
    high: float | None
    p: float | None
    is_ratio: bool
    num_seeds: int


def paired(
    values: Mapping[int, float], reference: Mapping[int, float], as_ratio: bool = True
) -> Paired | None:
    """Return how values differ from a reference, seed by seed; None if they share no seed.

    Trainings of one seed see the same batches in the same order, so what a seed adds to both goes
    out in the pair. Ratios are compared by their logarithms.

    Args:
        values: seed -> the metric of one way.
        reference: seed -> that of the unpruned network.
        as_ratio: whether to compare ratios, for which all values have to be above 0, and not
            differences.
    """
    seeds = sorted(set(values) & set(reference))
    if not seeds:
        return None
    pairs = np.array([(values[seed], reference[seed]) for seed in seeds], float)
    pairs = np.log(pairs) if as_ratio else pairs
    differences = pairs[:, 0] - pairs[:, 1]
    center, (low, high) = differences.mean(), _interval(differences)
    back = math.exp if as_ratio else float
    return Paired(
        change=back(center),
        low=None if low is None else back(low),
        high=None if high is None else back(high),
        p=_p_of_no_change(differences),
        is_ratio=as_ratio,
        num_seeds=len(seeds),
    )


def _interval(differences):
    if len(differences) < 2:
        return None, None
    error = scipy.stats.sem(differences)
    half = error * scipy.stats.t.ppf((1 + _CONFIDENCE) / 2, len(differences) - 1)
    return differences.mean() - half, differences.mean() + half


def _p_of_no_change(differences):
    if len(differences) < 2 or np.ptp(differences) == 0:
        return None
    return float(scipy.stats.ttest_1samp(differences, 0).pvalue)


def holm(ps: Sequence[float | None]) -> list[float | None]:
    """Return p values corrected for how many tests there are; None stays None, and is no test.

    Args:
        ps: of tests that are looked at together.

    Source: Holm, 1979, "A simple sequentially rejective multiple test procedure".
    """
    order = sorted((p, place) for place, p in enumerate(ps) if p is not None)
    corrected, largest = list(ps), 0.0
    for done, (p, place) in enumerate(order):
        largest = max(largest, min(1.0, (len(order) - done) * p))
        corrected[place] = largest
    return corrected
