import io
import os
import subprocess
import sys
import warnings

import pytest

from tf_tickets.errors import DivergedError, FileError, SettingError
from tf_tickets.lab.commands import console
from tf_tickets.lab.commands.console import (
    exit_with_one_line,
    new_console,
    print_line,
    quiet_start,
    start_tensorflow,
)
from tf_tickets.strategy import meet_cluster


def status_of(error):
    def main():
        raise error

    with pytest.raises(SystemExit) as stopped:
        exit_with_one_line(main)
    return stopped.value.code


@pytest.mark.parametrize(
    ("error", "status", "message"),
    [
        (SettingError("bad\nsetting"), 2, "bad setting"),
        (SettingError("`round_to` must be 1"), 2, "argument --round-to: must be 1"),
        (FileError("bad file, give `data_dir`"), 1, "bad file, give --data-dir"),
        (DivergedError("bad loss"), 1, "bad loss"),
        (OSError(28, "No space left on device", "a/file"), 1, "No space left on device (a/file)."),
        (MemoryError(), 1, "Out of memory"),
        (KeyboardInterrupt(), 130, "run the same command again"),
    ],
)
def test_an_error_that_can_be_mended_is_one_line(error, status, message, capsys, monkeypatch):
    monkeypatch.setattr("sys.argv", ["somewhere/find_tickets.py"])
    assert status_of(error) == status
    written = capsys.readouterr().err
    assert written.startswith("find_tickets.py: error: ")
    assert message in written and written.count("\n") == 1


@pytest.mark.parametrize(
    ("name", "message"),
    [("ResourceExhaustedError", "Out of memory"), ("UnavailableError", "Another worker is gone")],
)
def test_errors_of_tensorflow_that_can_be_mended_are_one_line(name, message, capsys):
    import tensorflow as tf

    assert status_of(getattr(tf.errors, name)(None, None, "a\nlong\nstory")) == 1
    written = capsys.readouterr().err
    assert message in written and written.count("\n") == 1


def test_a_full_disk_is_not_told_as_a_full_memory(capsys):
    import tensorflow as tf

    for words in ("writer/x; No space left on device", "Disk quota exceeded"):
        assert status_of(tf.errors.ResourceExhaustedError(None, None, words)) == 1
        written = capsys.readouterr().err
        assert "No space left on the disk. Finished rounds are kept" in written
        assert "emory" not in written and written.count("\n") == 1


SURROUNDED = """
import os, sys
from tf_tickets.lab.commands.console import exit_with_one_line, new_console, print_line
from tf_tickets.lab.commands.console import start_tensorflow
def main():
    start_tensorflow()
    import keras, matplotlib.pyplot
    print_line(new_console(), f"caf\\xe9 \\udcff {keras.config.image_data_format()}")
    print(keras.backend.backend(), keras.config.floatx(), keras.layers.Dense(1).dtype)
    open(os.environ["CHECKED"], "w").write(f"{keras.backend.backend()} {sys.stdout.fileno()}")
exit_with_one_line(main)
"""
KERAS_JSON = '{"backend": "jax", "image_data_format": "channels_first", "floatx": "float64"}'


@pytest.mark.parametrize(
    ("redirection", "slow"),
    [
        ("2>&1", False),
        pytest.param(">&-", True, marks=pytest.mark.slow),
        pytest.param("2>&-", True, marks=pytest.mark.slow),
        pytest.param("<&- >&- 2>&-", True, marks=pytest.mark.slow),
    ],
)
def test_whatever_surrounds_a_command(redirection, slow, tmp_path):
    (tmp_path / "keras.json").write_text(KERAS_JSON)
    checked = tmp_path / "checked"
    env = {"PATH": os.environ["PATH"], "KERAS_HOME": str(tmp_path), "CHECKED": str(checked)}
    env |= {"KERAS_BACKEND": "nonsense", "MPLBACKEND": "nonsense", "LC_ALL": "POSIX"}
    env |= {"PYTHONPATH": os.pathsep.join(sys.path), "PYTHONIOENCODING": "ascii"}
    command = ["sh", "-c", f'"$0" -c "$1" {redirection}', sys.executable, SURROUNDED]
    ran = subprocess.run(command, capture_output=True, text=True, env=env, timeout=200)
    assert ran.returncode == 0, (ran.stdout, ran.stderr)
    assert checked.read_text() == "tensorflow 1"
    if not slow:
        expected = "caf\\xe9 \\udcff channels_last\ntensorflow float32 float32\n"
        assert ran.stdout == expected


def test_a_reader_of_stdout_who_has_left_is_no_error(capfd):
    """In a process of its own, as stdout is closed for good."""
    program = "from tf_tickets.lab.commands.console import exit_with_one_line\n"
    program += "def main(): raise BrokenPipeError\nexit_with_one_line(main)"
    assert os.spawnl(os.P_WAIT, sys.executable, sys.executable, "-c", program) == 1
    assert capfd.readouterr() == ("", "")


def test_a_fault_of_ours_keeps_its_traceback():
    def main():
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        exit_with_one_line(main)


def test_quiet_start_silences_native_code_and_gives_stderr_back(capfd):
    with pytest.raises(KeyError), quiet_start():
        os.write(2, b"from native code")
        raise KeyError
    os.write(2, b"from us")
    assert capfd.readouterr().err == "from us"


def test_tensorflow_is_started_with_the_strategy_and_warnings_of_one_line(capsys, monkeypatch):
    import tensorflow as tf

    monkeypatch.setattr("sys.argv", ["find_tickets.py"])
    monkeypatch.setattr("warnings.showwarning", warnings.showwarning)
    assert start_tensorflow() is tf.distribute.get_strategy()
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        monkeypatch.setattr("warnings.showwarning", console._one_line_warning)
        warnings.warn("a stage is damaged", stacklevel=1)
    assert capsys.readouterr().err == "find_tickets.py: warning: a stage is damaged\n"


def test_a_worker_says_that_it_waits_and_for_whom(capsys, monkeypatch, two_places):
    monkeypatch.setattr("sys.argv", ["find_tickets.py"])
    monkeypatch.setattr("warnings.showwarning", warnings.showwarning)
    monkeypatch.setenv("TF_CONFIG", "{}")
    with pytest.raises(SettingError, match="names no cluster"):
        start_tensorflow("multi-worker")
    assert capsys.readouterr().err == "", "of what cannot work there is nothing to wait for"
    monkeypatch.setenv("TF_CONFIG", two_places()[1])
    monkeypatch.setattr(meet_cluster, "__defaults__", (0.5,))
    with pytest.raises(SettingError, match=r"Not all workers .* Missing: 127\.0\.0\.1:\d+\. Start"):
        start_tensorflow("multi-worker")
    waiting = "find_tickets.py: waiting until all workers of TF_CONFIG are started\n"
    assert capsys.readouterr().err == waiting


def test_a_path_in_brackets_is_printed_as_it_is(monkeypatch):
    out = io.StringIO()
    monkeypatch.setattr("sys.stdout", out)
    print_line(new_console(), f"[red]{'x' * 150}[/red] :smile:")
    assert out.getvalue() == f"[red]{'x' * 150}[/red] :smile:\n"
