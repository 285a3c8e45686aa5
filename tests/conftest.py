import contextlib
import json
import os
import pathlib
import socket
import subprocess
import sys
import time

import pytest

from tests import processes

# As many test processes as cores: threads beyond that would only get in each other's way.
os.environ["TF_NUM_INTRAOP_THREADS"] = os.environ["OMP_NUM_THREADS"] = "1"

ROOT = pathlib.Path(__file__).parents[1]
TFDS_FOLDER = ROOT.parent / "shared" / "tfds"


@pytest.fixture(scope="session")
def cache(tmp_path_factory):
    """One cache for the whole session, so that no test trains the same classifier twice."""
    mine = tmp_path_factory.getbasetemp()
    # Processes that share the tests have folders of their own beside each other.
    return (mine.parent if "PYTEST_XDIST_WORKER" in os.environ else mine) / "cache"


def with_engine(options, engine="here"):
    """Return the words of a command with an engine, if they name none; None adds nothing.

    Processes that train import TensorFlow anew, which takes longer than most trainings of tests.
    """
    return options if engine is None or "--engine" in options else (*options, "--engine", engine)


@pytest.fixture(scope="session")
def start_script(cache):
    """Start a script with options as a process of its own, which trains itself unless told.

    A process that is not forked imports TensorFlow itself, as a user's does: for tests of what its
    native code prints. `engine=None` leaves the command its default.
    """

    def start(*options, script="find_tickets.py", forked=True, engine="here", **environment):
        options = with_engine(options, engine)
        env = {**os.environ, "TF_TICKETS_CACHE": str(cache), **environment}
        file = ROOT / "scripts" / script
        if forked:
            return processes.Process(file, *options, env=env)
        command = [sys.executable, str(file), *map(str, options)]
        pipe = subprocess.PIPE
        return subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, env=env)

    return start


@pytest.fixture(scope="session")
def run_script(start_script):
    """Run a script to its end and return the completed process."""

    def run(*options, timeout=500, **environment):
        process = start_script(*options, **environment)
        out, error = process.communicate(timeout=timeout)
        return subprocess.CompletedProcess(process.args, process.returncode, out, error)

    return run


@pytest.fixture
def tfds_folder():
    """The folder of real MNIST and CIFAR-10, where this machine has them."""
    if not TFDS_FOLDER.exists():
        pytest.skip("real MNIST and CIFAR-10 are not on this machine")
    return TFDS_FOLDER


@pytest.fixture(scope="session")
def two_places():
    """Return TF_CONFIG for each of two workers on loopback, at ports that are free now."""

    def find():
        with contextlib.ExitStack() as stack:
            sockets = [stack.enter_context(socket.socket()) for _ in range(2)]
            for each in sockets:
                each.bind(("127.0.0.1", 0))
            cluster = {"worker": [f"127.0.0.1:{each.getsockname()[1]}" for each in sockets]}
        return [
            json.dumps({"cluster": cluster, "task": {"type": "worker", "index": index}})
            for index in range(2)
        ]

    return find


@pytest.fixture(scope="session")
def ended():
    """Wait for processes, and return status, stdout and stderr of each; kill all if one is late."""

    def wait(processes, seconds=300):
        end = time.monotonic() + seconds
        try:
            return [
                (process.returncode, out, error)
                for process in processes
                for out, error in [process.communicate(timeout=end - time.monotonic())]
            ]
        finally:
            for process in processes:
                process.kill()

    return wait
