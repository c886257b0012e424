"""`sweep`: one run for every cell of a grid, spread over any executor, kept in a store, resumed after anything."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Executor
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, overload

import numpy as np

from ..errors import InputError, SizeError, unknown_name
from ..kernels.compile import thread_count
from .cells import CODES, Block, Work
from .cube import Cube
from .definition import cell_digest, header_of
from .fan_out import FanOut, SweepStopped, workers_of
from .grid import Grid
from .measures import MEASURES, Measure, measures_of
from .memory_guard import free_memory
from .numbers import integer, real
from .provenance import environment
from .recipe import Recipe
from .saving import At, Every, Logarithmic
from .scheduling import Schedule
from .slicing import now
from .status import Status
from .stopping import When
from .sweep_progress import Bar

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .store import Store
    from .sweep_estimate import Estimate
    from .trajectory import Trajectory

    Build: TypeAlias = Callable[..., tuple[Any, Any]]
    AnyMeasure: TypeAlias = str | Measure | Callable[[Trajectory], float]

_DTYPES = ("float32", "float64")
_MOST_STEPS = 2**53
_UNKEPT = 0.5  # seconds for which a result may wait for others before it is on disk


@overload
def sweep(
    build: Build, grid: Mapping[str, Iterable[Any]], measure: AnyMeasure | tuple[AnyMeasure, ...], *,
    steps: int | None = None, time: float | None = None, store: str | os.PathLike[str] | None = None,
    executor: Executor | None = None, rng: int | np.random.SeedSequence = 0, progress: bool = False,
    dry_run: Literal[False] = False, dtype: str = "float64", threads: int | None = None, observe: Any = None,
    save: Every | Logarithmic | At | None = None, stop: When | None = None, initial: Any = None,
    form: str | None = None, wal: bool = False,
) -> Cube: ...  # fmt: skip
@overload
def sweep(
    build: Build, grid: Mapping[str, Iterable[Any]], measure: AnyMeasure | tuple[AnyMeasure, ...], *,
    steps: int | None = None, time: float | None = None, store: str | os.PathLike[str] | None = None,
    executor: Executor | None = None, rng: int | np.random.SeedSequence = 0, progress: bool = False,
    dry_run: Literal[True], dtype: str = "float64", threads: int | None = None, observe: Any = None,
    save: Every | Logarithmic | At | None = None, stop: When | None = None, initial: Any = None,
    form: str | None = None, wal: bool = False,
) -> Estimate: ...  # fmt: skip
@overload
def sweep(
    build: Build, grid: Mapping[str, Iterable[Any]], measure: AnyMeasure | tuple[AnyMeasure, ...], *,
    steps: int | None = None, time: float | None = None, store: str | os.PathLike[str] | None = None,
    executor: Executor | None = None, rng: int | np.random.SeedSequence = 0, progress: bool = False,
    dry_run: bool, dtype: str = "float64", threads: int | None = None, observe: Any = None,
    save: Every | Logarithmic | At | None = None, stop: When | None = None, initial: Any = None,
    form: str | None = None, wal: bool = False,
) -> Cube | Estimate: ...  # fmt: skip
def sweep(
    build: Build,
    grid: Mapping[str, Iterable[Any]],
    measure: AnyMeasure | tuple[AnyMeasure, ...],
    *,
    steps: int | None = None,
    time: float | None = None,
    store: str | os.PathLike[str] | None = None,
    executor: Executor | None = None,
    rng: int | np.random.SeedSequence = 0,
    progress: bool = False,
    dry_run: bool = False,
    dtype: str = "float64",
    threads: int | None = None,
    observe: Any = None,
    save: Every | Logarithmic | At | None = None,
    stop: When | None = None,
    initial: Any = None,
    form: str | None = None,
    wal: bool = False,
) -> Cube | Estimate:
    """Run every cell of a grid and measure each run.

    Main arguments:
        build: a function ``build(**cell) -> (problem, rule)`` of the values of a cell, or a `Recipe`.
        grid: name -> values of an axis: finite numbers, texts, or tuples of them, none twice. The cells are their
            product; the last axis varies fastest.
        measure: the name of a measure (see `measures`), a function Trajectory -> float, or a tuple of them.
        steps: the step at which every run ends (rules that move in steps).
        time: the time at which it ends (flows).
        store: a file that keeps what is done. A sweep that was stopped or killed goes on from it; a file of another
            sweep is refused.
        executor: any ``concurrent.futures.Executor``: a pool of processes, ``client.get_executor()`` of
            dask.distributed, ``MPIPoolExecutor`` of mpi4py. By default this process, with all its cores.
        rng: seed of the rules that draw. Cell number f draws from ``SeedSequence(rng, spawn_key=(f,))``.
        progress: whether to show a bar over the cells, with the time left.
        dry_run: whether to run a sample for about two seconds instead, and return an `Estimate` of the whole.

    Other arguments:
        dtype: "float64" or "float32", of the state.
        threads: of each worker. By default 1 with an executor; without, the cores are shared among the cells.
        observe, save, stop, initial, form: as in `simulate`, for all cells; what the measures need by default. Cells
            then run one by one.
        wal: whether the store uses SQLite's write-ahead log (see `Store`; not on network file systems).

    Returns: a `Cube`. What a cell gives depends on the cell alone: not on the executor, the number of workers, the
        order, or on how often the sweep was stopped. Cells of one shape under a rule that the batched kernels know run
        many at a time.

    A cell whose build, run or measure raises an error has the status FAILED and its text in ``cube.errors``, and the
    others go on; but the first cell is built before anything runs, and its error is raised. Ctrl-C ends the sweep
    within about a second with a cube whose other cells are INTERRUPTED; a second one raises KeyboardInterrupt.

    Raises: InputError before any work; FileError from the store; `SweepStopped` when the executor breaks down, with
        what was done as ``error.cube`` and in the store.

    Cost: under 20 % over the bare kernel for two-token cells of a `Recipe`, under 1 ms for a cell that runs alone; a
        store adds less than 3 us a cell.

    >>> from traindyn.dynamics import AssociativeMemory, GradientDescent, sweep
    >>> def build(correlation, learning_rate):
    ...     return AssociativeMemory.two_tokens(correlation), GradientDescent(learning_rate)
    >>> cube = sweep(build, {"correlation": [0.5, 0.95], "learning_rate": [1.0, 10.0]},
    ...              ("steps_to_accuracy", "peak_loss"), steps=1000)
    >>> cube["steps_to_accuracy"]
    array([[ 4.,  2.],
           [52.,  2.]])
    """
    checked = Grid.of(grid)
    options = {"observe": observe, "save": save, "stop": stop, "initial": initial, "form": form}
    work = _checked_work(build, checked, measure, steps, time, dtype, rng, options)
    if executor is not None and not callable(getattr(executor, "submit", None)):
        raise InputError(
            "executor must be a concurrent.futures.Executor", repr(executor),
            "such as ProcessPoolExecutor(), or client.get_executor() of dask.distributed",
        )  # fmt: skip
    if threads is not None:
        integer("threads", threads, minimum=1)
    _check_first_cell(work, checked)
    _check_memory(checked, len(work.measures))
    cores = thread_count() if threads is None else threads
    width = min(cores, checked.size) if executor is None else workers_of(executor)
    if threads is None:
        threads = max(1, cores // width) if executor is None else 1
    elif executor is None:
        threads = max(1, threads // width)
    if dry_run:
        from .sweep_estimate import estimated

        return estimated(work, checked, width, threads)
    return _Run(work, checked, executor, width, threads, progress).go(store, wal)


class _Run:
    """The arrays of a sweep as they fill, and what is told while they do."""

    def __init__(
        self, work: Work, grid: Grid, executor: Executor | None, width: int, threads: int, progress: bool
    ) -> None:
        self._work, self._grid, self._progress = work, grid, progress
        self._width = width
        self._values: NDArray[np.float64] = np.empty((grid.size, len(work.measures)))
        self._codes: NDArray[np.int8] = np.full(grid.size, CODES[Status.INTERRUPTED], np.int8)
        self._errors: dict[int, str] = {}
        self._store: Store | None = None
        self._bar: Bar | None = None
        self._header: dict[str, Any] = {}
        self._kept, self._written = True, 0.0
        # refuses what cannot be sent, before a store is made
        self._fan_out = FanOut(work, grid, executor, width, threads, self._accept, self._look)

    def go(self, path: str | os.PathLike[str] | None, wal: bool) -> Cube:
        self._header = header_of(self._work, self._grid, built=path is not None)
        with self._opened(path, wal) as self._store:
            missing = [(0, self._grid.size)]
            if self._store is not None:
                values, codes, done, _ = self._store.read()
                self._values[done], self._codes[done] = values[done], codes[done]
                self._errors |= self._store.errors()
                missing = list(self._store.missing())
            left = sum(stop - first for first, stop in missing)
            schedule = Schedule(missing, self._width)
            with Bar(self._progress, self._grid.size, self._grid.size - left) as self._bar:
                try:
                    self._fan_out.run(schedule)
                except SweepStopped as error:
                    raise self._stopped(error, path) from error.__cause__
            if self._store is not None:
                self._store.flush()
        return self._cube()

    def _opened(self, path: str | os.PathLike[str] | None, wal: bool) -> AbstractContextManager[Store | None]:
        if path is None:
            return nullcontext()
        from .store import Store

        notes = {"environment": environment()}
        return Store.open(path, self._header, self._grid.size, self._work.names, notes=notes, wal=wal)

    def _accept(self, block: Block) -> None:
        place = slice(block.first, block.first + block.count)
        if self._store is not None:
            self._kept = self._store.write(
                block.first, block.values, block.status, block.seconds, errors=block.errors
            )
            self._written = now()
        self._values[place], self._codes[place] = block.values, block.status
        self._errors |= block.errors
        if self._bar is not None:
            self._bar.add(block.count)

    def _look(self, schedule: Schedule) -> None:
        if self._store is not None and not self._kept and now() - self._written > _UNKEPT:
            self._store.flush()
            self._kept = True
        if self._bar is not None:
            self._bar.tell(schedule.seconds_left)

    def _stopped(self, error: SweepStopped, path: str | os.PathLike[str] | None) -> SweepStopped:
        cube = self._cube()
        done = cube.size - cube.missing
        way = (
            f"they are kept in {os.fspath(path)}: run the same sweep with this store and a new executor to go on"
            if path is not None
            else "error.cube holds them; a sweep with store= keeps them and goes on from there"
        )
        told = SweepStopped(f"{error}; {done} of {cube.size} cells are done, and {way}")
        told.cube = cube
        return told

    def _cube(self) -> Cube:
        self._values[self._codes == CODES[Status.INTERRUPTED]] = math.nan
        axes = self._grid.axes
        header = {name: value for name, value in self._header.items() if name != "grid"}
        provenance = {**header, "environment": environment()}
        return Cube(axes, self._work.names, self._values, self._codes, self._errors, provenance)


def _checked_work(
    build: Any, grid: Grid, measure: Any, steps: Any, time: Any, dtype: Any, rng: Any, options: dict[str, Any]
) -> Work:
    if not callable(build):
        raise InputError("build must be a function of the axes, or a Recipe", repr(build), "def build(**cell): ...")
    if isinstance(build, Recipe):
        build.check(grid.axes)
    else:
        _check_signature(build, grid)
    measures = measures_of(measure)
    if steps is None and time is None:
        raise InputError("a sweep needs steps= or time=", None, "the step, or the time of a flow, at which runs end")
    steps = None if steps is None else integer("steps", steps, minimum=0)
    if steps is not None and steps >= _MOST_STEPS:
        raise InputError("steps must be less than 2^53", steps)
    time = None if time is None else real("time", time, least=0.0)
    dtype = dtype if isinstance(dtype, str) else str(np.dtype(dtype))
    if dtype not in _DTYPES:
        raise unknown_name("dtype", dtype, _DTYPES)
    if isinstance(rng, np.random.SeedSequence):
        entropy: Any = rng.entropy
        entropy = int(entropy) if isinstance(entropy, (int, np.integer)) else tuple(int(word) for word in entropy)
        key = tuple(int(word) for word in rng.spawn_key)
    elif isinstance(rng, np.random.Generator):
        raise InputError(
            "a sweep needs a seed, so that every cell has a stream of its own whenever it is run", repr(rng),
            "pass an integer or a SeedSequence",
        )  # fmt: skip
    else:
        entropy, key = integer("rng", rng, minimum=0), ()
    named = all(one is MEASURES.get(one.name) for one in measures)
    given = {name: value for name, value in options.items() if value is not None}
    if "save" in given and any(one is MEASURES.get(one.name) and one.every_step for one in measures):
        raise InputError(
            "save= is for measures of your own; those with names see the steps that they need", repr(given["save"]),
            "leave save out",
        )  # fmt: skip
    return Work(build, measures, steps, time, dtype, entropy, key, named, given)


def _check_memory(grid: Grid, measures: int) -> None:
    needed, free = grid.size * (8.0 * measures + 2.0), free_memory()
    if free is not None and needed > 0.5 * free:
        raise SizeError(
            f"the cube of {grid.size:.3g} cells would need {needed / 2**30:.3g} GiB, more than half of the "
            f"{free / 2**30:.3g} GiB that are free; sweep a part of the grid at a time"
        )


def _check_signature(build: Callable[..., Any], grid: Grid) -> None:
    import inspect

    try:
        signature = inspect.signature(build)
    except (TypeError, ValueError):
        return
    try:
        signature.bind(**grid.cell(0))
    except TypeError as error:
        name = getattr(build, "__name__", type(build).__name__)
        raise InputError(
            "build must take the axes of the grid as its arguments", f"{name}{signature}: {error}",
            f"the axes are {', '.join(grid.axes)}",
        ) from None  # fmt: skip


def _check_first_cell(work: Work, grid: Grid) -> None:
    """Build the first cell, twice, and run it for no time: what is wrong with every cell is said now."""
    cell = grid.cell(0)
    try:
        problem, rule = work.built(cell)
    except Exception as error:
        raise InputError(
            "build fails on the first cell", f"{type(error).__name__}: {error} with {cell}",
            "later cells may fail and are then marked, but the first one must not",
        ) from error  # fmt: skip
    if not isinstance(work.build, Recipe) and cell_digest(work, cell) != cell_digest(work, cell):
        raise InputError(
            "build must return the same for the same cell", f"two different results for {cell}",
            "seed what it draws by a value of the cell, such as an axis named seed",
        )  # fmt: skip
    if work.group(problem, rule) is None:
        work.tried(problem, rule)
