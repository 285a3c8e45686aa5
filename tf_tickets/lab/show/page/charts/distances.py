"""How far early-bird masks still moved as training went on."""

from collections.abc import Sequence

from tf_tickets.lab.show.page.charts.look import INK, SIZE_TO_POINT_AT, finished, ink, new_chart

# Of Okabe and Ito, in an order that tells neighbours apart.
_COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00")


def distance_chart(points: Sequence[dict], mask_distance: float, description: str = "") -> dict:
    """Return a chart of the largest distance of the newest masks to those before.

    Args:
        points: as `distance_points` returns them.
        mask_distance: what the distance had to stay below.
        description: what a screen reader says of the chart.

    Returns:
        A specification of Vega-Lite.
    """
    import altair as alt

    base = new_chart().transform_calculate(
        ticket="format(100 * datum.channel_sparsity, '.4~g') + ' % of channels'",
        said="datum.ticket + ', seed ' + datum.seed + ', step ' + datum.step + ': ' + "
        "format(datum.distance, '.3~g')",
    )
    colors = [ink(color) for color in _COLORS]
    titles = {"ticket": "removed", "step": "step", "distance": "distance", "seed": "seed"}
    legend = alt.Legend(orient="top", title=None, labelColor=INK, labelFontSize=12)
    line = base.encode(
        x=alt.X("step:Q", axis=alt.Axis(title="optimizer steps", grid=False, tickCount=6)),
        y=alt.Y("distance:Q", axis=alt.Axis(title=None, domain=False, ticks=False, tickCount=6)),
        color=alt.Color("ticket:N", sort=None, legend=legend, scale=alt.Scale(range=colors)),
        detail="seed:N",
    )
    drawn = line.transform_filter("datum.drawn").mark_point(size=70, filled=True, opacity=1)
    to_point_at = line.mark_point(size=SIZE_TO_POINT_AT, filled=True, opacity=0, aria=False)
    limit = alt.Chart(alt.Data(values=[{}])).mark_rule(strokeDash=[6, 4], color=INK, aria=False)
    shown = [alt.Tooltip(f"{name}:N", title=title) for name, title in titles.items()]
    layers = [
        limit.encode(y=alt.YDatum(mask_distance)),
        line.mark_line(strokeWidth=1.5, aria=False),
        drawn.encode(description="said:N"),
        to_point_at.encode(tooltip=shown),
    ]
    return finished(layers, points, description, title=_title(mask_distance))


def _title(mask_distance):
    import altair as alt

    said = f"fraction of channels that differ; a ticket (dot) is drawn below {mask_distance:g}"
    return alt.Title(text="Distance of the newest masks to the last ones", subtitle=said)
