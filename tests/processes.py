"""Processes of their own that need not import TensorFlow: each is forked from one that has.

A new interpreter takes five seconds of a processor before it does anything, half of what the tests
took together. The process that is forked from has imported the packages and used none of them.
"""

import multiprocessing
import os
import pathlib
import runpy
import subprocess
import sys
import tempfile
import textwrap
import time
import traceback
import warnings

_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["keras", "tensorflow", "tests.preloaded"])


class Process:
    """Runs a Python file as `subprocess.Popen` would, and is asked in the same words.

    Args:
        file: the Python file.
        *options: words of its command line.
        env: the whole environment; this process's by default.
        cwd: the folder that it runs in.
        warnings_are_errors: whether what warns a user ends it.
    """

    def __init__(self, file, *options, env=None, cwd=None, warnings_are_errors=False):
        self.args = [str(file), *map(str, options)]
        self._folder = tempfile.TemporaryDirectory()
        self._files = [pathlib.Path(self._folder.name) / name for name in ("out", "error")]
        env = dict(os.environ if env is None else env)
        arguments = (self.args, env, str(cwd or os.getcwd()), list(map(str, self._files)))
        arguments += (warnings_are_errors,)
        self._process = _CONTEXT.Process(target=_run, args=arguments)
        self._process.start()
        self.pid = self._process.pid

    @property
    def returncode(self):
        """The exit status, -N if signal N has ended it; None while it runs."""
        return self._process.exitcode

    def poll(self):
        """Return the exit status, or None while it runs."""
        return self.returncode

    def wait(self, timeout=None):
        """Wait for the end, and return the exit status."""
        self._process.join(timeout)
        if self.returncode is None:
            raise subprocess.TimeoutExpired(self.args, timeout)
        return self.returncode

    def communicate(self, timeout=None):
        """Wait for the end, and return what was written to stdout and stderr."""
        self.wait(timeout)
        return tuple(file.read_text() for file in self._files)

    def send_signal(self, number):
        """Send a signal, if it is still there."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self):
        """End it at once."""
        if self.poll() is None:
            self._process.kill()


def run_code(code, *options, **where) -> subprocess.CompletedProcess:
    """Run Python code to its end; `options` are its `sys.argv[1:]`.

    Args:
        code: its text.
        *options, **where: as `run` takes them.
    """
    with tempfile.TemporaryDirectory() as folder:
        file = pathlib.Path(folder) / "code.py"
        file.write_text(textwrap.dedent(code))
        return run(file, *options, **where)


def run(file, *options, timeout=500, **where) -> subprocess.CompletedProcess:
    """Run a Python file to its end.

    Args:
        file: the Python file.
        *options: words of its command line.
        timeout: seconds after which it is killed.
        **where: as `Process` takes it.
    """
    process = Process(file, *options, **where)
    try:
        out, error = process.communicate(timeout)
    finally:
        process.kill()
    return subprocess.CompletedProcess(process.args, process.returncode, out, error)


def _run(args, env, cwd, files, warnings_are_errors):
    """Be the process: with its own streams, environment, folder and arguments."""
    for number, file in enumerate(files, 1):
        os.dup2(os.open(file, os.O_WRONLY | os.O_CREAT), number)
    sys.stdout = open(1, "w", buffering=1, closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", buffering=1, closefd=False)  # noqa: SIM115
    os.environ.clear()
    os.environ.update(env)
    time.tzset()
    os.chdir(cwd)
    sys.argv = args
    sys.path[0] = os.path.dirname(os.path.abspath(args[0]))
    if warnings_are_errors:
        warnings.filterwarnings("error", category=UserWarning)
    status = 0
    try:
        runpy.run_path(args[0], run_name="__main__")
    except SystemExit as stopped:
        status = stopped.code if isinstance(stopped.code, int) else bool(stopped.code)
    except BaseException:
        traceback.print_exc()
        status = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)  # without the clean-up of what was only inherited
