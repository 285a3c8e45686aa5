import dataclasses
import os
import subprocess
import sys

import pytest

from tf_tickets.errors import DivergedError, FileError, SettingError
from tf_tickets.lab.commands.parser import exit_with_one_line, option, parse, quiet_start


@dataclasses.dataclass(frozen=True)
class Options:
    name: str = option("one", "a choice", ("one", "two"))
    size: int | None = option(None, "a number or nothing")
    rate: float = option(0.5, "a fraction")
    seeds: tuple[int, ...] = option((0, 1), "several numbers")
    fast_mode: bool = option(False, "a flag")

    def __post_init__(self):
        if self.rate > 1:
            raise SettingError("argument --rate: must be at most 1")


def test_defaults_are_those_of_the_class():
    assert parse(Options, [], "") == Options()


def test_words_become_values_of_the_fields_types():
    words = "--name two --size 3 --rate 0.25 --seeds 4 5 6 --fast-mode".split()
    assert parse(Options, words, "") == Options("two", 3, 0.25, (4, 5, 6), True)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--name", "three"], "argument --name: invalid choice: 'three'"),
        (["--size", "big"], "argument --size: invalid int value: 'big'"),
        (["--rate", "2"], "argument --rate: must be at most 1"),
        (["--colour", "red"], "unrecognized arguments: --colour red"),
        (["--seeds"], "argument --seeds: expected at least one argument"),
    ],
)
def test_a_bad_option_is_one_line_and_status_2(words, message, capsys):
    with pytest.raises(SystemExit) as stopped:
        parse(Options, words, "")
    written = capsys.readouterr().err
    assert stopped.value.code == 2
    assert message in written and written.count("\n") == 1


def test_a_flag_of_another_name_fills_its_field(capsys):
    @dataclasses.dataclass(frozen=True)
    class Renamed:
        source: str | None = option(None, "where it is from", flag="--from")
        lasting: bool = option(False, "a flag", flag="--while")

    assert parse(Renamed, ["--from", "a run", "--while"], "") == Renamed("a run", True)
    assert parse(Renamed, [], "") == Renamed()
    with pytest.raises(SystemExit):
        parse(Renamed, ["--source", "a run"], "")
    assert "unrecognized arguments: --source" in capsys.readouterr().err


def test_help_names_every_option_with_its_default(capsys):
    with pytest.raises(SystemExit):
        parse(Options, ["--help"], "What it does.")
    written = capsys.readouterr().out
    assert "What it does." in written and "--fast-mode" in written and "default: 0.5" in written


@pytest.mark.parametrize(
    ("error", "status", "message"),
    [
        (SettingError("bad\nsetting"), 2, "bad setting"),
        (FileError("bad file"), 1, "bad file"),
        (DivergedError("bad loss"), 1, "bad loss"),
        (OSError(28, "No space left on device", "a/file"), 1, "No space left on device (a/file)."),
        (MemoryError(), 1, "Out of memory"),
        (KeyboardInterrupt(), 130, "run the same command again"),
    ],
)
def test_an_error_that_can_be_mended_is_one_line(error, status, message, capsys):
    def main():
        raise error

    with pytest.raises(SystemExit) as stopped:
        exit_with_one_line(main)
    written = capsys.readouterr().err
    assert stopped.value.code == status
    assert message in written and written.count("\n") == 1


def test_a_fault_of_ours_keeps_its_traceback():
    def main():
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        exit_with_one_line(main)


def test_quiet_start_silences_native_code_and_gives_stderr_back(capfd):
    with quiet_start():
        os.write(2, b"from native code")
    os.write(2, b"from us")
    assert capfd.readouterr().err == "from us"


def test_the_package_alone_loads_no_tensorflow():
    check = "import sys, tf_tickets.lab.commands.parser; sys.exit('tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", check], check=False).returncode == 0


def test_every_public_name_is_there():
    import tf_tickets as tt

    assert all(getattr(tt, name) is not None for name in tt.__all__)
    with pytest.raises(AttributeError, match="no attribute 'absent'"):
        _ = tt.absent
