"""Members of a team on different processors, where the operating system first puts them on one.

A thread that is woken while the other processors are not quite idle is often put where its waker runs. A team that
waits at barriers then does no more than one thread until the system balances its load, which takes milliseconds to
seconds. A member that finds itself on the processor of another one therefore moves away, once, and is free again.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
from collections.abc import Callable


def _current() -> Callable[[], int] | None:
    if not hasattr(os, "sched_setaffinity"):
        return None
    # PyDLL keeps Python's lock: letting go of it costs more than the call
    return getattr(ctypes.PyDLL(None), "sched_getcpu", None)


_processor = _current()


def take_place(taken: set[int]) -> None:
    """Add the processor of the calling thread to those of its team, after leaving one that is taken already.

    Where processors cannot be chosen, or none is left, nothing happens. Cost: 1 us, some 20 us for a move.
    """
    if _processor is None:
        return
    mine = _processor()
    if mine in taken:
        allowed = os.sched_getaffinity(0)
        if free := allowed - taken:
            with contextlib.suppress(OSError):  # another thread may have changed what is allowed
                os.sched_setaffinity(0, free)
                os.sched_setaffinity(0, allowed)
                mine = _processor()
    taken.add(mine)
