"""Matrix products inside the descent loops: plain loops where a BLAS call would cost more than it brings."""

from __future__ import annotations

import numpy as np

from ..arrays import Matrix
from ..compile import compiled

# multiply-adds below which the plain loop is the faster one (measured: a BLAS call costs about 0.1 us)
SMALL = 1000


@compiled()
def multiply(left: Matrix, right: Matrix, out: Matrix) -> None:
    """Fill `out` (a, c) with left (a, b) @ right (b, c). Cost: 2 a b c operations.

    The method depends on the shapes alone, so that a result never depends on how a run is sliced.
    """
    if left.shape[0] * left.shape[1] * right.shape[1] > SMALL:
        np.dot(left, right, out)
        return
    for i in range(left.shape[0]):
        for k in range(right.shape[1]):
            out[i, k] = 0.0
        for j in range(left.shape[1]):
            factor = left[i, j]
            for k in range(right.shape[1]):
                out[i, k] += factor * right[j, k]


@compiled()
def add_into(total: Matrix, increment: Matrix) -> None:
    """Add `increment` to `total` in place."""
    for i in range(total.shape[0]):
        for k in range(total.shape[1]):
            total[i, k] += increment[i, k]
