"""How much of each layer a ticket has lost."""

from collections.abc import Sequence

from tf_tickets.lab.show.page.charts.look import INK, finished, ink, new_chart

_COLOR = "#0072B2"
_ROW = 22


def layer_chart(points: Sequence[dict], what: str = "weights", description: str = "") -> dict:
    """Return a chart with a bar for each layer: the fraction that is removed.

    Args:
        points: as `layer_points` returns them.
        what: is removed.
        description: what a screen reader says of the chart.

    Returns:
        A specification of Vega-Lite.
    """
    import altair as alt

    total, kept = (sum(point[name] for point in points) for name in ("total", "kept"))
    base = new_chart().transform_calculate(
        removed="format(100 * datum.sparsity, '.4~g') + ' %'",
        left="format(datum.kept, ',') + ' of ' + format(datum.total, ',')",
        said=f"datum.layer + ': ' + format(100 * datum.sparsity, '.4~g') + ' % of the {what} "
        "removed, ' + format(datum.kept, ',') + ' of ' + format(datum.total, ',') + ' kept'",
    )
    axis = alt.Axis(title=None, labelLimit=190, domain=False, ticks=False)
    bars = base.mark_bar(height={"band": 0.7}, color=ink(_COLOR)).encode(
        x=alt.X(
            "sparsity:Q",
            scale=alt.Scale(domain=[0, 1]),
            axis=alt.Axis(title=f"{what} removed (%)", labelExpr="100 * datum.value", tickCount=5),
        ),
        y=alt.Y("layer:N", sort=None, axis=axis),
        tooltip=[alt.Tooltip(f"{name}:N") for name in ("layer", "removed")]
        + [alt.Tooltip("left:N", title="kept")],
        description="said:N",
    )
    whole = alt.Chart(alt.Data(values=[{}])).mark_rule(strokeDash=[4, 3], color=INK, aria=False)
    mean = whole.encode(x=alt.XDatum(1 - kept / total))
    height = max(60, _ROW * len(points))
    return finished([bars, mean], points, description, height=height)
