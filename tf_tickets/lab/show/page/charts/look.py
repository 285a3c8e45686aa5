"""How charts of a page look: curves, their colours in the light and in the dark, and controls."""

import contextlib
import dataclasses
import json
from collections.abc import Iterator, Mapping, Sequence

from tf_tickets.errors import SettingError
from tf_tickets.lab.show.styles import metric_card

# What a page is drawn on, and the least contrast of a curve with it (WCAG 2.1, 1.4.11, asks for 3).
DARK = "#15181c"
_LEAST_CONTRAST = 4.5

STAR = (
    "M0,-1L0.2245,-0.309L0.9511,-0.309L0.3633,0.118L0.5878,0.809L0,0.382"
    "L-0.5878,0.809L-0.3633,0.118L-0.9511,-0.309L-0.2245,-0.309Z"
)

# matplotlib's names of markers: how Vega calls them, and what stands for them in a text.
_SHAPES = {
    "": ("stroke", "┅"),
    "o": ("circle", "●"),
    "s": ("square", "■"),
    "D": ("diamond", "◆"),
    "^": ("triangle-up", "▲"),
    "v": ("triangle-down", "▼"),
    "<": ("triangle-left", "◀"),
    ">": ("triangle-right", "▶"),
    "X": ("cross", "✚"),
    "*": (STAR, "★"),
}


@dataclasses.dataclass(frozen=True)
class Curve:
    """A line of a chart: records of one arm of one run, or of whatever else is compared.

    Attributes:
        name: told apart by it; no two of a chart have the same.
        label: what the legend says.
        color: such as "#0072B2".
        marker: of its points, as matplotlib names it; "" makes a level line, as of dense, which
            has no sparsity of its own.
        records: lines of results.jsonl.
    """

    name: str
    label: str
    color: str
    marker: str
    records: Sequence[dict]

    @property
    def is_level(self) -> bool:
        """Whether this is a level line."""
        return not self.marker

    @property
    def shape(self) -> str:
        """Its points in Vega's words."""
        return _SHAPES.get(self.marker, _SHAPES["o"])[0]

    @property
    def sign(self) -> str:
        """What stands for its points in a text."""
        return _SHAPES.get(self.marker, _SHAPES["o"])[1]


def ink(color: str) -> str:
    """Return a colour that a page may lighten in the dark, as CSS writes it.

    Args:
        color: six hexadecimal digits after "#".
    """
    return f"var(--c{color[1:].lower()}, {color})"


def in_the_dark(color: str) -> str:
    """Return a colour, lighter if it would be hard to see on a dark page.

    Args:
        color: six hexadecimal digits after "#".
    """
    rgb = _rgb(color)
    for white in range(0, 100, 5):
        lighter = tuple(round(value + (255 - value) * white / 100) for value in rgb)
        if contrast("#{:02x}{:02x}{:02x}".format(*lighter), DARK) >= _LEAST_CONTRAST:
            break
    return "#{:02x}{:02x}{:02x}".format(*lighter)


def contrast(first: str, second: str) -> float:
    """Return the contrast of two colours, from 1 to 21.

    Args:
        first, second: six hexadecimal digits after "#".

    Source: WCAG 2.1, https://www.w3.org/TR/WCAG21/#dfn-contrast-ratio.
    """
    brighter, darker = sorted(map(_luminance, (first, second)), reverse=True)
    return (brighter + 0.05) / (darker + 0.05)


def _rgb(color):
    if len(color) != 7:
        raise SettingError(f"A colour of a chart must be as #0072B2. Received: {color}.")
    return tuple(int(color[at : at + 2], 16) for at in (1, 3, 5))


def _luminance(color):
    parts = [value / 255 for value in _rgb(color)]
    linear = [v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in parts]
    return sum(weight * v for weight, v in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def _variable(name, value):
    """Return a colour that the style of a page decides, as CSS writes it."""
    return f"var(--{name}, {value})"


INK, PAPER = _variable("ink", "#222222"), _variable("paper", "#ffffff")
_SOFT, _LINE, _GRID = (
    _variable(name, value)
    for name, value in (("soft", "#555555"), ("line", "#888888"), ("grid", "#dddddd"))
)

# Of all charts; the page gives the variables their values, for the light and for the dark.
CONFIG = {
    "background": "transparent",
    "font": "system-ui, sans-serif",
    "view": {"stroke": None},
    "axis": {
        "labelColor": INK,
        "titleColor": INK,
        "gridColor": _GRID,
        "domainColor": _LINE,
        "tickColor": _LINE,
        "labelFontSize": 12,
        "titleFontSize": 12,
        "titleFontWeight": "normal",
        "titlePadding": 8,
    },
    "title": {
        "color": INK,
        "subtitleColor": _SOFT,
        "anchor": "start",
        "frame": "group",
        "fontSize": 13,
        "fontWeight": "normal",
        "subtitleFontSize": 12,
        "offset": 14,
    },
    "text": {"color": INK, "fontSize": 12},
}


def _legend_of(curves: Sequence[Curve]) -> list[dict]:
    """Return the legend as a page needs it: the name of each curve's switch, colour and sign."""
    return [
        {"input": _switch_of(number), "color": ink(curve.color), "sign": curve.sign}
        for number, curve in enumerate(curves)
    ]


def _switch_of(number: int) -> str:
    """Return the name of the parameter that switches a curve on and off."""
    return f"show_{number}"


def _switches(curves: Sequence[Curve]) -> list:
    """Return Altair's parameters of checkboxes, which are the legend and switch the curves."""
    import altair as alt

    return [
        alt.param(name=_switch_of(number), value=True, bind=alt.binding_checkbox(name=curve.label))
        for number, curve in enumerate(curves)
    ]


def is_on(curves: Sequence[Curve]) -> str:
    """Return Vega's expression of whether a datum's `curve` is switched on."""
    pairs = (f"{json.dumps(c.name)}: {_switch_of(number)}" for number, c in enumerate(curves))
    return f"{{{', '.join(pairs)}}}[datum.curve]"


def looked_up(values: Mapping, key: str) -> str:
    """Return Vega's expression that looks up a value.

    Args:
        values: as JSON can hold them.
        key: an expression.
    """
    return f"{json.dumps(values)}[{key}]"


def choice(name: str, label: str, titles: Mapping[str, str], first: str):
    """Return Altair's parameter of a list to choose from, which is not shown if it has one value.

    Args:
        name: of the parameter.
        label: beside the list.
        titles: value -> what the list says of it.
        first: the value that is chosen at first.
    """
    import altair as alt

    if len(titles) == 1:
        return alt.param(name=name, value=first)
    options, labels = list(titles), list(titles.values())
    bind = alt.binding_select(options=options, labels=labels, name=label)
    return alt.param(name=name, value=first, bind=bind)


def checkbox(name: str, label: str, value: bool = False):
    """Return Altair's parameter of a checkbox.

    Args:
        name: of the parameter.
        label: beside it.
        value: at first.
    """
    import altair as alt

    return alt.param(name=name, value=value, bind=alt.binding_checkbox(name=label))


# A finger, and most mice, miss a point of the size that is drawn.
SIZE, SIZE_TO_POINT_AT = 70, 500
_HEIGHT = 340
_DATA = "points"

# A logarithm of y is computed, as the type of a scale cannot change: with ticks at plain numbers.
_TICKS = [f"{digit * 10.0**power:g}" for power in range(-9, 10) for digit in (1, 1.5, 2, 3, 5, 7)]
LOG_Y = "log_y"


def y_of(name: str = "y"):
    """Return Altair's y of a field that is a logarithm if the parameter `log_y` is set.

    Args:
        name: of the field.
    """
    import altair as alt

    ticks = ", ".join(f"log({tick})/LN10" for tick in _TICKS)
    axis = alt.Axis(
        title=None,
        values=alt.ExprRef(f"{LOG_Y} ? [{ticks}] : null"),
        labelExpr=f"format({LOG_Y} ? pow(10, datum.value) : datum.value, '~g')",
        tickCount=6,
        domain=False,
        ticks=False,
    )
    return alt.Y(f"{name}:Q", scale=alt.Scale(zero=False, nice=False, padding=12), axis=axis)


def scaled(expression: str, else_: str = "null") -> str:
    """Return Vega's expression of a number, or of its logarithm if the parameter `log_y` is set.

    Args:
        expression: of the number.
        else_: of what takes the place of the logarithm of zero and less.
    """
    return f"{LOG_Y} ? ({expression} > 0 ? log({expression})/LN10 : {else_}) : {expression}"


def color_of(curves: Sequence[Curve]):
    """Return Altair's colour of a datum's `curve`; the switches are the legend."""
    import altair as alt

    drawn = alt.Scale(domain=[c.name for c in curves], range=[ink(c.color) for c in curves])
    return alt.Color("curve:N", scale=drawn, legend=None)


def tooltip(*names: str) -> list:
    """Return Altair's tooltip of some fields, which are texts already."""
    import altair as alt

    titles = {"label": "curve", "gone": "removed", "value": "mean", "of_seeds": "of"}
    return [alt.Tooltip(f"{name}:N", title=titles.get(name, name)) for name in names]


def metric_titles(names: Sequence[str]) -> dict[str, str]:
    """Return the titles of metrics by their names."""
    return {name: metric_card(name).title for name in names}


def new_chart():
    """Return an empty chart of Altair, whose data `finished` adds: Altair would copy it often."""
    import altair as alt

    return alt.Chart(alt.NamedData(_DATA))


def finished(
    layers: Sequence,
    points: Sequence[Mapping],
    description: str,
    parameters: Sequence = (),
    curves: Sequence[Curve] = (),
    **properties,
) -> dict:
    """Return the specification of a chart that is as wide as the page lets it.

    Args:
        layers: charts of Altair, begun by `new_chart`.
        points: their data.
        description: what a screen reader says of the chart.
        parameters: of the chart, in the order in which their controls stand.
        curves: whose switches, after these, are the legend.
        **properties: as `alt.layer` takes them. They are given at once, as Altair copies a chart
            for each that it is given later.
    """
    import altair as alt

    spec = alt.layer(
        *layers,
        params=[each.param for each in (*parameters, *_switches(curves))],
        autosize=alt.AutoSizeParams(type="fit-x", contains="padding"),
        description=description,
        width="container",
        **{"height": _HEIGHT, **properties},
    ).to_dict(validate=False)  # which the tests do, and which takes as long as all else
    data = {"data": {"name": _DATA}, "datasets": {_DATA: list(points)}}
    return {**spec, **data, "config": CONFIG, "usermeta": {"legend": _legend_of(curves)}}


@contextlib.contextmanager
def unchecked() -> Iterator[None]:
    """Let Altair check no part of a chart while it is made, which takes half of the time.

    The tests check the charts as a whole.
    """
    from altair.utils.schemapi import debug_mode

    with debug_mode(False):
        yield


def calculated(**expressions: str) -> list:
    """Return Altair's transforms that compute fields, one after another.

    Args:
        **expressions: field -> Vega's expression.
    """
    import altair as alt

    return [alt.CalculateTransform(calculate=e, **{"as": name}) for name, e in expressions.items()]
