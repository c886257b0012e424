"""Coordinators to be killed: a server that forks one for each line of its input and says how it ended.

A line is JSON: {path, log, seed, wal, workers, cells}. The coordinator fills the store with `results`, in random chunks
in random order, alone or by workers, and logs: `opening`, `opened`, `worker PID`, `computed FIRST STOP` (by whoever
computes, before the result is passed on), `handed FIRST STOP` (to the store), `durable` (all that was handed is safe).
"""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import sys
import time
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from typing import Any

import numpy as np

from traindyn.dynamics import store as store_module
from traindyn.dynamics.store import Store
from traindyn.errors import FileError

MEASURES = ("a", "b", "c")
DONE, REFUSED, WORKER_DIED = 0, 3, 4


def results(first: int, stop: int) -> tuple[Any, Any]:
    """Return what belongs to the cells: values (m, 3) and status (m,)."""
    mixed = np.arange(3 * first, 3 * stop, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    values = (mixed >> np.uint64(11)).astype(np.float64) * 2.0**-53
    values[mixed % np.uint64(17) == 0] = np.nan
    return values.reshape(-1, 3), (np.arange(first, stop) % 7).astype(np.int8)


def errors(first: int, stop: int) -> dict[int, str]:
    return {cell: f"ValueError: {cell}" for cell in range(first, stop) if cell % 97 == 0}


class Log:
    """Lines appended in one system call each: whole after any kill."""

    def __init__(self, path: str) -> None:
        self.descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def __call__(self, *words: object) -> None:
        os.write(self.descriptor, (" ".join(map(str, (os.getpid(), *words))) + "\n").encode())


def computed(log: Log, first: int, stop: int, seconds: float) -> tuple[int, Any, Any]:
    time.sleep(seconds)
    log("computed", first, stop)
    return (first, *results(first, stop))


def chunks(missing: list[tuple[int, int]], rng: random.Random) -> list[tuple[int, int]]:
    found = []
    for first, stop in missing:
        while first < stop:
            end = min(stop, first + rng.randint(1, 100))
            found.append((first, end))
            first = end
    rng.shuffle(found)
    return found


def coordinate(path: str, log: str, seed: int, wal: bool, workers: int, cells: int) -> int:
    rng, write_log = random.Random(seed), Log(log)
    store_module.COMMIT_SECONDS = rng.choice([0.0, 0.02])
    write_log("opening")
    try:
        store = Store.open(path, {"steps": 3}, cells, MEASURES, wal=wal)
    except FileError as error:
        write_log("refused")
        return REFUSED if "is being written by" in str(error) else 1
    with store:
        write_log("opened")
        todo = chunks(store.missing(), rng)
        seconds = rng.choice([0.0, 0.0002, 0.001])

        def put(first: int, values: Any, status: Any) -> None:
            write_log("handed", first, first + len(status))
            if store.write(first, values, status, 0.01, errors(first, first + len(status))):
                write_log("durable")

        if not workers:
            for first, stop in todo:
                put(*computed(write_log, first, stop, seconds))
            return DONE
        with ProcessPoolExecutor(
            workers, multiprocessing.get_context("fork"), initializer=write_log, initargs=("worker",)
        ) as pool:
            running: set[Future[Any]] = set()
            try:
                while todo or running:
                    while todo and len(running) < 4:
                        running.add(pool.submit(computed, write_log, *todo.pop(), seconds))
                    ready, running = wait(running, return_when=FIRST_COMPLETED)
                    for future in ready:
                        put(*future.result())
            except BrokenProcessPool:
                return WORKER_DIED
    return DONE


def serve() -> None:
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            code = 1
            try:
                code = coordinate(**json.loads(line))
            except BaseException:
                sys.excepthook(*sys.exc_info())
            finally:
                sys.stderr.flush()
                os._exit(code)
        print(child, flush=True)
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


if __name__ == "__main__":
    serve()
