"""Stages made in other processes, some of which are killed."""

import contextlib
import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import textwrap
import time

import pytest

import tf_tickets as tt
import tf_tickets.engines.processes as engine
from tests import processes
from tests.engines.toy import (
    Watching,
    Workshop,
    alive_of,
    bytes_of,
    done_in,
    left_overs,
    made_by,
    make,
    plan_in,
    processes_of,
    stages_of,
    told_of,
    until_round,
    wait_until,
)
from tf_tickets.engines import Observer, Order, Processes, Progress, Stage, execute

ROOT = pathlib.Path(__file__).parents[2]


@pytest.fixture
def forked(monkeypatch):
    """Fork workers from a process that has imported TensorFlow, which takes most of their start."""
    monkeypatch.setattr(engine, "_CONTEXT", processes._CONTEXT)


@pytest.mark.usefixtures("forked")
@pytest.mark.parametrize("workers", [1, 2, 3])
def test_the_bytes_are_those_of_one_process(workers, tmp_path, notes, expected):
    watching = Watching()
    workshop = Workshop(notes, seconds=0.1)
    records = make(tmp_path / "run", workshop, Processes(workers), observers=[watching])
    assert records == tt.read_results(tmp_path / "here" / "results.jsonl")
    assert bytes_of(tmp_path / "run") == expected and not left_overs(tmp_path / "run")
    assert os.getpid() not in processes_of(notes) and len(processes_of(notes)) <= workers
    assert not alive_of(notes)
    assert watching.told[0] == ("search", len(stages_of()))
    for stage in stages_of():
        assert [told for told in watching.told if told[1] == stage.name] == told_of(stage)


@pytest.mark.usefixtures("forked")
@pytest.mark.parametrize("slow", [(), stages_of()[:1], stages_of()[5:6]])
def test_whatever_was_done_first_the_records_of_a_search_that_ends_early_are_the_same(
    slow, tmp_path, notes
):
    stages = stages_of(rounds=4)
    expected = make(tmp_path / "one", Workshop(tmp_path), stages=stages, is_wanted=until_round(1))
    assert {record["round"] for record in expected} == {0, 1}
    workshop = Workshop(notes, seconds=0.05, slow=tuple(stage.name for stage in slow))
    records = make(
        tmp_path / "run", workshop, Processes(2), stages=stages, is_wanted=until_round(1)
    )
    assert records == expected
    made = made_by(notes)
    assert {stage.name for stage in stages if stage.round <= 1} <= set(made)
    assert len(made) < len(stages) and len(set(made)) == len(made)


@pytest.mark.usefixtures("forked")
def test_what_a_stage_reports_last_is_not_taken_for_the_next_one(tmp_path, notes):
    told = {stage: [] for stage in (Stage(0, 0, "dense"), Stage(1, 0, "dense"))}
    with plan_in(tmp_path / "run", Workshop(notes)) as plan, Processes(1) as workers:
        for stage, reports in told.items():
            path = tmp_path / f"seed-{stage.seed}"
            path.mkdir()
            # Nobody asks for reports between the stages.
            workers.submit(0, Order(0, plan, stage, path, reports.append)).result()
        workers.pass_on_progress()
    assert list(told.values()) == 2 * [[Progress(1), Progress(2, {"loss": 0.5})]]


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 3])
def test_processes_that_import_tensorflow_make_the_same_bytes(workers, tmp_path, notes, expected):
    make(tmp_path / "run", Workshop(notes, seconds=2), Processes(workers))
    assert bytes_of(tmp_path / "run") == expected
    assert len(processes_of(notes)) == workers and not alive_of(notes)


@pytest.mark.usefixtures("forked")
def test_an_error_is_passed_on_once_what_is_under_way_is_finished(tmp_path, notes):
    bad, watching = "seed-0/round-01/winning", Watching()
    workshop = Workshop(notes, seconds=0.3, fails=((bad, "error"),))
    with pytest.raises(tt.DivergedError, match=f"^{bad} diverged$"):
        make(tmp_path / "run", workshop, Processes(2), observers=[watching])
    assert not left_overs(tmp_path / "run")
    ends = watching.names("ends")
    assert set(watching.names("begins")) - set(ends) == {bad} and "seed-1/round-00/dense" in ends
    assert done_in(tmp_path / "run") == set(made_by(notes)) == set(ends)


@pytest.mark.usefixtures("forked")
def test_the_stage_of_a_worker_that_was_killed_is_made_again(tmp_path, notes, expected):
    bad, watching = "seed-1/round-01/winning", Watching()
    workshop = Workshop(notes, fails=((bad, "kill once"),))
    make(tmp_path / "run", workshop, Processes(2), observers=[watching])
    assert bytes_of(tmp_path / "run") == expected and not left_overs(tmp_path / "run")
    assert (notes / "killed").exists() and len(processes_of(notes)) >= 2
    begins = watching.names("begins")
    assert begins.count(bad) == 2 and len(begins) == len(expected_names()) + 1
    assert sorted(watching.names("ends")) == expected_names()


def expected_names():
    return sorted(stage.name for stage in stages_of())


@pytest.mark.usefixtures("forked")
def test_a_stage_that_ends_every_worker_is_one_line(tmp_path, notes):
    workshop = Workshop(notes, fails=(("seed-0/round-00/dense", "kill"),))
    with pytest.raises(tt.FileError, match=r"seed-0/round-00/dense ended 3 times") as caught:
        make(tmp_path / "run", workshop, Processes(1))
    assert "\n" not in str(caught.value) and "`workers`" in str(caught.value)
    assert not left_overs(tmp_path / "run") and len(processes_of(notes)) == 3


class Impatient(Observer):
    """Fails when it learns of something for the first time."""

    def __init__(self, what):
        setattr(self, what, self._fail)

    def _fail(self, *arguments):
        raise KeyboardInterrupt


@pytest.mark.usefixtures("forked")
@pytest.mark.parametrize(("what", "seconds"), [("stage_goes_on", 60), ("stage_ends", 0.5)])
def test_who_is_interrupted_leaves_no_process_and_nothing_half(
    what, seconds, tmp_path, notes, expected
):
    begun = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        workshop = Workshop(notes, seconds)
        make(tmp_path / "run", workshop, Processes(2), observers=[Impatient(what)])
    assert time.monotonic() - begun < 45, "nobody waits for a stage that nobody wants"
    assert processes_of(notes) and not alive_of(notes)
    assert not left_overs(tmp_path / "run")
    assert done_in(tmp_path / "run") <= set(made_by(notes))
    make(tmp_path / "run", Workshop(tmp_path))
    assert bytes_of(tmp_path / "run") == expected


@pytest.mark.usefixtures("forked")
def test_a_plan_of_other_threads_gets_a_process_of_its_own(tmp_path, notes, expected):
    with contextlib.ExitStack() as stack:
        plans = [
            stack.enter_context(plan_in(tmp_path / f"{n}", Workshop(notes), threads=n))
            for n in (1, 2)
        ]
        execute(plans, Processes(1))
    assert len(processes_of(notes)) == 2, "one for each plan: the first is finished before"
    assert bytes_of(tmp_path / "1") == bytes_of(tmp_path / "2") == expected


DRIVER = """
    import pathlib
    import sys
    from tests.engines.toy import Workshop, make
    from tf_tickets.engines import Processes

    if __name__ == "__main__":
        run, notes, workers = sys.argv[1:]
        make(run, Workshop(pathlib.Path(notes), 0.2), Processes(int(workers)))
"""


@pytest.fixture
def driver(tmp_path, notes):
    """Start a process that makes the search with workers that import TensorFlow themselves."""
    file = tmp_path / "driver.py"
    file.write_text(textwrap.dedent(DRIVER))
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    started = []

    def start(workers):
        command = [sys.executable, str(file), str(tmp_path / "run"), str(notes), str(workers)]
        started.append(subprocess.Popen(command, env=env, stderr=subprocess.DEVNULL))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait()


def test_a_driver_that_was_killed_leaves_no_process_and_is_resumed(
    driver, tmp_path, notes, expected
):
    process = driver(1)
    wait_until(lambda: made_by(notes))
    assert process.poll() is None and alive_of(notes)
    process.kill()
    process.wait()
    wait_until(lambda: not alive_of(notes), 5)
    assert 0 < len(made_by(notes)) < len(stages_of())
    make(tmp_path / "run", Workshop(tmp_path))
    assert bytes_of(tmp_path / "run") == expected and not left_overs(tmp_path / "run")


def wait_for_another(process, notes, known):
    """Wait until a worker has begun that was not known, or the driver has ended."""
    wait_until(lambda: set(processes_of(notes)) - known or process.poll() is not None)


@pytest.mark.slow
def test_twenty_kills_of_drivers_and_workers_change_no_byte(driver, tmp_path, notes, expected):
    moments, kills, killed_workers, known, process = random.Random(0), 0, 0, set(), driver(2)
    while kills < 20:
        wait_for_another(process, notes, known)
        time.sleep(moments.uniform(0, 0.8))
        known = set(processes_of(notes))
        victim = moments.choice([process.pid, *alive_of(notes)])
        if process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(victim, signal.SIGKILL)
                kills += 1
                killed_workers += victim != process.pid
        if victim == process.pid:
            process.wait()
        if process.poll() is not None:
            if process.returncode == 0:  # all was done: there has to be something to do
                shutil.rmtree(tmp_path / "run" / "seed-1")
            process = driver(2)
    assert 5 <= killed_workers <= 15
    if process.wait() != 0:
        assert driver(2).wait() == 0
    assert bytes_of(tmp_path / "run") == expected and not left_overs(tmp_path / "run")
    wait_until(lambda: not alive_of(notes), 5)
