"""Runs of rules that move in steps: slices, saved rows, the stop condition, Ctrl-C, and going on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import InputError, SizeError, TraindynError
from .failing import attach
from .observing import Table, check_memory, evaluate, known_observables
from .problem import State
from .recorder import Clock, Recorder
from .restarting import plain_grid, plain_state
from .sharpness_search import SharpnessSearch
from .slicing import Interruption, Progress, Slices, now
from .status import Status
from .system import Event
from .trajectory import Restart, Trajectory

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .saving import Grid
    from .stopping import When
    from .system import System

_MOST_ROWS = 2**40


def run_steps(
    problem: Any, rule: Any, system: System, clock: Clock, functions: Mapping[str, Callable[[State], Any]],
    save: Grid, stop: When | None, last: int, seed: str, generator: np.random.Generator | None,
    initial: Any, dtype: str, progress: bool, resume: Trajectory | None,
) -> Trajectory:  # fmt: skip
    """Move a system to step `last`, or until the stop condition holds."""
    facts: dict[str, Any] = {"form": system.form, "dtype": dtype, "seed": seed, "save": plain_grid(save)}
    facts["first_generator"] = plain_state(generator)
    known = known_observables(problem)
    recorded = [name for name in functions if name in system.recorded and functions[name] is known[name]]
    rows = save.count(last)
    tokens = system.n_tokens if "margin" in recorded else 0
    if rows > _MOST_ROWS:
        raise SizeError(f"{rows:.3g} points cannot be saved; pass save=logarithmic(n) or a larger every(k)")
    check_memory(rows, {"the scalars": len(system.columns), "margin": tokens}, 0.0)
    grid = save.steps(last)
    search = SharpnessSearch()
    if resume is not None:
        search = SharpnessSearch.restored(resume.restart.arrays, resume.step[-1] not in grid)
        facts = {**resume.restart.facts, **facts, "first_generator": resume.restart.facts["first_generator"]}
        facts["seed"] = resume.restart.facts["seed"]
        _go_back(resume, system, clock, last)
        # the last saved step is the one that it stands at, unless an observable failed there
        grid = grid[grid > resume.step[-1]]
    fast_stop = (
        stop is not None and stop.name in system.columns and functions.get(stop.name) in (None, known[stop.name])
    )
    recorder = Recorder(grid, system.columns, tokens, stop if fast_stop else None, recorded)
    table = Table({name: functions[name] for name in functions if name not in recorded}, search)
    course = _Course(problem, system, clock, recorder, table)
    slow_stop = None if stop is None or fast_stop else (stop, functions.get(stop.name) or known[stop.name])

    def collected(status: Status, message: str) -> Trajectory | None:
        """Return the rows that are complete; None where there is none."""
        count = min(recorder.next_row, table.row) if table.functions else recorder.next_row
        if table.functions and not table.columns:
            return resume
        columns = {}
        for name in functions:
            if name not in recorded:
                columns[name] = table.columns[name][:count]
            elif name == "margin":
                columns[name] = recorder.margins[:count]
            else:
                columns[name] = np.ascontiguousarray(recorder.scalars[:count, system.columns.index(name)])
        steps, times = recorder.steps[:count].copy(), course.times()[:count]
        if resume is not None:
            columns, steps, times = _joined(resume, save.steps(last), columns, steps, times)
        if not steps.size:
            return None
        facts.update(step=system.step, clock=clock.state(), generator=plain_state(generator))
        arrays = {f"buffer.{name}": array for name, array in system.buffers().items()} | search.arrays()
        if initial is not None:
            arrays["initial"] = np.array(initial, dtype=np.float64)
        with np.errstate(over="ignore", invalid="ignore"):  # of a run that is no longer finite
            final = system.weights()
        return Trajectory(columns, steps, times, final, status, message, Restart(facts, arrays), problem, rule)

    try:
        status, message = course.go(last, slow_stop, stop is not None, progress)
    except TraindynError as error:
        attach(error, collected(Status.FAILED, str(error)))
        raise
    run = collected(status, message)
    if run is None:
        raise InputError("a run starts where everything is finite", message, "start from smaller weights")
    return run


class _Course:
    """One pass over the steps: slices between the points where Python has to look."""

    def __init__(self, problem: Any, system: System, clock: Clock, recorder: Recorder, table: Table) -> None:
        self.problem, self.system, self.clock, self.recorder, self.table = problem, system, clock, recorder, table
        self._times: list[NDArray[np.float64]] = []
        self._looking = bool(table.functions) or not system.columns

    def go(self, last: int, stop: tuple[When, Any] | None, stopping: bool, progress: bool) -> tuple[Status, str]:
        """Move until the end, and say how it ended."""
        system = self.system
        slices = Slices(system.seconds_per_step, system.largest_slice)
        with Interruption() as interruption, Progress(progress, last, system.step, "step") as bar:
            if self.table.functions:
                # their shapes are known from here on, and so is the memory that the rows will take
                first = self.table.look(self._state())
                rows = self.recorder.steps.size + 1
                check_memory(rows, {name: value.size for name, value in first.items()}, 0.0)
                self.table.allocate(first, rows)
            end = system.step
            while True:
                event = self._advance(end, slices)
                if event.not_finite:
                    return Status.NOT_FINITE, f"{event.not_finite} first not finite at step {system.step}"
                if event.stopped or (stop is not None and self._holds(*stop)):
                    self._save_last()
                    return Status.THRESHOLD_REACHED, ""
                if system.step >= last:
                    return (Status.STEPS_EXHAUSTED if stopping else Status.COMPLETED), ""
                if interruption.requested:
                    self._save_last()
                    return Status.INTERRUPTED, f"interrupted at step {system.step} of {last}"
                bar.at(system.step)
                end = min(last, system.step + (1 if stop is not None else slices.steps))
                if self._looking and self.recorder.next_row < self.recorder.steps.size:
                    end = min(end, int(self.recorder.steps[self.recorder.next_row]))

    def _advance(self, end: int, slices: Slices | None = None) -> Event:
        system, recorder = self.system, self.recorder
        row, start, begun = recorder.next_row, system.step, now()
        rates = self.clock.rates(start, end)
        event = system.advance(self.clock.reach(start, end), rates, recorder)
        if slices is not None:
            slices.took(system.step - start, now() - begun)
        if not system.columns and not event.not_finite and self._due():
            recorder.next_row += 1
        if not self.clock.constant:
            self._times.append(self.clock.pass_to(system.step, recorder.steps[row : recorder.next_row]))
        else:
            self.clock.pass_to(system.step, recorder.steps[:0])
        if recorder.next_row > row and self.table.functions:
            self.table.record(self._state())
        return event

    def _due(self) -> bool:
        recorder = self.recorder
        return recorder.next_row < recorder.steps.size and recorder.steps[recorder.next_row] == self.system.step

    def _save_last(self) -> None:
        recorder = self.recorder
        if recorder.next_row == 0 or recorder.steps[recorder.next_row - 1] != self.system.step:
            recorder.save_now(self.system.step)
            self._advance(self.system.step)

    def _state(self) -> State:
        return State(self.problem, self.system, self.system.step, self.clock.now, self.table.search)

    def _holds(self, stop: When, function: Callable[[State], Any]) -> bool:
        state = self._state()
        value = evaluate(stop.name, function, state)
        row = self.recorder.next_row
        if row and self.recorder.steps[row - 1] == self.system.step:
            self.table.search.saved(state)
        if value.size != 1:
            raise InputError(
                "a stop condition needs an observable with one number", f"{stop.name} of shape {value.shape}",
                'such as "smallest_margin", or a function of your own in observe=',
            )  # fmt: skip
        return stop.holds(float(value.reshape(())))

    def times(self) -> NDArray[np.float64]:
        """Return the times of the saved rows."""
        if self.clock.constant:
            with np.errstate(over="ignore"):  # of rates near the end of float64: the time is then infinite
                scaled: NDArray[np.float64] = self.recorder.steps[: self.recorder.next_row] * self.clock.rates(0, 0)[0]
            return scaled
        return np.concatenate(self._times) if self._times else np.zeros(0)


def _go_back(resume: Trajectory, system: System, clock: Clock, last: int) -> None:
    facts, arrays = resume.restart.facts, resume.restart.arrays
    step = int(facts["step"])
    if last < step:
        raise InputError(f"steps count from the start of the run, which stands at step {step}", last, f"pass >= {step}")
    buffers = {name.removeprefix("buffer."): array for name, array in arrays.items() if name.startswith("buffer.")}
    system.restore(buffers, step)
    clock.restore(facts["clock"], step)


def _joined(
    resume: Trajectory, grid: NDArray[np.int64], columns: Mapping[str, NDArray[Any]],
    steps: NDArray[np.int64], times: NDArray[np.float64],
) -> tuple[dict[str, NDArray[Any]], NDArray[np.int64], NDArray[np.float64]]:  # fmt: skip
    """Put the rows of the earlier run first, without the last one if only its end made it a saved point."""
    if set(columns) != set(resume):
        raise InputError(
            "a resumed run observes what it observed", f"{sorted(columns)} after {sorted(resume)}",
            "leave observe out when resuming",
        )  # fmt: skip
    kept = resume.step.size
    if steps.size and resume.step[-1] not in grid:
        kept -= 1
    joined = {name: np.concatenate([resume[name][:kept], columns[name]]) for name in columns}
    return joined, np.concatenate([resume.step[:kept], steps]), np.concatenate([resume.time[:kept], times])
