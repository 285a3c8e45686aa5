"""The workshop that is kept open from stage to stage."""

import contextlib

import pytest

from tf_tickets.engines.workroom import Workroom


class Workshop:
    """Notes when it is opened, what it makes, and with which exception it is closed."""

    def __init__(self, name, told):
        self.name = name
        self.told = told

    @contextlib.contextmanager
    def __call__(self, folder, report):
        def make(stage, path):
            if stage == "bad":
                raise KeyError(stage)
            report(stage)
            return {"stage": stage}

        self.told.append(f"{self.name} opens in {folder}")
        try:
            yield make
        except KeyError:
            self.told.append(f"{self.name} fails")
            raise
        else:
            self.told.append(f"{self.name} closes")


@pytest.fixture
def told():
    return []


def test_a_workshop_is_open_as_long_as_stages_of_its_plan_are_asked_for(told):
    room, (one, two) = Workroom(), (Workshop(name, told) for name in ("one", "two"))
    for number, workshop, stage in ((0, one, "a"), (0, one, "b"), (1, two, "c"), (0, one, "d")):
        record, seconds = room.make(number, workshop, "run", stage, None, told.append)
        assert record == {"stage": stage} and 0 <= seconds < 5
    room.close()
    room.close()
    first, second = "one opens in run", "two opens in run"
    parts = [first, "a", "b", "one closes", second, "c", "two closes", first, "d", "one closes"]
    assert told == parts


def test_each_stage_reports_to_whom_it_is_made_for(told):
    room, workshop, other = Workroom(), Workshop("one", []), []
    room.make(0, workshop, "run", "a", None, told.append)
    room.make(0, workshop, "run", "b", None, other.append)
    assert (told, other) == (["a"], ["b"])


def test_a_workshop_learns_of_its_error_and_is_opened_anew(told):
    room, workshop = Workroom(), Workshop("one", told)
    with pytest.raises(KeyError, match="bad"):
        room.make(0, workshop, "run", "bad", None, told.append)
    room.make(0, workshop, "run", "a", None, told.append)
    room.close()
    assert told == ["one opens in run", "one fails", "one opens in run", "a", "one closes"]
