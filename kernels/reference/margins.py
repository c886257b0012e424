"""Margin of each token."""

from __future__ import annotations

import numpy as np

from ..arrays import Labels, Matrix, Vector


def margins(scores: Matrix, targets: Labels) -> Vector:
    """Return, (N,), S_xf - max_(z != f) S_xz, the least of equation (13); infinite where there is one class."""
    tokens = np.arange(len(targets))
    others = scores.copy()
    others[tokens, targets] = -np.inf
    result: Vector = scores[tokens, targets] - others.max(axis=1)
    return result
