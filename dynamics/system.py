"""A system: one problem moved by one rule in one form of the state, a slice of steps at a time.

`simulate` drives any object of the protocol `System`. A problem with faster forms returns one from
``problem.system(rule, form=, initial=, dtype=, generator=)``; for all others `PlainSystem` applies the rule to the
gradient in Python.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from .numbers import finite_array
from .recorder import Recorder


class Moving(Protocol):
    """The part of a system that observables look at."""

    def weights(self) -> NDArray[Any]:
        """Return a copy of the weights."""
        ...

    def scores(self) -> NDArray[Any]:
        """Return a copy of the scores (N, M), where the problem has them."""
        ...


@dataclass(frozen=True)
class Event:
    """How a slice ended: neither stopped nor not finite means that it reached its end."""

    stopped: bool = False
    not_finite: str = ""  # the array that holds the first value that is not finite


REACHED_END = Event()
STOPPED = Event(stopped=True)


class System(Moving, Protocol):
    """What `simulate` drives."""

    form: str
    step: int
    recorded: frozenset[str]  # observables that `advance` writes to the recorder
    columns: tuple[str, ...]  # names of the scalars that it records
    n_tokens: int  # width of the margins that it records, 0 if it records none
    largest_slice: int
    seconds_per_step: float  # a rough guess, for the first slice

    def advance(self, end: int, rates: NDArray[np.float64], recorder: Recorder) -> Event:
        """Move to step `end`, recording what is due, the state at `end` included; `rates` is (end - step,) or (1,)."""
        ...

    def buffers(self) -> dict[str, NDArray[Any]]:
        """Return copies of all arrays that the rest of the run depends on."""
        ...

    def restore(self, buffers: Mapping[str, NDArray[Any]], step: int) -> None:
        """Go back to a step, from its `buffers`."""
        ...


class PlainSystem:
    """Weights of any shape, moved by ``rule.step`` along ``problem.loss_and_gradient``."""

    form = "weights"
    recorded: frozenset[str] = frozenset()
    columns: tuple[str, ...] = ()
    n_tokens = 0
    largest_slice = 2**62
    seconds_per_step = 1e-5

    def __init__(self, problem: Any, rule: Any, initial: Any, dtype: str) -> None:
        for name in ("init", "step"):
            if not callable(getattr(rule, name, None)):
                raise InputError(
                    f"{type(rule).__name__} cannot move a {type(problem).__name__}", f"it has no method {name}()",
                    "a rule of your own needs init(weights) and step(weights, gradient, memory, step)",
                )  # fmt: skip
        start = np.asarray(problem.initial_weights())
        if initial is not None:
            given = finite_array("initial", initial, dimensions=start.ndim, shape=str(start.shape))
            if given.shape != start.shape:
                raise InputError(f"initial must have shape {start.shape}", given.shape)
            start = given
        self._problem, self._rule = problem, rule
        self._weights = np.array(start, dtype=dtype)
        self._memory = dict(rule.init(self._weights.copy()))
        self.step = 0

    def advance(self, end: int, rates: NDArray[np.float64], recorder: Recorder) -> Event:
        """Move to step `end`, one call of the gradient a step."""
        while self.step < end:
            loss, gradient = self._problem.loss_and_gradient(self._weights)
            if not (np.isfinite(loss) and np.isfinite(gradient).all()):
                return Event(not_finite="loss" if not np.isfinite(loss) else "gradient")
            moved, memory = self._rule.step(self._weights, gradient, self._memory, self.step)
            self._weights, self._memory = np.asarray(moved, dtype=self._weights.dtype), dict(memory)
            self.step += 1
            if not np.isfinite(self._weights).all():
                return Event(not_finite="weights")
        return REACHED_END

    def weights(self) -> NDArray[Any]:
        """Return a copy of the weights."""
        return self._weights.copy()

    def scores(self) -> NDArray[Any]:
        """Return the scores, if the problem can tell them."""
        scores = getattr(self._problem, "scores", None)
        if scores is None:
            raise InputError(f"{type(self._problem).__name__} has no scores", None, "observe its weights")
        return np.array(scores(self._weights))

    def buffers(self) -> dict[str, NDArray[Any]]:
        """Return copies of the weights and of the rule's memory."""
        memory = {f"memory.{name}": np.array(value) for name, value in self._memory.items()}
        return {"weights": self._weights.copy(), **memory}

    def restore(self, buffers: Mapping[str, NDArray[Any]], step: int) -> None:
        """Go back to a step."""
        self._weights = np.array(buffers["weights"])
        self._memory = {
            name.removeprefix("memory."): np.array(value)
            for name, value in buffers.items()
            if name.startswith("memory.")
        }
        self.step = step
