"""What makes the claim honest: when is a ticket a winning one?"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy.stats

from tf_tickets.errors import SettingError


@dataclass(frozen=True)
class Comparison:
    """A round's winning arm against the dense network and the random arm, over all seeds.

    Attributes:
        round: the round, from 1.
        weight_sparsity: of the pool.
        winning, random: the metric's mean over the seeds; `random` is None without that arm.
        within_tolerance: whether the winning arm is as good as dense, up to the tolerance.
        p: two-sided p-value of Welch's t-test of winning against random; None with fewer than
            three seeds.
        wins: within tolerance, and better than random: with three seeds or more, p < 0.05.
    """

    round: int
    weight_sparsity: float
    winning: float
    random: float | None
    within_tolerance: bool
    p: float | None
    wins: bool


def compare_arms(
    records: Sequence[dict], metric: str, tolerance: float, higher_is_better: bool = False
) -> list[Comparison]:
    """Return one Comparison per round, in the order of rounds.

    Args:
        records: lines of results.jsonl.
        metric: the name of the metric that decides.
        tolerance: how much worse than dense a ticket may be, as a fraction of dense.
        higher_is_better: the metric's direction.

    Raises:
        SettingError: if the records do not hold the metric; the message says which there are.

    Source: the definition of a winning ticket by paper K (K6), with Welch's test added.
    """
    if metric not in records[0]["metrics"]:
        raise SettingError(
            f"There is no metric {metric!r}. Choose one of: {', '.join(records[0]['metrics'])}."
        )
    sign = -1 if higher_is_better else 1
    dense = np.mean(_values(records, metric, 0, "dense"))
    rounds = sorted({record["round"] for record in records if record["arm"] == "winning"})
    comparisons = []
    for number in rounds:
        winning = _values(records, metric, number, "winning")
        random = _values(records, metric, number, "random")
        within = bool(sign * (np.mean(winning) - dense) <= tolerance * abs(dense))
        better = bool(random) and sign * (np.mean(random) - np.mean(winning)) > 0
        p = _welch(winning, random)
        comparisons.append(
            Comparison(
                round=number,
                weight_sparsity=next(
                    record["weight_sparsity"] for record in records if record["round"] == number
                ),
                winning=float(np.mean(winning)),
                random=float(np.mean(random)) if random else None,
                within_tolerance=within,
                p=p,
                wins=bool(within and better and (p is None or p < 0.05)),
            )
        )
    return comparisons


def choose_winning_ticket(comparisons: Sequence[Comparison]) -> Comparison | None:
    """Return the sparsest round that wins, or None if no round does."""
    return max((c for c in comparisons if c.wins), key=lambda c: c.weight_sparsity, default=None)


def mean_metrics(records: Sequence[dict], number: int, arm: str) -> dict[str, float]:
    """Return each metric's mean over the seeds, for one round and arm."""
    metrics = records[0]["metrics"]
    return {name: float(np.mean(_values(records, name, number, arm))) for name in metrics}


def _values(records, metric, number, arm):
    return [
        record["metrics"][metric]
        for record in records
        if record["round"] == number and record["arm"] == arm
    ]


def _welch(winning, random):
    """Return the p-value, or None where there are too few seeds to speak of one."""
    if min(len(winning), len(random)) < 3:
        return None
    if np.ptp(winning) == np.ptp(random) == 0:
        return 1.0 if winning[0] == random[0] else 0.0
    return float(scipy.stats.ttest_ind(winning, random, equal_var=False).pvalue)
