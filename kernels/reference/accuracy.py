"""Share of the tokens that are classified right."""

from __future__ import annotations

import numpy as np

from ..arrays import Labels, Matrix, Vector
from .margins import margins


def accuracy(scores: Matrix, targets: Labels, frequencies: Vector) -> float:
    """Return 1 - sum of p(x) over the tokens with margin <= 0 (a tie is wrong), 1 - equation (1)'s 0-1 loss.

    Exactly 1 if and only if no token is wrong, exactly 0 if all are.
    """
    wrong = margins(scores, targets) <= 0
    if wrong.all() or not wrong.any():
        return 0.0 if wrong.all() else 1.0
    return float(np.clip(1.0 - np.sum(frequencies[wrong], dtype=np.float64), 0.0, np.nextafter(1.0, 0.0)))
