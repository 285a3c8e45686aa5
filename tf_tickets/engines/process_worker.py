"""What runs in a process of the engine `Processes`."""

import multiprocessing
import os
import signal
import threading

from tf_tickets.engines.resources import use_gpu, use_threads
from tf_tickets.engines.workroom import Workroom
from tf_tickets.quiet import load_tensorflow, quiet_start
from tf_tickets.runs.folder import RunFolder

_room = Workroom()
_pipe = None


def begin(pipe, threads: int | None, gpu: int | None, workers_per_gpu: int) -> None:
    """Make this process ready for stages.

    Args:
        pipe: takes what is reported.
        threads: of TensorFlow; None for its own choice.
        gpu: the number of the GPU that it may use, None for none.
        workers_per_gpu: how many processes use that one.
    """
    global _pipe
    _pipe = pipe
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that gives orders
    threading.Thread(target=_end_with_parent, daemon=True).start()
    use_gpu(gpu, workers_per_gpu)
    with quiet_start():
        load_tensorflow()
        import tensorflow as tf

        if threads is not None:
            use_threads(threads)
        tf.zeros(())  # the first use of a device prints too


def _end_with_parent():
    multiprocessing.parent_process().join()
    os.kill(os.getpid(), signal.SIGKILL)  # at once, whatever is under way


def make(number, workshop, folder, settings, stage, path) -> tuple[dict, float]:
    """Make one stage: arguments as of `Workroom.make`, with a path and settings for the folder."""
    return _room.make(number, workshop, RunFolder(folder, settings), stage, path, _pipe.send)
