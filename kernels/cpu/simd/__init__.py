"""Vectors of numbers in registers, for use inside compiled functions: the room that every kernel stands on.

A vector holds `LANES64` numbers of float64 or `LANES32` of float32; one source serves both, for the array decides:

>>> import numpy as np
>>> from traindyn.kernels.compile import compiled
>>> from traindyn.kernels.cpu.simd import exp, lanes, load, load_first, store, store_first
>>> @compiled()
... def exponentials(x, out):
...     whole = x.size - x.size % lanes(x)
...     for i in range(0, whole, lanes(x)):
...         store(out, i, exp(load(x, i)))
...     store_first(out, whole, x.size - whole, exp(load_first(x, whole, x.size - whole, 0.0)))
>>> x = np.linspace(-1, 1, 21)
>>> out = np.empty_like(x)
>>> exponentials(x, out)
>>> bool(np.allclose(out, np.exp(x), rtol=4e-16, atol=0))
True
"""

from __future__ import annotations

from .arithmetic import absolute, floor, fma, fnma, maximum, minimum, nearest, square_root
from .exponential import exp, exp_bounded, expm1, sigmoid, tanh
from .lanes import extract, insert, lane_numbers, lanes, max_lanes, min_lanes, splat_lane, sum_lanes
from .logarithm import log, log1p, softplus
from .masks import all_lanes, any_lane, count_lanes, first_lanes, mask_bits, select
from .memory import load, load_first, splat_at, store, store_first
from .splatting import splat
from .vector_types import LANES32, LANES64

__all__ = [
    "LANES32",
    "LANES64",
    "absolute",
    "all_lanes",
    "any_lane",
    "count_lanes",
    "exp",
    "exp_bounded",
    "expm1",
    "extract",
    "first_lanes",
    "floor",
    "fma",
    "fnma",
    "insert",
    "lane_numbers",
    "lanes",
    "load",
    "load_first",
    "log",
    "log1p",
    "mask_bits",
    "max_lanes",
    "maximum",
    "min_lanes",
    "minimum",
    "nearest",
    "select",
    "sigmoid",
    "softplus",
    "splat",
    "splat_at",
    "splat_lane",
    "square_root",
    "store",
    "store_first",
    "sum_lanes",
    "tanh",
]
