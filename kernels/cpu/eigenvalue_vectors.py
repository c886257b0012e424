"""Long vectors, rows of a basis: overlaps, sums and lengths, shared by the members of a team.

A vector is cut into blocks of a fixed length; a sum over all of it is the sum of the blocks' sums in their order,
whoever computed them.
"""

from __future__ import annotations

from ..arrays import Labels, Matrix, Vector
from ..compile import compiled
from .compiled_once import compiled_once
from .simd import fma, fnma, lanes, load, load_first, splat, splat_at, store, store_first, sum_lanes
from .synchrony import barrier

BLOCK = 4096
"""Numbers in a block."""


@compiled()
def blocks_of(size: int) -> int:
    """Return the number of blocks of a vector."""
    return (size + BLOCK - 1) // BLOCK


@compiled()
def _dot(array: Matrix, one: int, two: int, count: int) -> float:
    """Return the sum of products of `count` elements from two places on."""
    width = lanes(array)
    whole = count - count % width
    a = load_first(array, one + whole, count - whole, 0.0) * load_first(array, two + whole, count - whole, 0.0)
    b = a - a
    c, d = b, b
    i = 0
    while i + 4 * width <= whole:
        a = fma(load(array, one + i), load(array, two + i), a)
        b = fma(load(array, one + i + width), load(array, two + i + width), b)
        c = fma(load(array, one + i + 2 * width), load(array, two + i + 2 * width), c)
        d = fma(load(array, one + i + 3 * width), load(array, two + i + 3 * width), d)
        i += 4 * width
    while i < whole:
        a = fma(load(array, one + i), load(array, two + i), a)
        i += width
    return sum_lanes((a + b) + (c + d))  # type: ignore[no-any-return]


@compiled()
def _remove(array: Matrix, factors: Vector, terms: int, place: int, size: int, offset: int, count: int) -> None:
    """Subtract from `count` elements at `place` those of the first `terms` rows from `offset` on, times factors."""
    width = lanes(array)
    whole = count - count % width
    i = 0
    while i + 4 * width <= whole:
        a, b = load(array, place + i), load(array, place + i + width)
        c, d = load(array, place + i + 2 * width), load(array, place + i + 3 * width)
        for row in range(terms):
            factor, other = splat_at(factors, row), row * size + offset + i
            a, b = fnma(factor, load(array, other), a), fnma(factor, load(array, other + width), b)
            c = fnma(factor, load(array, other + 2 * width), c)
            d = fnma(factor, load(array, other + 3 * width), d)
        store(array, place + i, a)
        store(array, place + i + width, b)
        store(array, place + i + 2 * width, c)
        store(array, place + i + 3 * width, d)
        i += 4 * width
    while i < count:
        a = load_first(array, place + i, count - i, 0.0)
        for row in range(terms):
            a = fnma(splat_at(factors, row), load_first(array, row * size + offset + i, count - i, 0.0), a)
        store_first(array, place + i, count - i, a)
        i += width


@compiled()
def scale(array: Matrix, row: int, factor: float, member: int, members: int) -> None:
    """Multiply the member's blocks of a row by a factor."""
    size = array.shape[1]
    width = lanes(array)
    for block in range(member, blocks_of(size), members):
        last = row * size + min(size, (block + 1) * BLOCK)
        for i in range(row * size + block * BLOCK, last, width):
            store_first(array, i, last - i, load_first(array, i, last - i, 0.0) * splat(array.dtype.type(factor)))


@compiled_once()
def overlaps(
    sync: Labels, member: int, members: int, basis: Matrix, first: int, row: int, partial: Matrix, out: Vector
) -> bool:
    """Fill ``out[first : row + 1]`` with the products of those rows of the basis with row `row`.

    `partial`, (blocks, rows), belongs to the team; `out` to the member.
    """
    size = basis.shape[1]
    blocks = blocks_of(size)
    for block in range(member, blocks, members):
        offset = block * BLOCK
        count = min(size - offset, BLOCK)
        for other in range(first, row + 1):
            partial[block, other] = _dot(basis, other * size + offset, row * size + offset, count)
    if not barrier(sync, members):
        return False
    for other in range(first, row + 1):
        total = 0.0
        for block in range(blocks):
            total += partial[block, other]
        out[other] = total
    return barrier(sync, members)


@compiled_once()
def remove_overlaps(member: int, members: int, basis: Matrix, row: int, factors: Vector) -> None:
    """Subtract from row `row` all rows before it, each times its factor; each member in its own blocks."""
    size = basis.shape[1]
    for block in range(member, blocks_of(size), members):
        offset = block * BLOCK
        _remove(basis, factors, row, row * size + offset, size, offset, min(size - offset, BLOCK))


@compiled_once()
def combine(member: int, members: int, basis: Matrix, terms: int, factors: Vector, out: Vector) -> None:
    """Fill the member's blocks of `out` with the sum of the first `terms` rows, each times its factor."""
    size = basis.shape[1]
    for block in range(member, blocks_of(size), members):
        offset = block * BLOCK
        count = min(size - offset, BLOCK)
        width = lanes(basis)
        for i in range(0, count, width):
            total = load_first(out, offset + i, 0, 0.0)
            for row in range(terms):
                place = row * size + offset + i
                total = fma(splat_at(factors, row), load_first(basis, place, count - i, 0.0), total)
            store_first(out, offset + i, count - i, total)
