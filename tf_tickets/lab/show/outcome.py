"""What a run has found, in a few sentences and as JSON."""

import dataclasses

import numpy as np

from tf_tickets.runs import paths
from tf_tickets.search.decision import MATCH_LEVEL
from tf_tickets.search.verdict import CANDIDATE, WINNING_TICKET, Verdict, mean_metrics

# A number of seeds that nobody trains is told as "more than" this one.
_MANY_SEEDS = 50


def sentence(run) -> str:
    """Return what a run has found, in a few sentences.

    Args:
        run: a `Run`, which is a view of a run folder.
    """
    return " ".join(sentences(run))


def sentences(run) -> list[str]:
    """Return what a run has found, a sentence or two for each question.

    Args:
        run: a `Run`, which is a view of a run folder.
    """
    told = [_headline(run)]
    if run.verdict.kind == CANDIDATE:
        told.append("Its means match dense and beat random, but the seeds do not rule out chance.")
    if run.verdict.comparison:
        told += [_values(run), _against_dense(run), _against_random(run)]
    if any(comparison.on_par is not None for comparison in run.verdict.comparisons):
        told.append(_against_own(run.verdict))
    if run.verdict.kind == CANDIDATE:
        told.append(_seeds_to_go(run.verdict))
    if run.chosen.random is not None:
        told.append(_at_tolerances(run))
    if not run.verdict.comparison and run.arm != "transferred":
        told.append(_kept(run))
    return [part for part in told if part]


def one_sentence(run) -> str:
    """Return what a run has found in one sentence, with the interval of the gap to dense.

    Args:
        run: a `Run`, which is a view of a run folder.
    """
    comparison = run.chosen
    if comparison.gap is None:
        return _headline(run)
    level = _percent(1 - 2 * MATCH_LEVEL)
    low, high = _gap_interval(comparison)
    told = f"its {run.metric} is {_change(run.verdict, comparison.gap)} than that of dense"
    if low is not None:
        told += f" ({level} interval: {_change(run.verdict, low)} to {_change(run.verdict, high)})"
    if run.verdict.comparison is None:
        told = f"of the ticket of {_place(comparison)}, {told.replace('its', 'the', 1)}"
    return f"{_headline(run).rstrip('.')}; {told}."


def _gap_interval(comparison):
    """Return the two-sided 92 % interval of a gap, whose upper end is the bound that decides."""
    if comparison.gap_bound is None:
        return None, None
    return 2 * comparison.gap - comparison.gap_bound, comparison.gap_bound


def _headline(run):
    kind = "transferred ticket" if run.arm == "transferred" else "ticket"
    found, seen = run.verdict.comparison, _seen(run.verdict)
    if run.verdict.kind == WINNING_TICKET:
        return f"Winning {kind}: {_place(found)} {seen}."
    if run.verdict.kind == CANDIDATE:
        return f"Candidate, not yet a winning {kind}: {_place(found)} {seen}."
    if run.chosen.random is None:
        return f"Without the random arm no {kind} can be said to win {seen}."
    return (
        f"No winning {kind}: in no round is {run.metric} of the {kind} within the tolerance of "
        f"dense and better than that of the random arm {seen}."
    )


def _place(comparison):
    removed = _percent(comparison.weight_sparsity, 2)
    return f"round {comparison.round}, {removed} of the weights removed"


def _seen(verdict):
    """Return what the verdict rests on: its seeds, and whether dense had settled in each."""
    seeds = "1 seed" if len(verdict.seeds) == 1 else f"{len(verdict.seeds)} seeds"
    if verdict.left_out:
        left = ", ".join(map(str, verdict.left_out))
        seeds += f", without {left}, whose dense training collapsed"
    settled = [said for said in verdict.converged if said is not None]
    if len(settled) < len(verdict.seeds) or not settled:
        return f"({seeds}; it is not known whether dense had converged)"
    if all(settled):
        return f"({seeds}; dense had converged in {'it' if len(settled) == 1 else 'all'})"
    return f"({seeds}; in {settled.count(False)} of {len(settled)} DENSE HAD NOT CONVERGED)"


def _values(run):
    """Return the means of the ticket, dense and random, on validation and on test images."""
    found = run.verdict.comparison
    arms = (
        (run.arm, found.round, "ticket"),
        ("dense", 0, "dense"),
        ("random", found.round, "random"),
    )
    told = []
    for arm, number, word in arms:
        values = [
            mean_metrics(run.records, number, arm, of).get(run.metric)
            for of in ("metrics", "test_metrics")[: 1 + bool(run.tested)]
        ]
        told.append(f"{word} " + " / ".join(map(_value, values)))
    where = " on validation / test images" if run.tested else ""
    return f"{run.metric}{where}: {', '.join(told)}."


def _value(value):
    return "none, as all collapsed" if value is None else f"{value:.4g}"


def _against_dense(run):
    found = run.verdict.comparison
    told = _between(run.verdict, found.gap, found.gap_bound)
    if shown := _tested(run):
        told += f"; on test images {_between(run.tested, shown.gap, shown.gap_bound)}"
    if (floor := _floor(run)) and found.mean is not None:
        dense = mean_metrics(run.records, 0, "dense")[run.metric]
        told += f"; {(found.mean - dense) / floor:+.2g} times the floor, real against real images"
    tolerance = _percent(run.verdict.tolerance)
    return f"Against dense: {told}; the tolerance of {tolerance} is our choice, not the paper's."


def _against_random(run):
    found = run.verdict.comparison
    told = f"{_change(run.verdict, found.advantage)}"
    if found.p is not None:
        told += f", p = {found.p:.2g}"
        told += f", asked to be at most {found.level:.2g}" if found.level else ""
    if shown := _tested(run):
        told += f"; on test images {_change(run.tested, shown.advantage)}"
        told += "" if shown.p is None else f", p = {shown.p:.2g}"
    return f"Random against the ticket: {told}."


def _against_own(verdict):
    """Return up to where transferred tickets are on par with the model's own."""
    on_par = [comparison for comparison in verdict.comparisons if comparison.on_par]
    if not on_par:
        return "In no round is it shown, by the same tolerance, to be on par with own tickets."
    return f"On par with own tickets, by the same tolerance, up to round {on_par[-1].round}."


def _between(verdict, gap, bound):
    """Return a gap and its bound in words."""
    told = _change(verdict, gap)
    if bound is None:
        return told
    limit = "at most" if bound >= 0 else "at least"
    return f"{told}, by the {_percent(1 - MATCH_LEVEL)} bound {limit} {_change(verdict, bound)}"


def _change(verdict, worse_by):
    if worse_by is None:
        return "not known"
    return (
        f"{_percent(abs(verdict.fraction(worse_by)), 1)} {'worse' if worse_by >= 0 else 'better'}"
    )


def _tested(run):
    """Return the Comparison of the same round on test images; None without them."""
    if not run.tested:
        return None
    return next(c for c in run.tested.comparisons if c.round == run.verdict.comparison.round)


def _floor(run):
    """Return the metric of real images against other real ones, mean over the seeds."""
    floors = [record.get("protocol", {}).get("floor", {}) for record in run.records.dense]
    known = [floor[run.metric] for floor in floors if run.metric in floor]
    return float(np.mean(known)) if known else None


def _seeds_to_go(verdict):
    if len(verdict.seeds) < 2:
        return "One seed shows no spread: at least 3 to 5 seeds are needed for a winning ticket."
    needed = verdict.seeds_needed
    if needed is None or needed > _MANY_SEEDS:
        return f"By the spread seen, more than {_MANY_SEEDS} seeds would be needed to decide it."
    return f"By the spread seen, {needed} seeds would decide it with a power of 80 %."


def _at_tolerances(run):
    """Return how the answer moves with the tolerance."""
    told = (
        f"{_percent(tolerance)}: {verdict.kind}"
        + (f" (round {verdict.comparison.round})" if verdict.comparison else "")
        for tolerance, verdict in run.verdicts.items()
    )
    return f"By tolerance: {'; '.join(told)}."


def _kept(run):
    why = "the sparsest whose mean is within the tolerance" if run.chosen.within else "the first"
    return f"Kept the ticket of round {run.chosen.round} to look at, {why}."


def _percent(fraction, digits=0):
    return f"{100 * fraction:.{digits}f} %"


def as_json(run) -> dict:
    """Return what a run has found, as JSON can hold it.

    Args:
        run: a `Run`, which is a view of a run folder.

    Returns:
        `run`, its folder; `dense` and `dense_test`, the dense network's metrics, means over the
        seeds as all of them; `verdict`: its `kind`, `round`, `tolerance`, `seeds`, those
        `left_out`, `seeds_needed`, `converged` for each seed, and `at_tolerances`, kind and round
        at 5, 10 and 20 %; `winning_ticket` and `candidate`, None or the round, sparsity, metrics,
        test metrics, gap and its bound as fractions of dense, and p; `rounds` and `test_rounds`,
        the fields of each round's Comparison on validation and on test images; and, unless the
        tickets are transferred ones, `export`, the SavedModel of the ticket that was kept.
    """
    verdict = run.verdict
    outcome = {
        "run": str(run.path),
        "dense": mean_metrics(run.records, 0, "dense"),
        "dense_test": mean_metrics(run.records, 0, "dense", "test_metrics"),
        "verdict": {
            **_answer(verdict),
            "metric": run.metric,
            "tolerance": verdict.tolerance,
            "seeds": list(verdict.seeds),
            "left_out": list(verdict.left_out),
            "seeds_needed": verdict.seeds_needed,
            "converged": list(verdict.converged),
            "at_tolerances": {f"{at:g}": _answer(said) for at, said in run.verdicts.items()},
        },
        "winning_ticket": _ticket(run, verdict.winner),
        "candidate": _ticket(run, verdict.candidate),
        "rounds": [dataclasses.asdict(comparison) for comparison in verdict.comparisons],
        "test_rounds": run.tested and [dataclasses.asdict(c) for c in run.tested.comparisons],
    }
    if run.arm != "transferred":
        outcome["export"] = str(run.path / paths.EXPORT / paths.SAVED_MODEL)
    return outcome


def _answer(verdict: Verdict) -> dict:
    found = verdict.comparison
    return {"kind": verdict.kind, "round": found and found.round}


def _ticket(run, found):
    if not found:
        return None
    floor = _floor(run)
    dense = mean_metrics(run.records, 0, "dense")[run.metric]
    return {
        "round": found.round,
        "weight_sparsity": found.weight_sparsity,
        "metrics": mean_metrics(run.records, found.round, run.arm),
        "test_metrics": mean_metrics(run.records, found.round, run.arm, "test_metrics"),
        "worse_than_dense": run.verdict.fraction(found.gap),
        "worse_than_dense_at_most": run.verdict.fraction(found.gap_bound),
        "change_in_floors": None if None in (floor, found.mean) else (found.mean - dense) / floor,
        "p": found.p,
    }
