"""Hessian in closed form, dense and as a product with a direction.

The curvature does not depend on the targets. No probability enters as a difference of numbers of order 1: the
curvature of a saturated token, whose probabilities are nearly 1 and nearly 0, keeps its relative precision.
"""

from __future__ import annotations

import numpy as np

from ..arrays import Labels, Matrix, Vector
from ..compile import compiled
from ..team import run_team, team_size
from .curvature_point import copy_both, new_buffer, point_of, point_room
from .curvature_product import apply_curvature
from .curvature_rows import softmax_of_rows
from .products import multiply, multiply_left_transposed
from .scores import scores
from .synchrony import barrier

OPERATIONS_A_SECOND = 5e10
"""What one core does at least with products of some size: for the number of threads."""


def hessian_vector_product(
    weights: Matrix, direction: Matrix, inputs: Matrix, outputs: Matrix, targets: Labels, frequencies: Vector
) -> Matrix:
    """Return sum_x p(x) C_x V e_x e_x^T, (d, d)."""
    n_tokens, dim = inputs.shape
    n_classes = outputs.shape[0]
    buffer = new_buffer(point_room(n_tokens, n_classes, dim) + 3 * dim * dim, weights.dtype)
    image = np.empty((dim, dim), weights.dtype)
    seconds = product_seconds(n_tokens, n_classes, dim) * 1.5
    origins = np.empty(n_tokens, np.int64)
    run_team(product_at, team_size(seconds), weights, direction, inputs, outputs, frequencies, buffer, origins, image)
    return image.T.copy()


def product_seconds(n_tokens: int, n_classes: int, dim: int) -> float:
    """Return about how long a product takes on one core."""
    return 4.0 * (n_tokens * n_classes * dim + min(n_tokens, n_classes) * dim * dim) / OPERATIONS_A_SECOND


@compiled()
def product_at(
    sync: Labels, member: int, members: int, weights: Matrix, direction: Matrix, inputs: Matrix, outputs: Matrix,
    frequencies: Vector, buffer: Vector, origins: Labels, image: Matrix,
) -> bool:  # fmt: skip
    """Fill `image` with (H V)^T; the buffer has room for a point and three (d, d) matrices."""
    dim = inputs.shape[1]
    going, point, _, place = point_of(sync, member, members, weights, inputs, outputs, frequencies, buffer, origins)
    straight = buffer[place : place + dim * dim].reshape((dim, dim))
    across = buffer[place + dim * dim : place + 2 * dim * dim].reshape((dim, dim))
    copy_both(direction, straight, across, member, members)
    # the barrier after the probabilities came before the copies
    return going and barrier(sync, members) and apply_curvature(sync, member, members, point, across, image)


@compiled()
def hessian(weights: Matrix, inputs: Matrix, outputs: Matrix, targets: Labels, frequencies: Vector) -> Matrix:
    """Return sum_x p(x) C_x (x) e_x e_x^T, (d d, d d), row-major.

    Both factors are symmetric: with a column for each of the q = d (d + 1) / 2 pairs i <= k, all C_x come from one
    product of an (N, M) with an (M, q) matrix and all entries of H from one of a (q, N) with an (N, q) matrix.

    With k the most probable class, v_z = u_z - u_k and sums over z != k only,

        C = sum P_z v_z v_z^T - r r^T = sum P_z u_z u_z^T - u_k t^T - t u_k^T + tau u_k u_k^T - r r^T,

    t = sum P_z u_z, tau = sum P_z, r = t - tau u_k. Each term is at most tau times the squared length of the outputs,
    measured from their mean (C does not see a shift of all outputs): so is the rounding of the sum, times some ulp,
    as it is for a product with a direction. Nothing is lost however small tau.
    """
    n_tokens, dim = inputs.shape
    n_classes = outputs.shape[0]
    n_pairs = dim * (dim + 1) // 2
    probability = scores(weights, inputs, outputs)
    centred = outputs.copy()
    for i in range(dim):
        mean = 0.0
        for label in range(n_classes):
            mean += outputs[label, i] / n_classes
        for label in range(n_classes):
            centred[label, i] -= mean
    products, squares = np.empty((n_classes, n_pairs), weights.dtype), np.empty((n_tokens, n_pairs), weights.dtype)
    _pair_products(centred, np.ones(n_classes, weights.dtype), products)
    _pair_products(inputs, frequencies, squares)

    origins, others = np.empty(n_tokens, np.int64), np.empty(n_tokens, weights.dtype)
    softmax_of_rows(probability, 0, n_tokens, origins, others)
    for token in range(n_tokens):
        probability[token, origins[token]] = 0.0
    covariances, sums = np.empty((n_tokens, n_pairs), weights.dtype), np.empty((n_tokens, dim), weights.dtype)
    multiply(probability, products, covariances)
    multiply(probability, centred, sums)
    for token in range(n_tokens):
        origin, tau = origins[token], others[token]
        pair = 0
        for i in range(dim):
            first = centred[origin, i]
            one = sums[token, i] - tau * first
            for k in range(i, dim):
                second = centred[origin, k]
                two = sums[token, k] - tau * second
                covariances[token, pair] -= first * sums[token, k] + sums[token, i] * second - tau * first * second
                covariances[token, pair] -= one * two
                pair += 1
    packed = np.empty((n_pairs, n_pairs), weights.dtype)
    multiply_left_transposed(covariances, squares, packed)
    return _unpacked(packed, dim)


@compiled()
def _pair_products(rows: Matrix, factors: Vector, out: Matrix) -> None:
    """Fill `out`, (n, q), with factor row_i row_k for all i <= k."""
    for number in range(rows.shape[0]):
        pair = 0
        for i in range(rows.shape[1]):
            scaled = factors[number] * rows[number, i]
            for k in range(i, rows.shape[1]):
                out[number, pair] = scaled * rows[number, k]
                pair += 1


@compiled()
def _unpacked(packed: Matrix, dim: int) -> Matrix:
    """Return the matrix with entry ({i, k}, {j, m}) of the packed one at (i d + j, k d + m)."""
    places = np.empty((dim, dim), np.int64)
    pair = 0
    for i in range(dim):
        for k in range(i, dim):
            places[i, k] = pair
            places[k, i] = pair
            pair += 1
    result = np.empty((dim * dim, dim * dim), packed.dtype)
    for i in range(dim):
        for k in range(dim):
            row = packed[places[i, k]]
            for j in range(dim):
                for m in range(dim):
                    result[i * dim + j, k * dim + m] = row[places[j, m]]
    return result
