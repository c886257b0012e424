"""Hessian in closed form, dense and as a product with a direction.

The curvature does not depend on the targets. All differences are taken from the most probable class of the token:
the curvature of a saturated token, whose probabilities are nearly 1 and nearly 0, keeps its relative precision.
"""

from __future__ import annotations

import math

import numpy as np

from ..arrays import Labels, Matrix, Vector
from ..compile import compiled
from .rows import softmax_row
from .scores import gather, scores


@compiled()
def probabilities(weights: Matrix, inputs: Matrix, outputs: Matrix) -> Matrix:
    """Return the softmax P of the scores, (N, M)."""
    result = scores(weights, inputs, outputs)
    for token in range(result.shape[0]):
        softmax_row(result[token], result[token])
    return result


@compiled()
def most_probable(probabilities_row: Vector) -> int:
    """Return the class of the largest probability, the first of equals."""
    best = 0
    for label in range(1, probabilities_row.shape[0]):
        if probabilities_row[label] > probabilities_row[best]:
            best = label
    return best


@compiled()
def curvature_row(probabilities_row: Vector, frequency: float, row: Vector) -> None:
    """Replace the directional scores s of a token by p (diag P - P P^T) s.

    Entry z is p P_z (s_z - mean), mean = sum_z P_z s_z, with s measured from that of the most probable class.
    """
    origin = row[most_probable(probabilities_row)]
    mean = 0.0
    for label in range(row.shape[0]):
        mean += probabilities_row[label] * (row[label] - origin)
    for label in range(row.shape[0]):
        row[label] = frequency * probabilities_row[label] * ((row[label] - origin) - mean)


@compiled()
def apply_hessian(
    probability: Matrix, direction: Matrix, inputs: Matrix, outputs: Matrix, frequencies: Vector
) -> Matrix:
    """Return H V, (d, d), from the probabilities, which a caller with many directions computes once."""
    rows = scores(direction, inputs, outputs)
    for token in range(rows.shape[0]):
        curvature_row(probability[token], frequencies[token], rows[token])
    return gather(rows, inputs, outputs)


@compiled()
def hessian_vector_product(
    weights: Matrix, direction: Matrix, inputs: Matrix, outputs: Matrix, targets: Labels, frequencies: Vector
) -> Matrix:
    """Return sum_x p(x) C_x V e_x e_x^T, (d, d)."""
    probability = probabilities(weights, inputs, outputs)
    # copies can be written to, as in the Lanczos iteration: both share one compiled function
    return apply_hessian(probability, direction.copy(), inputs, outputs, frequencies.copy())


@compiled()
def hessian(weights: Matrix, inputs: Matrix, outputs: Matrix, targets: Labels, frequencies: Vector) -> Matrix:
    """Return sum_x p(x) C_x (x) e_x e_x^T, (d d, d d), row-major.

    Both factors are symmetric: with a column for each of the q = d (d + 1) / 2 pairs i <= k, all entries come from
    one product of a (q, N) with an (N, q) matrix.
    """
    n_tokens, dim = inputs.shape
    n_pairs = dim * (dim + 1) // 2
    probability = probabilities(weights, inputs, outputs)
    covariances = np.empty((n_tokens, n_pairs), weights.dtype)
    squares = np.empty((n_tokens, n_pairs), weights.dtype)
    differences = np.empty(outputs.shape, weights.dtype)
    for token in range(n_tokens):
        covariance = _covariance(probability[token], outputs, differences)
        pair = 0
        for i in range(dim):
            for k in range(i, dim):
                covariances[token, pair] = covariance[i, k]
                squares[token, pair] = frequencies[token] * inputs[token, i] * inputs[token, k]
                pair += 1
    packed = np.dot(covariances.T, squares)

    result = np.empty((dim * dim, dim * dim), weights.dtype)
    for i in range(dim):
        for k in range(dim):
            row = _pair(i, k, dim)
            for j in range(dim):
                for m in range(dim):
                    result[i * dim + j, k * dim + m] = packed[row, _pair(j, m, dim)]
    return result


@compiled()
def _covariance(probabilities_row: Vector, outputs: Matrix, differences: Matrix) -> Matrix:
    """Return sum_z P_z v_z v_z^T - r r^T, r = sum_z P_z v_z, with v_z = u_z - u_k, k the most probable class.

    `differences`, (M, d), is overwritten.
    """
    dim = outputs.shape[1]
    origin = most_probable(probabilities_row)
    mean = np.zeros(dim)
    for label in range(outputs.shape[0]):
        root = math.sqrt(probabilities_row[label])
        for i in range(dim):
            difference = root * (outputs[label, i] - outputs[origin, i])
            differences[label, i] = difference
            mean[i] += root * difference
    covariance = np.dot(differences.T, differences)
    for i in range(dim):
        for k in range(dim):
            covariance[i, k] -= mean[i] * mean[k]
    return covariance  # type: ignore[no-any-return]


@compiled()
def _pair(i: int, k: int, dim: int) -> int:
    """Return the column of the pair {i, k} in the order (0,0), (0,1), ..., (1,1), ..."""
    low, high = min(i, k), max(i, k)
    return low * dim - low * (low - 1) // 2 + high - low
