"""Gradient descent of one problem so small that every row of scores fits into a vector.

Rows (N, lanes) are padded with copies of their first score, which then move as it does. With the target's row of the
output Gram matrix taken off all its rows, the target's own residual drops out of the product with it, and so does the
normalisation until after it:

    moves_x = rate p_x / (sum_y w_xy) sum_z w_xz (G_zy - G_fy),     w = exp(S - S_f),     S <- S - G_E moves,

so that the products need not wait for the sums over lanes and the divisions.
"""

from __future__ import annotations

import math

from ..arrays import Labels, Matrix, Vector
from ..compile import compiled
from .borrowing import borrowed
from .descent_arguments import Record, Rows
from .descent_record import NOT_FINITE, REACHED_END, STOPPED, is_due, look
from .simd import (
    absolute,
    all_lanes,
    exp_bounded,
    first_lanes,
    fma,
    fnma,
    lane_numbers,
    lanes,
    load,
    mask_bits,
    max_lanes,
    select,
    splat,
    splat_at,
    store,
    sum_lanes,
)


@compiled()
def _look_at_rows(scores: Matrix, n_classes: int, targets: Labels, rows: Rows) -> bool:
    """Fill losses, margins and whether the target comes first; return whether all scores are finite."""
    number = scores.dtype.type
    width = lanes(scores)
    for token in range(scores.shape[0]):
        row = load(scores, token * width)
        if not all_lanes(row * number(0.0) == number(0.0)):
            return False
        target = targets[token]
        ahead = row - splat_at(scores, token * width + target)
        wrong = first_lanes(row, n_classes) & (lane_numbers(row) != number(target))
        lead = max_lanes(select(wrong, ahead, number(-math.inf)))
        top = max(lead, number(0.0))
        weight = sum_lanes(select(wrong, exp_bounded(ahead - top), number(0.0)))
        rows.losses[token] = math.log1p(weight) if top == 0.0 else math.log(weight + math.exp(-top)) + top
        rows.margins[token] = -lead
        ties = mask_bits(ahead == number(0.0)) & ((1 << target) - 1)
        rows.firsts[token] = 1.0 if lead < 0.0 or (lead == 0.0 and ties == 0) else 0.0
    return True


@compiled()
def tiny_slice(
    scores: Matrix, dual: Matrix, input_gram: Matrix, pulls: Matrix, weights: Vector, targets: Labels,
    frequencies: Vector, work: Matrix, moves: Matrix, rates: Vector, rows: Rows, record: Record, next_row: int,
    start: int, end: int,
) -> tuple[int, int, int]:  # fmt: skip
    """Advance scores and dual coefficients (N, lanes) from `start` to `end`: (step reached, next row, code).

    Arguments:
        pulls: (M, M, lanes), G_zy - G_fy for each target f, padded as the scores.
        weights: (N,) the frequencies in the type of the scores.
        work, moves: (N, lanes).

    The dual coefficients are those of the wrong classes; what stands at the targets has no meaning.

    Cost a step: N (N + M) multiply-adds and N exponentials of vectors.
    """
    scores = borrowed(scores)
    targets = borrowed(targets)
    frequencies = borrowed(frequencies)
    rows = borrowed(rows)
    record = borrowed(record)
    number = scores.dtype.type
    width = lanes(scores)
    n_tokens, n_classes = scores.shape[0], pulls.shape[1]
    limit = number(600.0 if scores.itemsize == 8 else 60.0)
    inside = first_lanes(load(scores, 0), n_classes)
    step = start
    while True:
        due = is_due(record, next_row, step)
        if due or record.stop_column >= 0:
            if not _look_at_rows(scores, n_classes, targets, rows):
                return step, next_row, NOT_FINITE
            stop = look(record, next_row, due, frequencies, rows)
            next_row += due
            if stop:
                return step, next_row, STOPPED
        if step == end:
            return step, next_row, REACHED_END
        rate = number(rates[step - start if step - start < rates.shape[0] else rates.shape[0] - 1])
        for token in range(n_tokens):
            place = token * width
            row = load(scores, place)
            target = targets[token]
            ahead = row - splat_at(scores, place + target)
            if not all_lanes(absolute(ahead) < limit):
                if not all_lanes(row * number(0.0) == number(0.0)):
                    return step, next_row, NOT_FINITE
                ahead = row - max_lanes(row)
            weight = select(inside, exp_bounded(ahead), number(0.0))
            store(work, place, weight)
            scale = splat(weights[token] * rate / sum_lanes(weight))
            pull = splat(number(0.0))
            other = splat(number(0.0))
            at = target * n_classes * width
            for label in range(0, n_classes - 1, 2):
                pull = fma(splat_at(work, place + label), load(pulls, at + label * width), pull)
                other = fma(splat_at(work, place + label + 1), load(pulls, at + (label + 1) * width), other)
            if n_classes % 2 == 1:
                pull = fma(splat_at(work, place + n_classes - 1), load(pulls, at + (n_classes - 1) * width), pull)
            store(moves, place, (pull + other) * scale)
            store(dual, place, fnma(weight, scale, load(dual, place)))
        for token in range(n_tokens):
            move = splat_at(input_gram, token * n_tokens) * load(moves, 0)
            for other_token in range(1, n_tokens):
                factor = splat_at(input_gram, token * n_tokens + other_token)
                move = fma(factor, load(moves, other_token * width), move)
            store(scores, token * width, load(scores, token * width) - move)
        step += 1
