"""The normal numbers of PyTorch's CPU generator without PyTorch, for embeddings that were published as a seed.

The engine is MT19937. Fewer than 16 numbers come in pairs by Box-Muller in double precision, the second number of a
pair being kept for the next call; from 16 numbers on, blocks of 16 are transformed at once, in single precision with
the polynomials of the Cephes library, and the last block is drawn again where 16 does not divide the count.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import InputError
from .numbers import integer

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["TorchNormals"]

_BLOCK = 16
_LEAST_BLOCKED = 16

# Cephes logf, sinf and cosf: coefficients, and log 2 and pi/4 in parts that multiply small whole numbers exactly
_LOGARITHM = (
    7.0376836292e-2, -1.1514610310e-1, 1.1676998740e-1, -1.2420140846e-1, 1.4249322787e-1, -1.6668057665e-1,
    2.0000714765e-1, -2.4999993993e-1, 3.3333331174e-1,
)  # fmt: skip
_LOG_TWO = (0.693359375, -2.12194440e-4)
_COSINE = (2.443315711809948e-5, -1.388731625493765e-3, 4.166664568298827e-2)
_SINE = (-1.9515295891e-4, 8.3321608736e-3, -1.6666654611e-1)
_QUARTER_PI = (0.78515625, 2.4187564849853515625e-4, 3.77489497744594108e-8)


class TorchNormals:
    r"""Draw what ``torch.manual_seed(seed)`` and then ``torch.randn(shape, dtype=dtype)`` draw, call by call.

    Below 16 numbers, with u and v of 53 bits,

    $$r = \sqrt{-2 \log(1 - v)}, \quad r \cos 2 \pi u, \quad r \sin 2 \pi u,$$

    the second of which waits for the next draw, also across calls and shapes. From 16 numbers on, the same transform
    of uniforms of 24 bits (float32) or 53 bits (float64), entry j of a block of 16 with entry j + 8.

    Arguments:
        seed: an integer >= 0; of a larger one than 2^32 - 1 the lowest 32 bits count, as in PyTorch.

    The numbers are those of PyTorch on an x86 processor with AVX2, bit by bit in all that was compared (3 million
    of version 2.13). A fused product-sum is rounded by way of float64 here, which may differ once in 2^29 operations.
    Without AVX2 (ARM, ``ATEN_CPU_CAPABILITY=default``) PyTorch itself gives other last bits: from 16 numbers on in
    float32 a third of them differ, by up to 5 units in the last place of numbers near 4. In float64 the logarithm and
    the cosine are those of the C library in both, so they agree where Python and PyTorch use the same one.

    Raises: InputError. Cost: about 0.05 microseconds a number in float32, 0.3 in float64; 1 below 16 numbers.
    Source: the random generator of PyTorch; Cephes mathematical library (S. Moshier).

    >>> numbers = TorchNormals(42)
    >>> numbers.normal((2, 3)).round(4)
    array([[ 0.3367,  0.1288,  0.2345],
           [ 0.2303, -1.1229, -0.1863]], dtype=float32)
    """

    def __init__(self, seed: int) -> None:
        self._words = np.random.RandomState(integer("seed", seed, minimum=0) % 2**32)
        self._kept: float | None = None

    def normal(self, shape: int | tuple[int, ...], dtype: str = "float32") -> NDArray[Any]:
        """Return the next normal numbers as an array of this shape, "float32" or "float64".

        Raises: InputError for another dtype or a negative length.

        >>> TorchNormals(0).normal((4, 4), dtype="float32")[0].round(4)
        array([-1.1258, -1.1524, -0.2506, -0.4339], dtype=float32)
        """
        if dtype not in ("float32", "float64"):
            raise InputError('dtype must be "float32" or "float64"', repr(dtype))
        lengths = shape if isinstance(shape, tuple) else (shape,)
        sizes = tuple(integer("a length of shape", length, minimum=0) for length in lengths)
        count = math.prod(sizes)
        if count < _LEAST_BLOCKED:
            return np.array([self._one() for _ in range(count)], dtype=dtype).reshape(sizes)
        values = np.empty(count, dtype=dtype)
        whole = count - count % _BLOCK
        values[:whole] = self._blocks(count, dtype)
        if whole < count:  # the last 16 are drawn again, also those that were done
            values[-_BLOCK:] = self._blocks(_BLOCK, dtype)
        return values.reshape(sizes)

    def _blocks(self, count: int, dtype: str) -> NDArray[Any]:
        """Draw `count` uniforms and return the normal numbers of their whole blocks."""
        whole = count - count % _BLOCK
        if dtype == "float32":
            return _single_blocks(self._singles(count)[:whole])
        return _double_blocks(self._doubles(count)[:whole])

    def _one(self) -> float:
        if self._kept is not None:
            value, self._kept = self._kept, None
            return value
        angle, depth = (2.0 * math.pi * float(u) if k == 0 else float(u) for k, u in enumerate(self._doubles(2)))
        radius = math.sqrt(-2.0 * math.log1p(-depth))
        self._kept = radius * math.sin(angle)
        return radius * math.cos(angle)

    def _raw(self, count: int) -> NDArray[np.uint32]:
        return self._words.randint(0, 2**32, size=count, dtype=np.uint32)

    def _singles(self, count: int) -> NDArray[np.float32]:
        return np.asarray((self._raw(count) & np.uint32(2**24 - 1)).astype(np.float32) / np.float32(2**24))

    def _doubles(self, count: int) -> NDArray[np.float64]:
        high, low = self._raw(2 * count).reshape(count, 2).astype(np.uint64).T
        return np.asarray(((high << np.uint64(32) | low) & np.uint64(2**53 - 1)) / 2.0**53)


def _double_blocks(uniform: NDArray[np.float64]) -> NDArray[np.float64]:
    # the C library's functions, as PyTorch calls them; NumPy's own differ in last bits
    blocks = uniform.reshape(-1, 2, _BLOCK // 2)
    radius = np.array([math.sqrt(-2.0 * math.log(1.0 - u)) for u in blocks[:, 0].ravel()])
    angle = [2.0 * math.pi * u for u in blocks[:, 1].ravel()]
    pairs = radius * np.array([[math.cos(a) for a in angle], [math.sin(a) for a in angle]])
    return np.asarray(pairs.reshape(2, -1, _BLOCK // 2).swapaxes(0, 1).ravel())


def _single_blocks(uniform: NDArray[np.float32]) -> NDArray[np.float32]:
    blocks = uniform.reshape(-1, 2, _BLOCK // 2)
    radius = np.sqrt(np.float32(-2.0) * _logarithm(np.float32(1.0) - blocks[:, 0]))
    cosine, sine = _cosine_and_sine(np.float32(2.0 * math.pi) * blocks[:, 1])
    return np.asarray(np.stack([radius * cosine, radius * sine], axis=1).ravel())


def _fused(factor: Any, other: Any, term: Any) -> NDArray[np.float32]:
    """Return factor * other + term, rounded once: the product of two float32 is exact in float64."""
    return np.asarray((np.asarray(factor, np.float64) * other + term).astype(np.float32))


def _polynomial(coefficients: tuple[float, ...], x: NDArray[np.float32]) -> NDArray[np.float32]:
    value = np.full_like(x, coefficients[0])
    for coefficient in coefficients[1:]:
        value = _fused(value, x, np.float32(coefficient))
    return value


def _logarithm(x: NDArray[np.float32]) -> NDArray[np.float32]:
    mantissa, exponent = np.frexp(x)
    low = mantissa < np.float32(math.sqrt(0.5))
    power = (exponent - low).astype(np.float32)
    t = (mantissa - np.float32(1.0)) + np.where(low, mantissa, np.float32(0.0))
    square = t * t
    rest = _fused(_polynomial(_LOGARITHM, t) * t, square, power * np.float32(_LOG_TWO[1]))
    rest = _fused(square, np.float32(-0.5), rest)
    return _fused(power, np.float32(_LOG_TWO[0]), t + rest)


def _cosine_and_sine(x: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    octant = ((x * np.float32(4.0 / math.pi)).astype(np.int32) + 1) & ~1
    turns, rest = octant.astype(np.float32), x
    for part in _QUARTER_PI:
        rest = _fused(turns, np.float32(-part), rest)
    square = rest * rest
    even = _fused(_polynomial(_COSINE, square) * square, square, -(square * np.float32(0.5))) + np.float32(1.0)
    odd = _fused(_polynomial(_SINE, square) * square, rest, rest)
    swapped = (octant & 2) != 0
    cosine, sine = np.where(swapped, odd, even), np.where(swapped, even, odd)
    return (
        np.where(((octant + 2) & 4) != 0, -cosine, cosine),
        np.where((octant & 4) != 0, -sine, sine),
    )
