"""Which devices and machines train together, and which process speaks for all of them."""

import contextlib
import json
import operator
import os
import re
import socket
import time
from collections.abc import Sequence

import tensorflow as tf

from tf_tickets.errors import SettingError
from tf_tickets.files import sha256_of_json

NAMES = ("none", "mirrored", "multi-worker")

_ADDRESS = re.compile(r"\S+:\d{1,5}")
_EXAMPLE = (
    '{"cluster": {"worker": ["10.0.0.1:2222", "10.0.0.2:2222"]}, '
    '"task": {"type": "worker", "index": 0}}'
)


def resolve_strategy(name: str) -> tf.distribute.Strategy:
    """Return the distribution strategy of a name; models that are built in its scope train by it.

    Args:
        name: "none" for TensorFlow's default, one device; "mirrored" for all GPUs of this machine,
            or else all its logical CPUs; "multi-worker" for the processes in TF_CONFIG. That one
            has to be asked for before TensorFlow is used, in all of them, and waits for the others.

    Raises:
        SettingError: if there is no such strategy, or TF_CONFIG names no place for this process.
    """
    if name not in NAMES:
        raise SettingError(f"Unknown strategy {name!r}. Choose one of: {', '.join(NAMES)}.")
    if name == "none":
        return tf.distribute.get_strategy()
    if name == "mirrored":
        kind = "GPU" if tf.config.list_logical_devices("GPU") else "CPU"
        return tf.distribute.MirroredStrategy(
            [device.name for device in tf.config.list_logical_devices(kind)]
        )
    check_cluster()
    try:
        return MultiWorkerStrategy()
    except RuntimeError as error:  # TensorFlow settles its devices when it is first used
        raise SettingError(
            "The strategy multi-worker must be resolved before anything else uses TensorFlow "
            f"({error})."
        ) from error
    except (tf.errors.UnknownError, tf.errors.InvalidArgumentError) as error:
        raise SettingError(
            f"This process cannot take its place in TF_CONFIG ({error.message}). Give it an "
            "address of this machine, and a port that is free."
        ) from error


# As long as TensorFlow waits, which neither Ctrl-C nor SIGTERM can end.
_WAIT_SECONDS = 600


def meet_cluster(seconds: float = _WAIT_SECONDS) -> None:
    """Wait until all workers of TF_CONFIG are started, each of which has to call this.

    TensorFlow waits for them itself, but in native code that hears no signal and names nobody.

    Args:
        seconds: after which the wait ends.

    Raises:
        SettingError: if this process cannot listen at its port, or a worker did not come.
    """
    meet(*_places(json.loads(os.environ["TF_CONFIG"])), seconds)


def meet(addresses: Sequence[str], own: int, seconds: float) -> None:
    """Wait until each of several processes has told all others of itself, and heard of them.

    Args:
        addresses: "host:port" of all processes, the same in each of them.
        own: which of them this process is.
        seconds: after which the wait ends.

    Raises:
        SettingError: as `meet_cluster` does.
    """
    missing = set(range(len(addresses))) - {own}
    told, end = set(), time.monotonic() + seconds
    with _listening(_port(addresses[own])) as server:
        while missing or len(told) < len(addresses) - 1:
            if time.monotonic() > end:
                names = ", ".join(addresses[n] for n in sorted(missing) or range(len(addresses)))
                raise SettingError(
                    f"Not all workers of TF_CONFIG have come in {seconds:g} seconds. Missing: "
                    f"{names}. Start each of them, with the same cluster."
                )
            told |= {n for n in range(len(addresses)) if n != own and _tell(addresses[n], own)}
            missing -= _heard(server)


def _places(config) -> tuple[list[str], int]:
    """Return the addresses of those that train together, and which of them this process is."""
    jobs, task = config["cluster"], config["task"]
    places = [(job, n) for job in ("chief", "worker") for n in range(len(jobs.get(job, ())))]
    own = places.index((task["type"], int(task["index"])))
    return [jobs[job][n] for job, n in places], own


def _port(address) -> int:
    return int(address.rpartition(":")[2])


def _listening(port) -> socket.socket:
    try:
        server = socket.create_server(("", port))
    except OSError as error:
        raise SettingError(
            f"This process cannot take its place in TF_CONFIG ({error.strerror}). Give it an "
            "address of this machine, and a port that is free."
        ) from error
    server.settimeout(0.2)
    return server


def _tell(address, own) -> bool:
    """Tell a worker that this one is there; return whether it listens."""
    host = address.rpartition(":")[0].strip("[]")
    try:
        with socket.create_connection((host, _port(address)), timeout=1) as connection:
            connection.sendall(f"{own}\n".encode())
    except (OSError, UnicodeError):  # nobody there, or no such name
        return False
    return True


def _heard(server) -> set[int]:
    """Return the workers that have told of themselves until now."""
    heard = set()
    with contextlib.suppress(TimeoutError):
        while True:
            connection, _ = server.accept()
            with connection, contextlib.suppress(OSError, ValueError):  # whoever else calls
                connection.settimeout(1)
                heard.add(int(connection.recv(16)))
    return heard


def is_chief(strategy: tf.distribute.Strategy) -> bool:
    """Return whether this process is the one that writes and prints.

    Args:
        strategy: as `resolve_strategy` returns it; one of a single process has only the chief.
    """
    cluster = _cluster_of(strategy)
    # TensorFlow's rule: the task of type "chief" where there is one, or else the first worker.
    return (
        cluster is None
        or cluster.task_type in (None, "", "chief")
        or (cluster.task_id == 0 and "chief" not in cluster.cluster_spec().jobs)
    )


def _cluster_of(strategy):
    try:
        return strategy.cluster_resolver
    except AttributeError as error:
        raise SettingError(
            "`strategy` must be a tf.distribute.Strategy, as tt.resolve_strategy returns it. "
            f"Received: a {type(strategy).__name__}"
        ) from error


def check_agreement(strategy: tf.distribute.Strategy, what, advice: str) -> None:
    """Wait for all workers of a strategy, and go on if they have the same in hand.

    Workers that differ would go different ways, and wait for each other for ever. One that has
    ended the others notice by themselves, some ten seconds later.

    Args:
        strategy: of the workers; one of a single process always agrees.
        what: has to be the same in all of them, as JSON can hold it.
        advice: what to do where it is not.

    Raises:
        SettingError: in all workers, if it is not the same.
        tf.errors.UnavailableError: if another worker has ended.
    """
    if _cluster_of(strategy) is None:
        return
    number = tf.constant([int(sha256_of_json(what)[:15], 16)], tf.int64)
    numbers = strategy.experimental_distribute_values_from_function(lambda _: number)
    if len(set(strategy.gather(numbers, axis=0).numpy().tolist())) > 1:
        raise SettingError(f"The workers do not agree. {advice}")


def mean_of_workers(strategy: tf.distribute.Strategy, numbers: Sequence[float]) -> list[float]:
    """Return the mean of each number over all workers of a strategy, the same in all of them.

    Args:
        strategy: of the workers, all of which have to call this; of a single process the numbers
            are returned as they are.
        numbers: as many in each worker.

    Raises:
        tf.errors.UnavailableError: if another worker has ended.
    """
    if _cluster_of(strategy) is None:
        return list(numbers)
    mine = tf.constant([list(numbers)], tf.float64)
    of_all = strategy.experimental_distribute_values_from_function(lambda _: mine)
    return strategy.gather(of_all, axis=0).numpy().mean(axis=0).tolist()


class MultiWorkerStrategy(tf.distribute.MultiWorkerMirroredStrategy):
    """TensorFlow's MultiWorkerMirroredStrategy, with which Keras 3 models can `fit`.

    Keras up to 3.15 asks `reduce` for two things that it does not do: for the mean of a batch that
    is several tensors, and for the mean along the first axis of what is a scalar. Every `fit` and
    `evaluate` fails on these (keras-team/keras, issue 20585).
    """

    def reduce(self, reduce_op, value, axis=None):
        """Reduce each tensor of a structure over all replicas; a scalar has no axis to reduce."""
        reduce = super().reduce

        def reduce_one(tensor):
            is_scalar = self.experimental_local_results(tensor)[0].shape.rank == 0
            return reduce(reduce_op, tensor, None if is_scalar else axis)

        return tf.nest.map_structure(reduce_one, value)


def check_cluster() -> None:
    """Refuse a TF_CONFIG that TensorFlow would take for a single process, or stumble over.

    Raises:
        SettingError: if it names no place for this process, or addresses that are none.
    """
    text = os.environ.get("TF_CONFIG")
    if not text:
        _refuse("is not set")
    try:
        config = json.loads(text)
        task = config["task"]
        jobs, place = config["cluster"], (task["type"], operator.index(_number(task["index"])))
        addresses = jobs[place[0]]
        everywhere = [(job, address) for job, listed in jobs.items() for address in listed]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        _refuse(f"names no cluster and no task in it ({type(error).__name__}: {error})")
    for job, listed in jobs.items():
        if not isinstance(listed, list):
            _refuse(f"has no list of addresses as {job}, but {listed!r}")
    for job, address in everywhere:
        is_address = isinstance(address, str) and _ADDRESS.fullmatch(address)
        if not (is_address and 0 < _port(address) < 2**16):
            _refuse(f"has {address!r} among the addresses of {job}, which is no host:port")
    known = [address for _, address in everywhere]
    for address in known:
        if known.count(address) > 1:
            _refuse(f"has the address {address!r} twice")
    if not 0 <= place[1] < len(addresses):
        _refuse(f"has no {place[0]} {place[1]}, but {len(addresses)} of that type")
    if place[0] not in ("chief", "worker"):
        _refuse(f"makes this process a {place[0]}, which trains nothing")


def _number(index):
    """Return the index of a task, which may be text, as TensorFlow takes it too."""
    return int(index) if isinstance(index, str) else index


def _refuse(what):
    raise SettingError(
        f"The strategy multi-worker needs TF_CONFIG, which {what}. Give every process the same "
        f"cluster and an index of its own, as in TF_CONFIG='{_EXAMPLE}'."
    )
