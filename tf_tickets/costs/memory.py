"""How much memory a process takes."""

import resource
import sys


def peak_memory_bytes() -> int:
    """Return the most memory that this process has held so far, in bytes.

    It is not that of one training: what earlier ones freed stays with the process. Letting Linux
    begin the peak anew, even after `malloc_trim`, was tried and does not change that.
    """
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak
