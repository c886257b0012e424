"""Products of the Hessian with directions, for callers with many directions at one point.

Directions and images are transposed, (input, output): then all matrix products are of rows by a whole matrix, and the
members of a team share them by blocks of rows. The blocks depend on the problem only, so that the bits of the result
do not depend on the number of members.
"""

from __future__ import annotations

from typing import NamedTuple

from ..arrays import Labels, Matrix, Vector
from ..compile import compiled
from .compiled_once import compiled_once
from .curvature_rows import curvature_of_rows, softmax_of_rows
from .products import multiply, multiply_packed
from .synchrony import barrier

TOKENS = 252
"""Most tokens in a block, and as many where the outputs come from far: they are read once a block."""

_NEAR = 12_000
"""Numbers of outputs that stay in a cache; blocks are then so small that their scores do, too."""

_SCORES = 3000
_FEWEST = 27

LINES = 126
"""Rows of a (d, ...) matrix in a block."""


class Curvature(NamedTuple):
    """A point where the Hessian is applied, and room to do it in; all arrays are C-contiguous and writeable."""

    inputs: Matrix
    """(N, d), and transposed: the smaller set of embeddings meets the direction first."""
    inputs_across: Matrix
    outputs: Vector
    """(M, d), packed for products from the left, and transposed and packed."""
    outputs_across: Vector
    probability: Matrix
    """(N, M), the softmax of the scores."""
    origins: Labels
    """(N,), the most probable class of each token."""
    frequencies: Vector
    """(N,), of any scale."""
    rows: Matrix
    """(N, M), overwritten."""
    half: Matrix
    """(N, d) where there are no more tokens than classes, else (d, M); overwritten."""


@compiled()
def _blocks(size: int, block: int) -> int:
    return (size + block - 1) // block


@compiled()
def _tokens_in_block(n_classes: int, dim: int) -> int:
    if n_classes * dim > _NEAR:
        return TOKENS
    return min(TOKENS, max(_FEWEST, _SCORES // n_classes))


@compiled()
def take_probabilities(
    sync: Labels, member: int, members: int, curvature: Curvature, weights_across: Matrix, others: Vector
) -> bool:
    """Fill probability, origins and `others`, the sums of all but the largest probability, at weights W^T (d, d)."""
    if not _score(sync, member, members, curvature, weights_across, curvature.probability, False, others):
        return False
    return barrier(sync, members)


@compiled_once()
def _score(
    sync: Labels, member: int, members: int, curvature: Curvature, direction: Matrix, rows: Matrix, weigh: bool,
    others: Vector,
) -> bool:  # fmt: skip
    """Fill `rows` with the scores of a direction; make probabilities of them, or weigh them with those known."""
    n_tokens, n_classes = rows.shape
    dim = direction.shape[0]
    by_tokens = n_tokens <= n_classes
    half = curvature.half
    if not by_tokens:
        for block in range(member, _blocks(dim, LINES), members):
            lines = slice(block * LINES, min(dim, (block + 1) * LINES))
            multiply_packed(direction[lines], curvature.outputs_across, half[lines])
        if not barrier(sync, members):
            return False
    tokens = _tokens_in_block(n_classes, dim)
    for block in range(member, _blocks(n_tokens, tokens), members):
        first, last = block * tokens, min(n_tokens, (block + 1) * tokens)
        if by_tokens:
            multiply(curvature.inputs[first:last], direction, half[first:last])
            multiply_packed(half[first:last], curvature.outputs_across, rows[first:last])
        else:
            multiply(curvature.inputs[first:last], half, rows[first:last])
        if weigh:
            curvature_of_rows(curvature.probability, rows, first, last, curvature.origins, curvature.frequencies)
        else:
            softmax_of_rows(rows, first, last, curvature.origins, others)
        if by_tokens and weigh:
            multiply_packed(rows[first:last], curvature.outputs, half[first:last])
    return True


@compiled_once()
def apply_curvature(
    sync: Labels, member: int, members: int, curvature: Curvature, direction: Matrix, image: Matrix
) -> bool:
    """Fill `image` with (H V)^T from `direction`, V^T, both (d, d); return False where another member aborted.

    Cost: 4 N M d + 4 min(N, M) d^2 operations.
    """
    n_tokens, n_classes = curvature.probability.shape
    dim = direction.shape[0]
    if not _score(sync, member, members, curvature, direction, curvature.rows, True, curvature.frequencies):
        return False
    if not barrier(sync, members):
        return False
    half = curvature.half
    for block in range(member, _blocks(dim, LINES), members):
        lines = slice(block * LINES, min(dim, (block + 1) * LINES))
        if n_tokens <= n_classes:
            multiply(curvature.inputs_across[lines], half, image[lines])
        else:
            multiply(curvature.inputs_across[lines], curvature.rows, half[lines])
            multiply_packed(half[lines], curvature.outputs, image[lines])
    return barrier(sync, members)
