"""The figures and tables of a paper: the studies that each needs, and how it is drawn."""

import dataclasses
import json
import pathlib
from collections.abc import Mapping, Sequence

from tf_tickets.files import write_whole
from tf_tickets.lab.arms import ARMS
from tf_tickets.lab.data import DATASETS
from tf_tickets.lab.models import MODELS
from tf_tickets.lab.papers.paper import Study
from tf_tickets.lab.ways import WAYS
from tf_tickets.runs.records import Records

# What stands in for a metric of Inception's features where there are none.
_STAND_INS = {"fid": "fcd", "kid": "kcd", "inception_score": "classifier_score"}


@dataclasses.dataclass(frozen=True)
class Shown:
    """What became of an exhibit.

    Attributes:
        picture: the file of the figure; None of a table.
        tables: a `show.tables.Table` for each table.
        charts: title, quantity and `Curve`s of `show.page.charts` for each panel that one can point
            at.
    """

    picture: pathlib.Path | None = None
    tables: tuple = ()
    charts: tuple[tuple[str, str, tuple], ...] = ()


@dataclasses.dataclass(frozen=True)
class Exhibit:
    """A figure or table of a paper.

    Attributes:
        name: under which commands know it, such as "figure-5".
        title: what it shows.
        shows: what the paper's has, in words and numbers that were read off it.
    """

    name: str
    title: str
    shows: str

    @property
    def studies(self) -> tuple[Study, ...]:
        """The searches that it needs."""
        raise NotImplementedError

    def titled(self, scale) -> str:
        """Return the title of a picture, and below it what stands in for the data of the paper."""
        replaced = {}
        for name in dict.fromkeys(study.dataset for study in self.studies):
            replaced.setdefault(scale.data[name].dataset, []).append(name)
        told = [
            f"{DATASETS[here].title} in place of {', '.join(DATASETS[n].title for n in names)}"
            for here, names in replaced.items()
            if names != [here]
        ]
        return f"{self.title}\nscale {scale.name}{': ' if told else ''}{', '.join(told)}"

    def write(self, runs: Mapping[Study, object], folder: pathlib.Path, scale) -> Shown:
        """Draw it, and return what was drawn.

        Args:
            runs: study -> its finished `Run`.
            folder: of the exhibits; it gets NAME.png, or NAME.md, and the numbers, NAME.json.
            scale: of the runs.
        """
        raise NotImplementedError


def measured(quantity: str, records: Sequence[dict]) -> str:
    """Return the metric that records have for one of the paper's: itself, or what stands in for it.

    Args:
        quantity: the paper's metric, such as "fid".
        records: lines of results.jsonl.
    """
    known = set().union(*(record["metrics"] for record in records))
    return quantity if quantity in known else _STAND_INS.get(quantity, quantity)


@dataclasses.dataclass(frozen=True)
class Curve:
    """One curve of a panel.

    Attributes:
        study: whose run it is of.
        arm: of the run.
        label: in the legend.
        color, marker: of its points.
    """

    study: Study
    arm: str
    label: str
    color: str
    marker: str = "o"


@dataclasses.dataclass(frozen=True)
class Panel:
    """One pair of axes: a quantity against network sparsity, for several curves and dense.

    Attributes:
        title: what stands above.
        quantity: the paper's metric, or "early_stopping_step".
        curves: what is drawn; the dense network is that of the first one's study.
    """

    title: str
    quantity: str
    curves: tuple[Curve, ...]


@dataclasses.dataclass(frozen=True)
class Curves(Exhibit):
    """Panels of curves against network sparsity.

    Attributes:
        panels: from left to right, row by row.
    """

    panels: tuple[Panel, ...] = ()

    @property
    def studies(self):
        """Those of all curves, each once."""
        return tuple(dict.fromkeys(c.study for panel in self.panels for c in panel.curves))

    def write(self, runs, folder, scale):
        """Draw the panels, and write their points."""
        from tf_tickets.lab.show.figures.panels import draw_panels

        drawn = [_drawn(panel, runs) for panel in self.panels]
        picture = folder / f"{self.name}.png"
        draw_panels(drawn, picture, self.titled(scale))
        content = json.dumps([dataclasses.asdict(panel) for panel in drawn], indent=1)
        write_whole(folder / f"{self.name}.json", content.encode())
        return Shown(picture, charts=tuple(_chart(panel, runs) for panel in self.panels))


def _drawn(panel, runs):
    from tf_tickets.lab.show.figures import panels

    sources = {curve.study: _records(panel.quantity, runs[curve.study]) for curve in panel.curves}
    of_first = sources[panel.curves[0].study]
    quantity = measured(panel.quantity, of_first)
    lines = [panels.dense_line(of_first, quantity)]
    if quantity == "classifier_accuracy" and (ceiling := panels.real_images_line(of_first)):
        lines.append(ceiling)
    for curve in panel.curves:
        points = panels.points_of(sources[curve.study], curve.arm, quantity, of_network=True)
        lines.append(panels.Line(curve.label, curve.color, curve.marker, points))
    return panels.DrawnPanel(panel.title, quantity, tuple(lines))


def _chart(panel, runs):
    from tf_tickets.lab.show.page.charts.look import Curve as ChartCurve

    sources = {curve.study: _records(panel.quantity, runs[curve.study]) for curve in panel.curves}
    of_first = Records(sources[panel.curves[0].study])
    dense = ARMS["dense"]
    curves = [ChartCurve("dense", dense.label, dense.color, "", of_first.where(arm="dense"))]
    for curve in panel.curves:
        records = Records(sources[curve.study]).where(arm=curve.arm)
        curves.append(ChartCurve(curve.label, curve.label, curve.color, curve.marker, records))
    return panel.title, measured(panel.quantity, of_first), tuple(curves)


def _records(quantity, run):
    from tf_tickets.lab.show.stopping import stop_records
    from tf_tickets.lab.show.styles import EARLY_STOPPING

    return stop_records(run.records, run.metric) if quantity == EARLY_STOPPING else run.records


@dataclasses.dataclass(frozen=True)
class Grid(Exhibit):
    """Rows of images by sparsity, the sparsest winning one boxed.

    Attributes:
        study: whose images are shown.
        arms: of which there are rows.
    """

    study: Study = None
    arms: tuple[str, ...] = ("winning",)

    @property
    def studies(self):
        """The one study."""
        return (self.study,)

    def write(self, runs, folder, scale):
        """Draw the rows."""
        from tf_tickets.lab.show.figures.images import draw_strips

        picture = folder / f"{self.name}.png"
        draw_strips(runs[self.study], picture, self.titled(scale), self.arms)
        return Shown(picture)


@dataclasses.dataclass(frozen=True)
class Costs(Exhibit):
    """Ways of pruning side by side: their metric, FLOPs and seconds, as a figure and as tables.

    Attributes:
        model, dataset: what is pruned.
        ways: names in `WAYS`.
        shown: the rounds of which there are rows; None for all that a scale compares.
    """

    model: str = ""
    dataset: str = ""
    ways: tuple[str, ...] = ()
    shown: tuple[int, ...] | None = None

    @property
    def studies(self):
        """One for each way, of tickets without a control."""
        return tuple(
            Study(self.model, self.dataset, way=way, arms=("winning",)) for way in self.ways
        )

    def write(self, runs, folder, scale):
        """Draw the figure, and write the tables and their rows; steps are timed here."""
        from tf_tickets.lab.comparison import compare
        from tf_tickets.lab.show.compared import comparison_tables
        from tf_tickets.lab.show.figures import compared_costs

        by_way = {WAYS[study.way]: runs[study] for study in self.studies}
        rounds = [r for r in scale.compared if self.shown is None or r in self.shown]
        rows = compare(by_way, self.ways, rounds or scale.compared[-1:])
        metric = next(iter(by_way.values())).metric
        picture, tables = folder / f"{self.name}.png", comparison_tables(rows, metric)
        compared_costs(rows, metric, picture, self.titled(scale))
        text = "\n".join(f"{table.title}\n\n{table.markdown()}" for table in tables)
        write_whole(folder / f"{self.name}.md", text.encode())
        content = json.dumps([row.as_dict() for row in rows], indent=1)
        write_whole(folder / f"{self.name}.json", content.encode())
        return Shown(picture, tuple(tables))


@dataclasses.dataclass(frozen=True)
class Sizes(Exhibit):
    """A table of models: their size, the sparsity of their winning tickets, and what is left.

    Attributes:
        found: pairs of a study and the sparsity of the paper's winning ticket.
    """

    found: tuple[tuple[Study, float], ...] = ()

    @property
    def studies(self):
        """One for each row."""
        return tuple(study for study, _ in self.found)

    def write(self, runs, folder, scale):
        """Write the table."""
        rows = [_size_row(study, sparsity, runs[study]) for study, sparsity in self.found]
        table = _size_table(rows)
        write_whole(folder / f"{self.name}.md", table.markdown().encode())
        write_whole(folder / f"{self.name}.json", json.dumps(rows, indent=1).encode())
        return Shown(tables=(table,))


def _size_row(study, sparsity, run) -> dict:
    verdict, dense = run.verdict, run.records.dense[0]
    found = verdict.comparison
    return {
        "model": study.model,
        "dataset": study.dataset,
        "paper_params": MODELS[study.model].paper_params,
        "paper_sparsity": sparsity,
        "params": dense["params"],
        "verdict": verdict.kind,
        "sparsity": found and found.weight_sparsity,
        "params_left": found and round(dense["params"] - found.weight_sparsity * dense["prunable"]),
        "seeds": list(verdict.seeds),
    }


def _size_table(rows):
    from tf_tickets.lab.show.tables import Table
    from tf_tickets.lab.show.words import percent

    return Table(
        "models, and the sparsity of their winning tickets",
        ("", "data", "params, paper", "params, here", "sparsity, paper", "here", "left", "verdict"),
        tuple(
            (
                row["model"],
                row["dataset"],
                f"{row['paper_params']:,}",
                f"{row['params']:,}",
                percent(row["paper_sparsity"], 1),
                "" if row["sparsity"] is None else percent(row["sparsity"], 1),
                "" if row["params_left"] is None else f"{row['params_left']:,}",
                row["verdict"],
            )
            for row in rows
        ),
        "here: at this scale, whose networks and data are others than the paper's.",
    )
