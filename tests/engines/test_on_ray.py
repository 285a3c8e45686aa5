"""Stages made in the actors of a Ray cluster, with and without a common disk."""

import sys

import pytest

import tf_tickets as tt
from tests.engines.toy import Workshop, bytes_of, left_overs, plan_in, processes_of
from tf_tickets.engines import execute, on_ray

ray = pytest.importorskip("ray")
# What Ray warns of itself, such as settings that it will change.
pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.slow]


@pytest.fixture
def notes(tmp_path):
    path = tmp_path / "notes"
    path.mkdir()
    return path


def make(path, notes, engine=None, **options):
    """Make a search, and return its records."""
    with plan_in(path, Workshop(str(notes), **options)) as plan:
        return execute([plan], engine)[0]


@pytest.fixture
def expected(tmp_path):
    """The bytes of all stages, as this process makes them."""
    make(tmp_path / "here", tmp_path)
    return bytes_of(tmp_path / "here")


class Apart(on_ray.RayWorker):
    """A worker on a machine that does not see the run folder."""

    def sees(self, path):
        return False


@pytest.mark.parametrize("worker", [on_ray.RayWorker, Apart])
def test_the_bytes_are_those_of_one_process(worker, tmp_path, notes, expected, monkeypatch):
    monkeypatch.setattr(on_ray, "RayWorker", worker)
    make(tmp_path / "run", notes, on_ray.OnRay(workers=2), seconds=0.2)
    assert bytes_of(tmp_path / "run") == expected and not left_overs(tmp_path / "run")
    assert len(processes_of(notes)) == 2


def test_the_stage_of_a_worker_that_was_killed_is_made_again(tmp_path, notes, expected):
    fails = (("seed-1/round-01/winning", "kill once"),)
    make(tmp_path / "run", notes, on_ray.OnRay(workers=2), fails=fails)
    assert bytes_of(tmp_path / "run") == expected


def test_an_error_is_passed_on_as_it_is(tmp_path, notes):
    bad = "seed-0/round-01/winning"
    with pytest.raises(tt.DivergedError, match=f"^{bad} diverged$"):
        make(tmp_path / "run", notes, on_ray.OnRay(workers=1), fails=((bad, "error"),))
    assert not left_overs(tmp_path / "run")


def test_an_address_that_nobody_answers_is_one_line(tmp_path, notes):
    with pytest.raises(tt.SettingError, match="no Ray cluster answers at 127.0.0.1:1"):
        make(tmp_path / "run", notes, on_ray.OnRay("127.0.0.1:1"))


def test_without_ray_one_line_says_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(tt.SettingError, match="not installed: pip install"):
        on_ray.OnRay()
