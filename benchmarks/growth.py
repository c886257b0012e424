"""How cost grows with the sizes of a problem and the number of cells: what `docs/how-it-grows.md` extrapolates from."""

from __future__ import annotations

import functools
import time

import numpy as np
from descent import least_flops, simulated
from limits import least_seconds
from timing import Row, interleaved

import traindyn as td

# N, M, d, steps
SIZES = (
    (10, 10, 10, 20_000), (30, 30, 30, 4000), (100, 100, 100, 300), (300, 300, 300, 20), (1000, 1000, 1000, 2),
    (2000, 2000, 2000, 1), (10_000, 100, 64, 20), (100, 10_000, 64, 20), (1000, 1000, 64, 4),
)  # fmt: skip
CELLS = (1000, 10_000, 100_000, 1_000_000)
CAP = 10_000


def rows(threads: int) -> list[Row]:
    """Time a step by size, a cell by the number of cells, and a run of `simulate` by its steps."""
    out = []
    for n_tokens, n_classes, dim, steps in SIZES:
        memory = td.AssociativeMemory.random(n_tokens, n_classes, dim, embedding="gaussian", rng=1)
        limit = least_seconds(least_flops(n_tokens, n_classes, dim), 0.0, "float64", threads)
        work = f"step, N={n_tokens} M={n_classes} d={dim}"
        ours = {"simulate": functools.partial(simulated, memory, steps, "float64")}
        out += interleaved(work, ours, 3, steps, threads, limit=limit)
    for count in CELLS:
        recipe = td.Recipe(td.AssociativeMemory.two_tokens, td.GradientDescent, frequencies=(0.75, 0.25))
        side = round(count**0.5)
        grid = {"learning_rate": np.geomspace(0.1, 100.0, side), "correlation": np.linspace(-0.5, 0.95, count // side)}
        run = functools.partial(td.sweep, recipe, grid=grid, measure="steps_to_accuracy", steps=CAP)
        out += interleaved(
            f"two-token cell, of {side * (count // side)}", {"sweep": run}, 3, side * (count // side), threads
        )
    return out + _simulate_cells(threads)


def _simulate_cells(threads: int) -> list[Row]:
    """A cell of a hundred tokens costs what its steps cost: the sweep adds next to nothing."""
    count, steps = 64, 200

    def build(learning_rate: float) -> tuple[td.AssociativeMemory, td.GradientDescent]:
        memory = td.AssociativeMemory.random(100, 100, 64, embedding="gaussian", rng=1)
        return memory, td.GradientDescent(learning_rate)

    grid = {"learning_rate": np.linspace(0.1, 2.0, count)}
    td.sweep(build, grid=grid, measure="final_loss", steps=2)
    start = time.perf_counter()
    td.sweep(build, grid=grid, measure="final_loss", steps=steps)
    each = (time.perf_counter() - start) / count
    return [Row(f"cell of N=M=100 d=64, {steps} steps", "sweep", each, each, each, 1.0, threads)]
