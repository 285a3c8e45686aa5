"""`tf-tickets find` is the command of `scripts/find_tickets.py`, and so on."""

import configparser
import pathlib
import runpy
import sys

import pytest

from tf_tickets.lab.commands import __main__, compare, find, page, reproduce, transfer

ROOT = pathlib.Path(__file__).parents[3]
COMMANDS = {
    "find": (find, "find_tickets.py"),
    "compare": (compare, "compare_pruning.py"),
    "transfer": (transfer, "transfer_ticket.py"),
    "reproduce": (reproduce, "reproduce.py"),
    "page": (page, "write_page.py"),
}


@pytest.fixture
def called(monkeypatch):
    """The command lines that the commands were called with."""
    lines = []
    for name, (command, _) in COMMANDS.items():
        monkeypatch.setattr(command, "main", lambda name=name: lines.append((name, [*sys.argv])))
    return lines


def test_there_is_no_other_command():
    assert set(__main__.COMMANDS) == COMMANDS.keys()


@pytest.mark.parametrize("name", COMMANDS)
def test_the_first_word_names_the_command(name, called, monkeypatch):
    monkeypatch.setattr("sys.argv", ["tf-tickets", name, "--seeds", "3"])
    __main__.main()
    assert called == [(name, [f"tf-tickets {name}", "--seeds", "3"])]


@pytest.mark.parametrize("name", COMMANDS)
def test_a_script_calls_the_command(name, called, monkeypatch):
    script = ROOT / "scripts" / COMMANDS[name][1]
    monkeypatch.setattr("sys.argv", [str(script), "--seeds", "3"])
    runpy.run_path(str(script), run_name="__main__")
    assert called == [(name, [str(script), "--seeds", "3"])]


@pytest.mark.parametrize(
    ("words", "status"), [(["--help"], 0), (["-h"], 0), ([], 2), (["prune"], 2)]
)
def test_without_a_command_it_says_which_there_are(words, status, called, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["tf-tickets", *words])
    with pytest.raises(SystemExit) as stopped:
        __main__.main()
    out, error = capsys.readouterr()
    assert stopped.value.code == status and not called
    usage = "usage: tf-tickets {find,compare,transfer,reproduce,page} [options]\n"
    assert (out, error) == ((usage, "") if status == 0 else ("", usage))


def test_an_error_is_one_line_after_the_commands_name(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["tf-tickets", "find", "--rounds", "0"])
    with pytest.raises(SystemExit) as stopped:
        __main__.main()
    assert stopped.value.code == 2
    expected = "tf-tickets find: error: argument --rounds: must be at least 1. Received: 0\n"
    assert capsys.readouterr().err == expected


def test_an_installation_has_the_command():
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    entry = "tf-tickets = tf_tickets.lab.commands.__main__:main"
    assert setup["options.entry_points"]["console_scripts"].strip() == entry
