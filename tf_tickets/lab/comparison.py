"""Ways of pruning side by side: what each costs, and how good its tickets are.

Source: Kalibhat et al., 2021, arXiv:2010.02350, table 2 and fig. 7.
"""

import dataclasses
import math
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from tf_tickets.lab.comparison_tests import Paired, holm, paired
from tf_tickets.lab.experiment import Experiment
from tf_tickets.lab.recipes import Recipe
from tf_tickets.lab.run_costs import RunCosts, StepCosts, first_batches
from tf_tickets.lab.run_view import Run
from tf_tickets.lab.ways import Way, sparsity_after
from tf_tickets.runs.records import Records, deviation


@dataclasses.dataclass(frozen=True)
class Row:
    """One way of pruning, at one sparsity, over all seeds.

    Attributes:
        method: "unpruned", or the name of a way in `WAYS`.
        arm: "dense", "winning", or "random": the control of slim tickets, which has their widths
            and fresh weights.
        asked_sparsity: fraction of the kernels' weights that was to go; the same for all ways.
        weight_sparsity: that is gone, in [0, 1).
        values: seed -> the deciding metric, on test images.
        num_collapsed: of how many seeds the training collapsed; one that ended without a finite
            value is not among the values.
        weights: trainable parameters that are kept.
        flops: seed -> of the training of one ticket from its first step, those to the rewind point
            among them, and of its pruning.
        search_flops: of all other trainings and pruning that it took to find it.
        step_seconds: seed -> of all steps of the training of one ticket, at the time that a step of
            its kind takes: masked, slim or whole.
        search_seconds: of the steps of all other trainings that it took to find it.
        draw_seconds: of finding the masks, scores included, as the run has recorded them; None if
            it has not.
        tracing_seconds: that the first step of each kind takes on top.
        evaluation_seconds: of the evaluations, as `draw_seconds`.
        images_per_second: of the steps.
        change: of the metric from the unpruned network, paired by seed; None for itself.
        corrected_p: the p of the change, corrected over all rows of the table.

    What is no metric is a mean over the seeds.
    """

    method: str
    arm: str
    asked_sparsity: float
    weight_sparsity: float
    values: Mapping[int, float]
    num_collapsed: int
    weights: float
    flops: Mapping[int, float]
    search_flops: float
    step_seconds: Mapping[int, float]
    search_seconds: float
    draw_seconds: float | None
    tracing_seconds: float
    evaluation_seconds: float | None
    images_per_second: float
    change: Paired | None = None
    corrected_p: float | None = None

    @property
    def name(self) -> str:
        """What tables and figures call it."""
        return f"{self.method} {self.arm}" if self.arm == "random" else self.method

    @property
    def mean(self) -> float:
        """The metric's mean over the seeds; NaN if none has a value."""
        return float(np.mean(list(self.values.values()))) if self.values else math.nan

    @property
    def training_flops(self) -> float:
        """The mean of `flops`."""
        return _mean(self.flops.values())

    @property
    def seconds(self) -> float:
        """The mean of `step_seconds`."""
        return _mean(self.step_seconds.values())

    @property
    def spread(self) -> float | None:
        """The metric's standard deviation over the seeds (n - 1), or None of one seed."""
        return deviation(self.values.values())

    def as_dict(self) -> dict:
        """Return the row as JSON can hold it."""
        mean = self.mean if self.values else None
        costs = {"training_flops": self.training_flops, "seconds": self.seconds}
        return {**dataclasses.asdict(self), "mean": mean, "spread": self.spread, **costs}


def compare(runs: Mapping[Way, Run], asked: Sequence[str], rounds: Sequence[int]) -> list[Row]:
    """Return the rows of all ways: unpruned first, then by the sparsity that was asked for.

    Steps are timed here, so nothing else should be trained meanwhile.

    Args:
        runs: way -> its finished run; the first shows the unpruned network.
        asked: names of the ways to show.
        rounds: of iterative pruning, those that are compared.
    """
    steps = StepCosts()
    experiments = {way: experiment_of(run) for way, run in runs.items()}
    costs = {
        way: RunCosts(run.config.method, _trained(run.records), run.path, experiments[way], steps)
        for way, run in runs.items()
    }
    # All runs are of the same images and batches.
    steps.measure(first_batches(next(iter(experiments.values()))))
    rows = [row for way, run in runs.items() for row in rows_of_run(way, run, costs[way], rounds)]
    unpruned = rows[0]
    shown = [row for row in rows if row.arm != "dense" and row.method in asked]
    shown.sort(key=lambda row: row.asked_sparsity)  # which leaves the ways in their order
    return with_tests([unpruned, *shown])


def experiment_of(run: Run) -> Experiment:
    """Return the experiment that a run was made of, in the precision that it was made in."""
    data = run.config.data
    return Experiment(Recipe(**run.settings["recipe"]), data.limit, data.data_dir)


def rows_of_run(way: Way, run: Run, costs: RunCosts, rounds: Sequence[int]) -> list[Row]:
    """Return the row of a run's dense network, and those of its tickets and their controls.

    Args:
        way: what the run was made by.
        run: a finished run.
        costs: of it, whose steps were measured.
        rounds: of iterative pruning, those that are compared.
    """
    return list(_rows(way.name, run.records, costs, run.metric, _asked(run.config.method, rounds)))


def _asked(method, rounds) -> dict[int, float]:
    """Return the rounds of a run that are compared, and the sparsity each was asked for."""
    if method.iterates:
        return {number: sparsity_after(number) for number in rounds}
    return dict(enumerate(method.weight_sparsity, start=1))


def _rows(name, records, costs, metric, asked) -> Iterator[Row]:
    yield _row("unpruned", 0.0, records.where(arm="dense"), records, costs, metric)
    for number, sparsity in asked.items():
        for arm in ("winning", "random"):
            group = records.where(round=number, arm=arm)
            if _trained(group):
                yield _row(name, sparsity, group, records, costs, metric)


def _trained(records) -> Records:
    """Return the records of trainings, without those that had nothing left to be trained on."""
    return Records(record for record in records if record["curve"])


def _row(name, asked_sparsity, group, records, costs, metric):
    trained = _trained(group)
    whole = [(*costs.to_rewind_point(record), *costs.parts(record)) for record in trained]
    seeds, seconds = trained.field("seed"), [costs.seconds_of(parts) for parts in whole]
    flops = [
        costs.flops_of(parts) + costs.pruning_flops(record)
        for parts, record in zip(whole, trained, strict=True)
    ]
    before = [_before(record, records, costs) for record in trained]
    return Row(
        method=name,
        arm=group[0]["arm"],
        asked_sparsity=asked_sparsity,
        weight_sparsity=_mean(trained.field("weight_sparsity")),
        values=dict(_values(group, metric)),
        num_collapsed=sum(bool(record.get("collapsed")) for record in group),
        weights=_mean(map(costs.weights, trained)),
        flops=dict(zip(seeds, flops, strict=True)),
        search_flops=_mean(flops for flops, _ in before),
        step_seconds=dict(zip(seeds, seconds, strict=True)),
        search_seconds=_mean(of_search for _, of_search in before),
        draw_seconds=_mean_recorded(trained, "draw_seconds"),
        tracing_seconds=_mean(map(costs.tracing_seconds, trained)),
        evaluation_seconds=_mean_recorded(trained, "evaluation_seconds"),
        images_per_second=_mean(
            costs.num_images(record) / taken for record, taken in zip(trained, seconds, strict=True)
        ),
    )


def _before(record, records, costs) -> tuple[int, float]:
    """Return FLOPs and seconds of the trainings that a ticket was found by, besides its own.

    Its own has the steps to the rewind point, which the dense network took: they count once.
    """
    stages = costs.stages_before(record, records)
    if not stages:
        return 0, 0.0
    own = costs.to_rewind_point(record)
    flops = sum(map(costs.flops, stages)) - costs.flops_of(own)
    seconds = sum(costs.seconds_of(costs.parts(stage)) for stage in stages)
    return flops, seconds - costs.seconds_of(own)


def _values(group, metric) -> Iterator[tuple[int, float]]:
    """Yield seed and metric on the test images, of the trainings that ended with a number."""
    for record in group:
        value = (record.get("test_metrics") or record["metrics"]).get(metric)
        if value is not None and math.isfinite(value):
            yield record["seed"], value


def _mean(values):
    return float(np.mean(list(values)))


def _mean_recorded(records, name) -> float | None:
    found = [record[name] for record in records if record.get(name) is not None]
    return _mean(found) if found else None


def with_tests(rows: Sequence[Row]) -> list[Row]:
    """Return rows with the change of each from the first, and p corrected over all of them.

    Args:
        rows: unpruned first.
    """
    unpruned, *others = rows
    # A metric that can be zero or less has no ratios; one column holds one kind of number.
    as_ratio = all(value > 0 for row in rows for value in row.values.values())
    changes = [paired(row.values, unpruned.values, as_ratio) for row in others]
    corrected = holm([change and change.p for change in changes])
    return [
        unpruned,
        *(
            dataclasses.replace(row, change=change, corrected_p=p)
            for row, change, p in zip(others, changes, corrected, strict=True)
        ),
    ]
