"""How a machine is divided."""

import pytest

import tf_tickets as tt
from tests import processes
from tests.engines.toy import done_in
from tf_tickets.engines import resources, share


@pytest.fixture(autouse=True)
def machine(monkeypatch):
    """A machine of 8 processors and 64 GB."""
    monkeypatch.setattr(resources, "available_cores", lambda: 8)
    monkeypatch.setattr(resources, "memory_bytes", lambda: 64 * 2**30)


@pytest.mark.parametrize(
    ("width", "given", "expected"),
    [
        (100, {}, (8, 1)),
        (3, {}, (3, 2)),
        (1, {}, (1, 8)),
        (100, {"threads": 2}, (4, 2)),
        (100, {"workers": 3}, (3, 2)),
        (100, {"workers": 16}, (16, 1)),
        (100, {"num_gpus": 2}, (2, 4)),
        (100, {"num_gpus": 2, "workers_per_gpu": 3}, (6, 1)),
    ],
)
def test_processors_and_gpus_are_shared(width, given, expected):
    found = share(width, **given)
    assert (found.workers, found.threads) == expected


def test_there_are_no_more_workers_than_the_memory_holds(monkeypatch):
    monkeypatch.setattr(resources, "memory_bytes", lambda: 5 * 2**30)
    assert share(100).workers == 2


def test_a_machine_of_little_memory_has_one_worker(monkeypatch):
    monkeypatch.setattr(resources, "memory_bytes", lambda: 2**30)
    assert share(100) == share(100, workers=1)


@pytest.mark.parametrize("name", ["workers", "threads", "workers_per_gpu"])
def test_a_number_below_one_is_refused(name):
    with pytest.raises(tt.SettingError, match=f"`{name}` must be at least 1. Received: {name}=0"):
        share(4, **{name: 0})


def test_threads_are_chosen_before_tensorflow_is_used(tmp_path):
    ran = processes.run_code(
        """
        import contextlib, pathlib, sys
        import tensorflow as tf, tf_tickets as tt
        from tests.engines.toy import Workshop, make
        here = pathlib.Path(sys.argv[1])
        tt.engines.use_threads(3)
        tf.zeros(())
        tt.engines.use_threads(3)
        make(here / "a", Workshop(here), threads=3)
        print(tt.engines.threads_in_use())
        search = lambda threads: make(here / "b", Workshop(here), threads=threads)
        for refused in (tt.engines.use_threads, search):
            try:
                refused(2)
            except tt.SettingError as error:
                print(error)
        """,
        tmp_path,
    )
    assert ran.returncode == 0, ran.stderr
    in_use, *errors = ran.stdout.splitlines()
    assert in_use == "3" and len(errors) == 2 and len(set(errors)) == 1
    expected = "`threads` cannot be 2 in this process, as TensorFlow has begun with 3"
    assert errors[0].startswith(expected)
    assert done_in(tmp_path / "a") and not done_in(tmp_path / "b")


def test_each_worker_sees_its_own_gpu(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,7")
    monkeypatch.delenv("TF_FORCE_GPU_ALLOW_GROWTH", raising=False)
    resources.use_gpu(1, workers=2)
    assert resources.os.environ["CUDA_VISIBLE_DEVICES"] == "7"
    assert resources.os.environ["TF_FORCE_GPU_ALLOW_GROWTH"] == "true"
