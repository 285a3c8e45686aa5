"""How far early-bird masks still move as training goes on."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from tf_tickets.errors import SettingError
from tf_tickets.lab.show.figures.figure import Figure
from tf_tickets.lab.show.styles import GREY, frame, new_figure, save

if TYPE_CHECKING:
    import matplotlib.figure


def mask_distances(
    records: Sequence[dict], mask_distance: float, path
) -> "matplotlib.figure.Figure":
    """Draw how far early-bird masks still move as training goes on, as a PNG file.

    A line for each ticket: the largest distance of the newest masks to those that they are compared
    with, up to the step at which the ticket was drawn.

    Args:
        records: lines of results.jsonl, of which those with `distances` are drawn.
        mask_distance: what the distance had to stay below.
        path: the file to write; an existing one is replaced whole.

    Returns:
        The `matplotlib.figure.Figure` that was written.

    Raises:
        SettingError: if no record has distances.
        FileError: if the file cannot be written.
    """
    drawn = [record for record in records if record.get("distances")]
    if not drawn:
        raise SettingError("There is no record of an early-bird ticket, with distances of masks.")
    sparsities = sorted({record["channel_sparsity"] for record in drawn})
    colors = dict(zip(sparsities, _shades(len(sparsities)), strict=True))
    figure = new_figure(4.5, layout="constrained")
    axes = figure.add_subplot()
    _draw_limit(axes, mask_distance)
    for record in drawn:
        _draw_ticket(axes, record, colors[record["channel_sparsity"]])
    axes.set_ylim(bottom=0)
    title = "Distance of the newest masks to the last ones"
    frame(axes, title, "optimizer steps", "fraction of channels that differ")
    _explain(axes, colors)
    save(figure, path)
    return figure


def _draw_limit(axes, mask_distance):
    axes.axhline(mask_distance, color=GREY, linestyle="--")
    axes.annotate(
        f"drawn below {mask_distance:g}",
        (0, mask_distance),  # where the curves, which fall, are far above
        xycoords=("axes fraction", "data"),
        xytext=(4, 4),
        textcoords="offset points",
        color=GREY,
    )


def _draw_ticket(axes, record, color):
    points = [(p["step"], max(p["distances"])) for p in record["distances"] if p["distances"]]
    steps, distances = np.array(points).reshape(-1, 2).T
    axes.plot(steps, distances, color=color, linewidth=1.2, alpha=0.8)
    if record["settled"] and len(steps):
        axes.plot(steps[-1], distances[-1], "o", color=color, markersize=6)


def _explain(axes, colors):
    from matplotlib.lines import Line2D

    handles = [
        Line2D([], [], color=color, label=f"{100 * sparsity:g} % of channels")
        for sparsity, color in colors.items()
    ]
    handles.append(Line2D([], [], marker="o", linestyle="", color="grey", label="ticket drawn"))
    axes.legend(handles=handles, frameon=False)


def _shades(count):
    from matplotlib import colormaps

    return [colormaps["viridis"](0.8 * i / max(1, count - 1)) for i in range(count)]


def _applies(run):
    return any(record.get("distances") for record in run.records)


def _draw(run, path):
    mask_distances(run.records, run.config.method.mask_distance, path)


FIGURE = Figure("mask_distance", _applies, _draw)
