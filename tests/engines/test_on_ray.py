"""Stages made in the actors of a Ray cluster, with and without a common disk."""

import sys
import time

import pytest

import tf_tickets as tt
from tests.engines.toy import (
    Watching,
    Workshop,
    alive_of,
    bytes_of,
    done_in,
    left_overs,
    made_by,
    make,
    processes_of,
    stages_of,
    told_of,
)
from tf_tickets.engines import on_ray

ray = pytest.importorskip("ray")
cluster_utils = pytest.importorskip("ray.cluster_utils")
# What Ray warns of itself, such as settings that it will change.
pytestmark = pytest.mark.filterwarnings("ignore")

NAMES = [stage.name for stage in stages_of()]


@pytest.fixture(scope="module")
def address():
    """A cluster of one machine, which the tests share: to start one takes seconds."""
    cluster = cluster_utils.Cluster(initialize_head=True, head_node_args={"num_cpus": 2})
    yield cluster.address
    cluster.shutdown()


class Apart(on_ray.RayWorker):
    """A worker on a machine that does not see the run folder."""

    def sees(self, path):
        return False

    def make(self, number, workshop, folder, settings, stage, path, sources, threads):
        assert path is None
        return super().make(number, workshop, "/nowhere", settings, stage, path, sources, threads)


@pytest.mark.parametrize("worker", [on_ray.RayWorker, Apart])
def test_the_bytes_are_those_of_one_process(
    worker, address, tmp_path, notes, expected, monkeypatch
):
    monkeypatch.setattr(on_ray, "RayWorker", worker)
    watching = Watching()
    workshop = Workshop(notes, seconds=0.2)
    make(tmp_path / "run", workshop, on_ray.OnRay(address, workers=2), observers=[watching])
    assert bytes_of(tmp_path / "run") == expected and not left_overs(tmp_path / "run")
    assert 1 <= len(processes_of(notes)) <= 2 and not alive_of(notes)
    assert sorted(watching.names("begins")) == sorted(watching.names("ends")) == sorted(NAMES)
    for stage in stages_of():  # an actor is asked now and then: its last words may be lost
        told = [told for told in watching.told if told[1] == stage.name]
        assert told == [line for line in told_of(stage) if line in told]


@pytest.mark.parametrize("worker", [on_ray.RayWorker, Apart])
def test_the_stage_of_a_worker_that_was_killed_is_made_again(
    worker, address, tmp_path, notes, expected, monkeypatch
):
    monkeypatch.setattr(on_ray, "RayWorker", worker)
    workshop = Workshop(notes, fails=(("seed-1/round-01/winning", "kill once"),))
    make(tmp_path / "run", workshop, on_ray.OnRay(address, workers=2))
    assert bytes_of(tmp_path / "run") == expected and not left_overs(tmp_path / "run")
    assert (notes / "killed").exists()


@pytest.mark.slow
def test_a_stage_that_ends_every_worker_is_one_line(address, tmp_path, notes):
    workshop = Workshop(notes, fails=((NAMES[0], "kill"),))
    with pytest.raises(tt.FileError, match=f"{NAMES[0]} ended 3 times"):
        make(tmp_path / "run", workshop, on_ray.OnRay(address, workers=1))
    assert not left_overs(tmp_path / "run")


def test_an_error_is_passed_on_as_it_is(address, tmp_path, notes):
    workshop = Workshop(notes, fails=((NAMES[1], "error"),))
    with pytest.raises(tt.DivergedError, match=f"^{NAMES[1]} diverged$"):
        make(tmp_path / "run", workshop, on_ray.OnRay(address, workers=1))
    assert not left_overs(tmp_path / "run") and not alive_of(notes)
    assert done_in(tmp_path / "run") == set(made_by(notes)) == set(NAMES) & set(made_by(notes))


@pytest.mark.slow
def test_without_an_address_a_cluster_begins_and_ends_with_the_engine(tmp_path, notes, expected):
    make(tmp_path / "run", Workshop(notes), on_ray.OnRay())
    assert bytes_of(tmp_path / "run") == expected
    assert not ray.is_initialized() and not alive_of(notes)


class Killing(Watching):
    """Ends a machine of a cluster at once when it learns that some stages are done."""

    def __init__(self, cluster, node):
        super().__init__()
        self.cluster, self.node = cluster, node

    def stage_ends(self, stage, record):
        super().stage_ends(stage, record)
        if len(self.names("ends")) == 4:
            self.cluster.remove_node(self.node, allow_graceful=False)


@pytest.mark.slow
@pytest.mark.parametrize("worker", [on_ray.RayWorker, Apart])
def test_a_machine_that_is_lost_changes_no_byte(worker, tmp_path, notes, expected, monkeypatch):
    monkeypatch.setattr(on_ray, "RayWorker", worker)
    cluster = cluster_utils.Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    try:
        killing = Killing(cluster, cluster.add_node(num_cpus=1))
        workshop = Workshop(notes, seconds=1.0)
        make(tmp_path / "run", workshop, on_ray.OnRay(cluster.address), observers=[killing])
    finally:
        cluster.shutdown()
    assert bytes_of(tmp_path / "run") == expected and not left_overs(tmp_path / "run")
    assert len(processes_of(notes)) == 2, "each machine has made some"
    assert len(killing.names("begins")) == len(NAMES) + 1, "what the lost one was making"


@pytest.mark.parametrize("where", ["127.0.0.1:1", "ray://127.0.0.1:1", "127.0.0.1:x", "nowhere"])
def test_an_address_that_nobody_answers_is_one_line(where, tmp_path, notes):
    begun = time.monotonic()
    with pytest.raises(tt.SettingError, match=f"no Ray cluster answers at {where}") as caught:
        make(tmp_path / "run", Workshop(notes), on_ray.OnRay(where))
    assert "\n" not in str(caught.value) and time.monotonic() - begun < 10


def test_without_ray_one_line_says_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(tt.SettingError, match="not installed: pip install"):
        on_ray.OnRay()
