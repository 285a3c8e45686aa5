"""What a finished search shows: a table, figures, the chosen ticket and its SavedModel."""

import pathlib
import shutil
from collections.abc import Sequence

import numpy as np
import rich.box
import rich.table

from tf_tickets import plots
from tf_tickets.experiments import Experiment, read_pictures
from tf_tickets.export import export_saved_model
from tf_tickets.runs import RunFolder
from tf_tickets.search.controls import Comparison
from tf_tickets.tickets import Ticket


def table(
    records: Sequence[dict],
    comparisons: Sequence[Comparison],
    metric: str,
    chosen: Comparison | None,
) -> rich.table.Table:
    """Return one row per round: sparsity, both arms' metric with its spread, p, and the verdict."""
    num_seeds = len({record["seed"] for record in records})
    spread = f"mean ± standard deviation of {num_seeds} seeds" if num_seeds > 1 else "one seed"
    made = rich.table.Table(
        title=f"{metric} by round, {spread}",
        title_justify="left",
        box=rich.box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
    )
    for column in ("round", "sparsity", "kept", "winning", "random", "p", ""):
        made.add_column(column, justify="right" if column else "left", no_wrap=True)
    dense = [record for record in records if record["arm"] == "dense"]
    made.add_row("0", "0.00 %", f"{dense[0]['kept']:,}", _spread(dense, metric), "", "", "dense")
    for comparison in comparisons:
        arms = [
            [r for r in records if r["round"] == comparison.round and r["arm"] == arm]
            for arm in ("winning", "random")
        ]
        made.add_row(
            str(comparison.round),
            f"{comparison.weight_sparsity:.2%}".replace("%", " %"),
            f"{arms[0][0]['kept']:,}",
            *(_spread(arm, metric) for arm in arms),
            "" if comparison.p is None else f"{comparison.p:.2g}",
            _verdict(comparison, chosen),
        )
    return made


def _spread(records, metric):
    values = [record["metrics"][metric] for record in records]
    if not values:
        return ""
    spread = f" ± {np.std(values, ddof=1):.2g}" if len(values) > 1 else ""
    return f"{np.mean(values):.4g}{spread}"


def _verdict(comparison, chosen):
    if comparison == chosen:
        return "winning ticket"
    if comparison.wins:
        return "wins"
    return "matches" if comparison.within_tolerance else ""


def sparsest(comparisons: Sequence[Comparison]) -> Comparison:
    """Return what is worth keeping where no round wins: the sparsest that matches dense, or all."""
    matching = [comparison for comparison in comparisons if comparison.within_tolerance]
    return max(matching or comparisons, key=lambda comparison: comparison.weight_sparsity)


def save_ticket(folder: RunFolder, experiment: Experiment, stage: str) -> pathlib.Path:
    """Copy a stage's ticket to `winning_ticket/`, export its trained model; return the SavedModel.

    Args:
        folder: the run.
        experiment: builds the model.
        stage: the name of the ticket's stage.
    """
    if not folder.is_done("winning_ticket", [stage]):
        with folder.stage("winning_ticket", [stage]) as path:
            for name in ("ticket.safetensors", "trained.safetensors"):
                shutil.copyfile(folder.path / stage / name, path / name)
    if not folder.is_done("export", [stage]):
        with folder.stage("export", [stage]) as path:
            model = experiment.build(seed=0)
            Ticket.load(folder.path / stage / "trained.safetensors").apply(model)
            export_saved_model(model, path / "saved_model", weights="packed")
    return folder.path / "export" / "saved_model"


def draw_figures(
    folder: RunFolder,
    experiment: Experiment,
    records: Sequence[dict],
    metric: str,
    winning_round: int | None,
) -> list[pathlib.Path]:
    """Draw the metric against sparsity, and images by sparsity; return the files."""
    figures = folder.path / "figures"
    figures.mkdir(exist_ok=True)
    curve = figures / f"{metric}.png"
    plots.metric_against_sparsity(records, metric, curve, winning_round)
    grid = figures / "images.png"
    rows = [("real", experiment.real_pictures())]
    for record in _illustrated(records, winning_round):
        strip = folder.path / pathlib.Path(record["ticket"]).parent / "samples.png"
        rows.append((_label(record), read_pictures(strip)))
    recipe = experiment.recipe
    made = records[0]["protocol"]["generated"]  # samples or reconstructions
    plots.image_grid(rows, grid, title=f"{recipe.model} on {recipe.dataset}: {made} by sparsity")
    return [curve, grid]


def _illustrated(records, winning_round, most=5):
    """Return the first seed's dense record, and both arms of a few rounds up to the last."""
    last = max(record["round"] for record in records)
    rounds = {0, *np.linspace(1, last, min(most, last)).round().astype(int), winning_round}
    return [r for r in records if r["seed"] == records[0]["seed"] and r["round"] in rounds]


def _label(record):
    if record["arm"] == "dense":
        return "dense"
    return f"{record['weight_sparsity']:.1%} {record['arm']}".replace("%", " %")
