"""Devices and processes that train together; the processes are real ones, on loopback."""

import concurrent.futures
import json
import os
import socket
import subprocess
import sys
import textwrap
import types

import pytest
import tensorflow as tf

import tf_tickets as tt
from tf_tickets import strategy

WORKER = {"type": "worker", "index": 0}
CLUSTER = {"worker": ["127.0.0.1:1", "127.0.0.1:2"]}


def test_none_is_tensorflows_default_and_its_process_the_chief():
    resolved = tt.resolve_strategy("none")
    assert resolved is tf.distribute.get_strategy() and not tf.distribute.has_strategy()
    assert tt.is_chief(resolved)
    tt.check_agreement(resolved, {"anything": 1}, "agrees with itself")
    assert strategy.mean_of_workers(resolved, (1.0, 2.0)) == [1.0, 2.0]


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
        ("[5]", "names no cluster and no task in it"),
        ("[" * 100_000, "names no cluster and no task in it"),
        (json.dumps({"cluster": [], "task": WORKER}), "names no cluster and no task in it"),
        (
            json.dumps({"cluster": {"worker": "localhost:1"}, "task": WORKER}),
            "has no list of addresses as worker, but 'localhost:1'",
        ),
        (
            json.dumps({"cluster": {"worker": ["localhost", 5]}, "task": WORKER}),
            "has 'localhost' among the addresses of worker, which is no host:port",
        ),
        (
            json.dumps({"cluster": {"worker": ["a:1", "b:65536"]}, "task": WORKER}),
            "has 'b:65536' among the addresses of worker",
        ),
        (
            json.dumps({"cluster": {"worker": ["a:1", "a:1"]}, "task": WORKER}),
            "has the address 'a:1' twice",
        ),
        (
            json.dumps({"cluster": CLUSTER, "task": {**WORKER, "index": 0.5}}),
            "names no cluster and no task in it",
        ),
        (
            '{"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": 1e999}}',
            "names no cluster and no task in it",
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
    monkeypatch.setenv("TF_CONFIG", example)
    strategy.check_cluster()


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
        for name, kernel in tt.prunable(model).items():
            first, *others = replicas(kernel)
            assert not first[~masks[name]].any() and first[masks[name]].all()
            assert all(np.array_equal(first, other) for other in others), name

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
    written = pathlib.Path(sys.argv[1]).with_name(f"by-chief-{tt.is_chief(strategy)}")
    rewind = callbacks.RewindPoint(2, written / "rewind.safetensors")
    pruning = callbacks.PruneLowMagnitude(tt.ConstantSparsity(0.5, begin_step=3))
    report = callbacks.PruningReport(written / "logs")
    model.fit(batches(), epochs=2, verbose=0, callbacks=[rewind, pruning, report])
    files = [path.name.split(".")[0] for path in sorted(written.rglob("*.*"))]
    assert files == (["events", "rewind"] if tt.is_chief(strategy) else [])
    assert pruning.masks.sparsity == 0.5
    check_zeros(model, pruning.masks)
    rewind.rewind()
    for kernel in tt.prunable(model):
        assert all(value.all() for value in replicas(kernel)), kernel.path

    model = build(3)
    early_bird = callbacks.EarlyBird(0.5, look_back=2, mask_distance=0.5)
    model.fit(batches(), epochs=9, verbose=0, callbacks=[early_bird])
    small = tt.slim(model, early_bird.masks)
    small.fit(batches(), verbose=0)
    assert small.get_layer("a").units == 16
    assert small.distribute_strategy is strategy

    model = build(4)
    seen = []

    def train_once(model, data):
        seen.append([kernel.numpy() for kernel in tt.prunable(model)])
        model.fit(data, verbose=0)

    own = tt.search.LoopedPruning(
        model, batches(), train_once, schedule=tt.IterativeSparsity(0.5, 2), rounds=2
    )
    tickets = own.run()
    check_zeros(model, tickets[-1].masks)
    assert [ticket.masks.sparsity for ticket in tickets] == [0.5, 0.75]
    assert keras.ops.convert_to_numpy(model.optimizer.iterations) == 4
    for ticket, begun in zip(tickets, seen[1:], strict=True):
        for name, value in zip(tt.prunable(model).names, begun, strict=True):
            np.testing.assert_array_equal(value, ticket.weights[name])

    model = build(5)
    options = {"channel_sparsity": 0.5, "look_back": 2, "mask_distance": 0.5}
    own = tt.search.LoopedEarlyBird(model, batches(), train_once, **options)
    assert tt.slim(model, own.run(max_epochs=9)).get_layer("a").units == 16

    def train(model, seed, first, last):
        model.fit(batches().repeat(), steps_per_epoch=last - first, verbose=0)

    def evaluate(model):
        return {"loss": float(np.mean((model(inputs) - inputs[:, :1]) ** 2))}, {}

    schedule = tt.IterativeSparsity(0.5, 2)
    search = tt.search.TicketSearch(
        tt.search.Task(build, train, evaluate, num_steps=3),
        tt.search.ByMagnitude(schedule),
        rounds=2,
        rewind_step=1,
        arms=[tt.search.Winning()],
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
        tt.lab.fit_steps(model, images, 16, seed=0, start_step=2, stop_step=5, callbacks=[noting])
        losses.append(batch_losses)
    np.testing.assert_allclose(*losses, rtol=1e-5)
    assert len(set(losses[0])) == 3
"""

# Two optimizers, an average, spectral normalisation, and two updates of the critic in a step.
ADVERSARIES = """
    import contextlib, sys
    import numpy as np
    from tf_tickets.names import names_of

    adversaries = tt.lab.Experiment(
        tt.lab.resolve(
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
    names = names_of(model)
    for variable in model.weights:
        name = names[id(variable)]
        first, *others = replicas(variable)
        if name in masks:
            assert not first[~masks[name]].any(), name
        assert all(np.array_equal(first, other) for other in others), name
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

    from tf_tickets.strategy import mean_of_workers

    mine_alone = 3.0 if tt.is_chief(strategy) else 5.0
    assert mean_of_workers(strategy, [1.0, mine_alone]) == [1.0, 4.0]

    try:
        tt.check_agreement(strategy, tt.is_chief(strategy), "Be one.")
    except tt.SettingError as error:
        assert str(error) == "The workers do not agree. Be one."
        print("disagreed")
"""


def program(*parts):
    return [sys.executable, "-c", "\n".join(map(textwrap.dedent, parts))]


def run_mirrored(parts, *words):
    command = [*program(MIRRORED, *parts), *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, timeout=500)


@pytest.fixture
def run_workers(two_places, ended):
    """Run a program in two workers; return what each has printed."""

    def run(parts, *words):
        command = [*program(TWO_WORKERS, *parts), *map(str, words)]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        ran = ended(
            [
                subprocess.Popen(command, env={**os.environ, "TF_CONFIG": place}, **pipes)
                for place in two_places()
            ]
        )
        for status, _, error in ran:
            assert status == 0, error[-3000:]
        return [out for _, out, _ in ran]

    return run


@pytest.mark.slow
def test_two_replicas_of_one_process(tmp_path):
    ran = run_mirrored([TRAININGS, "print('done')"], tmp_path / "run")
    assert ran.stdout.endswith("done\n"), ran.stderr[-3000:]
    assert len(tt.read_results(tmp_path / "run" / "results.jsonl")) == 3


@pytest.mark.slow
def test_two_processes(run_workers, tmp_path):
    first, second = run_workers([TRAININGS, OF_WORKERS], tmp_path / "run")
    assert first == second and first.startswith("found ") and first.endswith("disagreed\n")
    assert len(tt.read_results(tmp_path / "run" / "results.jsonl")) == 3


@pytest.mark.slow
def test_adversaries(run_workers):
    ran = run_mirrored([ADVERSARIES, "print('done')"])
    assert ran.stdout.endswith("done\n"), ran.stderr[-3000:]
    first, second = run_workers([ADVERSARIES, DIGEST])
    assert first == second != ""


def test_a_batch_has_equal_parts():
    recipe = tt.lab.resolve("linear-ae", "digits", batch_size=5)
    with pytest.raises(tt.SettingError, match=r"must be a multiple of 2\. Received: batch_size=5"):
        tt.lab.Experiment(recipe, limit=8, strategy=types.SimpleNamespace(num_replicas_in_sync=2))


def test_workers_meet_whoever_comes_first(two_places):
    """Each in a thread, which is as good as a process to a socket."""
    addresses = json.loads(two_places()[0])["cluster"]["worker"]
    with concurrent.futures.ThreadPoolExecutor() as pool:
        first = pool.submit(strategy.meet, addresses, 0, 60)
        with pytest.raises(concurrent.futures.TimeoutError):
            first.result(timeout=0.5)
        pool.submit(strategy.meet, addresses, 1, 60).result()
        first.result()


def test_a_worker_that_does_not_come_is_named(two_places):
    addresses = json.loads(two_places()[0])["cluster"]["worker"]
    with pytest.raises(tt.SettingError, match=f"in 0.5 seconds. Missing: {addresses[1]}. Start"):
        strategy.meet([addresses[0], addresses[1]], 0, 0.5)
    with pytest.raises(tt.SettingError, match=r"Missing: no such name:1\. Start"):
        strategy.meet([addresses[0], "no such name:1"], 0, 0.1)
    port = addresses[0].rpartition(":")[2]
    with (
        socket.create_server(("", int(port))),
        pytest.raises(tt.SettingError, match=r"cannot take its place in TF_CONFIG \(Address"),
    ):
        strategy.meet(addresses, 0, 1)
