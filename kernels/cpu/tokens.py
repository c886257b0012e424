"""Loss, margins, accuracy and residual of all tokens from their scores."""

from __future__ import annotations

import numpy as np

from ..arrays import Labels, Matrix, Vector
from ..compile import compiled
from .rows import loss_row, margin_row, residual_row


@compiled()
def loss(scores: Matrix, targets: Labels, frequencies: Vector) -> float:
    """Return the cross entropy weighted by the frequencies."""
    total = 0.0
    for token in range(scores.shape[0]):
        token_loss, _ = loss_row(scores[token], targets[token])
        total += frequencies[token] * token_loss
    return total


@compiled()
def margins(scores: Matrix, targets: Labels) -> Vector:
    """Return S_xf - max_(z != f) S_xz, (N,)."""
    result = np.empty(scores.shape[0], scores.dtype)
    for token in range(scores.shape[0]):
        result[token] = margin_row(scores[token], targets[token])
    return result


@compiled()
def accuracy(scores: Matrix, targets: Labels, frequencies: Vector) -> float:
    """Return 1 - the frequencies of the tokens whose margin is not positive: 1.0 if and only if all are."""
    wrong = 0.0
    for token in range(scores.shape[0]):
        if not margin_row(scores[token], targets[token]) > 0.0:
            wrong += frequencies[token]
    return max(0.0, 1.0 - wrong)


@compiled()
def residual_in_place(scores: Matrix, targets: Labels, frequencies: Vector) -> float:
    """Replace the scores by diag(p) (P - Y) and return the loss."""
    total = 0.0
    for token in range(scores.shape[0]):
        row = scores[token]
        token_loss, _ = residual_row(row, targets[token], frequencies[token], row)
        total += frequencies[token] * token_loss
    return total
