"""Does every thread have a core of its own right now? If not, a timing with several of them says little.

The operating system may put two threads on one processor for a while, and on a rented machine two processors can be
halves of one core, which changes within seconds and is seen by nobody inside: both are busy, and half as fast.
"""

from __future__ import annotations

import functools
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from limits import fma_chains

WHOLE = 0.85  # of the arithmetic of that many cores
_COUNT = 1_000_000  # two milliseconds
_TRIES = 3


@functools.cache
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads)


def share_of_cores(threads: int) -> float:
    """Return the arithmetic that `threads` threads get done together, over that of as many cores: 1 where all is well.

    Threads that do nothing but multiply and add in registers share nothing but the core, if they share that. The best
    of a few tries counts, for the first may wake a thread.
    """
    data = [np.full(16, 1e-3) for _ in range(threads)]

    def alone() -> float:
        start = time.perf_counter()
        fma_chains(data[0], _COUNT)
        return time.perf_counter() - start

    def together() -> float:
        start = time.perf_counter()
        for done in [_pool(threads).submit(fma_chains, one, _COUNT) for one in data]:
            done.result()
        return time.perf_counter() - start

    alone()
    return min(1.0, min(alone() for _ in range(_TRIES)) / min(together() for _ in range(_TRIES)))


def whole(threads: int) -> bool:
    """Return whether each thread has a core of its own."""
    return threads == 1 or share_of_cores(threads) >= WHOLE
