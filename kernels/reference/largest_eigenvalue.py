"""Largest eigenvalue of the Hessian with its eigenvector, from the dense matrix."""

from __future__ import annotations

import numpy as np

from ..arrays import Labels, Matrix, Vector
from .hessian import hessian


def largest_eigenvalue(
    weights: Matrix, inputs: Matrix, outputs: Matrix, targets: Labels, frequencies: Vector
) -> tuple[float, Matrix, float, int]:
    """Return the largest eigenvalue of equation (26), its eigenvector (d, d), the residual and 0 products."""
    matrix = hessian(weights, inputs, outputs, targets, frequencies)
    values, vectors = np.linalg.eigh(matrix)
    value, vector = float(values[-1]), vectors[:, -1]
    residual = float(np.linalg.norm(matrix @ vector - value * vector))
    return value, vector.reshape(weights.shape), residual, 0
