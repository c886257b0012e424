"""The point at which curvature is looked at: embeddings and probabilities laid out in one buffer for the products."""

from __future__ import annotations

import numpy as np

from ..arrays import Labels, Matrix, Vector
from ..compile import compiled
from .compiled_once import compiled_once
from .curvature_product import Curvature, take_probabilities
from .products import pack, pack_transposed, packed_size
from .synchrony import barrier

_TILE = 16
_ALIGNED = 16  # numbers
_FEW = 4096  # numbers; to find the address takes a microsecond


def point_room(n_tokens: int, n_classes: int, dim: int) -> int:
    """Return how many numbers `point_of` takes from its buffer."""
    panels = (n_classes + 64) * dim + n_classes * (dim + 64) + 128
    half = min(n_tokens, n_classes) * dim
    tokens = 2 * n_tokens * dim + 2 * n_tokens * n_classes + 2 * n_tokens
    return panels + half + tokens + 2 * dim * dim + 16 * _ALIGNED


def new_buffer(size: int, dtype: np.dtype[np.floating]) -> Vector:
    """Return uninitialised numbers that start at a multiple of 64 bytes, unless they are few."""
    if size <= _FEW:
        return np.empty(size, dtype)
    spare = 64 // dtype.itemsize
    buffer = np.empty(size + spare, dtype)
    start = -buffer.__array_interface__["data"][0] % 64 // dtype.itemsize
    return buffer[start : start + size]


@compiled()
def take(buffer: Vector, place: int, rows: int, columns: int) -> tuple[Matrix, int]:
    """Return a matrix in the buffer, and the place after it."""
    after = place + (rows * columns + _ALIGNED - 1) // _ALIGNED * _ALIGNED
    return buffer[place : place + rows * columns].reshape((rows, columns)), after


@compiled_once()
def copy_both(source: Matrix, straight: Matrix, across: Matrix, member: int, members: int) -> None:
    """Copy the member's rows of a matrix, and transpose them."""
    rows, columns = source.shape
    for first in range(member * _TILE, rows, members * _TILE):
        last = min(rows, first + _TILE)
        for begin in range(0, columns, _TILE):
            for i in range(first, last):
                for j in range(begin, min(columns, begin + _TILE)):
                    straight[i, j] = source[i, j]
                    across[j, i] = source[i, j]


@compiled_once()
def curvature_in(
    buffer: Vector, place: int, n_tokens: int, n_classes: int, dim: int, outputs: Vector, outputs_across: Vector,
    origins: Labels,
) -> tuple[Curvature, int]:  # fmt: skip
    """Return an unfilled point in the buffer, with given outputs, and the place after it."""
    inputs, place = take(buffer, place, n_tokens, dim)
    inputs_across, place = take(buffer, place, dim, n_tokens)
    probability, place = take(buffer, place, n_tokens, n_classes)
    rows, place = take(buffer, place, n_tokens, n_classes)
    frequencies, place = take(buffer, place, 1, n_tokens)
    if n_tokens <= n_classes:
        half, place = take(buffer, place, n_tokens, dim)
    else:
        half, place = take(buffer, place, dim, n_classes)
    point = Curvature(inputs, inputs_across, outputs, outputs_across, probability, origins, frequencies[0], rows, half)
    return point, place


@compiled_once()
def point_of(
    sync: Labels, member: int, members: int, weights: Matrix, inputs: Matrix, outputs: Matrix, frequencies: Vector,
    buffer: Vector, origins: Labels,
) -> tuple[bool, Curvature, Vector, int]:  # fmt: skip
    """Return False if another member aborted, the point, its curvatures sum_(z != k) P_xz, and the place after them.

    `buffer` holds `point_room` numbers and `origins` one integer a token.
    """
    n_tokens, dim = inputs.shape
    n_classes = outputs.shape[0]
    panels, place = take(buffer, 0, 1, packed_size(n_classes, dim, weights))
    panels_across, place = take(buffer, place, 1, packed_size(dim, n_classes, weights))
    others, place = take(buffer, place, 1, n_tokens)
    square, place = take(buffer, place, dim, dim)
    weights_across, place = take(buffer, place, dim, dim)
    point, place = curvature_in(buffer, place, n_tokens, n_classes, dim, panels[0], panels_across[0], origins)
    copy_both(inputs, point.inputs, point.inputs_across, member, members)
    copy_both(weights, square, weights_across, member, members)
    if member == 0:
        pack(outputs, point.outputs)
        for token in range(n_tokens):
            point.frequencies[token] = frequencies[token]
    if member == members - 1:
        pack_transposed(outputs, point.outputs_across)
    going = barrier(sync, members) and take_probabilities(sync, member, members, point, weights_across, others[0])
    return going, point, others[0], place
