"""Train the unpruned networks of a paper at one scale: had they settled, and what does it all take?

    python benchmarks/dense_trainings.py kalibhat2021 [EXHIBIT ...] --scale SCALE --output RUNS
        [--seeds 0 1] [--figure FILE]

For each network: the optimizer steps of a training, its seconds with evaluation, how many trainings
had settled (see `has_converged`), and what they gained in their last quarter, by the metric that
decides, or else by the one that they are followed by. Then the processor hours of all trainings of
the paper, if each takes as long as the dense one. Run folders are those of `scripts/reproduce.py
--output RUNS`, so nothing is trained twice.
"""

import argparse
import collections
import contextlib
import dataclasses

import matplotlib.figure
import numpy as np

from tf_tickets import engines
from tf_tickets.lab import EngineOptions
from tf_tickets.lab.job import Watcher, prepare_all
from tf_tickets.lab.metrics import METRICS
from tf_tickets.lab.papers import PAPERS
from tf_tickets.lab.papers.paper import Study, studies_of
from tf_tickets.lab.papers.plan import plan
from tf_tickets.search.convergence import has_converged
from tf_tickets.search.early_stopping import followed_metric

_COLUMNS = 4


@dataclasses.dataclass(frozen=True)
class Measured:
    """The dense trainings of a network.

    Attributes:
        name: of model and data.
        metric: by which a training is followed.
        records: lines of results.jsonl, one for each seed.
        num_trainings: of the network in the whole paper.
    """

    name: str
    metric: str
    records: list[dict]
    num_trainings: int

    @property
    def curves(self) -> list[list[float]]:
        """The metric on the way of each training."""
        return [[point["metrics"][self.metric] for point in r["curve"]] for r in self.records]

    @property
    def hours(self) -> float:
        """Of one processor core, for all trainings of the network."""
        seconds = [r["seconds"] + r["evaluation_seconds"] for r in self.records]
        return self.num_trainings * float(np.mean(seconds)) / 3600

    def __str__(self):
        higher = bool(METRICS[self.metric].higher_is_better)
        settled = sum(bool(has_converged(values, higher)) for values in self.curves)
        gains = " ".join(f"{100 * gain(values, higher):5.1f}" for values in self.curves)
        steps, params = self.records[0]["curve"][-1]["step"], self.records[0]["params"]
        seconds = 3600 * self.hours / self.num_trainings
        return (
            f"{self.name:<26} {params:>9,} {steps:>6,} {seconds:8.1f} {self.metric:<20} "
            f"{settled}/{len(self.records)} {gains:<14} {self.num_trainings:>6,} {self.hours:7.2f}"
        )


def gain(values, higher_is_better: bool) -> float:
    """Return by which fraction the last quarter of a curve is better than the one before."""
    quarter = max(1, len(values) // 4)
    before, last = np.mean(values[-2 * quarter : -quarter]), np.mean(values[-quarter:])
    return float((last - before if higher_is_better else before - last) / abs(before))


def measure(planned, scale, seeds, output, workers) -> list[Measured]:
    """Train each network of a paper without pruning it.

    Args:
        planned: as `papers.plan.plan` returns them.
        scale: of their runs.
        seeds: of the trainings.
        output: where the run folders are made.
        workers: trainings side by side, each with one thread.
    """
    trainings = collections.Counter()
    for each in planned:
        trainings[each.study.model, each.study.dataset] += each.num_trainings
    configs = [
        dataclasses.replace(scale.config(Study(*network)), seeds=seeds, threads=1)
        for network in trainings
    ]
    made = dense_records(configs, output, workers)
    directions = {name: card.higher_is_better for name, card in METRICS.items()}
    return [
        Measured(
            " on ".join(network),
            followed_metric(records, metric, directions),
            records,
            trainings[network],
        )
        for network, (metric, records) in zip(trainings, made, strict=True)
    ]


def dense_records(configs, output, workers) -> list[tuple[str, list[dict]]]:
    """Return the metric that decides and the dense records of each config."""
    jobs = prepare_all(configs, output, EngineOptions(engine="processes", workers=workers))
    with contextlib.ExitStack() as stack:
        plans = [stack.enter_context(job.entered(Watcher())).training for job in jobs]
        for each in plans:
            each.is_wanted = lambda stage, records: stage.arm == "dense"
            each.finish = lambda: None  # a run of dense networks alone has no figures
        records = engines.execute(plans, engines.Processes(workers))
    return [(job.prepared.metric, list(each)) for job, each in zip(jobs, records, strict=True)]


def draw(measured, path) -> None:
    """Draw the curves, one pair of axes for each network."""
    rows = -(-len(measured) // _COLUMNS)
    size = (3.5 * _COLUMNS, 3.2 * rows)
    figure = matplotlib.figure.Figure(figsize=size, layout="constrained")
    grid = figure.subplots(rows, _COLUMNS, squeeze=False).flat
    for each, axes in zip(measured, grid, strict=False):
        for record, values in zip(each.records, each.curves, strict=True):
            axes.plot([point["step"] for point in record["curve"]], values, "o-", markersize=3)
        axes.set_title(each.name, fontsize=10)
        axes.set(xlabel="optimizer steps", ylabel=each.metric)
    for unused in list(grid):
        unused.set_axis_off()
    figure.suptitle("Unpruned networks: the validation metric while they train, a line for a seed")
    figure.savefig(path, dpi=110)


def main():
    """Read the options, train, and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("paper", choices=list(PAPERS))
    parser.add_argument("exhibits", nargs="*")
    parser.add_argument("--scale", required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--output", required=True)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--figure")
    asked = parser.parse_args()
    paper = PAPERS[asked.paper]
    scale = paper.scale(asked.scale)
    planned = plan(studies_of(paper.chosen(asked.exhibits)), scale)
    measured = measure(planned, scale, tuple(asked.seeds), asked.output, asked.workers)
    print(
        f"{'':<26} {'params':>9} {'steps':>6}  seconds metric; settled; gain in %; trainings; hours"
    )
    print(*measured, sep="\n")
    hours = sum(each.hours for each in measured)
    print(f"all trainings, in hours of one processor core: {hours:.1f}")
    if asked.figure:
        draw(measured, asked.figure)


if __name__ == "__main__":
    main()
