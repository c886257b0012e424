"""The root of e^g + Q g = 1 + x, on which every bound for the mean margin of two tokens rests."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import InputError

Array = NDArray[np.float64]


def exponential_line_root(total: ArrayLike, slope: ArrayLike) -> Array:
    """Return the root g >= 0 of expm1(g) + Q g = x.

    Elementwise in x = `total` >= 0 and Q = `slope` >= 0 (broadcast). Newton's method from above: the function is
    convex and increasing, and min(log1p(x), x / (1 + Q)) is never below the root, so the iterates fall to it. All
    terms are positive and the condition number x / (g f'(g)) is at most 1, so the relative error is a few ulp for x
    in [0, 1e308]. Cost: about ten exponentials an element. Raises `InputError` for negative or non-finite input.

    >>> float(exponential_line_root(0.0, 1.0))
    0.0
    >>> root = float(exponential_line_root(1e300, 1.0))
    >>> round(root, 9)
    690.775527898
    """
    x, q = np.broadcast_arrays(np.asarray(total, dtype=np.float64), np.asarray(slope, dtype=np.float64))
    if not (np.isfinite(x).all() and np.isfinite(q).all() and (x >= 0).all() and (q >= 0).all()):
        raise InputError("the totals and slopes must be finite and not negative", (total, slope))
    root = np.minimum(np.log1p(x), x / (1.0 + q))
    for _ in range(40):
        growth = np.expm1(root)
        step = ((growth - x) + q * root) / (1.0 + growth + q)
        root = np.maximum(root - step, 0.0)
        if (np.abs(step) <= 2e-16 * root).all():
            break
    return np.asarray(root)
