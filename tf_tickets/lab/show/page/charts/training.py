"""How trainings went: a metric against steps, for one round at a time."""

import json
from collections.abc import Mapping, Sequence

from tf_tickets.lab.show.page.charts.look import (
    LOG_Y,
    SIZE_TO_POINT_AT,
    Curve,
    calculated,
    checkbox,
    choice,
    color_of,
    finished,
    is_on,
    looked_up,
    metric_titles,
    new_chart,
    scaled,
    tooltip,
    y_of,
)
from tf_tickets.lab.show.styles import percent


def training_chart(
    curves: Sequence[Curve],
    points: Sequence[dict],
    first: str,
    sparsities: Mapping[int, float],
    chosen: int,
    description: str = "",
) -> dict:
    """Return a chart of how trainings went: a metric against steps, for one round at a time.

    Level curves, such as dense, are drawn in every round. Each seed is a thin line, and the mean a
    thick one.

    Args:
        curves: what is drawn; each can be switched off.
        points: as `training_points` returns them.
        first: the metric that is shown at first.
        sparsities: round -> sparsity, of the rounds that a slider chooses from.
        chosen: the round that is shown at first.
        description: what a screen reader says of the chart.

    Returns:
        A specification of Vega-Lite.
    """
    import altair as alt

    names = list(dict.fromkeys(name for point in points for name in point["values"]))
    level = [curve.name for curve in curves if curve.is_level]
    across = alt.X("step:Q", axis=alt.Axis(title="optimizer steps", grid=False, tickCount=6))
    base = new_chart().encode(x=across, color=color_of(curves))
    layers = _means(base, curves)
    if len({point["seed"] for point in points}) > 1:
        thin = base.mark_line(strokeWidth=1, opacity=0.35, aria=False)
        layers.insert(0, thin.encode(y=y_of(), detail="seed:N"))
    in_all = f"indexof({json.dumps(level)}, datum.curve) >= 0"
    shown = f"({in_all} || datum.round == round) && {is_on(curves)}"
    parameters = [
        choice("metric", "metric", metric_titles(names), first),
        _round(sorted(sparsities), chosen),
        checkbox(LOG_Y, "logarithmic"),
    ]
    transform = [
        alt.FilterTransform(filter=f"{shown} && isNumber(datum.values[metric])"),
        *calculated(
            label=looked_up({curve.name: curve.label for curve in curves}, "datum.curve"),
            y=scaled("datum.values[metric]"),
        ),
    ]
    title = _title(names, sparsities)
    return finished(
        layers, points, description, parameters, curves, transform=transform, title=title
    )


def _means(base, curves):
    import altair as alt

    of_all = base.transform_aggregate(
        y="mean(y)", seeds="count()", groupby=["curve", "label", "step"]
    ).transform_calculate(
        value=f"format({LOG_Y} ? pow(10, datum.y) : datum.y, '.4~g')",
        of_seeds="datum.seeds + (datum.seeds == 1 ? ' seed' : ' seeds')",
    )
    of_all = of_all.transform_calculate(
        said="datum.label + ', step ' + datum.step + ': ' + datum.value + ', ' + datum.of_seeds"
    )
    names, dashes = [c.name for c in curves], [[6, 4] if c.is_level else [1, 0] for c in curves]
    dash = alt.StrokeDash("curve:N", scale=alt.Scale(domain=names, range=dashes), legend=None)
    to_point_at = of_all.mark_point(size=SIZE_TO_POINT_AT, filled=True, opacity=0, aria=False)
    return [
        of_all.mark_line(strokeWidth=2.5, aria=False).encode(y=y_of(), strokeDash=dash),
        of_all.mark_point(size=30, filled=True, opacity=1).encode(y=y_of(), description="said:N"),
        to_point_at.encode(y=y_of(), tooltip=tooltip("label", "step", "value", "of_seeds")),
    ]


def _title(names, sparsities):
    import altair as alt

    rounds = {
        str(number): f"Round {number}: {percent(sparsity)} % of the weights removed"
        for number, sparsity in sparsities.items()
    }
    title, metrics = looked_up(rounds, "round"), looked_up(metric_titles(names), "metric")
    # A title of two lines, as a subtitle of Vega-Lite cannot change.
    return alt.Title(text=alt.ExprRef(f"[{title}, {metrics}]"))


def _round(rounds, chosen):
    import altair as alt

    if len(rounds) == 1:
        return alt.param(name="round", value=rounds[0])
    bind = alt.binding_range(min=rounds[0], max=rounds[-1], step=1, name="round")
    return alt.param(name="round", value=chosen, bind=bind)
