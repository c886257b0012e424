"""The root of e^g + Q g = 1 + x, on which every bound for the mean margin of two tokens rests."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import InputError
from .exponential_root import binary_exponent, positive_root, scaled_product

Array = NDArray[np.float64]


def exponential_line_root(total: ArrayLike, slope: ArrayLike) -> Array:
    """Return the root g >= 0 of expm1(g) + Q g = x.

    Elementwise in x = `total` >= 0 and Q = `slope` >= 0 (broadcast), to one ulp for x in [0, 1e308]. Cost: as
    `flow_displacement`, whose equation this is with m_0 = 0. Raises `InputError` for negative or non-finite input.

    >>> float(exponential_line_root(0.0, 1.0))
    0.0
    >>> root = float(exponential_line_root(1e300, 1.0))
    >>> round(root, 9)
    690.775527898
    """
    x, q = np.broadcast_arrays(np.asarray(total, dtype=np.float64), np.asarray(slope, dtype=np.float64))
    if not (np.isfinite(x).all() and np.isfinite(q).all() and (x >= 0).all() and (q >= 0).all()):
        raise InputError("the totals and slopes must be finite and not negative", (total, slope))
    scale = binary_exponent(np.log(np.maximum(np.maximum(x, q), 1.0)))
    root = positive_root(np.zeros(x.shape), scale, scaled_product(scale, q), scaled_product(scale, x))
    return np.asarray(root, dtype=np.float64)
