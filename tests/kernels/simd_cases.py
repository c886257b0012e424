"""What the vector layer computes on fixed numbers; run as a script, it prints a digest of each row.

The rows do not depend on the width of the vectors, so the digests must be the same at every width.
"""

from __future__ import annotations

import hashlib
import json

import numba
import numpy as np

from traindyn.kernels.cpu import simd
from traindyn.kernels.cpu.simd import (
    absolute,
    exp,
    exp_bounded,
    expm1,
    floor,
    fma,
    fnma,
    lanes,
    load,
    log,
    log1p,
    maximum,
    minimum,
    nearest,
    select,
    sigmoid,
    softplus,
    splat,
    splat_at,
    square_root,
    store,
    tanh,
)

ARITHMETIC = [
    "add", "subtract", "multiply", "divide", "negative", "fma", "fnma", "maximum", "minimum", "absolute",
    "square_root", "floor", "nearest",
    "less", "less_equal", "greater", "greater_equal", "equal", "differs", "and", "or", "xor", "not",
    "scalar_right", "scalar_left", "splat", "splat_at", "in_place",
]  # fmt: skip
ELEMENTARY = ("exp", "exp_bounded", "expm1", "log", "log1p", "tanh", "sigmoid", "softplus")
SPECIAL = (0.0, -0.0, 1.0, -1.0, np.inf, -np.inf, np.nan, 0.5, -1.5, 2.5, 1e30, -1e-30)


@numba.njit(error_model="numpy")
def arithmetic(x, y, z, out):
    size = x.size
    one, zero = x.dtype.type(1), x.dtype.type(0)
    for i in range(0, size, lanes(x)):
        a, b, c = load(x, i), load(y, i), load(z, i)
        total = a
        total += b
        total -= c
        total *= b
        total /= c
        less, more = a < b, a > 0.0
        both, either, one_only = less, less, less
        both &= more
        either |= more
        one_only ^= more
        rows = (
            a + b, a - b, a * b, a / b, -a, fma(a, b, c), fnma(a, b, c), maximum(a, b), minimum(a, b), absolute(a),
            square_root(a), floor(a), nearest(a),
            select(a < b, one, splat(zero)), select(a <= b, splat(one), zero), select(a > b, splat(one), splat(zero)),
            select(a >= b, splat(one), splat(zero)), select(a == b, splat(one), splat(zero)),
            select(a != b, splat(one), splat(zero)), select(both, splat(one), zero), select(either, splat(one), zero),
            select(one_only, splat(one), zero), select(~less, splat(one), zero),
            a * 2 - 1, 1.5 - a, splat(x[2]) + a, splat_at(x, 3) + a, total,
        )  # fmt: skip
        for row in range(len(rows)):
            store(out, row * size + i, rows[row])


@numba.njit(error_model="numpy")
def elementary(x, out):
    size = x.size
    for i in range(0, size, lanes(x)):
        a = load(x, i)
        bounded = select(a > 0.0, x.dtype.type(0), a)
        rows = (exp(a), exp_bounded(bounded), expm1(a), log(a), log1p(a), tanh(a), sigmoid(a), softplus(a))
        for row in range(len(rows)):
            store(out, row * size + i, rows[row])


@numba.njit(error_model="numpy")
def elementary_scalars(x, out):
    size = x.size
    for i in range(size):
        a = x[i]
        bounded = x.dtype.type(0) if a > 0.0 else a
        rows = (exp(a), exp_bounded(bounded), expm1(a), log(a), log1p(a), tanh(a), sigmoid(a), softplus(a))
        for row in range(len(rows)):
            out[row, i] = rows[row]


def numbers(dtype: str, count: int = 192) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Three arrays of ordinary, tiny, huge and special numbers, the same in every process."""
    rng = np.random.default_rng(0)
    x, y, z = (rng.normal(size=count) * 10.0 ** rng.uniform(-3, 2, count) for _ in range(3))
    for k, special in enumerate(SPECIAL):
        x[k * len(SPECIAL) : (k + 1) * len(SPECIAL)] = special
        y[k : len(SPECIAL) ** 2 : len(SPECIAL)] = special
    return x.astype(dtype), y.astype(dtype), z.astype(dtype)


def arithmetic_rows(dtype: str) -> np.ndarray:
    x, y, z = numbers(dtype)
    out = np.empty((len(ARITHMETIC), x.size), dtype)
    arithmetic(x, y, z, out)
    return out


def elementary_rows(dtype: str, compute=elementary) -> np.ndarray:
    x = np.concatenate(
        [numbers(dtype)[0], np.linspace(-120, 120, 64, dtype=dtype), np.linspace(-1, 1, 64, dtype=dtype)]
    )
    out = np.empty((len(ELEMENTARY), x.size), dtype)
    compute(x, out)
    return out


def digests() -> dict[str, str]:
    """Return a digest of every row; NaNs count as equal whatever their bits."""
    found = {}
    for dtype in ("float64", "float32"):
        for names, rows in ((ARITHMETIC, arithmetic_rows(dtype)), (ELEMENTARY, elementary_rows(dtype))):
            for name, row in zip(names, rows, strict=True):
                row[np.isnan(row)] = np.nan
                found[f"{name} {dtype}"] = hashlib.sha256(row.tobytes()).hexdigest()[:16]
    return found


if __name__ == "__main__":
    print(json.dumps({"lanes": [simd.LANES64, simd.LANES32], "digests": digests()}))
