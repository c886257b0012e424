"""Share of the tokens that are classified right."""

from __future__ import annotations

import numpy as np

from ..arrays import Labels, Matrix, Vector
from .margins import margins


def accuracy(scores: Matrix, targets: Labels, frequencies: Vector) -> float:
    """Return 1 - sum of p(x) over the tokens with margin <= 0 (a tie is wrong), 1 - equation (1)'s 0-1 loss."""
    wrong = margins(scores, targets) <= 0
    return max(0.0, 1.0 - float(np.sum(frequencies[wrong])))
