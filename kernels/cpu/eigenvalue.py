"""Eigenvalues of the Hessian: the largest one, dense for few weights and else by Lanczos iteration, and all of them."""

from __future__ import annotations

import functools
import math

import numpy as np

from ..arrays import Labels, Matrix, Vector
from ..team import run_team, team_size
from .curvature import hessian, product_seconds
from .curvature_point import new_buffer
from .eigenvalue_search import BASIS_SIZE, heavy_tokens, search, search_room

DENSE_SIZE = 64
"""Up to this many weights (d = 8) the dense eigenvalue problem is solved."""

_EXPECTED_PRODUCTS = 10


def largest_eigenvalue(
    weights: Matrix,
    inputs: Matrix,
    outputs: Matrix,
    targets: Labels,
    frequencies: Vector,
    start: Matrix | None = None,
    tolerance: float = 1e-8,
    max_products: int = 1000,
) -> tuple[float, Matrix, float, int]:  # fmt: skip
    """Return the largest eigenvalue, its unit eigenvector (d, d), the norm of its residual and the products spent."""
    if weights.size <= DENSE_SIZE:
        values, residuals, vectors = hessian_spectrum(weights, inputs, outputs, targets, frequencies, vectors=True)
        assert vectors is not None
        top = vectors[:, -1].reshape(weights.shape).copy()
        return max(0.0, float(values[-1])), top, float(residuals[-1]), 0
    n_tokens, dim = inputs.shape
    n_classes, dtype = outputs.shape[0], weights.dtype
    tolerance = max(tolerance, 20.0 * float(np.finfo(dtype).eps))
    buffer = new_buffer(search_room(n_tokens, n_classes, dim), dtype)
    origins = np.empty(n_tokens + heavy_tokens(n_tokens), np.int64)
    basis = np.empty((min(BASIS_SIZE, weights.size) + 1, weights.size), dtype)
    vector = np.empty(weights.size, dtype)
    threads = team_size(_EXPECTED_PRODUCTS * product_seconds(n_tokens, n_classes, dim))
    value, residual, products = run_team(
        search, threads, weights, inputs, outputs, frequencies, _nowhere(dtype) if start is None else start,
        _random_direction(weights.size, dtype), tolerance, max_products, buffer, origins, basis, vector,
    )  # fmt: skip
    return value, vector.reshape(dim, dim).T.copy(), residual, products


def sharpness(weights: Matrix, inputs: Matrix, outputs: Matrix, targets: Labels, frequencies: Vector) -> float:
    """Return the largest eigenvalue, or NaN where the iteration did not converge."""
    tolerance = max(1e-8, 20.0 * float(np.finfo(weights.dtype).eps))
    value, _, residual, _ = largest_eigenvalue(weights, inputs, outputs, targets, frequencies, tolerance=tolerance)
    return value if residual <= tolerance * value or weights.size <= DENSE_SIZE else math.nan


def hessian_spectrum(
    weights: Matrix, inputs: Matrix, outputs: Matrix, targets: Labels, frequencies: Vector, vectors: bool = False
) -> tuple[Vector, Vector, Matrix | None]:
    """Return all eigenvalues, rising, their residuals, and the eigenvectors in columns or None."""
    matrix = hessian(weights, inputs, outputs, targets, frequencies)
    if not vectors:
        values = np.linalg.eigvalsh(matrix)
        # the eigenvalues of a symmetric matrix are those of one that differs by so much
        error = matrix.shape[0] * np.finfo(matrix.dtype).eps * np.abs(values[[0, -1]]).max()
        return values, np.full_like(values, error), None
    values, columns = np.linalg.eigh(matrix)
    # tiny at late times: scaled, squares do not underflow
    scale = np.abs(matrix).max() or matrix.dtype.type(1)
    defects = matrix / scale @ columns - columns * (values / scale)
    return values, np.linalg.norm(defects, axis=0) * scale, columns


@functools.cache
def _nowhere(dtype: np.dtype[np.floating]) -> Matrix:
    """Return a matrix without rows, which stands for no start."""
    return _fixed(np.empty((0, 0), dtype))


@functools.lru_cache(maxsize=16)
def _random_direction(size: int, dtype: np.dtype[np.floating]) -> Vector:
    """Return a fixed random unit vector."""
    direction = np.random.default_rng(2402).standard_normal(size)
    return _fixed((direction / np.linalg.norm(direction)).astype(dtype))


def _fixed(array: Matrix) -> Matrix:
    array.flags.writeable = False
    return array
