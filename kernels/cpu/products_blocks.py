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

TERMS = 192
"""Most terms of a sum in one block: a panel of that length, 36 KB with vectors of 512 bits, fits the first cache."""

BLOCK_ROWS = 28 * 9
"""Rows of the left that pass over the panels together: of TERMS float64 they fill half of a second cache of 1 MB."""

BLOCK_VECTORS = 86 * VECTORS
"""Columns that are packed at once, in vectors: 3 MB with vectors of 512 bits."""

DIRECT_BYTES = 600_000
"""Right matrices up to this size are not packed for products of many rows."""

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


@compiled_once(*((_A, _W, _W, _W, _W, _A, kind) for kind in _FLOATS))
def _pack(right: int, step: int, column: int, columns: int, terms: int, out: int, like: float) -> None:
    """Copy a block of terms into panels; `step` and `column` are the strides of the right matrix, in numbers."""
    each = lanes(like)
    size = VECTOR_BYTES // each
    vectors = (columns + each - 1) // each
    start = 0
    while start < vectors:
        width = _width(vectors - start)
        panel = out + start * VECTOR_BYTES * terms
        if column == 1:
            for term in range(terms):
                source = right + term * step * size + start * VECTOR_BYTES
                for vector in range(width):
                    count = min(each, columns - (start + vector) * each)
                    target = panel + (term * width + vector) * VECTOR_BYTES
                    copy_vector(like, source + vector * VECTOR_BYTES, count, target)
        else:
            for vector in range(width):
                first = (start + vector) * each
                count = min(each, columns - first)
                for term in range(0, terms, each):
                    transpose_block(
                        like, right + (first * column + term) * size, column, count, min(each, terms - term),
                        panel + (term * width + vector) * VECTOR_BYTES, width * each,
                    )  # fmt: skip
        start += width


@compiled_once(*((_A, _W, _W, _W, _W, _A, kind) for kind in _FLOATS))
def pack_all(right: int, step: int, column: int, columns: int, terms: int, out: int, like: float) -> None:
    """Pack a whole right matrix, block of terms after block; `out` holds terms * (columns, filled up) numbers."""
    size = VECTOR_BYTES // lanes(like)
    vectors = (columns + lanes(like) - 1) // lanes(like)
    blocks = block_count(terms)
    for block in range(blocks):
        first, last = terms * block // blocks, terms * (block + 1) // blocks
        _pack(right + first * step * size, step, column, columns, last - first, out + first * vectors * VECTOR_BYTES, like)


@compiled()
def _from_packed(
    left: int, left_row: int, left_step: int, panels: int, term_bytes: int, out: int, out_row: int,
    rows: int, columns: int, terms: int, blocks: int, from_block: int, to_block: int, scale: float, add: bool,
) -> None:  # fmt: skip
    """Some blocks of terms with packed panels, `term_bytes` for each term, a block of rows after the other."""
    size = VECTOR_BYTES // lanes(scale)
    for block in range(from_block, to_block):
        first, last = terms * block // blocks, terms * (block + 1) // blocks
        for row in range(0, rows, BLOCK_ROWS):
            _strip(
                left + (row * left_row + first * left_step) * size, left_row, left_step, panels + first * term_bytes, 0,
                True, out + row * out_row * size, out_row, min(BLOCK_ROWS, rows - row), columns, last - first, scale,
                add or block > 0,
            )  # fmt: skip


@compiled(inline=True)
def _aligned(buffer: Vector) -> int:
    """Return the first address in a buffer that is a multiple of the vector's size."""
    return (buffer.ctypes.data + np.uint64(VECTOR_BYTES - 1)) // np.uint64(VECTOR_BYTES) * np.uint64(VECTOR_BYTES)  # type: ignore[no-any-return]


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
    vectors = (columns + each - 1) // each
    blocks = block_count(terms)
    if packed:
        _from_packed(
            left, left_row, left_step, right, vectors * VECTOR_BYTES, out, out_row, rows, columns, terms, blocks, 0, blocks,
            scale, add,
        )  # fmt: skip
    elif right_column == 1 and (
        (rows <= ROWS or columns * terms * size <= DIRECT_BYTES) and (MASKED or columns % each == 0)
    ):
        for block in range(blocks):
            first, last = terms * block // blocks, terms * (block + 1) // blocks
            _strip(
                left + first * left_step * size, left_row, left_step, right + first * right_step * size, right_step, False,
                out, out_row, rows, columns, last - first, scale, add or block > 0,
            )  # fmt: skip
    else:
        most = min(vectors, BLOCK_VECTORS)
        longest = (terms + blocks - 1) // blocks
        buffer = np.empty(most * longest * VECTOR_BYTES + VECTOR_BYTES, np.uint8)
        panels = _aligned(buffer)
        for start in range(0, vectors, most):
            some = min(most * each, columns - start * each)
            for block in range(blocks):
                first, last = terms * block // blocks, terms * (block + 1) // blocks
                source = right + (first * right_step + start * each * right_column) * size
                _pack(source, right_step, right_column, some, last - first, panels, scale)
                _from_packed(
                    left, left_row, left_step, panels - first * ((some + each - 1) // each) * VECTOR_BYTES,
                    (some + each - 1) // each * VECTOR_BYTES, out + start * VECTOR_BYTES, out_row, rows, some, terms,
                    blocks, block, block + 1, scale, add,
                )  # fmt: skip
