"""What happens to a run when the machine does its worst; each by really doing it."""

import dataclasses
import functools
import itertools
import math
import os
import pathlib
import resource
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import tensorflow as tf

import tf_tickets as tt
from tf_tickets.files import read_sealed_json, write_sealed_json
from tf_tickets.lab.models.gan_losses import LOSSES

SCRIPT = pathlib.Path(__file__).parents[2] / "scripts" / "find_tickets.py"
SMALL = "--width 4 --limit 64 --epochs 2 --batch-size 16 --rewind-step 1 --seeds 0".split()
SMALL += "--precision float32 --json".split()
OPTIONS = {
    "vae": ["--model", "vae", "--rounds", "2", "--all-rounds", *SMALL],
    # Has two optimizers, noise and the vectors of spectral normalisation to restore.
    "sngan": [*"--model sngan --rounds 1 --critic-steps 1 --evaluations 2".split(), *SMALL],
}


def bits(run):
    """Return what must be the same bit for bit: tickets, weights, samples and the SavedModel."""
    files = [*run.rglob("*.safetensors"), *run.rglob("samples.png")]
    return {file.relative_to(run).as_posix(): file.read_bytes() for file in files}


def results(run):
    """Return the results without the time that they took."""
    records = tt.read_results(run / "results.jsonl")
    differ = ("seconds", "draw_seconds", "evaluation_seconds", "peak_memory_bytes")
    return [{**record, **dict.fromkeys(differ)} for record in records]


@pytest.fixture(scope="module")
def whole(run_here, outcome_of, tmp_path_factory):
    """Return a model's uninterrupted run, made in this process."""

    @functools.cache
    def run_of(model):
        output = tmp_path_factory.mktemp(model)
        return pathlib.Path(outcome_of(run_here(*OPTIONS[model], "--output", output))["run"])

    return run_of


@pytest.fixture(scope="module")
def uninterrupted(whole):
    return whole("vae")


# With as many threads as this process has, on which the bits depend.
ENGINES = {
    "here": ["--engine", "here"],
    "processes": "--engine processes --workers 2 --threads 1".split(),
}
by_each_engine = pytest.mark.parametrize(
    "engine", ["here", pytest.param("processes", marks=pytest.mark.slow)]
)


def kill_once(start_script, words, output, num_files, delay):
    """Kill a run some time after it has so many files; return whether it was still running."""
    process = start_script(*words, "--output", output)
    while process.poll() is None and count_files(output) < num_files:
        time.sleep(0.002)
    time.sleep(delay)
    process.send_signal(signal.SIGKILL)
    return process.wait() == -signal.SIGKILL


def count_files(folder):
    """Count while the run renames and removes folders, which `rglob` can stumble over."""
    return sum(len(files) for _, _, files in os.walk(folder))


@pytest.mark.slow
@by_each_engine
@pytest.mark.parametrize(
    ("model", "moments"),
    [
        ("vae", [(20, 0.003)]),
        ("sngan", [(18, 0.02)]),
        (
            "vae",
            [(1, 0.0), (2, 0.1), (8, 0.0), (12, 0.0), (16, 0.05), (24, 0.0), (34, 0.0), (40, 0.1)],
        ),
        ("sngan", [(1, 0.0), (4, 0.0), (8, 0.0), (12, 0.05), (16, 0.0), (20, 0.0), (24, 0.1)]),
    ],
    ids=["vae-once", "sngan-once", "vae-often", "sngan-often"],
)
def test_killed_at_many_moments_it_ends_with_the_same_bits(
    model, moments, engine, start_script, run_here, outcome_of, whole, tmp_path
):
    expected = whole(model)  # which keeps the classifier of the metrics for the others
    words = [*OPTIONS[model], *ENGINES[engine]]
    killed = [kill_once(start_script, words, tmp_path, *moment) for moment in moments]
    assert sum(killed) >= max(1, len(moments) - 1)
    run = pathlib.Path(outcome_of(run_here(*OPTIONS[model], "--output", tmp_path))["run"])
    assert bits(run) == bits(expected)
    assert results(run) == results(expected)
    assert not list(run.rglob("*.partial"))


@pytest.mark.slow
def test_a_worker_that_is_killed_is_replaced(start_script, uninterrupted, ended, tmp_path):
    process = start_script(*OPTIONS["vae"], *ENGINES["processes"], "--output", tmp_path)
    for number in (1, 2):
        while process.poll() is None and count_files(tmp_path) < 8 * number:
            time.sleep(0.002)
        os.kill(next(workers_of(process.pid)), signal.SIGKILL)
    ((status, _, error),) = ended([process])
    assert status == 0, error
    assert error.count(": trained, ") == 5 and "Traceback" not in error
    assert bits(tmp_path / uninterrupted.name) == bits(uninterrupted)
    assert results(tmp_path / uninterrupted.name) == results(uninterrupted)


def workers_of(pid):
    """Yield the processes that a command has started to train in."""
    for child in pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        if b"spawn_main" in pathlib.Path(f"/proc/{child}/cmdline").read_bytes():
            yield int(child)


@pytest.mark.slow
def test_no_worker_outlives_a_command_that_is_killed(start_script, tmp_path):
    process = start_script(*OPTIONS["vae"], *ENGINES["processes"], "--output", tmp_path)
    while process.poll() is None and count_files(tmp_path) < 8:
        time.sleep(0.002)
    workers = [pathlib.Path(f"/proc/{pid}") for pid in workers_of(process.pid)]
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL and workers
    end = time.monotonic() + 10
    while any(worker.exists() for worker in workers) and time.monotonic() < end:
        time.sleep(0.01)
    assert not any(worker.exists() for worker in workers)


@pytest.mark.slow
@by_each_engine
def test_two_processes_on_one_run_do_not_meet(
    engine, start_script, run_script, uninterrupted, tmp_path
):
    first = start_script(*OPTIONS["vae"], *ENGINES[engine], "--output", tmp_path)
    while first.poll() is None and not list(tmp_path.rglob("done.json")):
        time.sleep(0.01)
    first.send_signal(signal.SIGSTOP)
    second = run_script(*OPTIONS["vae"], "--output", tmp_path)
    first.send_signal(signal.SIGCONT)
    assert first.wait(timeout=300) == 0
    assert second.returncode == 1
    assert "Another process" in second.stderr and second.stderr.count("\n") == 1
    assert bits(tmp_path / uninterrupted.name) == bits(uninterrupted)


# In this process, pytest would make an error of the warning that is looked for.
@pytest.mark.filterwarnings("default")
def test_a_flipped_byte_in_any_kind_of_file_is_found_and_mended(
    run_here, outcome_of, uninterrupted, tmp_path
):
    run = pathlib.Path(shutil.copytree(uninterrupted, tmp_path / uninterrupted.name))
    stage = run / "seed-0" / "round-02" / "winning"
    kinds = sorted(stage.iterdir()) + sorted((run / "export").rglob("*.pb"))
    kinds += [run / name for name in ("run.json", "config.json", "results.jsonl")]
    assert {file.name for file in kinds} >= {"done.json", "result.json", "ticket.safetensors"}
    for file in kinds:
        flip(file)
    again = run_here(*OPTIONS["vae"], "--output", tmp_path)
    assert "winning" in again.stderr and "damaged" in again.stderr
    assert "run.json is damaged" in again.stderr and "It is written anew" in again.stderr
    assert outcome_of(again)["run"] == str(run)
    assert bits(run) == bits(uninterrupted)
    assert results(run) == results(uninterrupted)


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("seed", range(6))
def test_a_bit_flipped_in_every_file_at_once_is_mended(
    seed, run_here, outcome_of, uninterrupted, tmp_path
):
    run = pathlib.Path(shutil.copytree(uninterrupted, tmp_path / uninterrupted.name))
    whole = {name: (run / name).read_bytes() for name in ("run.json", "config.json")}
    random = np.random.default_rng(seed)
    for file in sorted(run.rglob("*")):
        if file.is_file() and file.stat().st_size and "tensorboard" not in file.parts:
            flip(file, random.integers(file.stat().st_size), 1 << random.integers(8))
    ran = run_here(*OPTIONS["vae"], "--output", tmp_path)
    assert outcome_of(ran)["run"] == str(run)
    assert "Traceback" not in ran.stderr and ran.stderr.count("damaged") >= 5
    assert bits(run) == bits(uninterrupted)
    assert results(run) == results(uninterrupted)
    assert {name: (run / name).read_bytes() for name in whole} == whole


def flip(file, place=None, bit=4):
    content = bytearray(file.read_bytes())
    content[len(content) // 2 if place is None else place] ^= bit
    file.write_bytes(content)


def test_a_run_folder_of_other_settings_is_refused(
    run_here, assert_refused, uninterrupted, tmp_path
):
    copy = tmp_path / uninterrupted.name
    copy.mkdir()
    content = read_sealed_json(uninterrupted / "run.json")
    other = {**content["settings"], "rate": 0.5}
    write_sealed_json(copy / "run.json", {**content, "settings": other})
    assert_refused(run_here(*OPTIONS["vae"], "--output", tmp_path), 1, "other settings")


@pytest.mark.slow
@by_each_engine
def test_a_full_disk_ends_the_run_and_room_lets_it_go_on(
    engine, run_here, outcome_of, uninterrupted, cache, tmp_path
):
    words = [str(SCRIPT), *OPTIONS["vae"], *ENGINES[engine], "--output", str(tmp_path)]
    # The largest file that may be written, after which writing fails as on a full disk.
    limited = subprocess.run(
        [
            sys.executable,
            "-c",
            "import resource, runpy, signal, sys;"
            "signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
            f"resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, {resource.RLIM_INFINITY}));"
            f"sys.argv = {words!r};"
            "runpy.run_path(sys.argv[0], run_name='__main__')",
        ],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "TF_TICKETS_CACHE": str(cache)},  # which has the classifier already
    )
    assert limited.returncode == 1
    assert "Traceback" not in limited.stderr and "run the same command again" in limited.stderr
    outcome = outcome_of(run_here(*OPTIONS["vae"], "--output", tmp_path))
    assert bits(pathlib.Path(outcome["run"])) == bits(uninterrupted)


POISONED = "--model dcgan --arms winning --evaluations 1 --rounds".split()


@pytest.fixture
def poison(monkeypatch):
    """Return a function that makes the discriminator's loss NaN in some trainings."""

    def make_nan_in(*numbers):
        """Numbers count the trainings from 0, the dense one."""
        factor = tf.Variable(1.0)
        loss = LOSSES["non_saturating"]
        poisoned = dataclasses.replace(
            loss, discriminator=lambda real, fake: factor * loss.discriminator(real, fake)
        )
        monkeypatch.setitem(LOSSES._cards, "non_saturating", poisoned)
        prepare, counter = tt.lab.Experiment.prepare, itertools.count()

        def prepare_and_poison(experiment, model, dense):
            prepare(experiment, model, dense)
            factor.assign(math.nan if next(counter) in numbers else 1.0)

        monkeypatch.setattr(tt.lab.Experiment, "prepare", prepare_and_poison)

    return make_nan_in


@pytest.mark.slow
def test_a_nan_in_the_discriminators_loss_never_reaches_a_mask(
    poison, run_here, outcome_of, tmp_path
):
    poison(2)
    words = [*POISONED, 3, *SMALL, "--output", tmp_path]
    run = pathlib.Path(outcome_of(run_here(*words))["run"])
    collapsed = [record["collapsed"] for record in results(run)]
    assert collapsed[:2] == [None, None] and "diverged: discriminator_loss" in collapsed[2]
    assert collapsed[3].startswith("Not trained: seed-0/round-02/winning collapsed")
    assert not any("round-03" in name for name in bits(run))
    for file in run.rglob("*.safetensors"):
        assert is_finite(tt.Ticket.load(file))
    kept = (run / "winning_ticket" / "ticket.safetensors").read_bytes()
    assert kept == (run / "seed-0/round-01/winning/ticket.safetensors").read_bytes()


@pytest.mark.slow
def test_a_dense_network_that_diverges_for_all_seeds_ends_the_command_in_one_line(
    poison, run_here, assert_refused, tmp_path
):
    poison(0)
    advice = "Try a lower --learning-rate"
    assert_refused(run_here(*POISONED, 1, *SMALL, "--output", tmp_path), 1, advice)


def is_finite(ticket):
    return all(np.isfinite(value).all() for value in ticket.weights.values())


@pytest.mark.slow
def test_a_training_that_diverged_is_tried_again_over_other_batches(
    poison, run_here, outcome_of, tmp_path
):
    poison(0, 2)
    words = [*POISONED, 1, "--retries", 1, *SMALL, "--output", tmp_path]
    run = pathlib.Path(outcome_of(run_here(*words))["run"])
    attempts = [(record["arm"], record["attempts"]) for record in results(run)]
    assert attempts == [("dense", 2), ("winning", 2)]
    tickets = list(run.rglob("trained.safetensors"))
    assert len(tickets) == 3 and all(is_finite(tt.Ticket.load(file)) for file in tickets)
