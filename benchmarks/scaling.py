"""Simulate how long a search takes with more workers, from the times of a run that was made.

    python benchmarks/scaling.py RUN [--seeds 5] [--arms 3] [--rounds 20] [--figure FILE]

The stages of a search of that size go through the queue that the engines use. Each takes the time
of a stage of the run, drawn at random from those of the same kind. The bound is what no order can
beat: the longest chain of stages, or all work over the workers. The target is 1.10 times the bound.
"""

import argparse
import heapq
import itertools
import types

import matplotlib.figure
import numpy as np

import tf_tickets as tt
from tf_tickets.engines import Queue, Stage

ARMS = ("winning", "random", "shuffled")


def stages_of(seeds: int, arms: int, rounds: int) -> list[Stage]:
    """Return the stages of a search by iterative magnitude pruning."""
    of_rounds = list(itertools.product(range(1, rounds + 1), ARMS[:arms]))
    stages = []
    for seed in range(seeds):
        stages.append(Stage(seed, 0, "dense"))
        stages += [Stage(seed, number, arm) for number, arm in of_rounds]
    return stages


def sources_of(stage: Stage) -> list[Stage]:
    """Return the stages that one is made from."""
    if stage.arm == "dense":
        return []
    if stage.arm != "winning":
        return [stage.of_arm("winning")]
    before = Stage(stage.seed, stage.round - 1, "winning")
    return [before if stage.round > 1 else stage.dense]


def drawn_times(stages, records: tt.Records, overhead: float, seed: int) -> dict[Stage, float]:
    """Return a time for each stage, drawn from those of the same kind in a run."""
    random = np.random.default_rng(seed)
    times = {}
    for stage in stages:
        arm = stage.arm if stage.arm in records.arms else "winning"
        times[stage] = overhead + random.choice(records.where(arm=arm).field("seconds"))
    return times


def simulated_seconds(stages, times: dict[Stage, float], workers: int) -> float:
    """Return when the last stage ends, if workers take the stages from the engines' queue."""
    queue = Queue([types.SimpleNamespace(stages=stages, sources=sources_of)])
    now, running, tick = 0.0, [], itertools.count()
    while not queue.is_finished:
        while len(running) < workers and (item := queue.take()):
            heapq.heappush(running, (now + times[item.stage], next(tick), item))
        now, _, item = heapq.heappop(running)
        queue.finish(item, times[item.stage])
    return now


def bound(stages, times: dict[Stage, float], workers: int) -> float:
    """Return the time that no order can beat."""
    chains = {}
    for stage in stages:
        before = max((chains[source] for source in sources_of(stage)), default=0.0)
        chains[stage] = before + times[stage]
    return max(max(chains.values()), sum(times.values()) / workers)


def draw(rows, path: str, title: str) -> None:
    """Draw wall time and bound against workers."""
    workers, seconds, bounds = (np.array(column) for column in zip(*rows, strict=True))
    figure = matplotlib.figure.Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.subplots()
    axes.loglog(workers, seconds / 60, "o-", color="#0072B2", label="simulated")
    axes.loglog(workers, bounds / 60, "--", color="#444444", label="bound: chain or work")
    axes.set_xticks(workers, [str(number) for number in workers])
    axes.minorticks_off()
    ticks = [tick for tick in (1, 2, 5, 10, 20, 50, 100) if tick < 1.3 * seconds[0] / 60]
    axes.set_yticks(ticks, [str(tick) for tick in ticks])
    axes.set_xlabel("workers, one training each")
    axes.set_ylabel("wall time (minutes)")
    axes.set_title(title, loc="left")
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(color="#dddddd")
    axes.legend(frameon=False)
    figure.savefig(path, dpi=150)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", help="the folder of a finished run with one training at a time")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--arms", type=int, default=3, choices=(1, 2, 3))
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--overhead", type=float, default=1.5, help="seconds of a stage besides")
    parser.add_argument("--draws", type=int, default=10, help="simulations for each number")
    parser.add_argument("--figure", help="a PNG file to draw")
    given = parser.parse_args()
    stages = stages_of(given.seeds, given.arms, given.rounds)
    records, rows, worst = tt.Records.read(given.run), [], 0.0
    print(f"{len(stages)} trainings\nworkers  minutes  bound  ratio  speedup")
    for workers in (1, 2, 4, 8, 16, 32, 64):
        found = []
        for seed in range(given.draws):
            times = drawn_times(stages, records, given.overhead, seed)
            found.append((simulated_seconds(stages, times, workers), bound(stages, times, workers)))
        seconds, bounds = np.mean(found, axis=0)
        worst = max(worst, *(made / least for made, least in found))
        rows.append((workers, seconds, bounds))
        print(
            f"{workers:7d}  {seconds / 60:7.1f}  {bounds / 60:5.1f}  {seconds / bounds:5.3f}"
            f"  {rows[0][1] / seconds:7.1f}"
        )
    print(f"worst ratio of all: {worst:.3f} (target: at most 1.10)")
    if given.figure:
        size = f"{given.seeds} seeds, {given.arms} arms, {given.rounds} rounds"
        draw(rows, given.figure, f"A search of {size}")


if __name__ == "__main__":
    main()
