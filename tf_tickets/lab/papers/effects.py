"""Effects: one number for each seed, by which a claim of a paper is tested."""

import itertools
import math
from collections.abc import Mapping, Sequence

import numpy as np

from tf_tickets.lab.papers.exhibits import measured
from tf_tickets.lab.show.stopping import stop_records
from tf_tickets.lab.show.styles import EARLY_STOPPING, metric_card
from tf_tickets.runs.records import Records
from tf_tickets.search.pairs import metric_of

# (run, arm): one curve of a run.
Side = tuple


def worse_by(side: Side, than: Side, quantity: str, between: Sequence[float]) -> dict[int, float]:
    """Return by how much one arm is worse than another, of each seed, mean over some rounds.

    Where the rounds of the two have other network sparsities, as when one of them prunes a single
    component, the second curve is read between its rounds. A training that collapsed counts as
    twice as bad as the worst value of both arms; where values may be 0 or less, as one that lies as
    far beyond the worst as the best is from it.

    Args:
        side: (run, arm) that should be worse; a run is a `Run`.
        than: (run, arm) that should be better; "dense" is the same at every sparsity.
        quantity: the paper's metric, or "early_stopping_step", of which more steps are worse.
        between: lowest and highest network sparsity of the rounds that count.

    Returns:
        Seed -> mean logarithm of the ratio, positive if `side` is worse; or the mean difference,
        in units of the mean of `than`, if the metric has values of 0 or less. Seeds that only one
        of the two has are left out.
    """
    curves = [_curves(run, arm, quantity) for run, arm in (side, than)]
    known = [value for curve in curves for value in curve.values() if value is not None]
    if not known:  # whatever was trained of either arm has collapsed
        return {}
    sign = -1 if metric_card(measured(quantity, side[0].records)).higher_is_better else 1
    worst = _beyond(known, sign)
    first, second = ({at: worst if v is None else v for at, v in c.items()} for c in curves)
    change = _change_by(known, list(second.values()))
    effects = {}
    for seed in sorted({seed for seed, _ in first} & {seed for seed, _ in second}):
        x, y = _of_seed(first, seed)
        there = (x >= between[0]) & (x <= between[1])
        if there.any():
            other = np.interp(x[there], *_of_seed(second, seed))
            effects[seed] = float(np.mean(sign * change(y[there], other)))
    return effects


def _curves(run, arm, quantity) -> dict[tuple[int, float], float | None]:
    """Return (seed, network sparsity) -> value, None of a training that collapsed."""
    records = run.records
    if quantity == EARLY_STOPPING:
        # One that never came near dense would have needed longer than it was trained.
        ends = [record["curve"][-1]["step"] if record["curve"] else None for record in records]
        records = Records(
            {**stop, "metrics": stop["metrics"] or {EARLY_STOPPING: end}}
            for stop, end in zip(stop_records(records, run.metric), ends, strict=True)
        )
    name = measured(quantity, records)
    return {
        (record["seed"], record["network_sparsity"]): metric_of(record, name)
        for record in records.where(arm=arm)
    }


def _of_seed(curve, seed):
    points = sorted((x, y) for (of, x), y in curve.items() if of == seed)
    return np.array(points, float).T


def _beyond(known, sign):
    """Return what a training that collapsed counts as; `sign` is 1 if higher is worse, or -1."""
    best, worst = (min(known), max(known))[::sign]
    if min(known) > 0:
        return worst * 2.0**sign
    return worst + (worst - best)


def _change_by(known, reference):
    """Return how two values are compared: by the logarithm of their ratio, or by difference."""
    if min(known) > 0:
        return lambda value, other: np.log(value) - np.log(other)
    unit = abs(float(np.mean(reference))) or 1.0
    return lambda value, other: (value - other) / unit


def steadier_by(side: Side, than: Side, quantity: str, between: Sequence[float]) -> dict:
    """Return by how much less one arm spreads over the seeds than another.

    Each value is taken by its distance from the median of its round and arm, as in the test of
    Brown and Forsythe (1974); a seed's effect is the mean over the rounds of the difference of the
    two distances, in logarithms.

    Args:
        side: (run, arm) that should spread less.
        than: (run, arm) that should spread more.
        quantity, between: as `worse_by` takes them.

    Returns:
        Seed -> effect, positive if `side` spreads less.
    """
    own, other = (_distances(run, arm, quantity, between) for run, arm in (side, than))
    rounds = own.keys() & other.keys()
    seeds = set.intersection(*(set(d[n]) for d in (own, other) for n in rounds)) if rounds else ()
    return {
        seed: float(np.mean([other[n][seed] - own[n][seed] for n in rounds]))
        for seed in sorted(seeds)
    }


def _distances(run, arm, quantity, between):
    """Return round -> seed -> distance of the logarithm from the median of the round."""
    name, found = measured(quantity, run.records), {}
    for number, group in run.records.where(arm=arm).by("round").items():
        values = {r["seed"]: metric_of(r, name) for r in group}
        if between[0] <= group[0]["network_sparsity"] <= between[1] and all(values.values()):
            logs = {seed: math.log(value) for seed, value in values.items()}
            middle = np.median(list(logs.values()))
            found[number] = {seed: abs(value - middle) for seed, value in logs.items()}
    return found


def at_most_worse_by(tolerance: float, worse: Mapping[int, float]) -> dict[int, float]:
    """Return how far effects stay below a tolerance.

    Args:
        tolerance: as a fraction, such as 0.1.
        worse: seed -> by how much something is worse, as `worse_by` returns it.
    """
    return {seed: math.log1p(tolerance) - value for seed, value in worse.items()}


def least(*effects: Mapping[int, float]) -> dict[int, float]:
    """Return the smallest of several effects of each seed: all of them are claimed.

    Args:
        *effects: seed -> effect.
    """
    seeds = set.intersection(*map(set, effects))
    return {seed: min(each[seed] for each in effects) for seed in sorted(seeds)}


# --- of the rows of a table of costs


def _rows_of(rows, method) -> list[dict]:
    """Return the rows of a way's tickets, by rising sparsity."""
    found = [row for row in rows if row["method"] == method and row["arm"] != "random"]
    return sorted(found, key=lambda row: row["asked_sparsity"])


def _by_seed(row, field) -> dict[int, float]:
    return {int(seed): value for seed, value in row[field].items()}


def saved(rows: Sequence[dict], method: str, field: str) -> dict[int, float]:
    """Return which fraction of a cost the sparsest tickets of a way save, of each seed.

    Args:
        rows: as `comparison.Row.as_dict` returns them.
        method: the way.
        field: "flops" or "step_seconds", each by seed.
    """
    ticket, whole = _rows_of(rows, method)[-1], _rows_of(rows, "unpruned")[0]
    unpruned = _by_seed(whole, field)
    return {s: 1 - value / unpruned[s] for s, value in _by_seed(ticket, field).items()}


def falling(rows: Sequence[dict], method: str, field: str) -> dict[int, float]:
    """Return the smallest fall of a cost from one sparsity to the next, of each seed.

    Args:
        rows, method, field: as `saved` takes them.

    Returns:
        Seed -> logarithm of the ratio.
    """
    costs = [_by_seed(row, field) for row in _rows_of(rows, method)]
    pairs = list(itertools.pairwise(costs))
    seeds = set.intersection(*map(set, costs)) if pairs else set()
    return {s: min(math.log(a[s] / b[s]) for a, b in pairs) for s in sorted(seeds)}


def worse_way(rows: Sequence[dict], method: str, than: str) -> dict[int, float]:
    """Return by how much the sparsest tickets of one way are worse than those of another.

    Args:
        rows: as `comparison.Row.as_dict` returns them; a lower metric is better.
        method: that should be worse.
        than: that should be better, or "unpruned".

    Returns:
        Seed -> logarithm of the ratio of the metric.
    """
    own, other = (_by_seed(_rows_of(rows, name)[-1], "values") for name in (method, than))
    return {s: math.log(own[s] / other[s]) for s in sorted(own.keys() & other.keys())}
