"""Auto takes the faster precision, and what it measures changes nothing else."""

import json
import random
import time
import types

import numpy as np
import pytest
import tensorflow as tf

from tf_tickets.costs.timing import StepTime
from tf_tickets.files import sha256_of_arrays
from tf_tickets.lab import Experiment, precision_trial
from tf_tickets.lab.models.families.vae import VariationalAutoencoder
from tf_tickets.lab.precision_trial import Trial, try_precisions
from tf_tickets.lab.recipes import resolve
from tf_tickets.tickets.snapshot import take_snapshot

SHAPE = (8, 8, 1)
RECIPE = resolve(
    "vae", "digits", image_size=8, network={"width": 2}, batch_size=16, precision="auto"
)


@pytest.fixture
def clock(monkeypatch):
    """Say how long steps take, and count how often it is asked."""
    clock = types.SimpleNamespace(asked=0, seconds={"float32": 0.012, "mixed_bfloat16": 0.031})

    def time_steps(models, batches, *limits):
        clock.asked += 1
        return {policy: StepTime(clock.seconds[policy], 1.0) for policy in models}

    monkeypatch.setattr(precision_trial, "time_steps", time_steps)
    return clock


def tried(cache_dir, recipe=RECIPE):
    return try_precisions(recipe, SHAPE, recipe.batch_size, cache_dir)


@pytest.mark.parametrize(
    ("float32", "mixed", "chosen"),
    [
        (0.012, 0.031, "float32"),
        (0.031, 0.012, "mixed_bfloat16"),
        (1.0, 0.96, "float32"),
        (1.0, 0.94, "mixed_bfloat16"),
    ],
)
def test_the_faster_one_is_taken_and_float32_unless_16_bits_are_clearly_faster(
    float32, mixed, chosen, clock, tmp_path
):
    clock.seconds = {"float32": float32, "mixed_bfloat16": mixed}
    assert tried(tmp_path).policy == chosen


def test_it_says_what_it_has_seen():
    seconds = {"float32": 0.0124, "mixed_bfloat16": 1.31}
    assert str(Trial(seconds)) == (
        "precision float32: a step takes 12.4 ms, in mixed_bfloat16 1.31 s"
    )
    seconds = {"float32": 0.0124, "mixed_float16": 0.005}
    assert str(Trial(seconds)).startswith("precision mixed_float16: a step takes 5 ms, in float32")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("slow", "chosen"), [("float32", "mixed_bfloat16"), ("mixed_bfloat16", "float32")]
)
def test_a_step_that_is_slow_in_one_precision_is_measured(slow, chosen, monkeypatch, tmp_path):
    """The real timer, and a model that sleeps in each step of one precision."""
    step = VariationalAutoencoder.train_step

    def slow_step(model, images):
        if model.dtype_policy.name == slow:
            tf.py_function(lambda: time.sleep(0.2), [], [])
        return step(model, images)

    monkeypatch.setattr(VariationalAutoencoder, "train_step", slow_step)
    monkeypatch.setattr(precision_trial, "_MOST_SECONDS", 0.0)
    trial = tried(tmp_path)
    assert trial.policy == chosen and trial.seconds[slow] > 0.2


@pytest.mark.slow
def test_on_this_machine_it_takes_the_faster_of_what_it_has_measured(monkeypatch, tmp_path):
    monkeypatch.setattr(precision_trial, "_MOST_SECONDS", 0.5)
    trial = tried(tmp_path)
    other = next(name for name in trial.seconds if name != trial.policy)
    if trial.policy == "float32":
        assert trial.seconds["float32"] <= trial.seconds[other] / 0.95
    else:
        assert trial.seconds[trial.policy] < 0.95 * trial.seconds["float32"]


def test_what_was_measured_is_kept(clock, tmp_path):
    first = tried(tmp_path)
    clock.seconds = {"float32": 9.0, "mixed_bfloat16": 1.0}
    assert tried(tmp_path) == first and clock.asked == 1
    (kept,) = tmp_path.glob("precision-vae-*.json")
    content = json.loads(kept.read_text())
    assert content["step_seconds"] == first.seconds and content["policy"] == "float32"
    assert content["of"]["model"] == "vae" and content["of"]["machine"]["threads"] >= 1


def test_a_damaged_file_is_measured_anew(clock, tmp_path):
    tried(tmp_path)
    (kept,) = tmp_path.glob("precision-vae-*.json")
    kept.write_text(kept.read_text().replace("0.012", "0.112"))
    with pytest.warns(UserWarning, match="damaged; precisions are tried anew"):
        assert tried(tmp_path).seconds["float32"] == 0.012
    assert tried(tmp_path).seconds["float32"] == 0.012 and clock.asked == 2


def test_another_machine_is_measured_by_itself(clock, tmp_path, monkeypatch):
    tried(tmp_path)
    mine = precision_trial.machine_of_trial()
    monkeypatch.setattr(
        precision_trial, "machine_of_trial", lambda: {**mine, "processor": "another one"}
    )
    clock.seconds = {"float32": 9.0, "mixed_bfloat16": 1.0}
    assert tried(tmp_path).policy == "mixed_bfloat16" and clock.asked == 2


@pytest.mark.parametrize(
    "other",
    [
        {"network": {"width": 3}},
        {"batch_size": 8},
        {"optimizer": "sgd"},
        {"model": "beta-vae"},
    ],
)
def test_another_training_is_measured_by_itself(other, clock, tmp_path):
    tried(tmp_path)
    fields = {"network": {"width": 2}, "batch_size": 16, "precision": "auto", "model": "vae"}
    recipe = resolve(**{"dataset": "digits", "image_size": 8, **fields, **other})
    tried(tmp_path, recipe)
    assert clock.asked == 2


def trained_bits(recipe, try_first, cache_dir):
    """Return what a training of one step gives, and what random numbers come after."""
    random.seed(5)
    np.random.seed(6)
    tf.random.set_seed(7)
    experiment = Experiment(recipe, limit=32)
    if try_first:
        tried(cache_dir)
    drawn = random.random(), np.random.rand(), float(tf.random.uniform(()))
    model = experiment.build(3)
    experiment.train(model, 4, 0, 2)
    return sha256_of_arrays(take_snapshot(model)), drawn


@pytest.mark.slow
def test_a_trial_changes_no_bit_of_the_training_that_follows(tmp_path, monkeypatch):
    monkeypatch.setattr(precision_trial, "_MOST_SECONDS", 0.0)
    without = trained_bits(RECIPE, False, tmp_path)
    assert trained_bits(RECIPE, True, tmp_path) == without
    assert list(tmp_path.glob("precision-*.json")), "there was a trial"
