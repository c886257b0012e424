"""Scores in motion, equation (12), or W E^T half-way to them; W comes back from the dual coefficients."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..kernels.cpu.descent_arguments import States
from .descent_work import constant, memory_of, rows_of, scratch_of, sizes_of
from .forms import is_redundant
from .memory_system import MemorySystem

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .associative_memory import AssociativeMemory


class DualSystem(MemorySystem):
    """States (N, M) or (N, d) that dual coefficients of the same shape move."""

    _is_half = False
    _state_name = "scores"

    def __init__(self, problem: AssociativeMemory, rule: Any, *rest: Any) -> None:
        from ..kernels.cpu.descent_particles import particle_slice

        super().__init__(problem, rule, *rest)
        n_tokens, n_classes, dim = problem.n_tokens, problem.n_classes, problem.dim
        self._start = self._start_states().astype(self._dtype)
        width = self._start.shape[1]
        self._state = self._start.copy()
        self._dual = np.zeros_like(self._start)
        self._velocity = np.zeros((n_tokens if self._momentum else 0, width), self._dtype)
        self._compiled = particle_slice
        self._noise = self._noise_sides(*self._noise_of_duals()) if self._span else self._noise_sides()
        sizes = sizes_of(n_tokens, n_classes, dim, not self._is_half)
        shape = n_tokens, n_classes, dim, width, self._batch_size
        scratch = scratch_of(sizes, *shape, self._threads, self._dtype)
        redundant = self._is_redundant()
        right, transposed = self._sides(redundant)
        moves = scratch.pulled
        if right.size:
            moves = np.empty((moves.shape[0], right.shape[1]), self._dtype)
        nothing = np.empty((0, 0))
        gram = nothing if redundant else problem.input_gram
        states = States(
            self._state, self._dual, self._velocity, constant(gram, self._dtype), constant(right, self._dtype), moves,
            np.empty((dim if redundant else 0, width), self._dtype), constant(transposed, self._dtype),
        )  # fmt: skip
        self._arguments = (
            states, self._is_half, memory_of(problem, sizes, self._dtype, self._is_half), sizes,
            rows_of(n_tokens, self._batch_size, sizes.tile), scratch,
        )  # fmt: skip

    def _picks_rows(self, rule: Any) -> bool:
        return super()._picks_rows(rule) and not self._is_redundant()

    def _is_redundant(self) -> bool:
        raise NotImplementedError

    def _start_states(self) -> NDArray[np.float64]:
        raise NotImplementedError

    def _noise_of_duals(self) -> tuple[NDArray[Any], NDArray[Any]]:
        raise NotImplementedError

    def _sides(self, redundant: bool) -> tuple[NDArray[Any], NDArray[Any]]:
        """Return G_U where increments are multiplied by it, and U^T where they go by way of the weights to scores."""
        raise NotImplementedError

    def _dual_coefficients(self) -> NDArray[Any]:
        return self._dual

    def _states(self) -> dict[str, NDArray[Any]]:
        return {self._state_name: self._state, "dual": self._dual, "velocity": self._velocity}


class ParticleSystem(DualSystem):
    """Scores (N, M) and dual coefficients, equation (12)."""

    form = "particles"

    def _is_redundant(self) -> bool:
        return is_redundant(self.problem.n_tokens, self.problem.n_classes, self.problem.dim)

    def _start_states(self) -> NDArray[np.float64]:
        return self._start_scores()

    def _noise_of_duals(self) -> tuple[NDArray[Any], NDArray[Any]]:
        assert self._span is not None
        return self._span.dual_left, self._span.dual_right

    def _sides(self, redundant: bool) -> tuple[NDArray[Any], NDArray[Any]]:
        if redundant:
            return np.empty((0, 0)), self.problem.outputs.T
        return self.problem.output_gram, np.empty((0, 0))

    def _score_changes(self) -> NDArray[np.float64]:
        return np.asarray(self._state.astype(np.float64) - self._start)

    def scores(self) -> NDArray[Any]:
        """Return a copy of the scores."""
        return self._state.copy()


class HalfSystem(DualSystem):
    """V = E W^T (N, d) and A with W = W0 + A^T E."""

    form = "half"
    _is_half = True
    _state_name = "points"

    def _is_redundant(self) -> bool:
        return self.problem.n_tokens > self.problem.dim

    def _start_states(self) -> NDArray[np.float64]:
        if self._initial is None:
            return np.zeros((self.problem.n_tokens, self.problem.dim))
        return np.asarray(self.problem.inputs @ self._initial.T)

    def _noise_of_duals(self) -> tuple[NDArray[Any], NDArray[Any]]:
        assert self._span is not None
        return self._span.dual_left, self._span.weight_right

    def _sides(self, redundant: bool) -> tuple[NDArray[Any], NDArray[Any]]:
        return np.empty((0, 0)), np.empty((0, 0))

    def _moved(self, dual: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(dual.T @ self.problem.inputs)

    def _score_changes(self) -> NDArray[np.float64]:
        return np.asarray((self._state.astype(np.float64) - self._start) @ self.problem.outputs.T)

    def scores(self) -> NDArray[Any]:
        """Return V U^T."""
        return (self._state.astype(np.float64) @ self.problem.outputs.T).astype(self._dtype)
