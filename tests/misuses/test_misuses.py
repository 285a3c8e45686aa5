"""Misuses of the public names: each is an error of ours, in one line, and changes nothing."""

import collections
import inspect
import pathlib
import re

import pytest

import tf_tickets as tt
from tests.misuses import (
    given,
    of_files,
    of_laboratory,
    of_models,
    of_pruning,
    of_searches,
    of_tickets,
)

TABLES = (of_pruning, of_tickets, of_models, of_searches, of_laboratory, of_files)
KINDS = ("wrong type", "wrong shape", "wrong range", "wrong order", "wrong model", "wrong file")


def listed():
    """Yield table, kind, misuse, what it is told, and the error."""
    for table in TABLES:
        for kind, misuses in table.MISUSES.items():
            for misuse, told, *error in misuses:
                yield table, kind, misuse, told, *(error or [table.ERROR])


def name_of(table, misuse):
    """Return where a misuse is listed."""
    return f"{pathlib.Path(table.__file__).name}:{misuse.__code__.co_firstlineno}"


@pytest.fixture(scope="module")
def things(tmp_path_factory):
    return given.Given(tmp_path_factory.mktemp("misuses"))


@pytest.mark.parametrize(
    ("misuse", "told", "error"),
    [
        pytest.param(misuse, told, error, id=name_of(table, misuse))
        for table, _, misuse, told, error in listed()
    ],
)
def test_a_misuse_is_told_in_one_line_and_changes_nothing(misuse, told, error, things):
    before = things.state()
    with pytest.raises(error) as raised:
        misuse(things)
    assert raised.type is error
    assert told in str(raised.value) and "\n" not in str(raised.value)
    assert things.state()[: len(before)] == before


def test_these_are_200_and_of_all_kinds():
    counts = collections.Counter(kind for _, kind, *_ in listed())
    assert tuple(sorted(counts)) == tuple(sorted(KINDS))
    assert sum(counts.values()) >= 200 and min(counts.values()) >= 10, counts


@pytest.mark.parametrize(
    ("place", "left_out"),
    [
        # Parts of other names, and what others return.
        (tt, {"FlopsCount", "Report", "SlimReport"}),
        (tt.callbacks, set()),
        (tt.search, {"Arm", "Bench", "Comparison", "Draw", "Shuffled", "Start", "Verdict"}),
    ],
)
def test_every_public_name_that_takes_something_is_misused(place, left_out):
    text = "".join(map(inspect.getsource, (*TABLES, given)))
    names = set(place.__all__)
    assert {name for name in names if not re.search(rf"\b{name}\b", text)} == left_out
