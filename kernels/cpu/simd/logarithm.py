"""log x, log(1 + x) and log(1 + e^x).

With s = f / (2 + f): log(1 + f) = 2 s + s^3 T(s^2) = f - (f^2/2 - s (f^2/2 + s^2 T)), the last form losing least.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from .coefficients import LOG2_HIGH, LOG2_LOW, LOGARITHM_TAIL, LOGARITHM_TAIL_TO_TWO
from .elementary import elementary
from .exponential import exp_of_negative
from .expression import Expression, fma, larger, select
from .polynomials import BIAS, MANTISSA_BITS, polynomial

ROOT_HALF = {64: 0x3FE6A09E667F3BCD, 32: 0x3F3504F3}
"""Bits of 1/sqrt 2, from which to sqrt 2 the mantissa is taken."""

TWO_TO_MANTISSA = {64: 0x4330000000000000, 32: 0x4B000000}
"""Bits of 2^52 (2^23): with an integer in its lowest bits it is the float of that integer, once 2^52 is taken away."""


def _exponent_and_mantissa(x: Expression) -> tuple[Expression, Expression]:
    """Return (k + bias) as an integer and m in [1/sqrt 2, sqrt 2) with x = 2^k m, for normal x > 0."""
    bits = x.bits
    shifted = x.as_integer() - (ROOT_HALF[bits] - (BIAS[bits] << MANTISSA_BITS[bits]))
    mantissa = (shifted & ((1 << MANTISSA_BITS[bits]) - 1)) + ROOT_HALF[bits]
    return shifted >> MANTISSA_BITS[bits], mantissa.as_float()


def _number(exponent: Expression, bias: float | Expression) -> Expression:
    """Return k as a float from k + bias."""
    return (exponent | TWO_TO_MANTISSA[exponent.bits]).as_float() - bias


def _usual_bias(x: Expression) -> float:
    return float(2 ** MANTISSA_BITS[x.bits] + BIAS[x.bits])


def _tail(f: Expression, coefficients: Sequence[float], rest: Expression | float = 0.0) -> Expression:
    """Return f - log(1 + f) - rest."""
    s = f / (f + 2.0)
    z = s * s
    half = f * f * 0.5
    return half - fma(s, fma(z, polynomial(z, coefficients), half), rest)


def log_of_positive(x: Expression, bias: float | Expression | None = None) -> Expression:
    """Return log x for normal positive x; `bias` may be larger than usual by k to get log(x / 2^k)."""
    bits = x.bits
    exponent, mantissa = _exponent_and_mantissa(x)
    k = _number(exponent, _usual_bias(x) if bias is None else bias)
    f = mantissa - 1.0
    return fma(k, LOG2_HIGH[bits], f - _tail(f, LOGARITHM_TAIL[bits], k * LOG2_LOW[bits]))


@elementary
def log(x: Expression) -> Expression:
    """Return the natural logarithm, within 1 unit in the last place; -infinity at zero, NaN below."""
    bits = x.bits
    subnormal = x < 2.0 ** (1 - BIAS[bits])
    usual = _usual_bias(x)
    grown = select(subnormal, x * 2.0 ** MANTISSA_BITS[bits], x)
    result = log_of_positive(grown, select(subnormal, x.like(usual + MANTISSA_BITS[bits]), usual))
    result = select(x.equals(0.0), x.like(-math.inf), select(x < math.inf, result, x))
    return select(x < 0.0, x.like(math.nan), result)


@elementary
def log1p(x: Expression) -> Expression:
    """Return log(1 + x), within 1.5 units in the last place; -infinity at -1, NaN below."""
    bits = x.bits
    total = x + 1.0
    exponent, mantissa = _exponent_and_mantissa(total)
    # f = (1 + x) 2^-k - 1 rounded once: what the sum lost is in it; beyond 2^60 the sum lost nothing that counts
    scale = ((exponent.like(2 * BIAS[bits]) - exponent) << MANTISSA_BITS[bits]).as_float()
    f = select(x < 2.0**60, fma(x, scale, scale - 1.0), mantissa - 1.0)
    k = _number(exponent, _usual_bias(x))
    result = fma(k, LOG2_HIGH[bits], f - _tail(f, LOGARITHM_TAIL[bits], k * LOG2_LOW[bits]))
    result = select(x.equals(-1.0), x.like(-math.inf), select(x < math.inf, result, x))
    return select(x < -1.0, x.like(math.nan), result.call("copysign", x))


@elementary
def softplus(x: Expression) -> Expression:
    """Return log(1 + e^x), within 2 units in the last place, also where it is subnormal."""
    f = exp_of_negative(-x.call("fabs"))
    return larger(x.like(0.0), x) + (f - _tail(f, LOGARITHM_TAIL_TO_TWO[x.bits]))
