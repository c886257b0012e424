"""The weights in motion, equation (5), with momentum, noise or the moments of Adam."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .descent_work import goes_by_class, memory_of, packed_numbers, rows_of, scratch_of, sizes_of
from .memory_system import MemorySystem

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .associative_memory import AssociativeMemory


class WeightSystem(MemorySystem):
    """The weights (d, d), equation (5)."""

    form = "weights"

    def __init__(self, problem: AssociativeMemory, rule: Any, *rest: Any) -> None:
        super().__init__(problem, rule, *rest)
        n_tokens, n_classes, dim = problem.n_tokens, problem.n_classes, problem.dim
        start = np.zeros((dim, dim)) if self._initial is None else self._initial.T
        self._transposed = np.array(start, dtype=self._dtype, order="C")
        span = self._span
        self._noise = self._noise_sides(span.weight_left, span.weight_right) if span else self._noise_sides()
        by_class = goes_by_class(n_tokens, n_classes, dim)
        sizes = sizes_of(n_tokens, n_classes, dim, by_class)
        shape = n_tokens, n_classes, dim, n_classes if by_class else dim, self._batch_size
        self._arguments = (
            self._transposed, self._carried(rule), np.empty((dim if by_class else 0, n_classes), self._dtype),
            memory_of(problem, sizes, self._dtype, True), sizes, rows_of(n_tokens, self._batch_size, sizes.tile),
            scratch_of(
                sizes, *shape, self._threads, self._dtype,
                packed_numbers(n_tokens, n_classes, dim, self._batch_size, self._dtype),
            ),
        )  # fmt: skip

    def _carried(self, rule: Any) -> Any:
        """Return what is carried on beside the weights: the velocity, with momentum."""
        from ..kernels.cpu.descent_weights import weight_slice

        self._compiled = weight_slice
        dim = self.problem.dim
        self._velocity = np.zeros((dim if self._momentum else 0, dim), self._dtype)
        return self._velocity

    def _states(self) -> dict[str, NDArray[Any]]:
        return {"transposed": self._transposed, "velocity": self._velocity}

    def weights(self) -> NDArray[Any]:
        """Return a copy of W."""
        return np.array(self._transposed.T, order="C")

    def scores(self) -> NDArray[Any]:
        """Return E W^T U^T."""
        scores = self.problem.inputs @ self._transposed.astype(np.float64) @ self.problem.outputs.T
        return scores.astype(self._dtype)


class AdaptiveSystem(WeightSystem):
    """The weights and two moments of each, for Adam and AdamW."""

    def _carried(self, rule: Any) -> Any:
        from ..kernels.cpu.descent_adaptive import Adaptation, adaptive_slice

        self._compiled = adaptive_slice
        self._moments = np.zeros_like(self._transposed), np.zeros_like(self._transposed)
        return Adaptation(*self._moments, rule.first_decay, rule.second_decay, rule.epsilon, rule.decay)

    def _states(self) -> dict[str, NDArray[Any]]:
        first, second = self._moments
        return {"transposed": self._transposed, "first_moment": first, "second_moment": second}
