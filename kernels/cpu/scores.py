"""Scores from weights, and the way back: weight-shaped sums from score-shaped residuals."""

from __future__ import annotations

import numpy as np

from ..arrays import Matrix
from ..compile import compiled


@compiled()
def scores(weights: Matrix, inputs: Matrix, outputs: Matrix) -> Matrix:
    """Return S, (N, M): S_xy = u_y^T W e_x.

    Cost: 2 N M d + 2 min(N, M) d^2 operations: the smaller set of embeddings meets the weights first.
    """
    if inputs.shape[0] <= outputs.shape[0]:
        return np.dot(np.dot(inputs, weights.T), outputs.T)  # type: ignore[no-any-return]
    return np.dot(inputs, np.dot(outputs, weights).T)  # type: ignore[no-any-return]


@compiled()
def gather(residual: Matrix, inputs: Matrix, outputs: Matrix) -> Matrix:
    """Return sum_(x,z) R_xz u_z e_x^T, (d, d), the transpose of the map from weights to scores.

    Cost: as that of `scores`.
    """
    if inputs.shape[0] <= outputs.shape[0]:
        return np.dot(np.dot(residual, outputs).T, inputs)  # type: ignore[no-any-return]
    return np.dot(outputs.T, np.dot(residual.T, inputs))  # type: ignore[no-any-return]
