"""Arrays of random numbers that are a function of (key, step, index): no state, no order, any number of threads.

Row t of an array that starts at step `first` holds the numbers of step first + t; element i is made from word i of
``numpy.random.Philox(key=key, counter=[0, first + t, 0, 0])``. Slicing the steps, or splitting them among threads,
changes nothing. `key` holds two uint64; the arrays are C-contiguous.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..compile import compiled
from .philox import random_words
from .simd import lanes, store, store_first
from .variates import standard_normal, unit_interval

Key = NDArray[np.uint64]


@compiled()
def fill_uniforms(key: Key, first: int, out: NDArray[np.float64]) -> None:
    """Fill out (k, n) with numbers uniform on [0, 1)."""
    width = lanes(out)
    for step in range(out.shape[0]):
        for start in range(0, out.shape[1], 4 * width):
            words = random_words(start // 4, first + step, key[0], key[1])
            _put(out, step, start, unit_interval(words[0]), unit_interval(words[1]),
                 unit_interval(words[2]), unit_interval(words[3]))  # fmt: skip


@compiled()
def fill_normals(key: Key, first: int, out: NDArray[np.float64]) -> None:
    """Fill out (k, n) with standard normal numbers."""
    width = lanes(out)
    for step in range(out.shape[0]):
        for start in range(0, out.shape[1], 4 * width):
            words = random_words(start // 4, first + step, key[0], key[1])
            _put(out, step, start, standard_normal(words[0]), standard_normal(words[1]),
                 standard_normal(words[2]), standard_normal(words[3]))  # fmt: skip


@compiled(inline=True)
def _put(out: NDArray[np.float64], step: int, start: int, a: Any, b: Any, c: Any, d: Any) -> None:
    width = lanes(out)
    place, left = step * out.shape[1] + start, out.shape[1] - start
    if left >= 4 * width:
        store(out, place, a)
        store(out, place + width, b)
        store(out, place + 2 * width, c)
        store(out, place + 3 * width, d)
    else:
        store_first(out, place, left, a)
        store_first(out, place + width, left - width, b)
        store_first(out, place + 2 * width, left - 2 * width, c)
        store_first(out, place + 3 * width, left - 3 * width, d)


def guide_of(cumulative: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return, for k = 0..N, the first token whose cumulative frequency exceeds k / N: where a search can start."""
    starts = np.searchsorted(cumulative, np.arange(cumulative.size + 1) / cumulative.size, side="right")
    return np.minimum(starts, cumulative.size - 1).astype(np.int64)


@compiled()
def fill_tokens(
    key: Key, first: int, cumulative: NDArray[np.float64], guide: NDArray[np.int64], out: NDArray[np.int64]
) -> None:
    """Fill out (k, B) with tokens: each is the first one whose cumulative frequency exceeds a uniform number.

    `cumulative` rises to 1; `guide` is ``guide_of(cumulative)``, which makes the search a few steps long.
    """
    count = cumulative.size
    uniform = np.empty((1, out.shape[1]))
    for step in range(out.shape[0]):
        fill_uniforms(key, first + step, uniform)
        for draw in range(out.shape[1]):
            value = uniform[0, draw]
            # rounding may put the value one place beside its bucket
            bucket = int(value * count)
            low = guide[max(bucket - 1, 0)]
            high = guide[min(bucket + 2, count)]
            while low < high:
                middle = (low + high) // 2
                if cumulative[middle] <= value:
                    low = middle + 1
                else:
                    high = middle
            out[step, draw] = low
