"""The engine of several processes on this machine."""

import concurrent.futures
import contextlib
import multiprocessing
import os
import signal

from tf_tickets.engines import process_worker
from tf_tickets.engines.engine import Order, WorkerLost
from tf_tickets.errors import check_count

_CONTEXT = multiprocessing.get_context("spawn")  # TensorFlow cannot be forked


class Processes:
    """Makes stages in processes of this machine, which it starts when they are needed.

    A process writes its stage into the run folder itself, under a name that only this process makes
    final. If this one ends, the others end too. Each keeps the threads that its first plan asks
    for; a plan that asks for others gets a new one.

    Args:
        workers: how many processes there are.
        num_gpus: GPUs to divide among them.
        workers_per_gpu: how many processes share a GPU.

    Raises:
        SettingError: if a number is no whole one or too small.
    """

    in_turn = False

    def __init__(self, workers: int, num_gpus: int = 0, workers_per_gpu: int = 1):
        check_count("workers", workers)
        check_count("num_gpus", num_gpus, least=0)
        check_count("workers_per_gpu", workers_per_gpu)
        self.workers = workers
        self._gpus = [
            number // workers_per_gpu % num_gpus if num_gpus else None for number in range(workers)
        ]
        self._workers_per_gpu = workers_per_gpu
        self._slots: dict[int, _Slot] = {}
        self._futures: dict[int, concurrent.futures.Future] = {}

    def __str__(self):
        return f"{self.workers} side by side in processes of their own"

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        for number, slot in self._slots.items():
            slot.end(is_idle=number in self.idle())

    def idle(self):
        """Return the numbers of the processes that make nothing now."""
        return [
            number
            for number in range(self.workers)
            if number not in self._futures or self._futures[number].done()
        ]

    def submit(self, worker, order):
        """Let a process make a stage; it is started if it is not there."""
        slot = self._slots.get(worker)
        if slot and (slot.is_broken or slot.threads != order.plan.threads):
            self._slots.pop(worker).end(is_idle=not slot.is_broken)
        if worker not in self._slots:
            gpu = self._gpus[worker]
            self._slots[worker] = _Slot(order.plan.threads, gpu, self._workers_per_gpu)
        self._futures[worker] = self._slots[worker].submit(order)
        return self._futures[worker]

    def pass_on_progress(self):
        """Pass on what the processes have reported."""
        for slot in self._slots.values():
            slot.pass_on_progress()


class _Slot:
    """One process, and the pipe through which it reports."""

    def __init__(self, threads, gpu, workers_per_gpu):
        self.threads = threads
        self._pipe, theirs = _CONTEXT.Pipe(duplex=False)
        self._pool = concurrent.futures.ProcessPoolExecutor(
            1, _CONTEXT, process_worker.begin, (theirs, threads, gpu, workers_per_gpu)
        )
        with _out_of_reach_of_ctrl_c():
            self._pid = self._pool.submit(os.getpid)
        self._order: Order | None = None
        self.is_broken = False

    def submit(self, order):
        self.pass_on_progress()  # what is left of the order before
        self._order = order
        folder, plan = order.plan.folder, order.plan
        inner = self._pool.submit(
            process_worker.make,
            order.number,
            plan.workshop,
            str(folder.path),
            folder.settings,
            order.stage,
            order.path,
        )
        return _translated(inner, self._lost)

    def _lost(self):
        self.is_broken = True

    def pass_on_progress(self):
        with contextlib.suppress(EOFError, OSError):
            while self._pipe.poll():
                self._order.report(self._pipe.recv())

    def end(self, is_idle):
        """End the process: at once if it is at work, as nobody wants what it makes."""
        if not is_idle:
            with contextlib.suppress(Exception):  # it may have ended, or never begun
                os.kill(self._pid.result(timeout=60), signal.SIGKILL)
        self._pool.shutdown(wait=True, cancel_futures=True)
        self._pipe.close()


@contextlib.contextmanager
def _out_of_reach_of_ctrl_c():
    """Let a process begin with Ctrl-C blocked, which would be a traceback among its imports."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _translated(inner, lost):
    """Return a future of the same result, which says of a broken pool that a worker was lost."""
    outer = concurrent.futures.Future()

    def pass_on(future):
        error = future.exception()
        if isinstance(error, concurrent.futures.process.BrokenProcessPool):
            lost()
            outer.set_exception(WorkerLost("it was killed, or could not begin"))
        elif error is not None:
            outer.set_exception(error)
        else:
            outer.set_result(future.result())

    inner.add_done_callback(pass_on)
    return outer
