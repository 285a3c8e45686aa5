"""A search of a CycleGAN: what is pruned, what is kept, and the same bits after an interruption."""

import json
import pathlib
import subprocess
import sys
import time

import numpy as np
import pytest
from safetensors.numpy import load_file

import tf_tickets as tt
from tf_tickets.lab import Data, RunConfig
from tf_tickets.lab.methods import METHODS
from tf_tickets.lab.models import CYCLE_GAN
from tf_tickets.runs import paths

TRAINING = CYCLE_GAN.training(epochs=1, evaluations=1, batch_size=4, width=1)
GENERATORS = METHODS["imp"](rounds=1, component="generator", pool="component", rewind_step=2)
CONFIG = RunConfig(
    "cyclegan", GENERATORS, Data("digits-relief", 8, limit=24), TRAINING, seeds=(0,), threads=1
)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return tt.lab.run(CONFIG, tmp_path_factory.mktemp("runs"))


def stage(run, arm, number, name=paths.TRAINED):
    return load_file(run.path / f"seed-0/round-{number:02}/{arm}" / name)


def test_both_generators_are_pruned_each_by_itself_and_no_discriminator(made):
    record = next(r for r in made.records if r["arm"] == "winning")
    assert record["weight_sparsity"] == pytest.approx(0.2, abs=0.01)
    masks = [name for name in stage(made, "winning", 1) if name.startswith("mask:")]
    assert masks and all(name.startswith("mask:generator_") for name in masks)


def test_metrics_are_of_both_directions_and_a_copy_is_beside_them(made):
    record = next(r for r in made.records if r["arm"] == "dense")
    for name in ("fcd", "translation_error"):
        both = [record["metrics"][f"{name}_{direction}"] for direction in ("a2b", "b2a")]
        assert record["metrics"][name] == pytest.approx(np.mean(both))
    assert record["protocol"]["copies"]["translated_accuracy"] < 0.2
    assert made.metric == "fcd"


def test_the_replay_buffers_are_kept_and_a_round_begins_with_empty_ones(made):
    kept = stage(made, "dense", 0)
    (filled,) = [v for k, v in kept.items() if k.endswith("replay_a/filled")]
    assert filled == 24  # every image of the epoch
    (begun,) = [
        v
        for k, v in stage(made, "winning", 1, "ticket.safetensors").items()
        if k.endswith("replay_a/filled")
    ]
    assert begun == 0
    (trained,) = [v for k, v in stage(made, "winning", 1).items() if k.endswith("replay_a/filled")]
    assert trained == 16  # from step 2 on


@pytest.mark.slow
def test_a_search_that_was_killed_goes_on_to_the_same_bits(made, tmp_path):
    config = tmp_path / "config.json"
    config.write_text(json.dumps(CONFIG.to_dict()))
    script = pathlib.Path(__file__).parents[2] / "scripts/find_tickets.py"
    command = [sys.executable, script, "--config", config, "--output", tmp_path, "--engine", "here"]
    begun = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while not list(tmp_path.glob("*/seed-0/round-00/dense")):
        assert begun.poll() is None, "it ended before it could be killed"
        time.sleep(0.05)
    begun.kill()
    begun.wait()
    assert not list(tmp_path.glob("*/seed-0/round-01/random")), "there was nothing left to do"
    subprocess.run(command, check=True, capture_output=True)
    (folder,) = tmp_path.glob("cyclegan-*")
    for arm, number in (("dense", 0), ("winning", 1), ("random", 1)):
        place = f"seed-0/round-{number:02}/{arm}/{paths.TRAINED}"
        assert (folder / place).read_bytes() == (made.path / place).read_bytes(), arm
