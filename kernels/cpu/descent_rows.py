"""Rows of scores in a tile of tokens: exponentials and sums over a block of classes, and what follows from them.

A row may come in blocks of classes. The largest score so far is kept, and what was summed is rescaled when a later
block has a larger one. The target is left out of the sum of the wrong classes, so that no probability is obtained as
one minus another: loss and residual of a well learned token keep their relative precision.
"""

from __future__ import annotations

import math

from ..arrays import Labels, Matrix, Vector
from ..compile import compiled
from .compiled_once import compiled_once
from .descent_arguments import Rows
from .simd import (
    exp,
    exp_bounded,
    first_lanes,
    lane_numbers,
    lanes,
    load,
    load_first,
    max_lanes,
    maximum,
    min_lanes,
    minimum,
    select,
    splat,
    store,
    store_first,
    sum_lanes,
)  # fmt: skip

# differences above which the quick exponential may be used: it never gets below e^-708, in float32 e^-87
_QUICK = {8: -600.0, 4: -60.0}
_QUICK_64, _QUICK_32 = _QUICK[8], _QUICK[4]


@compiled(inline=True)
def _extremes(block: Matrix, row: int, place: int, some: float) -> tuple[float, float]:
    """Return the largest and smallest of a row with `some` in the place of the target; a NaN may go unseen."""
    count, width = block.shape[1], lanes(block)
    start, other = row * count, splat(block.dtype.type(some))
    largest, smallest, numbers = other, other, lane_numbers(other)
    whole = count - count % width
    for column in range(0, whole, width):
        x = select(numbers == place - column, other, load(block, start + column))
        largest = maximum(largest, x)
        smallest = minimum(smallest, x)
    if whole < count:
        x = load_first(block, start + whole, count - whole, block.dtype.type(some))
        x = select(numbers == place - whole, other, x)
        largest = maximum(largest, x)
        smallest = minimum(smallest, x)
    return max_lanes(largest), min_lanes(smallest)


@compiled(inline=True)
def _exponentials(block: Matrix, row: int, place: int, largest: float, quick: bool) -> float:
    """Replace a row by exp(x - largest), in the place of the target by 0, and return its sum."""
    count, width = block.shape[1], lanes(block)
    start = row * count
    zero, shift = splat(block.dtype.type(0)), splat(block.dtype.type(largest))
    total, numbers = zero, lane_numbers(zero)
    whole = count - count % width
    rest = count - whole
    if quick:
        for column in range(0, whole, width):
            weight = exp_bounded(load(block, start + column) - shift)
            weight = select(numbers == place - column, zero, weight)
            store(block, start + column, weight)
            total = total + weight
    else:
        for column in range(0, whole, width):
            weight = exp(load(block, start + column) - shift)
            weight = select(numbers == place - column, zero, weight)
            store(block, start + column, weight)
            total = total + weight
    if rest:
        x = load_first(block, start + whole, rest, block.dtype.type(largest)) - shift
        weight = exp_bounded(x) if quick else exp(x)
        weight = select(numbers == place - whole, zero, select(first_lanes(weight, rest), weight, zero))
        store_first(block, start + whole, rest, weight)
        total = total + weight
    return float(sum_lanes(total))


@compiled(inline=True)
def scale_row(array: Matrix, row: int, factor: float) -> None:
    """Multiply a row by a number."""
    scale = array.dtype.type(factor)
    for column in range(array.shape[1]):
        array[row, column] *= scale


@compiled_once()
def add_classes(
    block: Matrix, first_class: int, targets: Labels, sums: Rows, first: int, looked: bool, pulled: Matrix
) -> bool:
    """Add a block of classes to the rows of a tile: replace scores by exp(score - largest), those of targets by 0.

    What was summed over earlier blocks, `pulled` too, is rescaled where this one has a larger score. Returns whether
    all scores are finite. Cost: one exponential a score.
    """
    largest_of, wrong_of, right_of, best_of, place_of = sums.largest, sums.wrong, sums.right, sums.best, sums.place
    count = block.shape[1]
    quickest = _QUICK_32 if block.itemsize == 4 else _QUICK_64
    for row in range(block.shape[0]):
        token = first + row
        place = targets[row] - first_class
        here = 0 <= place < count
        right = 0.0
        best, smallest = -math.inf, 0.0
        if here:
            right = block[row, place]
            right_of[token] = right
        if not here or count > 1:
            best, smallest = _extremes(block, row, place, block[row, 1 if place == 0 and count > 1 else 0])
        before = largest_of[token] if first_class > 0 else -math.inf
        largest = max(before, best)
        if here:
            largest = max(largest, right)
        if first_class == 0 or best > best_of[token]:
            best_of[token] = best
            if looked:
                first_best = 0
                while first_best < count - 1 and (block[row, first_best] != best or first_best == place):
                    first_best += 1
                place_of[token] = first_class + first_best
        total = _exponentials(block, row, place, largest, smallest - largest >= quickest)
        if total * 0.0 + smallest * 0.0 + right * 0.0 != 0.0:  # a NaN or an infinity in the row gets into one of them
            return False
        if first_class == 0:
            wrong_of[token] = total
        elif largest > before:
            factor = math.exp(before - largest)
            wrong_of[token] = wrong_of[token] * factor + total
            if pulled.shape[0] > 0:
                scale_row(pulled, row, factor)
        else:
            wrong_of[token] += total
        largest_of[token] = largest
    return True


@compiled(inline=True)
def end_rows(targets: Labels, weights: Vector, sums: Rows, first: int, looked: bool) -> None:
    """Replace the largest score of each row by weight / sum of exp(score - largest), the factor of its residual.

    Where `looked` is set, fill the token's loss and margin, and whether the target comes first.
    """
    largest_of, wrong_of, right_of, best_of = sums.largest, sums.wrong, sums.right, sums.best
    for row in range(targets.shape[0]):
        token = first + row
        largest, wrong, right = largest_of[token], wrong_of[token], right_of[token]
        total = wrong + math.exp(right - largest)
        largest_of[token] = weights[row] / total
        if looked:
            best = best_of[token]
            # learned: log1p keeps a small loss; not learned: two terms >= 0, nothing to cancel
            sums.losses[token] = math.log1p(wrong) if right >= best else math.log(total) + (largest - right)
            sums.margins[token] = right - best
            first_of_all = right > best or (right == best and targets[row] < sums.place[token])
            sums.firsts[token] = 1.0 if first_of_all else 0.0


@compiled(inline=True)
def residual_of_pulled(pulled: Matrix, outputs: Matrix, targets: Labels, sums: Rows, first: int) -> None:
    """Turn sum_z exp_z u_z over the wrong classes into sum_z Q_z u_z, after `end_rows`."""
    factors, wrong_of = sums.largest, sums.wrong
    for row in range(pulled.shape[0]):
        scale, share = pulled.dtype.type(factors[first + row]), pulled.dtype.type(wrong_of[first + row])
        target = targets[row]
        for column in range(pulled.shape[1]):
            pulled[row, column] = scale * (pulled[row, column] - share * outputs[target, column])


@compiled(inline=True)
def residual_of_rows(block: Matrix, targets: Labels, sums: Rows, first: int) -> None:
    """Turn the exponentials of the wrong classes, the targets' being 0, into the residual Q, after `end_rows`."""
    factors, wrong_of = sums.largest, sums.wrong
    for row in range(block.shape[0]):
        scale = block.dtype.type(factors[first + row])
        for column in range(block.shape[1]):
            block[row, column] *= scale
        block[row, targets[row]] = -scale * wrong_of[first + row]
