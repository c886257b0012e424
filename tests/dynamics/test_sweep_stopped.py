"""Sweeps that are stopped: Ctrl-C, dying workers, broken pools, another sweep's store; and that go on."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import traindyn as td
from traindyn.dynamics import SweepStopped
from traindyn.dynamics.scheduling import Schedule
from traindyn.errors import FileError

RATES = {"rate": np.geomspace(0.1, 5.0, 40).tolist()}


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let worker processes import this file by its name, as they would a user's module."""
    monkeypatch.syspath_prepend(Path(__file__).resolve().parents[2])


def drawn(rate: float) -> tuple[Any, Any]:
    return td.AssociativeMemory.random(4, 2, 4, rng=1), td.StochasticGradientDescent(rate, batch_size=2)


def swept(build: Any = drawn, **others: Any) -> td.Cube:
    return td.sweep(build, RATES, ("final_loss", "steps_to_settle"), steps=50, rng=3, **others)


@pytest.fixture(scope="module")
def whole() -> td.Cube:
    return swept()


BUILT: list[float] = []


class DiesOnce:
    """A build whose process dies at one cell, the first time that it is built there."""

    def __init__(self, place: Path, cell: int) -> None:
        self.place, self.cell = place, cell

    def __call__(self, rate: float) -> tuple[Any, Any]:
        BUILT.append(rate)
        if rate == RATES["rate"][self.cell] and not self.place.exists():
            self.place.write_text("died")
            os._exit(9)
        return drawn(rate)


def test_a_dead_worker_loses_nothing_that_was_done(tmp_path: Path, whole: td.Cube, monkeypatch: Any) -> None:
    monkeypatch.setattr(Schedule, "forced", 2)
    store = tmp_path / "sweep.db"
    build = DiesOnce(tmp_path / "died", 33)
    stopped = pytest.raises(SweepStopped, match=r"broke down.*sweep\.db.*to go on")
    spawn = multiprocessing.get_context("spawn")  # a fork of a process with threads may hang
    with ProcessPoolExecutor(2, mp_context=spawn) as pool, stopped as caught:
        swept(build, store=store, executor=pool)
    partial = caught.value.cube
    done = partial.status != td.Status.INTERRUPTED
    assert 0 < done.sum() < 40
    assert partial.missing == 40 - done.sum()
    kept = td.Cube.load(store)
    assert (kept.status == partial.status).all()
    assert kept.table[done].tobytes() == whole.table[done].tobytes()
    BUILT.clear()
    assert swept(build, store=store, threads=1).table.tobytes() == whole.table.tobytes()
    undone = {rate for rate, was_done in zip(RATES["rate"], done, strict=True) if not was_done}
    first_and_sample = 1 + 5 + 2
    assert len(BUILT) <= len(undone) + first_and_sample


def test_a_finished_store_runs_nothing(tmp_path: Path, whole: td.Cube, monkeypatch: Any) -> None:
    swept(store=tmp_path / "a.db")
    from traindyn.dynamics.cells import Work

    monkeypatch.setattr(Work, "run", None)
    assert swept(store=tmp_path / "a.db").table.tobytes() == whole.table.tobytes()
    assert td.Cube.load(tmp_path / "a.db").table.tobytes() == whole.table.tobytes()


class LosesTasks(Executor):
    """An executor whose every task is lost some times before it runs, as on machines that come and go."""

    def __init__(self, losses: int) -> None:
        self.losses = losses
        self.seen: dict[int, int] = {}
        self._pool = ThreadPoolExecutor(2)

    def submit(self, function: Any, /, *arguments: Any, **named: Any) -> Any:
        first = arguments[1].first
        self.seen[first] = self.seen.get(first, 0) + 1
        if self.seen[first] <= self.losses:
            return self._pool.submit(_lost)
        return self._pool.submit(function, *arguments, **named)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        self._pool.shutdown(wait, cancel_futures=cancel_futures)


def _lost() -> None:
    raise ConnectionError("worker lost")


def test_lost_ranges_are_handed_out_again(whole: td.Cube) -> None:
    with LosesTasks(2) as executor:
        assert swept(executor=executor).table.tobytes() == whole.table.tobytes()
        assert set(executor.seen.values()) == {3}
    with (
        LosesTasks(3) as executor,
        pytest.raises(SweepStopped, match=r"failed 3 times \(ConnectionError: worker lost\); 0 of 40 cells"),
    ):
        swept(executor=executor)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"steps": 51}, "steps"),
        ({"rng": 4}, "entropy"),
        ({"rng": np.random.SeedSequence(3, spawn_key=(1,))}, "spawn_key"),
        ({"time": 2.0}, "time"),
        ({"dtype": "float32"}, "dtype"),
        ({"measure": "final_loss"}, "measures"),
        ({"grid": {"rate": [*RATES["rate"][:-1], 6.0]}}, "grid"),
        ({"build": lambda rate: (td.AssociativeMemory.random(4, 2, 4, rng=2), drawn(rate)[1])}, "definition|built"),
        ({"stop": td.when("loss", "<=", 0.1)}, "options"),
    ],
)  # fmt: skip
def test_the_store_of_another_sweep_is_refused(changes: dict[str, Any], named: str, tmp_path: Path) -> None:
    swept(store=tmp_path / "a.db")
    before = (tmp_path / "a.db").read_bytes()
    given = {
        "build": drawn, "grid": RATES, "measure": ("final_loss", "steps_to_settle"), "steps": 50, "rng": 3, **changes,
    }  # fmt: skip
    with pytest.raises(FileError, match=named):
        td.sweep(**given, store=tmp_path / "a.db")
    assert (tmp_path / "a.db").read_bytes() == before


FACTOR = 1.0


def helped(rate: float) -> tuple[Any, Any]:
    return drawn(FACTOR * rate)


def test_what_a_build_calls_is_seen_through_what_it_builds(tmp_path: Path, monkeypatch: Any) -> None:
    swept(helped, store=tmp_path / "a.db")
    monkeypatch.setattr(sys.modules[__name__], "FACTOR", 1.5)
    with pytest.raises(FileError, match="built"):
        swept(helped, store=tmp_path / "a.db")


def test_failures_are_kept_in_the_store(tmp_path: Path) -> None:
    def build(rate: float) -> tuple[Any, Any]:
        if rate > 4.0:
            raise ValueError("too fast")
        return drawn(rate)

    cube = swept(build, store=tmp_path / "a.db")
    assert cube.errors
    assert td.Cube.load(tmp_path / "a.db").errors == cube.errors == swept(build, store=tmp_path / "a.db").errors


SLOW = """
import sys, time
import traindyn as td

def build(copy):
    time.sleep(0.05)
    return td.AssociativeMemory.random(4, 2, 4, rng=1), td.StochasticGradientDescent(1.0, batch_size=2)

def endless(copy):
    return td.AssociativeMemory.random(4, 2, 4, rng=1), td.StochasticGradientDescent(1.0, batch_size=2)

print("ready", flush=True)
cube = td.sweep(build if sys.argv[2] == "many" else endless, {"copy": range(200)}, "final_loss",
                steps=50 if sys.argv[2] == "many" else 10**12, store=sys.argv[1])
print(cube.missing, cube.counts[td.Status.INTERRUPTED] == cube.missing)
"""


@pytest.mark.parametrize("kind", ["many", "endless"])
def test_ctrl_c_returns_what_is_done(kind: str, tmp_path: Path) -> None:
    store = tmp_path / "a.db"
    running = subprocess.Popen([sys.executable, "-P", "-c", SLOW, str(store), kind], stdout=subprocess.PIPE, text=True)
    assert running.stdout is not None
    assert running.stdout.readline() == "ready\n"
    deadline = time.monotonic() + 60.0
    while time.monotonic() < deadline and (
        not store.exists() or (kind == "many" and td.Cube.load(store).missing > 195)
    ):
        time.sleep(0.1)
    if kind == "endless":
        time.sleep(2.0)
    running.send_signal(signal.SIGINT)
    try:
        out, _ = running.communicate(timeout=60)
    finally:
        running.kill()
    assert running.returncode == 0
    missing, consistent = out.split()
    assert consistent == "True"
    assert 0 < int(missing) <= 200
    assert td.Cube.load(store).missing == int(missing)
    assert (int(missing) < 200) is (kind == "many")


def test_a_sweep_in_a_thread_runs(whole: td.Cube) -> None:
    found: list[td.Cube] = []
    thread = threading.Thread(target=lambda: found.append(swept()))
    thread.start()
    thread.join()
    assert found[0].table.tobytes() == whole.table.tobytes()
