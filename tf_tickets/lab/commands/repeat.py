"""The command that repeats a run, from its config alone."""

import dataclasses
import re
import shlex
from collections.abc import Iterable

from tf_tickets.lab.commands.parser import flag_of
from tf_tickets.lab.config import RunConfig
from tf_tickets.lab.methods import METHODS

_SCRIPTS = {"transferred": "transfer_ticket.py"}
# Of the machine, and not of the run.
_LEFT_OUT = ("data_dir",)


def command_of(config: RunConfig) -> str:
    """Return the command line that asks for a config, on one line.

    Folders of the machine are left out: `TFDS_DATA_DIR` says where data sets are.

    Args:
        config: as it was asked for, before defaults were filled in.
    """
    method = config.method
    script = _SCRIPTS.get(method.judged_arm, "find_tickets.py")
    words = ["python", f"scripts/{script}"]
    words += ["--to" if script != "find_tickets.py" else "--model", config.model]
    if METHODS[method.name].in_find and method.name != "imp":
        words += ["--method", method.name]
    for group in (config.data, config.training, method, config, config.judging):
        words += _words_of(group)
    if config.extensions:
        words += ["--extension", *config.extensions]
    return shlex.join(words)


def in_lines(command: str, width: int) -> list[str]:
    """Return a command line broken before flags, without what continues a line.

    Args:
        command: as `command_of` returns it.
        width: of a line; one flag with its values may be longer.
    """
    lines = [""]
    for part in re.split(r" (?=--)", command.strip()):
        if lines[-1] and len(lines[-1]) + len(part) > width:
            lines.append("")
        lines[-1] = f"{lines[-1]} {part}".strip()
    return lines


def command_of_reproduction(paper, exhibits: Iterable[str], scale) -> str:
    """Return the command line that reproduces exhibits of a paper.

    Args:
        paper: a `Paper`.
        exhibits: their names; if they are all of the paper's, the command says so.
        scale: a `Scale` of the paper.
    """
    names = list(exhibits)
    words = ["--all"] if len(names) == len(paper.exhibits) else names
    command = ["python", "scripts/reproduce.py", paper.name, *words, "--scale", scale.name]
    return shlex.join(command)


def _words_of(group) -> list[str]:
    """Return the flags of the options of a group that are not at their defaults."""
    usual = _usual(group)
    words = []
    for field in dataclasses.fields(group):
        value = getattr(group, field.name)
        is_offered = "help" in field.metadata and field.name not in (*_LEFT_OUT, "model")
        if is_offered and value != getattr(usual, field.name):
            words += _flag_and_value(field, value)
    return words


def _usual(group):
    if isinstance(group, RunConfig):
        return RunConfig(model=group.model, method=group.method)
    return type(group)()


def _flag_and_value(field, value):
    flag = flag_of(field)
    if isinstance(value, bool):
        return [flag if value else flag.replace("--", "--no-", 1)]
    values = value if isinstance(value, tuple) else [value]
    return [flag, *map(str, values)]
