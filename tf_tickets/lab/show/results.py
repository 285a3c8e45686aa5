"""What a finished search shows: a table, figures, the chosen ticket and its SavedModel."""

import json
import pathlib
import shutil
from collections.abc import Sequence

import numpy as np
import rich.box
import rich.table

from tf_tickets.files import write_whole
from tf_tickets.lab.comparison import Row
from tf_tickets.lab.experiment import Experiment, read_pictures
from tf_tickets.lab.show import plots
from tf_tickets.protocols import ForInference
from tf_tickets.runs.folder import RunFolder
from tf_tickets.search.early_bird import rebuild_slim
from tf_tickets.search.stages import ARMS
from tf_tickets.search.verdict import Comparison
from tf_tickets.shipping.saved_model import export_saved_model
from tf_tickets.tickets.ticket import Ticket


def tables(
    records: Sequence[dict],
    comparisons: Sequence[Comparison],
    metric: str,
    chosen: Comparison | None,
) -> list[rich.table.Table]:
    """Return a table with one row per round: sparsity, each arm's metric, p, and the verdict.

    Where trainings were evaluated on their way, a second one has the steps at which they could have
    stopped: see `follow_curve`.

    Args:
        records: of all rounds, as `TicketSearch.run` returns them.
        comparisons: of them, as `compare_arms` returns them.
        metric: the one that decides.
        chosen: the winning ticket's comparison, or None if no round wins.
    """
    num_seeds = len({record["seed"] for record in records})
    spread = f"mean ± standard deviation of {num_seeds} seeds" if num_seeds > 1 else "one seed"
    arms = [arm for arm in ARMS if any(record["arm"] == arm for record in records)]
    main = _table(f"{metric} by round, {spread}", ["kept", *arms, "p", ""])
    stops = _table(f"early-stopping step by round, for {metric}, {spread}", arms)
    dense = [record for record in records if record["arm"] == "dense"]
    blanks = [""] * len(arms)
    kept = f"{dense[0]['kept']:,}"
    main.add_row("0", "0.00 %", kept, _spread(_values(dense, metric)), *blanks, "dense")
    stops.add_row("0", "0.00 %", f"{_spread(_steps(dense, metric))} dense", *blanks[1:])
    for comparison in comparisons:
        of_round = [r for r in records if r["round"] == comparison.round]
        by_arm = {arm: [r for r in of_round if r["arm"] == arm] for arm in arms}
        place = (str(comparison.round), f"{comparison.weight_sparsity:.2%}".replace("%", " %"))
        main.add_row(
            *place,
            f"{by_arm[comparison.arm][0]['kept']:,}",
            *(_spread(_values(group, metric)) for group in by_arm.values()),
            "" if comparison.p is None else f"{comparison.p:.2g}",
            _verdict(comparison, chosen),
        )
        stops.add_row(*place, *(_spread(_steps(group, metric)) for group in by_arm.values()))
    return [main, stops] if _watched(records) else [main]


def _table(title, columns):
    made = rich.table.Table(
        title=title, title_justify="left", box=rich.box.SIMPLE_HEAD, padding=(0, 1, 0, 0)
    )
    for column in ("round", "sparsity", *columns):
        made.add_column(column, justify="right" if column else "left", no_wrap=True)
    return made


def _watched(records):
    """Return whether trainings were evaluated before their end."""
    return any(len(record["curve"]) > 1 for record in records)


def _values(records, metric):
    return [record["metrics"][metric] for record in records]


def _steps(records, metric):
    return [record["early_stopping_step"][metric] for record in records]


def _spread(values):
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
    """Return what is worth keeping where no round wins: the sparsest that matches dense, or all.

    Args:
        comparisons: of all rounds, as `compare_arms` returns them.
    """
    matching = [comparison for comparison in comparisons if comparison.within_tolerance]
    return max(matching or comparisons, key=lambda comparison: comparison.weight_sparsity)


def save_ticket(
    folder: RunFolder, experiment: Experiment, stage: str, slim: bool = False
) -> pathlib.Path:
    """Return the SavedModel of a stage's trained model; its ticket is in `winning_ticket/` then.

    Args:
        folder: the run.
        experiment: builds the model.
        stage: the name of the ticket's stage.
        slim: whether the ticket is an early-bird one, whose model is smaller and not sparse.
    """
    if not folder.is_done("winning_ticket", [stage]):
        with folder.stage("winning_ticket", [stage]) as path:
            for name in ("ticket.safetensors", "trained.safetensors"):
                shutil.copyfile(folder.path / stage / name, path / name)
    if not folder.is_done("export", [stage]):
        with folder.stage("export", [stage]) as path:
            model = _trained_model(folder.path / stage, experiment, slim)
            # Of a GAN only the generator is of use.
            exported = model.inference_model() if isinstance(model, ForInference) else model
            weights = "dense" if slim else "packed"
            export_saved_model(exported, path / "saved_model", weights=weights)
    return folder.path / "export" / "saved_model"


def _trained_model(stage, experiment, slim):
    trained = stage / "trained.safetensors"
    if slim:
        build = experiment.build_on_one_device
        return rebuild_slim(build, stage / "ticket.safetensors", trained)
    model = experiment.build_on_one_device(seed=0)
    Ticket.load(trained).apply(model)
    return model


def draw_figures(
    folder: RunFolder,
    experiment: Experiment,
    records: Sequence[dict],
    metric: str,
    winning_round: int | None,
    arm: str = "winning",
    source: str | None = None,
) -> list[pathlib.Path]:
    """Return the figures of a run, drawn as files: the metric, and images, against sparsity.

    Where trainings were evaluated on their way, the step at which they could have stopped too; of a
    GAN its discriminator's loss, which is for looking: it tells nothing of quality (Q15).

    Args:
        folder: the run.
        experiment: whose recipe and test images the figures are of.
        records: lines of results.jsonl.
        metric: the one that decides.
        winning_round: the round whose ticket is marked, if any.
        arm: the arm whose ticket that is.
        source: the model that transferred tickets are of.
    """
    recipe = experiment.recipe
    subject = f"{recipe.model} on {recipe.dataset}"
    if source:
        subject += f", tickets of {source}"
    mark = {"winning_round": winning_round, "arm": arm}
    figures = folder.path / "figures"
    figures.mkdir(exist_ok=True)
    curve = figures / f"{metric}.png"
    plots.metric_against_sparsity(records, metric, curve, **mark, subject=subject)
    drawn = [curve]
    if _watched(records):
        drawn.append(figures / "early_stopping.png")
        stops = [
            {**record, "metrics": {"early_stopping_step": record["early_stopping_step"][metric]}}
            for record in records
        ]
        by = f"{subject}, by {metric}"
        plots.metric_against_sparsity(stops, "early_stopping_step", drawn[-1], **mark, subject=by)
    if "discriminator_loss" in records[0]["metrics"]:
        drawn.append(figures / "discriminator_loss.png")
        name = "discriminator_loss"
        plots.metric_against_sparsity(records, name, drawn[-1], **mark, subject=subject)
    grid = figures / "images.png"
    rows = [("real", experiment.real_pictures())]
    for record in _illustrated(records, winning_round):
        strip = folder.path / pathlib.Path(record["ticket"]).parent / "samples.png"
        rows.append((_label(record), read_pictures(strip)))
    made = records[0]["protocol"]["generated"]  # samples or reconstructions
    plots.image_grid(rows, grid, title=f"{subject}: {made} by sparsity")
    return [*drawn, grid]


def _illustrated(records, winning_round, most=5):
    """Return the first seed's dense record, and all arms of a few rounds up to the last."""
    last = max(record["round"] for record in records)
    rounds = {0, *np.linspace(1, last, min(most, last)).round().astype(int), winning_round}
    return [r for r in records if r["seed"] == records[0]["seed"] and r["round"] in rounds]


def _label(record):
    if record["arm"] == "dense":
        return "dense"
    return f"{record['weight_sparsity']:.1%} {record['arm']}".replace("%", " %")


_COMPARED = (
    "",
    "sparsity",
    "{metric}",
    "weights",
    "FLOPs",
    "search",
    "s",
    "images/s",
    "memory",
)
_MEMORY = (
    "memory: the most that the process held until then, in the unpruned training before it too"
)


def comparison_table(rows: Sequence[Row], metric: str) -> rich.table.Table:
    """Return ways of pruning side by side; FLOPs and seconds also as change from unpruned.

    Args:
        rows: as `comparison.rows_of_run` returns them.
        metric: the name of the metric.
    """
    num_seeds = len(rows[0].values)
    spread = f"mean ± standard deviation of {num_seeds} seeds" if num_seeds > 1 else "one seed"
    table = rich.table.Table(
        title=f"training one ticket, {spread}; search: FLOPs to find it, besides",
        title_justify="left",
        caption=_MEMORY,
        caption_justify="left",
        box=rich.box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
    )
    for column in _columns(metric):
        table.add_column(column, justify="right" if column else "left", no_wrap=True)
    for row in rows:
        table.add_row(*_cells(row, rows[0]))
    return table


def write_comparison(path: pathlib.Path, rows: Sequence[Row], metric: str, title: str) -> None:
    """Write ways of pruning side by side as Markdown, JSON and figures.

    Args:
        path: a folder, made where there is none: gets `compare.md`, `compare.json` and `figures/`.
        rows: unpruned first.
        metric: the name of the deciding metric.
        title: what was compared.
    """
    figures = path / "figures"
    figures.mkdir(parents=True, exist_ok=True)
    columns = _columns(metric)
    lines = [columns, ["---"] * len(columns), *(_cells(row, rows[0]) for row in rows)]
    text = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    write_whole(path / "compare.md", f"{text}\n\n{_MEMORY}\n".encode())
    content = json.dumps([row.as_dict() for row in rows], indent=1)
    write_whole(path / "compare.json", content.encode())
    plots.compared_costs(rows, metric, figures / "compare.png", title)


def _columns(metric):
    return [column.format(metric=metric) for column in _COMPARED]


def _cells(row, unpruned):
    flops = f"{row.training_flops:.3g}{_change(row.training_flops, unpruned.training_flops)}"
    return [
        row.method,
        f"{row.weight_sparsity:.1%}".replace("%", " %"),
        _spread(row.values),
        f"{row.weights:,.0f}",
        flops,
        f"{row.search_flops:.3g}" if row.search_flops else "",
        f"{row.seconds:.1f}{_change(row.seconds, unpruned.seconds)}",
        f"{row.images_per_second:.0f}",
        f"{row.peak_memory_bytes / 1e9:.2f} GB",
    ]


def _change(value, whole):
    return "" if value == whole else f" ({value / whole - 1:+.0%})".replace("%", " %")
