"""exp, log, tanh and their kin, for vectors and scalars."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from .expression import Expression, fma, larger, select, smaller, written_once
from .instruction import instruction
from .vector_types import FLOATS, Vector

LN2_HIGH = {64: 6.93147180369123816490e-01, 32: 0.693359375}
LN2_LOW = {64: 1.90821492927058770002e-10, 32: -2.12194440e-4}
MAGIC = {64: 1.5 * 2.0**52, 32: 1.5 * 2.0**23}
MANTISSA = {64: 52, 32: 23}
BIAS = {64: 1023, 32: 127}


def _one(x: Any) -> Any:
    return (x, [x]) if x in FLOATS or (isinstance(x, Vector) and x.dtype in FLOATS) else None


def elementary(formula: Callable[[Expression], Expression]) -> Callable[..., Any]:
    """Make a formula an instruction for vectors and scalars of floats, written once a module."""

    def write(x: Expression) -> Expression:
        return written_once(formula.__name__, formula, x)

    write.__name__, write.__doc__ = formula.__name__, formula.__doc__
    made = instruction(_one)(write)
    made.formula = formula  # type: ignore[attr-defined]
    return made


def polynomial(x: Expression, coefficients: list[float]) -> Expression:
    """Return sum_k c_k x^k by Horner's rule."""
    total = x.like(coefficients[-1])
    for coefficient in coefficients[-2::-1]:
        total = fma(total, x, coefficient)
    return total


def power_of_two(n: Expression) -> Expression:
    """Return 2^n for integer-valued floats with n in the normal range."""
    magic = MAGIC[n.bits] + BIAS[n.bits]
    return ((n + magic).as_integer() << MANTISSA[n.bits]).as_float()


def reduced(x: Expression) -> tuple[Expression, Expression, Expression]:
    """Return n, r, c with x = n log 2 + r + c, |r| <= log(2)/2 and c a correction of r."""
    n = fma(x, 1.0 / math.log(2.0), MAGIC[x.bits]) - MAGIC[x.bits]
    high = fma(n, -LN2_HIGH[x.bits], x)
    r = fma(n, -LN2_LOW[x.bits], high)
    return n, r, fma(n, -LN2_LOW[x.bits], high - r)


def _expm1_tail(r: Expression) -> Expression:
    """(e^r - 1 - r) / r^2."""
    return polynomial(r, [1.0 / math.factorial(k) for k in range(2, 14 if r.bits == 64 else 9)])


@elementary
def exp(x: Expression) -> Expression:
    """e^x."""
    x = smaller(x.like(710.0 if x.bits == 64 else 89.0), larger(x.like(-746.0 if x.bits == 64 else -104.0), x))
    n, r, _ = reduced(x)
    half = (n * 0.5).call("floor")
    return (fma(r * r, _expm1_tail(r), r) + 1.0) * power_of_two(half) * power_of_two(n - half)


@elementary
def exp_bounded(x: Expression) -> Expression:
    """e^x for x in [-708, 0] (float32: [-87, 0])."""
    n, r, _ = reduced(larger(x, -708.0 if x.bits == 64 else -87.0))
    return (fma(r * r, _expm1_tail(r), r) + 1.0) * power_of_two(n)


def _expm1(x: Expression) -> Expression:
    clamped = smaller(x.like(710.0 if x.bits == 64 else 89.0), larger(x.like(-40.0), x))
    n, r, correction = reduced(clamped)
    q = r + fma(r * r, _expm1_tail(r), correction)
    scale = power_of_two(n - 1.0)
    return select(x.equals(0.0), x, fma(scale, q, scale - 0.5) * 2.0)


@elementary
def expm1(x: Expression) -> Expression:
    """e^x - 1."""
    return _expm1(x)


def _log_sum(x: Expression, rest: Expression | float) -> Expression:
    """log(x + rest), x positive, |rest| <= ulp(x)/2."""
    bits = x.bits
    tiny = x < 2.0 ** (1 - BIAS[bits])
    grown = select(tiny, x * 2.0 ** (MANTISSA[bits] + 1), x)
    raw = grown.as_integer()
    shift = raw.like(int({64: 0x3FE6A09E667F3BCD, 32: 0x3F3504F3}[bits]))
    k = x.new(x.builder.ashr((raw - shift).value, raw.like(MANTISSA[bits]).value))
    m = (raw - (k << MANTISSA[bits])).as_float()
    number = x.new(x.builder.sitofp(k.value, x.type)) - select(tiny, x.like(float(MANTISSA[bits] + 1)), 0.0)
    f = m - 1.0
    s = f / (f + 2.0)
    z = s * s
    series = polynomial(z, [2.0 / (2 * j + 1) for j in range(1, 12 if bits == 64 else 6)]) * z
    half = f * f * 0.5
    tail = fma(s, half + series, number * LN2_LOW[bits])
    if isinstance(rest, Expression):
        tail = tail + rest / x
    total = fma(number, LN2_HIGH[bits], f - (half - tail))
    total = select(x.equals(math.inf), x, total)
    return total


@elementary
def log(x: Expression) -> Expression:
    """Natural logarithm."""
    result = _log_sum(x, 0.0)
    return select(x.equals(0.0), x.like(-math.inf), select(x >= 0.0, result, x.like(math.nan)))


def _log1p(x: Expression) -> Expression:
    u = x + 1.0
    rest = select(x < 1.0, x - (u - 1.0), 1.0 - (u - x))
    result = _log_sum(u, select(x.equals(math.inf), x.like(0.0), rest))
    result = select(x.equals(-1.0), x.like(-math.inf), select(x >= -1.0, result, x.like(math.nan)))
    return select(x.equals(0.0), x, result)


@elementary
def log1p(x: Expression) -> Expression:
    """log(1 + x)."""
    return _log1p(x)


@elementary
def tanh(x: Expression) -> Expression:
    """Hyperbolic tangent."""
    t = _expm1(smaller(x.like(40.0), x.call("fabs") * 2.0))
    return (t / (t + 2.0)).call("copysign", x)


@elementary
def sigmoid(x: Expression) -> Expression:
    """1 / (1 + e^-x)."""
    e = written_once("exp", exp.formula, -x.call("fabs"))  # type: ignore[attr-defined]
    return select(x < 0.0, e, 1.0) / (e + 1.0)


@elementary
def softplus(x: Expression) -> Expression:
    """log(1 + e^x)."""
    e = written_once("exp", exp.formula, -x.call("fabs"))  # type: ignore[attr-defined]
    return larger(x.like(0.0), x) + _log1p(e)
