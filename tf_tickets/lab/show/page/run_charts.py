"""The charts of a run's page, and the figures that stand for them without scripts."""

from tf_tickets.lab.arms import ARMS
from tf_tickets.lab.show.figures import FIGURES
from tf_tickets.lab.show.page.charts import (
    Curve,
    distance_chart,
    distance_points,
    layer_chart,
    layer_points,
    metric_chart,
    metric_points,
    training_chart,
    training_points,
)
from tf_tickets.lab.show.page.document import Drawing, Fold, Numbers, Picture
from tf_tickets.lab.show.stopping import stops_of, was_watched
from tf_tickets.lab.show.styles import metric_card
from tf_tickets.lab.show.tables import Table
from tf_tickets.runs import paths
from tf_tickets.runs.records import Records, mean

# Figures that a chart, or a table of pictures, shows as well.
_CHARTED = ("{metric}", "early_stopping", "discriminator_loss", "images", "mask_distance")
_STOPPING = "early_stopping_step"


def curves_of(run) -> list[Curve]:
    """Return the arms of a run as curves, dense as a level one.

    Args:
        run: a `Run`.
    """
    slim = any("channel_sparsity" in record for record in run.records)
    return [
        Curve(
            card.name,
            card.label_of(slim),
            card.color,
            card.marker,
            run.records.where(arm=card.name),
        )
        for card in ARMS.values()
        if card.name in run.records.arms
    ]


def metric_drawing(run) -> Drawing:
    """Return the chart of all metrics of a run against sparsity.

    Args:
        run: a `Run`.
    """
    curves, found = curves_of(run), run.verdict.comparison
    marked = found and (run.arm, found.round)
    names = [run.metric, *(name for name in run.records.metrics if name != run.metric)]
    points = metric_points(curves, names, marked=marked)
    points += metric_points(_stopped(run, curves), [_STOPPING], marked=marked)
    if run.tested:
        points += metric_points(curves, names, of="test_metrics", marked=marked)
    title = metric_card(run.metric).title
    shows = (
        f"{title} against the fraction of the weights that is removed, for "
        f"{', '.join(curve.label for curve in curves)}. The table of rounds has the same numbers."
    )
    caption = (
        "Points are means over the seeds, bars and the band of dense one standard deviation to "
        "each side. The axis is the logarithm of what is kept, so rounds lie evenly. "
        "Point at a value to read it; switch curves on and off above."
    )
    spec = metric_chart(curves, points, run.metric, run.verdict.kind, description=shows)
    return Drawing("metric", spec, caption, _figure(run, f"{run.metric}.png"))


def _stopped(run, curves):
    """Return the curves with the steps at which trainings could have stopped, if any."""
    if not was_watched(run.records, run.metric):
        return []
    steps = {}
    for record, step in zip(run.records, stops_of(run.records, run.metric).steps, strict=True):
        steps[_key(record)] = {} if step is None else {_STOPPING: step}
    return [
        Curve(
            **{**vars(curve), "records": [{**r, "metrics": steps[_key(r)]} for r in curve.records]}
        )
        for curve in curves
    ]


def _key(record):
    return record["seed"], record["round"], record["arm"]


def layer_drawing(run) -> list:
    """Return what each layer of the chosen ticket has lost, as chart and table; none without it.

    Args:
        run: a `Run`.

    Raises:
        FileError: if the file of the ticket is damaged.
    """
    from tf_tickets.tickets.ticket import Ticket

    stage = run.ticket_stage
    file = stage and run.path / stage / paths.TICKET
    if not (file and file.exists()):
        return []
    points = layer_points(Ticket.load(file).masks)
    what = "channels" if run.config.method.slims else "weights"
    seed = stage.split("/")[0].removeprefix("seed-")
    which = f"The ticket of round {run.chosen.round}, seed {seed}"
    shows = (
        f"{which}: the fraction of the {what} that each of {len(points)} layers has lost, "
        f"{_extremes(points)}."
    )
    caption = f"{which}. The dashed line: all {what} together."
    drawing = Drawing("layers", layer_chart(points, what, shows), caption)
    return [drawing, Fold("The same as a table", [Numbers(_layer_table(points, what))])]


def _layer_table(points, what):
    rows = [
        (p["layer"], f"{p['total']:,}", f"{p['kept']:,}", f"{100 * p['sparsity']:.2f} %")
        for p in points
    ]
    return Table(f"{what} of each layer", ("", "all", "kept", "removed"), tuple(rows))


def _extremes(points):
    least, most = (pick(points, key=lambda point: point["sparsity"]) for pick in (min, max))
    if least["sparsity"] == most["sparsity"]:
        return f"{100 * most['sparsity']:.1f} % each"
    return (
        f"from {100 * least['sparsity']:.1f} % ({least['layer']}) "
        f"to {100 * most['sparsity']:.1f} % ({most['layer']})"
    )


def training_drawing(run) -> list:
    """Return the chart of how the trainings of a run went; none if they were not watched.

    Args:
        run: a `Run`.
    """
    if not any(len(record.get("curve") or ()) > 1 for record in run.records):
        return []
    curves = curves_of(run)
    points = training_points(curves)
    sparsities = {
        number: mean(records.field("weight_sparsity"))
        for number, records in Records(r for r in run.records if r["round"]).by("round").items()
    }
    watched = list(dict.fromkeys(name for point in points for name in point["values"]))
    first = run.metric if run.metric in watched else watched[0]
    shows = (
        f"{metric_card(first).title} on validation images against optimizer steps, for the "
        "trainings of one round, beside dense."
    )
    caption = (
        "Thin lines are seeds, thick ones their means, on validation images. A ticket begins at "
        "its rewind point. The slider chooses the round."
    )
    spec = training_chart(curves, points, first, sparsities, run.chosen.round, shows)
    return [Drawing("training", spec, caption)]


def distance_drawing(run) -> list:
    """Return the chart of how early-bird masks settled; none for other methods.

    Args:
        run: a `Run`.
    """
    points = distance_points(run.records)
    if not points:
        return []
    shows = "The distance of the newest early-bird masks to the last ones, against optimizer steps."
    caption = "A line for each ticket, up to the step at which it was drawn."
    spec = distance_chart(points, run.config.method.mask_distance, shows)
    return [Drawing("distances", spec, caption, _figure(run, "mask_distance.png"))]


def own_figures(run) -> list[Picture]:
    """Return the figures of a run that no chart shows: those of cards of the user's own.

    Args:
        run: a `Run`.
    """
    return [
        Picture(png, f"The figure {figure.name.replace('_', ' ')} of this run.", figure.name)
        for figure in FIGURES.values()
        if figure.name not in _CHARTED and (png := _figure(run, figure.file_name(run)))
    ]


def _figure(run, name):
    file = run.path / paths.FIGURES / name
    return file.read_bytes() if file.exists() else None
