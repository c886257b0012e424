"""Random families of embeddings and of frequencies."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from ..errors import InputError, unknown_name
from .numbers import finite_array, integer, real

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Family = Callable[[int, int, np.random.Generator, float | None], NDArray[np.float64]]

EQUICORRELATED_DEFAULT = 0.5
CLUSTERED_DEFAULT = 0.9


def checked_correlation(value: object, low: float, high: float) -> float:
    """Return the correlation as a float in [low, high], or raise InputError."""
    number = real("correlation", value)
    if not low <= number <= high:
        raise InputError(f"correlation must lie in [{low:.6g}, {high:.6g}]", number)
    return number


def sphere(count: int, dim: int, rng: np.random.Generator, correlation: float | None = None) -> NDArray[np.float64]:
    """Return (count, dim): independent uniform unit vectors."""
    rows = rng.standard_normal((count, dim))
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)  # type: ignore[no-any-return]


def gaussian(count: int, dim: int, rng: np.random.Generator, correlation: float | None = None) -> NDArray[np.float64]:
    """Return (count, dim): independent entries N(0, 1/dim), so that squared norms have mean 1."""
    return rng.standard_normal((count, dim)) / math.sqrt(dim)


def orthonormal(
    count: int, dim: int, rng: np.random.Generator, correlation: float | None = None
) -> NDArray[np.float64]:
    """Return (count, dim): the first rows of a Haar-distributed rotation."""
    if count > dim:
        raise InputError(
            "orthonormal embeddings need count <= dim", f"{count} vectors in dimension {dim}",
            'raise dim or use "sphere"',
        )  # fmt: skip
    frame, triangle = np.linalg.qr(rng.standard_normal((dim, count)))
    # the signs of R's diagonal make the law of Q uniform (Mezzadri 2007)
    return np.ascontiguousarray((frame * np.where(np.diag(triangle) < 0.0, -1.0, 1.0)).T)


def zero_sum_basis(count: int) -> NDArray[np.float64]:
    """Return (count, count - 1): orthonormal columns that sum to zero (Helmert's).

    >>> zero_sum_basis(2).round(3).tolist()
    [[0.707], [-0.707]]
    """
    rows, columns = np.indices((count, max(count - 1, 0)))
    k = columns + 1.0
    basis: NDArray[np.float64] = np.where(rows <= columns, 1.0, np.where(rows == columns + 1, -k, 0.0))
    return basis / np.sqrt(k * (k + 1.0))


def equicorrelated(
    count: int, dim: int, rng: np.random.Generator, correlation: float | None = None
) -> NDArray[np.float64]:
    """Return (count, dim): unit vectors with Gram (1 - a) I + a 1 1^T, randomly rotated."""
    low = -1.0 / (count - 1) if count > 1 else -1.0
    alpha = checked_correlation(EQUICORRELATED_DEFAULT if correlation is None else correlation, low, 1.0)
    common = max((1.0 - alpha) / count + alpha, 0.0)
    factors = []
    if alpha < 1.0:
        factors.append(math.sqrt(1.0 - alpha) * zero_sum_basis(count))
    if common > 4.0 * np.finfo(float).eps:
        factors.append(np.full((count, 1), math.sqrt(common)))
    factor = np.concatenate(factors, axis=1)
    if factor.shape[1] > dim:
        raise InputError(
            f"{count} equicorrelated embeddings of correlation {alpha:g} span {factor.shape[1]} dimensions",
            f"dim {dim}", f"pass dim >= {factor.shape[1]}",
        )  # fmt: skip
    return factor @ orthonormal(factor.shape[1], dim, rng)


def clustered(count: int, dim: int, rng: np.random.Generator, correlation: float | None = None) -> NDArray[np.float64]:
    """Return (count, dim): unit vectors around isqrt(count) uniform centres, token x in cluster x mod their number.

    Two members of one cluster have correlation rho on average; each has sqrt(rho) with its centre.
    """
    rho = checked_correlation(CLUSTERED_DEFAULT if correlation is None else correlation, 0.0, 1.0)
    if dim < 2 and rho < 1.0:
        raise InputError("clustered embeddings need dim >= 2", dim)
    centres = sphere(math.isqrt(count), dim, rng)[np.arange(count) % math.isqrt(count)]
    if rho == 1.0:
        return centres
    offsets = rng.standard_normal((count, dim))
    offsets -= np.sum(offsets * centres, axis=1, keepdims=True) * centres
    offsets /= np.linalg.norm(offsets, axis=1, keepdims=True)
    return math.sqrt(rho) * centres + math.sqrt(1.0 - rho) * offsets


def from_gram(gram: ArrayLike, dim: int | None = None) -> NDArray[np.float64]:
    """Return (count, dim) embeddings with these inner products, for structures that are given by correlations.

    Arguments:
        gram: (count, count), symmetric, with no negative eigenvalue beyond rounding.
        dim: the dimension, count by default; at least the rank of `gram`.

    Raises: InputError. Cost: O(count^3). Two vectors of one Gram matrix differ by a rotation, which no score sees.

    >>> rows = from_gram([[1.0, 0.5], [0.5, 1.0]], dim=3)
    >>> rows.shape, (rows @ rows.T).round(12).tolist()
    ((2, 3), [[1.0, 0.5], [0.5, 1.0]])
    """
    products = finite_array("gram", gram, dimensions=2, shape="(count, count)")
    count = len(products)
    if (
        not count
        or products.shape != (count, count)
        or np.abs(products - products.T).max() > 1e-12 * np.abs(products).max()
    ):
        raise InputError("gram must be a symmetric matrix with at least one row", f"shape {products.shape}")
    values, vectors = np.linalg.eigh((products + products.T) / 2.0)
    smallest = 8.0 * count * np.finfo(float).eps * float(np.abs(values).max())
    if values[0] < -smallest:
        raise InputError("gram must have no negative eigenvalue: it holds inner products", float(values[0]))
    kept = values > smallest
    rank, width = int(kept.sum()), count if dim is None else integer("dim", dim, minimum=1)
    if rank > width:
        raise InputError(f"{count} embeddings with this gram span {rank} dimensions", f"dim {width}", "raise dim")
    rows = np.zeros((count, width))
    rows[:, :rank] = vectors[:, kept] * np.sqrt(values[kept])
    return rows


FAMILIES: dict[str, Family] = {
    "sphere": sphere,
    "orthonormal": orthonormal,
    "gaussian": gaussian,
    "equicorrelated": equicorrelated,
    "clustered": clustered,
}


def draw(
    argument: str, family: str, count: int, dim: int, rng: np.random.Generator, correlation: float | None
) -> NDArray[np.float64]:
    """Return (count, dim) embeddings of the named family."""
    if family not in FAMILIES:
        raise unknown_name(argument, family, FAMILIES)
    if correlation is not None and family not in ("equicorrelated", "clustered"):
        raise InputError(
            'correlation= belongs to "equicorrelated" and "clustered" embeddings', f"{argument}={family!r}",
            "leave correlation out",
        )  # fmt: skip
    return FAMILIES[family](count, dim, rng, correlation)


def frequencies(name: str, count: int) -> NDArray[np.float64]:
    """Return (count,) frequencies "uniform" or "zipf", p(x) proportional to 1 / (x + 1)."""
    if name == "uniform":
        weights = np.ones(count)
    elif name == "zipf":
        weights = 1.0 / np.arange(1.0, count + 1.0)
    else:
        raise unknown_name("frequencies", name, ("uniform", "zipf"))
    return weights / math.fsum(weights)
