"""Tables of a run: for a terminal, and as Markdown."""

import dataclasses
from collections.abc import Sequence

import rich.box
import rich.table

from tf_tickets.lab.arms import ARMS
from tf_tickets.runs.records import Records, deviation, mean
from tf_tickets.search.verdict import Comparison


@dataclasses.dataclass(frozen=True)
class Table:
    """Words in rows and columns; a rich console prints it as it is.

    Attributes:
        title: what stands above.
        columns: the heads; a column without one is set to the left, others to the right.
        rows: a cell for each column.
        caption: what stands below, if anything.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    caption: str | None = None

    def __rich__(self) -> rich.table.Table:
        table = rich.table.Table(
            title=self.title,
            title_justify="left",
            caption=self.caption,
            caption_justify="left",
            box=rich.box.SIMPLE_HEAD,
            padding=(0, 1, 0, 0),
        )
        for column in self.columns:
            table.add_column(column, justify="right" if column else "left", no_wrap=True)
        for row in self.rows:
            table.add_row(*row)
        return table

    def markdown(self) -> str:
        """Return the table as Markdown, without its title."""
        lines = [self.columns, ["---"] * len(self.columns), *self.rows]
        text = "\n".join(f"| {' | '.join(line)} |" for line in lines)
        return f"{text}\n\n{self.caption}\n" if self.caption else f"{text}\n"


def tables(run) -> list[Table]:
    """Return the tables of a run: its rounds and, if trainings were watched, where to stop.

    Args:
        run: a `Run`, which is a view of a run folder.
    """
    made = [rounds_table(run.records, run.comparisons, run.metric, run.winner)]
    if any(len(curve) > 1 for curve in run.records.field("curve")):
        made.append(early_stopping_table(run.records, run.comparisons, run.metric))
    return made


def rounds_table(
    records: Sequence[dict],
    comparisons: Sequence[Comparison],
    metric: str,
    winner: Comparison | None,
) -> Table:
    """Return a table with one row per round: sparsity, each arm's metric, p, and the verdict.

    Args:
        records: of all rounds, as `TicketSearch.run` returns them.
        comparisons: of them, as `compare_arms` returns them.
        metric: the one that decides.
        winner: the winning ticket's comparison, or None if no round wins.
    """
    records = Records(records)
    arms, dense = _arms_of(records), records.dense
    rows = [("0", "0.00 %", f"{dense[0]['kept']:,}", _spread(dense.values(metric)))]
    rows[0] += ("",) * len(arms) + ("dense",)
    for comparison in comparisons:
        of_round = records.where(round=comparison.round)
        ticket = of_round.where(arm=comparison.arm)[0]
        rows.append(
            (
                str(comparison.round),
                _percent(comparison.weight_sparsity, 2),
                f"{ticket['kept']:,}",
                *(_spread(of_round.where(arm=arm).values(metric)) for arm in arms),
                "" if comparison.p is None else f"{comparison.p:.2g}",
                _verdict(comparison, winner),
            )
        )
    title = f"{metric} by round, {_of_seeds(records.num_seeds)}"
    return Table(title, ("round", "sparsity", "kept", *arms, "p", ""), tuple(rows))


def early_stopping_table(
    records: Sequence[dict], comparisons: Sequence[Comparison], metric: str
) -> Table:
    """Return a table with the steps at which trainings could have stopped: see `follow_curve`.

    Args:
        records: of all rounds, as `TicketSearch.run` returns them.
        comparisons: of them, as `compare_arms` returns them.
        metric: the one by which they could have stopped.
    """
    records = Records(records)
    arms = _arms_of(records)

    def steps(group):
        return _spread(group.values(metric, of="early_stopping_step"))

    rows = [("0", "0.00 %", f"{steps(records.dense)} dense", *("",) * (len(arms) - 1))]
    for comparison in comparisons:
        of_round = records.where(round=comparison.round)
        cells = (steps(of_round.where(arm=arm)) for arm in arms)
        rows.append((str(comparison.round), _percent(comparison.weight_sparsity, 2), *cells))
    title = f"early-stopping step by round, for {metric}, {_of_seeds(records.num_seeds)}"
    return Table(title, ("round", "sparsity", *arms), tuple(rows))


def _arms_of(records):
    """Return the arms that have a column: all that there are but dense, in the order of cards."""
    return [name for name in ARMS if name in records.arms and name != "dense"]


def _of_seeds(num_seeds):
    return f"mean ± standard deviation of {num_seeds} seeds" if num_seeds > 1 else "one seed"


def _percent(fraction, digits):
    return f"{100 * fraction:.{digits}f} %"


def _spread(values):
    if not values:
        return ""
    spread = deviation(values)
    return f"{mean(values):.4g}" + ("" if spread is None else f" ± {spread:.2g}")


def _verdict(comparison, winner):
    if comparison == winner:
        return "winning ticket"
    if comparison.wins:
        return "wins"
    return "matches" if comparison.within_tolerance else ""
