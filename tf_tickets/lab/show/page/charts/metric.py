"""A metric against sparsity, whose values one can point at."""

from collections.abc import Sequence

from tf_tickets.lab.show.page.charts.look import (
    INK,
    LOG_Y,
    PAPER,
    SIZE,
    SIZE_TO_POINT_AT,
    STAR,
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
from tf_tickets.lab.show.styles import metric_card, percent
from tf_tickets.search.verdict import WINNING_TICKET

_MOST_TICKS = 12
_DIRECTIONS = {True: "higher is better", False: "lower is better", None: ""}
_IMAGES = {"metrics": "validation", "test_metrics": "test"}


def metric_chart(
    curves: Sequence[Curve],
    points: Sequence[dict],
    first: str,
    mark: str = WINNING_TICKET,
    x: str = "weights removed",
    description: str = "",
) -> dict:
    """Return a chart of a metric against sparsity: means over the seeds and standard deviations.

    x is the logarithm of what is kept, so that the rounds of an iterative search lie evenly.

    Args:
        curves: what is drawn; each can be switched off.
        points: as `metric_points` returns them; of several metrics, one is chosen from a list.
        first: the metric that is shown at first.
        mark: what the marked ticket is: the star of a candidate is open.
        x: what the sparsity is of.
        description: what a screen reader says of the chart.

    Returns:
        A specification of Vega-Lite.
    """
    import altair as alt

    names = list(dict.fromkeys(point["metric"] for point in points))
    base = new_chart()
    layers = [*_level(base, curves), *_lines(base, curves, points, x)]
    if any(point["marked"] for point in points):
        layers += _star(base, curves, points, mark)
    images = [of for of in _IMAGES if any(point["of"] == of for point in points)]
    parameters = [
        choice("metric", "metric", metric_titles(names), first),
        choice("images", "images", {of: _IMAGES[of] for of in images}, images[0]),
        checkbox(LOG_Y, "logarithmic"),
    ]
    shown = f"datum.metric == metric && datum.of == images && {is_on(curves)}"
    transform = [alt.FilterTransform(filter=shown), *calculated(**_said(curves, x))]
    title = _title(names)
    return finished(
        layers, points, description, parameters, curves, transform=transform, title=title
    )


def _title(names):
    """Return a title of two lines, as a subtitle of Vega-Lite cannot change."""
    import altair as alt

    cards = {name: metric_card(name) for name in names}
    lines = {
        name: [card.title, ", ".join(filter(None, (card.unit, _DIRECTIONS[card.higher_is_better])))]
        for name, card in cards.items()
    }
    return alt.Title(text=alt.ExprRef(looked_up(lines, "metric")))


def _said(curves, x):
    """Return what is computed of a datum: its height, its bar, and what is said of it."""
    low, high = "(datum.mean - datum.spread)", "(datum.mean + datum.spread)"
    mean = scaled("datum.mean")
    seeds = "datum.known == datum.seeds ? datum.seeds : datum.known + ' of ' + datum.seeds"
    spread = "datum.spread == null ? '' : ' ± ' + format(datum.spread, '.2~g')"
    place = f"datum.level ? '' : ', round ' + datum.round + ', ' + datum.gone + ' of {x}'"
    return {
        "label": looked_up({curve.name: curve.label for curve in curves}, "datum.curve"),
        "y": mean,
        # A bar that reaches zero ends a tenth below its point where y is a logarithm.
        "y_low": f"datum.spread ? ({scaled(low, 'log(datum.mean)/LN10 - 0.1')}) : ({mean})",
        "y_high": f"datum.spread ? ({scaled(high)}) : ({mean})",
        "value": f"format(datum.mean, '.4~g') + ({spread})",
        "of_seeds": f"({seeds}) + (datum.seeds == 1 ? ' seed' : ' seeds')",
        "gone": "format(100 * datum.sparsity, '.4~g') + ' %'",
        "said": f"datum.label + ({place}) + ': ' + datum.value + ', ' + datum.of_seeds",
    }


def _level(base, curves):
    """Return a line and a band for each level curve, as wide as the axes."""
    level = base.transform_filter("datum.level").encode(color=color_of(curves))
    band = level.mark_rect(opacity=0.15, aria=False)
    line = level.mark_rule(strokeDash=[6, 4], strokeWidth=2)
    to_point_at = level.mark_rule(strokeWidth=14, opacity=0, aria=False)
    return [
        band.encode(y=y_of("y_low"), y2="y_high:Q"),
        line.encode(y=y_of(), description="said:N"),
        to_point_at.encode(y=y_of(), tooltip=tooltip("label", "value", "of_seeds")),
    ]


def _lines(base, curves, points, x):
    """Return bars, lines and points, and what is written at those of fewer than all seeds."""
    import altair as alt

    drawn = base.transform_filter("!datum.level")
    drawn = drawn.encode(x=_across(points, x), color=color_of(curves))
    scale = alt.Scale(domain=[c.name for c in curves], range=[c.shape for c in curves])
    shape = alt.Shape("curve:N", scale=scale, legend=None)
    few = drawn.transform_filter("datum.known < datum.seeds")
    few = few.transform_calculate(few="datum.known + '/' + datum.seeds")
    text = few.mark_text(align="left", dx=7, dy=-7, fontSize=11, aria=False)
    to_point_at = drawn.mark_point(size=SIZE_TO_POINT_AT, filled=True, opacity=0, aria=False)
    shown = tooltip("label", "round", "gone", "value", "of_seeds")
    layers = [
        drawn.mark_rule(strokeWidth=1.5, aria=False).encode(y=y_of("y_low"), y2="y_high:Q"),
        drawn.mark_line(strokeWidth=2, aria=False).encode(y=y_of()),
        drawn.mark_point(size=SIZE, filled=True, opacity=1).encode(
            y=y_of(), shape=shape, description="said:N"
        ),
        to_point_at.encode(y=y_of(), tooltip=shown),
    ]
    if any(point["known"] < point["seeds"] for point in points):
        layers.append(text.encode(y=y_of(), text="few:N", color=alt.ColorValue(INK)))
    return layers


def _kept(points):
    """Return what is kept in each round, in rising order."""
    kept = sorted({1 - point["sparsity"] for point in points if not point["level"]})
    return [value for value in kept if value > 0] or [1.0]


def _across(points, x):
    import altair as alt

    kept = _kept(points)
    wide = (kept[-1] / kept[0]) ** 0.04 * 1.02 if len(kept) > 1 else 1.2
    ticks = kept[:: -(-len(kept) // _MOST_TICKS)]  # from the sparsest, which is always named
    names = {f"{tick:.9f}": percent(1 - tick) for tick in ticks}
    axis = alt.Axis(
        title=f"{x} (%)",
        values=ticks,
        labelExpr=looked_up(names, "format(datum.value, '.9f')"),
        grid=False,
        labelOverlap=True,
    )
    domain = [kept[0] / wide, kept[-1] * wide]
    return alt.X(
        "kept:Q", scale=alt.Scale(type="log", domain=domain, nice=False, reverse=True), axis=axis
    )


def _star(base, curves, points, mark):
    """Return a star on the marked ticket, open if it is a candidate, and what it is above."""
    import altair as alt

    marked = base.transform_filter("datum.marked").encode(x="kept:Q")
    sparsity = next(point["sparsity"] for point in points if point["marked"])
    is_won = mark == WINNING_TICKET
    star = marked.mark_point(
        shape=STAR, size=300, strokeWidth=1.5, filled=is_won, opacity=1, aria=False
    )
    text = marked.mark_text(align=_align(points, sparsity), dy=-8, aria=False).encode(
        y=alt.value(0),
        text=alt.value(f"{mark}: {percent(sparsity)} %"),
        color=alt.ColorValue(INK),
    )
    color = color_of(curves)
    inside = {} if is_won else {"fill": alt.FillValue(PAPER)}
    shown = tooltip("label", "round", "gone", "value", "of_seeds")
    return [
        marked.mark_rule(strokeDash=[2, 3], aria=False).encode(color=color),
        star.encode(y=y_of(), color=color, tooltip=shown, **inside),
        text,
    ]


def _align(points, sparsity):
    """Return where a text is, which would leave the chart if it were centred near its side."""
    kept = _kept(points)
    if 1 - sparsity > 0.7 * kept[-1]:
        return "left"
    return "right" if 1 - sparsity < 1.5 * kept[0] else "center"
