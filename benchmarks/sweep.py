"""What `sweep` adds to the work itself: a million two-token cells, with and without a store, and ten thousand runs."""

from __future__ import annotations

import tempfile
from itertools import count
from pathlib import Path

import numpy as np
from timing import Row, interleaved

import traindyn as td
from traindyn.dynamics.two_token_columns import two_token_columns

CAP = 10_000
CORRELATIONS = np.linspace(-0.5, 0.99, 578)
RATES = np.geomspace(0.1, 100.0, 577)
FREQUENCIES = [(p, 1.0 - p) for p in (0.55, 0.75, 0.95)]
SINGLE = {"rate": np.geomspace(0.01, 1.0, 10_000)}


def rows(threads: int) -> list[Row]:
    """Time a million cells of Figure 3's grid, and ten thousand short runs that go one by one."""
    return _columns(threads) + _singles(threads)


def _columns(threads: int) -> list[Row]:
    grid = {"frequencies": FREQUENCIES, "correlation": CORRELATIONS, "learning_rate": RATES}
    recipe = td.Recipe(td.AssociativeMemory.two_tokens, td.GradientDescent)
    first, correlation, rate = (
        array.ravel() for array in np.meshgrid([p for p, _ in FREQUENCIES], CORRELATIONS, RATES, indexing="ij")
    )
    columns = {"correlation": correlation, "learning_rate": rate, "momentum": np.zeros(1),
               "frequencies": np.column_stack([first, 1.0 - first])}  # fmt: skip

    def bare() -> np.ndarray:
        return np.nan_to_num(two_token_columns(columns, ("steps_to_accuracy",), CAP, threads)[0].ravel(), nan=-1.0)

    def swept(store: Path | None = None) -> np.ndarray:
        cube = td.sweep(recipe, grid, "steps_to_accuracy", steps=CAP, store=store, threads=threads)
        return np.nan_to_num(cube.values.ravel(), nan=-1.0)

    with tempfile.TemporaryDirectory() as folder:
        numbers = count()
        candidates = {
            "sweep": swept,
            "bare kernel": bare,
            "sweep with a store": lambda: swept(Path(folder) / f"{next(numbers)}.db"),
        }
        note = "must: at most 1.2 times the bare kernel, and 3 s more with a store"
        return interleaved(f"{rate.size} two-token cells", candidates, 5, 1.0, threads, note, tolerance=0.0, least=0.0)


def _singles(threads: int) -> list[Row]:
    memory = td.AssociativeMemory.random(5, 5, 10, rng=0)

    def build(rate: float) -> tuple[object, object]:
        return memory, td.Adam(rate)

    def swept() -> np.ndarray:
        return td.sweep(build, SINGLE, "final_loss", steps=2, threads=threads).values

    def loop() -> np.ndarray:
        ends = td.at([])
        runs = (td.simulate(*build(rate), steps=2, observe="loss", save=ends) for rate in SINGLE["rate"].tolist())
        return np.array([run["loss"][-1] for run in runs])

    note = "must: less than 1 ms a cell"
    candidates = {"sweep": swept, "a loop over simulate": loop}
    return interleaved("one of 10000 single runs", candidates, 3, 1e4, threads, note, tolerance=0.0, least=0.0)
