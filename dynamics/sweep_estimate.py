"""What a sweep would cost: a sample of its cells, timed."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .scheduling import Schedule

if TYPE_CHECKING:
    from .cells import Work
    from .grid import Grid

_BUDGET = 2.0  # seconds
_COMPILING = 10.0
_HEADER = 20_000  # bytes of a store without rows
_CELL = 12  # bytes of a store for each cell beside its numbers: status, seconds, checksum and page overhead


@dataclass(frozen=True, repr=False)
class Estimate:
    """What a sweep would cost, from the time that a sample of its cells took.

    Attributes:
        cells: how many cells the grid has.
        sampled: how many were run.
        batched: the share of the sampled cells that run many at a time in one call.
        workers: how many cells or batches run side by side.
        seconds: until all would be done, by these workers.
        memory: bytes of the cube.
        store: bytes of a store.
    """

    cells: int
    sampled: int
    batched: float
    workers: int
    seconds: float
    memory: int
    store: int

    def __repr__(self) -> str:
        return (
            f"Estimate: {self.cells} cells with {self.workers} workers in about {_told(self.seconds)}\n"
            f"  from {self.sampled} cells; {100 * self.batched:.0f} % of the cells run in batches\n"
            f"  cube {_size(self.memory)} of memory, store {_size(self.store)}"
        )


def estimated(work: Work, grid: Grid, width: int, threads: int) -> Estimate:
    """Run cells from all parts of the grid, one chunk after another, for about two seconds, and extrapolate."""
    schedule = Schedule([(0, grid.size)], width, aim=_BUDGET / 16)
    start = time.perf_counter()
    for cell in schedule.starts:  # compiles what has to be, for cells of several shapes too
        work.run(grid.cells(cell, cell + 1), threads)
        if time.perf_counter() - start > _COMPILING:
            break
    start = time.perf_counter()
    sampled, rounds = 0, 0
    while (chosen := schedule.next()) is not None:
        block = work.run(grid.cells(*chosen), threads)
        schedule.took(chosen[0], block.seconds)
        sampled += block.count
        rounds += 1
        if time.perf_counter() - start > _BUDGET and rounds > 1:
            break
    seconds = schedule.work_in_all / width
    probes = [grid.cell(place) for place in sorted({round(grid.size * k / 16) for k in range(16)})]
    batched = sum(_is_batched(work, cell) for cell in probes) / len(probes)
    numbers = 8 * len(work.measures)
    return Estimate(
        grid.size, sampled, batched, width, seconds, grid.size * (numbers + 1),
        _HEADER + grid.size * (numbers + _CELL),
    )  # fmt: skip


def _is_batched(work: Work, cell: dict[str, object]) -> bool:
    try:
        return work.group(*work.built(cell)) is not None
    except Exception:  # a build that fails here is a failed cell of the sweep, and none of its estimate
        return False


def _told(seconds: float) -> str:
    if seconds < 120.0:
        return f"{seconds:.2g} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200.0 else f"{seconds / 3600:.1f} h"


def _size(number: int) -> str:
    for unit, factor in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if number >= factor:
            return f"{number / factor:.3g} {unit}"
    return f"{number} B"
