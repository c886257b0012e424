"""Scores from weights, and the way back: weight-shaped sums from score-shaped residuals."""

from __future__ import annotations

import numpy as np

from ..arrays import Matrix
from ..compile import compiled
from .products import multiply, multiply_left_transposed, multiply_right_transposed


@compiled()
def scores(weights: Matrix, inputs: Matrix, outputs: Matrix) -> Matrix:
    """Return S, (N, M): S_xy = u_y^T W e_x.

    Cost: 2 N M d + 2 min(N, M) d^2 operations: the smaller set of embeddings meets the weights first.
    """
    result = np.empty((inputs.shape[0], outputs.shape[0]), inputs.dtype)
    if inputs.shape[0] <= outputs.shape[0]:
        half = np.empty_like(inputs)
        multiply_right_transposed(inputs, weights, half)
        multiply_right_transposed(half, outputs, result)
    else:
        half = np.empty_like(outputs)
        multiply(outputs, weights, half)
        multiply_right_transposed(inputs, half, result)
    return result


@compiled()
def gather(residual: Matrix, inputs: Matrix, outputs: Matrix) -> Matrix:
    """Return sum_(x,z) R_xz u_z e_x^T, (d, d), the transpose of the map from weights to scores.

    Cost: as that of `scores`.
    """
    result = np.empty((inputs.shape[1], inputs.shape[1]), inputs.dtype)
    if inputs.shape[0] <= outputs.shape[0]:
        half = np.empty_like(inputs)
        multiply(residual, outputs, half)
        multiply_left_transposed(half, inputs, result)
    else:
        half = np.empty_like(outputs)
        multiply_left_transposed(residual, inputs, half)
        multiply_left_transposed(outputs, half, result)
    return result
