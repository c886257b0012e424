"""All eigenvalues of the Hessian, from the dense matrix."""

from __future__ import annotations

import numpy as np

from ..arrays import Labels, Matrix, Vector
from .hessian import hessian


def hessian_spectrum(
    weights: Matrix, inputs: Matrix, outputs: Matrix, targets: Labels, frequencies: Vector
) -> tuple[Vector, Vector, None]:
    """Return the eigenvalues of equation (26), rising, a bound on the rounding of each, and None."""
    matrix = hessian(weights, inputs, outputs, targets, frequencies)
    values = np.linalg.eigvalsh(matrix)
    return values, np.full_like(values, matrix.shape[0] * 2.0**-52 * np.abs(values).max()), None
