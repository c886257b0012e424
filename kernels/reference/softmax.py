"""Softmax of each row of scores, and the labels one-hot."""

from __future__ import annotations

import numpy as np

from ..arrays import Labels, Matrix


def softmax(scores: Matrix) -> Matrix:
    """Return P, (N, M): P_xz = exp(S_xz) / sum_k exp(S_xk), equation (8); shifted by the largest score."""
    weights = np.exp(scores - scores.max(axis=1, keepdims=True))
    probabilities: Matrix = weights / weights.sum(axis=1, keepdims=True)
    return probabilities


def one_hot(targets: Labels, n_classes: int) -> Matrix:
    """Return Y, (N, M): 1 at each token's class, else 0."""
    return np.eye(n_classes)[targets]
