"""Structured memories in motion: two factors below each other, or the blocks of W, in compiled slices."""

from __future__ import annotations

from typing import Any

import numpy as np

from .descent_work import constant
from .parameter_system import ParameterSystem, is_moved


def factorised_system(
    problem: Any,
    rule: Any,
    form: str | None,
    initial: Any,
    dtype: str,
    generator: np.random.Generator | None,
) -> FactorisedSystem | None:
    """Return the system of a structured memory under one of the package's rules; None for any other rule."""
    return FactorisedSystem(problem, rule, initial, dtype, generator) if is_moved(problem, rule, form) else None


class FactorisedSystem(ParameterSystem):
    """Two factors, or the blocks of W, for which the second factor is the identity."""

    def __init__(
        self, problem: Any, rule: Any, initial: Any, dtype: str, generator: np.random.Generator | None
    ) -> None:
        from ..kernels.cpu.factorised import FURTHER, Embeddings, Places, factorised_slice

        has_factors = hasattr(problem, "rank")
        super().__init__(problem, rule, initial, dtype, generator, FURTHER if has_factors else ())
        self._slice = factorised_slice
        inputs, outputs = (constant(a, dtype) for a in (problem.inputs_in_blocks, problem.outputs_in_blocks))
        (blocks, n_tokens, side), n_classes, rank = inputs.shape, outputs.shape[1], self._parameters.shape[1]
        seen = np.empty((blocks, n_tokens, rank), dtype) if has_factors else np.array(inputs)
        table = n_tokens, n_classes
        shapes = (blocks, n_classes, rank), table, table, (n_tokens, rank), (n_classes, rank)
        work = (*shapes, self._parameters.shape, (n_classes, side), (side, side), (rank, rank))
        self._arguments = (
            self._parameters, self._velocity, self._momentum, self._adaptation,
            Embeddings(inputs, outputs, problem.targets, problem.frequencies),
            Places(seen, *(np.empty(shape, dtype) for shape in work)), self._rows,
        )  # fmt: skip
        products = 4 * (n_tokens + n_classes) * problem.dim * rank + 6 * n_tokens * n_classes * rank * blocks
        self.seconds_per_step = 5e-7 + 5e-11 * products + 3e-9 * n_tokens * n_classes
