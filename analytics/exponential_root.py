"""The positive root of ``exp(a) expm1(d) + slope d = target``, to about one unit in the last place.

Every margin law of orthogonal memories is this equation: the flow with slope 1, tied classes with slope
M - 1, the two sides of the descent enclosure with slopes of either sign.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from .arguments import Floats

_LONG = np.longdouble
_LN2_HIGH = np.float64(6.93147180369123816490e-01)  # 32 significant bits: products with |n| < 2**20 are exact
_LN2_LOW = np.float64(1.90821492927058770002e-10)
_FAR = 36.0  # beyond it expm1(d) and exp(d) agree to the last bit
_ITERATIONS = 40


def binary_exponent(logarithm: Floats) -> NDArray[np.int64]:
    """Return the least integer n with exp(logarithm) <= 2**n (within rounding)."""
    return np.ceil(np.clip(logarithm, -3000.0, 3000.0) / math.log(2.0)).astype(np.int64)


def scaled_product(exponent: NDArray[np.int64], *factors: Floats) -> Floats:
    """Return the product of the factors times 2**-exponent; nothing overflows or underflows on the way."""
    mantissa: Floats = np.ones(exponent.shape)
    power = -exponent
    for factor in factors:
        part, bits = np.frexp(factor)
        mantissa, carry = np.frexp(mantissa * part)
        power = power + bits + carry
    return np.ldexp(mantissa, np.clip(power, -3000, 3000).astype(np.int32))


def positive_root(exponent: Floats, scale: NDArray[np.int64], slope: Floats, target: Floats) -> Floats:
    r"""Return the d >= 0 with $2^{-n} e^{a}\,\mathrm{expm1}(d) + s d = x$, in extended precision where there is one.

    The left side is convex in d and vanishes at 0, so for x > 0 there is one positive root, also when s < 0.
    Halley's iteration starts to the right of it, where it is monotone, in float64; the last step is taken in
    `numpy.longdouble`, so that d carries the rounding of the coefficients only.

    Parameters: `exponent` a, `scale` n (keeps the coefficients below 1), `slope` s and `target` x, the last two
    already multiplied by 2**-n; one shape. Returns a `numpy.longdouble` array. Cost: 4 to 8 exponentials an element.
    """
    with np.errstate(all="ignore"):
        shift = (exponent - scale * _LN2_HIGH) - scale * _LN2_LOW
        factor = np.exp(shift)
        root = _start(shift, factor, slope, target)
        for _ in range(_ITERATIONS):
            growth, value = _terms(root, shift, factor)
            derivative = growth + slope
            step = (value + (slope * root - target)) / derivative
            step = step / (1.0 - np.clip(0.5 * step * growth / derivative, -8.0, 0.5))
            step = np.where(np.isfinite(step), step, 0.0)
            moved = np.where(step < root, root - step, 0.5 * root)
            done = np.abs(moved - root) <= 4e-15 * moved
            root = moved
            if done.all():
                break
        return _polish(root, exponent, scale, slope, target)


def _start(shift: Floats, factor: Floats, slope: Floats, target: Floats) -> Floats:
    """Return a point at or to the right of the root.

    Three bounds hold: expm1(d) >= d; for slope >= 0 dropping slope d; for slope < 0, with
    d = log(p + q d) and d <= (2/e) exp(d/2), d <= 2 log(p + 2q/e), improved by substituting it twice.
    """
    straight = np.where(factor + slope > 0.0, target / (factor + slope), np.inf)
    fall = np.maximum(-slope, 0.0)
    bent = 2.0 * np.maximum(np.log(factor + target + fall * 0.7357588823428848) - shift, 0.0)
    for _ in range(2):
        bent = np.maximum(np.log(factor + target + fall * bent) - shift, 0.0)
    ratio = target / factor
    dropped = np.where(ratio < 1e300, np.log1p(ratio), bent)
    # log1p keeps the relative precision of small roots, which the difference of logarithms loses
    bent = np.where(slope >= 0.0, dropped, bent * (1.0 + 1e-12) + 1e-12)
    return np.minimum(straight, bent)


def _terms(root: Floats, shift: Floats, factor: Floats) -> tuple[Floats, Floats]:
    """Return factor * exp(root) and factor * expm1(root) without overflow."""
    far = root > _FAR
    near = np.where(far, 0.0, root)
    beyond = np.exp(np.where(far, shift + root, 0.0))
    value = np.where(far, beyond, factor * np.expm1(near))
    return np.where(far, beyond, value + factor), value


def _polish(root: Floats, exponent: Floats, scale: NDArray[np.int64], slope: Floats, target: Floats) -> Floats:
    long = root.astype(_LONG)
    shift = (exponent.astype(_LONG) - scale * _LN2_HIGH) - scale * _LN2_LOW
    far = root > _FAR
    value = np.where(far, np.exp(np.where(far, shift + long, 0)), np.exp(shift) * np.expm1(np.where(far, 0, long)))
    growth = np.where(far, value, value + np.exp(shift))
    step = (value + (slope * long - target)) / (growth + slope)
    return np.where(np.isfinite(step), long - step, long)
