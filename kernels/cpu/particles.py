"""Gradient descent on the scores themselves (Theorem 1): no weights, and no dimension in the cost."""

from __future__ import annotations

import numpy as np

from ..arrays import Labels, Matrix, Vector
from ..compile import compiled
from .products import multiply, multiply_add
from .tokens import residual_in_place


@compiled()
def particle_step(
    scores: Matrix, input_gram: Matrix, output_gram: Matrix, targets: Labels, frequencies: Vector, learning_rate: float
) -> Matrix:
    """Return S - rate G_E diag(p) (P - Y) G_U, (N, M)."""
    residual = scores.copy()
    residual_in_place(residual, targets, frequencies)
    half, result = np.empty_like(residual), scores.copy()
    multiply(input_gram, residual, half)
    multiply_add(-learning_rate, half, output_gram, result)
    return result
