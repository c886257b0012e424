"""Uniform and standard normal numbers from random words, one number from one word.

The normal is the quantile of the uniform number half a step up, (m + 1/2) 2^-53 with m the upper 53 bits: it is
symmetric about zero, exact to a few units in the last place in both tails, and never infinite (at most 8.3).
Source of the rational approximations: Wichura 1988, algorithm AS 241 (PPND16).
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types

from .simd.expression import Expression, fma, select
from .simd.instruction import instruction
from .simd.logarithm import log_of_positive
from .simd.vector_types import Vector

CENTRE = (
    (
        3.387132872796366608, 133.14166789178437745, 1971.5909503065514427, 13731.693765509461125,
        45921.953931549871457, 67265.770927008700853, 33430.575583588128105, 2509.0809287301226727,
    ),
    (
        1.0, 42.313330701600911252, 687.1870074920579083, 5394.1960214247511077,
        21213.794301586595867, 39307.89580009271061, 28729.085735721942674, 5226.495278852545925,
    ),
)  # fmt: skip
"""Numerator and denominator in 0.425^2 - (u - 1/2)^2, of quantile / (u - 1/2), for |u - 1/2| <= 0.425."""

TAIL = (
    (
        1.42343711074968357734, 4.6303378461565452959, 5.7694972214606914055, 3.64784832476320460504,
        1.27045825245236838258, 0.24178072517745061177, 0.0227238449892691845833, 7.7454501427834140764e-4,
    ),
    (
        1.0, 2.05319162663775882187, 1.6763848301838038494, 0.68976733498510000455,
        0.14810397642748007459, 0.0151986665636164571966, 5.475938084995344946e-4, 1.05075007164441684324e-9,
    ),
)  # fmt: skip
"""In r - 1.6 with r = sqrt(-log p), p the distance of u to the nearer end, for r <= 5."""

FAR_TAIL = (
    (
        6.6579046435011037772, 5.4637849111641143699, 1.7848265399172913358, 0.29656057182850489123,
        0.026532189526576123093, 0.0012426609473880784386, 2.71155556874348757815e-5, 2.01033439929228813265e-7,
    ),
    (
        1.0, 0.59983220655588793769, 0.13692988092273580531, 0.0148753612908506148525,
        7.868691311456132591e-4, 1.8463183175100546818e-5, 1.4215117583164458887e-7, 2.04426310338993978564e-15,
    ),
)  # fmt: skip
"""In r - 5, for r > 5."""


def _as_float(words: Expression) -> Expression:
    return words.new(words.builder.uitofp(words.value, words.shaped(ir.DoubleType())))


def _words_to_floats(words: Any) -> Any:
    if isinstance(words, Vector) and words.dtype == types.uint64:
        return Vector(types.float64, words.lanes), [words]
    return (types.float64, [words]) if words == types.uint64 else None


@instruction(_words_to_floats)
def unit_interval(words: Expression) -> Expression:
    """Return numbers in [0, 1), all multiples of 2^-53 alike; the same as `numpy.random.Generator.random`."""
    return _as_float(words >> 11) * 2.0**-53


@instruction(_words_to_floats)
def standard_normal(words: Expression) -> Expression:
    """Return standard normal numbers, quantiles of the uniform ones half a step up."""
    steps = words >> 11
    mirrored = select(steps < 2**52, steps, steps ^ (2**53 - 1))
    p = (_as_float(mirrored) + 0.5) * 2.0**-53  # the distance to the nearer end, without rounding
    q = 0.5 - p
    r = (-log_of_positive(p)).call("sqrt")
    central, far = q <= 0.425, r > 5.0
    argument = select(central, fma(-q, q, 0.425**2), r - select(far, r.like(5.0), 1.6))
    upper, lower = (
        _chosen_polynomial(argument, central, far, CENTRE[part], TAIL[part], FAR_TAIL[part]) for part in (0, 1)
    )
    size = select(central, q, 1.0) * (upper / lower)
    return select(steps < 2**52, -size, size)


def _chosen_polynomial(
    x: Expression,
    central: Expression,
    far: Expression,
    centre: tuple[float, ...],
    tail: tuple[float, ...],
    far_tail: tuple[float, ...],
) -> Expression:
    """Horner's rule with the coefficients of each lane's own region."""

    def coefficient(k: int) -> Expression:
        return select(central, x.like(centre[k]), select(far, x.like(far_tail[k]), tail[k]))

    total = coefficient(len(centre) - 1)
    for k in range(len(centre) - 2, -1, -1):
        total = fma(total, x, coefficient(k))
    return total
