"""The engine of a Ray cluster, whose machines need not share a disk."""

import concurrent.futures
import contextlib
import itertools
import socket
import time
import urllib.parse
import uuid

from tf_tickets.engines.engine import WorkerLost
from tf_tickets.engines.ray_worker import RayWorker, read_stage, write_stage
from tf_tickets.engines.resources import available_cores
from tf_tickets.errors import SettingError
from tf_tickets.files import sha256_of
from tf_tickets.runs.paths import DONE

_START_SECONDS = 120
_CONNECT_SECONDS = 5
_PROGRESS = "progress"  # the group of threads in which an actor answers while it trains


class OnRay:
    """Makes stages in the actors of a Ray cluster.

    An actor whose machine sees the run folder works in it as a process of this machine would. To
    any other one the files of a stage's sources are sent, and it sends back what it has made.

    Args:
        address: of the cluster, "auto" for the one that this machine belongs to; None starts one on
            this machine, which ends with the engine.
        workers: trainings side by side; None for as many as the cluster has room for.
        threads: processors that a training takes.
        workers_per_gpu: how many trainings share a GPU.

    Raises:
        SettingError: if Ray is not installed; when it begins, if no cluster answers.
    """

    in_turn = False

    def __init__(
        self,
        address: str | None = None,
        workers: int | None = None,
        threads: int = 1,
        workers_per_gpu: int = 1,
    ):
        self._ray = _import_ray()
        self._address = address
        self._wanted = workers
        self._threads = threads
        self._per_gpu = workers_per_gpu
        self._actors: dict[int, _Actor] = {}
        self._numbers = itertools.count()
        self._sent = {}
        self._alive = None

    def __str__(self):
        place = self._address or "of this machine"
        return f"{self._wanted or 'as many as there is room for'} in the Ray cluster {place}"

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        for actor in self._actors.values():
            actor.end()
        if self._alive is not None:
            self._ray.shutdown()

    def idle(self):
        """Return the numbers of the actors that can take an order; the first call starts them."""
        if self._alive is None:
            self._begin()
        states = {number: actor.state for number, actor in self._actors.items()}
        if "idle" in states.values() or "busy" in states.values():
            self._alive = time.monotonic()
        elif time.monotonic() - self._alive > _START_SECONDS:
            raise SettingError(
                f"No worker of the Ray cluster has begun in {_START_SECONDS} seconds. It has "
                f"{self._ray.cluster_resources().get('CPU', 0):g} processors in all: give fewer "
                "`threads`, or wait until others are done."
            )
        return [number for number, state in states.items() if state == "idle"]

    def submit(self, worker, order):
        """Let an actor make a stage."""
        return self._actors[worker].submit(order, self._sources(order))

    def pass_on_progress(self):
        """Pass on what the actors have reported, and replace those that were lost."""
        for number, actor in list(self._actors.items()):
            if actor.state == "lost":
                self._actors.pop(number).end()
                self._add_actor(actor.gpu)
            else:
                actor.pass_on_progress()

    def _begin(self):
        _start_or_join(self._ray, self._address)
        self._alive = time.monotonic()
        resources = self._ray.cluster_resources()
        cpus, gpus = int(resources.get("CPU", 0)), int(resources.get("GPU", 0))
        room = gpus * self._per_gpu or cpus // self._threads
        for _ in range(max(1, min(self._wanted or room, room))):
            self._add_actor(1 / self._per_gpu if gpus else 0)

    def _add_actor(self, gpu):
        self._actors[next(self._numbers)] = _Actor(self._ray, self._threads, gpu)

    def _sources(self, order):
        """Return a function that gives, by name, the seal and the files of an order's sources."""

        def put():
            return {source.name: self._put(order.plan, source) for source in order.sources}

        return put

    def _put(self, plan, stage):
        """Return a stage's seal, and a reference to its files in the cluster."""
        folder = plan.folder.path / stage.name
        seal = sha256_of(folder / DONE)
        if seal not in self._sent:
            self._sent[seal] = self._ray.put(read_stage(folder))
        return seal, self._sent[seal]


class _Actor:
    """One actor, and a thread that waits for it."""

    def __init__(self, ray, threads, gpu):
        self.gpu = gpu
        self._ray = ray
        groups = {_PROGRESS: 1}
        make = ray.remote(num_cpus=threads, num_gpus=gpu, concurrency_groups=groups)
        self._handle = make(RayWorker).remote(shares_gpu=0 < gpu < 1)
        self._started = self._ask()
        self._thread = concurrent.futures.ThreadPoolExecutor(1)
        self._order = self._future = self._asked = None
        self._is_lost = False

    @property
    def state(self) -> str:
        """Whether it is "starting", "idle", "busy" or "lost"."""
        if self._is_lost:
            return "lost"
        if self._started is not None:
            if not self._ray.wait([self._started], timeout=0)[0]:
                return "starting"
            self._started = None
        return "busy" if self._future is not None and not self._future.done() else "idle"

    def submit(self, order, sources):
        self._order = order
        self._future = self._thread.submit(self._make, order, sources)
        return self._future

    def _make(self, order, sources):
        """Let the actor make a stage, and wait for it; its files are then in the order's path."""
        try:
            return self._made(order, sources)
        except self._ray.exceptions.RayTaskError as error:
            raise error.cause from None
        except self._ray.exceptions.RayError as error:
            self._is_lost = True
            raise WorkerLost("its machine or its process was lost") from error

    def _made(self, order, sources):
        plan, get = order.plan, self._ray.get
        token = order.path / uuid.uuid4().hex
        token.touch()
        shares_disk = get(self._handle.sees.remote(str(token)))
        token.unlink()
        make = self._handle.make.options(num_returns=2, name=order.stage.name)
        path = order.path if shares_disk else None
        made, files = make.remote(
            order.number,
            plan.workshop,
            str(plan.folder.path),
            plan.folder.settings,
            order.stage,
            path,
            {} if shares_disk else sources(),
            plan.threads,
        )
        result = get(made)
        if not shares_disk:
            write_stage(order.path, get(files))
        return result

    def pass_on_progress(self):
        if self.state != "busy":
            return
        if self._asked is None:
            self._asked = self._ask()
        with contextlib.suppress(self._ray.exceptions.RayError):  # `_make` learns of it too
            if self._ray.wait([self._asked], timeout=0)[0]:
                for stage, progress in self._ray.get(self._asked):
                    if stage == self._order.stage:
                        self._order.report(progress)
                self._asked = None

    def _ask(self):
        """Return a reference to what the actor has reported since it was asked last."""
        return self._handle.progress.options(concurrency_group=_PROGRESS).remote()

    def end(self):
        self._ray.kill(self._handle)
        self._thread.shutdown(wait=True)


def _import_ray():
    try:
        import ray
        import ray.exceptions
    except ImportError as error:
        raise SettingError(
            "The engine ray needs Ray, which is not installed: pip install 'tf-tickets[ray]'"
        ) from error
    return ray


def _start_or_join(ray, address):
    """Become a part of a cluster; without an address it is a new one of this machine."""
    options = {"num_cpus": available_cores()} if address is None else {}
    try:
        _check_that_somebody_listens(address or "local")
        ray.init(address or "local", log_to_driver=False, logging_level="CRITICAL", **options)
    except (OSError, ValueError) as error:
        raise SettingError(
            f"`address`: no Ray cluster answers at {address}. Start one by `ray start --head`, or "
            "leave the address out."
        ) from error
    except RuntimeError as error:  # other versions there, or a script that has joined one already
        reason = " ".join(str(error).split())
        raise SettingError(f"Ray cannot join {address or 'a new cluster'}: {reason}") from error


def _check_that_somebody_listens(address):
    """Raise OSError at once if nobody does: Ray itself would try for a quarter of an hour."""
    place = urllib.parse.urlsplit(address if "://" in address else f"//{address}")
    if place.port is not None:  # neither "auto" nor "local"
        socket.create_connection((place.hostname, place.port), _CONNECT_SECONDS).close()
