"""The scores of a problem so small that each row of them fits into a vector, under plain gradient descent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..kernels.cpu.descent_arguments import Record, Rows
from ..kernels.cpu.descent_record import NOT_FINITE
from ..kernels.cpu.descent_record import STOPPED as STOP_CODE
from .descent import GradientDescent
from .descent_work import constant
from .forms import is_redundant
from .memory_system import MemorySystem
from .system import REACHED_END, STOPPED, Event

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .associative_memory import AssociativeMemory
    from .recorder import Recorder

# tokens up to which the products of whole rows, without tiles, are the fastest
_MOST_TOKENS = 16


def is_tiny(problem: AssociativeMemory, rule: Any, dtype: str) -> bool:
    """Return whether `TinySystem` moves the problem by the rule.

    >>> from traindyn.dynamics import AssociativeMemory, GradientDescent
    >>> is_tiny(AssociativeMemory.random(100, 100, 64), GradientDescent(1.0), "float64")
    False
    """
    from ..kernels.cpu.simd import LANES32, LANES64

    lanes = LANES64 if dtype == "float64" else LANES32
    if type(rule) is not GradientDescent or rule.momentum > 0.0:
        return False
    fitting = problem.n_tokens <= _MOST_TOKENS and problem.n_classes <= lanes
    return fitting and not is_redundant(problem.n_tokens, problem.n_classes, problem.dim)


class TinySystem(MemorySystem):
    """Scores and dual coefficients, equation (12), in rows of one vector each."""

    form = "particles"

    def __init__(self, problem: AssociativeMemory, rule: Any, *rest: Any) -> None:
        from ..kernels.cpu.simd import LANES32, LANES64
        from ..kernels.cpu.tiny import tiny_slice

        super().__init__(problem, rule, *rest)
        self._compiled = tiny_slice
        n_tokens, n_classes = problem.n_tokens, problem.n_classes
        shape = n_tokens, LANES64 if self._dtype == "float64" else LANES32
        # beyond the classes stand copies of the first one
        self._columns = np.arange(shape[1]) * (np.arange(shape[1]) < n_classes)
        self._start = self._start_scores().astype(self._dtype)
        self._padded = np.ascontiguousarray(self._start[:, self._columns])
        self._dual = np.zeros(shape, self._dtype)
        gram = problem.output_gram
        pulls = (gram[None, :, :] - gram[:, None, :])[:, :, self._columns]
        self._arguments = (
            self._padded, self._dual, constant(problem.input_gram, self._dtype), constant(pulls, self._dtype),
            constant(problem.frequencies, self._dtype), problem.targets, problem.frequencies,
            np.empty(shape, self._dtype), np.empty(shape, self._dtype),
        )  # fmt: skip
        numbers, places = np.empty(n_tokens), np.empty(1, np.int64)
        self._rows = Rows(
            numbers, numbers, numbers, numbers, places, numbers.copy(), numbers.copy(), numbers.copy(), places, places
        )

    def advance(self, end: int, rates: NDArray[np.float64], recorder: Recorder) -> Event:
        """Move to step `end` in one compiled call; the state at `end` is looked at, if it is due, but not moved."""
        record = Record(
            recorder.steps, recorder.scalars, recorder.margins,
            recorder.stop_column, recorder.stop_relation, recorder.stop_threshold,
        )  # fmt: skip
        self.step, recorder.next_row, code = self._compiled(
            *self._arguments, rates, self._rows, record, recorder.next_row, self.step, end
        )
        if code == NOT_FINITE:
            return Event(not_finite=self.array_name)
        return STOPPED if code == STOP_CODE else REACHED_END

    def _states(self) -> dict[str, NDArray[Any]]:
        return {"scores": self._padded, "dual": self._dual}

    def _dual_coefficients(self) -> NDArray[Any]:
        dual = self._dual[:, : self.problem.n_classes].astype(np.float64)
        tokens = np.arange(dual.shape[0])
        dual[tokens, self.problem.targets] = 0.0
        dual[tokens, self.problem.targets] = -dual.sum(axis=1)  # a step adds nothing to the sum of a row
        return dual

    def _score_changes(self) -> NDArray[np.float64]:
        return np.asarray(self.scores().astype(np.float64) - self._start)

    def scores(self) -> NDArray[Any]:
        """Return a copy of the scores."""
        return self._padded[:, : self.problem.n_classes].copy()
