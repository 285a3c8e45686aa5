"""Ways of pruning side by side, as tables and as files."""

import json
import pathlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

from tf_tickets.files import write_whole
from tf_tickets.lab.show.figures import compared_costs
from tf_tickets.lab.show.tables import Table
from tf_tickets.lab.show.words import of_seeds, percent, spread
from tf_tickets.runs import paths

if TYPE_CHECKING:
    from tf_tickets.lab.comparison import Row

_COSTS = (
    "Of one ticket, from its first step. s: its steps, masked, slim or whole, timed in turns with "
    "those of all other rows. draw: finding the masks, scores included. trace: what first steps "
    "take on top. evaluate: its evaluations. draw and evaluate are those of the run. search: FLOPs "
    "of all other trainings that it took to find it."
)


def comparison_tables(rows: Sequence["Row"], metric: str) -> list[Table]:
    """Return ways of pruning side by side: what their tickets are worth, and what they cost.

    Args:
        rows: as `comparison.compare` returns them, unpruned first.
        metric: the name of the metric.
    """
    return [_worth(rows, metric), _costs(rows)]


def _worth(rows, metric):
    unpruned, *others = rows
    change = "ratio" if _are_ratios(others) else "difference"
    return Table(
        title=f"{metric} on test images, {of_seeds(len(unpruned.values))}",
        columns=("", "asked", "sparsity", metric, change, "95 % interval", "p", "Holm"),
        rows=tuple(_worth_cells(row) for row in rows),
        caption=_worth_caption(others),
    )


def _are_ratios(rows):
    return all(row.change.is_ratio for row in rows if row.change)


def _name(row):
    return "its random control" if row.arm == "random" else row.method


def _worth_cells(row):
    collapsed = f", {row.num_collapsed} collapsed" if row.num_collapsed else ""
    return (
        _name(row),
        percent(row.asked_sparsity, 1),
        percent(row.weight_sparsity, 1),
        f"{spread(list(row.values.values()))}{collapsed}",
        *_change_cells(row.change),
        _p(row.change and row.change.p),
        _p(row.corrected_p),
    )


def _change_cells(change):
    if change is None:
        return "", ""
    shown = f"{change.change:.3g}" if change.is_ratio else f"{change.change:+.3g}"
    return shown, "" if change.low is None else f"{change.low:.3g} to {change.high:.3g}"


def _p(p):
    return "" if p is None else f"{p:.2g}"


def _worth_caption(rows):
    num_tests = sum(row.corrected_p is not None for row in rows)
    if _are_ratios(rows):
        text, scale = "ratio: to unpruned, seed by seed; geometric mean.", " of the logarithms"
    else:
        text, scale = "difference: from unpruned, seed by seed; mean.", ""
    if num_tests:
        tests = "one test" if num_tests == 1 else f"{num_tests} tests"
        text += f" p: two-sided paired t test{scale}. Holm: p corrected for the {tests} here."
    if any(row.arm == "random" for row in rows):
        text += " random control: the widths of the ticket above, with fresh weights."
    return text


def _costs(rows):
    return Table(
        title="training one ticket",
        columns=("", "sparsity", "weights", "FLOPs", "search", "s", "draw", "trace", "evaluate"),
        rows=tuple(_cost_cells(row, rows[0]) for row in rows),
        caption=_COSTS,
    )


def _cost_cells(row, unpruned):
    return (
        _name(row),
        percent(row.weight_sparsity, 1),
        f"{row.weights:,.0f}",
        f"{row.training_flops:.3g}{_against(row.training_flops, unpruned.training_flops)}",
        f"{row.search_flops:.3g}" if row.search_flops else "",
        f"{row.seconds:.1f}{_against(row.seconds, unpruned.seconds)}",
        _seconds(row.draw_seconds),
        _seconds(row.tracing_seconds),
        _seconds(row.evaluation_seconds),
    )


def _against(value, whole):
    return "" if value == whole else f" ({value / whole - 1:+.0%})".replace("%", " %")


def _seconds(value):
    return "" if value is None else f"{value:.1f}"


def write_comparison(path: pathlib.Path, rows: Sequence["Row"], metric: str, title: str) -> None:
    """Write ways of pruning side by side as Markdown, JSON and figures.

    Args:
        path: a folder, made if there is none: gets `compare.md`, `compare.json` and `figures/`.
        rows: unpruned first.
        metric: the name of the deciding metric.
        title: what was compared.

    Raises:
        FileError: if the figure cannot be written.
    """
    figures = path / paths.FIGURES
    figures.mkdir(parents=True, exist_ok=True)
    written = "\n".join(table.markdown() for table in comparison_tables(rows, metric))
    write_whole(path / paths.COMPARE_TABLE, written.encode())
    content = json.dumps([row.as_dict() for row in rows], indent=1)
    write_whole(path / paths.COMPARE_ROWS, content.encode())
    compared_costs(rows, metric, figures / "compare.png", title)
