"""One step of gradient descent on the scores, without weights."""

from __future__ import annotations

import numpy as np

from ..arrays import Labels, Matrix, Vector
from .softmax import one_hot, softmax


def particle_step(
    scores: Matrix, input_gram: Matrix, output_gram: Matrix, targets: Labels, frequencies: Vector, learning_rate: float
) -> Matrix:
    """Return S - rate G_E diag(p) (P - Y) G_U, (N, M), equation (12)."""
    residual = softmax(scores) - one_hot(targets, scores.shape[1])
    result: Matrix = scores - learning_rate * (input_gram @ np.diag(frequencies) @ residual @ output_gram)
    return result
