"""Sweeps that are killed and resumed equal the uninterrupted one, and no cell that was done is done again."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from traindyn.dynamics.store import Store

SWEEP = """
import os, sys
from concurrent.futures import ProcessPoolExecutor
from traindyn.dynamics import AssociativeMemory, GradientDescent, sweep

store, log, cells, workers = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
log = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

def build(learning_rate):
    return AssociativeMemory.two_tokens(0.9), GradientDescent(learning_rate)

def last_loss(run):
    os.write(log, (run.provenance["rule_name"] + "\\n").encode())
    return float(run["loss"][-1])

if __name__ == "__main__":
    rates = [0.01 * (i + 1) for i in range(cells)]
    print("go", flush=True)
    pool = ProcessPoolExecutor(workers) if workers else None
    measures = (last_loss, "peak_loss")
    cube = sweep(build, {"learning_rate": rates}, measures, steps=300, store=store or None, executor=pool)
    print(cube["last_loss"].tobytes().hex(), flush=True)
"""


class Sweeps:
    """A script with a sweep in it, run again and again on one store."""

    def __init__(self, folder: Path, cells: int) -> None:
        self.script, self.store, self.log, self.cells = folder / "my.py", folder / "x.db", folder / "log", cells
        self.script.write_text(SWEEP)
        self.log.touch()

    def start(self, workers: int, store: bool = True) -> subprocess.Popen[str]:
        arguments = [self.script, self.store if store else "", self.log, self.cells, workers]
        return subprocess.Popen([sys.executable, *map(str, arguments)], stdout=subprocess.PIPE, text=True,
                                start_new_session=True)  # fmt: skip

    def done(self) -> np.ndarray:
        if not self.store.exists():
            return np.zeros(self.cells, bool)
        with Store.load(self.store) as stored:
            return stored.read()[2]

    def computed(self) -> Counter[str]:
        return Counter(self.log.read_text().splitlines())

    def wait_for_work(self, before: int) -> None:
        for _ in range(2000):
            if self.computed().total() > before:
                return
            time.sleep(0.005)

    def killed(self, kills: int, seed: int) -> str:
        """Run the sweep, kill it `kills` times, and return what it prints in the end."""
        rng = random.Random(seed)
        names = [f"GradientDescent(learning_rate={0.01 * (i + 1)!r}, momentum=0.0)" for i in range(self.cells)]
        for life in range(kills + 1):
            done, before = self.done(), self.computed()
            run = self.start(workers=rng.choice([0, 2]))
            assert run.stdout is not None
            assert run.stdout.readline() == "go\n"
            if life < kills:
                if rng.random() < 0.8:
                    self.wait_for_work(before.total())
                time.sleep(10 ** rng.uniform(-2.0, 0.2))
                run.send_signal(signal.SIGKILL)
            printed = run.stdout.readline() if life == kills else ""
            run.stdout.close()
            run.wait()
            if run.returncode == -signal.SIGKILL:
                end_the_group(run.pid)  # the workers that it left
            again = self.computed() - before
            twice = [name for place, name in enumerate(names) if done[place] and again[name]]
            assert not twice, f"seed {seed}, life {life}: done, and computed again: {twice[:3]}"
        return printed


def end_the_group(leader: int) -> None:
    """End what is left of a session that this test started."""
    try:
        os.killpg(leader, signal.SIGKILL)
    except ProcessLookupError:
        return


def check(folder: Path, kills: int, seed: int, cells: int) -> None:
    sweeps = Sweeps(folder, cells)
    whole = sweeps.start(workers=0, store=False)
    wanted, _ = whole.communicate()
    sweeps.log.write_text("")
    assert sweeps.killed(kills, seed) == wanted.removeprefix("go\n"), f"seed {seed}"
    assert sweeps.done().all()
    summary = Store.summary(sweeps.store)
    assert sum(session.cells for session in summary.sessions) == cells
    print(f"\nseed {seed}: {kills} kills, sessions of {[session.cells for session in summary.sessions]} cells")


def test_a_sweep_that_is_killed_goes_on(tmp_path: Path) -> None:
    check(tmp_path, 2, seed=1, cells=1500)


@pytest.mark.slow
def test_a_sweep_that_is_killed_thirty_times_goes_on(tmp_path: Path) -> None:
    check(tmp_path, 30, seed=2, cells=20_000)
