"""How much memory a process takes."""

import resource
import sys


def peak_memory_bytes() -> int:
    """Return the most memory that this process has held so far, in bytes.

    It is not that of one training, and to let Linux begin the peak anew would not make it so: what
    earlier trainings freed stays with the process, even through `malloc_trim`.
    """
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak
