"""Scores of all classes on all tokens."""

from __future__ import annotations

from ..arrays import Matrix


def scores(weights: Matrix, inputs: Matrix, outputs: Matrix) -> Matrix:
    """Return S, (N, M): S_xy = u_y^T W e_x, equation (10)."""
    return inputs @ weights.T @ outputs.T
