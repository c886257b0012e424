"""Largest eigenvalue of the Hessian, from the dense matrix."""

from __future__ import annotations

import numpy as np

from ..arrays import Labels, Matrix, Vector
from .hessian import hessian


def sharpness(weights: Matrix, inputs: Matrix, outputs: Matrix, targets: Labels, frequencies: Vector) -> float:
    """Return the largest eigenvalue of equation (26)."""
    return float(np.linalg.eigvalsh(hessian(weights, inputs, outputs, targets, frequencies))[-1])
