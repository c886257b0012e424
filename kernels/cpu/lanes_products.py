"""Products of small matrices, one product per lane of a vector.

A matrix of many runs has three axes, (rows, columns, lanes): entry (i, k) is the vector of that entry of all runs. (A
factor that all runs share could be kept once and spread over the lanes as it is loaded; that was measured to save 25 to
30 % of a product for N = 6 to 8, less for others, and is not done: every cell may have a problem of its own.)

The output is filled tile by tile: the sums of up to `EDGE` x `EDGE` entries stay in registers while the loop over the
inner axis loads that many entries of each factor. Every entry is one chain of fused multiply-adds along the inner
axis, so that its bits depend neither on the tiles nor on the lane.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils

from ..arrays import Matrix
from ..compile import compiled
from .simd.expression import Expression, fma
from .simd.instruction import instruction
from .simd.memory import load, store
from .simd.vector_types import LANES64, vector_of

EDGE = 5 if LANES64 == 8 else 3
"""Rows and columns of the largest tile: with both factors' entries it fits into 32 or 16 registers."""

_Array = tuple[Any, Any, Any, Any]


def _tile_type(*arguments: Any) -> Any:
    arrays, integers = arguments[:-4], arguments[-4:]
    if not all(isinstance(array, types.Array) and array.layout == "C" for array in arrays):
        return None
    if not all(isinstance(integer, types.Integer) for integer in integers):
        return None
    return types.none, [*arrays, *[types.intp] * 4]


def _extent(array: _Array, axis: int) -> Any:
    context, builder, kind, value = array
    return builder.extract_value(context.make_array(kind)(context, builder, value).shape, axis)


def _entry(array: _Array, row: Any, column: Any) -> Expression:
    """Return the vector of an entry of the matrices of all runs."""
    loaded: Expression = _written(load)(array, _place(array, row, column))
    return loaded


def _place(array: _Array, row: Any, column: Any) -> Expression:
    builder = array[1]
    index = builder.add(builder.mul(row, _extent(array, 1)), column) if array[2].ndim == 3 else row
    return Expression(builder, builder.mul(index, _word(vector_of(array[2].dtype).lanes)))


def _written(function: Any) -> Callable[..., Any]:
    """Return the function that writes the instructions of an instruction."""
    write: Callable[..., Any] = function.__wrapped__
    return write


def _word(number: int) -> Any:
    return ir.Constant(ir.IntType(64), number)


def _write_tile(
    left: _Array, right: _Array, out: _Array, row: Expression, column: Expression, rows: int, columns: int,
    scales: _Array | None,
) -> None:  # fmt: skip
    """Write the loop over the inner axis for a tile of fixed size: scaled rows fill `out`, others are subtracted."""
    builder = row.builder
    kind = out[2]
    vector = ir.VectorType(out[0].get_data_type(kind.dtype), vector_of(kind.dtype).lanes)
    at_rows = [builder.add(row.value, _word(i)) for i in range(rows)]
    at_columns = [builder.add(column.value, _word(k)) for k in range(columns)]
    zero = ir.Constant(vector, [0.0] * vector.count)
    sums = [[cgutils.alloca_once_value(builder, zero) for _ in at_columns] for _ in at_rows]
    with cgutils.for_range(builder, _extent(right, 0)) as loop:
        factors = [_entry(right, loop.index, k) for k in at_columns]
        for i, total in zip(at_rows, sums, strict=True):
            entry = _entry(left, i, loop.index)
            for factor, place in zip(factors, total, strict=True):
                addend = Expression(builder, builder.load(place))
                builder.store(fma(entry, factor, addend).value, place)
    for i, total in zip(at_rows, sums, strict=True):
        for k, place in zip(at_columns, total, strict=True):
            result = Expression(builder, builder.load(place))
            result = _entry(out, i, k) - result if scales is None else result * _entry(scales, i, _word(0))
            _written(store)(out, _place(out, i, k), result)


def _tile(
    left: _Array, right: _Array, out: _Array, row: Expression, column: Expression, rows: Expression,
    columns: Expression, scales: _Array | None,
) -> None:  # fmt: skip
    """Write tiles of all sizes, and the choice among them."""
    builder = row.builder
    done = builder.append_basic_block("tile.done")
    size = builder.add(builder.mul(rows.value, _word(EDGE + 1)), columns.value)
    choice = builder.switch(size, done)
    for i in range(1, EDGE + 1):
        for k in range(1, EDGE + 1):
            block = builder.append_basic_block(f"tile.{i}.{k}")
            choice.add_case(_word(i * (EDGE + 1) + k), block)
            builder.position_at_end(block)
            _write_tile(left, right, out, row, column, i, k, scales)
            builder.branch(done)
    builder.position_at_end(done)


@instruction(_tile_type)
def _fill_tile(
    scales: _Array, left: _Array, right: _Array, out: _Array, row: Expression, column: Expression, rows: Expression,
    columns: Expression,
) -> None:  # fmt: skip
    """Set rows x columns entries of `out` from (row, column) on to those of diag(scales) left @ right."""
    _tile(left, right, out, row, column, rows, columns, scales)


@instruction(_tile_type)
def _subtract_tile(
    left: _Array, right: _Array, out: _Array, row: Expression, column: Expression, rows: Expression, columns: Expression
) -> None:
    """Subtract those of left @ right from rows x columns entries of `out` from (row, column) on."""
    _tile(left, right, out, row, column, rows, columns, None)


@compiled(inline=True)
def _piece(length: int, start: int) -> int:
    """Return the length of the next piece of an axis cut into as few and as equal pieces as `EDGE` allows."""
    pieces = (length - start + EDGE - 1) // EDGE
    return (length - start + pieces - 1) // pieces


@compiled()
def multiply_lanes(scales: Matrix, left: Matrix, right: Matrix, out: Matrix) -> None:
    """Fill out (a, c, lanes) with diag(scales) left (a, b, lanes) @ right (b, c, lanes); scales are (a, lanes).

    Cost: a b c vector multiply-adds.
    """
    row = 0
    while row < out.shape[0]:
        rows = _piece(out.shape[0], row)
        column = 0
        while column < out.shape[1]:
            columns = _piece(out.shape[1], column)
            _fill_tile(scales, left, right, out, row, column, rows, columns)
            column += columns
        row += rows


@compiled()
def subtract_product_lanes(left: Matrix, right: Matrix, out: Matrix) -> None:
    """Subtract left @ right from `out`; shapes and cost as in `multiply_lanes`."""
    row = 0
    while row < out.shape[0]:
        rows = _piece(out.shape[0], row)
        column = 0
        while column < out.shape[1]:
            columns = _piece(out.shape[1], column)
            _subtract_tile(left, right, out, row, column, rows, columns)
            column += columns
        row += rows
