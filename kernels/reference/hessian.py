"""Hessian of the loss with respect to the weights, row-major."""

from __future__ import annotations

import numpy as np

from ..arrays import Labels, Matrix, Vector
from .scores import scores
from .softmax import softmax


def hessian(weights: Matrix, inputs: Matrix, outputs: Matrix, targets: Labels, frequencies: Vector) -> Matrix:
    """Return sum_x p(x) C_x (x) e_x e_x^T, (d d, d d), C_x = U^T (diag P_x - P_x P_x^T) U, equation (26)."""
    size = weights.size
    total = np.zeros((size, size))
    for p, probabilities, e in zip(frequencies, softmax(scores(weights, inputs, outputs)), inputs, strict=True):
        covariance = outputs.T @ (np.diag(probabilities) - np.outer(probabilities, probabilities)) @ outputs
        total += p * np.kron(covariance, np.outer(e, e))
    return total
