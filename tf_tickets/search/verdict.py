"""What makes the claim honest: when is a ticket a winning one?"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import scipy.stats

from tf_tickets.errors import SettingError


@dataclass(frozen=True)
class Comparison:
    """One arm of a round against the dense network and the random arm, over all seeds.

    Attributes:
        arm: "winning" or "transferred".
        round: the round, from 1.
        weight_sparsity: of the pool.
        mean, random: the metric's mean over the seeds, of this arm and of the random one; `random`
            is None without that arm.
        within_tolerance: whether the arm is as good as dense, up to the tolerance.
        p: two-sided p-value of Welch's t-test of the arm against random; None with fewer than
            three seeds.
        wins: within tolerance, and better than random: with three seeds or more, p < 0.05.
    """

    arm: str
    round: int
    weight_sparsity: float
    mean: float
    random: float | None
    within_tolerance: bool
    p: float | None
    wins: bool


def compare_arms(
    records: Sequence[dict],
    metric: str,
    tolerance: float,
    higher_is_better: bool = False,
    arm: str = "winning",
) -> list[Comparison]:
    """Return one Comparison per round, in the order of rounds.

    Args:
        records: lines of results.jsonl.
        metric: the name of the metric that decides.
        tolerance: how much worse than dense a ticket may be, as a fraction of dense.
        higher_is_better: the metric's direction.
        arm: the arm that is compared with dense and random.

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
    rounds = sorted({record["round"] for record in records if record["arm"] == arm})
    comparisons = []
    for number in rounds:
        values = _values(records, metric, number, arm)
        random = _values(records, metric, number, "random")
        within = bool(sign * (np.mean(values) - dense) <= tolerance * abs(dense))
        better = bool(random) and sign * (np.mean(random) - np.mean(values)) > 0
        p = _welch(values, random)
        comparisons.append(
            Comparison(
                arm=arm,
                round=number,
                weight_sparsity=next(
                    record["weight_sparsity"]
                    for record in records
                    if (record["round"], record["arm"]) == (number, arm)
                ),
                mean=float(np.mean(values)),
                random=float(np.mean(random)) if random else None,
                within_tolerance=within,
                p=p,
                wins=bool(within and better and (p is None or p < 0.05)),
            )
        )
    return comparisons


def choose_winning_ticket(comparisons: Sequence[Comparison]) -> Comparison | None:
    """Return the sparsest round that wins, or None if no round does.

    Args:
        comparisons: of all rounds, as `compare_arms` returns them.
    """
    return max((c for c in comparisons if c.wins), key=lambda c: c.weight_sparsity, default=None)


def mean_metrics(records: Sequence[dict], number: int, arm: str) -> dict[str, float]:
    """Return each metric's mean over the seeds, for one round and arm.

    Args:
        records: those of all seeds, as `TicketSearch.run` returns them.
        number: the round, 0 for the dense one.
        arm: "dense", "winning", "random", "shuffled" or "transferred".
    """
    metrics = records[0]["metrics"]
    return {name: float(np.mean(_values(records, name, number, arm))) for name in metrics}


def follow_curve(
    curve: Sequence[dict], directions: Mapping[str, bool | None] | None = None
) -> dict:
    """Return `best` and `early_stopping_step`, each by metric, of one training's evaluations.

    The early-stopping step is the first evaluation that is within 1 % of the training's best: where
    one could have stopped. It is the same rule for all arms and metrics, as the papers leave it
    open. `best` is chosen by looking, so it flatters; the last value does not.

    Args:
        curve: {"step": optimizer step, "metrics": name -> value} of each evaluation, in order.
        directions: metric -> whether higher is better; None if neither direction is, so that it is
            left out. A metric that is absent is better when lower.
    """
    directions = directions or {}
    best, early = {}, {}
    for name in curve[0]["metrics"]:
        higher_is_better = directions.get(name, False)
        if higher_is_better is None:
            continue
        sign = -1 if higher_is_better else 1
        values = [sign * point["metrics"][name] for point in curve]
        lowest = min(values)
        first = next(i for i, v in enumerate(values) if v <= lowest + 0.01 * abs(lowest))
        best[name], early[name] = sign * lowest, curve[first]["step"]
    return {"best": best, "early_stopping_step": early}


def with_spread(records: Sequence[dict]) -> list[dict]:
    """Return records with `spread`: each metric's standard deviation over the seeds (n - 1).

    It is that of the record's round and arm (K49); records of a single seed stay without.
    """
    spreads = {}
    for record in records:
        spreads.setdefault((record["round"], record["arm"]), []).append(record["metrics"])
    return [
        {
            **record,
            "spread": {
                name: float(np.std([metrics[name] for metrics in group], ddof=1))
                for name in record["metrics"]
            },
        }
        if len(group) > 1
        else record
        for record in records
        for group in [spreads[record["round"], record["arm"]]]
    ]


def _values(records, metric, number, arm):
    return [
        record["metrics"][metric]
        for record in records
        if record["round"] == number and record["arm"] == arm
    ]


def _welch(values, random):
    """Return the p-value, or None where there are too few seeds to speak of one."""
    if min(len(values), len(random)) < 3:
        return None
    if np.ptp(values) == np.ptp(random) == 0:
        return 1.0 if values[0] == random[0] else 0.0
    return float(scipy.stats.ttest_ind(values, random, equal_var=False).pvalue)
