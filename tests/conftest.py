import os
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[1]
TFDS_FOLDER = ROOT.parent / "shared" / "tfds"


@pytest.fixture(scope="session")
def cache(tmp_path_factory):
    """One cache for the whole session, so that no test trains the same classifier twice."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="session")
def start_script(cache):
    """Start a script with options as a process of its own."""

    def start(*options, script="find_tickets.py", **environment):
        return subprocess.Popen(
            [sys.executable, str(ROOT / "scripts" / script), *map(str, options)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "TF_TICKETS_CACHE": str(cache), **environment},
        )

    return start


@pytest.fixture(scope="session")
def run_script(start_script):
    """Run a script to its end and return the completed process."""

    def run(*options, **environment):
        process = start_script(*options, **environment)
        out, error = process.communicate(timeout=500)
        return subprocess.CompletedProcess(process.args, process.returncode, out, error)

    return run


@pytest.fixture
def tfds_folder():
    """The folder of real MNIST and CIFAR-10, where this machine has them."""
    if not TFDS_FOLDER.exists():
        pytest.skip("real MNIST and CIFAR-10 are not on this machine")
    return TFDS_FOLDER
