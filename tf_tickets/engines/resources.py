"""How the processors and the GPUs of a machine are divided among trainings."""

import dataclasses
import os

from tf_tickets.errors import SettingError, check_count

_MEMORY_OF_A_WORKER = 2 * 2**30


@dataclasses.dataclass(frozen=True)
class Share:
    """How many trainings go side by side, and what each of them has.

    Attributes:
        workers: processes that train.
        threads: threads of TensorFlow in each. The bits of a training depend on them.
    """

    workers: int
    threads: int


def share(
    width: int,
    workers: int | None = None,
    threads: int | None = None,
    workers_per_gpu: int = 1,
    num_gpus: int = 0,
) -> Share:
    """Return how a machine is divided among trainings.

    Small networks use few of the threads that they get. So on processors the best division is as
    many workers as there is work for, and one thread more for each only if that leaves threads
    over; on GPUs it is `workers_per_gpu` workers for each.

    Args:
        width: for how many workers there is work, as `Queue.width` says.
        workers: processes that train; None for the best number.
        threads: of each; None for an equal share of the processors.
        workers_per_gpu: how many workers share a GPU.
        num_gpus: of the machine.

    Raises:
        SettingError: if a number is below 1.
    """
    for name, value in (("workers", workers), ("threads", threads)):
        if value is not None:
            check_count(name, value)
    check_count("workers_per_gpu", workers_per_gpu)
    cores = available_cores()
    if workers is None:
        places = num_gpus * workers_per_gpu or cores // (threads or 1)
        by_memory = memory_bytes() // _MEMORY_OF_A_WORKER
        workers = max(1, min(width, places, by_memory))
    return Share(workers, threads or max(1, cores // workers))


def available_cores() -> int:
    """Return the number of processors that this process may use."""
    return len(os.sched_getaffinity(0))


def memory_bytes() -> int:
    """Return the memory of this machine."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def use_threads(threads: int) -> None:
    """Let TensorFlow compute with so many threads in this process.

    Args:
        threads: for a single operation, and for operations side by side.

    Raises:
        SettingError: if it is no whole number of at least 1, or TensorFlow was used already, with
            another number.
    """
    check_count("threads", threads)
    import tensorflow as tf

    try:
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(threads)
    except RuntimeError as error:
        if threads_in_use() != threads:
            raise SettingError(
                f"`threads` cannot be {threads} in this process, as TensorFlow has begun with "
                f"{threads_in_use()}. Give {threads} as `threads` from the start, or let other "
                "processes train."
            ) from error


def threads_in_use() -> int:
    """Return the threads that TensorFlow computes an operation with in this process."""
    import tensorflow as tf

    chosen = tf.config.threading.get_intra_op_parallelism_threads()
    # As TensorFlow reads it, which passes over what is no number.
    given = os.environ.get("TF_NUM_INTRAOP_THREADS", "")
    return chosen or (int(given) if given.isdecimal() else 0) or available_cores()


def use_gpu(number: int | None, workers: int) -> None:
    """Let this process see one GPU alone, and take no more of its memory than it needs.

    Args:
        number: of the GPU, None for none.
        workers: how many processes share it.
    """
    if number is None:
        return
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")
    known = visible[number] if number < len(visible) and visible[number] else str(number)
    os.environ["CUDA_VISIBLE_DEVICES"] = known
    if workers > 1:
        os.environ["TF_FORCE_GPU_ALLOW_GROWTH"] = "true"
