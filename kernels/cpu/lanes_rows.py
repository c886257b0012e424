"""Residuals of many runs at once, one run per lane of a vector."""

from __future__ import annotations

import math
from typing import Any

from ..arrays import Labels, Matrix, Vector
from ..compile import compiled
from .simd import (
    absolute,
    any_lane,
    exp_bounded,
    fma,
    lanes,
    load,
    log,
    log1p,
    maximum,
    select,
    softplus,
    splat,
    store,
)  # fmt: skip


@compiled()
def lane_residuals(
    scores: Matrix, order: Labels, frequencies: Matrix, rates: Matrix, residual: Matrix, scales: Matrix, with_loss: bool
) -> tuple[Any, Any]:
    """Fill the factors of rate p (softmax - onehot) = scales residual, (N, lanes) and (N, M, lanes).

    Returned are two vectors: how far any wrong class leads at most, max (s_z - s_f), and the loss where it is wanted.
    `order` (N, M + 1) begins with the places of each token's scores, that of the target first.

    Exponentials are taken relative to the score of the target, which saves one a row; a row with a class that leads by
    so much that they might overflow is done again relative to the largest score, in the lanes concerned alone: the
    bits of a lane do not depend on the others.

    Cost: N (M - 1) exponentials, N divisions, N logarithms where the loss is wanted.
    """
    number = scores.dtype.type
    limit = number(600.0 if scores.itemsize == 8 else 60.0)
    n_classes = scores.shape[1]
    nothing, behind = splat(number(0.0)), splat(number(-math.inf))
    most, loss = behind, nothing
    for token in range(order.shape[0]):
        at_target = order[token, 0]
        right = load(scores, at_target)
        lead, wrong = behind, nothing
        for label in range(1, n_classes):
            place = order[token, label]
            ahead = load(scores, place) - right
            lead = maximum(ahead, lead)
            weight = exp_bounded(ahead)
            wrong = wrong + weight
            store(residual, place, weight)
        total = wrong + number(1.0)
        reference = right
        if any_lane(lead > limit):
            reference = select(lead > limit, right + lead, right)
            wrong = _weights(scores, order[token, :n_classes], reference, residual)
            total = wrong + exp_bounded(right - reference)
        store(scales, token * lanes(scores), load(rates, token * lanes(scores)) / total)
        store(residual, at_target, -wrong)
        most = maximum(lead, most)
        if with_loss:
            share = log1p(wrong)
            if any_lane(lead > limit):
                share = select(lead > limit, log(total) + (reference - right), share)
            loss = fma(load(frequencies, token * lanes(scores)), share, loss)
    return most, loss


@compiled()
def _weights(scores: Matrix, places: Vector, reference: Any, out: Matrix) -> Any:
    """Fill exp(score - reference) at all places but the first, and return the sum."""
    wrong = reference - reference
    for label in range(1, places.shape[0]):
        weight = exp_bounded(load(scores, places[label]) - reference)
        wrong = wrong + weight
        store(out, places[label], weight)
    return wrong


@compiled()
def lane_margin_residuals(
    margins: Matrix, frequencies: Matrix, rates: Matrix, residual: Matrix, with_loss: bool
) -> tuple[Any, Any]:
    """Fill -rate p / (1 + e^m), (N, 1, lanes), as in `descent_margins.margin_residuals`; return as `lane_residuals`.

    Cost: N exponentials, N divisions, N softplus where the loss is wanted.
    """
    number = margins.dtype.type
    most, loss = splat(number(-math.inf)), splat(number(0.0))
    for place in range(0, margins.size, lanes(margins)):
        margin = load(margins, place)
        small = exp_bounded(-absolute(margin))
        wrong = select(margin >= number(0.0), small, number(1.0))
        store(residual, place, -(load(rates, place) * (wrong / (small + number(1.0)))))
        most = maximum(-margin, most)
        if with_loss:
            loss = fma(load(frequencies, place), softplus(-margin), loss)
    return most, loss
