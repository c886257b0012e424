"""The search for the largest eigenvalue: the point, a start, and the iteration.

Without a start of the caller's the iteration begins with the eigenvector of a small problem, that of the tokens with
the heaviest curvature: a sixteenth of the tokens, at a sixteenth of the cost of a product each. A random part is added
to every start, so that no eigenvector can hide from it.
"""

from __future__ import annotations

import math

import numpy as np

from ..arrays import Labels, Matrix, Vector
from ..compile import compiled
from .compiled_once import compiled_once
from .curvature_point import curvature_in, point_of, point_room, take
from .curvature_product import Curvature
from .eigenvalue_lanczos import copy_to_row, lanczos, normalise
from .eigenvalue_vectors import BLOCK, blocks_of
from .synchrony import barrier

BASIS_SIZE = 64
"""Lanczos vectors kept before the iteration starts anew from the best vector found."""

HEAVY_SHARE = 16
"""One in so many tokens is heavy."""

_FEWEST_HEAVY = 8
_HEAVY_PRODUCTS = 12
_HEAVY_TOLERANCE = 0.01
_SHARE_OF_CHANCE = 0.01  # length of the random part beside a start of length 1


@compiled()
def heavy_tokens(n_tokens: int) -> int:
    """Return the number of tokens in the small problem, 0 where it is not worth while."""
    heavy = max(_FEWEST_HEAVY, n_tokens // HEAVY_SHARE)
    return heavy if 2 * heavy <= n_tokens else 0


def search_room(n_tokens: int, n_classes: int, dim: int) -> int:
    """Return how many numbers the search takes from its buffer."""
    heavy = heavy_tokens(n_tokens)
    small = 2 * heavy * (dim + n_classes) + heavy + min(heavy, n_classes) * dim + 128
    sums = (dim * dim // BLOCK + 1) * (BASIS_SIZE + 1) + 32
    return point_room(n_tokens, n_classes, dim) + small + sums


@compiled()
def _heaviest(weights: Vector, wanted: int, chosen: Labels) -> None:
    """Fill `chosen` with the places of the `wanted` largest of the weights, all finite, in rising order."""
    low, high = -1.0, 0.0
    for token in range(weights.shape[0]):
        high = max(high, weights[token])
    # low: more than wanted lie above; high: at most wanted
    for _ in range(64):
        middle = math.sqrt(low * high) if low > 0.0 else high * 2.0**-20 if low == 0.0 else 0.0
        count = 0
        for token in range(weights.shape[0]):
            count += weights[token] > middle
        if count > wanted:
            low = middle
        else:
            high = middle
        if count == wanted or not low < high:
            break
    taken = 0
    for token in range(weights.shape[0]):
        if weights[token] > high and taken < wanted:
            chosen[taken] = token
            taken += 1
    for token in range(weights.shape[0]):
        if taken < wanted and weights[token] <= high:
            chosen[taken] = token
            taken += 1


@compiled_once()
def _heavy_problem(point: Curvature, others: Vector, chosen: Labels, small: Curvature) -> None:
    """Fill `small` with the heaviest tokens of a point: frequency times curvature times squared length."""
    n_tokens, dim = point.inputs.shape
    weights = np.empty(n_tokens)
    for token in range(n_tokens):
        square = 0.0
        for i in range(dim):
            square += point.inputs[token, i] * point.inputs[token, i]
        weights[token] = point.frequencies[token] * others[token] * square
    _heaviest(weights, chosen.shape[0], chosen)
    for heavy in range(chosen.shape[0]):
        token = chosen[heavy]
        small.frequencies[heavy] = point.frequencies[token]
        small.origins[heavy] = point.origins[token]
        for i in range(dim):
            small.inputs[heavy, i] = point.inputs[token, i]
            small.inputs_across[i, heavy] = point.inputs[token, i]
        for label in range(point.probability.shape[1]):
            small.probability[heavy, label] = point.probability[token, label]


@compiled()
def _add_chance(
    sync: Labels, member: int, members: int, basis: Matrix, partial: Matrix, chance: Vector, vector: Vector
) -> bool:
    """Give `vector` the length 1 and add a random part."""
    factors = np.empty(1, basis.dtype)
    copy_to_row(member, members, vector, basis, 0)
    if not normalise(sync, member, members, basis, 0, partial, factors):
        return False
    if member == 0:
        for i in range(vector.shape[0]):
            vector[i] = basis[0, i] + vector.dtype.type(_SHARE_OF_CHANCE) * chance[i]
    return barrier(sync, members)


@compiled()
def search(
    sync: Labels, member: int, members: int, weights: Matrix, inputs: Matrix, outputs: Matrix, frequencies: Vector,
    start: Matrix, chance: Vector, tolerance: float, max_products: int, buffer: Vector, origins: Labels,
    basis: Matrix, vector: Vector,
) -> tuple[float, float, int]:  # fmt: skip
    """Return the largest eigenvalue, the norm of the residual and the products spent; `vector` is V^T, (d d,).

    `start`, (d, d), is an approximate eigenvector, or has no rows; `chance`, (d d,), is a random unit vector. `buffer`
    holds `search_room` numbers, `origins` one integer for each token and each heavy one, `basis` one row more than the
    vectors that are kept.
    """
    n_tokens, dim = inputs.shape
    n_classes = outputs.shape[0]
    failed = math.nan, math.nan, 0
    going, point, others, place = point_of(
        sync, member, members, weights, inputs, outputs, frequencies, buffer, origins[: inputs.shape[0]]
    )
    if not going:
        return failed
    largest = 0.0
    for token in range(n_tokens):
        largest = max(largest, point.frequencies[token] * others[token])
    if not barrier(sync, members):
        return failed
    heavy = heavy_tokens(n_tokens)
    blocks = blocks_of(dim * dim)
    partial, place = take(buffer, place, blocks, basis.shape[0])
    # at late times all curvatures are tiny; scaled to order 1 their squares do not underflow
    if member == 0:
        if largest > 0.0:
            for token in range(n_tokens):
                point.frequencies[token] /= largest
        for i in range(dim * dim):
            vector[i] = chance[i]
        for i in range(start.shape[0]):
            for j in range(dim):
                vector[j * dim + i] = start[i, j]
    if not barrier(sync, members):
        return failed
    if largest == 0.0:
        return 0.0, 0.0, 0
    if start.shape[0] == 0 and heavy > 0:
        small, place = curvature_in(
            buffer, place, heavy, n_classes, dim, point.outputs, point.outputs_across, origins[n_tokens:]
        )
        if member == 0:
            _heavy_problem(point, others, np.zeros(heavy, np.int64), small)
        if not barrier(sync, members):
            return failed
        going, _, _, _ = lanczos(
            sync, member, members, small, basis, partial, vector, _HEAVY_TOLERANCE, _HEAVY_PRODUCTS
        )
        if not going:
            return failed
    if (start.shape[0] > 0 or heavy > 0) and not _add_chance(sync, member, members, basis, partial, chance, vector):
        return failed
    going, value, residual, products = lanczos(
        sync, member, members, point, basis, partial, vector, tolerance, max_products
    )
    if not going:
        return failed
    return largest * value, largest * residual, products
