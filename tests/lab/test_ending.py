"""A search by rounds ends once no verdict can reach a later round."""

import dataclasses
import itertools

import numpy as np
import pytest

import tf_tickets as tt
from tf_tickets.engines import Stage
from tf_tickets.lab import Data, Judging, RunConfig, Training
from tf_tickets.lab.ending import Ending
from tf_tickets.lab.methods import EarlyBird, IterativeMagnitude, Snip
from tf_tickets.lab.run_view import Run

SEEDS = (0, 1)


@pytest.fixture
def run(tmp_path):
    """Return a view of a run of four rounds, by a metric."""

    def make(metric="loss", first_metric=None, **method):
        origin = {"metric": first_metric or metric}
        with tt.RunFolder(tmp_path / "run", {}, origin):
            config = RunConfig(method=IterativeMagnitude(rounds=4, **method), seeds=SEEDS)
            return Run(tmp_path / "run", config, metric)

    return make


def records_of(tickets, dense=1.0, metric="loss", arms=("winning", "random")):
    """Records of a search whose tickets have these values, by round."""
    values = [("dense", 0, dense), *((arm, n, v) for n, v in tickets.items() for arm in arms)]
    return [
        {
            **{"seed": seed, "round": number, "arm": arm, "weight_sparsity": 1 - 0.8**number},
            "metrics": {metric: value},
        }
        for arm, number, value in values
        for seed in SEEDS
    ]


def last_round(ending, records):
    wanted = [n for n in range(1, 5) if ending.is_wanted(Stage(0, n, "winning"), records)]
    return wanted[-1]


@pytest.mark.parametrize(
    ("tickets", "last"),
    [
        ({}, 4),
        ({1: 1.0}, 4),
        ({1: 1.19, 2: 1.19, 3: 1.19}, 4),  # within any tolerance that is shown
        ({1: 1.21}, 1),
        ({1: 1.0, 2: 1.21}, 2),
        ({1: 1.0, 2: 1.21, 3: 1.0}, 2),  # once asked, the rounds after it count for nothing
    ],
)
def test_the_first_round_that_is_worse_is_the_last(run, tickets, last):
    assert last_round(Ending(run()), records_of(tickets)) == last


def test_all_seeds_have_to_be_there(run):
    records = records_of({1: 2.0})
    for left_out in records:
        if left_out["arm"] != "random":
            assert last_round(Ending(run()), [r for r in records if r is not left_out]) == 4


def test_a_metric_of_which_higher_is_better(run):
    for value, last in ((1.5, 4), (0.81, 4), (0.79, 1)):
        records = records_of({1: value}, metric="classifier_accuracy")
        assert last_round(Ending(run("classifier_accuracy")), records) == last


def test_a_metric_that_trainings_do_not_end_with_ends_no_search(run):
    assert last_round(Ending(run("fid")), records_of({1: 9.0})) == 4


def test_the_metric_that_was_asked_for_first_decides(run):
    """So that a finished run that is asked for another trains nothing."""
    ending = Ending(run(metric="fcd", first_metric="loss"))
    records = records_of({1: 2.0})
    assert last_round(ending, records) == 1
    for record in records:
        record["metrics"]["fcd"] = 1.0
    assert last_round(ending, records) == 1


def test_the_order_in_which_records_come_does_not_matter(run):
    tickets = {1: 1.0, 2: 1.1, 3: 1.5, 4: 1.0}
    records, found = records_of(tickets), set()
    for order in itertools.islice(itertools.permutations(range(len(records))), 0, 10**6, 99_991):
        ending, seen = Ending(run()), []
        unwanted = set()
        for index in order:
            seen.append(records[index])
            now = {n for n in range(1, 5) if not ending.is_wanted(Stage(0, n, "random"), seen)}
            assert unwanted <= now, "what is unwanted stays so"
            unwanted = now
        found.add(frozenset(unwanted))
    assert found == {frozenset({4})}


def test_which_methods_end_early():
    assert IterativeMagnitude().ends_early and not IterativeMagnitude(all_rounds=True).ends_early
    assert not Snip().ends_early and not EarlyBird().ends_early


SMALL = RunConfig(
    "linear-ae",
    IterativeMagnitude(rounds=3, rewind_step=1, rate=0.5),
    Data("digits", image_size=8, limit=32),
    Training(epochs=2, batch_size=16),
    seeds=SEEDS,
    arms=("winning",),
)


PROTOCOL = {"generated": "reconstructions"}


@pytest.fixture
def worse(monkeypatch):
    """Let tickets be as good as dense in round 1, and twice as bad from round 2 on."""
    from tf_tickets.lab.experiment import Experiment

    def evaluate(experiment, model):
        kernels = [kernel.numpy() for kernel in tt.prunable(model)]
        kept = sum(map(np.count_nonzero, kernels)) / sum(kernel.size for kernel in kernels)
        return {"loss": 1.0, "reconstruction_loss": 1.0 if kept > 0.3 else 2.0}, PROTOCOL

    def watch(experiment, model):
        return evaluate(experiment, model)[0]

    monkeypatch.setattr(Experiment, "load_features", lambda experiment, tell=None: None)
    monkeypatch.setattr(Experiment, "evaluate", evaluate)
    monkeypatch.setattr(Experiment, "test", evaluate)
    monkeypatch.setattr(Experiment, "watch", watch)


def rounds_of(run):
    return sorted({(record["seed"], record["round"]) for record in run.records})


@pytest.mark.slow
def test_a_run_ends_early_unless_all_rounds_are_asked_for(worse, tmp_path):
    run = tt.lab.run(SMALL, tmp_path)
    # Seed 0 was at its end before seed 1 showed that round 2 is the last.
    assert (run.path / "seed-0/round-03").exists() and not (run.path / "seed-1/round-03").exists()
    assert rounds_of(run) == [(seed, n) for seed in SEEDS for n in (0, 1, 2)]
    assert Run.open(run.path).records == run.records
    seals = {file: file.stat().st_mtime_ns for file in run.path.rglob("done.json")}
    again = tt.lab.run(SMALL, tmp_path)
    assert again.records == run.records
    assert {file: file.stat().st_mtime_ns for file in run.path.rglob("done.json")} == seals
    by_loss = dataclasses.replace(SMALL, judging=Judging(metric="loss"))
    assert rounds_of(tt.lab.run(by_loss, tmp_path)) == rounds_of(run), "which trains nothing"
    method = dataclasses.replace(SMALL.method, all_rounds=True)
    whole = tt.lab.run(dataclasses.replace(SMALL, method=method), tmp_path)
    assert whole.path == run.path
    assert rounds_of(whole) == [(seed, n) for seed in SEEDS for n in range(4)]
