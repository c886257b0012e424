"""One token at a time: its softmax, loss, margin and residual, for use inside compiled loops.

The functions take one row of scores, allocate nothing and never raise. The exponentials are taken relative to the
largest score, so nothing overflows, and no probability is obtained as one minus another: the loss and the residual of
a well learned token keep their relative precision down to the smallest number of the row's type. A NaN among the
scores comes out as a NaN in every result.

Rows are read a vector at a time, the last one in part. Sums are float64 whatever the type of the row: float32 vectors
are summed as such for at most `RUN` vectors, which costs less than the rounding of the exponentials themselves.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..arrays import Vector
from ..compile import compiled
from .simd import (
    all_lanes,
    exp,
    exp_bounded,
    first_lanes,
    fma,
    lane_numbers,
    lanes,
    load,
    load_first,
    log,
    log1p,
    max_lanes,
    maximum,
    select,
    splat,
    store,
    store_first,
    sum_lanes,
)

RUN = 16
"""Vectors whose lanes are summed before their total is added up in float64."""

QUICK = -80.0
"""Differences of scores above which the quick exponential is exact enough, in float32 too."""


@compiled()
def _largest_wrong(scores_row: Vector, target: int) -> float:
    """Return the largest score of the other classes, -infinity if there is none; unspecified with a NaN among them."""
    count, width = scores_row.shape[0], lanes(scores_row)
    nothing = scores_row.dtype.type(-math.inf)
    largest = splat(nothing)
    numbers = lane_numbers(largest)
    for first in range(0, count, width):
        some = count - first
        scores = load(scores_row, first) if some >= width else load_first(scores_row, first, some, nothing)
        if first <= target < first + width:
            scores = select(numbers == target - first, nothing, scores)
        largest = maximum(scores, largest)
    return max_lanes(largest)  # type: ignore[no-any-return]


@compiled(inline=True)
def _weights(scores_row: Vector, target: int, first: int, shift: float) -> Any:
    """Return a vector of exp(score - shift), with 0 for the target and beyond the end of the row."""
    some = scores_row.shape[0] - first
    nothing = scores_row.dtype.type(0)
    scores = load(scores_row, first) if some >= lanes(scores_row) else load_first(scores_row, first, some, shift)
    differences = scores - shift
    # false where one of them is a NaN, too
    weights = exp_bounded(differences) if all_lanes(differences >= QUICK) else exp(differences)
    if first <= target < first + lanes(scores_row):
        weights = select(lane_numbers(weights) == target - first, nothing, weights)
    if some < lanes(scores_row):
        weights = select(first_lanes(weights, some), weights, nothing)
    return weights


@compiled()
def _sum_of_exponentials(scores_row: Vector, target: int, largest: float) -> float:
    """Return the sum of exp(score - largest) over the classes but the target."""
    count, width = scores_row.shape[0], lanes(scores_row)
    shift = scores_row.dtype.type(largest)
    total = 0.0
    for run in range(0, count, RUN * width):
        sums = splat(scores_row.dtype.type(0))
        for first in range(run, min(count, run + RUN * width), width):
            sums = sums + _weights(scores_row, target, first, shift)
        total += sum_lanes(sums)
    return total


@compiled()
def _exponentials(scores_row: Vector, target: int, largest: float, out_row: Vector) -> float:
    """Fill `out_row` with exp(score - largest), 0 for the target if it is not negative, and return the sum."""
    count, width = scores_row.shape[0], lanes(scores_row)
    shift = scores_row.dtype.type(largest)
    total = 0.0
    for run in range(0, count, RUN * width):
        sums = splat(scores_row.dtype.type(0))
        for first in range(run, min(count, run + RUN * width), width):
            weights = _weights(scores_row, target, first, shift)
            if count - first >= width:
                store(out_row, first, weights)
            else:
                store_first(out_row, first, count - first, weights)
            sums = sums + weights
        total += sum_lanes(sums)
    return total


@compiled()
def scale_row(row: Vector, factor: float) -> None:
    """Multiply a row by a number."""
    count, width = row.shape[0], lanes(row)
    scale = row.dtype.type(factor)
    for first in range(0, count, width):
        if count - first >= width:
            store(row, first, load(row, first) * scale)
        else:
            store_first(row, first, count - first, load_first(row, first, count - first, 0.0) * scale)


@compiled()
def residual_row(scores_row: Vector, target: int, frequency: float, out_row: Vector) -> tuple[float, float]:
    """Fill `out_row` with frequency (softmax - onehot); return the token's loss (unweighted) and margin.

    out_z = p P_z for z != f and out_f = -p sum_(z != f) P_z. `out_row` may be `scores_row` itself.

    Cost: M exponentials.
    """
    best_wrong = np.float64(_largest_wrong(scores_row, target))  # float() would leave a float32 as it is
    right = np.float64(scores_row[target])
    largest = right if right >= best_wrong else best_wrong
    wrong = _exponentials(scores_row, target, largest, out_row)
    total = wrong + exp(right - largest)
    scale = frequency / total
    scale_row(out_row, scale)
    out_row[target] = -scale * wrong
    return _loss_and_margin(right, best_wrong, largest, wrong, total)


@compiled()
def loss_row(scores_row: Vector, target: int) -> tuple[float, float]:
    """Return the loss (unweighted) and the margin of one token.

    loss = log(1 + sum_(z != f) exp(s_z - s_f)), margin = s_f - max_(z != f) s_z.

    Cost: M exponentials.
    """
    best_wrong = np.float64(_largest_wrong(scores_row, target))
    right = np.float64(scores_row[target])
    largest = right if right >= best_wrong else best_wrong
    wrong = _sum_of_exponentials(scores_row, target, largest)
    total = wrong + exp(right - largest)
    return _loss_and_margin(right, best_wrong, largest, wrong, total)


@compiled()
def _loss_and_margin(
    right: float, best_wrong: float, largest: float, wrong: float, total: float
) -> tuple[float, float]:
    if total != total:
        return math.nan, math.nan
    # learned: log1p keeps a small loss; not learned: two terms >= 0, nothing to cancel
    loss = log1p(wrong) if right >= best_wrong else log(total) + (largest - right)
    return loss, right - best_wrong


@compiled()
def margin_row(scores_row: Vector, target: int) -> float:
    """Return s_f - max_(z != f) s_z; infinity where there is one class only."""
    count, width = scores_row.shape[0], lanes(scores_row)
    nothing = scores_row.dtype.type(0)
    check = splat(nothing)
    for first in range(0, count, width):
        some = count - first
        scores = load(scores_row, first) if some >= width else load_first(scores_row, first, some, nothing)
        check = fma(scores, nothing, check)
    if not all_lanes(check == nothing):  # a NaN or an infinity is there: one by one
        for label in range(count):
            if scores_row[label] != scores_row[label]:
                return math.nan
    return np.float64(scores_row[target]) - np.float64(_largest_wrong(scores_row, target))


@compiled()
def softmax_row(scores_row: Vector, out_row: Vector) -> None:
    """Fill `out_row` with the softmax of the scores; `out_row` may be `scores_row` itself."""
    total = _exponentials(scores_row, -1, float(_largest_wrong(scores_row, -1)), out_row)
    scale_row(out_row, 1.0 / total)
