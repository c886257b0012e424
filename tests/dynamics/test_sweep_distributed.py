"""Sweeps over real processes of dask.distributed and over real ranks of MPI: the same bits, also when workers die."""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import traindyn as td
from traindyn.dynamics.store import Store

GRID: dict[str, Any] = {"correlation": np.linspace(-0.5, 0.99, 16).tolist(),
                        "learning_rate": np.geomspace(0.1, 30, 25).tolist()}  # fmt: skip
MEASURES = ("steps_to_settle", "peak_loss", "final_loss")
STEPS = 3000


def recipe() -> td.Recipe:
    return td.Recipe(td.AssociativeMemory.two_tokens, td.GradientDescent, frequencies=(0.7, 0.3))


@pytest.fixture(scope="module")
def client() -> Iterator[Any]:
    distributed = pytest.importorskip("distributed", reason="dask.distributed is not installed (extra: cluster)")
    with (
        distributed.LocalCluster(
            n_workers=3, threads_per_worker=1, processes=True, dashboard_address=None, silence_logs=60
        ) as cluster,
        distributed.Client(cluster) as connected,
    ):
        yield connected


def equal(left: td.Cube, right: td.Cube) -> bool:
    return all(
        np.array_equal(left[name].view(np.int64), right[name].view(np.int64)) for name in MEASURES
    ) and bool((left.status == right.status).all())


def test_columns_over_dask(client, tmp_path):
    here = td.sweep(recipe(), GRID, MEASURES, steps=STEPS)
    there = td.sweep(recipe(), GRID, MEASURES, steps=STEPS, executor=client.get_executor(), store=tmp_path / "s.db")
    assert equal(here, there)
    assert Store.summary(tmp_path / "s.db").done == here.size


def test_functions_travel_to_the_workers_and_all_of_them_work(client):
    def build(learning_rate):
        return td.AssociativeMemory.random(20, 5, 12, rng=3), td.GradientDescent(learning_rate)

    def process(run):
        return float(os.getpid())

    grid = {"learning_rate": np.geomspace(0.01, 1, 60).tolist()}
    here = td.sweep(build, grid, ("final_loss", process), steps=1500)
    there = td.sweep(build, grid, ("final_loss", process), steps=1500, executor=client.get_executor())
    assert np.array_equal(here["final_loss"], there["final_loss"])
    workers = set(client.run(os.getpid).values())
    assert len(workers) == 3
    assert {int(pid) for pid in there["process"]} <= workers
    assert len({int(pid) for pid in there["process"]}) > 1


def test_a_worker_is_killed_in_the_middle(client, tmp_path):
    """Cells run one by one here (form= is given), so that the sweep lasts; one worker gets SIGKILL after a tenth."""
    here = td.sweep(recipe(), GRID, MEASURES, steps=STEPS, form="margins", threads=1)
    store = tmp_path / "killed.db"
    victim = next(iter(client.run(os.getpid).values()))
    done_before: list[int] = []

    def kill() -> None:
        end = time.monotonic() + 60
        while time.monotonic() < end:
            if store.exists():
                done = Store.summary(store).done
                if done >= here.size // 10:
                    os.kill(victim, signal.SIGKILL)
                    done_before.append(done)
                    return
            time.sleep(0.02)

    killer = threading.Thread(target=kill)
    killer.start()
    there = td.sweep(
        recipe(), GRID, MEASURES, steps=STEPS, form="margins", executor=client.get_executor(), store=store
    )
    killer.join()
    assert done_before, "no worker was killed"
    assert done_before[0] < here.size, "the sweep was over before the worker was killed"
    assert equal(here, there)
    assert not there.errors
    with Store.load(store) as kept:
        values, _, done, _ = kept.read()
    assert done.all()
    whole = np.stack([here[name].ravel() for name in MEASURES], axis=1)
    assert np.array_equal(values.view(np.int64), whole.view(np.int64))


RANKS = """
import os
import sys

import numpy as np
from mpi4py.futures import MPIPoolExecutor

import traindyn as td


def rank(run):
    from mpi4py import MPI

    return float(MPI.COMM_WORLD.rank)


def main():
    grid = {"correlation": np.linspace(-0.5, 0.99, 16).tolist(), "learning_rate": np.geomspace(0.1, 30, 25).tolist()}
    recipe = td.Recipe(td.AssociativeMemory.two_tokens, td.GradientDescent, frequencies=(0.7, 0.3))
    measures = ("steps_to_settle", "peak_loss", "final_loss")
    with MPIPoolExecutor() as executor:
        store = os.path.join(sys.argv[1], "s.db")
        columns = td.sweep(recipe, grid, measures, steps=3000, executor=executor, store=store)
        alone = td.sweep(recipe, grid, (*measures, rank), steps=3000, executor=executor)
    found = {"ranks": alone["rank"]}
    for name in measures:
        found |= {"columns_" + name: columns[name], "alone_" + name: alone[name]}
    np.savez(os.path.join(sys.argv[1], "ranks.npz"), **found)


if __name__ == "__main__":
    main()
"""


def without_mpi() -> str:
    if importlib.util.find_spec("mpi4py") is None:
        return "mpi4py is not installed"
    return "" if shutil.which("mpiexec") else "there is no mpiexec (Debian: apt install openmpi-bin)"


@pytest.mark.skipif(bool(without_mpi()), reason=without_mpi() or "MPI is here")
def test_real_ranks_of_mpi(tmp_path: Path):
    script = tmp_path / "ranks.py"
    script.write_text(RANKS)
    allowed = {
        # Open MPI refuses root and more ranks than cores unless told, and binds each rank to a core
        "OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
        "OMPI_MCA_rmaps_base_oversubscribe": "1", "OMPI_MCA_hwloc_base_binding_policy": "none",
    }  # fmt: skip
    done = subprocess.run(
        ["mpiexec", "-n", "3", sys.executable, "-P", "-m", "mpi4py.futures", str(script), str(tmp_path)],
        env={**os.environ, **allowed}, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    here = td.sweep(recipe(), GRID, MEASURES, steps=STEPS)
    one_by_one = td.sweep(recipe(), GRID, (*MEASURES, len), steps=STEPS)
    with np.load(tmp_path / "ranks.npz") as found:
        assert set(found["ranks"].ravel()) == {1.0, 2.0}
        for name in MEASURES:
            assert np.array_equal(found[f"columns_{name}"], here[name], equal_nan=True)
            assert np.array_equal(found[f"alone_{name}"], one_by_one[name], equal_nan=True)
    assert Store.summary(tmp_path / "s.db").done == here.size
