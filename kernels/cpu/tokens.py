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
    """Return 1 - the frequencies of the tokens whose margin is not positive."""
    wrong, count = 0.0, 0
    for token in range(scores.shape[0]):
        if not margin_row(scores[token], targets[token]) > 0.0:
            wrong += frequencies[token]
            count += 1
    return share_right(wrong, count, scores.shape[0])


@compiled(inline=True)
def share_right(wrong: float, count: int, n_tokens: int) -> float:
    """Return 1 - wrong, exactly 1 if and only if none of the tokens is wrong, exactly 0 if all are.

    Without this a wrong token of frequency 1e-20 would be lost in rounding.
    """
    if count == 0:
        return 1.0
    if count == n_tokens:
        return 0.0
    return min(max(1.0 - wrong, 0.0), 1.0 - 2.0**-53)


@compiled()
def residual_in_place(scores: Matrix, targets: Labels, frequencies: Vector) -> float:
    """Replace the scores by diag(p) (P - Y) and return the loss."""
    total = 0.0
    for token in range(scores.shape[0]):
        row = scores[token]
        token_loss, _ = residual_row(row, targets[token], frequencies[token], row)
        total += frequencies[token] * token_loss
    return total
