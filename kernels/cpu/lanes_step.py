"""One step of many runs at once: written out in full where a `Size` is given, in loops over tiles where it is None."""

from __future__ import annotations

import math
from typing import Any

from ..arrays import Labels, Matrix, Vector
from ..compile import chosen_by_types, compiled
from .lanes_products import multiply_lanes, subtract_product_lanes
from .lanes_rows import lane_margin_residuals, lane_residuals
from .lanes_small import SizeType, small_moves, small_subtract
from .simd import any_lane, exp_bounded, fma, lanes, load, log, log1p, maximum, select, splat, store


def look_ahead(
    size: Any, scores: Any, order: Any, output_gram: Any, weights: Any, scaled: Any, residual: Any, scales: Any,
    with_loss: Any,
) -> Any:  # fmt: skip
    """Fill what a step is made of; return how far any wrong class leads at most, and the loss where it is wanted."""


# numba compares the names and the annotations of such a function with those of what it returns: there are none
@chosen_by_types(look_ahead)
def _look_ahead(size, scores, order, output_gram, weights, scaled, residual, scales, with_loss):  # type: ignore[no-untyped-def]
    if isinstance(size, SizeType):
        losses = size.size.with_loss

        def small(size, scores, order, output_gram, weights, scaled, residual, scales, with_loss):  # type: ignore[no-untyped-def]
            lead, loss = small_moves(size, scores, order, output_gram, weights, scaled, residual)
            if any_lane(lead > scores.dtype.type(600.0 if scores.itemsize == 8 else 60.0)):
                lead, loss = _careful_moves(scores, order, output_gram, weights, scaled, residual, losses)
            return lead, loss

        return small

    def general(size, scores, order, output_gram, weights, scaled, residual, scales, with_loss):  # type: ignore[no-untyped-def]
        if output_gram.shape[0] == 0:
            return lane_margin_residuals(scores, weights, scaled, residual, with_loss)
        return lane_residuals(scores, order, weights, scaled, residual, scales, with_loss)

    return general


def move(
    size: Any, input_gram: Any, output_gram: Any, residual: Any, moved: Any, scales: Any, ones: Any, velocity: Any,
    momentum: Any, with_momentum: Any, scores: Any,
) -> Any:  # fmt: skip
    """Move the scores by what `look_ahead` filled."""


@chosen_by_types(move)
def _move(  # type: ignore[no-untyped-def]
    size, input_gram, output_gram, residual, moved, scales, ones, velocity, momentum, with_momentum, scores
):
    if isinstance(size, SizeType):

        def small(  # type: ignore[no-untyped-def]
            size, input_gram, output_gram, residual, moved, scales, ones, velocity, momentum, with_momentum, scores
        ):
            if with_momentum:
                _gather_speed(ones, residual, velocity, momentum)
            small_subtract(size, input_gram, residual, scores)

        return small

    def general(  # type: ignore[no-untyped-def]
        size, input_gram, output_gram, residual, moved, scales, ones, velocity, momentum, with_momentum, scores
    ):
        if with_momentum:
            _gather_speed(scales, residual, velocity, momentum)
        if output_gram.shape[0] == 0:
            subtract_product_lanes(input_gram, residual, scores)
        else:
            multiply_lanes(ones if with_momentum else scales, residual, output_gram, moved)
            subtract_product_lanes(input_gram, moved, scores)

    return general


@compiled()
def _gather_speed(scales: Matrix, residual: Matrix, velocity: Matrix, momentum: Vector) -> None:
    """Set velocity and residual to momentum * velocity + scales * residual."""
    width = lanes(residual)
    factor = load(momentum, 0)
    place = 0
    for token in range(residual.shape[0]):
        scale = load(scales, token * width)
        for _ in range(residual.shape[1]):
            faster = fma(factor, load(velocity, place), load(residual, place) * scale)
            store(velocity, place, faster)
            store(residual, place, faster)
            place += width


@compiled()
def _careful_moves(
    scores: Matrix, order: Labels, pulls: Matrix, frequencies: Matrix, rates: Matrix, moved: Matrix, with_loss: bool
) -> tuple[Any, Any]:
    """Do what `small_moves` does, relative to the largest score of a row in lanes where it leads by too much.

    In all other lanes the bits are those of `small_moves`: a lane does not depend on the others.
    """
    number = scores.dtype.type
    width = lanes(scores)
    limit = number(600.0 if scores.itemsize == 8 else 60.0)
    n_classes = scores.shape[1]
    most, loss = splat(number(-math.inf)), splat(number(0.0))
    for token in range(scores.shape[0]):
        right = load(scores, order[token, 0])
        lead = splat(number(-math.inf))
        for label in range(1, n_classes):
            lead = maximum(load(scores, order[token, label]) - right, lead)
        reference = select(lead > limit, right + lead, right)
        wrong = exp_bounded(load(scores, order[token, 1]) - reference)
        for label in range(2, n_classes):
            wrong = wrong + exp_bounded(load(scores, order[token, label]) - reference)
        total = wrong + exp_bounded(right - reference)
        scale = load(rates, token * width) / total
        for z in range(n_classes - 1):
            place = order[token, n_classes] + z * width
            pull = exp_bounded(load(scores, order[token, 1]) - reference) * load(pulls, place)
            for label in range(2, n_classes):
                place += (n_classes - 1) * width
                pull = fma(exp_bounded(load(scores, order[token, label]) - reference), load(pulls, place), pull)
            store(moved, (token * (n_classes - 1) + z) * width, pull * scale)
        most = maximum(lead, most)
        if with_loss:
            share = select(lead > limit, log(total) + (reference - right), log1p(wrong))
            loss = fma(load(frequencies, token * width), share, loss)
    return most, loss
