"""Gradient descent on the scores themselves (Theorem 1): no weights, and no dimension in the cost."""

from __future__ import annotations

import numpy as np

from ..arrays import Labels, Matrix, Vector
from ..compile import compiled
from .tokens import residual_in_place


@compiled()
def particle_step(
    scores: Matrix, input_gram: Matrix, output_gram: Matrix, targets: Labels, frequencies: Vector, learning_rate: float
) -> Matrix:
    """Return S - rate G_E diag(p) (P - Y) G_U, (N, M)."""
    residual = scores.copy()
    residual_in_place(residual, targets, frequencies)
    result = np.dot(np.dot(input_gram, residual), output_gram)
    for token in range(scores.shape[0]):
        for label in range(scores.shape[1]):
            result[token, label] = scores[token, label] - learning_rate * result[token, label]
    return result  # type: ignore[no-any-return]
