"""The normal numbers of a well-known generator, rebuilt from its description, for the published embeddings.

MT19937 seeded with init_genrand(seed). Fewer than 16 numbers: one pair of 53-bit uniforms per two samples (Box-Muller,
the second one kept for the next call). From 16 on: float32, blocks of 16, the last block drawn again where 16 does not
divide the count.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray


class NormalStream:
    """`randn(rows, columns)` returns the float32 samples, as float64 numbers."""

    def __init__(self, seed: int) -> None:
        self._raw = np.random.RandomState(seed)
        self._kept: float | None = None

    def _words(self, count: int) -> NDArray[np.uint64]:
        return self._raw.randint(0, 2**32, size=count, dtype=np.uint32).astype(np.uint64)

    def randn(self, rows: int, columns: int) -> NDArray[np.float64]:
        """Return the next rows * columns samples."""
        count = rows * columns
        flat = self._small(count) if count < 16 else self._large(count)
        return flat.astype(np.float32).astype(float).reshape(rows, columns)

    def _small(self, count: int) -> NDArray[np.float64]:
        out = []
        for _ in range(count):
            if self._kept is not None:
                out.append(self._kept)
                self._kept = None
                continue
            a, b, c, d = (int(word) for word in self._words(4))
            first = ((a << 32 | b) & (2**53 - 1)) / 2**53
            second = ((c << 32 | d) & (2**53 - 1)) / 2**53
            radius, angle = np.sqrt(-2 * np.log1p(-second)), 2 * np.pi * first
            out.append(float(radius * np.cos(angle)))
            self._kept = float(radius * np.sin(angle))
        return np.array(out)

    def _large(self, count: int) -> NDArray[np.float64]:
        uniform = self._uniform(count)
        out = uniform.copy()
        for start in range(0, count - 15, 16):
            out[start : start + 16] = self._block(uniform[start : start + 16])
        if count % 16:
            out[-16:] = self._block(self._uniform(16))
        return out.astype(float)

    def _uniform(self, count: int) -> NDArray[np.float32]:
        return ((self._words(count) & (2**24 - 1)).astype(np.float32) / np.float32(2**24)).astype(np.float32)

    @staticmethod
    def _block(uniform: NDArray[np.float32]) -> NDArray[np.float32]:
        first, second = np.float32(1) - uniform[:8], uniform[8:]
        radius = np.sqrt(np.float32(-2) * np.log(first))
        angle = np.float32(2 * np.pi) * second
        return np.concatenate([radius * np.cos(angle), radius * np.sin(angle)]).astype(np.float32)


@pytest.fixture(scope="session")
def random_unit_rows() -> Callable[..., list[NDArray[np.float64]]]:
    """Return a function (seed, shape, ...) -> arrays of unit rows, drawn one after the other from one stream."""

    def draw(seed: int, *shapes: tuple[int, int]) -> list[NDArray[np.float64]]:
        stream = NormalStream(seed)
        rows = [stream.randn(*shape) for shape in shapes]
        return [row / np.linalg.norm(row, axis=1, keepdims=True) for row in rows]

    return draw
