"""Lanczos iteration for the largest eigenvalue, run by a team.

What decides about the course (the tridiagonal matrix, its eigenvalue, the residual) is computed by every member from
the same sums: nothing is decided by one member and told to the others.
"""

from __future__ import annotations

import math

import numpy as np

from ..arrays import Labels, Matrix, Vector
from .compiled_once import compiled_once
from .curvature_product import Curvature, apply_curvature
from .eigenvalue_tridiagonal import eigenvector, largest_below, largest_root
from .eigenvalue_vectors import blocks_of, combine, overlaps, remove_overlaps, scale
from .synchrony import barrier

_SHRUNK = 0.0025  # squared: a vector that lost so much of its length to the basis is orthogonalised again


@compiled_once()
def copy_to_row(member: int, members: int, source: Vector, basis: Matrix, row: int) -> None:
    """Copy the member's blocks of a vector to a row of the basis."""
    size = source.shape[0]
    blocks = blocks_of(size)
    for i in range(size * (member * blocks // members) // blocks, size * ((member + 1) * blocks // members) // blocks):
        basis[row, i] = source[i]


@compiled_once()
def normalise(
    sync: Labels, member: int, members: int, basis: Matrix, row: int, partial: Matrix, factors: Vector
) -> bool:
    """Give a row of the basis the length 1."""
    if not barrier(sync, members) or not overlaps(sync, member, members, basis, row, row, partial, factors):
        return False
    scale(basis, row, 1.0 / math.sqrt(factors[row]), member, members)
    return barrier(sync, members)


@compiled_once()
def lanczos(
    sync: Labels, member: int, members: int, curvature: Curvature, basis: Matrix, partial: Matrix, vector: Vector,
    tolerance: float, max_products: int,
) -> tuple[bool, float, float, int]:  # fmt: skip
    """Improve `vector`, (d d,), which is V^T, until the residual is at most `tolerance` times the value.

    Full reorthogonalisation; a new start from the best vector when the rows of `basis` are used up. Returns False if
    another member aborted, then the value, the norm of the residual and the products spent.
    """
    capacity = basis.shape[0] - 1
    dim = curvature.inputs.shape[1]
    diagonal, couplings, below = np.empty(capacity), np.empty(capacity), np.empty(capacity)
    coordinates, factors = np.empty(capacity), np.empty(capacity + 1, basis.dtype)
    products, value, residual = 0, 0.0, math.inf
    failed = False, 0.0, 0.0, 0
    while products < max_products and residual > tolerance * value:
        copy_to_row(member, members, vector, basis, 0)
        if not normalise(sync, member, members, basis, 0, partial, factors):
            return failed
        count, bound = 0, 0.0
        while count < capacity and products < max_products:
            direction, image = basis[count].reshape((dim, dim)), basis[count + 1].reshape((dim, dim))
            if not apply_curvature(sync, member, members, curvature, direction, image):
                return failed
            products += 1
            count += 1
            corner, before, square = 0.0, 0.0, 0.0
            for attempt in range(2):
                if attempt == 1 and square > _SHRUNK * before:
                    break
                if not overlaps(sync, member, members, basis, 0, count, partial, factors):
                    return failed
                corner += factors[count - 1]
                before = factors[count]
                remove_overlaps(member, members, basis, count, factors)
                if not barrier(sync, members):
                    return failed
                if not overlaps(sync, member, members, basis, count, count, partial, factors):
                    return failed
                square = factors[count]
            diagonal[count - 1] = corner
            bound = corner if count == 1 else largest_below(bound, couplings[count - 2], corner)
            bound = largest_root(diagonal, couplings, count, bound)
            value = max(0.0, eigenvector(diagonal, couplings, count, bound, below, coordinates))
            bound = max(bound, value)
            coupling = math.sqrt(square)
            residual = coupling * abs(coordinates[count - 1])
            if residual <= tolerance * value or count == capacity:
                break
            couplings[count - 1] = coupling
            scale(basis, count, 1.0 / coupling, member, members)
            if not barrier(sync, members):
                return failed
        for row in range(count):
            factors[row] = coordinates[row]
        combine(member, members, basis, count, factors, vector)
        if not barrier(sync, members):
            return failed
    return True, value, residual, products
