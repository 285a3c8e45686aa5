"""Where trainings are made: what is chosen by default, and what cannot go together."""

import subprocess
import sys

import pytest

from tf_tickets.errors import SettingError
from tf_tickets.lab import engine_options
from tf_tickets.lab.engine_options import ENGINES, EngineOptions


@pytest.fixture(autouse=True)
def found(monkeypatch):
    """Whether Ray is installed, here or not."""
    answers = {"ray": True}
    monkeypatch.setattr(engine_options, "find_spec", lambda name: answers[name] or None)
    return answers


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"engine": "threads"}, r"^`engine` must be one of here, processes, ray\. Received: "),
        ({"workers": 0}, r"^`workers` must be at least 1\. Received: workers=0$"),
        ({"workers_per_gpu": 0}, r"^`workers_per_gpu` must be at least 1\. Received: "),
        ({"engine": "here", "workers": 2}, "^`workers` must be 1 if the engine is here"),
        ({"address": "auto"}, "^`address` is for the engine ray"),
        ({"engine": "processes", "address": "auto"}, "^`address` is for the engine ray"),
    ],
)
def test_what_cannot_work_is_refused_by_the_name_of_its_option(options, message):
    with pytest.raises(SettingError, match=message):
        EngineOptions(**options)


def test_what_can_work_is_taken():
    assert EngineOptions("here", workers=1).workers == 1
    assert EngineOptions("ray", workers=8, address="auto").address == "auto"


def test_by_default_processes_train_and_this_one_if_several_devices_train_one_model():
    assert EngineOptions().resolved("none") == EngineOptions("processes")
    assert EngineOptions(workers=3).resolved("none") == EngineOptions("processes", 3)
    for strategy in ("mirrored", "multi-worker"):
        assert EngineOptions().resolved(strategy) == EngineOptions("here")


@pytest.mark.parametrize("engine", ENGINES)
def test_what_is_given_stays(engine):
    options = EngineOptions(engine, workers_per_gpu=2)
    assert options.resolved("none") == options


@pytest.mark.parametrize("strategy", ["mirrored", "multi-worker"])
def test_only_this_process_trains_one_model_on_several_devices(strategy):
    assert EngineOptions("here").resolved(strategy).engine == "here"
    for engine in ("processes", "ray"):
        with pytest.raises(SettingError, match=f"`engine` must be here if .* is {strategy}"):
            EngineOptions(engine).resolved(strategy)
    with pytest.raises(SettingError, match="`workers` must be 1 if the engine is here"):
        EngineOptions(workers=2).resolved(strategy)


def test_threads_are_a_matter_of_the_process_that_trains():
    assert EngineOptions("here").threads_here(3) == 3
    assert EngineOptions("here").threads_here(None) is None
    assert EngineOptions("processes").threads_here(3) is None
    assert EngineOptions("ray").threads_here(3) is None


def test_engine_options_load_no_tensorflow():
    code = (
        "import sys; from tf_tickets.lab.engine_options import EngineOptions; "
        "EngineOptions().resolved('none'); "
        "print(sorted({'tensorflow', 'keras', 'ray', 'numpy'} & set(sys.modules)))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout == "[]\n"


def test_without_ray_one_line_says_how_to_install_it(found):
    found["ray"] = False
    with pytest.raises(SettingError, match=r"Ray is installed: pip install 'tf-tickets\[ray\]'"):
        EngineOptions("ray").resolved("none")
    assert EngineOptions("here").resolved("none").engine == "here"
