"""Devices and processes that train together; the processes are real ones, on loopback."""

import contextlib
import json
import os
import pathlib
import socket
import subprocess
import sys
import textwrap
import time
import types

import pytest
import tensorflow as tf

import tf_tickets as tt
from tf_tickets import strategy

ROOT = pathlib.Path(__file__).parents[1]
WORKER = {"type": "worker", "index": 0}
CLUSTER = {"worker": ["127.0.0.1:1", "127.0.0.1:2"]}


def test_none_is_tensorflows_default_and_its_process_the_chief():
    resolved = tt.resolve_strategy("none")
    assert resolved is tf.distribute.get_strategy() and not tf.distribute.has_strategy()
    assert tt.is_chief(resolved)
    tt.check_agreement(resolved, {"anything": 1}, "agrees with itself")


def test_an_unknown_strategy_is_refused():
    with pytest.raises(tt.SettingError, match=r"'two'.+one of: none, mirrored, multi-worker"):
        tt.resolve_strategy("two")


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (None, "is not set"),
        ("{", "names no cluster and no task in it"),
        ("[]", "names no cluster and no task in it"),
        (json.dumps({"cluster": CLUSTER}), "names no cluster and no task in it"),
        (json.dumps({"cluster": {}, "task": WORKER}), "names no cluster and no task in it"),
        (
            json.dumps({"cluster": CLUSTER, "task": {**WORKER, "index": 2}}),
            "has no worker 2, but 2 of that type",
        ),
        (
            json.dumps({"cluster": {"ps": ["a:1"]}, "task": {"type": "ps", "index": 0}}),
            "makes this process a ps",
        ),
    ],
)
def test_multi_worker_wants_a_place_in_a_cluster(config, message, monkeypatch):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    if config is not None:
        monkeypatch.setenv("TF_CONFIG", config)
    with pytest.raises(tt.SettingError, match=message) as caught:
        tt.resolve_strategy("multi-worker")
    # The example that it shows is one that it would take.
    example = str(caught.value).split("TF_CONFIG='")[1].split("'")[0]
    strategy._check_cluster(example)


@pytest.mark.parametrize(
    ("jobs", "task", "expected"),
    [
        (("worker",), ("worker", 0), True),
        (("worker",), ("worker", 1), False),
        (("chief", "worker"), ("chief", 0), True),
        (("chief", "worker"), ("worker", 0), False),
    ],
)
def test_the_chief_is_tensorflows(jobs, task, expected):
    spec = tf.train.ClusterSpec({job: ["127.0.0.1:1", "127.0.0.1:2"] for job in jobs})
    resolver = tf.distribute.cluster_resolver.SimpleClusterResolver(spec, "", *task)
    assert tt.is_chief(types.SimpleNamespace(cluster_resolver=resolver)) is expected


def test_the_option_offers_the_strategies_that_there_are(run_script):
    assert f"{{{','.join(strategy.NAMES)}}}" in run_script("--help").stdout


# --- Replicas of one process, and of two


# What is asked of every strategy: `strategy`, of two replicas, is there.
TRAININGS = """
    import pathlib, random, sys, keras, numpy as np
    from tf_tickets import callbacks

    inputs = np.random.default_rng(0).normal(size=(64, 8)).astype("float32")

    def batches():
        pairs = tf.data.Dataset.from_tensor_slices((inputs, inputs[:, :1]))
        return pairs.batch(16)

    def build(seed):
        random.seed(seed)
        with strategy.scope():
            model = keras.Sequential([
                keras.Input((8,)),
                keras.layers.Dense(32, name="a"),
                keras.layers.BatchNormalization(synchronized=True, name="norm"),
                keras.layers.ReLU(),
                keras.layers.Dense(1, name="b"),
            ], name="net")
            model.compile(keras.optimizers.AdamW(0.01, weight_decay=0.1), "mse")
        return model

    def check_zeros(model, masks):
        for kernel in tt.prunable(model):
            first, *others = replicas(kernel)
            assert not first[~masks[kernel.path]].any() and first[masks[kernel.path]].all()
            assert all(np.array_equal(first, other) for other in others), kernel.path

    model = build(0)
    scores = tt.magnitude_scores(tt.prunable(model))
    with tt.hold(model, tt.global_masks(scores, 0.2)) as held:
        model.fit(batches(), verbose=0)
        masks = tt.global_masks(scores, 0.8, held.masks)
        held.assign(masks)
        model.fit(batches(), epochs=2, verbose=0)
        check_zeros(model, masks)

    model = build(1)
    masks = tt.global_masks(tt.magnitude_scores(tt.prunable(model)), 0.5)
    model.fit(batches(), epochs=2, verbose=0, callbacks=[callbacks.HoldMasks(masks)])
    check_zeros(model, masks)

    model = build(2)
    early_bird = callbacks.EarlyBird(0.5, look_back=2, delta=0.5)
    model.fit(batches(), epochs=9, verbose=0, callbacks=[early_bird])
    small = tt.slim(model, early_bird.masks)
    small.fit(batches(), verbose=0)
    assert small.get_layer("a").units == 16
    assert small.distribute_strategy is strategy

    def train(model, seed, first, last):
        model.fit(batches().repeat(), steps_per_epoch=last - first, verbose=0)

    def evaluate(model):
        return {"loss": float(np.mean((model(inputs) - inputs[:, :1]) ** 2))}, {}

    schedule = tt.IterativeSparsity(0.5, 2)
    search = tt.TicketSearch(
        build, train, evaluate, num_steps=3, rewind_step=1, schedule=schedule, rounds=2,
        arms=["winning"],
    )
    with tt.shared_folder(tt.RunFolder(sys.argv[1], {}), strategy) as folder:
        records = search.run([0], folder)
        assert [record["weight_sparsity"] for record in records] == [0.0, 0.5, 0.75]
        for record in records[1:]:
            ticket = tt.Ticket.load(folder.path / record["ticket"])
            for path, mask in ticket.masks.items():
                assert not ticket.weights[path][~mask].any(), path
        mine = folder.path

    # The same batches, noise and statistics as on one device, which this process has besides.
    images = tt.data.load("digits", "train", limit=64)
    losses = []
    for scope in (strategy.scope(), contextlib.nullcontext()):
        with scope:
            random.seed(0)
            model = tt.models.build("vae", images.image_shape, width=2)
            model.compile(keras.optimizers.SGD(1e-3))
        batch_losses = []
        note = lambda batch, logs: batch_losses.append(float(logs["loss"]))
        noting = keras.callbacks.LambdaCallback(on_train_batch_end=note)
        tt.fit_steps(model, images, 16, seed=0, start_step=2, stop_step=5, callbacks=[noting])
        losses.append(batch_losses)
    np.testing.assert_allclose(*losses, rtol=1e-5)
    assert len(set(losses[0])) == 3
"""

# Two optimizers, an average, spectral normalisation, and two updates of the critic in a step.
ADVERSARIES = """
    import contextlib, sys
    import numpy as np

    adversaries = tt.Experiment(
        tt.recipes.resolve(
            "sngan", "digits", epochs=1, batch_size=8,
            network={"width": 2, "critic_steps": 2, "ema_decay": 0.9},
        ),
        limit=16, strategy=strategy,
    )
    model = adversaries.build(0)
    masks = tt.global_masks(tt.magnitude_scores(tt.prunable(model)), 0.8)
    with tt.hold(model, masks) as held:
        adversaries.prepare(model, None)
        held.apply()
        adversaries.train(model, 0, 0, 1)
    for variable in model.weights:
        first, *others = replicas(variable)
        if variable.path in masks:
            assert not first[~masks[variable.path]].any(), variable.path
        assert all(np.array_equal(first, other) for other in others), variable.path
"""

MIRRORED = """
    import contextlib, tensorflow as tf
    (cpu,) = tf.config.list_physical_devices("CPU")
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    import tf_tickets as tt

    def replicas(variable):
        return [value.numpy() for value in strategy.experimental_local_results(variable.value)]

    strategy = tt.resolve_strategy("mirrored")
    assert strategy.num_replicas_in_sync == 2 and tt.is_chief(strategy)
"""

DIGEST = """
    from tf_tickets.files import sha256_of_arrays
    print(sha256_of_arrays(tt.take_snapshot(model)))
"""

# What a worker did last it prints: a digest of all that it found by itself.
TWO_WORKERS = """
    import contextlib, tensorflow as tf
    import tf_tickets as tt

    def replicas(variable):
        return [value.numpy() for value in strategy.experimental_local_results(variable.value)]

    strategy = tt.resolve_strategy("multi-worker")
    assert strategy.num_replicas_in_sync == 2
"""

OF_WORKERS = """
    assert (mine == pathlib.Path(sys.argv[1])) == tt.is_chief(strategy)
    assert mine.exists() == tt.is_chief(strategy)
    found = {
        **tt.take_snapshot(small), **tt.take_snapshot(model), "losses": np.array(losses),
        "metrics": np.array([record["metrics"]["loss"] for record in records]),
    }
    from tf_tickets.files import sha256_of_arrays

    print("found", sha256_of_arrays(found))

    # Without what MultiWorkerStrategy adds, Keras fails: when it no longer does, that may go.
    reduce = type(strategy).reduce
    del type(strategy).reduce
    try:
        build(0).fit(batches(), verbose=0)
    except ValueError as error:
        assert "PerReplica" in str(error), error
    else:
        raise AssertionError("Keras can do it now")
    type(strategy).reduce = reduce

    try:
        tt.check_agreement(strategy, tt.is_chief(strategy), "Be one.")
    except tt.SettingError as error:
        assert str(error) == "The workers do not agree. Be one."
        print("disagreed")
"""


def program(*parts):
    return [sys.executable, "-c", "\n".join(map(textwrap.dedent, parts))]


def configs():
    """Return TF_CONFIG for each of two workers, at ports that are free."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(2)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        addresses = [f"127.0.0.1:{each.getsockname()[1]}" for each in sockets]
    return [
        json.dumps({"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}})
        for index in range(2)
    ]


def ended(processes, seconds=500):
    """Wait for the processes, and return status, stdout and stderr of each; kill all if late."""
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


def run_mirrored(parts, *words):
    command = [*program(MIRRORED, *parts), *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, timeout=500)


def run_workers(parts, *words):
    """Run a program in two workers; return what each has printed."""
    command = [*program(TWO_WORKERS, *parts), *map(str, words)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    ran = ended(
        [
            subprocess.Popen(command, env={**os.environ, "TF_CONFIG": config}, **pipes)
            for config in configs()
        ]
    )
    for status, _, error in ran:
        assert status == 0, error[-3000:]
    return [out for _, out, _ in ran]


def test_two_replicas_of_one_process(tmp_path):
    ran = run_mirrored([TRAININGS, "print('done')"], tmp_path / "run")
    assert ran.stdout.endswith("done\n"), ran.stderr[-3000:]
    assert len(tt.read_results(tmp_path / "run" / "results.jsonl")) == 3


def test_two_processes(tmp_path):
    first, second = run_workers([TRAININGS, OF_WORKERS], tmp_path / "run")
    assert first == second and first.startswith("found ") and first.endswith("disagreed\n")
    assert len(tt.read_results(tmp_path / "run" / "results.jsonl")) == 3


@pytest.mark.slow
def test_adversaries():
    ran = run_mirrored([ADVERSARIES, "print('done')"])
    assert ran.stdout.endswith("done\n"), ran.stderr[-3000:]
    first, second = run_workers([ADVERSARIES, DIGEST])
    assert first == second != ""


# --- find_tickets.py


SMALL = "--model vae --width 4 --limit 64 --epochs 2 --batch-size 16 --rewind-step 1 --rounds 1"
SMALL = [*SMALL.split(), *"--arms winning --seeds 0 --precision float32 --json".split()]
METHODS = {
    "imp": SMALL,
    "snip": [*SMALL, "--method", "snip", "--rewind-step", "0"],
    "early-bird": "--model dcgan-shared --method early-bird --width 4 --limit 64 --epochs 4 "
    "--batch-size 16 --channel-sparsity 0.3 --mask-distance 1 --draw-every 1 --arms winning "
    "--seeds 0 --precision float32 --json".split(),
}
FIND_TICKETS = """
    import runpy
    runpy.run_path(sys.argv.pop(1), run_name="__main__")
"""


def bits(run):
    files = [*run.rglob("*.safetensors"), *run.rglob("samples.png")]
    return {file.relative_to(run).as_posix(): file.read_bytes() for file in files}


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
def test_find_tickets_by_two_replicas(method, cache, outcome_of, tmp_path, monkeypatch):
    monkeypatch.setenv("TF_TICKETS_CACHE", str(cache))
    script = ROOT / "scripts" / "find_tickets.py"
    words = [*METHODS[method], "--strategy", "mirrored", "--output", tmp_path]
    ran = run_mirrored(["import sys", FIND_TICKETS], script, *words)
    run = pathlib.Path(outcome_of(ran)["run"])
    assert tt.read_settings(run)["strategy"] == {"name": "mirrored", "replicas": 2}
    assert list((run / "figures").glob("*.png"))


@pytest.fixture
def find_by_two(start_script):
    """Start find_tickets.py in two workers; options of each follow those of both."""

    def start(*options, chief=(), other=()):
        return [
            start_script(*options, *own, "--strategy", "multi-worker", TF_CONFIG=config)
            for own, config in zip((chief, other), configs(), strict=True)
        ]

    return start


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
def test_find_tickets_by_two_processes(method, find_by_two, tmp_path, monkeypatch):
    (tmp_path / "scratch").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "scratch"))
    output = tmp_path / "output"
    (status, out, error), (other_status, *other) = ended(
        find_by_two(*METHODS[method], "--output", output)
    )
    assert (status, other_status) == (0, 0), (error, *other)
    run = pathlib.Path(json.loads(out.splitlines()[-1])["run"])
    assert list(output.iterdir()) == [run]
    assert not list((tmp_path / "scratch").rglob("*.safetensors"))
    assert [r["arm"] for r in tt.read_results(run / "results.jsonl")] == ["dense", "winning"]
    assert tt.read_settings(run)["strategy"] == {"name": "multi-worker", "replicas": 2}
    assert list((run / "figures").glob("*.png"))
    assert "trained, 0 left" in error
    assert other == ["", "find_tickets.py: waiting until all workers of TF_CONFIG are started\n"]


@pytest.mark.slow
@pytest.mark.parametrize("killed", [0, 1])
def test_a_killed_worker_ends_the_other_and_both_resume(killed, find_by_two, tmp_path):
    words = [*SMALL, "--arms", "winning", "random", "--output"]
    whole = ended(find_by_two(*words, tmp_path / "whole"))
    workers = find_by_two(*words, tmp_path / "killed")
    while not list((tmp_path / "killed").rglob("done.json")):
        assert all(worker.poll() is None for worker in workers)
        time.sleep(0.01)
    workers[killed].kill()
    status, _, error = ended(workers)[1 - killed]
    assert status == 1 and "Another worker is gone" in error and "Traceback" not in error
    resumed = ended(find_by_two(*words, tmp_path / "killed"))
    runs = [pathlib.Path(json.loads(ran[0][1].splitlines()[-1])["run"]) for ran in (whole, resumed)]
    assert bits(runs[0]) == bits(runs[1]) != {}
    assert resumed[0][2].count(": trained, ") < whole[0][2].count(": trained, ")


@pytest.mark.slow
def test_workers_that_differ_end_at_once(find_by_two, tmp_path):
    def check(processes, message):
        for status, out, error in ended(processes):
            assert (status, out) == (2, "") and message in error, error
            assert error.count("\n") == 2  # that it waited, and why it ended

    output = ["--output", tmp_path / "one"]
    check(find_by_two(*SMALL, *output, other=("--rounds", "2")), "Give all the same options")
    ended(find_by_two(*SMALL, *output))
    processes = find_by_two(*SMALL, chief=output, other=("--output", tmp_path / "two"))
    check(processes, "one --output on a disk that they share")


def test_a_strategy_that_cannot_work_is_refused(run_here, assert_refused, monkeypatch, tmp_path):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    ran = run_here(*SMALL, "--strategy", "multi-worker", "--output", tmp_path)
    assert_refused(ran, 2, "needs TF_CONFIG, which is not set")


def test_a_batch_has_equal_parts():
    recipe = tt.recipes.resolve("linear-ae", "digits", batch_size=5)
    with pytest.raises(tt.SettingError, match=r"must be a multiple of 2\. Received: batch_size=5"):
        tt.Experiment(recipe, limit=8, strategy=types.SimpleNamespace(num_replicas_in_sync=2))
