"""Two classes in motion: the margins are the whole state."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .descent_work import constant, rows_of
from .forms import is_redundant
from .memory_system import MemorySystem

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..kernels.cpu.descent_arguments import Motion, Record
    from .associative_memory import AssociativeMemory


class MarginSystem(MemorySystem):
    """Margins (N,) of two classes and their dual coefficients, equation (17) for any N."""

    form = "margins"
    array_name = "margins"

    def __init__(self, problem: AssociativeMemory, rule: Any, *rest: Any) -> None:
        from ..kernels.cpu.descent_margins import margin_slice

        super().__init__(problem, rule, *rest)
        size = problem.n_tokens
        self._signs = np.where(problem.targets == 0, 1.0, -1.0)
        start = self._start_scores()
        self._start = (self._signs * (start[:, 0] - start[:, 1])).astype(self._dtype)
        self._margins = self._start.copy()
        self._dual = np.zeros(size, self._dtype)
        self._velocity = np.zeros(size, self._dtype)
        self._compiled = margin_slice
        self._gap = problem.outputs[0] - problem.outputs[1]
        self._squared = float(self._gap @ self._gap)
        redundant = is_redundant(size, 2, problem.dim)
        signed = self._signs[:, None] * problem.inputs if redundant else np.empty((0, 0))
        if redundant:
            coupling = np.empty((0, 0))
        else:
            coupling = self._squared * (self._signs[:, None] * self._signs) * problem.input_gram
        span = self._span
        left = self._signs[:, None] * span.dual_left if span is not None else None
        self._noise = self._noise_sides(left, span.dual_right if span else None)
        self._arguments = (
            self._margins, self._dual, self._velocity, constant(coupling, self._dtype), constant(signed, self._dtype),
            constant(self._squared * signed.T, self._dtype), problem.targets, problem.frequencies,
            rows_of(size, 0, size),
            *(np.empty(length, self._dtype) for length in (size, size, signed.shape[1])),
        )  # fmt: skip

    def _picks_rows(self, rule: Any) -> bool:
        return False

    def _run(self, motion: Motion, record: Record, next_row: int, end: int) -> tuple[int, int, int]:
        reached, next_row, code = self._compiled(*self._arguments, motion, record, next_row, self.step, end)
        return reached, next_row, code

    def _states(self) -> dict[str, NDArray[Any]]:
        return {"margins": self._margins, "dual": self._dual, "velocity": self._velocity}

    def _dual_coefficients(self) -> NDArray[Any]:
        signed = self._signs * self._dual
        return np.stack([signed, -signed], axis=1)

    def _differences(self) -> NDArray[np.float64]:
        """Return (N,): the change of score 0 minus score 1."""
        return np.asarray(self._signs * (self._margins.astype(np.float64) - self._start))

    def _score_changes(self) -> NDArray[np.float64]:
        return np.outer(self._differences(), [0.5, -0.5])

    def scores(self) -> NDArray[Any]:
        """Return the scores: W - W0 is along u_0 - u_1, so that the margins tell all of its scores."""
        scores = self._start_scores()
        if self._squared > 0.0:
            scores = scores + np.outer(self._differences(), self.problem.outputs @ self._gap / self._squared)
        return scores.astype(self._dtype)


