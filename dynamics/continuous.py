"""Runs of the gradient flow: saved times, the stop condition located in time, Ctrl-C, and going on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import InputError, TraindynError
from .associative_memory import AssociativeMemory
from .failing import attach
from .observing import Table, check_memory, evaluate, known_observables
from .problem import State
from .restarting import plain_grid
from .sharpness_search import SharpnessSearch
from .slicing import Interruption, Progress
from .status import Status
from .trajectory import Restart, Trajectory

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .flow import FlowSystem
    from .saving import Grid
    from .stopping import When

_LOCATED = 1e-12


def run_flow(
    problem: Any, rule: Any, save: Grid, end: float, functions: Mapping[str, Callable[[State], Any]],
    stop: When | None, initial: Any, form: str | None, progress: bool, resume: Trajectory | None,
) -> Trajectory:  # fmt: skip
    """Move a memory along its gradient flow to time `end`, or until the stop condition holds."""
    if not isinstance(problem, AssociativeMemory):
        raise InputError(
            f"GradientFlow does not move a {type(problem).__name__}", None,
            "use GradientDescent with a small learning rate, or a rule of your own",
        )  # fmt: skip
    from .flow import FlowSystem
    from .memory_system import initial_weights

    check_memory(save.count(end), {}, 0.0)
    times = save.times(end)
    start = initial_weights(problem, initial if resume is None else resume.restart.arrays.get("initial"))
    options: dict[str, Any] = {"form": form, "initial": start, "rtol": rule.rtol}
    system = FlowSystem(problem, checkpoint=_checkpoint(resume), **options)
    search = SharpnessSearch()
    if resume is not None:
        search = SharpnessSearch.restored(resume.restart.arrays, resume.time[-1] not in times)
        if end < resume.time[-1]:
            raise InputError("time counts from the start of the run", end, f"pass >= {resume.time[-1]!r}")
        times = times[times > resume.time[-1]]
    table = Table(functions, search)
    course = _Course(problem, system, options, table, stop)

    def collected(status: Status, message: str) -> Trajectory | None:
        """Return the rows that are complete; None where there is none."""
        rows = len(course.times)
        columns = {name: values[:rows] for name, values in table.columns.items()}
        saved = np.array(course.times, dtype=np.float64)
        if resume is not None:
            kept = resume.time.size if not rows or resume.time[-1] in save.times(end) else resume.time.size - 1
            columns = {
                name: np.concatenate([resume[name][:kept], columns.get(name, resume[name][:0])]) for name in resume
            }
            saved = np.concatenate([resume.time[:kept], saved])
        if not saved.size:
            return None
        facts: dict[str, Any] = {
            "form": system.form, "dtype": "float64", "seed": "none", "save": plain_grid(save),
            "flow_time": course.checkpoint[0],
        }  # fmt: skip
        arrays = {f"buffer.{name}": array for name, array in course.checkpoint[1].items()} | search.arrays()
        if start is not None:
            arrays["initial"] = start
        restart, numbers = Restart(facts, arrays), np.arange(saved.size)
        return Trajectory(columns, numbers, saved, course.weights, status, message, restart, problem, rule)

    try:
        status, message = course.go(times, progress, resume)
    except TraindynError as error:
        attach(error, collected(Status.FAILED, str(error)))
        raise
    run = collected(status, message)
    assert run is not None
    return run


def _checkpoint(resume: Trajectory | None) -> tuple[float, dict[str, NDArray[Any]]] | None:
    if resume is None:
        return None
    arrays = resume.restart.arrays
    buffers = {name.removeprefix("buffer."): array for name, array in arrays.items() if name.startswith("buffer.")}
    return float(resume.restart.facts["flow_time"]), buffers


class _Course:
    """One pass over the saved times."""

    def __init__(
        self, problem: Any, system: FlowSystem, options: Mapping[str, Any], table: Table, stop: When | None
    ) -> None:
        self.problem, self.system, self.options, self.table, self.stop = problem, system, options, table, stop
        self._function = None
        if stop is not None:
            self._function = table.functions.get(stop.name) or known_observables(problem)[stop.name]
        self.times: list[float] = []
        self.checkpoint = system.checkpoint()
        self.weights = system.weights()

    def go(self, times: NDArray[np.float64], progress: bool, resume: Trajectory | None) -> tuple[Status, str]:
        """Move through the times, and say how it ended."""
        if resume is None:
            first = self.table.look(self._state(self.system))
            check_memory(times.size + 1, {name: value.size for name, value in first.items()}, 0.0)
            self.table.allocate(first, times.size + 1)
        else:
            self.weights = resume.final
            self.table.allocate({name: values[0] for name, values in resume.items()}, times.size + 1)
        with Interruption() as interruption, Progress(progress, times.size, 0, "time") as bar:
            last = -1.0 if resume is None else float(resume.time[-1])
            before: tuple[float, tuple[float, dict[str, NDArray[Any]]]] | None = None
            for time in times:
                if not interruption.requested:
                    self.system.advance_to(float(time), lambda: interruption.requested)
                if self.system.time != time:
                    if self.system.time > last:
                        self._save(self.system)
                    return Status.INTERRUPTED, f"interrupted at time {self.system.time:.6g}"
                if self._holds(self.system):
                    self._save(self._first_crossing(before, float(time)))
                    return Status.THRESHOLD_REACHED, ""
                before = float(time), self.system.checkpoint()
                last = float(time)
                self._save(self.system)
                bar.at(len(self.times))
        if self.system.stationary:
            return Status.STATIONARY, self.system.message
        return (Status.COMPLETED if self.stop is None else Status.STEPS_EXHAUSTED), ""

    def _state(self, system: FlowSystem) -> State:
        return State(self.problem, system, None, system.time, self.table.search)

    def _save(self, system: FlowSystem) -> None:
        self.table.record(self._state(system))
        self.times.append(system.time)
        self.checkpoint = system.checkpoint()
        self.weights = system.weights()

    def _holds(self, system: FlowSystem) -> bool:
        if self.stop is None or self._function is None:
            return False
        value = evaluate(self.stop.name, self._function, self._state(system))
        if value.size != 1:
            raise InputError(
                "a stop condition needs an observable with one number", f"{self.stop.name} of shape {value.shape}",
                'such as "smallest_margin", or a function of your own in observe=',
            )  # fmt: skip
        return self.stop.holds(float(value.reshape(())))

    def _first_crossing(
        self, before: tuple[float, tuple[float, dict[str, NDArray[Any]]]] | None, after: float
    ) -> FlowSystem:
        """Return a system at a time where the condition holds, at most 1e-12 of it after one where it does not."""
        if before is None:
            return self.system
        from .flow import FlowSystem

        low, checkpoint = before
        high = after
        while high - low > _LOCATED * high:
            # geometric while the interval spans decades
            middle = 0.5 * (low + high) if low > 0.5 * high else max((low * high) ** 0.5, 1e-3 * high)
            trial = FlowSystem(self.problem, checkpoint=checkpoint, **self.options)
            trial.advance_to(middle)
            if self._holds(trial):
                high = middle
            else:
                low, checkpoint = middle, trial.checkpoint()
        found = FlowSystem(self.problem, checkpoint=before[1], **self.options)
        found.advance_to(high)
        return found
