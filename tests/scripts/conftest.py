import contextlib
import io
import json
import re
import subprocess
import warnings

import keras
import pytest

from tests.conftest import with_engine
from tf_tickets.lab.commands import compare, find, transfer
from tf_tickets.lab.commands.console import exit_with_one_line

COMMANDS = {
    "find_tickets.py": find,
    "transfer_ticket.py": transfer,
    "compare_pruning.py": compare,
}


@pytest.fixture(scope="session")
def run_here(cache):
    """Run a command in this process, which has TensorFlow loaded already, and trains itself."""

    def run(*options, script="find_tickets.py"):
        out, error = io.StringIO(), io.StringIO()
        status = 0
        with (
            pytest.MonkeyPatch.context() as patch,
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(error),
        ):
            patch.setattr("sys.argv", [script, *map(str, with_engine(options))])
            patch.setattr("warnings.showwarning", warnings.showwarning)
            patch.setenv("TF_TICKETS_CACHE", str(cache))
            try:
                exit_with_one_line(COMMANDS[script].main)
            except SystemExit as stopped:
                status = stopped.code
        assert keras.config.dtype_policy().name == "float32"  # as it was before
        return subprocess.CompletedProcess(options, status, out.getvalue(), error.getvalue())

    return run


@pytest.fixture(scope="session")
def outcome_of():
    """Return the JSON at the end of what a finished command has printed."""

    def read(ran):
        assert ran.returncode == 0, ran.stderr
        return json.loads(ran.stdout.splitlines()[-1])

    return read


@pytest.fixture(scope="session")
def assert_refused():
    """Assert that a command ended with one line on stderr; with status 2 having done nothing.

    Before that line there may be one for each training that was finished.
    """

    def check(ran, status, message):
        assert ran.returncode == status, ran.stderr
        assert message in ran.stderr
        done = re.compile(": (trained|not trained|collapsed), ")
        lines = [line for line in ran.stderr.splitlines() if not done.search(line)]
        assert len(lines) == 1 and "Traceback" not in ran.stderr
        assert status == 1 or ran.stdout == ""

    return check
