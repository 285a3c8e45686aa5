"""Where the stages of a run are made: in this process or in another, with the same bits."""

import dataclasses
import pickle

import keras
import numpy as np
import pytest

import tf_tickets as tt
from tf_tickets.engines import Plan, Progress, Stage, execute
from tf_tickets.lab import Data, RunConfig, Training, workshop
from tf_tickets.lab.methods import IterativeMagnitude
from tf_tickets.lab.precision_trial import Trial
from tf_tickets.lab.prepared import prepare
from tf_tickets.lab.workshop import Reporter, Workshop

SMALL = RunConfig(
    "linear-ae",
    IterativeMagnitude(rounds=1, rewind_step=1),
    Data("digits", image_size=8, limit=32),
    Training(epochs=2, batch_size=16),
    seeds=(0,),
    arms=("winning",),
)
DENSE = Stage(0, 0, "dense")


@pytest.fixture(autouse=True)
def own_cache(cache, monkeypatch):
    monkeypatch.setenv("TF_TICKETS_CACHE", str(cache))


def made_by(a_workshop, path):
    """Return the bits of the stages that a workshop makes, and its records."""
    prepared = prepare(SMALL)
    with tt.RunFolder(path, {}) as folder:
        plan = prepared.search.plan(SMALL.seeds, folder)
        records = execute([Plan(folder, plan.stages, plan.sources, a_workshop)])[0]
    bits = {
        file.relative_to(path).as_posix(): file.read_bytes() for file in path.rglob("*.safetensors")
    }
    return bits, [record["metrics"] for record in records]


@pytest.mark.slow
def test_a_workshop_that_was_pickled_makes_the_same_bits(tmp_path):
    """It is unpickled without what was prepared, which it then prepares anew."""
    mine = Workshop.of(prepare(SMALL))
    theirs = pickle.loads(pickle.dumps(mine))
    bits, metrics = made_by(mine, tmp_path / "mine")
    assert made_by(theirs, tmp_path / "theirs") == (bits, metrics)
    assert len(bits) == 4


def test_what_is_pickled_is_the_config_alone():
    mine = Workshop.of(prepare(SMALL))
    _, (config,) = mine.__reduce__()
    assert isinstance(config, RunConfig)
    assert len(pickle.dumps(mine)) < 10_000
    again = pickle.loads(pickle.dumps(pickle.loads(pickle.dumps(mine))))
    assert again.__reduce__() == mine.__reduce__()


def test_the_precision_is_chosen_where_the_run_is_asked_for(monkeypatch):
    auto = dataclasses.replace(SMALL.training, precision="auto")
    trial = Trial({"float32": 2.0, "mixed_bfloat16": 1.0})
    monkeypatch.setattr("tf_tickets.lab.prepared.try_precisions", lambda *_: trial)
    prepared = prepare(dataclasses.replace(SMALL, training=auto))
    _, (config,) = Workshop.of(prepared).__reduce__()
    assert config == dataclasses.replace(
        SMALL, training=dataclasses.replace(auto, precision="mixed_bfloat16")
    )
    assert prepared.asked.training.precision == "auto", "which is what was asked for"


def test_the_policy_of_keras_is_another_only_while_a_stage_is_made(tmp_path):
    mixed = dataclasses.replace(SMALL.training, precision="mixed_bfloat16")
    prepared = prepare(dataclasses.replace(SMALL, training=mixed))
    seen = []

    def note(progress):
        seen.append(keras.config.dtype_policy().name)

    with tt.RunFolder(tmp_path, {}) as folder, Workshop.of(prepared)(folder, note) as make:
        seen[:] = [keras.config.dtype_policy().name]  # before, a classifier may have been trained
        with folder.stage(DENSE.name) as path:
            make(DENSE, path)
    assert seen == ["float32", *["mixed_bfloat16"] * (len(seen) - 1)] and len(seen) > 1
    assert keras.config.dtype_policy().name == "float32"


def test_a_stage_reports_all_its_steps(tmp_path):
    reported = []
    prepared = prepare(SMALL)
    mine = Workshop.of(prepared)
    with (
        tt.RunFolder(tmp_path, {}) as folder,
        mine(folder, reported.append) as make,
        folder.stage(DENSE.name) as path,
    ):
        make(DENSE, path)
    assert sum(progress.steps for progress in reported) == prepared.experiment.num_steps
    assert any("loss" in (progress.losses or {}) for progress in reported)


def test_it_says_how_far_the_classifier_behind_the_metrics_is(tmp_path, monkeypatch):
    def load_features(experiment, tell):
        tell(1, 4)

    reported = []
    monkeypatch.setattr(tt.lab.Experiment, "load_features", load_features)
    with tt.RunFolder(tmp_path, {}) as folder, Workshop.of(prepare(SMALL))(folder, reported.append):
        doing = "training the classifier behind the metrics, 25%"
        assert reported == [Progress(0, doing=doing)]


@pytest.fixture
def reporter(monkeypatch):
    """A Reporter whose clock a test sets, and what it has reported."""
    clock = [100.0]
    monkeypatch.setattr(workshop.time, "monotonic", lambda: clock[0])
    reported = []
    return Reporter(reported.append), clock, reported


def take(reporter, begun=0, steps=1):
    """Tell of an execution of some steps."""
    reporter.set_params({"steps": 20})
    reporter.on_train_batch_begin(begun)
    reporter.on_train_batch_end(begun + steps - 1)


def test_it_counts_the_steps_of_an_execution_but_none_after_the_epoch(reporter):
    reporter, clock, reported = reporter
    clock[0] += 2
    take(reporter, steps=8)
    take(reporter, begun=8, steps=8)
    take(reporter, begun=16, steps=8)  # as Keras tells of the last four
    reporter.on_epoch_end(0)
    assert reported == [Progress(8), Progress(12, {})]


def test_it_reports_each_second(reporter):
    reporter, clock, reported = reporter
    for _ in range(25):
        clock[0] += 0.125
        take(reporter)
    assert reported == [Progress(8)] * 3
    clock[0] += 5  # a step that takes long
    take(reporter)
    assert reported[3:] == [Progress(2)]


def test_it_reports_the_losses_of_each_epoch(reporter):
    reporter, clock, reported = reporter
    for loss in (0.5, 0.25):
        for _ in range(3):
            clock[0] += 0.3
            take(reporter)
        reporter.on_epoch_end(0, {"loss": np.float32(loss), "kl": 1})
    losses = [{"loss": 0.5, "kl": 1.0}, {"loss": 0.25, "kl": 1.0}]
    assert reported == [Progress(3, losses[0]), Progress(3, losses[1])]
    assert type(reported[0].losses["loss"]) is float, "which every process can read"
    reporter.on_epoch_end(2)
    assert reported[2:] == [Progress(0, {})]
