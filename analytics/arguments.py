"""Array arguments that obey a law, or an error that names the law, the value and the way out."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import InputError

Floats = NDArray[np.float64]


def finite(name: str, value: ArrayLike) -> Floats:
    """Return `value` as a float64 array; every entry must be a finite real number.

    >>> finite("elapsed", [1, 2])
    array([1., 2.])
    """
    try:
        array = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"{name} must be real numbers", repr(value), "pass a number or an array of numbers") from error
    if not np.isfinite(array).all():
        bad = array[~np.isfinite(array)].flat[0]
        raise InputError(f"{name} must be finite", float(bad), "remove NaN and infinite entries")
    return array


def positive(name: str, value: ArrayLike) -> Floats:
    """Return `value` as a float64 array of numbers > 0."""
    array = finite(name, value)
    if (array <= 0.0).any():
        raise InputError(f"{name} must be positive", float(array.min()), f"pass {name} > 0")
    return array


def non_negative(name: str, value: ArrayLike) -> Floats:
    """Return `value` as a float64 array of numbers >= 0."""
    array = finite(name, value)
    if (array < 0.0).any():
        raise InputError(f"{name} must not be negative", float(array.min()), f"pass {name} >= 0")
    return array


def at_least(name: str, value: ArrayLike, least: float) -> Floats:
    """Return `value` as a float64 array of numbers >= `least`."""
    array = finite(name, value)
    if (array < least).any():
        raise InputError(f"{name} must be at least {least:g}", float(array.min()), f"pass {name} >= {least:g}")
    return array


def within(name: str, value: ArrayLike, low: float, high: float) -> Floats:
    """Return `value` as a float64 array of numbers in [`low`, `high`]."""
    array = finite(name, value)
    outside = (array < low) | (array > high)
    if outside.any():
        bad = float(array[outside].flat[0])
        raise InputError(f"{name} must lie in [{low:g}, {high:g}]", bad, f"clip or rescale {name}")
    return array


def counts(name: str, value: ArrayLike, least: int = 0) -> Floats:
    """Return `value` as a float64 array of whole numbers >= `least` (floats, so that 1e300 steps can be asked for)."""
    array = at_least(name, value, least)
    if (array != np.floor(array)).any():
        bad = float(array[array != np.floor(array)].flat[0])
        raise InputError(f"{name} must be whole numbers", bad, "round it")
    return array
