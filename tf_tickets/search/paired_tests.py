"""Student's t-tests of paired differences, one value for each seed, and their power."""

import numpy as np
from scipy.special import nctdtr, stdtr, stdtrit

# Beyond so many seeds nobody would go: the search for their number ends.
MOST_SEEDS = 1000


def upper_bound(differences: np.ndarray, level: float) -> np.ndarray:
    """Return the one-sided upper confidence bound of a mean.

    Args:
        differences: (..., seeds).
        level: the probability, at most, that the true mean lies above the bound, such as 0.05.

    Returns:
        (...): NaN with fewer than two seeds, of which no spread is known.
    """
    mean, error = _mean_and_error(differences)
    return mean + stdtrit(max(differences.shape[-1] - 1, 1), 1 - level) * error


def p_above_zero(differences: np.ndarray) -> np.ndarray:
    """Return the one-sided p-value that a mean is not above zero.

    Args:
        differences: (..., seeds).

    Returns:
        (...): NaN with fewer than two seeds. Differences that are the same to the bit have the
        p-value 0 above zero, and 1 elsewhere.
    """
    mean, error = _mean_and_error(differences)
    with np.errstate(divide="ignore", invalid="ignore"):
        t = np.where(mean == 0, 0.0, mean / error)
    p = stdtr(max(differences.shape[-1] - 1, 1), -t)
    return np.where((mean <= 0) & (error == 0), 1.0, p)


def _mean_and_error(differences):
    """Return the mean and its standard error."""
    seeds = differences.shape[-1]
    if seeds < 2:
        unknown = np.full(differences.shape[:-1], np.nan)
        return unknown, unknown
    return differences.mean(-1), differences.std(-1, ddof=1) / np.sqrt(seeds)


def seeds_for(tests: list[tuple[float, float, float]], power: float = 0.8) -> int | None:
    """Return how many seeds are needed for each of several one-sided t-tests to succeed.

    Args:
        tests: (effect, spread, level) of each: the true mean, the standard deviation over seeds,
            and the p-value at which the test succeeds in showing that the mean is above zero.
        power: the probability, at least, with which each of them succeeds.

    Returns:
        At least two; None if a thousand are not enough.
    """
    seeds = np.arange(2, MOST_SEEDS + 1)
    enough = np.ones(len(seeds), bool)
    for effect, spread, level in tests:
        if spread == 0:
            enough &= effect > 0
            continue
        shift = effect / spread * np.sqrt(seeds)
        below = nctdtr(seeds - 1, shift, stdtrit(seeds - 1, 1 - level))
        # Where SciPy's series does not end, the shift is so large that the test succeeds.
        enough &= np.where(np.isnan(below), shift > 0, 1 - below >= power)
    return int(seeds[enough.argmax()]) if enough.any() else None
