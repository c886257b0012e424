"""Matrix products for compiled code: float64 or float32, C-contiguous, any sizes, no BLAS and no threads of its own.

Operands are whole arrays or blocks of their rows (``a[i:j]``). Each element of a result is summed in an order that
depends on the number of its terms alone: rows or columns may be divided among calls and threads, or the right operand
packed, and no bit changes. `out` must not share memory with the operands. Shapes are not checked.

A right operand that is used again and again is packed once:

>>> import numpy as np
>>> from traindyn.kernels.compile import compiled
>>> from traindyn.kernels.cpu.products import multiply_packed, packed
>>> @compiled()
... def both(a, b, c):
...     panels = packed(c)
...     first, second = np.empty((a.shape[0], c.shape[1])), np.empty((b.shape[0], c.shape[1]))
...     multiply_packed(a, panels, first)
...     multiply_packed(b, panels, second)
...     return first, second
>>> both(np.eye(2), 2 * np.eye(2), np.ones((2, 3)))[1]
array([[2., 2., 2.],
       [2., 2., 2.]])
"""

from __future__ import annotations

import numpy as np

from ..arrays import Matrix, Vector
from ..compile import compiled
from .products_blocks import DIRECT_BYTES, VECTOR_BYTES, pack_all, pack_part, product
from .products_tile import ROWS
from .simd import lanes

HEIGHT = ROWS
"""Rows of a register tile: blocks of a multiple of it are the fastest, by little beyond 5 tiles."""


@compiled()
def multiply(left: Matrix, right: Matrix, out: Matrix) -> None:
    """Fill `out` (a, c) with left (a, b) @ right (b, c). Cost: 2 a b c operations, about 15 ns more."""
    one = left.dtype.type(1)
    product(
        left.ctypes.data, left.shape[1], 1, right.ctypes.data, right.shape[1], 1, False,
        out.ctypes.data, out.shape[1], out.shape[0], out.shape[1], left.shape[1], one, False,
    )  # fmt: skip


@compiled()
def multiply_add(scale: float, left: Matrix, right: Matrix, out: Matrix) -> None:
    """Add scale * left (a, b) @ right (b, c) to `out` (a, c). Cost: 2 a b c operations."""
    product(
        left.ctypes.data, left.shape[1], 1, right.ctypes.data, right.shape[1], 1, False,
        out.ctypes.data, out.shape[1], out.shape[0], out.shape[1], left.shape[1], left.dtype.type(scale), True,
    )  # fmt: skip


@compiled()
def multiply_left_transposed(left: Matrix, right: Matrix, out: Matrix) -> None:
    """Fill `out` (a, c) with left^T @ right for left (b, a), right (b, c). Cost: 2 a b c operations."""
    one = left.dtype.type(1)
    product(
        left.ctypes.data, 1, left.shape[1], right.ctypes.data, right.shape[1], 1, False,
        out.ctypes.data, out.shape[1], out.shape[0], out.shape[1], left.shape[0], one, False,
    )  # fmt: skip


@compiled()
def multiply_add_left_transposed(scale: float, left: Matrix, right: Matrix, out: Matrix) -> None:
    """Add scale * left^T @ right to `out` (a, c) for left (b, a), right (b, c). Cost: 2 a b c operations."""
    product(
        left.ctypes.data, 1, left.shape[1], right.ctypes.data, right.shape[1], 1, False,
        out.ctypes.data, out.shape[1], out.shape[0], out.shape[1], left.shape[0], left.dtype.type(scale), True,
    )  # fmt: skip


@compiled()
def multiply_right_transposed(left: Matrix, right: Matrix, out: Matrix) -> None:
    """Fill `out` (a, c) with left @ right^T for left (a, b), right (c, b).

    Cost: 2 a b c operations and a transposition of `right`, worth about 20 rows of `left`.
    """
    one = left.dtype.type(1)
    product(
        left.ctypes.data, left.shape[1], 1, right.ctypes.data, 1, right.shape[1], False,
        out.ctypes.data, out.shape[1], out.shape[0], out.shape[1], left.shape[1], one, False,
    )  # fmt: skip


@compiled()
def multiply_add_right_transposed(scale: float, left: Matrix, right: Matrix, out: Matrix) -> None:
    """Add scale * left @ right^T to `out` (a, c) for left (a, b), right (c, b).

    Cost: as `multiply_right_transposed`.
    """
    product(
        left.ctypes.data, left.shape[1], 1, right.ctypes.data, 1, right.shape[1], False,
        out.ctypes.data, out.shape[1], out.shape[0], out.shape[1], left.shape[1], left.dtype.type(scale), True,
    )  # fmt: skip


@compiled()
def packed(right: Matrix) -> Vector:
    """Return right (b, c) in the order in which products read it, for `multiply_packed`. Cost: one copy."""
    panels = np.empty(packed_size(right.shape[0], right.shape[1], right), right.dtype)
    pack(right, panels)
    return panels


@compiled()
def packed_transposed(right: Matrix) -> Vector:
    """Return right^T in the order in which products read it, for right (c, b). Cost: one transposition."""
    panels = np.empty(packed_size(right.shape[1], right.shape[0], right), right.dtype)
    pack_transposed(right, panels)
    return panels


@compiled()
def packed_size(terms: int, columns: int, like: Matrix) -> int:
    """Return the length of the array that holds a packed matrix (terms, columns) of the numbers of `like`."""
    each = lanes(like)
    return int((terms * ((columns + each - 1) // each) + 1) * each)


@compiled()
def pack(right: Matrix, panels: Vector) -> None:
    """Pack right (b, c) into an array of length `packed_size`."""
    one = right.dtype.type(1)
    pack_all(right.ctypes.data, right.shape[1], 1, right.shape[1], right.shape[0], _start(panels), one)


@compiled()
def pack_rows(right: Matrix, first: int, terms: int, panels: Vector) -> None:
    """Pack rows first, ... of a matrix of `terms` rows: `right` holds these, `panels` is for the whole matrix.

    Members of a team fill a packed matrix together, each with rows of its own.
    """
    one = right.dtype.type(1)
    last = first + right.shape[0]
    pack_part(right.ctypes.data, right.shape[1], right.shape[1], first, last, terms, _start(panels), one)


@compiled()
def pack_transposed(right: Matrix, panels: Vector) -> None:
    """Pack right^T for right (c, b) into an array of length `packed_size`."""
    one = right.dtype.type(1)
    pack_all(right.ctypes.data, 1, right.shape[1], right.shape[0], right.shape[1], _start(panels), one)


@compiled()
def multiply_packed(left: Matrix, panels: Vector, out: Matrix) -> None:
    """Fill `out` (a, c) with left (a, b) @ right, packed. Cost: 2 a b c operations."""
    one = left.dtype.type(1)
    product(
        left.ctypes.data, left.shape[1], 1, _start(panels), 0, 0, True,
        out.ctypes.data, out.shape[1], out.shape[0], out.shape[1], left.shape[1], one, False,
    )  # fmt: skip


@compiled()
def multiply_add_packed(scale: float, left: Matrix, panels: Vector, out: Matrix) -> None:
    """Add scale * left (a, b) @ right, packed, to `out` (a, c). Cost: 2 a b c operations."""
    product(
        left.ctypes.data, left.shape[1], 1, _start(panels), 0, 0, True,
        out.ctypes.data, out.shape[1], out.shape[0], out.shape[1], left.shape[1], left.dtype.type(scale), True,
    )  # fmt: skip


def packed_length(terms: int, columns: int, bytes_each: int) -> int:
    """Return the length of the array for a right matrix (terms, columns) that is packed once for many products.

    It is 0 where products had better read the matrix as it is.

    >>> packed_length(256, 256, 8), packed_length(1000, 256, 8) >= 256_000
    (0, True)
    """
    each = VECTOR_BYTES // bytes_each
    return (terms * -(-columns // each) + 1) * each if terms * columns * bytes_each > DIRECT_BYTES else 0


@compiled(inline=True)
def _start(panels: Vector) -> int:
    """Return the first address in the array that is a multiple of the vector's size."""
    return (panels.ctypes.data + np.uint64(VECTOR_BYTES - 1)) // np.uint64(VECTOR_BYTES) * np.uint64(VECTOR_BYTES)  # type: ignore[return-value]
