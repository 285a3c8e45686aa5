"""What makes the claim honest: when is a ticket a winning one?"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from tf_tickets.errors import SettingError, check_at_least
from tf_tickets.runs.records import Records
from tf_tickets.search.decision import FIRST_SHARE, MATCH_LEVEL, RANDOM_LEVEL, decide, means_of
from tf_tickets.search.paired_tests import seeds_for, upper_bound
from tf_tickets.search.pairs import Pairs, metric_of, pair_up

WINNING_TICKET, CANDIDATE, NONE = "winning ticket", "candidate", "none"

# The tolerances that are shown side by side; each is a choice of ours, and none is of a paper.
TOLERANCES = (0.05, 0.1, 0.2)


@dataclass(frozen=True)
class Comparison:
    """One arm of a round against the dense network and the random arm, in pairs of a seed.

    `gap`, `advantage` and what follows from them are logarithms of ratios, or differences in units
    of dense if the metric has values of 0 or less; `Verdict.fraction` makes fractions of them.

    Attributes:
        arm: "winning" or "transferred".
        round: the round, from 1.
        weight_sparsity: of the pool, mean over the seeds.
        mean: the metric's mean over the seeds; None if all trainings collapsed.
        random: that of the random arm; None without it.
        gap: by how much the arm is worse than dense, mean over the seeds; None if one is missing.
        gap_bound: the one-sided upper 96 % bound of the gap; None with fewer than two seeds.
        within: whether the gap, the mean alone, lies within the tolerance.
        matches: whether its bound does, and those of all rounds before.
        advantage: by how much the random arm is worse than this one, mean over the seeds; None
            if a seed of either is missing.
        p: one-sided p-value of the advantage; None with fewer than two seeds, or without random.
        level: what p was asked to be at most; None if it was not asked.
        own_gap: by how much a transferred ticket is worse than the model's own; None without.
        own_bound: its upper 96 % bound.
        on_par: whether that bound lies within the tolerance, in all rounds up to this one; None
            if there is nothing to compare with.
    """

    arm: str
    round: int
    weight_sparsity: float
    mean: float | None
    random: float | None
    gap: float | None
    gap_bound: float | None
    within: bool
    matches: bool
    advantage: float | None
    p: float | None
    level: float | None
    own_gap: float | None = None
    own_bound: float | None = None
    on_par: bool | None = None


@dataclass(frozen=True)
class Verdict:
    """What the seeds of a search say of its tickets.

    Attributes:
        kind: "winning ticket"; "candidate" if the means say so and the seeds do not; or "none".
        comparison: of the round that is the winning ticket or the candidate; None if none is.
        comparisons: of all rounds, in the order of sparsity.
        tolerance: how much worse than dense a ticket may be, as a fraction. It is a choice of ours.
        seeds: those that were judged.
        left_out: seeds whose dense training collapsed, so that there is nothing to compare with.
        converged: for each judged seed whether its dense training had settled; None if not known.
        seeds_needed: of a candidate, with how many seeds each test that it needs would succeed
            with a probability of 80 %, if the means and spreads are the true ones. None if there is
            one seed, of which no spread is known, or if a thousand are not enough.
        pairs: what all this is computed from.
    """

    kind: str
    comparison: Comparison | None
    comparisons: tuple[Comparison, ...]
    tolerance: float
    seeds: tuple[int, ...]
    left_out: tuple[int, ...]
    converged: tuple[bool | None, ...]
    seeds_needed: int | None
    pairs: Pairs = field(repr=False, compare=False)

    @property
    def winner(self) -> Comparison | None:
        """The winning ticket; None if there is at most a candidate."""
        return self.comparison if self.kind == WINNING_TICKET else None

    @property
    def candidate(self) -> Comparison | None:
        """The candidate; None if there is a winning ticket, or neither."""
        return self.comparison if self.kind == CANDIDATE else None

    def fraction(self, worse_by: float | None) -> float | None:
        """Return a gap, a bound or an advantage as a fraction: 0.1 if 10 % worse."""
        return None if worse_by is None else float(self.pairs.fraction(worse_by))


def judge(
    records: Sequence[dict],
    metric: str,
    tolerance: float = 0.1,
    higher_is_better: bool = False,
    arm: str = "winning",
    of: str = "metrics",
) -> Verdict:
    """Return the verdict on one arm's tickets: a winning ticket, a candidate, or none.

    All comparisons are made in pairs, since arms of one seed share initial weights, masks and the
    order of the data. `decide` has the procedure. It claims a ticket that does not match dense or
    does not beat random in at most 5 % of searches (benchmarks/verdict.py).

    A ticket or random training that collapsed without metrics counts as the worst value that the
    metric has in any record, and a round with such a ticket cannot match. A seed whose dense
    training did so is left out. A round that lacks a seed is not complete, and is not judged.

    Args:
        records: lines of results.jsonl.
        metric: the name of the metric that decides.
        tolerance: how much worse than dense a ticket may be, as a fraction of dense. The paper
            has none: this one is ours.
        higher_is_better: the metric's direction.
        arm: the arm that is judged: "winning" or "transferred".
        of: the field that holds the metrics. "test_metrics" shows what the test images say, of a
            round that was chosen on "metrics".

    Raises:
        SettingError: if the records do not hold the metric, in which case the message says which
            there are; if none is of the dense arm, or of the arm that is judged where others are;
            or if the tolerance is negative.

    Source: Kalibhat et al., 2021, arXiv:2010.02350 (what a winning ticket is). The tests are added
    here: non-inferiority by a confidence bound, and a fixed sequence of hypotheses (Maurer,
    Hothorn and Lehmacher, 1995).
    """
    records = Records(records)
    check_at_least("tolerance", tolerance, 0)
    _check_arm(records, arm)
    pairs = pair_up(records, metric, higher_is_better, arm, of)
    decision = decide(pairs.gaps, pairs.advantages, pairs.limit(tolerance), pairs.lost)
    comparisons = _comparisons(records, pairs, decision, tolerance, metric, arm, of)
    kind, index = NONE, None
    if decision.winner is not None:
        kind, index = WINNING_TICKET, decision.winner
    elif decision.by_means is not None:
        kind, index = CANDIDATE, decision.by_means
    return Verdict(
        kind=kind,
        comparison=None if index is None else comparisons[index],
        comparisons=comparisons,
        tolerance=tolerance,
        seeds=pairs.seeds,
        left_out=pairs.left_out,
        converged=_converged(records, pairs.seeds, metric),
        seeds_needed=_seeds_needed(pairs, index, tolerance) if kind == CANDIDATE else None,
        pairs=pairs,
    )


def _check_arm(records, arm):
    others = [name for name in records.arms if name != "dense"]
    if others and arm not in others:
        raise SettingError(
            f"There is no record of the arm {arm!r} to judge. Choose one of: {', '.join(others)}."
        )


def _comparisons(records, pairs, decision, tolerance, metric, arm, of):
    gaps, advantages, own = map(means_of, (pairs.gaps, pairs.advantages, pairs.own_gaps))
    own_bounds = upper_bound(pairs.own_gaps, MATCH_LEVEL)
    on_par = np.logical_and.accumulate((own_bounds <= pairs.limit(tolerance)) & ~pairs.lost)

    def mean(name, number):
        group = records.where(arm=name, round=number)
        values = [value for record in group if (value := metric_of(record, metric, of)) is not None]
        return float(np.mean(values)) if values else None

    return tuple(
        Comparison(
            arm=arm,
            round=number,
            weight_sparsity=pairs.sparsities[i],
            mean=mean(arm, number),
            random=mean("random", number),
            gap=_known(gaps[i]),
            gap_bound=_known(decision.bounds[i]),
            within=bool(decision.within[i]),
            matches=bool(decision.matches[i]),
            advantage=_known(advantages[i]),
            p=_known(decision.p[i]),
            level=_known(decision.asked[i]),
            own_gap=_known(own[i]),
            own_bound=_known(own_bounds[i]),
            on_par=None if np.isnan(own_bounds[i]) else bool(on_par[i]),
        )
        for i, number in enumerate(pairs.rounds)
    )


def _known(value):
    return None if np.isnan(value) else float(value)


def _converged(records, seeds, metric):
    """Return for each seed whether dense had settled, by the metric or else by the loss."""
    said = {record["seed"]: record.get("converged") or {} for record in records.dense}
    return tuple(said[seed].get(metric, said[seed].get("loss")) for seed in seeds)


def _seeds_needed(pairs, index, tolerance):
    """Return with how many seeds all rounds up to a candidate would match, and it beat random."""
    if len(pairs.seeds) < 2:
        return None
    room = pairs.limit(tolerance) - pairs.gaps[: index + 1]
    tests = [(values.mean(), values.std(ddof=1), MATCH_LEVEL) for values in room]
    advantage = pairs.advantages[index]
    return seeds_for(
        [*tests, (advantage.mean(), advantage.std(ddof=1), FIRST_SHARE * RANDOM_LEVEL)]
    )


def sparsest(comparisons: Sequence[Comparison]) -> Comparison:
    """Return what is worth keeping without a verdict: the sparsest whose mean is near enough.

    Args:
        comparisons: of all rounds, in the order of sparsity; the first one is returned if the mean
            of none is within the tolerance.
    """
    within = [comparison for comparison in comparisons if comparison.within]
    return within[-1] if within else comparisons[0]


def last_round_to_ask(
    records: Sequence[dict],
    metric: str,
    higher_is_better: bool = False,
    arm: str = "winning",
    tolerance: float = max(TOLERANCES),
    seeds: Sequence[int] | None = None,
) -> int | None:
    """Return the first round beyond which there can be no ticket, so that all chains may end there.

    It is the first complete round whose mean gap lies beyond the tolerance: it neither matches nor
    leads to a candidate, and the asking stops at it or before. A round's answer depends on the
    rounds up to it alone, so records that come later, in whatever order, do not change it.

    Args:
        records: lines of results.jsonl; those of rounds which are not complete do not count.
        metric: the name of the metric that decides.
        higher_is_better: the metric's direction.
        arm: the arm that is judged.
        tolerance: the largest that is shown.
        seeds: those of the search; by default those of the dense records.

    Returns:
        None as long as a later round can be a ticket.

    Raises:
        SettingError: if a training that has not collapsed lacks the metric, or the tolerance is
            negative.
    """
    records = Records(records)
    check_at_least("tolerance", tolerance, 0)
    begun = set(records.where(arm="dense").seeds)
    wanted = begun if seeds is None else set(seeds)
    if not begun or not wanted <= begun:
        return None
    for number in sorted(set(records.where(arm=arm).field("round"))):
        known = [r for r in records if r["round"] <= number and r["seed"] in wanted]
        known = [r for r in known if r["arm"] in ("dense", arm)]
        pairs = pair_up(known, metric, higher_is_better, arm)
        gaps = pairs.gaps[pairs.rounds.index(number)]
        if len(gaps) and gaps.mean() > pairs.limit(tolerance):
            return number
    return None


def mean_metrics(
    records: Sequence[dict], number: int, arm: str, of: str = "metrics"
) -> dict[str, float]:
    """Return each metric's mean over the seeds, for one round and arm.

    Args:
        records: those of all seeds, as `TicketSearch.run` returns them.
        number: the round, 0 for the dense one.
        arm: "dense", "winning", "random", "shuffled" or "transferred".
        of: the field that holds the metrics: "metrics" or "test_metrics".

    Returns:
        Means over the trainings that have the metric: one that collapsed may have none.
    """
    group = Records(records).where(round=number, arm=arm)
    metrics = [record.get(of) or {} for record in group]
    names = dict.fromkeys(name for values in metrics for name in values)
    return {
        name: float(np.mean([values[name] for values in metrics if name in values]))
        for name in names
    }


def follow_curve(
    curve: Sequence[dict], directions: Mapping[str, bool | None] | None = None
) -> dict[str, float]:
    """Return the best value of each metric among one training's evaluations.

    It is chosen by looking, so it flatters; the last value does not.

    Args:
        curve: {"step": optimizer step, "metrics": name -> value} of each evaluation, in order.
            Those on the way may hold fewer metrics than the last one.
        directions: metric -> whether higher is better; None if neither direction is, so that it is
            left out. A metric that is absent is better when lower.

    Raises:
        SettingError: if it is no such list.
    """
    if not isinstance(curve, Sequence) or not all(_is_point(each) for each in curve):
        raise SettingError("`curve` must be a list of dicts, each with a `step` and its `metrics`.")
    directions = directions or {}
    best = {}
    for name in curve[-1]["metrics"] if curve else ():
        higher_is_better = directions.get(name, False)
        if higher_is_better is not None:
            values = [point["metrics"][name] for point in curve if name in point["metrics"]]
            best[name] = max(values) if higher_is_better else min(values)
    return best


def _is_point(value):
    return isinstance(value, Mapping) and isinstance(value.get("metrics"), Mapping)
