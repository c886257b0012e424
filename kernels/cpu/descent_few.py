"""Rows of a few classes in a tile of tokens: the tile is gone through three times, not each row on its own.

Largest scores and sums of so few numbers are taken one by one; the exponentials of all tokens lie next to each other
in memory and fill whole vectors.
"""

from __future__ import annotations

import math

from ..arrays import Labels, Matrix, Vector
from ..compile import compiled
from .compiled_once import compiled_once
from .descent_arguments import Rows
from .simd import exp, lanes, load, load_first, splat, store, store_first, sum_lanes

FEW = 8
"""Classes up to which this is faster than vectors along each row."""


@compiled(inline=True)
def _all_finite(block: Matrix) -> bool:
    size, width = block.size, lanes(block)
    zero = splat(block.dtype.type(0))
    seen = zero
    whole = size - size % width
    for place in range(0, whole, width):
        seen = seen + load(block, place) * zero
    if whole < size:
        seen = seen + load_first(block, whole, size - whole, block.dtype.type(0)) * zero
    return float(sum_lanes(seen)) == 0.0


@compiled(inline=True)
def _exponentiate(block: Matrix) -> None:
    size, width = block.size, lanes(block)
    whole = size - size % width
    for place in range(0, whole, width):
        store(block, place, exp(load(block, place)))
    if whole < size:
        store_first(block, whole, size - whole, exp(load_first(block, whole, size - whole, block.dtype.type(0))))


@compiled(inline=True)
def _shift(block: Matrix, targets: Labels, sums: Rows, first: int, looked: bool) -> None:
    """Subtract the largest score of each row from it, and keep what is asked of the row."""
    count = block.shape[1]
    for row in range(block.shape[0]):
        target = targets[row]
        right = block[row, target]
        best, place = block.dtype.type(-math.inf), 0
        for column in range(count):
            score = block[row, column]
            if column != target and score > best:
                best, place = score, column
        largest = right if right > best else best
        for column in range(count):
            block[row, column] -= largest
        if looked:
            token = first + row
            sums.right[token], sums.best[token], sums.place[token] = right, best, place


@compiled_once()
def residual_of_few(scores: Matrix, targets: Labels, weights: Vector, rows: Rows, first: int, looked: bool) -> bool:
    """Replace a tile of scores (tokens, M) by Q, for few classes; return whether all scores are finite.

    Where `looked` is set, fill each token's loss and margin, and whether the target comes first. Cost: M exponentials
    a token.
    """
    if not _all_finite(scores):
        return False
    _shift(scores, targets, rows, first, looked)
    _exponentiate(scores)
    for row in range(scores.shape[0]):
        target = targets[row]
        own = float(scores[row, target])
        scores[row, target] = 0
        wrong = 0.0
        for column in range(scores.shape[1]):
            wrong += scores[row, column]
        total = wrong + own
        factor = weights[row] / total
        scale = scores.dtype.type(factor)
        for column in range(scores.shape[1]):
            scores[row, column] *= scale
        scores[row, target] = -scale * scores.dtype.type(wrong)
        if looked:
            token = first + row
            right, best = rows.right[token], rows.best[token]
            # learned: log1p keeps a small loss; not learned: two terms >= 0, nothing to cancel
            rows.losses[token] = math.log1p(wrong) if right >= best else math.log(total) + (best - right)
            rows.margins[token] = right - best
            first_of_all = right > best or (right == best and target < rows.place[token])
            rows.firsts[token] = 1.0 if first_of_all else 0.0
    return True
