"""Eigenvalues of the Hessian: the largest one, dense for few weights and else by Lanczos iteration, and all of them."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ...errors import TraindynError
from ..arrays import Labels, Matrix, Vector
from ..compile import single_threaded_blas
from ..team import run_team, team_size
from .curvature import hessian, product_seconds
from .curvature_point import new_buffer
from .eigenvalue_search import BASIS_SIZE, heavy_tokens, search, search_room

DENSE_SIZE = 64
"""Up to this many weights (d = 8) the dense eigenvalue problem is solved."""

_EXPECTED_PRODUCTS = 10

_BLAS_STAYS_ALONE = 64
"""Order of a matrix up to which a limit on the threads of LAPACK is not worth its cost."""


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
        return _dense_pair(hessian(weights, inputs, outputs, targets, frequencies), weights.shape)
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
    if weights.size <= DENSE_SIZE:
        return _top(hessian(weights, inputs, outputs, targets, frequencies), 0)[0]
    tolerance = max(1e-8, 20.0 * float(np.finfo(weights.dtype).eps))
    value, _, residual, _ = largest_eigenvalue(weights, inputs, outputs, targets, frequencies, tolerance=tolerance)
    return value if residual <= tolerance * value else math.nan


def _dense_pair(matrix: Matrix, shape: tuple[int, ...]) -> tuple[float, Matrix, float, int]:
    """Return what `largest_eigenvalue` does for a dense Hessian."""
    value, vector = _top(matrix, 1)
    # tiny at late times: divided by the value, squares do not underflow
    scale = value or 1.0
    defect = (matrix @ vector - value * vector) / scale
    return value, vector.reshape(shape), scale * math.sqrt(float(defect @ defect)), 0


def _top(matrix: Matrix, with_vector: int) -> tuple[float, Vector]:
    """Return the largest eigenvalue and its eigenvector alone."""
    order = matrix.shape[0]
    # the transpose of a symmetric matrix: in LAPACK's order as it is
    values, vectors, _, _, info = _solver(matrix.dtype)(matrix.T, with_vector, "I", il=order, iu=order)
    if info:
        raise TraindynError(f"LAPACK's syevr failed on a Hessian of order {order} with code {info}")
    return max(0.0, float(values[0])), vectors[:, 0] if with_vector else values


@functools.cache
def _solver(dtype: np.dtype[np.floating]) -> Callable[..., Any]:
    from scipy.linalg import lapack

    return lapack.dsyevr if dtype == np.float64 else lapack.ssyevr  # type: ignore[no-any-return]


def hessian_spectrum(
    weights: Matrix, inputs: Matrix, outputs: Matrix, targets: Labels, frequencies: Vector, vectors: bool = False
) -> tuple[Vector, Vector, Matrix | None]:
    """Return all eigenvalues, rising, their residuals, and the eigenvectors in columns or None."""
    matrix = hessian(weights, inputs, outputs, targets, frequencies)
    if matrix.shape[0] <= _BLAS_STAYS_ALONE:
        return _spectrum(matrix, vectors)
    with single_threaded_blas:
        return _spectrum(matrix, vectors)


def _spectrum(matrix: Matrix, vectors: bool) -> tuple[Vector, Vector, Matrix | None]:
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
