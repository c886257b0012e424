"""Polynomials with constant coefficients, and the bit patterns of floats that functions are reduced with."""

from __future__ import annotations

import math
from collections.abc import Sequence

from .expression import Expression, Operand, fma

MANTISSA_BITS = {64: 52, 32: 23}
BIAS = {64: 1023, 32: 127}
ROUNDING = {bits: 1.5 * 2.0**mantissa for bits, mantissa in MANTISSA_BITS.items()}
"""Added and taken away again, it rounds to an integer, which stands in the lowest bits of the sum."""


def polynomial(x: Expression, coefficients: Sequence[float]) -> Expression:
    """Return sum_k c_k x^k by Estrin's scheme: neighbours in pairs, pairs in pairs, a short chain of dependence."""
    terms: list[Operand] = list(coefficients)
    power = x
    while len(terms) > 3:
        joined: list[Operand] = [fma(power, terms[k + 1], terms[k]) for k in range(0, len(terms) - 1, 2)]
        terms = joined + terms[len(terms) - len(terms) % 2 :]
        power = power * power
    total = x.like(terms[-1])
    for term in terms[-2::-1]:  # three terms in a row take no longer, and one product less
        total = fma(total, power, term)
    return total


INVERSE_LOG2 = 1.0 / math.log(2.0)
