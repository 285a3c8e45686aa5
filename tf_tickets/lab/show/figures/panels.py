"""Panels of curves from several runs, as the figures of a paper have them."""

import dataclasses
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from tf_tickets.lab.arms import ARMS
from tf_tickets.lab.show.styles import frame, metric_card, new_figure, save
from tf_tickets.runs.records import Records, deviation, mean
from tf_tickets.search.pairs import metric_of

if TYPE_CHECKING:
    import matplotlib.figure

_MOST_COLUMNS = 3
_MOST_LABELS = 5  # side by side
_PANEL_INCHES = (4.2, 3.6)


@dataclasses.dataclass(frozen=True)
class Point:
    """One round of a curve.

    Attributes:
        sparsity: mean over the seeds, in [0, 1].
        mean, deviation: of the quantity over the seeds that have it; the deviation (n - 1) is None
            of one seed, and both are None if no seed has it.
        num_known, num_seeds: how many seeds have the quantity, and how many there are.
    """

    sparsity: float
    mean: float | None
    deviation: float | None
    num_known: int
    num_seeds: int


@dataclasses.dataclass(frozen=True)
class Line:
    """A curve of a panel, or a level: a quantity that does not depend on sparsity.

    Attributes:
        label: in the legend.
        color, marker: as matplotlib names them; of a level the marker is the style of its line.
        points: by rising sparsity; of a level one, of sparsity 0.
        is_level: whether it is drawn across the whole panel.
    """

    label: str
    color: str
    marker: str
    points: tuple[Point, ...]
    is_level: bool = False


@dataclasses.dataclass(frozen=True)
class DrawnPanel:
    """One pair of axes.

    Attributes:
        title: what stands above.
        quantity: the name of a metric, or "early_stopping_step".
        lines: what is drawn.
    """

    title: str
    quantity: str
    lines: tuple[Line, ...]


def points_of(records: Sequence[dict], arm: str, quantity: str, of_network: bool) -> tuple:
    """Return the points of one arm.

    Args:
        records: lines of results.jsonl.
        arm: "dense", "winning", "random" or another.
        quantity: a name in their `metrics`.
        of_network: whether sparsity is that of all weights, and not of those that may be pruned.
    """
    field = "network_sparsity" if of_network else "weight_sparsity"
    groups = Records(records).where(arm=arm).by("round").values()
    points = (_point(group, field, quantity) for group in groups)
    return tuple(sorted(points, key=lambda point: point.sparsity))


def _point(group, field, quantity):
    known = [value for r in group if (value := metric_of(r, quantity)) is not None]
    return Point(
        mean(group.field(field)),
        mean(known) if known else None,
        deviation(known) if known else None,
        len(known),
        len(group),
    )


def draw_panels(panels: Sequence[DrawnPanel], path, title: str) -> "matplotlib.figure.Figure":
    """Draw panels of curves side by side, as a PNG file.

    Points are means over the seeds, and bars one standard deviation to each side. A point of fewer
    than all seeds is hollow.

    Args:
        panels: at least one.
        path: the file to write; an existing one is replaced whole.
        title: what stands above all of them.

    Returns:
        The `matplotlib.figure.Figure` that was written.

    Raises:
        FileError: if the file cannot be written.
    """
    columns = 2 if len(panels) == 4 else min(_MOST_COLUMNS, len(panels))
    rows = math.ceil(len(panels) / columns)
    width, height = _PANEL_INCHES
    figure = new_figure(height * rows + 0.9, max(width * columns, 2 * width), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for each, panel in zip(axes, panels, strict=False):
        _draw_panel(each, panel)
    for unused in axes[len(panels) :]:
        unused.set_axis_off()
    figure.suptitle(title, x=0.01, ha="left", fontsize=13)
    handles = {}
    for each in axes[: len(panels)]:
        drawn, labels = each.get_legend_handles_labels()
        handles |= dict(zip(labels, drawn, strict=True))
    figure.legend(
        handles.values(),
        handles.keys(),
        loc="outside lower center",
        ncols=math.ceil(len(handles) / math.ceil(len(handles) / _MOST_LABELS)),
        frameon=False,
    )
    save(figure, path)
    return figure


def _draw_panel(axes, panel):
    for line in panel.lines:
        (_draw_level if line.is_level else _draw_line)(axes, line)
    known = [p.mean for line in panel.lines for p in line.points if p.mean is not None]
    if known and min(known) > 0 and max(known) / min(known) > 10:
        axes.set_yscale("log")
    axes.set_xlim(0, 100)
    card = metric_card(panel.quantity)
    frame(axes, panel.title, "network sparsity (%)", card.unit, fontsize=11)


def _draw_level(axes, line):
    (point,) = line.points
    if point.mean is not None:
        wide = point.deviation or 0.0
        axes.axhline(point.mean, color=line.color, linestyle=line.marker, label=line.label)
        axes.axhspan(point.mean - wide, point.mean + wide, color=line.color, alpha=0.15, lw=0)


def _draw_line(axes, line):
    points = [point for point in line.points if point.mean is not None]
    x = 100 * np.array([point.sparsity for point in points])
    means = [point.mean for point in points]
    bars = [point.deviation or 0.0 for point in points]
    style = {"color": line.color, "marker": line.marker, "markersize": 4, "linewidth": 1.2}
    axes.errorbar(x, means, bars if any(bars) else None, capsize=2, label=line.label, **style)
    few = [i for i, point in enumerate(points) if point.num_known < point.num_seeds]
    axes.plot(x[few], np.take(means, few), line.marker, color=line.color, markerfacecolor="white")


def dense_line(records: Sequence[dict], quantity: str) -> Line:
    """Return the line of the dense network.

    Args:
        records: lines of results.jsonl.
        quantity: a name in their `metrics`.
    """
    points = points_of(records, "dense", quantity, of_network=True)
    return Line("unpruned", ARMS["dense"].color, "--", points, is_level=True)


def real_images_line(records: Sequence[dict]) -> Line | None:
    """Return the classifier's accuracy on real images, which no reconstruction should exceed.

    Args:
        records: lines of results.jsonl.

    Returns:
        None if no classifier has judged them.
    """
    of_dense = Records(records).where(arm="dense")
    judges = [each for r in of_dense for each in r.get("protocol", {}).get("features", ())]
    known = [each["accuracy"] for each in judges if "accuracy" in each]
    if not known:
        return None
    point = Point(0.0, mean(known), deviation(known), len(known), len(of_dense))
    return Line("real images", "#000000", ":", (point,), is_level=True)
