"""Teams of threads that run one compiled function together, on a pool of threads that stay.

Numba's own parallel loops are not used: their OpenMP layer ends the process when it is used after a fork, their own
layer when two threads use it at once. A team is some Python threads, each of which calls the function, which runs
without Python's lock and meets the others at the barriers of `traindyn.kernels.cpu.synchrony`.

A process never has more members at work than `thread_count`, whoever asks, unless a call wants more by itself: a call
gets the threads that are free and runs alone when there are none, so a pool of the user's threads that all simulate is
not slowed down by teams on top of it. A function called through a team therefore works with any number of members, and
its result must not depend on it. A call from inside a member runs alone, and after a fork the child starts afresh.
"""

from __future__ import annotations

import contextlib
import os
import queue
import threading
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from .compile import thread_count
from .cpu.synchrony_layout import ABORTED, SIZE
from .placement import take_place

# a thread is worth waking for work that takes several times the 20 us that it takes to wake it
_SECONDS_PER_THREAD = 1e-4


def _new_sync() -> NDArray[np.int64]:
    return np.zeros(SIZE, np.int64)


class _Local(threading.local):
    limit: int | None = None
    inside = False


_local = _Local()


class _Call:
    """One function with its arguments, run by several members."""

    def __init__(self, function: Callable[..., Any], members: int, arguments: tuple[Any, ...]) -> None:
        self.failure: BaseException | None = None
        self._sync = _new_sync()
        self._function, self._members, self._arguments = function, members, arguments
        self._running = members
        self._processors: set[int] = set()
        take_place(self._processors)
        self._lock = threading.Lock()
        self._finished = threading.Lock()
        self._finished.acquire()

    def run(self, member: int) -> Any:
        """Run one member; an exception aborts the others."""
        try:
            if member:
                take_place(self._processors)
            return self._function(self._sync, member, self._members, *self._arguments)
        except BaseException as error:
            self.abort()
            with self._lock:
                self.failure = self.failure or error
        finally:
            with self._lock:
                self._running -= 1
                if self._running == 0:
                    self._finished.release()

    def abort(self) -> None:
        """Let no member wait for another any more."""
        self._sync[ABORTED] = 1

    def wait(self) -> None:
        """Wait for all members; Ctrl-C makes them return early, and is raised then."""
        try:
            self._finished.acquire()
        except BaseException:
            self.abort()
            self._finished.acquire()
            raise


_Inbox: TypeAlias = "queue.SimpleQueue[tuple[_Call, int]]"


class _Pool:
    """Threads that wait for calls, and the count of the members at work in this process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._idle: list[_Inbox] = []
        self._at_work = 0

    def enter(self, wanted: int) -> list[_Inbox]:
        """Return the inboxes of the threads that may help the caller, who counts as one more at work."""
        with self._lock:
            inboxes: list[_Inbox] = []
            if wanted > 1:
                free = max(thread_count(), wanted) - self._at_work - 1
                inboxes = [self._idle.pop() if self._idle else _started(self) for _ in range(min(wanted - 1, free))]
            self._at_work += 1 + len(inboxes)
            return inboxes

    def leave(self, helpers: int) -> None:
        """Tell that a call with so many helpers is over."""
        with self._lock:
            self._at_work -= 1 + helpers

    def serve(self, inbox: _Inbox) -> None:
        """Run members for ever."""
        _local.inside = True
        while True:
            call, member = inbox.get()
            call.run(member)
            del call  # its arrays are not kept until the next one
            with self._lock:
                self._idle.append(inbox)


def _started(pool: _Pool) -> _Inbox:
    inbox: _Inbox = queue.SimpleQueue()
    threading.Thread(target=pool.serve, args=(inbox,), name="traindyn-member", daemon=True).start()
    return inbox


_pool = _Pool()


def _forget_threads() -> None:
    # after a fork none of the pool's threads is there, and its lock may be held by one of them
    global _pool
    _pool = _Pool()
    _local.inside = False


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_threads)


def run_team(function: Callable[..., Any], threads: int, *arguments: Any) -> Any:
    """Call ``function(sync, member, members, *arguments)`` for each member of a team and return what member 0 returns.

    Arguments: `function` is compiled without Python's lock, works with any number of members and returns when a
    `barrier` returns False; `threads` is the largest number of members. The calling thread is member 0; there are
    fewer members when other calls hold the threads, and one inside a member.

    Raises: what a member raised, after all of them returned.

    Cost: 1 us for one member, 20 to 40 us for more.
    """
    if _local.inside:
        return function(_new_sync(), 0, 1, *arguments)
    pool = _pool
    inboxes = pool.enter(threads)
    _local.inside = True
    try:
        if not inboxes:
            return function(_new_sync(), 0, 1, *arguments)
        call = _Call(function, 1 + len(inboxes), arguments)
        try:
            for member, inbox in enumerate(inboxes, 1):
                inbox.put((call, member))
            result = call.run(0)
            call.wait()
        except BaseException:
            call.abort()
            raise
        if call.failure is not None:
            raise call.failure
        return result
    finally:
        _local.inside = False
        pool.leave(len(inboxes))


def team_size(seconds: float) -> int:
    """Return how many threads a call of an estimated length, in seconds on one core, deserves.

    >>> team_size(1e-6)
    1
    """
    if _local.inside or seconds < 2.0 * _SECONDS_PER_THREAD:
        return 1
    most = thread_count() if _local.limit is None else _local.limit
    return max(1, min(most, int(seconds / _SECONDS_PER_THREAD)))


@contextlib.contextmanager
def limited_threads(threads: int) -> Iterator[None]:
    """Let `team_size` give at most `threads` to calls of this thread inside the ``with`` block.

    >>> with limited_threads(1):
    ...     team_size(10.0)
    1
    """
    if threads < 1:
        raise InputError("threads must be at least 1", threads)
    before, _local.limit = _local.limit, threads
    try:
        yield
    finally:
        _local.limit = before
