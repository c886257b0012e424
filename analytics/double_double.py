"""Arithmetic on pairs of float64 (about 32 digits), for the few places where one float64 cancels.

A number is an unevaluated sum `high + low` with |low| <= ulp(high)/2; both parts are arrays of one shape.
Only what the exact multi-class flow needs is here: sums, products, quotients, exponentials and logarithms.
The algorithms are those of Dekker (1971) and of Hida, Li and Bailey (2001). Sums and products are accurate to 1e-31,
exponentials and logarithms to 1e-26.
No fused multiply-add is used, so results are the same on every platform with IEEE arithmetic.
"""

from __future__ import annotations

from fractions import Fraction
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Array: TypeAlias = npt.NDArray[np.float64]
Pair: TypeAlias = tuple[Array, Array]

_LOG2_HIGH = 0.6931471805599453
_LOG2_LOW = 2.3190468138462996e-17
_SPLITTER = 134217729.0  # 2**27 + 1
_HALVINGS = 4
_TERMS = 12
_RECIPROCALS = {n: (1.0 / n, float(Fraction(1, n) - Fraction(1.0 / n))) for n in range(1, _TERMS + 1)}


def pair(value: npt.ArrayLike) -> Pair:
    """Return float64 numbers as pairs with low part zero."""
    high = np.asarray(value, dtype=np.float64)
    return high, np.zeros_like(high)


def two_sum(a: Array, b: Array) -> Pair:
    """Return the rounded sum of two float64 arrays and its exact error."""
    total = a + b
    part = total - a
    return total, (a - (total - part)) + (b - part)


def two_product(a: Array, b: Array) -> Pair:
    """Return the rounded product of two float64 arrays (below 1e290) and its exact error."""
    product = a * b
    t = _SPLITTER * a
    a_high = t - (t - a)
    a_low = a - a_high
    t = _SPLITTER * b
    b_high = t - (t - b)
    b_low = b - b_high
    return product, ((a_high * b_high - product) + a_high * b_low + a_low * b_high) + a_low * b_low


def _renormalise(high: Array, low: Array) -> Pair:
    total = high + low
    return total, low - (total - high)


def add(x: Pair, y: Pair) -> Pair:
    """Return x + y, also accurate when the two nearly cancel."""
    s, e = two_sum(x[0], y[0])
    t, f = two_sum(x[1], y[1])
    s, e = _renormalise(s, e + t)
    return _renormalise(s, e + f)


def negate(x: Pair) -> Pair:
    """Return -x."""
    return -x[0], -x[1]


def multiply(x: Pair, y: Pair) -> Pair:
    """Return x * y."""
    p, e = two_product(x[0], y[0])
    return _renormalise(p, e + (x[0] * y[1] + x[1] * y[0]))


def divide(x: Pair, y: Pair) -> Pair:
    """Return x / y."""
    first = x[0] / y[0]
    rest = add(x, negate(multiply(y, pair(first))))
    second = rest[0] / y[0]
    rest = add(rest, negate(multiply(y, pair(second))))
    return add(_renormalise(first, second), pair(rest[0] / y[0]))


def _reciprocal(n: int, like: Array) -> Pair:
    high, low = _RECIPROCALS[n]
    return np.full_like(like, high), np.full_like(like, low)


def exponential(x: Pair) -> Pair:
    """Return e**x for |x| < 690 (reduce by log 2, halve four times, Taylor, double four times)."""
    k = np.rint(x[0] / _LOG2_HIGH)
    reduced = add(x, negate(add(two_product(k, np.full_like(k, _LOG2_HIGH)), pair(k * _LOG2_LOW))))
    scale = 0.5**_HALVINGS
    r = (reduced[0] * scale, reduced[1] * scale)
    # the series of expm1 by Horner: r (1 + r/2 (1 + r/3 (...)))
    one = pair(np.ones_like(r[0]))
    tail = one
    for n in range(_TERMS, 1, -1):
        part = multiply(r, tail)
        tail = add(one, multiply(part, _reciprocal(n, part[0])))
    grown = multiply(r, tail)
    for _ in range(_HALVINGS):  # expm1(2r) = expm1(r) (2 + expm1(r)), which keeps the small part
        grown = add((2.0 * grown[0], 2.0 * grown[1]), multiply(grown, grown))
    result = add(one, grown)
    exponent = k.astype(np.int64)
    return np.ldexp(result[0], exponent), np.ldexp(result[1], exponent)


def logarithm(x: Pair) -> Pair:
    """Return log x for x in [1e-300, 1e300]: one Newton step on the exponential."""
    start = np.log(x[0])
    mantissa, exponent = np.frexp(x[0])
    scaled = (mantissa, np.ldexp(x[1], -exponent))
    near = np.log(mantissa)
    ratio = multiply(scaled, exponential(pair(-near)))
    correction = add(ratio, pair(np.full_like(start, -1.0)))
    small = correction[0]
    value = add(pair(near), add(correction, pair(-0.5 * small * small)))
    k = exponent.astype(np.float64)
    shift = add(two_product(k, np.full_like(k, _LOG2_HIGH)), pair(k * _LOG2_LOW))
    return add(value, shift)


def total(x: Pair, axis: int) -> Pair:
    """Return the sum of pairs along an axis, by halving."""
    high, low = np.moveaxis(x[0], axis, 0), np.moveaxis(x[1], axis, 0)
    while len(high) > 1:
        half = len(high) // 2
        rest = (high[2 * half :], low[2 * half :])
        high, low = add((high[:half], low[:half]), (high[half : 2 * half], low[half : 2 * half]))
        if len(rest[0]):
            high, low = np.concatenate([high, rest[0]]), np.concatenate([low, rest[1]])
    return high[0], low[0]


def product(x: Pair, axis: int) -> Pair:
    """Return the product of pairs along an axis, by halving."""
    high, low = np.moveaxis(x[0], axis, 0), np.moveaxis(x[1], axis, 0)
    while len(high) > 1:
        half = len(high) // 2
        rest = (high[2 * half :], low[2 * half :])
        high, low = multiply((high[:half], low[:half]), (high[half : 2 * half], low[half : 2 * half]))
        if len(rest[0]):
            high, low = np.concatenate([high, rest[0]]), np.concatenate([low, rest[1]])
    return high[0], low[0]
