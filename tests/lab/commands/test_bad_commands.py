"""Bad values for every option: each is one line and status 2, before TensorFlow is loaded."""

import dataclasses
import types
import typing

import pytest

from tf_tickets.lab.commands import compare, find, transfer
from tf_tickets.lab.commands.parser import flag_of
from tf_tickets.lab.config import Data, Judging, RunConfig
from tf_tickets.lab.engine_options import EngineOptions
from tf_tickets.lab.methods import EarlyBird, IterativeMagnitude, Snip, Transfer
from tf_tickets.lab.models import MODELS, GanTraining

BY_KIND = {
    int: ("x", "", "0.5", "1e3", "nan", "9" * 20, "-" + "9" * 20, "9" * 5000),
    float: ("x", "", "nan", "inf", "-inf", "1e999"),
    str: ("a\nb", "a\udcffb", "a\u2028b"),
}
NO_CHOICE = ("nonsense", "", "\udcff", "a\nb")
# The command, the words that choose its groups, and the groups.
COMMANDS = [
    (find, [], [RunConfig, IterativeMagnitude, Data, Judging, EngineOptions, find.FindOutput]),
    (find, ["--model", "vae"], [MODELS["vae"].family.training]),
    (find, ["--model", "sngan"], [GanTraining]),
    (find, ["--method", "early-bird"], [EarlyBird]),
    (find, ["--method", "snip"], [Snip]),
    (transfer, ["--to", "dcgan", "--from", "x"], [Transfer]),
    (compare, [], [compare.Comparing]),
]


def bad_values(kind, field):
    """Return what an option cannot be."""
    if field.metadata["choices"]:
        return NO_CHOICE
    hint = typing.get_type_hints(kind)[field.name]
    if isinstance(hint, types.UnionType):
        hint = next(each for each in typing.get_args(hint) if each is not type(None))
    hint = typing.get_args(hint)[0] if typing.get_origin(hint) is tuple else hint
    return BY_KIND.get(hint, ())


@pytest.mark.parametrize(
    ("command", "words", "kind"),
    [(command, words, kind) for command, words, kinds in COMMANDS for kind in kinds],
)
def test_a_value_that_cannot_work_is_refused_at_once(command, words, kind, refused):
    tried = 0
    for field in dataclasses.fields(kind):
        if "help" not in field.metadata:
            continue
        flag = flag_of(field)
        for value in bad_values(kind, field):
            refused(command, [*words, f"{flag}={value}"], "")
            tried += 1
    assert tried >= 3


def test_these_are_more_than_200():
    tried = sum(
        len(bad_values(kind, field))
        for _, _, kinds in COMMANDS
        for kind in kinds
        for field in dataclasses.fields(kind)
        if "help" in field.metadata
    )
    assert tried > 200


@pytest.mark.parametrize(
    ("command", "words", "message"),
    [
        (find, "--rounds 100000000", "argument --rounds: must be at most 10000"),
        (find, "--rounds 999999", "argument --rounds: must be at most 10000"),
        (find, "--width 99999", "argument --width: must be at most 4096"),
        (find, "--image-size 99999", "argument --image-size: must be at most 2048"),
        (find, "--threads 99999", "argument --threads: must be at most 1000"),
        (find, "--workers 99999", "argument --workers: must be at most 1000"),
        (find, "--seeds 1 1", "argument --seeds: must be different numbers"),
        (compare, "--rounds 3 101", "argument --rounds: must be at most 100"),
    ],
)
def test_what_no_machine_could_do_is_refused_at_once(command, words, message, refused):
    refused(command, words.split(), message)
