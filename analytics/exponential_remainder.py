r"""The remainder $\psi(z) = (e^z - 1 - z)/z^2$ and its derivative, without cancellation."""

from __future__ import annotations

import math

import numpy as np

from .arguments import Floats

_SERIES = 1.5  # below it the power series, above it the closed forms
_TERMS = 26


def _series(z: Floats, order: int) -> Floats:
    """Return the derivative of the given order of psi from sum z^n / (n+2)!, for 0 <= z <= 1.5."""
    total = np.zeros_like(z)
    for n in range(_TERMS, -1, -1):
        total = total * z + math.factorial(n + order) / math.factorial(n) / math.factorial(n + order + 2)
    return total


def remainder(z: Floats) -> Floats:
    """Return e^{-z} psi(z), z >= 0 (psi(0) = 1/2); the factor keeps it finite for every z."""
    small = np.minimum(z, _SERIES)
    large = np.maximum(z, _SERIES)
    return np.where(z < _SERIES, np.exp(-small) * _series(small, 0), (1.0 - (1.0 + large) * np.exp(-large)) / large**2)


def remainder_slope(z: Floats) -> Floats:
    """Return e^{-z} psi'(z), z >= 0 (psi'(0) = 1/6)."""
    small = np.minimum(z, _SERIES)
    large = np.maximum(z, _SERIES)
    closed = ((large - 2.0) + (large + 2.0) * np.exp(-large)) / large**3
    return np.where(z < _SERIES, np.exp(-small) * _series(small, 1), closed)


def remainder_curvature(z: Floats) -> Floats:
    """Return e^{-z} psi''(z), z >= 0 (psi''(0) = 1/12)."""
    small = np.minimum(z, _SERIES)
    large = np.maximum(z, _SERIES)
    closed = ((large - 4.0) * large + 6.0 - (2.0 * large + 6.0) * np.exp(-large)) / large**4
    return np.where(z < _SERIES, np.exp(-small) * _series(small, 2), closed)


def ratio_root(quotient: Floats) -> Floats:
    """Return the z >= 0 with z + psi(z)/psi'(z) = q, q >= 3; the left side increases (Borell's inequality)."""
    z = np.where(quotient > 3.0, quotient - 1.0, 0.0)
    if not z.any():
        return z
    for _ in range(60):
        value, slope = remainder(z), remainder_slope(z)
        rise = np.maximum(2.0 - value * remainder_curvature(z) / slope**2, 0.25)
        step = (z + value / slope - quotient) / rise
        moved = np.clip(z - step, 0.0, None)
        if np.all(np.abs(moved - z) <= 1e-15 * (1.0 + z)):
            return moved
        z = moved
    return z
