"""Print the coefficients of the polynomials in kernels/cpu/simd/coefficients.py.

    python tools/elementary_coefficients.py > kernels/cpu/simd/coefficients.py

Each polynomial makes the largest weighted error least on its interval, the weight being what an error of it costs
the result, relatively; it is found with 60 digits by Lawson's iteration (least squares, again and again, with the
weights of the worst places raised) and then rounded. What is left of the error is printed in half units of the
last place of the result.
"""

from __future__ import annotations

from collections.abc import Callable

import mpmath
import numpy as np

Function = Callable[[mpmath.mpf], mpmath.mpf]
NODES = 160
ROUNDS = 30


def exponential_tail(r: mpmath.mpf) -> mpmath.mpf:
    """(e^r - 1 - r) / r^2."""
    return mpmath.hyp1f1(1, 3, r) / 2


def exponential_weight(r: mpmath.mpf) -> mpmath.mpf:
    """What an error of the tail does to e^r, relatively."""
    return r**2 / mpmath.exp(r)


def logarithm_tail(z: mpmath.mpf) -> mpmath.mpf:
    """(log((1 + s) / (1 - s)) - 2 s) / s^3 as a function of z = s^2."""
    return mpmath.hyp2f1(1, 1.5, 2.5, z) * 2 / 3


def logarithm_weight(z: mpmath.mpf) -> mpmath.mpf:
    """What an error of the tail does to log((1 + s) / (1 - s)), relatively."""
    return z / 2


HALF_LOG2 = 0.34657359
SQUARE_OF_S_TO_ROOT_TWO = 0.02943726
SQUARE_OF_S_TO_TWO = 1 / 9

# name, what it says, function, weight, interval, terms by bits
TABLE: list[tuple[str, str, Function, Function, tuple[float, float], dict[int, int]]] = [
    (
        "EXPONENTIAL_TAIL",
        "(e^r - 1 - r) / r^2 for |r| <= log(2)/2.",
        exponential_tail,
        exponential_weight,
        (-HALF_LOG2, HALF_LOG2),
        {64: 10, 32: 5},
    ),
    (
        "LOGARITHM_TAIL",
        "(log((1 + s) / (1 - s)) - 2 s) / s^3 in z = s^2, for s = f / (2 + f) and 1 + f between 1/sqrt 2 and sqrt 2.",
        logarithm_tail,
        logarithm_weight,
        (0.0, SQUARE_OF_S_TO_ROOT_TWO),
        {64: 7, 32: 3},
    ),
    (
        "LOGARITHM_TAIL_TO_TWO",
        "The same for 0 <= f <= 1.",
        logarithm_tail,
        logarithm_weight,
        (0.0, SQUARE_OF_S_TO_TWO),
        {64: 10, 32: 5},
    ),
]


def best_polynomial(function: Function, weight: Function, interval: tuple[float, float], terms: int) -> list[float]:
    """Return the coefficients, ascending, of the polynomial with the least largest weighted error."""
    low, high = (mpmath.mpf(end) for end in interval)
    half = (high - low) / 2
    nodes = [low + half * (1 + mpmath.cos(mpmath.pi * (j + mpmath.mpf(1) / 2) / NODES)) for j in range(NODES)]
    values = [function(x) for x in nodes]
    cost = [weight(x) for x in nodes]
    emphasis = [mpmath.mpf(1) / NODES] * NODES
    unit = max(abs(low), abs(high))
    powers = [[(x / unit) ** k for k in range(terms)] for x in nodes]
    for _ in range(ROUNDS):
        matrix, right = mpmath.zeros(terms, terms), mpmath.zeros(terms, 1)
        for row, value, raised, c in zip(powers, values, emphasis, cost, strict=True):
            factor = raised * c**2
            for i in range(terms):
                right[i] += factor * row[i] * value
                for j in range(i + 1):
                    matrix[i, j] += factor * row[i] * row[j]
        for i in range(terms):
            for j in range(i):
                matrix[j, i] = matrix[i, j]
        solution = mpmath.lu_solve(matrix, right)
        errors = [
            abs(mpmath.fdot(row, solution) - value) * c for row, value, c in zip(powers, values, cost, strict=True)
        ]
        emphasis = [e * error for e, error in zip(emphasis, errors, strict=True)]
        total = sum(emphasis)
        emphasis = [e / total for e in emphasis]
    return [solution[k] / unit**k for k in range(terms)]


def largest_error(
    coefficients: list[float], function: Function, weight: Function, interval: tuple[float, float]
) -> float:
    """Return the largest weighted error on 2001 points."""
    points = mpmath.linspace(mpmath.mpf(interval[0]), mpmath.mpf(interval[1]), 2001)
    descending = [mpmath.mpf(value) for value in reversed(coefficients)]
    return float(max(abs(mpmath.polyval(descending, x) - function(x)) * weight(x) for x in points))


def main() -> None:
    """Print the module."""
    mpmath.mp.dps = 60
    print('"""Coefficients of the elementary functions, printed by tools/elementary_coefficients.py.')
    print()
    print('Ascending powers; one tuple for float64 (key 64) and one for float32 (key 32)."""')
    print()
    print("from __future__ import annotations")
    rest = {64: mpmath.log(2), 32: mpmath.log(2)}
    for name, sense in (("LOG2_HIGH", "log(2), rounded."), ("LOG2_LOW", "What the rounding took from log(2).")):
        rounded = {64: float(rest[64]), 32: float(np.float32(float(rest[32])))}
        rest = {bits: rest[bits] - mpmath.mpf(value) for bits, value in rounded.items()}
        print(f'\n{name} = {rounded!r}\n"""{sense}"""')
    for name, sense, function, weight, interval, terms in TABLE:
        print(f"\n{name} = {{")
        for bits, count in terms.items():
            kind, half_unit = (np.float64, 2.0**-53) if bits == 64 else (np.float32, 2.0**-24)
            exact = best_polynomial(function, weight, interval, count)
            rounded_terms = [float(kind(float(value))) for value in exact]
            error = largest_error(rounded_terms, function, weight, interval) / half_unit
            print(f"    {bits}: (  # costs at most {error:.3f} of half a unit in the last place")
            for value in rounded_terms:
                print(f"        {value!r},")
            print("    ),")
        print(f'}}\n"""{sense}"""')


if __name__ == "__main__":
    main()
