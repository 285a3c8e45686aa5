"""Tables of a run: for a terminal, and as Markdown."""

import dataclasses
from collections.abc import Sequence

import rich.box
import rich.table

from tf_tickets.lab.arms import ARMS
from tf_tickets.lab.show.stopping import stops_of, was_watched
from tf_tickets.lab.show.words import of_seeds, percent, spread
from tf_tickets.runs.records import Records, mean
from tf_tickets.search.decision import MATCH_LEVEL
from tf_tickets.search.pairs import metric_of
from tf_tickets.search.verdict import Verdict


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
    """Return the tables of a run: its rounds, the test images, and where trainings could stop.

    Args:
        run: a `Run`, which is a view of a run folder.
    """
    made = [rounds_table(run.records, run.verdict, run.metric)]
    if run.tested:
        made.append(tested_table(run.records, run.verdict, run.tested, run.metric))
    if was_watched(run.records, run.metric):
        made.append(early_stopping_table(run.records, run.verdict, run.metric))
    return made


def rounds_table(records: Sequence[dict], verdict: Verdict, metric: str) -> Table:
    """Return a table with one row per round: sparsity, each arm's metric, and what follows.

    Args:
        records: of all rounds, as `TicketSearch.run` returns them.
        verdict: on them, as `judge` returns it.
        metric: the one that decides.
    """
    records = Records(records)
    arms, own = _arms_of(records), any(c.own_gap is not None for c in verdict.comparisons)
    with_kept = len(arms) < 3  # a table of three arms has no room for it
    rows = [["0", "0.00 %", f"{records.dense[0]['kept']:,}"][: 2 + with_kept]]
    rows[0] += [_of_arm(records, 0, "dense", metric), *[""] * (len(arms) + 1 + own), "dense"]
    for comparison in verdict.comparisons:
        kept = records.where(round=comparison.round, arm=comparison.arm)[0]["kept"]
        rows.append(
            [
                str(comparison.round),
                percent(comparison.weight_sparsity, 2),
                *[f"{kept:,}"] * with_kept,
                *(_of_arm(records, comparison.round, arm, metric) for arm in arms),
                _bounded(verdict, comparison.gap, comparison.gap_bound),
                *[_bound(verdict, comparison.own_bound)] * own,
                "" if comparison.level is None else _p(comparison.p),
                _said_of(comparison, verdict),
            ]
        )
    return Table(
        f"{metric} by round, {of_seeds(records.num_seeds)}",
        (
            *("round", "sparsity", "kept")[: 2 + with_kept],
            *arms,
            "% worse",
            *["than own"] * own,
            "p",
            "",
        ),
        tuple(map(tuple, rows)),
        _caption(verdict, own, any(record.get("collapsed") for record in records)),
    )


def tested_table(records: Sequence[dict], verdict: Verdict, tested: Verdict, metric: str) -> Table:
    """Return a table with what the test images say of each round; they have chosen none.

    Args:
        records: of all rounds, with `test_metrics`.
        verdict: on the validation images.
        tested: the same, by `test_metrics`.
        metric: the one that decides.
    """
    records = Records(records)
    arms, of = _arms_of(records), "test_metrics"
    dense = _of_arm(records, 0, "dense", metric, of)
    rows = [["0", dense, *[""] * (len(arms) + 1), "dense"]]
    for comparison, shown in zip(verdict.comparisons, tested.comparisons, strict=True):
        rows.append(
            [
                str(comparison.round),
                *(_of_arm(records, comparison.round, arm, metric, of) for arm in arms),
                _bounded(tested, shown.gap, shown.gap_bound),
                _p(shown.p),
                _said_of(comparison, verdict),
            ]
        )
    return Table(
        f"{metric} on test images, which have chosen no round, {of_seeds(records.num_seeds)}",
        ("round", *arms, "% worse", "p", ""),
        tuple(map(tuple, rows)),
    )


def early_stopping_table(records: Sequence[dict], verdict: Verdict, metric: str) -> Table:
    """Return a table with the steps at which trainings had come as far as dense.

    Args:
        records: of all rounds, as `TicketSearch.run` returns them.
        verdict: on them, as `judge` returns it.
        metric: the one that decides; if trainings were not watched by it, another takes its place.
    """
    stops = stops_of(records, metric)
    stopped = Records({**r, "step": step} for r, step in zip(records, stops.steps, strict=True))
    arms = _arms_of(stopped)

    def steps(number, arm):
        group = stopped.where(round=number, arm=arm)
        return _of_known([record["step"] for record in group], digits=0)

    rows = [("0", "0.00 %", f"{steps(0, 'dense')} dense", *("",) * (len(arms) - 1))]
    for comparison in verdict.comparisons:
        cells = (steps(comparison.round, arm) for arm in arms)
        rows.append((str(comparison.round), percent(comparison.weight_sparsity, 2), *cells))
    title = f"step at which a training is {stops.target}, {of_seeds(stopped.num_seeds)}"
    return Table(title, ("round", "sparsity", *arms), tuple(rows))


def metrics_table(records: Sequence[dict]) -> Table:
    """Return a table with all metrics of each round and arm, on the images that choose.

    Args:
        records: of all rounds, as `TicketSearch.run` returns them.
    """
    records = Records(records)
    names = records.metrics
    rows = []
    for (number, _, arm), group in _by_round_and_arm(records):
        sparsity = percent(mean(group.field("weight_sparsity")), 2)
        values = ([(r.get("metrics") or {}).get(name) for r in group] for name in names)
        rows.append((str(number), sparsity, arm, *map(_of_known, values)))
    title = f"all metrics, {of_seeds(records.num_seeds)}"
    return Table(title, ("round", "sparsity", "arm", *names), tuple(rows))


def _by_round_and_arm(records):
    """Return (round, place of the arm among cards, arm) and its records, in this order."""
    places = {name: place for place, name in enumerate(ARMS)}
    groups = records.by("round", "arm").items()
    keyed = [((n, places[arm], arm), group) for (n, arm), group in groups]
    return sorted(keyed, key=lambda pair: pair[0])


def _arms_of(records):
    """Return the arms that have a column: all that there are but dense, in the order of cards."""
    return [name for name in ARMS if name in records.arms and name != "dense"]


def _of_arm(records, number, arm, metric, of="metrics"):
    group = records.where(round=number, arm=arm)
    return _of_known([metric_of(record, metric, of) for record in group])


def _of_known(values, digits=None):
    """Return the spread of the values that there are, and how many these are if not all."""
    known = [value for value in values if value is not None]
    few = "" if len(known) == len(values) else f" {len(known)}/{len(values)}"
    return f"{spread(known, digits)}{few}".strip()


def _bounded(verdict, worse_by, bound):
    """Return by how many percent something is worse, and its bound."""
    if worse_by is None:
        return ""
    fractions = [worse_by] if bound is None else [worse_by, bound]
    return " ≤ ".join(_signed_percent(verdict, value) for value in fractions)


def _bound(verdict, bound):
    return "" if bound is None else f"≤ {_signed_percent(verdict, bound)}"


def _signed_percent(verdict, worse_by):
    value = 100 * verdict.fraction(worse_by)
    return f"{value:+.0f}" if abs(value) >= 100 else f"{value:+.1f}"


def _p(value):
    return "" if value is None else f"{value:.2g}" if value >= 0.0001 else f"{value:.0e}"


def _said_of(comparison, verdict):
    if comparison == verdict.comparison:
        return verdict.kind
    return "matches" if comparison.matches else ""


def _caption(verdict, own, collapsed):
    level, tolerance = f"{100 * (1 - MATCH_LEVEL):.0f} %", f"{100 * verdict.tolerance:g} %"
    words = (
        f"% worse: the ticket than dense, in pairs of a seed: mean ≤ upper {level} bound. It "
        f"matches if this bound is at most {tolerance}, our choice, not the paper's. "
        "p: that random is no worse than the ticket, where this was asked."
    )
    words += " than own: the bound for the ticket and the model's own." * own
    return words + " 4/5: only 4 of 5 seeds have a value." * collapsed
