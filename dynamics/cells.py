"""The work of a sweep: what is done for a range of cells, in whatever process or thread it is done."""

from __future__ import annotations

import math
import threading
import time
import traceback
from collections.abc import Callable, Container, Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import InputError, TraindynError
from ..kernels.team import limited_threads
from . import slicing
from .batching import group_of, run_group
from .descent import GradientFlow
from .measures import MEASURES, Measure, needs_of
from .simulation import simulate
from .status import Status
from .stochastic import StochasticGradientFlow
from .two_token_columns import columns_of, row_of, two_token_columns

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .grid import Cells

STATUSES = tuple(Status)
CODES: Mapping[Status, int] = {status: code for code, status in enumerate(STATUSES)}
FAILED = CODES[Status.FAILED]
_UNDONE = CODES[Status.INTERRUPTED]
_COUNT_STEPS = (
    "steps_to_accuracy", "steps_to_settle", "peak_step", "spike_duration", "steps_above_initial", "last_rise",
)  # fmt: skip
_HERE = Path(__file__).resolve().parent.parent
_user_code = threading.RLock()
_TWO_TOKENS = "two tokens"  # the group of the cells that run from columns of numbers, however they were built


class Stopped(Exception):
    """The range was given up, because the sweep ends."""


@dataclass(frozen=True, eq=False)
class Block:
    """What came of a range of cells."""

    first: int
    values: NDArray[np.float64]  # (n, k)
    status: NDArray[np.int8]  # (n,)
    errors: dict[int, str]  # by the cell's number in the grid
    seconds: float

    @property
    def count(self) -> int:
        """The number of cells."""
        return int(self.status.size)


@dataclass(frozen=True, eq=False)
class Work:
    """What every cell of a sweep has in common; picklable where `build` and the measures are.

    `options` are further arguments of `simulate`; with any of them every cell runs alone. A function of the user is
    never called by two threads at once.
    """

    build: Callable[..., Any]
    measures: tuple[Measure, ...]
    steps: int | None
    time: float | None
    dtype: str
    entropy: Any
    spawn_key: tuple[int, ...]
    named: bool  # whether every measure is one of the table, which the batched kernels know
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the measures."""
        return tuple(measure.name for measure in self.measures)

    def run(self, cells: Cells, threads: int = 1, cancelled: threading.Event | None = None) -> Block:
        """Run a range of cells with at most `threads` threads.

        Which way a cell goes (columns, a batch, alone) depends on the cell only, never on the others in the range.

        Raises: Stopped.
        """
        start = time.perf_counter()
        with limited_threads(threads), slicing.cancelled_by(cancelled):
            block = self._columns(cells, threads)
            if block is None:
                shape = (cells.count, len(self.measures))
                block = Block(cells.first, np.full(shape, math.nan), np.full(cells.count, FAILED, np.int8), {}, 0.0)
                self._objects(cells, block, range(cells.count), threads, cancelled)
            elif (left := np.flatnonzero(block.status == _UNDONE)).size:
                block.status[left] = FAILED
                self._objects(cells, block, set(left.tolist()), threads, cancelled)
        return replace(block, seconds=time.perf_counter() - start)

    def _columns(self, cells: Cells, threads: int) -> Block | None:
        """Run the cells that come as columns of numbers, and leave the others undone; None where none does."""
        offered = getattr(self.build, "columns", None)
        if offered is None or not self._by_columns:
            return None
        assert self.steps is not None
        columns = offered(cells)
        if columns is None:
            return None
        served = columns.pop("served")
        if served.all():
            values, status = two_token_columns(columns, self.names, self.steps, threads)
        elif not served.any():
            return None
        else:
            kept = {name: column[served] if len(column) > 1 else column for name, column in columns.items()}
            values = np.full((cells.count, len(self.measures)), math.nan)
            status = np.full(cells.count, _UNDONE, np.int8)
            values[served], status[served] = two_token_columns(kept, self.names, self.steps, threads)
        if (status[served] == _UNDONE).any():
            raise Stopped
        return Block(cells.first, values, status, {}, 0.0)

    def _objects(
        self, cells: Cells, block: Block, wanted: Container[int], threads: int, cancelled: threading.Event | None
    ) -> None:
        groups: dict[Hashable, list[tuple[int, Any, Any]]] = {}
        for place, cell in enumerate(cells):
            if place not in wanted:
                continue
            if cancelled is not None and cancelled.is_set():
                raise Stopped
            try:
                problem, rule = self.built(cell)
                group = self.group(problem, rule)
            except Exception as error:
                block.errors[cells.first + place] = told("build", error)
                continue
            if group is None:
                self._alone(block, place, problem, rule)
            else:
                groups.setdefault(group, []).append((place, problem, rule))
        for group, members in groups.items():
            if cancelled is not None and cancelled.is_set():
                raise Stopped
            at, problems, rules = zip(*members, strict=True)
            values, status = self._together(group, problems, rules, threads)
            if (status == _UNDONE).any():
                raise Stopped
            block.values[list(at)], block.status[list(at)] = values, status

    def _together(
        self, group: Hashable, problems: Sequence[Any], rules: Sequence[Any], threads: int
    ) -> tuple[NDArray[np.float64], NDArray[np.int8]]:
        assert self.steps is not None
        if group != _TWO_TOKENS:
            return run_group(problems, rules, self.names, self.steps, self.dtype, threads)
        rows = [row for row in map(row_of, problems, rules) if row is not None]
        return two_token_columns(columns_of(rows), self.names, self.steps, threads)

    @property
    def _by_columns(self) -> bool:
        return self.named and not self.options and self.dtype == "float64" and self.steps is not None

    def built(self, cell: Mapping[str, Any]) -> tuple[Any, Any]:
        """Return the problem and the rule of a cell."""
        with _user_code:
            pair = self.build(**cell)
        if not isinstance(pair, Sequence) or len(pair) != 2:
            raise InputError("build must return (problem, rule)", f"{type(pair).__name__}")
        return pair[0], pair[1]

    def group(self, problem: Any, rule: Any) -> Hashable | None:
        """Return the batch that a cell belongs to; None where it runs alone."""
        if not self.named or self.options or self.steps is None:
            return None
        if self._by_columns and row_of(problem, rule) is not None:
            return _TWO_TOKENS
        return group_of(problem, rule, self.names, self.dtype, self.steps)

    def _alone(self, block: Block, place: int, problem: Any, rule: Any) -> None:
        index = block.first + place
        try:
            run = self.simulated(index, problem, rule)
        except Exception as error:
            block.errors[index] = told("simulate", error)
            return
        if run.status is Status.INTERRUPTED:  # by the sweep's end, or by a Ctrl-C that reached the worker
            raise Stopped
        block.status[place] = CODES[run.status]
        for column, measure in enumerate(self.measures):
            try:
                with _user_code:
                    block.values[place, column] = measure(run)
            except Exception as error:
                block.status[place] = FAILED
                block.errors[index] = told(f"the measure {measure.name!r}", error)

    def tried(self, problem: Any, rule: Any) -> None:
        """Run a cell for no time, which raises what is wrong with the arguments of all cells."""
        given = self._arguments(problem, rule)
        nothing = {name: 0 for name in ("steps", "time") if given.get(name) is not None}
        save = given.pop("save", None)  # points beyond the end of no time would be refused
        if save is not None and given.get("steps") is not None:
            save.steps(given["steps"])
        simulate(problem, rule, **(given | nothing), rng=np.random.SeedSequence(0))

    def simulated(self, index: int, problem: Any, rule: Any) -> Any:
        """Return the trajectory of a cell that runs alone."""
        stream = np.random.SeedSequence(self.entropy, spawn_key=(*self.spawn_key, index))
        return simulate(problem, rule, **self._arguments(problem, rule), rng=stream)

    def _arguments(self, problem: Any, rule: Any) -> dict[str, Any]:
        needs = needs_of(self.measures, problem)
        flow = isinstance(rule, GradientFlow)
        given: dict[str, Any] = {"observe": needs.observe, "stop": needs.stop, "dtype": self.dtype}
        if flow:
            # the rows of a flow are points of time, not steps
            steps = [one.name for one in self.measures if one is MEASURES.get(one.name) and one.name in _COUNT_STEPS]
            if steps:
                raise InputError(
                    f"the measure {steps[0]!r} counts steps, and a gradient flow has none", None,
                    "measure a function of the run, such as lambda run: run.time[-1] with stop=",
                )  # fmt: skip
        else:
            given["save"] = needs.save
        timed = flow or (isinstance(rule, StochasticGradientFlow) and self.steps is None)
        given |= {"time": self.time} if timed else {"steps": self.steps}
        return given | dict(self.options)


def told(phase: str, error: Exception) -> str:
    """Return what went wrong in a line; an error that is not ours with the place in the user's file.

    >>> told("build", InputError("learning_rate must be positive", -1.0))
    'build: InputError: learning_rate must be positive; got -1.0'
    """
    text = " ".join(str(error).split())
    line = f"{phase}: {type(error).__name__}: {text}" if text else f"{phase}: {type(error).__name__}"
    if isinstance(error, TraindynError):
        return line
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if not _is_ours(frame.filename)]
    return f"{line} ({Path(frames[-1].filename).name}:{frames[-1].lineno})" if frames else line


def _is_ours(filename: str) -> bool:
    return any(Path(filename).resolve().is_relative_to(_HERE / name) for name in ("dynamics", "kernels"))
