"""Ways of pruning side by side, as files."""

import json
import pathlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

from tf_tickets.files import write_whole
from tf_tickets.lab.show.figures import compared_costs
from tf_tickets.lab.show.tables import comparison_table
from tf_tickets.runs import paths

if TYPE_CHECKING:
    from tf_tickets.lab.comparison import Row


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
    write_whole(path / paths.COMPARE_TABLE, comparison_table(rows, metric).markdown().encode())
    content = json.dumps([row.as_dict() for row in rows], indent=1)
    write_whole(path / paths.COMPARE_ROWS, content.encode())
    compared_costs(rows, metric, figures / "compare.png", title)
