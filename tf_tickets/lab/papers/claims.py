"""What a paper claims, each claim with a test of its own over the seeds.

A test gives one number for each seed, its effect, which is above a margin if the claim holds. The
claim agrees with the runs if the whole 95 % interval of the mean lies above the margin, does not if
it lies below, and is undecided in between.
"""

import dataclasses
import math
from collections.abc import Callable, Mapping

import numpy as np
from scipy.special import stdtrit

from tf_tickets.lab.papers.paper import Study
from tf_tickets.search.paired_tests import seeds_for

AGREES, DISAGREES, UNDECIDED = "agrees", "does not", "undecided"
_CONFIDENCE = 0.95


@dataclasses.dataclass(frozen=True)
class Finding:
    """What runs say of a claim.

    Attributes:
        answer: "agrees", "does not" or "undecided".
        statistic: what was measured of each seed, in words.
        mean, low, high: of it, and its 95 % interval; None of fewer than two seeds.
        margin: what it has to be above.
        seeds: those that were compared.
        seeds_needed: with how many seeds it would be decided with a probability of 80 %, if mean
            and spread are the true ones; None if it is decided, or if a thousand are not enough.
    """

    answer: str
    statistic: str
    mean: float
    low: float | None
    high: float | None
    margin: float
    seeds: tuple[int, ...]
    seeds_needed: int | None = None


@dataclasses.dataclass(frozen=True)
class Claim:
    """A sentence of a paper that can be tested.

    Attributes:
        name: under which the page lists it.
        says: the claim, in our words.
        where: in the paper.
        statistic: what is measured of each seed, in words.
        effects: function that returns seed -> effect: of the runs of `studies`, study -> `Run`; or
            of the rows of `costs`, as `comparison.Row.as_dict` has them.
        studies: whose runs decide.
        costs: the name of the `Costs` exhibit whose rows decide, if it is not runs.
        margin: what the effect has to be above for the claim to hold.
    """

    name: str
    says: str
    where: str
    statistic: str
    effects: Callable[..., Mapping[int, float]]
    studies: tuple[Study, ...] = ()
    costs: str | None = None
    margin: float = 0.0

    def judge(self, runs_or_rows) -> Finding:
        """Return what the runs, or the rows of a table of costs, say.

        Args:
            runs_or_rows: as `effects` takes them.
        """
        return finding(self.effects(runs_or_rows), self.statistic, self.margin)


def finding(effects: Mapping[int, float], statistic: str, margin: float = 0.0) -> Finding:
    """Return whether effects lie above a margin.

    Args:
        effects: seed -> effect.
        statistic: what they are, in words.
        margin: what they have to be above.
    """
    values = np.array(list(effects.values()), float)
    low, high = _interval(values)
    answer = UNDECIDED
    if low is not None and low > margin:
        answer = AGREES
    elif high is not None and high < margin:
        answer = DISAGREES
    mean = float(values.mean()) if len(values) else math.nan
    needed = _seeds_needed(values - margin) if answer == UNDECIDED else None
    return Finding(answer, statistic, mean, low, high, margin, tuple(effects), needed)


def _interval(values):
    if len(values) < 2:
        return None, None
    error = values.std(ddof=1) / math.sqrt(len(values))
    half = float(stdtrit(len(values) - 1, (1 + _CONFIDENCE) / 2) * error)
    return float(values.mean()) - half, float(values.mean()) + half


def _seeds_needed(values):
    """Return with how many seeds the interval would lie on the side on which the mean lies."""
    if len(values) < 2:
        return None
    return seeds_for([(abs(values.mean()), values.std(ddof=1), (1 - _CONFIDENCE) / 2)])
