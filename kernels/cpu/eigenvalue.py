"""Largest eigenvalue of the Hessian: dense for few weights, else by Lanczos iteration on products with it."""

from __future__ import annotations

import functools
import math

import numpy as np

from ..arrays import Labels, Matrix, Vector
from ..compile import compiled
from .curvature import apply_hessian, hessian, most_probable, probabilities

DENSE_SIZE = 64
"""Up to this many weights (d = 8) the dense eigenvalue problem is solved; both ways cost the same about there."""

BASIS_SIZE = 64
"""Lanczos vectors kept before the iteration starts anew from the best vector found."""


_SHARE_OF_CHANCE = 0.01
"""Length of the random part that is added to a start given by the caller."""


@compiled()
def dense_eigenvalue(
    weights: Matrix, inputs: Matrix, outputs: Matrix, targets: Labels, frequencies: Vector
) -> tuple[float, Matrix, float]:
    """Return the largest eigenvalue, its unit eigenvector (d, d) and the norm of its residual."""
    matrix = hessian(weights, inputs, outputs, targets, frequencies)
    value, vector = _top_pair(matrix)
    residual = np.dot(matrix, vector)
    norm = 0.0
    for i in range(vector.shape[0]):
        norm += (residual[i] - value * vector[i]) ** 2
    return value, vector.reshape(weights.shape), math.sqrt(norm)


@compiled()
def lanczos_eigenvalue(
    weights: Matrix,
    inputs: Matrix,
    outputs: Matrix,
    frequencies: Vector,
    start: Vector,
    tolerance: float,
    max_products: int,
) -> tuple[float, Matrix, float, int]:
    """Return the largest eigenvalue, its unit vector (d, d), the norm of its residual and the products spent.

    Lanczos iteration with full reorthogonalisation (twice, against the rounding of the first time), until the
    residual is at most `tolerance` times the value or `max_products` are spent. `start`, (d d,), must have a
    component along the eigenvector.
    """
    dim = weights.shape[0]
    size = dim * dim
    probability = probabilities(weights, inputs, outputs)
    scale = _curvature_scale(probability, frequencies)
    vector = start.copy()
    _normalise(vector)
    if scale == 0.0:
        return 0.0, vector.reshape((dim, dim)), 0.0, 0
    # at late times all curvatures are tiny; scaled to order 1 their squares do not underflow
    scaled = np.empty_like(frequencies)
    for token in range(frequencies.shape[0]):
        scaled[token] = frequencies[token] / scale

    capacity = min(BASIS_SIZE, size)
    basis = np.empty((capacity, size), weights.dtype)
    products = 0
    value, residual = 0.0, math.inf
    while products < max_products and residual > tolerance * value:
        basis[0] = vector
        tridiagonal = np.zeros((capacity, capacity))
        coordinates = np.ones(capacity)
        count = 0
        while count < capacity and products < max_products:
            image = apply_hessian(probability, basis[count].reshape((dim, dim)), inputs, outputs, scaled).reshape(size)
            products += 1
            known = basis[: count + 1]
            tridiagonal[count, count] = _orthogonalise(image, known) + _orthogonalise(image, known)
            count += 1

            value, coordinates = _top_pair(tridiagonal[:count, :count].copy())
            beta = _norm(image)
            residual = beta * abs(coordinates[count - 1])
            if residual <= tolerance * value:
                break
            if count < capacity:
                for i in range(size):
                    basis[count, i] = image[i] / beta
                tridiagonal[count, count - 1] = beta
                tridiagonal[count - 1, count] = beta
        for i in range(size):
            total = 0.0
            for row in range(count):
                total += coordinates[row] * basis[row, i]
            vector[i] = total
        _normalise(vector)
    return scale * value, vector.reshape((dim, dim)), scale * residual, products


@compiled()
def _orthogonalise(image: Vector, basis: Matrix) -> float:
    """Remove the components along the rows of the basis, orthonormal; return that along the last row."""
    overlaps = np.dot(basis, image)
    removed = np.dot(overlaps, basis)
    for i in range(image.shape[0]):
        image[i] -= removed[i]
    return overlaps[basis.shape[0] - 1]  # type: ignore[no-any-return]


@compiled()
def _top_pair(matrix: Matrix) -> tuple[float, Vector]:
    """Return the largest eigenvalue of a symmetric positive semi-definite matrix and its unit eigenvector."""
    values, vectors = np.linalg.eigh(matrix)
    last = values.shape[0] - 1
    return max(0.0, values[last]), vectors[:, last].copy()


@compiled()
def _curvature_scale(probability: Matrix, frequencies: Vector) -> float:
    """Return max_x p(x) (1 - P_xk), k the most probable class, without that subtraction; 0 only without curvature."""
    scale = 0.0
    for token in range(probability.shape[0]):
        best = most_probable(probability[token])
        others = 0.0
        for label in range(probability.shape[1]):
            if label != best:
                others += probability[token, label]
        scale = max(scale, frequencies[token] * others)
    return scale


@compiled()
def _norm(vector: Vector) -> float:
    total = 0.0
    for i in range(vector.shape[0]):
        total += vector[i] * vector[i]
    return math.sqrt(total)


@compiled()
def _normalise(vector: Vector) -> None:
    norm = _norm(vector)
    for i in range(vector.shape[0]):
        vector[i] /= norm


def largest_eigenvalue(
    weights: Matrix,
    inputs: Matrix,
    outputs: Matrix,
    targets: Labels,
    frequencies: Vector,
    start: Matrix | None = None,
    tolerance: float = 1e-8,
    max_products: int = 1000,
) -> tuple[float, Matrix, float, int]:
    """Return the largest eigenvalue, its unit eigenvector (d, d), the norm of its residual and the products spent."""
    if weights.size <= DENSE_SIZE:
        value, vector, residual = dense_eigenvalue(weights, inputs, outputs, targets, frequencies)
        return value, vector, residual, 0
    trial = _random_direction(weights.size)
    if start is not None:
        # tokens that do not interact make blocks of the Hessian: a start inside one would never see the others
        guess = start.reshape(-1).astype(np.float64)
        trial = guess / np.linalg.norm(guess) + _SHARE_OF_CHANCE * trial
    attainable = max(tolerance, 20.0 * float(np.finfo(weights.dtype).eps))
    trial = trial.astype(weights.dtype)
    return lanczos_eigenvalue(weights, inputs, outputs, frequencies, trial, attainable, max_products)


def sharpness(weights: Matrix, inputs: Matrix, outputs: Matrix, targets: Labels, frequencies: Vector) -> float:
    """Return the largest eigenvalue, or NaN where the iteration did not converge."""
    tolerance = max(1e-8, 20.0 * float(np.finfo(weights.dtype).eps))
    value, _, residual, _ = largest_eigenvalue(weights, inputs, outputs, targets, frequencies, tolerance=tolerance)
    return value if residual <= tolerance * value or weights.size <= DENSE_SIZE else math.nan


@functools.lru_cache(maxsize=16)
def _random_direction(size: int) -> Vector:
    """Return a fixed random unit vector."""
    direction = np.random.default_rng(2402).standard_normal(size)
    direction /= np.linalg.norm(direction)
    direction.flags.writeable = False
    return direction
