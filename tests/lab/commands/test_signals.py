"""Ctrl-C and SIGTERM, at moments that are chosen by what is imported then."""

import os
import pathlib
import signal
import subprocess
import sys

import pytest

from tf_tickets.lab.commands import signals
from tf_tickets.lab.commands.console import exit_with_one_line
from tf_tickets.lab.commands.signals import Signals, Stopped

ROOT = pathlib.Path(__file__).parents[3]
# Sends itself a signal when a module is about to be imported, and then is a script.
AT_AN_IMPORT = """
import os, runpy, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background ignores it
number, name, script, *words = sys.argv[1:]
class Finder:
    def find_spec(self, found, *_):
        if found == name:
            sys.meta_path.remove(self)
            os.kill(os.getpid(), int(number))
sys.meta_path.insert(0, Finder())
sys.argv = [script, *words]
runpy.run_path(script, run_name="__main__")
"""


def stopped_at(number, name, *words, script="find_tickets.py"):
    script = ROOT / "scripts" / script
    command = [sys.executable, "-c", AT_AN_IMPORT, str(int(number)), name, str(script), *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=200)


@pytest.mark.parametrize(
    ("number", "name", "script"),
    [
        (signal.SIGINT, "tf_tickets.lab.commands.parser", "find_tickets.py"),
        (signal.SIGINT, "tf_tickets.lab.config", "compare_pruning.py"),
        (signal.SIGTERM, "tf_tickets.lab.methods.snip", "transfer_ticket.py"),
        pytest.param(signal.SIGINT, "tensorflow", "find_tickets.py", marks=pytest.mark.slow),
        pytest.param(signal.SIGINT, "keras.src.layers", "find_tickets.py", marks=pytest.mark.slow),
        pytest.param(signal.SIGTERM, "h5py", "find_tickets.py", marks=pytest.mark.slow),
    ],
)
def test_a_signal_among_the_imports_is_one_line(number, name, script):
    ran = stopped_at(number, name, script=script)
    assert ran.returncode == 128 + number, ran.stderr
    word = "Interrupted" if number == signal.SIGINT else "Terminated"
    assert ran.stderr.startswith(f"{script}: error: {word}.") and ran.stderr.count("\n") == 1
    assert ran.stdout == ""


@pytest.fixture
def told(monkeypatch):
    """What was told, and with which status a process would have ended at once."""
    told = []

    def end(status):
        told.append(status)
        raise SystemExit(status)

    monkeypatch.setattr(signals, "end_process", end)
    return told


def test_before_the_work_begins_a_signal_ends_the_process_at_once(told):
    with pytest.raises(SystemExit), Signals(told.append).handled():
        os.kill(os.getpid(), signal.SIGTERM)
    assert told == [signals.last_words(signal.SIGTERM), 143]


@pytest.fixture(autouse=True)
def handlers():
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_within_the_work_folders_are_left_tidily_and_a_second_signal_ends_at_once(
    number, status, told
):
    work = Signals(told.append)
    work.has_begun = True
    with pytest.raises(Stopped), work.handled():
        os.kill(os.getpid(), number)
    assert told == []
    with pytest.raises(SystemExit):
        os.kill(os.getpid(), signal.SIGINT)
    assert told == [130], "and nothing is said twice"


def test_a_command_that_is_terminated_ends_with_its_status(capsys, monkeypatch):
    monkeypatch.setattr("sys.argv", ["find_tickets.py"])

    def main():
        raise Stopped(signal.SIGTERM)

    with pytest.raises(SystemExit) as stopped:
        exit_with_one_line(main)
    assert stopped.value.code == 143
    expected = f"find_tickets.py: error: {signals.last_words(signal.SIGTERM)}\n"
    assert capsys.readouterr().err == expected


def test_without_a_signal_what_was_there_before_is_there_again(told):
    before = signal.getsignal(signal.SIGTERM)
    with Signals(told.append).handled():
        assert signal.getsignal(signal.SIGTERM) != before
    assert signal.getsignal(signal.SIGTERM) == before and told == []
