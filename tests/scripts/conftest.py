import contextlib
import io
import json
import pathlib
import runpy
import subprocess
import warnings

import keras
import pytest

from tf_tickets.lab.commands.parser import exit_with_one_line

SCRIPTS = pathlib.Path(__file__).parents[2] / "scripts"


@pytest.fixture(scope="session")
def run_here(cache):
    """Run a script in this process, which has TensorFlow loaded already."""

    def run(*options, script="find_tickets.py"):
        main = runpy.run_path(str(SCRIPTS / script), run_name="imported")["main"]
        out, error = io.StringIO(), io.StringIO()
        status = 0
        with (
            pytest.MonkeyPatch.context() as patch,
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(error),
        ):
            patch.setattr("sys.argv", [script, *map(str, options)])
            patch.setattr("warnings.showwarning", warnings.showwarning)
            patch.setenv("TF_TICKETS_CACHE", str(cache))
            try:
                exit_with_one_line(main)
            except SystemExit as stopped:
                status = stopped.code
            finally:
                keras.config.set_dtype_policy("float32")
        return subprocess.CompletedProcess(options, status, out.getvalue(), error.getvalue())

    return run


@pytest.fixture(scope="session")
def outcome_of():
    """Return the JSON at the end of what a finished script has printed."""

    def read(ran):
        assert ran.returncode == 0, ran.stderr
        return json.loads(ran.stdout.splitlines()[-1])

    return read


@pytest.fixture(scope="session")
def assert_refused():
    """Assert that a script ended with one line on stderr; with status 2 having done nothing.

    Before that line there may be one for each training that was finished.
    """

    def check(ran, status, message):
        assert ran.returncode == status, ran.stderr
        assert message in ran.stderr
        lines = [line for line in ran.stderr.splitlines() if ": trained, " not in line]
        assert len(lines) == 1 and "Traceback" not in ran.stderr
        assert status == 1 or ran.stdout == ""

    return check
