"""Two correlated tokens under gradient descent, a setting (a cell) in each lane of a vector: what the sweeps share.

A sweep's runs differ in length by a factor of ten thousand, and most are short. Lanes therefore walk through a queue
of cells: where a run ends, its numbers are written and the next cell takes the lane. No cell's arithmetic depends on
the lane that it had or on what ran beside it, nor on the threads, the width of the vectors or the order.

A block keeps its lanes in memory, a row of numbers for each quantity, and walks a few vectors one after the other:
they do not depend on one another, so that the processor works on several at a time.
"""

from __future__ import annotations

from typing import Any, TypeAlias

from ..arrays import Vector
from ..compile import compiled
from .simd import LANES64, absolute, exp_bounded, fnma, load_first, select, splat_at

VECTORS = 6
"""Vectors that a block walks through; with fewer the processor waits for results, with more for memory."""

LANES = VECTORS * LANES64
"""Lanes of a block."""

CHUNK = 256
"""Cells that a block takes from the queue at a time."""

Columns: TypeAlias = tuple[Vector, Vector, Vector, Vector, Vector, Vector, Vector]
"""Learning rates, correlations, frequencies of the first and of the second token, |u_0 - u_1|^2, and start margins:
each one number for all cells or one a cell (its entry of `strides` is 0 or 1)."""

RATE, CORRELATION_COLUMN, FREQUENT_COLUMN, RARE_COLUMN, DISTANCE, FIRST_COLUMN, SECOND_COLUMN = 0, 1, 2, 3, 4, 5, 6

# the first rows of a block's state: both margins, rate c p_1, rate c p_2, the correlation, the steps done
FIRST, SECOND, PULL, PUSH, CORRELATION, AGE = 0, 1, 2, 3, 4, 5

IDLE = -1.0
"""Margins of a lane without work: with pulls of zero they never become positive."""


@compiled(inline=True)
def wrong_share(small: Vector, margin: Vector) -> Any:
    """Return 1/(1 + e^m) from e^-|m| and m: the probability of the wrong class."""
    return select(margin >= 0.0, small, 1.0) / (small + 1.0)


@compiled(inline=True)
def small_of(margin: Vector) -> Any:
    """Return e^-|m|."""
    return exp_bounded(-absolute(margin))


@compiled(inline=True)
def moves(pull: Vector, push: Vector, correlation: Vector) -> tuple[Vector, Vector]:
    """Return by how much the margins grow in a step, where the gradients pull them by `pull` and `push`.

    At correlation 1 the two are each other's negative, to the last bit.
    """
    return fnma(correlation, push, pull), fnma(correlation, pull, push)


@compiled()
def column(values: Vector, stride: int, cell: int, count: int) -> Any:
    """Return a column's vector from a cell on, 1 beyond `count`; a column with stride 0 has one number for all."""
    if stride == 0:
        return splat_at(values, 0)
    return load_first(values, cell, count, 1.0)
