"""Tickets beside dense and random, seed by seed: the numbers that a verdict rests on."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tf_tickets.errors import SettingError
from tf_tickets.runs.records import Records


@dataclass(frozen=True)
class Pairs:
    """How much worse one arm is than another, of the same seed, in each round.

    "Worse by" is a logarithm of a ratio, ln(ticket / dense), or of the inverse if higher values of
    the metric are better. If the metric has a value of 0 or less, it is a difference, in units of
    the mean of dense.

    Attributes:
        rounds: in the order of sparsity.
        sparsities: the mean `weight_sparsity` of each round.
        seeds: those that are judged.
        left_out: those whose dense training collapsed and has no metric.
        gaps: (rounds, seeds), by how much the ticket is worse than dense. The row of a round in
            which a seed is missing is NaN.
        advantages: (rounds, seeds), by how much the random ticket is worse than the ticket; NaN
            where a seed of either is missing.
        own_gaps: (rounds, seeds), by how much a transferred ticket is worse than the model's own;
            NaN where there is none.
        lost: (rounds,), whether a training of the ticket collapsed and has no metric. It counts as
            the worst value that the metric has in any of the records.
        ratios: whether these are logarithms of ratios, not differences.
        higher_is_better: the metric's direction.
    """

    rounds: tuple[int, ...]
    sparsities: tuple[float, ...]
    seeds: tuple[int, ...]
    left_out: tuple[int, ...]
    gaps: np.ndarray
    advantages: np.ndarray
    own_gaps: np.ndarray
    lost: np.ndarray
    ratios: bool
    higher_is_better: bool

    def limit(self, tolerance: float) -> float:
        """Return the largest gap that a tolerance allows."""
        return largest_gap(tolerance, self.higher_is_better, self.ratios)

    def fraction(self, worse_by: float) -> float:
        """Return by what fraction something is worse: the inverse of `limit`."""
        if not self.ratios:
            return worse_by
        return -np.expm1(-worse_by) if self.higher_is_better else np.expm1(worse_by)


def largest_gap(tolerance: float, higher_is_better: bool = False, ratios: bool = True) -> float:
    """Return the largest gap that a tolerance allows.

    Args:
        tolerance: how much worse than dense a ticket may be, as a fraction of dense.
        higher_is_better: the metric's direction.
        ratios: whether gaps are logarithms of ratios.
    """
    if not ratios:
        return tolerance
    if higher_is_better:
        return -np.log(1 - tolerance) if tolerance < 1 else np.inf
    return np.log1p(tolerance)


def worse_by(
    values: np.ndarray,
    others: np.ndarray,
    higher_is_better: bool = False,
    unit: float | None = None,
) -> np.ndarray:
    """Return by how much values are worse than others.

    Args:
        values, others: of the same shape, or of shapes that NumPy makes one.
        higher_is_better: the metric's direction.
        unit: of differences; None for logarithms of ratios.
    """
    sign = -1 if higher_is_better else 1
    return sign * (np.log(values / others) if unit is None else (values - others) / unit)


def pair_up(
    records: Sequence[dict],
    metric: str,
    higher_is_better: bool = False,
    arm: str = "winning",
    of: str = "metrics",
) -> Pairs:
    """Return the pairs of one arm with dense and with random.

    Args:
        records: lines of results.jsonl.
        metric: a name in their `metrics`.
        higher_is_better: the metric's direction.
        arm: the arm that is judged.
        of: the field that holds the metrics: "metrics" or "test_metrics".

    Raises:
        SettingError: if there is no dense record, or one that has not collapsed lacks the metric;
            the message says which metrics there are.
    """
    records = Records(records)
    dense_seeds = records.dense.seeds
    arms = {"dense", arm, "random"} | ({"winning"} if arm == "transferred" else set())
    compared = [record for record in records if record["arm"] in arms]
    values = {
        (record["arm"], record["round"], record["seed"]): metric_of(record, metric, of)
        for record in compared
    }
    of_dense = {seed: value for (name, _, seed), value in values.items() if name == "dense"}
    seeds = tuple(seed for seed in sorted(dense_seeds) if of_dense[seed] is not None)
    known = [value for value in values.values() if value is not None]
    worse = _Worse(known, [of_dense[seed] for seed in seeds], higher_is_better)
    groups = Records(compared).where(arm=arm).by("round")
    sparsities = {number: _mean_sparsity(group) for number, group in groups.items()}
    rounds = tuple(sorted(groups, key=lambda number: (sparsities[number], number)))

    def row(name, number):
        return [values.get((name, number, seed), np.nan) for seed in seeds]

    ticket = [row(arm, number) for number in rounds]
    return Pairs(
        rounds=rounds,
        sparsities=tuple(sparsities[number] for number in rounds),
        seeds=seeds,
        left_out=tuple(seed for seed in sorted(dense_seeds) if seed not in seeds),
        gaps=worse.than(ticket, [[of_dense[seed] for seed in seeds]] * len(rounds)),
        advantages=worse.than([row("random", number) for number in rounds], ticket),
        own_gaps=worse.than(
            ticket, [row("winning" if arm == "transferred" else None, n) for n in rounds]
        ),
        lost=np.array([None in values for values in ticket], bool),
        ratios=worse.ratios,
        higher_is_better=higher_is_better,
    )


class _Worse:
    """By how much values are worse than others; None, a collapse, is the worst of all values."""

    def __init__(self, known, dense, higher_is_better):
        self.ratios = min(known, default=1) > 0
        self._higher_is_better = higher_is_better
        self._worst = (min if higher_is_better else max)(known, default=np.nan)
        # A dense mean of exactly 0 is no unit; then differences are taken as they are.
        self._unit = None if self.ratios else abs(np.mean(dense)) if any(dense) else 1.0

    def than(self, rows, others):
        """Return (rounds, seeds): rows of which a value is missing are NaN throughout."""
        worse = worse_by(self._array(rows), self._array(others), self._higher_is_better, self._unit)
        worse[np.isnan(worse).any(-1)] = np.nan
        return worse

    def _array(self, rows):
        filled = [[self._worst if value is None else value for value in row] for row in rows]
        return np.array(filled, float).reshape(len(rows), -1)


def metric_of(record: dict, metric: str, of: str = "metrics") -> float | None:
    """Return a metric of a record, None if the training collapsed and has no such number.

    Args:
        record: a line of results.jsonl.
        metric: its name.
        of: the field that holds the metrics.

    Raises:
        SettingError: if a record that has not collapsed lacks it; the message says what there is.
    """
    numbers = record.get(of) or {}
    if metric in numbers:
        return numbers[metric] if np.isfinite(numbers[metric]) else None
    if record.get("collapsed"):
        return None
    raise SettingError(f"There is no metric {metric!r}. Choose one of: {', '.join(numbers)}.")


def _mean_sparsity(group):
    """Return the mean of seeds, to the bit that of one where all are alike."""
    sparsities = group.field("weight_sparsity")
    return sparsities[0] if len(set(sparsities)) == 1 else float(np.mean(sparsities))
