"""Matrix products of compiled code beside those of the libraries: squares, thin ones, and those of descent steps."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from limits import peak_flops
from numba import njit
from timing import Row, absent, interleaved

from traindyn.kernels.cpu.products import multiply

# rows, terms, columns
SIZES = (
    (5, 5, 5),
    (45, 200, 200),
    (100, 100, 100),
    (100, 64, 100),
    (256, 256, 256),
    (1000, 256, 1000),
    (1000, 1000, 256),
    (2048, 1024, 2048),
    (16, 64, 4096),
    (4096, 64, 16),
)
TOLERANCE = {"float64": 1e-11, "float32": 1e-3}
_CALL = 2_000_000  # operations: so many products to a call that calling compiled code counts for nothing
_Product = Callable[[], np.ndarray]


@njit
def _ours(count: int, left: np.ndarray, right: np.ndarray, out: np.ndarray) -> None:
    for _ in range(count):
        multiply(left, right, out)


@njit
def _blas(count: int, left: np.ndarray, right: np.ndarray, out: np.ndarray) -> None:
    for _ in range(count):
        np.dot(left, right, out)


def _numpy(count: int, left: np.ndarray, right: np.ndarray, out: np.ndarray) -> None:
    for _ in range(count):
        np.matmul(left, right, out)


def _filling(function: Callable[..., None], count: int, left: np.ndarray, right: np.ndarray) -> _Product:
    out = np.empty((left.shape[0], right.shape[1]), left.dtype)

    def run() -> np.ndarray:
        function(count, left, right, out)
        return out

    return run


def _torch(count: int, left: np.ndarray, right: np.ndarray) -> _Product:
    import torch

    first, second = torch.from_numpy(left), torch.from_numpy(right)
    out = first @ second

    def run() -> np.ndarray:
        for _ in range(count):
            torch.mm(first, second, out=out)
        return out.numpy()

    return run


def _jax(count: int, left: np.ndarray, right: np.ndarray) -> _Product:
    import jax

    first, second = jax.numpy.asarray(left), jax.numpy.asarray(right)
    product = jax.jit(lambda a, b: a @ b)

    def run() -> np.ndarray:
        for _ in range(count):
            out = product(first, second).block_until_ready()
        return np.asarray(out)

    return run


def rows(threads: int) -> list[Row]:
    """Time a product. Ours has one thread: a team divides rows among its members."""
    found = []
    for n_rows, terms, columns in SIZES:
        for dtype in TOLERANCE:
            rng = np.random.default_rng(1)
            left = rng.normal(size=(n_rows, terms)).astype(dtype)
            right = rng.normal(size=(terms, columns)).astype(dtype)
            operations = 2.0 * n_rows * terms * columns
            count = max(1, round(_CALL / operations))
            candidates = {
                "multiply": _filling(_ours, count, left, right),
                "np.dot in compiled code": _filling(_blas, count, left, right),
                "NumPy": _filling(_numpy, count, left, right),
            }
            missing = []
            work = f"product {n_rows} x {terms} x {columns}, {dtype}"
            for name, library, peer in (("PyTorch", "torch", _torch), ("JAX", "jax", _jax)):
                try:
                    candidates[name] = peer(count, left, right)
                except ImportError:
                    missing.append(absent(work, name, library, threads))
            limit = operations / peak_flops(dtype)
            note = f"{operations / 1e9:.3g} GFLOP"
            found += interleaved(
                work, candidates, 5, count, threads, note, tolerance=TOLERANCE[dtype], limit=limit, least=0.005
            ) + missing  # fmt: skip
    return found
