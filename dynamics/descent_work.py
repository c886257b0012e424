"""How a step of descent is cut into tiles, and the arrays that it works in.

The cut depends on the problem alone, never on the number of threads, so that no result does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..kernels.cpu.descent_arguments import Memory, Rows, Scratch, Sizes

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .associative_memory import AssociativeMemory

_REGISTERS = 9  # rows that the matrix product keeps in registers
_TILE = 72  # tokens
_WIDE, _WIDE_TILE = 512, 216  # dimension from which on outputs come from memory: read for so many tokens at a time
_COLUMNS = 1024  # classes: a tile of scores stays in the second cache
_HEIGHT = 128  # rows of a square matrix
_STRIP = 64
_SHARED = 4  # many parts are a multiple of it
_TILES, _FEWEST_TOKENS = 8, 45  # a small problem is cut into up to so many tiles of at least so many tokens
_BLOCKS, _FEWEST_ROWS = 4, 30  # and its weights into so many blocks of rows; below, products get slower

# classes up to which, where they are fewer than the tokens, the weights are applied to the outputs
_CLASSES_PER_DIMENSION = 4


def goes_by_class(n_tokens: int, n_classes: int, dim: int) -> bool:
    """Return whether W^T U^T is formed, so that d^2 operations are spent on each class in place of each token.

    >>> goes_by_class(1000, 10, 64), goes_by_class(1000, 1000, 256)
    (True, False)
    """
    return n_classes < n_tokens and n_classes <= _CLASSES_PER_DIMENSION * dim


def _part(length: int, largest: int, parts: int, fewest: int) -> int:
    """Return the rows of an even cut into at least `parts`, if those are not tiny; of many, whole registers."""
    parts = max(-(-length // largest), min(parts, length // fewest), 1)
    if parts > _TILES:  # members share them evenly
        parts = -(-parts // _SHARED) * _SHARED
    rows = -(-length // parts)
    # of few parts an uneven one would keep members waiting
    return max(1, rows if parts <= _TILES else min(length, -(-rows // _REGISTERS) * _REGISTERS))


def sizes_of(n_tokens: int, n_classes: int, dim: int, whole_rows: bool) -> Sizes:
    """Return the cut of a problem; `whole_rows` of scores where they are kept.

    >>> sizes_of(1000, 100_000, 64, False)
    Sizes(tile=63, columns=1024, height=32)
    """
    columns = n_classes if whole_rows else min(n_classes, _COLUMNS)
    tile = _part(n_tokens, _TILE if dim < _WIDE else _WIDE_TILE, _TILES, _FEWEST_TOKENS)
    return Sizes(tile, columns, _part(dim, _HEIGHT, _BLOCKS, _FEWEST_ROWS))


def scratch_numbers(sizes: Sizes, n_tokens: int, n_classes: int, dim: int, width: int, batch: int) -> tuple[int, ...]:
    """Return the lengths of a member's work arrays: scores, points, batch, half-way products."""
    scores = max(sizes.tile * sizes.columns, sizes.height * max(dim, width))
    products = max(sizes.height, sizes.tile) * max(min(n_classes, n_tokens), dim, batch)
    return scores, sizes.tile * dim, sizes.tile * max(dim, width) if batch else 0, products


def packed_numbers(n_tokens: int, n_classes: int, dim: int, batch: int, dtype: str) -> tuple[int, int]:
    """Return the lengths of D or Q and of W^T, packed; 0 where products read them as they are."""
    from ..kernels.cpu.products import packed_length

    by_class, each = goes_by_class(n_tokens, n_classes, dim), np.dtype(dtype).itemsize
    pulled = packed_length(batch or n_tokens, n_classes if by_class else dim, each)
    return pulled, 0 if by_class else packed_length(dim, dim, each)


def scratch_of(
    sizes: Sizes, n_tokens: int, n_classes: int, dim: int, width: int, batch: int, threads: int, dtype: str,
    packed: tuple[int, int] = (0, 0),
) -> Scratch:  # fmt: skip
    """Return the work arrays of a team of up to `threads` members, with D or Q of a `width`, and `packed` numbers."""
    lengths = scratch_numbers(sizes, n_tokens, n_classes, dim, width, batch)
    scores, points, drawn, products = (np.empty((threads, length), dtype) for length in lengths)
    pulled_packed, weights_packed = (np.empty(length, dtype) for length in packed)
    return Scratch(
        scores, points, drawn, products, np.empty((batch or n_tokens, width), dtype),
        pulled_packed, weights_packed, np.empty((dim, batch), dtype),
        np.empty(batch, np.int64), np.full(batch, 1.0 / batch if batch else 0.0),
    )  # fmt: skip


def rows_of(n_tokens: int, batch: int, tile: int) -> Rows:
    """Return the arrays of what is known of each token."""
    length = n_tokens + batch
    largest, wrong, right, best, losses, margins, firsts = (np.empty(length) for _ in range(7))
    flags = np.zeros(-(-n_tokens // tile) - (-batch // tile), np.int64)
    return Rows(
        largest, wrong, right, best, np.zeros(length, np.int64), losses, margins, firsts, flags, np.zeros(1, np.int64)
    )  # fmt: skip


def memory_of(problem: AssociativeMemory, sizes: Sizes, dtype: str, packs: bool) -> Memory:
    """Return the arrays of a problem in the order in which the loops read them."""
    from ..kernels.cpu.descent_tiles import packed_across, packed_along

    inputs, outputs = constant(problem.inputs, dtype), constant(problem.outputs, dtype)
    transposed = constant(_transposed(inputs), dtype)
    if packs:
        across, along = packed_across(outputs, sizes.columns), packed_along(outputs, sizes.columns)
    else:
        across = along = np.empty(0, dtype)
    return Memory(inputs, transposed, outputs, across, along, problem.targets, problem.frequencies)


def _transposed(matrix: NDArray[Any]) -> NDArray[Any]:
    """Return a copy of the transpose, made strip by strip: lines of memory are then read once, not once a number."""
    result = np.empty(matrix.shape[::-1], matrix.dtype)
    for first in range(0, matrix.shape[0], _STRIP):
        strip = slice(first, first + _STRIP)
        result[:, strip] = matrix[strip].T
    return result


def constant(array: NDArray[Any], dtype: str) -> NDArray[Any]:
    """Return a read-only array of the state's dtype: compiled code then sees one type."""
    fixed = np.ascontiguousarray(array, dtype=dtype)
    if fixed.flags.writeable:
        fixed = fixed.view()
        fixed.flags.writeable = False
    return fixed
