"""How a verdict is reached: which questions are asked, in which order, and at which level."""

from dataclasses import dataclass

import numpy as np

from tf_tickets.search.paired_tests import p_above_zero, upper_bound

# Two claims can be false, that a round matches dense and that it beats random. Their levels add up
# to 5 %. Matching has the larger share, as it is the harder one to show: docs/decisions.md.
MATCH_LEVEL = 0.04
RANDOM_LEVEL = 0.01
# Of what is left of the level of beating random, the next question takes four fifths.
FIRST_SHARE = 0.8


@dataclass(frozen=True)
class Decision:
    """What follows from the gaps and advantages of all rounds, in the order of sparsity.

    Attributes:
        bounds, p: (rounds,), NaN where there is none.
        within, matches: (rounds,), as those of `Comparison`.
        asked: (rounds,), the level at which p was asked; NaN where it was not.
        winner: the index of the winning ticket; None if there is none.
        by_means: the index to which the means alone lead; None if they lead nowhere.
    """

    bounds: np.ndarray
    p: np.ndarray
    within: np.ndarray
    matches: np.ndarray
    asked: np.ndarray
    winner: int | None
    by_means: int | None


def decide(
    gaps: np.ndarray,
    advantages: np.ndarray,
    limit: float,
    lost: np.ndarray | bool = False,
    levels: tuple[float, float] = (MATCH_LEVEL, RANDOM_LEVEL),
) -> Decision:
    """Return which rounds match, which is the winning ticket, and where the means alone lead.

    Rounds are asked in the order of sparsity whether they match dense, and the asking stops at the
    first that does not: a fixed sequence, whose tests need no correction. From the sparsest round
    that matches downwards, it is asked whether the ticket beats random: at four fifths of a level,
    then at four fifths of what is left, and so on, so that all questions together stay within it.

    Args:
        gaps, advantages: (rounds, seeds), as those of `Pairs`.
        limit: the largest gap that the tolerance allows.
        lost: (rounds,), rounds that cannot match, since a training collapsed without metrics.
        levels: of matching, and of beating random. False claims are at most as likely as their sum.
    """
    level_of_bound, left = levels
    bounds, p = upper_bound(gaps, level_of_bound), p_above_zero(advantages)
    within = (means_of(gaps) <= limit) & ~np.asarray(lost)
    matches = np.logical_and.accumulate(within & (bounds <= limit))
    asked, winner = np.full(len(p), np.nan), None
    for index in np.flatnonzero(matches & ~np.isnan(p))[::-1]:
        asked[index] = FIRST_SHARE * left
        left -= asked[index]
        if p[index] <= asked[index]:
            winner = int(index)
            break
    found = np.flatnonzero(np.logical_and.accumulate(within) & (means_of(advantages) > 0))
    return Decision(
        bounds, p, within, matches, asked, winner, int(found[-1]) if len(found) else None
    )


def means_of(rows):
    """Return the mean of each round, NaN where there is no seed."""
    return rows.mean(-1) if rows.size else np.full(len(rows), np.nan)
