"""find_tickets.py --strategy, by real processes on loopback, and the page that shows it."""

import json
import pathlib
import signal
import subprocess
import sys
import time

import pytest

import tf_tickets as tt

ROOT = pathlib.Path(__file__).parents[2]
SMALL = "--model vae --width 4 --limit 64 --epochs 2 --batch-size 16 --rounds 1".split()
SMALL += "--arms winning --seeds 0 --precision float32 --json".split()
METHODS = {
    "imp": [*SMALL, "--rewind-step", "1"],
    "snip": [*SMALL, "--method", "snip"],
    "early-bird": "--model dcgan-shared --method early-bird --width 4 --limit 64 --epochs 4 "
    "--batch-size 16 --channel-sparsity 0.3 --mask-distance 1 --draw-every 1 --arms winning "
    "--seeds 0 --precision float32 --json".split(),
}
# The devices are settled before the script begins.
ON_TWO_DEVICES = """
import runpy, sys, tensorflow as tf
(cpu,) = tf.config.list_physical_devices("CPU")
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
runpy.run_path(sys.argv.pop(1), run_name="__main__")
"""


def run_of(chief):
    """Return the run folder that an ended chief has printed."""
    status, out, error = chief
    assert status == 0, error
    return pathlib.Path(json.loads(out.splitlines()[-1])["run"])


def bits(run):
    files = [*run.rglob("*.safetensors"), *run.rglob("samples.png")]
    return {file.relative_to(run).as_posix(): file.read_bytes() for file in files}


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
def test_find_tickets_by_two_replicas(method, cache, outcome_of, tmp_path, monkeypatch):
    monkeypatch.setenv("TF_TICKETS_CACHE", str(cache))
    script = ROOT / "scripts" / "find_tickets.py"
    words = [*METHODS[method], "--strategy", "mirrored", "--output", str(tmp_path)]
    command = [sys.executable, "-c", ON_TWO_DEVICES, str(script), *words]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=500)
    run = pathlib.Path(outcome_of(ran)["run"])
    assert tt.read_settings(run)["strategy"] == {"name": "mirrored", "replicas": 2}
    assert list((run / "figures").glob("*.png"))


@pytest.fixture
def find_by_two(start_script, two_places):
    """Start find_tickets.py in two workers; options of each follow those of both."""

    def start(*options, chief=(), other=()):
        return [
            start_script(
                *options, *own, "--strategy", "multi-worker", forked=False, TF_CONFIG=place
            )
            for own, place in zip((chief, other), two_places(), strict=True)
        ]

    return start


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
def test_find_tickets_by_two_processes(method, find_by_two, ended, tmp_path, monkeypatch):
    (tmp_path / "scratch").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "scratch"))
    output = tmp_path / "output"
    chief, other = ended(find_by_two(*METHODS[method], "--output", output))
    run = run_of(chief)
    assert list(output.iterdir()) == [run]
    assert not list((tmp_path / "scratch").rglob("*.safetensors"))
    assert [r["arm"] for r in tt.read_results(run / "results.jsonl")] == ["dense", "winning"]
    assert tt.read_settings(run)["strategy"] == {"name": "multi-worker", "replicas": 2}
    assert list((run / "figures").glob("*.png"))
    assert "trained, 0 left" in chief[2]
    assert other == (0, "", "find_tickets.py: waiting until all workers of TF_CONFIG are started\n")


@pytest.mark.slow
@pytest.mark.parametrize("killed", [0, 1])
def test_a_killed_worker_ends_the_other_and_both_resume(killed, find_by_two, ended, tmp_path):
    words = [*METHODS["imp"], "--arms", "winning", "random", "--output"]
    whole = ended(find_by_two(*words, tmp_path / "whole"))
    workers = find_by_two(*words, tmp_path / "killed")
    while not list((tmp_path / "killed").rglob("results.jsonl")):
        assert all(worker.poll() is None for worker in workers)
        time.sleep(0.01)
    workers[killed].kill()
    status, _, error = ended(workers)[1 - killed]
    assert status == 1 and "Another worker is gone" in error and "Traceback" not in error
    resumed = ended(find_by_two(*words, tmp_path / "killed"))
    assert bits(run_of(whole[0])) == bits(run_of(resumed[0])) != {}
    assert resumed[0][2].count(": trained, ") < whole[0][2].count(": trained, ")


@pytest.mark.slow
def test_workers_that_differ_end_at_once(find_by_two, ended, tmp_path):
    def check(processes, message):
        for status, out, error in ended(processes):
            assert (status, out) == (2, "") and message in error, error
            assert error.count("\n") == 2  # that it waited, and why it ended

    output = ["--output", tmp_path / "one"]
    check(
        find_by_two(*METHODS["imp"], *output, other=("--rounds", "2")), "Give all the same options"
    )
    ended(find_by_two(*METHODS["imp"], *output))
    processes = find_by_two(*METHODS["imp"], chief=output, other=("--output", tmp_path / "two"))
    check(processes, "one folder on a disk that they share")


def test_a_strategy_that_cannot_work_is_refused(run_here, assert_refused, monkeypatch, tmp_path):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    ran = run_here(*METHODS["imp"], "--strategy", "multi-worker", "--output", tmp_path)
    assert_refused(ran, 2, "needs TF_CONFIG, which is not set")


@pytest.mark.slow
@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_the_wait_for_a_worker_that_nobody_starts_can_be_ended(
    number, status, start_script, two_places, tmp_path
):
    words = [*METHODS["imp"], "--strategy", "multi-worker", "--output", tmp_path / "new"]
    process = start_script(*words, forked=False, TF_CONFIG=two_places()[1])
    waiting = "find_tickets.py: waiting until all workers of TF_CONFIG are started\n"
    assert process.stderr.readline() == waiting
    process.send_signal(number)
    out, error = process.communicate(timeout=30)
    assert (process.returncode, out) == (status, "")
    assert error.count("\n") == 1 and "run the same command again" in error
    assert not (tmp_path / "new").exists()
