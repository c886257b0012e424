"""Handing out the ranges of a sweep to an executor, taking the results in, and living through what goes wrong."""

from __future__ import annotations

import contextlib
import functools
import importlib
import os
import pickle
import threading
import time
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Executor, Future, ThreadPoolExecutor, wait
from typing import Any, TypeAlias

from ..errors import InputError, TraindynError
from .cells import Block, Work
from .grid import Cells, Grid
from .scheduling import Schedule
from .slicing import Interruption

_ATTEMPTS = 3
_LOOK = 0.2  # seconds between looks at Ctrl-C and the progress bar
_PATIENCE = 5.0  # seconds for what still runs elsewhere when the sweep is interrupted
_COUNT_AGAIN = 10.0  # seconds between counts of a cluster's workers
_Pending: TypeAlias = "dict[Future[Block], tuple[int, int, int]]"


class SweepStopped(TraindynError):
    """A sweep ended before all cells were done, because the executor broke down or kept failing.

    Attributes: cube, what was done until then; the cells that were not have `Status.INTERRUPTED`.
    """

    cube: Any = None


def packed(work: Work) -> bytes:
    """Return the work as bytes for other processes.

    Functions of ``__main__``, lambdas and nested functions travel by value where cloudpickle is installed.

    Raises: InputError with the cure.
    """
    failure: Exception | None = None
    data = b""
    try:
        data = pickle.dumps(work)
    except Exception as error:
        failure = error
    if failure is not None or b"__main__" in data:
        with contextlib.suppress(Exception):
            data, failure = importlib.import_module("cloudpickle").dumps(work), None
    if failure is not None:
        raise InputError(
            "build and measure must be picklable to run in other processes", f"{type(failure).__name__}: {failure}",
            "define them with def at the top level of a module, build with td.Recipe, or install cloudpickle "
            "(pip install 'traindyn[cluster]'), which also takes lambdas and nested functions",
        )  # fmt: skip
    return data


@functools.lru_cache(maxsize=2)
def _unpacked(data: bytes) -> Work:
    work: Work = pickle.loads(data)
    return work


def run_packed(data: bytes, cells: Cells, threads: int) -> Block:
    """Run a range of cells of packed work: what a worker process calls."""
    return _unpacked(data).run(cells, threads)


def workers_of(executor: Executor) -> int:
    """Return how many workers an executor has, or the number of cores where it does not tell."""
    client = getattr(executor, "_client", None)  # dask.distributed
    if client is not None:
        with contextlib.suppress(Exception):
            return max(1, int(sum(client.ncores().values())))
    for name in ("num_workers", "_max_workers"):
        count = getattr(executor, name, None)
        if isinstance(count, int) and count > 0:
            return count
    return os.cpu_count() or 1


class FanOut:
    """One pass over a schedule with an executor; None is a pool of threads of this process."""

    def __init__(
        self, work: Work, grid: Grid, executor: Executor | None, width: int, threads: int,
        accept: Callable[[Block], None], look: Callable[[Schedule], None],
    ) -> None:  # fmt: skip
        self._work, self._grid, self._executor, self._width, self._threads = work, grid, executor, width, threads
        self._accept, self._look = accept, look
        self._cancelled = threading.Event()
        self._here = executor is None or isinstance(executor, ThreadPoolExecutor)
        self._data = b"" if self._here else packed(work)

    def run(self, schedule: Schedule) -> bool:
        """Do all that the schedule holds; False when Ctrl-C ended it early.

        Raises: SweepStopped, KeyboardInterrupt at a second Ctrl-C, and errors of `accept`.
        """
        own = ThreadPoolExecutor(self._width, "traindyn-sweep") if self._executor is None else None
        executor = own or self._executor
        assert executor is not None
        pending: _Pending = {}
        try:
            with Interruption() as interruption:
                return self._loop(schedule, executor, pending, interruption)
        finally:
            self._cancelled.set()
            for future in pending:
                future.cancel()
            if own is not None:
                own.shutdown(wait=True, cancel_futures=True)

    def _loop(self, schedule: Schedule, executor: Executor, pending: _Pending, interruption: Interruption) -> bool:
        counted = time.monotonic()
        while not interruption.requested:
            if time.monotonic() - counted > _COUNT_AGAIN and self._executor is not None:
                schedule.width, counted = workers_of(executor), time.monotonic()
            # one more than the workers here, one more each where the way to them takes its time
            most = schedule.width + 1 if self._here else 2 * schedule.width + 1
            while len(pending) < most and (chosen := schedule.next()) is not None:
                self._submit(executor, pending, schedule, *chosen, 1)
            if not pending:
                return True
            done, _ = wait(pending, timeout=_LOOK, return_when=FIRST_COMPLETED)
            for future in done:
                self._take(future, pending, schedule, executor, interruption)
            self._look(schedule)
        self._cancelled.set()
        for future in pending:
            future.cancel()
        running = [future for future in pending if not future.cancelled()]
        done, _ = wait(running, timeout=None if self._executor is None else _PATIENCE)
        for future in done:
            if not future.cancelled() and future.exception() is None:
                pending.pop(future)
                self._accept(future.result())
        return False

    def _submit(
        self, executor: Executor, pending: _Pending, schedule: Schedule, first: int, stop: int, attempt: int
    ) -> None:
        cells = self._grid.cells(first, stop)
        try:
            if self._here:
                future = executor.submit(self._work.run, cells, self._threads, self._cancelled)
            else:
                future = executor.submit(run_packed, self._data, cells, self._threads)
        except (BrokenExecutor, RuntimeError) as error:
            self._keep_the_done(pending, schedule)
            how = "broke down" if isinstance(error, BrokenExecutor) else "takes no more work"
            raise SweepStopped(f"the executor {how} ({type(error).__name__}: {error})") from error
        pending[future] = (first, stop, attempt)

    def _take(
        self, future: Future[Block], pending: _Pending, schedule: Schedule, executor: Executor,
        interruption: Interruption,
    ) -> None:  # fmt: skip
        first, stop, attempt = pending.pop(future)
        try:
            block = future.result()
        except BaseException as error:
            # a Ctrl-C in the terminal reaches the worker processes too
            if interruption.requested:
                return
            if not isinstance(error, (Exception, KeyboardInterrupt)):
                raise
            failure = error
        else:
            schedule.took(first, block.seconds)
            self._accept(block)
            return
        if self._here and isinstance(failure, TraindynError):
            raise failure
        told = f"{type(failure).__name__}: {failure}"
        if isinstance(failure, BrokenExecutor):
            self._keep_the_done(pending, schedule)
            raise SweepStopped(f"the executor broke down ({told})") from failure
        if self._here or attempt == _ATTEMPTS:
            self._keep_the_done(pending, schedule)
            times = "" if attempt == 1 else f" {attempt} times"
            raise SweepStopped(f"the cells {first} to {stop - 1} failed{times} ({told})") from failure
        self._submit(executor, pending, schedule, first, stop, attempt + 1)

    def _keep_the_done(self, pending: _Pending, schedule: Schedule) -> None:
        """Take in what other workers had finished when one broke down."""
        for future in [one for one in pending if one.done() and not one.cancelled() and one.exception() is None]:
            first, _, _ = pending.pop(future)
            schedule.took(first, future.result().seconds)
            self._accept(future.result())
