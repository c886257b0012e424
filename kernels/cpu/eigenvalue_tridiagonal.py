"""Largest eigenvalue of a symmetric tridiagonal matrix and its eigenvector, in a few sweeps over its rows."""

from __future__ import annotations

import math

from ..arrays import Vector
from ..compile import compiled

_MOST_SWEEPS = 40
_EPSILON = 2.0**-52


@compiled()
def largest_below(value: float, coupling: float, corner: float) -> float:
    """Return an upper bound of the largest eigenvalue once a row is added to a tridiagonal matrix.

    `value` bounds the eigenvalues before; the new row has `corner` on the diagonal and `coupling` beside it. For a
    unit vector (a y, b) the quadratic form is at most value a^2 + 2 coupling a b + corner b^2.
    """
    half = 0.5 * (value - corner)
    bound = 0.5 * (value + corner) + math.sqrt(half * half + coupling * coupling)
    return bound + 4.0 * _EPSILON * abs(bound)


@compiled()
def largest_root(diagonal: Vector, couplings: Vector, count: int, bound: float) -> float:
    """Return the largest eigenvalue of the leading `count` rows, from an upper bound.

    Laguerre's iteration on the characteristic polynomial, through the pivots of (x - T): all roots are real, so that
    from the right it falls monotonically to the largest one, at third order, and the pivots stay positive on the way.
    """
    x = bound
    for _ in range(_MOST_SWEEPS):
        pivot, first, second = x - diagonal[0], 1.0, 0.0
        if not pivot > 0.0:
            return x
        inverse = 1.0 / pivot
        slope = inverse  # sum of 1 / (x - root)
        bend = inverse * inverse  # sum of 1 / (x - root)^2
        for row in range(1, count):
            square = couplings[row - 1] * couplings[row - 1] * inverse
            ratio = first * inverse
            second = square * (second * inverse - 2.0 * ratio * ratio)
            first = 1.0 + square * ratio
            pivot = x - diagonal[row] - square
            if not pivot > 0.0:
                return x
            inverse = 1.0 / pivot
            ratio = first * inverse
            slope += ratio
            bend += ratio * ratio - second * inverse
        spread = max(0.0, (count - 1) * (count * bend - slope * slope))
        step = count / (slope + math.sqrt(spread))
        x -= step
        if not step > 4.0 * _EPSILON * abs(x):
            return x  # type: ignore[no-any-return]
    return x


@compiled()
def eigenvector(diagonal: Vector, couplings: Vector, count: int, value: float, below: Vector, vector: Vector) -> float:
    """Fill `vector[:count]` with the unit eigenvector of an eigenvalue; return the Rayleigh quotient.

    The pivots from the top and those from the bottom meet at the row where they nearly cancel, in which the vector is
    large; from there it falls off to both sides by products of ratios (the twisted factorisation), without division by
    a small number. `below`, (count,), is overwritten.
    """
    last = count - 1
    tiny = _EPSILON * _EPSILON * max(abs(value), 1e-280)
    below[last] = diagonal[last] - value
    for row in range(last - 1, -1, -1):
        if abs(below[row + 1]) < tiny:
            below[row + 1] = -tiny
        below[row] = diagonal[row] - value - couplings[row] * (couplings[row] / below[row + 1])
    # the pivots from the top go to `vector` for the time being
    above, place, least = 0.0, 0, math.inf
    for row in range(count):
        above = diagonal[row] - value - above
        gap = abs(above + below[row] - (diagonal[row] - value))
        if gap < least:
            least, place = gap, row
        if abs(above) < tiny:
            above = -tiny
        vector[row] = above
        if row < last:
            above = couplings[row] * (couplings[row] / above)
    rest = vector[place] + below[place] - (diagonal[place] - value)
    component = 1.0
    for row in range(place - 1, -1, -1):
        component = -couplings[row] * (component / vector[row])
        vector[row] = component
    vector[place] = component = 1.0
    for row in range(place + 1, count):
        component = -couplings[row - 1] * (component / below[row])
        vector[row] = component
    square = 0.0
    for row in range(count):
        square += vector[row] * vector[row]
    scale = 1.0 / math.sqrt(square)
    for row in range(count):
        vector[row] *= scale
    return value + rest / square  # type: ignore[no-any-return]
