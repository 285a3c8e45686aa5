import numpy as np

from tf_tickets.costs.memory import peak_memory_bytes


def test_the_peak_is_in_bytes_and_does_not_fall():
    before = peak_memory_bytes()
    held = np.ones(before // 8 + 10_000_000)  # more than all that the process has held so far
    after = peak_memory_bytes()
    assert after >= held.nbytes > before
    del held
    assert peak_memory_bytes() >= after
