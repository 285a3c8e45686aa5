"""How all figures look: sizes, frames, and the titles and colours of what they show."""

import dataclasses
import io
import itertools
from collections.abc import Iterable
from typing import TYPE_CHECKING

from tf_tickets.errors import FileError
from tf_tickets.files import write_whole
from tf_tickets.lab.arms import ARMS
from tf_tickets.lab.methods import METHODS
from tf_tickets.lab.metrics import METRICS
from tf_tickets.lab.ways import WAYS

if TYPE_CHECKING:  # matplotlib is imported where it is used, as it takes half a second
    import matplotlib.axes
    import matplotlib.figure

# 8 inches at 200 dots each are twice the width at which a README shows a figure.
WIDTH_INCHES = 8.0
DPI = 200
# Of whatever is no arm or method: the dense network, limits, and notes.
GREY = ARMS["dense"].color


@dataclasses.dataclass(frozen=True)
class QuantityCard:
    """What is drawn as a metric is, but is none of `METRICS`.

    Attributes:
        name: its key in the records' `metrics`.
        title: what stands above the axes.
        unit: what stands beside them.
        higher_is_better: its direction, or None.
    """

    name: str
    title: str
    unit: str
    higher_is_better: bool | None = None


EARLY_STOPPING = "early_stopping_step"

_QUANTITIES = {
    EARLY_STOPPING: QuantityCard(EARLY_STOPPING, "Early-stopping step", "optimizer steps"),
}


def metric_card(name: str):
    """Return what is known of a metric: its name, title, unit and direction.

    Args:
        name: of `METRICS`, or of a metric of the user's own, whose title is made up of its name.
    """
    if name in METRICS:
        return METRICS[name]
    words = name.replace("_", " ")
    return _QUANTITIES.get(name) or QuantityCard(name, words.capitalize(), words)


# A star for the unpruned network, and what ways of pruning without a card take in turn.
_UNPRUNED = (GREY, "*")
_SPARE = (("#66A61E", "<"), ("#56B4E9", "v"), ("#A6761D", "X"), ("#7570B3", ">"), ("#000000", "p"))


def method_styles(names: Iterable[str]) -> dict[str, dict]:
    """Return for each way of pruning how matplotlib draws it: its label, colour and shape.

    Args:
        names: "unpruned", names of `METHODS` and `WAYS`, and others, whose colours are spare ones.
    """
    cards = {**METHODS, **WAYS}
    known = {"unpruned": _UNPRUNED}
    known |= {name: (card.color, card.marker) for name, card in cards.items()}
    spare = itertools.cycle([style for style in _SPARE if style not in known.values()] or _SPARE)
    styles = {}
    for name in names:
        color, marker = known.get(name) or next(spare)
        size = {"markersize": 14} if marker == "*" else {}  # a star is small for its size
        styles[name] = {"label": name, "color": color, "marker": marker, **size}
    return styles


def new_figure(height: float, width: float = WIDTH_INCHES, **options) -> "matplotlib.figure.Figure":
    """Return an empty figure, which needs no display.

    Args:
        height: in inches.
        width: in inches.
        **options: as `matplotlib.figure.Figure` takes them.
    """
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), dpi=DPI, **options)


def frame(axes: "matplotlib.axes.Axes", title: str, x: str, y: str, **options) -> None:
    """Give axes a title, names, a faint grid, and no lines above and to the right.

    Args:
        axes: of matplotlib.
        title: what stands above, at the left.
        x: what lies along them, with its unit.
        y: what stands beside them, with its unit.
        **options: as `Axes.set_title` takes them.
    """
    axes.set_title(title, loc="left", **{"fontsize": 14, **options})
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)


def percent(sparsity: float) -> str:
    """Return a percentage with as many digits as tell neighbouring rounds apart."""
    digits = 0 if sparsity < 0.9 else 1 if sparsity < 0.99 else 2
    return f"{100 * sparsity:.{digits}f}"


def save(figure: "matplotlib.figure.Figure", path) -> None:
    """Write a figure as a PNG file.

    Args:
        figure: of matplotlib.
        path: the file to write; an existing one is replaced whole.

    Raises:
        FileError: if the file cannot be written.
    """
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    try:
        write_whole(path, buffer.getvalue())
    except OSError as error:
        raise FileError(f"Cannot write the figure to {path}: {error.strerror}.") from error
