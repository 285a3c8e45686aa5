"""What makes the claim honest: when is a ticket a winning one?"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import scipy.stats

from tf_tickets.runs.records import Records


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
        SettingError: if the records do not hold the metric, in which case the message says which
            there are, or if none is of the dense arm.

    Source: Kalibhat et al., 2021, arXiv:2010.02350 (what a winning ticket is); Welch's test is
    added here.
    """
    records = Records(records)
    dense = records.dense.mean(metric)
    sign = -1 if higher_is_better else 1
    comparisons = []
    for number, group in records.where(arm=arm).by("round").items():
        random = records.where(arm="random", round=number)
        mean = group.mean(metric)
        random_mean = random.mean(metric) if random else None
        within = sign * (mean - dense) <= tolerance * abs(dense)
        better = random_mean is not None and sign * (random_mean - mean) > 0
        p = _welch(group.values(metric), random.values(metric))
        comparisons.append(
            Comparison(
                arm=arm,
                round=number,
                weight_sparsity=group[0]["weight_sparsity"],
                mean=mean,
                random=random_mean,
                within_tolerance=within,
                p=p,
                wins=within and better and (p is None or p < 0.05),
            )
        )
    return comparisons


def choose_winning_ticket(comparisons: Sequence[Comparison]) -> Comparison | None:
    """Return the sparsest round that wins, or None if no round does.

    Args:
        comparisons: of all rounds, as `compare_arms` returns them.
    """
    return max((c for c in comparisons if c.wins), key=lambda c: c.weight_sparsity, default=None)


def sparsest(comparisons: Sequence[Comparison]) -> Comparison:
    """Return what is worth keeping if no round wins: the sparsest that matches dense, or of all.

    Args:
        comparisons: of all rounds, as `compare_arms` returns them.
    """
    matching = [comparison for comparison in comparisons if comparison.within_tolerance]
    return max(matching or comparisons, key=lambda comparison: comparison.weight_sparsity)


def mean_metrics(records: Sequence[dict], number: int, arm: str) -> dict[str, float]:
    """Return each metric's mean over the seeds, for one round and arm.

    Args:
        records: those of all seeds, as `TicketSearch.run` returns them.
        number: the round, 0 for the dense one.
        arm: "dense", "winning", "random", "shuffled" or "transferred".
    """
    group = Records(records).where(round=number, arm=arm)
    return {name: group.mean(name) for name in group.metrics}


def follow_curve(
    curve: Sequence[dict], directions: Mapping[str, bool | None] | None = None
) -> dict:
    """Return `best` and `early_stopping_step`, each by metric, of one training's evaluations.

    The early-stopping step is the first evaluation that is within 1 % of the training's best: where
    one could have stopped. The rule is the same for all arms and metrics; Kalibhat et al. and Chen
    et al. do not give theirs. `best` is chosen by looking, so it flatters; the last value does not.

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


def _welch(values, random):
    """Return the p-value, or None where there are too few seeds to speak of one."""
    if min(len(values), len(random)) < 3:
        return None
    if np.ptp(values) == np.ptp(random) == 0:
        return 1.0 if values[0] == random[0] else 0.0
    return float(scipy.stats.ttest_ind(values, random, equal_var=False).pvalue)
