"""What the machine allows, measured in the same process as what is compared with it."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable

import numpy as np
from numba import njit

from traindyn.kernels.cpu import simd

fma, load, splat, store = simd.fma, simd.load, simd.splat, simd.store
_ROUNDS = 4


@njit(nogil=True)
def fma_chains(data: np.ndarray, count: int) -> None:
    """Run sixteen independent chains of `count` fused multiply-adds on full vectors."""
    factor, term = load(data, 0), load(data, 0)
    a = b = c = d = e = f = g = h = load(data, 0)
    i = j = k = m = n = o = p = q = load(data, 0)
    for _ in range(count):
        a, b, c, d = fma(a, factor, term), fma(b, factor, term), fma(c, factor, term), fma(d, factor, term)
        e, f, g, h = fma(e, factor, term), fma(f, factor, term), fma(g, factor, term), fma(h, factor, term)
        i, j, k, m = fma(i, factor, term), fma(j, factor, term), fma(k, factor, term), fma(m, factor, term)
        n, o, p, q = fma(n, factor, term), fma(o, factor, term), fma(p, factor, term), fma(q, factor, term)
    store(data, 0, a + b + c + d + e + f + g + h + i + j + k + m + n + o + p + q)


def _fastest(call: Callable[[], object]) -> float:
    call()
    times = []
    for _ in range(_ROUNDS):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return min(times)


@functools.cache
def peak_flops(dtype: str) -> float:
    """Return the fused multiply-add peak of one core in operations a second (two a lane)."""
    data = np.full(16, 1e-3, dtype)
    count = 1_000_000
    lanes = simd.LANES64 if dtype == "float64" else simd.LANES32
    return 2 * 16 * lanes * count / _fastest(lambda: fma_chains(data, count))


@functools.cache
def bandwidth() -> float:
    """Return the bytes a second that one core moves from and to memory: a copy, both directions counted."""
    source = np.ones(2**24)
    target = np.ones(2**24)
    return 2 * source.nbytes / _fastest(lambda: np.copyto(target, source))


def least_seconds(flops: float, moved: float, dtype: str, threads: int) -> float:
    """Return the time that arithmetic at the peak or traffic at full bandwidth would need, the longer of the two.

    Memory is shared by the cores: its bandwidth is counted once.
    """
    return max(flops / (threads * peak_flops(dtype)), moved / bandwidth())
