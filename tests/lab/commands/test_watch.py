"""What is printed while a run is made, and after it."""

import dataclasses
import io
import json
import types

import pytest
import rich.console

import tf_tickets as tt
from tests.lab.show.small_run import make_run
from tf_tickets.engines import Observer, Stage
from tf_tickets.lab import job
from tf_tickets.lab.commands.watch import make, show
from tf_tickets.lab.config import Data, RunConfig
from tf_tickets.lab.engine_options import EngineOptions
from tf_tickets.lab.show import outcome, progress, tables

CONFIG = RunConfig(data=Data("digits", data_dir="a"))
ENGINE = EngineOptions("processes", workers=2)


@pytest.fixture
def console():
    return rich.console.Console(file=io.StringIO(), width=110, markup=False, emoji=False)


@pytest.fixture
def jobs(monkeypatch, tmp_path):
    """What jobs were made, each without a training, and how: `asked`, `engine`, `observers`."""
    made = types.SimpleNamespace(asked=[], engine=None, observers=[], is_chief=True, is_held=True)

    def prepare_all(configs, output, engine, strategy=None):
        made.asked.append((configs, output, engine, strategy))
        return [
            types.SimpleNamespace(
                is_chief=made.is_chief,
                notes=("rewind step 3: a training has 4 steps",),
                folder=types.SimpleNamespace(path=tmp_path / name, settings={"rate": 0.2}),
                prepared=types.SimpleNamespace(
                    experiment=types.SimpleNamespace(
                        num_steps=4, recipe=types.SimpleNamespace(epochs=2)
                    )
                ),
            )
            for name in "ab"[: len(configs)]
        ]

    def make_all(jobs, engine, watcher=None):
        made.engine, made.watcher = engine, watcher
        if watcher and made.is_held:
            for each in jobs:
                watcher.run_begins(each)
                made.observers.append(watcher.observers(each))
            watcher.trainings_begin("2 side by side")
        return [f"run {each.folder.path.name}" for each in jobs]

    monkeypatch.setattr(job, "prepare_all", prepare_all)
    monkeypatch.setattr(job, "make", make_all)
    return made


def announced(path):
    return [
        f"Run folder: {path}",
        'Settings: {"rate": 0.2}',
        "A training: 4 optimizer steps, 2 epochs",
        "Note: rewind step 3: a training has 4 steps",
    ]


def test_a_run_is_announced_with_what_was_adapted_to_it(jobs, console, tmp_path):
    assert make([CONFIG], "somewhere", console, ENGINE) == ["run a"]
    assert jobs.asked == [([CONFIG], "somewhere", ENGINE, None)] and jobs.engine == ENGINE
    assert console.file.getvalue().splitlines() == [
        *announced(tmp_path / "a"),
        "Trainings: 2 side by side",
    ]


def test_several_runs_are_announced_each_and_named_on_the_bar(jobs, console, tmp_path):
    assert make([CONFIG, CONFIG], "somewhere", console, ENGINE) == ["run a", "run b"]
    assert console.file.getvalue().splitlines() == [
        *announced(tmp_path / "a"),
        *announced(tmp_path / "b"),
        "Trainings: 2 side by side",
    ]
    assert lines_of(jobs.observers) == [
        "a seed 0 round 0/0 dense: trained, 1 left",
        "b seed 0 round 0/0 dense: trained, 0 left",
    ]


def lines_of(observers):
    """Return what the bars of several runs print when a training of each begins and ends."""
    stage, written = Stage(0, 0, "dense"), io.StringIO()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.stderr", written)
        for bar, _ in observers:
            bar.search_begins([stage])
            bar.stage_begins(stage)
        for bar, _ in observers:
            bar.stage_ends(stage, {})
    return written.getvalue().splitlines()


def test_nothing_is_announced_of_a_folder_that_is_not_held(jobs, console):
    jobs.is_held = False
    make([CONFIG], "somewhere", console, ENGINE)
    assert console.file.getvalue() == ""


def test_a_bar_and_a_log_watch_the_run(jobs, console, tmp_path):
    make([CONFIG], "somewhere", console, ENGINE)
    ((bar, log),) = jobs.observers
    assert all(isinstance(each, Observer) for each in (bar, log))
    assert lines_of(jobs.observers) == ["seed 0 round 0/0 dense: trained, 0 left"]
    assert isinstance(log, progress.TensorBoardLog)
    log.stage_begins(Stage(0, 0, "dense"))
    assert (tmp_path / "a" / "tensorboard" / "losses").is_dir()


def test_a_worker_that_is_not_the_chief_works_in_silence(jobs, console):
    jobs.is_chief = False
    assert make([CONFIG], "somewhere", console, ENGINE) == []
    assert console.file.getvalue() == "" and jobs.observers == []
    assert jobs.engine == ENGINE and jobs.watcher is None


def test_workers_have_to_agree_on_all_but_the_folder_of_the_data(jobs, console, monkeypatch):
    compared = []
    monkeypatch.setattr(
        tt.strategy, "check_agreement", lambda strategy, value, advice: compared.append(value)
    )
    strategy = object()
    here = EngineOptions("here")
    other_folder = dataclasses.replace(CONFIG, data=Data("digits", data_dir="b"))
    make([CONFIG], "somewhere", console, here, strategy)
    make([other_folder], "x", console, here, strategy)
    make([dataclasses.replace(CONFIG, seeds=(5,))], "somewhere", console, here, strategy)
    assert compared[0] == compared[1] != compared[2]
    assert [asked[3] for asked in jobs.asked] == [strategy] * 3


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
