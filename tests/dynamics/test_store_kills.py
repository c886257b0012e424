"""kill -9 of a coordinator or a worker at random moments: nothing done is lost, done twice, or half-written."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from traindyn.dynamics.store import Store
from traindyn.errors import FileError

SCRIPT = Path(__file__).with_name("store_coordinator.py")


def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("store_coordinator", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


COORDINATOR = script()


class Server:
    """A process that starts coordinators; one at a time."""

    def __init__(self) -> None:
        self.run = subprocess.Popen(
            [sys.executable, str(SCRIPT)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def start(self, **what: Any) -> int:
        assert self.run.stdin is not None
        self.run.stdin.write(json.dumps(what) + "\n")
        self.run.stdin.flush()
        return self._number()

    def ended(self) -> int:
        return self._number()

    def _number(self) -> int:
        assert self.run.stdout is not None
        line = self.run.stdout.readline()
        assert line, "the server has died"
        return int(line)

    def close(self) -> None:
        assert self.run.stdin is not None
        assert self.run.stdout is not None
        self.run.stdin.close()
        self.run.wait()
        self.run.stdout.close()


class Sweep:
    """One store, what its coordinators logged, and what must therefore be true of it."""

    def __init__(self, folder: Path, cells: int, seed: int, workers: int, wal: bool) -> None:
        folder.mkdir()
        self.path, self.log, self.cells = folder / "sweep.db", folder / "log", cells
        self.log.touch()
        self.what = {"path": str(self.path), "log": str(self.log), "cells": cells, "workers": workers, "wal": wal}
        self.rng, self.read_until = random.Random(seed), 0
        # durable: reported by a coordinator; found: read in the file after a death; seen: computed by anybody
        self.durable, self.found, self.seen = (np.zeros(cells, bool) for _ in range(3))
        self.workers: set[int] = set()
        self.twice, self.last = 0, "opening"

    def new_lines(self) -> list[list[str]]:
        with self.log.open() as stream:
            stream.seek(self.read_until)
            lines = [line.split() for line in stream if line.endswith("\n")]
            self.read_until = stream.tell()
        return lines

    def wait_until_opened(self) -> None:
        """Return when this life's coordinator has opened the store, or after a second."""
        for _ in range(1000):
            with self.log.open() as stream:
                stream.seek(self.read_until)
                if any(" opened\n" in line for line in stream):
                    return
            time.sleep(0.001)

    def wait(self, seconds: float, looking: bool) -> None:
        """Wait, asleep or looking at the store again and again: readers meet every stage of a commit."""
        end = time.monotonic() + seconds
        while looking and time.monotonic() < end:
            if self.path.exists():
                assert Store.summary(self.path).done >= self.found.sum()
        time.sleep(max(0.0, end - time.monotonic()))

    def check_log(self, coordinator: int) -> None:
        """Follow the log: no cell is computed that had been found, or had been reported to be safe."""
        handed: list[slice] = []
        living = {coordinator}  # orphans of an earlier one may end what they had begun
        for pid, word, *numbers in self.new_lines():
            cells = slice(*map(int, numbers)) if numbers else slice(0)
            if word == "worker":
                self.workers.add(int(pid))
                living.add(int(pid))
            elif word == "computed" and int(pid) in living:
                assert not self.durable[cells].any(), f"cells {cells} were safe, and are computed again"
                assert not self.found[cells].any(), f"cells {cells} were in the file, and are computed again"
                self.twice += int(self.seen[cells].sum())
                self.seen[cells] = True
            elif word == "handed":
                handed.append(cells)
            elif word == "durable":
                for safe in handed:
                    self.durable[safe] = True
            if int(pid) == coordinator:
                self.last = word

    def check_file(self) -> None:
        """Everything found is right, everything reported is found, and nobody holds the file."""
        if not self.path.exists():
            assert not self.durable.any()
            return
        assert not Store.summary(self.path).alive
        with Store.load(self.path) as stored:
            values, status, done, _ = stored.read()
            wanted, codes = COORDINATOR.results(0, self.cells)
            assert values[done].tobytes() == wanted[done].tobytes()
            assert (status[done] == codes[done]).all()
            assert stored.errors() == {
                cell: text for cell, text in COORDINATOR.errors(0, self.cells).items() if done[cell]
            }
            assert Store.summary(self.path).done == done.sum()
        assert done[self.durable].all(), "what was reported to be safe is lost"
        assert done[self.found].all(), "what was in the file is lost"
        assert self.seen[done].all()
        self.found = done

    def kill_orphans(self) -> None:
        for worker in self.workers:
            kill(worker)
        self.workers.clear()


def campaign(folder: Path, kills: int, seed: int, cells: int) -> Counter[str]:
    """Kill coordinators and workers of one sweep after another; let each sweep end, and check it after every death."""
    rng, outcomes, server = random.Random(seed), Counter[str](), Server()
    try:
        for number in range(10_000):
            if outcomes["kills"] >= kills:
                break
            workers, wal = rng.choice([0, 0, 2]), rng.random() < 0.3
            sweep = Sweep(folder / str(number), cells, seed, workers, wal)
            try:
                one_sweep(sweep, server, rng, outcomes, kills)
            except (AssertionError, FileError) as error:
                raise AssertionError(f"seed {seed}, sweep {number} ({sweep.what}): {error}") from error
            finally:
                sweep.kill_orphans()
    finally:
        server.close()
    return outcomes


def one_sweep(sweep: Sweep, server: Server, rng: random.Random, outcomes: Counter[str], kills: int) -> None:
    for life in range(1000):
        pid = server.start(**sweep.what, seed=rng.randrange(2**31))
        deadly = outcomes["kills"] < kills
        if deadly:
            if rng.random() < 0.7:
                sweep.wait_until_opened()
            sweep.wait(10 ** rng.uniform(-4.0, -0.5), looking=rng.random() < 0.3)
            outcomes[f"{'worker' if kill_one(sweep, pid, rng) else 'coordinator'} killed"] += 1
        code = server.ended()
        sweep.check_log(pid)
        assert code in (COORDINATOR.DONE, COORDINATOR.WORKER_DIED, -signal.SIGKILL), f"life {life} ended with {code}"
        if code == -signal.SIGKILL:
            outcomes["kills"] += 1
            outcomes[f"while {sweep.last}"] += 1
            for end in ("-journal", "-wal"):
                beside = Path(f"{sweep.path}{end}")
                outcomes[f"left a {end[1:]}"] += beside.exists() and beside.stat().st_size > 0
            outcomes["left a creation"] += sweep.path.with_name(f".{sweep.path.name}.new").exists()
        elif code == COORDINATOR.WORKER_DIED:
            outcomes["kills"] += 1
        if rng.random() < 0.7:  # else the next coordinator recovers the file, and workers of a dead one live on
            sweep.check_file()
            sweep.kill_orphans()
        if code == COORDINATOR.DONE:
            break
    sweep.check_file()
    assert sweep.found.all()
    values, _ = COORDINATOR.results(0, sweep.cells)
    with Store.load(sweep.path) as stored:
        assert stored.read()[0].tobytes() == values.tobytes()
    outcomes["sweeps"] += 1
    outcomes["cells"] += sweep.cells
    outcomes["cells computed twice, never reported safe"] += sweep.twice


def kill_one(sweep: Sweep, coordinator: int, rng: random.Random) -> bool:
    """Kill the coordinator or, now and then, one of its workers; return whether it was a worker."""
    if sweep.what["workers"] and rng.random() < 0.4:
        with sweep.log.open() as stream:
            stream.seek(sweep.read_until)
            mine = [int(line.split()[0]) for line in stream if line.endswith(" worker\n")]
        if mine:
            kill(mine[-1])
            return True
    kill(coordinator)
    return False


def kill(pid: int) -> None:
    """Kill a process if it is still one of ours: the numbers of the dead are given away again."""
    with contextlib.suppress(OSError):
        if SCRIPT.name.encode() in Path(f"/proc/{pid}/cmdline").read_bytes():
            os.kill(pid, signal.SIGKILL)


def test_eight_kills(tmp_path: Path) -> None:
    outcomes = campaign(tmp_path, 8, seed=3, cells=3000)
    assert outcomes["kills"] >= 8


@pytest.mark.slow
def test_two_hundred_kills(tmp_path: Path) -> None:
    seed = int(os.environ.get("TRAINDYN_KILL_SEED", "1"))
    started = time.monotonic()
    outcomes = campaign(tmp_path, 200, seed, cells=10_000)
    print(f"\nseed {seed}, {time.monotonic() - started:.0f} s: {dict(outcomes)}")
    assert outcomes["kills"] >= 200
    assert outcomes["left a journal"] > 0
    assert outcomes["left a wal"] > 0
