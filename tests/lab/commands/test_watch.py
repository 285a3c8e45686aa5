"""What is printed while a run is made, and after it."""

import dataclasses
import io
import json
import types

import keras
import pytest
import rich.console

import tf_tickets as tt
from tests.lab.show.small_run import make_run
from tf_tickets.lab import job
from tf_tickets.lab.commands.watch import make, show
from tf_tickets.lab.config import Data, RunConfig
from tf_tickets.lab.show import outcome, tables

CONFIG = RunConfig(data=Data("digits", data_dir="a"))


@pytest.fixture
def console():
    return rich.console.Console(file=io.StringIO(), width=110, markup=False, emoji=False)


@pytest.fixture
def jobs(monkeypatch, tmp_path):
    """The jobs that were made, each without a training."""
    made = []

    class Job:
        is_chief = folder_is_held = True
        notes = ("rewind step 3: a training has 4 steps",)
        folder = types.SimpleNamespace(path=tmp_path, settings={"rate": 0.2})
        experiment = types.SimpleNamespace(num_steps=4, recipe=types.SimpleNamespace(epochs=2))

        def __init__(self, *arguments):
            self.arguments = arguments
            made.append(self)

        def make(self, observers=(), progress=None, begins=None):
            self.observers, self.progress = observers, progress
            if self.folder_is_held and begins:
                begins()
            return "the run"

    monkeypatch.setattr(job, "Job", Job)
    return made


def test_a_run_is_announced_with_what_was_adapted_to_it(jobs, console, tmp_path):
    assert make(CONFIG, "somewhere", console) == "the run"
    assert jobs[0].arguments == (CONFIG, "somewhere", None)
    assert console.file.getvalue().splitlines() == [
        f"Run folder: {tmp_path}",
        'Settings: {"rate": 0.2}',
        "A training: 4 optimizer steps, 2 epochs",
        "Note: rewind step 3: a training has 4 steps",
    ]


def test_nothing_is_announced_of_a_folder_that_is_not_held(jobs, console, monkeypatch):
    monkeypatch.setattr(job.Job, "folder_is_held", False)
    make(CONFIG, "somewhere", console)
    assert console.file.getvalue() == ""


def test_a_bar_and_a_log_watch_the_run(jobs, console):
    make(CONFIG, "somewhere", console)
    bar, log = jobs[0].observers
    assert jobs[0].progress == bar.training_classifier
    assert all(isinstance(each, tt.search.Observer) for each in (bar, log))
    assert isinstance(bar, keras.callbacks.Callback)


def test_a_worker_that_is_not_the_chief_works_in_silence(jobs, console, monkeypatch):
    monkeypatch.setattr(job.Job, "is_chief", False)
    assert make(CONFIG, "somewhere", console) is None
    assert console.file.getvalue() == "" and jobs[0].observers == ()


def test_workers_have_to_agree_on_all_but_the_folder_of_the_data(jobs, console, monkeypatch):
    compared = []
    monkeypatch.setattr(
        tt.strategy, "check_agreement", lambda strategy, value, advice: compared.append(value)
    )
    strategy = object()
    make(CONFIG, "somewhere", console, strategy)
    make(dataclasses.replace(CONFIG, data=Data("digits", data_dir="b")), "x", console, strategy)
    make(dataclasses.replace(CONFIG, seeds=(5,)), "somewhere", console, strategy)
    assert compared[0] == compared[1] != compared[2]
    assert [each.arguments[2] for each in jobs] == [strategy] * 3


@pytest.mark.parametrize("as_json", [False, True])
def test_what_was_found_ends_with_its_files_and_its_json(as_json, console, capsys, tmp_path):
    run = make_run(tmp_path, rounds=3, pictures=False, collapse=2)
    show(run, console, ("results.jsonl", "figures"), as_json)
    *_, sentence, first, second = console.file.getvalue().splitlines()
    assert sentence == outcome.sentence(run)
    assert (first, second) == (f"  {tmp_path / 'results.jsonl'}", f"  {tmp_path / 'figures'}")
    for table in tables.tables(run):
        assert table.title in console.file.getvalue()
    printed = capsys.readouterr().out
    assert printed == (json.dumps(outcome.as_json(run)) + "\n" if as_json else "")
