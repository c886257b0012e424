"""e^x and its kin: e^x - 1, the hyperbolic tangent, the logistic function.

x = n log 2 + r with |r| <= log(2)/2, so that e^x = 2^n (1 + q), q = e^r - 1 = r + r^2 P(r).
"""

from __future__ import annotations

from .coefficients import EXPONENTIAL_TAIL, LOG2_HIGH, LOG2_LOW
from .elementary import elementary
from .expression import Expression, fma, larger, select, smaller
from .polynomials import BIAS, INVERSE_LOG2, MANTISSA_BITS, ROUNDING, polynomial

LOWEST = {64: -708.0, 32: -87.0}
"""Down to here e^x is a normal number."""

SCALED_BELOW = {64: -700.0, 32: -80.0}
"""From here on 2^n itself is left out at first, for it would leave the range of the floats."""

ZERO_BELOW = {64: -746.0, 32: -104.0}
INFINITE_ABOVE = {64: 710.0, 32: 89.0}


def _power_of_two(x: Expression, rounding: Expression) -> tuple[Expression, Expression]:
    """Return n, the integer nearest to x / log 2, and 2^(n + what `rounding` adds to its usual value)."""
    rounded = fma(x, INVERSE_LOG2, rounding)
    return rounded, (rounded.as_integer() << MANTISSA_BITS[x.bits]).as_float()


def _rounding(x: Expression, shift: int = 0) -> Expression:
    """The constant that rounds to an integer and leaves in the lowest bits the exponent of 2^(n + shift)."""
    return x.like(ROUNDING[x.bits] + BIAS[x.bits] + shift)


def _quick_tail(x: Expression, n: Expression) -> Expression:
    """q, good to one unit in the last place of 1 + q."""
    r = fma(n, -LOG2_LOW[x.bits], fma(n, -LOG2_HIGH[x.bits], x))
    return fma(r * r, polynomial(r, EXPONENTIAL_TAIL[x.bits]), r)


def _fine_tail(x: Expression, n: Expression) -> tuple[Expression, Expression]:
    """q in two parts: x less the larger part of n log 2, which is exact, and the rest."""
    high = fma(n, -LOG2_HIGH[x.bits], x)
    low = n * -LOG2_LOW[x.bits]
    r = high + low
    return high, fma(r * r, polynomial(r, EXPONENTIAL_TAIL[x.bits]), low)


def _scaled(scale: Expression, q: tuple[Expression, Expression], start: Expression) -> Expression:
    """Return start + scale q; where start and scale q nearly cancel, the inner sum is exact."""
    high, rest = q
    return fma(scale, rest, fma(scale, high, start))


@elementary
def exp_bounded(x: Expression) -> Expression:
    """Return e^x for x <= 709 (float32: 88), the quick one for softmax rows, where x <= 0.

    Below -708 (float32: -87) it stays at the value there, 3e-308 (2e-38), instead of falling to zero; above 709 (88)
    the result has no meaning; a NaN gives a NaN. Else within 1.1 units in the last place.
    """
    x = larger(x.like(LOWEST[x.bits]), x)
    rounding = _rounding(x)
    rounded, scale = _power_of_two(x, rounding)
    return fma(scale, _quick_tail(x, rounded - rounding), scale)


@elementary
def exp(x: Expression) -> Expression:
    """Return e^x, within 1.1 units in the last place."""
    x = smaller(x.like(INFINITE_ABOVE[x.bits]), larger(x.like(ZERO_BELOW[x.bits]), x))
    # 2^n itself would leave the range of the floats at both ends: part of it is multiplied last
    small = x < SCALED_BELOW[x.bits]
    rounding = select(small, _rounding(x, 64), _rounding(x, -1))
    rounded, scale = _power_of_two(x, rounding)
    return fma(scale, _quick_tail(x, rounded - rounding), scale) * select(small, x.like(2.0**-64), 2.0)


def exp_of_negative(x: Expression) -> Expression:
    """Return e^x for x <= 0, a little closer than `exp`, for formulas that go on from there."""
    x = larger(x.like(ZERO_BELOW[x.bits]), x)
    small = x < SCALED_BELOW[x.bits]
    rounding = select(small, _rounding(x, 64), _rounding(x))
    rounded, scale = _power_of_two(x, rounding)
    high, rest = _fine_tail(x, rounded - rounding)
    return fma(scale, high + rest, scale) * select(small, x.like(2.0**-64), 1.0)


@elementary
def expm1(x: Expression) -> Expression:
    """Return e^x - 1, within 1.5 units in the last place."""
    inside = smaller(x.like(INFINITE_ABOVE[x.bits]), larger(x.like(-40.0), x))
    rounding = _rounding(x, -1)
    rounded, half_scale = _power_of_two(inside, rounding)
    q = _fine_tail(inside, rounded - rounding)
    # halved, for 2^1024 is no float; not where x is so small that half of it is not exact
    return select(x.call("fabs") < 2.0**-60, x, _scaled(half_scale, q, half_scale - 0.5) * 2.0)


@elementary
def tanh(x: Expression) -> Expression:
    """Return the hyperbolic tangent, within 2 units in the last place."""
    twice = smaller(x.like(44.0), x.call("fabs") * 2.0)
    rounding = _rounding(x)
    rounded, scale = _power_of_two(twice, rounding)
    t = _scaled(scale, _fine_tail(twice, rounded - rounding), scale - 1.0)
    # tanh x = t / (t + 2) with t = e^(2x) - 1; the remainder of the division also makes good what t + 2 lost
    total = t + 2.0
    lost = t - (total - 2.0)
    inverse = 1.0 / total
    quotient = t * inverse
    remainder = fma(-quotient, lost, fma(-quotient, total, t))
    return fma(remainder, inverse, quotient).call("copysign", x)


@elementary
def sigmoid(x: Expression) -> Expression:
    """Return 1 / (1 + e^-x), within 2 units in the last place, also where it is subnormal."""
    bits = x.bits
    power = smaller(x.like(-ZERO_BELOW[bits]), larger(x.like(-40.0), -x))
    # where e^-x would overflow it is scaled down, and is still so large that 1 beside it is nothing
    large = power > -SCALED_BELOW[bits]
    rounding = select(large, _rounding(x, -64), _rounding(x))
    rounded, scale = _power_of_two(power, rounding)
    high, rest = _fine_tail(power, rounded - rounding)
    # scale (1 + q) + 1; where scale + 1 is no float, the 1 goes into q, as 1 / scale
    inexact = scale > 2.0 ** (MANTISSA_BITS[bits] - 2)
    one_over_scale = (_rounding(x, BIAS[bits]).as_integer() - rounded.as_integer()) << MANTISSA_BITS[bits]
    rest = select(inexact, rest + one_over_scale.as_float(), rest)
    return select(large, x.like(2.0**-64), 1.0) / fma(scale, high + rest, select(inexact, scale, scale + 1.0))
