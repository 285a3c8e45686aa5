"""Stages of plans, made in this process: what is made, kept, made again and told."""

import contextlib

import pytest

import tf_tickets as tt
from tests.engines.toy import (
    FILE,
    Watching,
    Workshop,
    bytes_of,
    done_in,
    left_overs,
    made_by,
    make,
    plan_in,
    stages_of,
    told_of,
    until_round,
)
from tf_tickets.engines import execute

NAMES = [stage.name for stage in stages_of()]


def test_records_are_in_the_order_of_the_stages(tmp_path, notes):
    records = make(tmp_path / "run", Workshop(notes))
    found = [(record["seed"], record["round"], record["arm"]) for record in records]
    assert found == [(stage.seed, stage.round, stage.arm) for stage in stages_of()]
    assert tt.read_results(tmp_path / "run" / "results.jsonl") == records
    assert made_by(notes) == NAMES


def test_what_is_done_is_not_made_again(tmp_path, notes):
    first = make(tmp_path / "run", Workshop(notes))
    before = bytes_of(tmp_path / "run")
    (tmp_path / "run" / "results.jsonl").unlink()
    assert make(tmp_path / "run", Workshop(notes)) == first
    assert bytes_of(tmp_path / "run") == before and made_by(notes) == NAMES
    assert tt.read_results(tmp_path / "run" / "results.jsonl") == first


def test_a_search_that_asks_for_more_makes_only_that(tmp_path, notes):
    make(tmp_path / "run", Workshop(notes), stages=stages_of(rounds=1))
    before = set(made_by(notes))
    make(tmp_path / "run", Workshop(notes))
    assert sorted(made_by(notes)) == sorted(NAMES)
    assert before < set(NAMES)


def damage(path):
    (path / "seed-0/round-01/winning" / FILE).write_text("damaged")


def test_a_damaged_stage_that_is_made_with_the_same_bytes_leaves_the_others(tmp_path, notes):
    make(tmp_path / "run", Workshop(notes))
    before = bytes_of(tmp_path / "run")
    damage(tmp_path / "run")
    with pytest.warns(UserWarning, match="seed-0/round-01/winning is made again"):
        make(tmp_path / "run", Workshop(notes))
    assert bytes_of(tmp_path / "run") == before
    assert made_by(notes)[len(NAMES) :] == ["seed-0/round-01/winning"]


def test_all_that_came_from_a_damaged_stage_is_made_again_if_its_bytes_change(tmp_path, notes):
    make(tmp_path / "run", Workshop(notes))
    before = bytes_of(tmp_path / "run")
    damage(tmp_path / "run")
    with pytest.warns(UserWarning, match="damaged"):
        make(tmp_path / "run", Workshop(notes, salt="other"))
    assert made_by(notes)[len(NAMES) :] == NAMES[1:5], "all of seed 0 but its dense network"
    changed = {
        name for name, content in bytes_of(tmp_path / "run").items() if before[name] != content
    }
    assert {name.rpartition("/")[0] for name in changed} == set(NAMES[1:5])


def test_observers_learn_of_each_stage_in_turn(tmp_path, notes):
    watching, again = Watching(), Watching()
    make(tmp_path / "run", Workshop(notes), observers=[watching])
    told = [line for stage in stages_of() for line in told_of(stage)]
    assert watching.told == [("search", len(NAMES)), *told]
    make(tmp_path / "run", Workshop(notes), observers=[again])
    ends = [line for line in told if line[0] == "ends"]
    assert again.told == [("search", len(NAMES)), *ends]


def test_plans_share_a_queue_and_each_is_finished_once(tmp_path, notes):
    finished = []

    def plan(name, seeds):
        def finish():
            finished.append((name, len(made_by(notes))))

        return plan_in(tmp_path / name, Workshop(notes), stages_of(seeds), finish=finish)

    with contextlib.ExitStack() as stack:
        plans = [stack.enter_context(plan(*each)) for each in (("one", (0,)), ("two", (0, 1, 2)))]
        one, two = execute(plans)
    assert finished == [("one", 5), ("two", 20)]
    assert (one.seeds, two.seeds) == ((0,), (0, 1, 2))
    assert bytes_of(tmp_path / "one").items() < bytes_of(tmp_path / "two").items()


def test_a_plan_that_is_done_is_finished_too(tmp_path, notes):
    finished = []
    for _ in range(2):
        make(tmp_path / "run", Workshop(notes), finish=lambda: finished.append(1))
    assert len(finished) == 2 and made_by(notes) == NAMES


@pytest.mark.parametrize(
    ("what", "error"), [("error", tt.DivergedError), ("interrupt", KeyboardInterrupt)]
)
def test_what_fails_leaves_the_stages_before_it_and_nothing_half(what, error, tmp_path, notes):
    finished = []
    with pytest.raises(error):
        make(
            tmp_path / "run",
            Workshop(notes, fails=((NAMES[3], what),)),
            finish=lambda: finished.append(1),
        )
    assert done_in(tmp_path / "run") == set(NAMES[:3]) and not finished
    assert not left_overs(tmp_path / "run") and not (tmp_path / "run" / NAMES[3]).exists()
    assert len(tt.read_results(tmp_path / "run" / "results.jsonl")) == 3
    make(tmp_path / "run", Workshop(notes))
    make(tmp_path / "whole", Workshop(tmp_path))
    assert made_by(notes) == NAMES
    assert bytes_of(tmp_path / "run") == bytes_of(tmp_path / "whole")


# --- Stages that what is done makes needless


def rounds_of(records):
    return sorted({(record["seed"], record["round"]) for record in records})


def test_stages_that_are_not_wanted_are_neither_made_nor_recorded(tmp_path, notes):
    watching, finished = Watching(), []
    records = make(
        tmp_path / "run",
        Workshop(notes),
        stages=stages_of(rounds=3),
        is_wanted=until_round(1),
        observers=[watching],
        finish=lambda: finished.append(1),
    )
    # The first seed is at its end before the second shows that round 1 is the last.
    made = [s.name for s in stages_of(rounds=3) if s.seed == 0 or s.round <= 1]
    assert made_by(notes) == made
    assert rounds_of(records) == [(0, 0), (0, 1), (1, 0), (1, 1)]
    left = [s.name for s in stages_of(rounds=3) if s.seed == 1 and s.round > 1]
    assert sorted(watching.names("drops out")) == sorted(left)
    assert watching.names("ends") == made and finished == [1]


def test_a_search_that_ended_early_goes_on_if_it_is_asked_to(tmp_path, notes):
    early = make(tmp_path / "run", Workshop(notes), is_wanted=until_round(1))
    assert make(tmp_path / "run", Workshop(notes), is_wanted=until_round(1)) == early
    assert len(made_by(notes)) == 8, "nothing was made again"
    whole = make(tmp_path / "run", Workshop(notes))
    assert sorted(made_by(notes)) == sorted(NAMES)
    assert [r for r in whole if r["round"] <= 1] == early
    assert make(tmp_path / "run", Workshop(notes), is_wanted=until_round(1)) == early


def test_a_plan_of_which_nothing_is_wanted_is_finished(tmp_path, notes):
    finished = []
    records = make(
        tmp_path / "run",
        Workshop(notes),
        is_wanted=lambda stage, records: False,
        finish=lambda: finished.append(1),
    )
    assert (list(records), made_by(notes), finished) == ([], [], [1])


def test_another_plan_goes_on_where_one_ends_early(tmp_path, notes):
    with contextlib.ExitStack() as stack:
        plans = [
            stack.enter_context(plan_in(tmp_path / name, Workshop(notes), is_wanted=is_wanted))
            for name, is_wanted in (("one", until_round(1)), ("two", lambda stage, records: True))
        ]
        one, two = execute(plans)
    assert {r["round"] for r in one} == {0, 1} and {r["round"] for r in two} == {0, 1, 2}
