"""Rows of scores in a tile of tokens: exponentials and sums over a block of classes, and what follows from them.

A row may come in blocks of classes. The largest score so far is kept, and what was summed is rescaled when a later
block has a larger one. The target is left out of the sum of the wrong classes, so that no probability is obtained as
one minus another: loss and residual of a well learned token keep their relative precision.
"""

from __future__ import annotations

import math

from ..arrays import Matrix
from ..compile import compiled
from .descent_arguments import Rows
from .simd import (
    exp,
    exp_bounded,
    fma,
    lanes,
    load,
    load_first,
    max_lanes,
    maximum,
    min_lanes,
    minimum,
    splat,
    store,
    store_first,
    sum_lanes,
)  # fmt: skip

# differences above which the quick exponential may be used: it never gets below e^-708, in float32 e^-87, and what it
# gives for the target, which does not belong into the sum, is then too small to count
_QUICK = {8: -600.0, 4: -60.0}
_QUICK_64, _QUICK_32 = _QUICK[8], _QUICK[4]
_LOWEST_64, _LOWEST_32 = -1.7976931348623157e308, -3.4028234663852886e38


@compiled()
def start_rows(rows: Rows, first: int, count: int) -> None:
    """Forget the classes of `count` tokens."""
    for token in range(first, first + count):
        rows.largest[token] = -math.inf
        rows.wrong[token] = 0.0
        rows.best[token] = -math.inf
        rows.place[token] = 0


@compiled()
def _extremes(block: Matrix, row: int) -> tuple[float, float, float]:
    """Return the largest and smallest of a row, and 0 if all are finite, else NaN."""
    count, width = block.shape[1], lanes(block)
    start, some = row * count, block[row, 0]
    largest, smallest = splat(some), splat(some)
    nothing = splat(block.dtype.type(0))
    check = nothing
    whole = count - count % width
    for place in range(start, start + whole, width):
        x = load(block, place)
        largest = maximum(largest, x)
        smallest = minimum(smallest, x)
        check = fma(x, nothing, check)
    if whole < count:
        x = load_first(block, start + whole, count - whole, some)
        largest = maximum(largest, x)
        smallest = minimum(smallest, x)
        check = fma(x, nothing, check)
    return max_lanes(largest), min_lanes(smallest), sum_lanes(check)


@compiled()
def _exponentials(block: Matrix, row: int, largest: float, quick: bool, lowest: float) -> float:
    """Replace a row by exp(x - largest) and return its sum."""
    count, width = block.shape[1], lanes(block)
    start = row * count
    shift = splat(block.dtype.type(largest))
    total = splat(block.dtype.type(0))
    whole = count - count % width
    rest = count - whole
    fill = block.dtype.type(lowest)
    if quick:
        for place in range(start, start + whole, width):
            weight = exp_bounded(load(block, place) - shift)
            store(block, place, weight)
            total = total + weight
        if rest:
            weight = exp_bounded(load_first(block, start + whole, rest, fill) - shift)
            store_first(block, start + whole, rest, weight)
            total = total + weight
    else:
        for place in range(start, start + whole, width):
            weight = exp(load(block, place) - shift)
            store(block, place, weight)
            total = total + weight
        if rest:
            weight = exp(load_first(block, start + whole, rest, fill) - shift)
            store_first(block, start + whole, rest, weight)
            total = total + weight
    return sum_lanes(total)


@compiled()
def scale_row(array: Matrix, row: int, factor: float) -> None:
    """Multiply a row by a number."""
    scale = array.dtype.type(factor)
    for column in range(array.shape[1]):
        array[row, column] *= scale


@compiled()
def block_of_row(block: Matrix, row: int, first_class: int, target: int, rows: Rows, token: int, look: bool) -> float:
    """Add a block of classes to a token: replace its scores by exp(score - largest), the target's by 0.

    Returns the factor by which what was summed over earlier blocks has to be rescaled; NaN if a score is not finite.
    Cost: one exponential a class.
    """
    count = block.shape[1]
    place = target - first_class
    here = 0 <= place < count
    right = 0.0
    if here:
        right = block[row, place]
        rows.right[token] = right
        if count == 1:
            best, smallest, check = -math.inf, 0.0, 0.0
        else:
            block[row, place] = block[row, 1 if place == 0 else 0]  # so that only wrong classes are seen
    if not (here and count == 1):
        best, smallest, check = _extremes(block, row)
    if check + right * 0.0 != 0.0:
        return math.nan
    before = rows.largest[token]
    largest = max(before, best)
    if here:
        largest = max(largest, right)
    if best > rows.best[token]:
        rows.best[token] = best
        if look:
            first = 0
            while block[row, first] != best or first == place:
                first += 1
            rows.place[token] = first_class + first
    single = block.itemsize == 4
    lowest = _LOWEST_32 if single else _LOWEST_64
    if here:
        block[row, place] = lowest
    quick = smallest - largest >= (_QUICK_32 if single else _QUICK_64)
    total = _exponentials(block, row, largest, quick, lowest)
    if here:
        block[row, place] = 0.0
    factor = 1.0
    if first_class > 0 and largest > before:
        factor = math.exp(before - largest)
    rows.wrong[token] = rows.wrong[token] * factor + total
    rows.largest[token] = largest
    return factor


@compiled()
def end_of_row(rows: Rows, token: int, target: int, weight: float, look: bool) -> float:
    """Return weight / sum of exp(score - largest), the factor that turns the exponentials into the residual.

    Where `look` is set, fill the token's loss and margin, and whether the target comes first.
    """
    largest, wrong, right, best = rows.largest[token], rows.wrong[token], rows.right[token], rows.best[token]
    total = wrong + math.exp(right - largest)
    if look:
        # learned: log1p keeps a small loss; not learned: two terms >= 0, nothing to cancel
        rows.losses[token] = math.log1p(wrong) if right >= best else math.log(total) + (largest - right)
        rows.margins[token] = right - best
        rows.firsts[token] = 1.0 if right > best or (right == best and target < rows.place[token]) else 0.0
    return weight / total


@compiled()
def residual_of_pulled(
    pulled: Matrix, row: int, outputs: Matrix, target: int, factor: float, wrong: float
) -> None:
    """Turn sum_z exp_z u_z over the wrong classes into sum_z Q_z u_z: factor (row - wrong u_target)."""
    scale, share = pulled.dtype.type(factor), pulled.dtype.type(wrong)
    for column in range(pulled.shape[1]):
        pulled[row, column] = scale * (pulled[row, column] - share * outputs[target, column])


@compiled()
def residual_of_row(block: Matrix, row: int, target: int, factor: float, wrong: float) -> None:
    """Turn the exponentials of the wrong classes, the target's being 0, into the residual Q."""
    scale_row(block, row, factor)
    block[row, target] = -factor * wrong
