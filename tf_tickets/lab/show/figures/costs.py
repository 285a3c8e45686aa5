"""Ways of pruning by what they cost and are worth."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tf_tickets.lab.show.styles import (
    WIDTH_INCHES,
    frame,
    method_styles,
    metric_card,
    new_figure,
    save,
)
from tf_tickets.runs.records import deviation

if TYPE_CHECKING:
    import matplotlib.figure

_MOST_COLUMNS = 6


def compared_costs(rows: Sequence, metric: str, path, title: str) -> "matplotlib.figure.Figure":
    """Draw ways of pruning by what they cost and are worth, as a PNG file.

    Three panels: the metric against the FLOPs of training; these, and the seconds, against the
    fraction of the weights that is gone. Bars are one standard deviation over the seeds. Ways that
    have several sparsities are lines. The controls of slim tickets are hollow.

    Args:
        rows: a `comparison.Row` for each way and sparsity.
        metric: the name of the metric.
        path: the file to write; an existing one is replaced whole.
        title: what was compared.

    Returns:
        The `matplotlib.figure.Figure` that was written.

    Raises:
        FileError: if the file cannot be written.

    Source: Kalibhat et al., 2021, arXiv:2010.02350, figure 7.
    """
    figure = new_figure(4.6, 1.6 * WIDTH_INCHES, layout="constrained")
    panels = figure.subplots(1, 3)
    styles = method_styles(dict.fromkeys(row.method for row in rows))
    groups = _by_way_and_arm(rows)
    for (way, arm), group in groups.items():
        style = {"linewidth": 1, **styles[way], "label": group[0].name}
        if arm == "random":  # the control looks like its ticket, but hollow
            style |= {"markerfacecolor": "white", "linestyle": ":"}
        _draw_way(panels, group, style)
    _explain(panels, metric_card(metric))
    figure.suptitle(title, x=0.01, ha="left", fontsize=13)
    figure.legend(
        *panels[1].get_legend_handles_labels(),
        loc="outside lower center",
        ncols=min(_MOST_COLUMNS, len(groups)),
        frameon=False,
    )
    save(figure, path)
    return figure


def _by_way_and_arm(rows) -> dict[tuple[str, str], list]:
    groups = {}
    for row in rows:
        groups.setdefault((row.method, row.arm), []).append(row)
    return groups


def _draw_way(panels, rows, style):
    flops = [row.training_flops for row in rows]
    gone = [100 * row.weight_sparsity for row in rows]
    drawn = (
        (panels[0], flops, [row.mean for row in rows], [row.spread for row in rows]),
        (panels[1], gone, flops, [deviation(row.flops.values()) for row in rows]),
        (
            panels[2],
            gone,
            [row.seconds for row in rows],
            [deviation(row.step_seconds.values()) for row in rows],
        ),
    )
    for axes, x, means, spreads in drawn:
        bars = [spread or 0.0 for spread in spreads]
        axes.errorbar(x, means, bars if any(bars) else None, capsize=3, **style)


def _explain(panels, card):
    from matplotlib.ticker import EngFormatter

    removed, flops = "weights removed (%)", "FLOPs of training"
    labels = (
        (f"{card.title} against FLOPs", flops, card.unit),
        ("FLOPs against compression", removed, flops),
        ("Time against compression", removed, "seconds of training"),
    )
    for axes, texts in zip(panels, labels, strict=True):
        frame(axes, *texts, fontsize=11)
    panels[0].set_xlim(0, 1.08 * panels[0].dataLim.xmax)  # the star is large
    panels[0].xaxis.set_major_formatter(EngFormatter())
    panels[1].yaxis.set_major_formatter(EngFormatter())
    for axes in panels[1:]:
        axes.set_ylim(0, 1.08 * axes.dataLim.ymax)
