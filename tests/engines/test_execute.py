"""Stages of plans, made in this process."""

import contextlib

import pytest

import tf_tickets as tt
from tests.engines.toy import (
    FILE,
    Workshop,
    bytes_of,
    left_overs,
    made_by,
    plan_in,
    stages_of,
)
from tf_tickets.engines import Here, Observer, execute


class Watching(Observer):
    """Notes what it is told."""

    def __init__(self):
        self.told = []

    def search_begins(self, stages):
        self.told.append(("search", len(stages)))

    def stage_begins(self, stage):
        self.told.append(("begins", stage.name))

    def stage_goes_on(self, stage, progress):
        self.told.append(("goes on", stage.name, progress.steps, progress.losses))

    def stage_ends(self, stage, record):
        self.told.append(("ends", stage.name, record["metrics"]["loss"]))


@pytest.fixture
def notes(tmp_path):
    path = tmp_path / "notes"
    path.mkdir()
    return path


def make(path, notes, engine=None, **options):
    """Make a search, and return its records."""
    fails = options.pop("fails", ())
    with plan_in(path, Workshop(str(notes), fails=fails), **options) as plan:
        return execute([plan], engine)[0]


def test_records_are_in_the_order_of_the_stages(tmp_path, notes):
    records = make(tmp_path / "run", notes)
    found = list(zip(records.field("seed"), records.field("round"), records.field("arm"), strict=True))
    assert found == [(stage.seed, stage.round, stage.arm) for stage in stages_of()]
    assert tt.read_results(tmp_path / "run" / "results.jsonl") == records
    assert made_by(notes) == [stage.name for stage in stages_of()]


def test_what_is_done_is_not_made_again(tmp_path, notes):
    first = make(tmp_path / "run", notes)
    before = bytes_of(tmp_path / "run")
    assert make(tmp_path / "run", notes) == first
    assert bytes_of(tmp_path / "run") == before and len(made_by(notes)) == len(first)


def test_a_damaged_stage_and_all_that_came_from_it_is_made_again(tmp_path, notes):
    make(tmp_path / "run", notes)
    before = bytes_of(tmp_path / "run")
    (tmp_path / "run" / "seed-0/round-01/winning" / FILE).write_text("damaged")
    with pytest.warns(UserWarning, match="damaged"):
        make(tmp_path / "run", notes)
    assert bytes_of(tmp_path / "run") == before
    # Its users have the seal of a stage with the same bytes, and stay.
    assert made_by(notes)[len(stages_of()) :] == ["seed-0/round-01/winning"]


def test_observers_learn_of_each_stage_in_turn(tmp_path, notes):
    watching = Watching()
    make(tmp_path / "run", notes, stages=stages_of((0,), ("winning",), 1), observers=[watching])
    dense, winning = "seed-0/round-00/dense", "seed-0/round-01/winning"
    of_stage = [
        [("begins", name), ("goes on", name, 1, None), ("goes on", name, 1, {"loss": 0.5})]
        + [("ends", name, number)]
        for number, name in enumerate((dense, winning))
    ]
    assert watching.told == [("search", 2), *of_stage[0], *of_stage[1]]
    again = Watching()
    make(tmp_path / "run", notes, stages=stages_of((0,), ("winning",), 1), observers=[again])
    assert again.told == [("search", 2), ("ends", dense, 0), ("ends", winning, 1)]


def test_plans_share_a_queue_and_each_is_finished_once(tmp_path, notes):
    finished = []
    with contextlib.ExitStack() as stack:
        plans = [
            stack.enter_context(
                plan_in(
                    tmp_path / name,
                    Workshop(str(notes)),
                    stages_of(seeds),
                    finish=lambda name=name: finished.append(name),
                )
            )
            for name, seeds in (("one", (0,)), ("two", (0, 1, 2)))
        ]
        one, two = execute(plans)
    assert finished == ["one", "two"]
    assert (one.seeds, two.seeds) == ((0,), (0, 1, 2))


@pytest.mark.parametrize(("what", "error"), [("error", tt.DivergedError), ("interrupt", BaseException)])
def test_what_fails_leaves_the_stages_before_it_and_nothing_half(what, error, tmp_path, notes):
    bad = "seed-0/round-02/winning"
    with pytest.raises(error):
        make(tmp_path / "run", notes, fails=((bad, what),))
    assert len(made_by(notes)) == 3 and not left_overs(tmp_path / "run")
    assert not (tmp_path / "run" / bad).exists()
    records = make(tmp_path / "run", notes)
    assert len(records) == len(stages_of()) == len(made_by(notes))


def test_this_process_has_to_have_the_threads_of_the_plan(tmp_path, notes):
    in_use = tt.engines.threads_in_use()
    make(tmp_path / "run", notes, Here(), threads=in_use)
    with pytest.raises(tt.SettingError, match=f"`threads` cannot be {in_use + 1} in this process"):
        make(tmp_path / "other", notes, Here(), threads=in_use + 1)
