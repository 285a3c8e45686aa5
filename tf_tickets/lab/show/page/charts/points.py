"""What charts draw: means over the seeds by sparsity, trainings on their way, masks by layer."""

from collections.abc import Mapping, Sequence

import numpy as np

from tf_tickets.lab.show.page.charts.look import Curve
from tf_tickets.pruning.masks import Masks
from tf_tickets.runs.records import Records, deviation, mean

# The distance between the points of a round, as a fraction of the whole width.
_STEP_ASIDE = 0.006
# Of the evaluations of a training, so that a page stays small.
_MOST_EVALUATIONS = 40


def metric_points(
    curves: Sequence[Curve],
    metrics: Sequence[str],
    of: str = "metrics",
    sparsity: str = "weight_sparsity",
    marked: tuple[str, int] | None = None,
) -> list[dict]:
    """Return a point for each curve, round and metric: the mean over the seeds, and its spread.

    Args:
        curves: of a chart. Of a level one all records are of one point.
        metrics: names in the records' `metrics`; where no seed has a number, there is no point.
        of: a field that holds the metrics, "metrics" or "test_metrics".
        sparsity: the field by which the points lie: "weight_sparsity" or "network_sparsity".
        marked: the name of a curve and the round whose ticket is marked.

    Returns:
        Dicts of `curve`, `metric`, `of`, `round`, `sparsity`, `kept` (where it lies: aside those of
        other curves, so that bars do not hide each other), `mean`, `spread` (one standard
        deviation; None of one seed), `known` and `seeds`, of how many it is and could be, `marked`.
    """
    rounds = [
        (number, curve, records)
        for number, curve in enumerate(curve for curve in curves if not curve.is_level)
        for records in Records(curve.records).by("round").values()
    ]
    sparsest = max((mean(records.field(sparsity)) for _, _, records in rounds), default=0.0)
    aside = (1 - min(sparsest, 0.999)) ** _STEP_ASIDE
    points = [
        _point(curve, Records(curve.records), metric, of, 0.0, 1.0, None)
        for curve in curves
        if curve.is_level and curve.records
        for metric in metrics
    ]
    for number, curve, records in rounds:
        gone = mean(records.field(sparsity))
        kept = (1 - gone) * aside**number
        points += [_point(curve, records, metric, of, gone, kept, marked) for metric in metrics]
    return [point for point in points if point["known"]]


def _point(curve, records, metric, of, gone, kept, marked):
    values = [(record.get(of) or {}).get(metric) for record in records]
    known = [value for value in values if value is not None and np.isfinite(value)]
    number = 0 if curve.is_level else records[0]["round"]
    return {
        "curve": curve.name,
        "level": curve.is_level,
        "metric": metric,
        "of": of,
        "round": number,
        "sparsity": short(gone),
        "kept": short(kept),
        "mean": short(mean(known)) if known else None,
        "spread": short(deviation(known)),
        "known": len(known),
        "seeds": len(values),
        "marked": (curve.name, number) == marked,
    }


def training_points(curves: Sequence[Curve], most: int = _MOST_EVALUATIONS) -> list[dict]:
    """Return a point for each evaluation on the way of each training.

    Args:
        curves: of a chart.
        most: evaluations of a training that are drawn, the last one among them.

    Returns:
        Dicts of `curve`, `round`, `seed`, `step` and `values`, metric -> number.
    """
    points = []
    for curve in curves:
        for record in curve.records:
            evaluations = record.get("curve") or ()
            for evaluation in _some(evaluations, most):
                values = {k: short(v) for k, v in evaluation["metrics"].items() if np.isfinite(v)}
                where = {name: record[name] for name in ("round", "seed")}
                step = evaluation["step"]
                points.append({"curve": curve.name, **where, "step": step, "values": values})
    return points


def _some(evaluations, most):
    if len(evaluations) <= most:
        return evaluations
    chosen = np.unique(np.linspace(0, len(evaluations) - 1, most).round().astype(int))
    return [evaluations[index] for index in chosen]


def layer_points(masks: Masks | Mapping[str, np.ndarray]) -> list[dict]:
    """Return how much of each variable is kept, in the order of the model.

    Args:
        masks: variable name -> bool array, True where kept.

    Returns:
        Dicts of `layer`, `kept`, `total` and `sparsity`.
    """
    # The last word, such as "kernel", tells nothing if it is always the same.
    ends = {name.rpartition("/")[2] for name in masks}
    return [
        {
            "layer": name.rpartition("/")[0] if len(ends) == 1 and "/" in name else name,
            "kept": int(np.count_nonzero(mask)),
            "total": int(mask.size),
            "sparsity": short(1 - float(np.mean(mask))),
        }
        for name, mask in masks.items()
    ]


def distance_points(records: Sequence[dict]) -> list[dict]:
    """Return how far the newest early-bird masks were from those before, for each drawing.

    Args:
        records: lines of results.jsonl, of which those with `distances` count.

    Returns:
        Dicts of `seed`, `channel_sparsity`, `step`, `distance` and `drawn`: whether the ticket was
        drawn then.
    """
    points = []
    for record in records:
        known = [each for each in record.get("distances") or () if each["distances"]]
        for each in known:
            points.append(
                {
                    "seed": record["seed"],
                    "channel_sparsity": record["channel_sparsity"],
                    "step": each["step"],
                    "distance": short(max(each["distances"])),
                    "drawn": bool(record.get("settled")) and each is known[-1],
                }
            )
    return points


def short(value: float | None) -> float | None:
    """Return a number with six digits that count: more would only make a page larger."""
    return None if value is None else float(f"{value:.6g}")
