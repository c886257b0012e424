"""One token at a time: its probabilities, and what the curvature makes of its directional scores.

All differences are taken from the most probable class of the token: the curvature of a saturated token, whose
probabilities are nearly 1 and nearly 0, keeps its relative precision. Rows are given by the place of their first
element; the sums run over the lanes of vectors, in an order fixed by the number of classes and the vectors' width.
"""

from __future__ import annotations

from ..arrays import Labels, Matrix, Vector
from ..compile import compiled
from .compiled_once import compiled_once
from .simd import (
    any_lane,
    exp,
    exp_bounded,
    first_lanes,
    fma,
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

# differences of scores above which the quick exponential may be used, in float64 and float32
_QUICK_64, _QUICK_32 = -600.0, -60.0


@compiled(inline=True)
def _extremes(rows: Matrix, token: int) -> tuple[float, float]:
    """Return the largest and the smallest entry."""
    count, width = rows.shape[1], lanes(rows)
    start, whole = token * count, count - count % width
    one = rows[token, 0]
    largest = smallest = splat(one)
    for label in range(0, whole, width):
        x = load(rows, start + label)
        largest, smallest = maximum(x, largest), minimum(x, smallest)
    if whole < count:
        x = load_first(rows, start + whole, count - whole, one)
        largest, smallest = maximum(x, largest), minimum(x, smallest)
    return max_lanes(largest), min_lanes(smallest)


@compiled(inline=True)
def _place(rows: Matrix, token: int, value: float) -> int:
    """Return the place of the first entry with this value, which is there."""
    count, width = rows.shape[1], lanes(rows)
    start = token * count
    label, wanted = 0, splat(value)
    while label + width < count and not any_lane(load(rows, start + label) == wanted):
        label += width
    while label < count - 1 and rows[token, label] != value:
        label += 1
    return label


@compiled(inline=True)
def _softmax_of_row(rows: Matrix, token: int) -> tuple[int, float]:
    """Replace scores by probabilities; return the most probable class and the sum of all other probabilities."""
    count, width = rows.shape[1], lanes(rows)
    start, whole = token * count, count - count % width
    rest = count - whole
    largest, smallest = _extremes(rows, token)
    origin = _place(rows, token, largest)
    shift = splat(largest)
    zero = shift - shift
    sums, numbers = zero, lane_numbers(zero)
    if smallest - largest >= (_QUICK_32 if rows.itemsize == 4 else _QUICK_64):
        for label in range(0, whole, width):
            weight = select(numbers == origin - label, zero, exp_bounded(load(rows, start + label) - shift))
            store(rows, start + label, weight)
            sums = sums + weight
    else:
        for label in range(0, whole, width):
            weight = select(numbers == origin - label, zero, exp(load(rows, start + label) - shift))
            store(rows, start + label, weight)
            sums = sums + weight
    if rest:
        weight = select(numbers == origin - whole, zero, exp(load_first(rows, start + whole, rest, largest) - shift))
        weight = select(first_lanes(weight, rest), weight, zero)
        store_first(rows, start + whole, rest, weight)
        sums = sums + weight
    others = sum_lanes(sums)
    rows[token, origin] = 1.0
    share = rows.dtype.type(1) / (others + rows.dtype.type(1))
    for label in range(0, whole, width):
        store(rows, start + label, load(rows, start + label) * share)
    if rest:
        store_first(rows, start + whole, rest, load_first(rows, start + whole, rest, 0.0) * share)
    return origin, others * share


@compiled_once()
def softmax_of_rows(rows: Matrix, first: int, last: int, origins: Labels, others: Vector) -> None:
    """Replace the scores of some tokens by probabilities; fill their most probable classes and what the others sum to.

    That sum is no difference of 1 and a probability: it keeps its relative precision. Cost: M exponentials a token.
    """
    for token in range(first, last):
        origins[token], others[token] = _softmax_of_row(rows, token)


@compiled(inline=True)
def _curvature_of_row(probability: Matrix, rows: Matrix, token: int, origin: int, frequency: float) -> None:
    count, width = rows.shape[1], lanes(rows)
    start, whole = token * count, count - count % width
    rest = count - whole
    score = splat(rows[token, origin])
    weights = load_first(probability, start + whole, rest, 0.0)
    last = load_first(rows, start + whole, rest, 0.0) - score
    one, two = weights * last, weights - weights
    label = 0
    while label + 2 * width <= whole:
        one = fma(load(probability, start + label), load(rows, start + label) - score, one)
        two = fma(load(probability, start + label + width), load(rows, start + label + width) - score, two)
        label += 2 * width
    if label < whole:
        one = fma(load(probability, start + label), load(rows, start + label) - score, one)
    mean = splat(sum_lanes(one + two))
    scale = splat(rows.dtype.type(frequency))
    for label in range(0, whole, width):
        centred = load(rows, start + label) - score - mean
        store(rows, start + label, scale * load(probability, start + label) * centred)
    if rest:
        store_first(rows, start + whole, rest, scale * weights * (last - mean))


@compiled_once()
def curvature_of_rows(
    probability: Matrix, rows: Matrix, first: int, last: int, origins: Labels, frequencies: Vector
) -> None:
    """Replace the directional scores s of some tokens by p (diag P - P P^T) s.

    Entry z is p P_z (s_z - mean), mean = sum_z P_z s_z, with s measured from that of the most probable class.
    """
    for token in range(first, last):
        _curvature_of_row(probability, rows, token, origins[token], frequencies[token])
