"""Stages made in other processes, some of which are killed."""

import os
import pathlib
import random
import signal
import subprocess
import sys
import textwrap
import time

import pytest

import tf_tickets as tt
from tests.engines.toy import (
    Workshop,
    bytes_of,
    is_alive,
    left_overs,
    made_by,
    plan_in,
    processes_of,
    stages_of,
)
from tf_tickets.engines import Observer, Processes, execute

ROOT = pathlib.Path(__file__).parents[2]


@pytest.fixture
def notes(tmp_path):
    path = tmp_path / "notes"
    path.mkdir()
    return path


def make(path, notes, engine=None, observers=(), **options):
    """Make a search, and return its records."""
    with plan_in(path, Workshop(str(notes), **options), observers=observers) as plan:
        return execute([plan], engine)[0]


@pytest.fixture
def expected(tmp_path, notes):
    """The bytes of all stages, as this process makes them."""
    make(tmp_path / "here", tmp_path)
    return bytes_of(tmp_path / "here")


@pytest.mark.parametrize(
    "workers", [2, *(pytest.param(number, marks=pytest.mark.slow) for number in (1, 3))]
)
def test_the_bytes_are_those_of_one_process(workers, tmp_path, notes, expected):
    make(tmp_path / "run", notes, Processes(workers), seconds=0.1)
    assert bytes_of(tmp_path / "run") == expected
    assert len(processes_of(notes)) == workers and os.getpid() not in processes_of(notes)
    assert not any(map(is_alive, processes_of(notes)))


def test_an_error_is_passed_on_once_what_is_under_way_is_finished(tmp_path, notes):
    bad = "seed-0/round-01/winning"
    with pytest.raises(tt.DivergedError, match=f"^{bad} diverged$"):
        make(tmp_path / "run", notes, Processes(2), seconds=0.2, fails=((bad, "error"),))
    assert not left_overs(tmp_path / "run") and not (tmp_path / "run" / bad).exists()
    done = {str(file.parent.relative_to(tmp_path / "run")) for file in (tmp_path / "run").rglob("done.json")}
    assert done == set(made_by(notes))


def test_the_stage_of_a_worker_that_was_killed_is_made_again(tmp_path, notes, expected):
    fails = (("seed-1/round-01/winning", "kill once"),)
    make(tmp_path / "run", notes, Processes(2), fails=fails)
    assert bytes_of(tmp_path / "run") == expected
    assert (notes / "killed").exists() and len(processes_of(notes)) == 3


def test_a_stage_that_ends_every_worker_is_one_line(tmp_path, notes):
    fails = (("seed-0/round-00/dense", "kill"),)
    with pytest.raises(tt.FileError, match="seed-0/round-00/dense ended 3 times.*`workers`"):
        make(tmp_path / "run", notes, Processes(1), fails=fails)
    assert not left_overs(tmp_path / "run")


class Impatient(Observer):
    """Fails once a stage has ended."""

    def stage_ends(self, stage, record):
        raise KeyboardInterrupt


def test_who_is_interrupted_leaves_no_process_behind(tmp_path, notes):
    with pytest.raises(KeyboardInterrupt):
        make(tmp_path / "run", notes, Processes(2), [Impatient()], seconds=0.5)
    assert not any(map(is_alive, processes_of(notes)))
    assert not left_overs(tmp_path / "run")


DRIVER = """
    import sys
    from tests.engines.toy import Workshop, plan_in
    from tf_tickets.engines import Processes, execute

    if __name__ == "__main__":
        with plan_in(sys.argv[1], Workshop(sys.argv[2], 0.15)) as plan:
            execute([plan], Processes(2))
"""


@pytest.fixture
def driver(tmp_path, notes):
    """Start a process that makes the search with two workers."""
    file = tmp_path / "driver.py"
    file.write_text(textwrap.dedent(DRIVER))
    env = {**os.environ, "PYTHONPATH": str(ROOT)}

    def start():
        command = [sys.executable, str(file), str(tmp_path / "run"), str(notes)]
        return subprocess.Popen(command, env=env, stderr=subprocess.PIPE, text=True)

    return start


def wait_until(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.mark.slow
def test_a_driver_that_was_killed_leaves_no_process_and_is_resumed(driver, tmp_path, notes, expected):
    process = driver()
    wait_until(lambda: made_by(notes))
    process.kill()
    process.wait()
    wait_until(lambda: not any(map(is_alive, processes_of(notes))), 10)
    assert driver().wait() == 0
    assert bytes_of(tmp_path / "run") == expected and not left_overs(tmp_path / "run")


@pytest.mark.slow
def test_twenty_kills_of_drivers_and_workers_change_no_byte(driver, tmp_path, notes, expected):
    moments = random.Random(0)
    kills, process = 0, driver()
    while kills < 20:
        before = len(processes_of(notes))
        wait_until(lambda: process.poll() is not None or len(processes_of(notes)) > before or kills)
        time.sleep(moments.uniform(0, 1.5))
        alive = [pid for pid in processes_of(notes) if is_alive(pid)]
        victim = moments.choice([process.pid, *alive])
        if process.poll() is None and is_alive(victim):
            os.kill(victim, signal.SIGKILL)
            kills += 1
        if process.poll() is not None or victim == process.pid:
            process.wait()
            if process.returncode == 0:  # all was done: begin anew
                for done in (tmp_path / "run").glob("seed-*"):
                    tt.files.shutil.rmtree(done)
            process = driver()
    process.wait()
    assert driver().wait() == 0
    assert bytes_of(tmp_path / "run") == expected and not left_overs(tmp_path / "run")
    wait_until(lambda: not any(map(is_alive, processes_of(notes))), 10)
