"""Rows that a loop fills while it runs, and the clock that turns steps into time."""

from __future__ import annotations

import math
from collections.abc import Collection
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import TraindynError
from .schedules import rate_at
from .stopping import RELATIONS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .schedules import LearningRate
    from .stopping import When


class Recorder:
    """The saved steps, the next one due, the rows of scalars and margins, and the stop condition of a loop."""

    def __init__(
        self, steps: NDArray[np.int64], columns: tuple[str, ...], n_tokens: int, stop: When | None,
        wanted: Collection[str] = (),
    ) -> None:  # fmt: skip
        self.steps = steps
        # columns that somebody looks at; a system may leave out what costs more than its step
        self.wanted = frozenset(wanted) | ({stop.name} if stop is not None else frozenset())
        self.columns = columns
        self.next_row = 0
        # one row more than planned: a run that ends early saves its last state too
        self.scalars = np.empty((steps.size + 1, len(columns)))
        self.margins = np.empty((steps.size + 1 if n_tokens else 0, n_tokens))
        self.stop_column = columns.index(stop.name) if stop is not None else -1
        self.stop_relation = RELATIONS.index(stop.relation) if stop is not None else 0
        self.stop_threshold = stop.threshold if stop is not None else 0.0

    def save_now(self, step: int) -> None:
        """Make `step` the next and last one due."""
        self.steps = np.append(self.steps[: self.next_row], step)
        self.stop_column = -1


class Clock:
    """Time is the sum of the learning rates: rate times step if constant, else a compensated sum."""

    def __init__(self, learning_rate: LearningRate) -> None:
        self._learning_rate = learning_rate
        self.constant = not callable(learning_rate)
        self._total, self._carry = 0.0, 0.0
        self._step = 0
        self._ahead: list[float] = []
        self._rates = np.array([0.0 if callable(learning_rate) else learning_rate])

    def rates(self, start: int, end: int) -> NDArray[np.float64]:
        """Return the rates of the steps from `start` to `end`; a single one where it is constant.

        A schedule that fails at a later step than the first is asked for that step again once those before are done.
        """
        if self.constant:
            return self._rates
        self._ahead = []
        for step in range(start, end):
            try:
                self._ahead.append(rate_at(self._learning_rate, step))
            except TraindynError:
                if step == start:
                    raise
                break
        return np.array(self._ahead) if self._ahead else self._rates

    def reach(self, start: int, end: int) -> int:
        """Return the step up to which the rates just given go: `end`, or where the schedule failed."""
        return end if self.constant else start + len(self._ahead)

    def pass_to(self, step: int, wanted: NDArray[np.int64]) -> NDArray[np.float64]:
        """Move to `step` over the rates just given; return the times of the wanted steps passed or reached."""
        if self.constant:
            self._step = step
            with np.errstate(over="ignore"):
                scaled: NDArray[np.float64] = wanted * self._rates[0]
            return scaled
        sums = [self._total + self._carry]
        for rate in self._ahead[: step - self._step]:
            total = self._total + rate
            # Neumaier's compensation
            large, small = (self._total, rate) if abs(self._total) >= rate else (rate, self._total)
            if total != math.inf:
                self._carry += (large - total) + small
            self._total = total
            sums.append(self._total + self._carry)
        times = np.array(sums)[wanted - self._step]
        self._step = step
        return times

    @property
    def now(self) -> float:
        """The time of the current step."""
        return float(self._rates[0]) * self._step if self.constant else self._total + self._carry

    def state(self) -> list[float]:
        """Return what `restore` needs."""
        return [self._total, self._carry]

    def restore(self, state: Any, step: int) -> None:
        """Go back to a step."""
        self._total, self._carry = (float(value) for value in state)
        self._step = step
