"""Matrix products of any size from tiles: which rows, columns and terms come when, and what is copied into order first.

A sum over k is divided into equal blocks of at most `TERMS`; in a block it runs in the order of k, each term by one
fused operation, and the blocks are added in order. That depends on k alone. So each element of a product has the same
bits however rows or columns are divided among calls and threads, whatever is packed, and for vectors of any width.

Packed, a block of the right matrix lies in memory panel after panel of at most three vectors of columns, filled up
with zeros: a panel stays in the first cache while all rows of the left pass over it, and no lines of large matrices
compete for the same place in a cache (Goto, van de Geijn 2008, Anatomy of High-Performance Matrix Multiplication).
"""

from __future__ import annotations

import numpy as np
from numba import types

from ..arrays import Vector
from ..compile import compiled
from .compiled_once import compiled_once
from .products_tile import MASKED, ROWS, VECTORS, copy_vector, tile, transpose_block
from .simd import lanes
from .simd.vector_types import LANES64

TERMS = 512
"""Most terms of a sum in one block. Longer blocks add to the result less often, and panels wait in a second cache."""

BLOCK_BYTES = 200_000
"""Memory of the rows of the left that pass over the panels together, with the panel far less than a second cache."""

BLOCK_VECTORS = 21 * VECTORS
"""Most columns of a block of the result, in vectors: a block is at most 0.4 MB with vectors of 512 bits."""

PACKED_BYTES = 20_000_000
"""Memory for a right matrix that is packed on the way; at least one panel."""

DIRECT_BYTES = 600_000
"""Right matrices up to this size are not packed for products of many rows."""

GATHER_COLUMNS = 200
"""Products of so many columns first copy rows of the left whose places compete, or that are stored as columns."""

COMPETING = 2048
"""Rows at distances of a multiple of so many bytes compete for the same places of a cache."""

VECTOR_BYTES = 8 * LANES64

_FLOATS = (types.float64, types.float32)
_A, _W = types.uintp, types.intp


@compiled(inline=True)
def _width(remaining: int) -> int:
    """Return how many vectors the next panel has: 4 are 2 + 2, for a panel of one keeps the processor waiting."""
    if remaining >= VECTORS and remaining != VECTORS + 1:
        return VECTORS
    return 2 if remaining >= 2 else 1


@compiled(inline=True)
def block_count(terms: int) -> int:
    """Return into how many blocks a sum is divided."""
    return max(1, (terms + TERMS - 1) // TERMS)


@compiled(inline=True)
def block_rows(size: int) -> int:
    """Return how many rows of the left, of numbers of `size` bytes, pass over the panels together."""
    return BLOCK_BYTES // (size * TERMS) // ROWS * ROWS


@compiled_once(*((_A, _W, _W, _A, _W, types.boolean, _A, _W, _W, _W, _W, kind, types.boolean) for kind in _FLOATS))
def _strip(
    left: int, left_row: int, left_step: int, right: int, right_step: int, packed: bool, out: int, out_row: int,
    rows: int, columns: int, terms: int, scale: float, add: bool,
) -> None:  # fmt: skip
    """One block of terms for some rows: panels outside, tiles inside. Where `packed`, right_step has no meaning."""
    each = lanes(scale)
    size = VECTOR_BYTES // each
    vectors = (columns + each - 1) // each
    tiles = (rows + ROWS - 1) // ROWS
    height = rows // tiles
    higher = rows - height * tiles
    start = 0
    while start < vectors:
        width = _width(vectors - start)
        last = each if start + width < vectors else columns - (vectors - 1) * each
        panel = right + start * VECTOR_BYTES * (terms if packed else 1)
        step = width * each if packed else right_step
        row = 0
        for index in range(tiles):
            high = height + 1 if index < higher else height
            tile(
                high, width, left + row * left_row * size, left_row, left_step, panel, step,
                out + row * out_row * size + start * VECTOR_BYTES, out_row, terms, last, scale, add,
            )  # fmt: skip
            row += high
        start += width


@compiled_once(*((_A, _W, _W, _W, _W, _W, _A, kind) for kind in _FLOATS))
def _pack_rows(right: int, step: int, columns: int, first: int, last: int, terms: int, out: int, like: float) -> None:
    """Copy rows first, ..., last - 1 of a block of `terms` into its panels; `right` is the address of the first."""
    each = lanes(like)
    size = VECTOR_BYTES // each
    vectors = (columns + each - 1) // each
    start = 0
    while start < vectors:
        width = _width(vectors - start)
        panel = out + start * VECTOR_BYTES * terms
        for term in range(first, last):
            source = right + (term - first) * step * size + start * VECTOR_BYTES
            for vector in range(width):
                count = min(each, columns - (start + vector) * each)
                target = panel + (term * width + vector) * VECTOR_BYTES
                copy_vector(like, source + vector * VECTOR_BYTES, count, target)
        start += width


@compiled_once(*((_A, _W, _W, _W, _A, kind) for kind in _FLOATS))
def _pack_columns(right: int, column: int, columns: int, terms: int, out: int, like: float) -> None:
    """Copy a block of terms, stored as columns, into panels; `column` is the stride from one to the next column."""
    each = lanes(like)
    size = VECTOR_BYTES // each
    vectors = (columns + each - 1) // each
    start = 0
    while start < vectors:
        width = _width(vectors - start)
        panel = out + start * VECTOR_BYTES * terms
        for vector in range(width):
            first = (start + vector) * each
            count = min(each, columns - first)
            for term in range(0, terms, each):
                transpose_block(
                    like, right + (first * column + term) * size, column, count, min(each, terms - term),
                    panel + (term * width + vector) * VECTOR_BYTES, width * each,
                )  # fmt: skip
        start += width


@compiled_once(*((_A, _W, _W, _W, _W, _W, _A, kind) for kind in _FLOATS))
def pack_part(right: int, step: int, columns: int, first: int, last: int, terms: int, out: int, like: float) -> None:
    """Pack rows first, ..., last - 1 of a right matrix of `terms` rows, block of terms after block.

    `right` is the address of the first of them, `step` the stride in numbers from one to the next; `out` holds
    terms * (columns, filled up) numbers.
    """
    size = VECTOR_BYTES // lanes(like)
    vectors = (columns + lanes(like) - 1) // lanes(like)
    blocks = block_count(terms)
    for block in range(blocks):
        begin, end = terms * block // blocks, terms * (block + 1) // blocks
        low, high = max(first, begin), min(last, end)
        if low < high:
            source, target = right + (low - first) * step * size, out + begin * vectors * VECTOR_BYTES
            _pack_rows(source, step, columns, low - begin, high - begin, end - begin, target, like)


@compiled_once(*((_A, _W, _W, _W, _W, _A, kind) for kind in _FLOATS))
def pack_all(right: int, step: int, column: int, columns: int, terms: int, out: int, like: float) -> None:
    """Pack a whole right matrix; `step` and `column` are its strides in numbers, one of them 1."""
    if column == 1:
        pack_part(right, step, columns, 0, terms, terms, out, like)
        return
    size = VECTOR_BYTES // lanes(like)
    vectors = (columns + lanes(like) - 1) // lanes(like)
    blocks = block_count(terms)
    for block in range(blocks):
        first, last = terms * block // blocks, terms * (block + 1) // blocks
        target = out + first * vectors * VECTOR_BYTES
        _pack_columns(right + first * size, column, columns, last - first, target, like)


@compiled()
def _keep(buffer: Vector) -> None:
    """Use a buffer once more: numba frees an array after its last use, and does not count those of its address."""
    if buffer.size > 0:
        buffer[0] = 0


@compiled(inline=True)
def _aligned(buffer: Vector) -> int:
    """Return the first address in a buffer that is a multiple of the vector's size."""
    return (buffer.ctypes.data + np.uint64(VECTOR_BYTES - 1)) // np.uint64(VECTOR_BYTES) * np.uint64(VECTOR_BYTES)  # type: ignore[return-value]


@compiled_once(*((_A, _W, _W, _W, _W, _A, _W, kind) for kind in _FLOATS))
def _gather_left(left: int, row: int, step: int, rows: int, terms: int, out: int, out_row: int, like: float) -> None:
    """Copy some rows of a block of terms next to each other; `row` and `step` are the strides of the left matrix."""
    each = lanes(like)
    size = VECTOR_BYTES // each
    if step == 1:
        for index in range(rows):
            for term in range(0, terms, each):
                source = left + (index * row + term) * size
                copy_vector(like, source, min(each, terms - term), out + (index * out_row + term) * size)
    else:
        for term in range(0, terms, each):
            for index in range(0, rows, each):
                transpose_block(
                    like, left + (index * row + term * step) * size, step, min(each, terms - term),
                    min(each, rows - index), out + (index * out_row + term) * size, out_row,
                )  # fmt: skip


@compiled_once(*((_A, _W, _W, _A, _A, _W, _W, _W, _W, kind, types.boolean) for kind in _FLOATS))
def _from_packed(
    left: int, left_row: int, left_step: int, panels: int, out: int, out_row: int, rows: int, columns: int, terms: int,
    scale: float, add: bool,
) -> None:  # fmt: skip
    """The product with a packed matrix, a block of `out` after the other, so that it stays in a cache meanwhile."""
    each = lanes(scale)
    size = VECTOR_BYTES // each
    vectors = (columns + each - 1) // each
    blocks = block_count(terms)
    gathered = columns >= GATHER_COLUMNS and rows > ROWS and (left_step != 1 or left_row * size % COMPETING == 0)
    length = ((terms + blocks - 1) // blocks + each - 1) // each * each
    height = block_rows(size)
    buffer = np.empty(((height + each) * length + each) * size if gathered else 0, np.uint8)
    own = _aligned(buffer)
    tiles = (rows + ROWS - 1) // ROWS
    stripes = (rows + height - 1) // height
    wholes = (vectors + VECTORS - 1) // VECTORS
    walls = (vectors + BLOCK_VECTORS - 1) // BLOCK_VECTORS  # each of several panels: no cut inside of 2 + 2 vectors
    for wall in range(walls):
        start = wholes * wall // walls * VECTORS
        wide = min(wholes * (wall + 1) // walls * VECTORS * each, columns) - start * each
        for stripe in range(stripes):
            row = tiles * stripe // stripes * ROWS
            high = min(tiles * (stripe + 1) // stripes * ROWS, rows) - row
            for block in range(blocks):
                first, last = terms * block // blocks, terms * (block + 1) // blocks
                source = left + (row * left_row + first * left_step) * size
                source_row, source_step = left_row, left_step
                if gathered:
                    _gather_left(source, source_row, source_step, high, last - first, own, length, scale)
                    source, source_row, source_step = own, length, 1
                panel = panels + (first * vectors + start * (last - first)) * VECTOR_BYTES
                _strip(
                    source, source_row, source_step, panel, 0, True,
                    out + row * out_row * size + start * VECTOR_BYTES, out_row, high, wide, last - first, scale,
                    add or block > 0,
                )  # fmt: skip
    _keep(buffer)


@compiled_once(*((_A, _W, _W, _A, _W, _W, types.boolean, _A, _W, _W, _W, _W, kind, types.boolean) for kind in _FLOATS))
def product(
    left: int, left_row: int, left_step: int, right: int, right_step: int, right_column: int, packed: bool,
    out: int, out_row: int, rows: int, columns: int, terms: int, scale: float, add: bool,
) -> None:  # fmt: skip
    """Compute out = scale left @ right, or out += that where `add`.

    Arguments: addresses of the first numbers; strides in numbers to the next row and to the next term of the left, to
    the next term and to the next column of the right matrix, to the next row of `out`; whether the right matrix was
    packed by `pack_all`; sizes; `scale` decides between float64 and float32.
    """
    if rows == 0 or columns == 0:
        return
    each = lanes(scale)
    size = VECTOR_BYTES // each
    if packed:
        _from_packed(left, left_row, left_step, right, out, out_row, rows, columns, terms, scale, add)
    elif right_column == 1 and (
        (rows <= ROWS or columns * terms * size <= DIRECT_BYTES) and (MASKED or columns % each == 0)
    ):
        blocks = block_count(terms)
        for block in range(blocks):
            first, last = terms * block // blocks, terms * (block + 1) // blocks
            _strip(
                left + first * left_step * size, left_row, left_step, right + first * right_step * size, right_step,
                False, out, out_row, rows, columns, last - first, scale, add or block > 0,
            )  # fmt: skip
    else:
        vectors = (columns + each - 1) // each
        most = min(vectors, max(VECTORS, PACKED_BYTES // (max(1, terms) * VECTOR_BYTES) // VECTORS * VECTORS))
        buffer = np.empty((most * terms + 1) * VECTOR_BYTES, np.uint8)
        panels = _aligned(buffer)
        for start in range(0, vectors, most):
            some = min(most * each, columns - start * each)
            source = right + start * each * right_column * size
            pack_all(source, right_step, right_column, some, terms, panels, scale)
            _from_packed(
                left, left_row, left_step, panels, out + start * VECTOR_BYTES, out_row, rows, some, terms, scale, add
            )
        _keep(buffer)
