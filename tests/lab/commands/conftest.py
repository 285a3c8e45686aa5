import contextlib
import io

import pytest

from tf_tickets.lab.commands.console import exit_with_one_line


@pytest.fixture
def ended_early(monkeypatch):
    """Run a command that has to end before TensorFlow is loaded; return status, out and error."""

    def run(command, *words):
        def load(*_):
            raise AssertionError("TensorFlow is about to be loaded")

        monkeypatch.setattr(command, "start_tensorflow", load)
        monkeypatch.setattr("sys.argv", [command.__name__, *map(str, words)])
        out, error = io.StringIO(), io.StringIO()
        with (
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(error),
            pytest.raises(SystemExit) as stopped,
        ):
            exit_with_one_line(command.main)
        return stopped.value.code, out.getvalue(), error.getvalue()

    return run


@pytest.fixture
def refused(ended_early):
    """Assert that a command ends with status 2 and one line, before TensorFlow is loaded."""

    def check(command, words, message):
        status, out, error = ended_early(command, *words)
        assert (status, out) == (2, ""), error
        assert message in error
        assert error.count("\n") == 1

    return check
