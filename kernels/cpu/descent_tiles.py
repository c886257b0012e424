"""Tiles of tokens: their scores a block of classes at a time, and D = Q U, so that no (N, M) array is kept.

Q = diag(w) (softmax(S) - Y) is the residual. Tiles have a size that the problem alone decides: which member of a team
computes a tile changes no bit.
"""

from __future__ import annotations

import numpy as np

from ..arrays import Labels, Matrix, Vector
from ..compile import compiled
from .compiled_once import compiled_once
from .descent_arguments import Memory, Rows, Scratch, Sizes
from .descent_few import FEW, residual_of_few
from .descent_rows import add_classes, end_rows, residual_of_pulled, residual_of_rows
from .products import multiply_add_packed, multiply_packed, pack, pack_transposed, packed_size


@compiled(inline=True)
def count_tiles(length: int, tile: int) -> int:
    """Return how many tiles cover a length."""
    return (length + tile - 1) // tile


@compiled(inline=True)
def chosen_row(step: int, rows: int) -> int:
    """Return the row of an array that has a row a step, or one row for all steps."""
    return step if step < rows else rows - 1


@compiled(inline=True)
def front(work: Matrix, member: int, rows: int, columns: int) -> Matrix:
    """Return the front of a member's work array as a matrix."""
    return work[member, : rows * columns].reshape((rows, columns))


@compiled()
def packed_across(outputs: Matrix, columns: int) -> Vector:
    """Return U^T in blocks of columns, packed for products."""
    n_classes, dim = outputs.shape
    size = packed_size(dim, columns, outputs)
    panels = np.zeros(count_tiles(n_classes, columns) * size, outputs.dtype)
    for start in range(0, n_classes, columns):
        pack_transposed(outputs[start : start + columns], panel(panels, start // columns, size))
    return panels


@compiled()
def packed_along(outputs: Matrix, columns: int) -> Vector:
    """Return U in blocks of rows, packed for products."""
    n_classes, dim = outputs.shape
    size = packed_size(columns, dim, outputs)
    panels = np.zeros(count_tiles(n_classes, columns) * size, outputs.dtype)
    for start in range(0, n_classes, columns):
        pack(outputs[start : start + columns], panel(panels, start // columns, size))
    return panels


@compiled(inline=True)
def panel(panels: Vector, number: int, size: int) -> Vector:
    """Return one of the packed blocks."""
    return panels[number * size : (number + 1) * size]


@compiled_once()
def pull(
    points: Matrix, memory: Memory, sizes: Sizes, targets: Labels, weights: Vector, rows: Rows, first: int,
    looked: bool, scores: Matrix, member: int, out: Matrix, products: bool,
) -> bool:  # fmt: skip
    """Fill D = Q U for a tile of tokens with W e = `points` (tokens, d); return whether all scores are finite.

    The rows of `rows` from `first` on are filled. Without `products` that is all, and `out` is left alone.
    Cost: 4 M d operations a token, or 2, and M exponentials.
    """
    count, dim = points.shape
    n_classes = memory.outputs.shape[0]
    if n_classes <= FEW:
        residual = front(scores, member, count, n_classes)
        multiply_packed(points, memory.outputs_across, residual)
        if not residual_of_few(residual, targets, weights, rows, first, looked):
            return False
        if products:
            multiply_packed(residual, memory.outputs_along, out)
        return True
    for number in range(count_tiles(n_classes, sizes.columns)):
        start = number * sizes.columns
        block = front(scores, member, count, min(sizes.columns, n_classes - start))
        multiply_packed(points, panel(memory.outputs_across, number, packed_size(dim, sizes.columns, block)), block)
        if not add_classes(block, start, targets, rows, first, looked, out):
            return False
        if products:
            along = panel(memory.outputs_along, number, packed_size(sizes.columns, dim, block))
            if start == 0:
                multiply_packed(block, along, out)
            else:
                multiply_add_packed(1.0, block, along, out)
    end_rows(targets, weights, rows, first, looked)
    if products:
        residual_of_pulled(out, memory.outputs, targets, rows, first)
    return True


@compiled_once()
def residual_tile(scores: Matrix, targets: Labels, weights: Vector, rows: Rows, first: int, looked: bool) -> bool:
    """Replace a tile of scores (tokens, M) by Q; return whether all scores are finite. Cost: M exponentials a token."""
    if scores.shape[1] <= FEW:
        return residual_of_few(scores, targets, weights, rows, first, looked)
    if not add_classes(scores, 0, targets, rows, first, looked, scores[:0]):
        return False
    end_rows(targets, weights, rows, first, looked)
    residual_of_rows(scores, targets, rows, first)
    return True


@compiled(inline=True)
def gather(memory: Memory, batch: Labels, first: int, scratch: Scratch, out: Matrix) -> None:
    """Fill a tile with the inputs of a batch, their columns of the transposed inputs, and their targets."""
    for row in range(out.shape[0]):
        token = batch[first + row]
        scratch.drawn[first + row] = memory.targets[token]
        for column in range(out.shape[1]):
            out[row, column] = memory.inputs[token, column]
            scratch.gathered[column, first + row] = memory.inputs[token, column]
