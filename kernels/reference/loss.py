"""Population cross entropy."""

from __future__ import annotations

import numpy as np

from ..arrays import Labels, Matrix, Vector


def loss(scores: Matrix, targets: Labels, frequencies: Vector) -> float:
    """Return sum_x p(x) (log sum_z exp(S_xz) - S_xf), equations (2) and (3)."""
    tokens = np.arange(len(targets))
    largest = scores.max(axis=1)
    log_sum = largest + np.log(np.exp(scores - largest[:, None]).sum(axis=1))
    return float(np.sum(frequencies * (log_sum - scores[tokens, targets])))
