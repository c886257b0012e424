"""One token at a time: its probabilities, and what the curvature makes of its directional scores.

All differences are taken from the most probable class of the token: the curvature of a saturated token, whose
probabilities are nearly 1 and nearly 0, keeps its relative precision. Rows are given by the place of their first
element; the sums run over the lanes of vectors, in an order fixed by the number of classes and the vectors' width.
"""

from __future__ import annotations

from ..arrays import Matrix
from ..compile import compiled
from .compiled_once import compiled_once
from .simd import (
    any_lane,
    exp,
    fma,
    lanes,
    load,
    load_first,
    max_lanes,
    maximum,
    splat,
    store,
    store_first,
    sum_lanes,
)  # fmt: skip


@compiled()
def _largest(rows: Matrix, start: int, count: int) -> tuple[int, float]:
    """Return the place of the first largest entry, and the entry."""
    width = lanes(rows)
    whole = count - count % width
    best = load_first(rows, start, count, rows.dtype.type(-1) / rows.dtype.type(0))
    for label in range(width, whole, width):
        best = maximum(load(rows, start + label), best)
    if whole < count:
        best = maximum(load_first(rows, start + whole, count - whole, rows.dtype.type(-1) / rows.dtype.type(0)), best)
    largest = max_lanes(best)
    flat = rows.reshape(rows.size)
    label, wanted = 0, splat(largest)
    while label + width < count and not any_lane(load(rows, start + label) == wanted):
        label += width
    while label < count - 1 and flat[start + label] != largest:
        label += 1
    return label, largest


@compiled_once()
def softmax_of_row(rows: Matrix, start: int, count: int) -> tuple[int, float]:
    """Replace scores by probabilities; return the most probable class and the sum of all other probabilities.

    That sum is no difference of 1 and a probability: it keeps its relative precision. Cost: M exponentials.
    """
    width = lanes(rows)
    whole = count - count % width
    origin, largest = _largest(rows, start, count)
    for label in range(0, whole, width):
        store(rows, start + label, exp(load(rows, start + label) - largest))
    rest = count - whole
    if rest:
        store_first(rows, start + whole, rest, exp(load_first(rows, start + whole, rest, largest) - largest))
    flat = rows.reshape(rows.size)
    flat[start + origin] = 0.0
    sums = load_first(rows, start + whole, rest, 0.0)
    for label in range(0, whole, width):
        sums += load(rows, start + label)
    others = sum_lanes(sums)
    flat[start + origin] = 1.0
    share = rows.dtype.type(1) / (others + rows.dtype.type(1))
    for label in range(0, whole, width):
        store(rows, start + label, load(rows, start + label) * share)
    if rest:
        store_first(rows, start + whole, rest, load_first(rows, start + whole, rest, 0.0) * share)
    return origin, others * share


@compiled_once()
def curvature_of_row(probability: Matrix, rows: Matrix, start: int, count: int, origin: int, frequency: float) -> None:
    """Replace the directional scores s of a token by p (diag P - P P^T) s.

    Entry z is p P_z (s_z - mean), mean = sum_z P_z s_z, with s measured from that of the class `origin`.
    """
    width = lanes(rows)
    whole = count - count % width
    rest = count - whole
    score = splat(rows.reshape(rows.size)[start + origin])
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
