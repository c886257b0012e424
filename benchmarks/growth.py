"""How cost grows with the sizes of a problem and the number of cells: what docs/how-it-grows.md extrapolates from."""

from __future__ import annotations

import functools
import tempfile
import time
from pathlib import Path

import numpy as np
from descent import least_flops, simulated
from limits import least_seconds
from timing import Row, interleaved, shown

import traindyn as td
from traindyn.dynamics.forms import choose_form, state_bytes

# N, M, d, steps
SIZES = (
    (10, 10, 10, 20_000), (30, 30, 30, 4000), (100, 100, 100, 300), (300, 300, 300, 20), (1000, 1000, 1000, 2),
    (2000, 2000, 2000, 1), (10_000, 100, 64, 20), (100, 10_000, 64, 20), (1000, 1000, 64, 4),
)  # fmt: skip
CELLS = (1000, 10_000, 100_000, 1_000_000)
CAP = 10_000
CORES = 1000
CELL, STORED = "two-token cell, of {}", "the same with a store, of {}"


def rows(threads: int) -> list[Row]:
    """Time a step by size, a cell by the number of cells, and a cell that is a run of its own."""
    out = []
    for n_tokens, n_classes, dim, steps in SIZES:
        memory = td.AssociativeMemory.random(n_tokens, n_classes, dim, embedding="gaussian", rng=1)
        limit = least_seconds(least_flops(n_tokens, n_classes, dim), 0.0, "float64", threads)
        form = choose_form(memory, td.GradientDescent(1.0), None)
        note = f"form {form}, {state_bytes(form, n_tokens, n_classes, dim) / 2**20:.3g} MiB beside the problem"
        ours = {"simulate": functools.partial(simulated, memory, steps, "float64")}
        out += interleaved(
            f"step, N={n_tokens} M={n_classes} d={dim}", ours, 3, steps, threads, note, limit=limit
        )  # fmt: skip
    for count in CELLS:
        cells = round(count**0.5) * (count // round(count**0.5))
        out += interleaved(CELL.format(cells), {"sweep": functools.partial(_two_tokens, count)}, 3, cells, threads)
    with tempfile.TemporaryDirectory() as folder:
        # one call: a second one would find everything done
        start = time.perf_counter()
        _two_tokens(CELLS[-1], Path(folder) / "cells.db")
        each = (time.perf_counter() - start) / CELLS[-1]
        size = (Path(folder) / "cells.db").stat().st_size / CELLS[-1]
    out.append(Row(STORED.format(CELLS[-1]), "sweep", each, each, each, 1.0, threads, note=f"{size:.0f} bytes a cell"))
    return out + _runs(threads)


def _two_tokens(count: int, store: Path | None = None) -> td.Cube:
    recipe = td.Recipe(td.AssociativeMemory.two_tokens, td.GradientDescent, frequencies=(0.75, 0.25))
    side = round(count**0.5)
    grid = {"learning_rate": np.geomspace(0.1, 100.0, side), "correlation": np.linspace(-0.5, 0.95, count // side)}
    return td.sweep(recipe, grid=grid, measure="steps_to_accuracy", steps=CAP, store=store)


def _runs(threads: int) -> list[Row]:
    """A cell of a hundred tokens costs what its steps cost: the sweep adds next to nothing."""
    count, steps = 64, 200
    memory = td.AssociativeMemory.random(100, 100, 64, embedding="gaussian", rng=1)
    build = lambda learning_rate: (memory, td.GradientDescent(learning_rate))  # noqa: E731
    run = functools.partial(
        td.sweep, build, grid={"learning_rate": np.linspace(0.1, 2.0, count)}, measure="final_loss", steps=steps
    )
    return interleaved(f"cell of N=M=100 d=64, {steps} steps", {"sweep": run}, 3, count, threads)


def extrapolated(found: list[Row]) -> str:
    """Return what follows for a thousand cores, as a Markdown table, from rows measured with one thread and more."""
    alone = {row.work: row.median for row in found if row.threads == 1}
    cell, stored = alone[CELL.format(CELLS[-1])], alone[STORED.format(CELLS[-1])]
    run = next(seconds for work, seconds in alone.items() if work.startswith("cell of"))
    keeping = max(stored - cell, 0.0)
    lines = ["| work | one core | 1000 cores | what bounds it |", "| --- | --- | --- | --- |"]
    for name, count, each in (
        ("10⁶ two-token cells", 1e6, cell),
        ("10⁹ two-token cells", 1e9, cell),
        ("10⁶ runs of N=M=100 d=64, 200 steps", 1e6, run),
        ("10⁶ runs of N=M=100 d=64, 10⁵ steps", 1e6, run * 500),
    ):
        shared, written = count * each / CORES, count * keeping
        bound = "the workers" if shared > written else "the coordinator, which writes every cell"
        lines.append(f"| {name} | {_long(count * each)} | {_long(max(shared, written))} | {bound} |")
    return "\n".join([*lines, "", f"A cell costs the coordinator {shown(keeping)} of writing."])


def _long(seconds: float) -> str:
    for size, unit in ((86400.0, "days"), (3600.0, "hours"), (60.0, "minutes")):
        if seconds >= 2 * size:
            return f"{seconds / size:.3g} {unit}"
    return shown(seconds)
