"""Gradient descent of many small problems of one shape at once, one run in each lane of a vector.

A lane that has finished its run is filled with the next cell, so that all lanes work until the cells run out; which
cell goes where is no matter, for nothing is ever added across lanes. The state of a few tokens and classes is scores
relative to class 0 (`lanes_small`), else that of `descent.particle_slice`, or of `descent_margins.margin_slice` for two
classes; every run starts at zero and keeps its rate and momentum.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from ..arrays import Labels, Matrix, Vector
from ..compile import compiled
from .borrowing import borrowed
from .descent_record import NOT_FINITE, REACHED_END, STOPPED
from .lanes_record import (
    ABOVE,
    AGE,
    DURATION,
    FIRST_PERFECT,
    HEIGHT,
    LAST_IMPERFECT,
    LAST_RISE,
    LEAD,
    OPEN,
    PEAK,
    PEAK_AT,
    SEEN,
    SPIKES,
    START,
    look_at_loss,
    look_at_margins,
)  # fmt: skip
from .lanes_small import MOST, Size
from .lanes_step import look_ahead, move
from .simd import LANES32, LANES64, any_lane, fma, lanes, load, mask_bits, select, store
from .synchrony import next_ticket
from .tokens import accuracy, loss

RECORD = (
    FIRST_PERFECT, LAST_IMPERFECT, LEAD, PEAK, PEAK_AT, HEIGHT, OPEN, DURATION, AGE, SPIKES, ABOVE, LAST_RISE,
)  # fmt: skip
"""The rows of `lanes_record` that a finished run leaves behind, before the loss and the accuracy of its end."""

FINAL_LOSS, FINAL_ACCURACY = len(RECORD), len(RECORD) + 1

WAITING, AT_REST = -2, -1
"""What a lane holds in place of the number of a cell: nothing yet, and nothing any more."""


def size_of(n_tokens: int, n_classes: int, with_loss: bool) -> Size | None:
    """Return the size that a step is written out for; None where it goes in loops."""
    return Size(n_tokens, n_classes, with_loss) if max(n_tokens, n_classes) <= MOST else None


def new_blocks(
    blocks: int, n_tokens: int, n_classes: int, gram: tuple[int, int], dtype: DTypeLike
) -> tuple[NDArray[Any], ...]:
    """Return the arrays of `descend_in_lanes` that hold its blocks of lanes.

    `n_classes` is 1 for margins, `gram` the shape of what is given for the output Gram matrix of a problem.
    """
    width = LANES64 if dtype == np.float64 else LANES32
    shapes = [
        (n_tokens, n_classes), (n_tokens, n_classes), (n_tokens, n_tokens), gram, (n_tokens,), (n_tokens,), (),
        (SEEN,),
    ]  # fmt: skip
    return (
        *(np.zeros((blocks, *shape, width), dtype) for shape in shapes),
        np.full((blocks, width), WAITING), np.full((blocks, width), -1),
    )  # fmt: skip


@compiled()
def descend_in_lanes(
    sync: Labels, member: int, members: int, size: Size | None, tickets: Labels, rounds: int,
    problem_of: Labels, input_grams: Matrix, output_grams: Matrix, frequencies: Matrix, targets: Labels,
    rates: Vector, momenta: Vector, steps: int, stop_when_perfect: bool, with_margins: bool, with_loss: bool,
    watched: bool, spike_from: float, records: Matrix, codes: Labels,
    all_scores: Matrix, all_velocities: Matrix, all_input_grams: Matrix, all_output_grams: Matrix,
    all_weights: Matrix, all_rates: Matrix, all_momenta: Matrix, all_seen: Matrix, cells: Labels, loaded: Labels,
) -> None:  # fmt: skip
    """Run cells, as a member of a team: fill `records` (n, `RECORD` and the end) and `codes` (n,).

    It returns after `rounds` steps at the latest, to be called again with the same arrays until no lane is at work.

    Arguments:
        size: what code is made for where a step is written out (`size_of`), else None.
        problem_of: (n,) the problem of each cell, a row of the three that follow.
        input_grams, output_grams: (P, N, N) and (P, M, M); with a size (P, N, N) and the pulls of each target as
            (P, M (M - 1), M - 1); else for two classes (P, N, N) the couplings of the margins and (P, 0, 0).
        frequencies: (P, N), float64.
        targets: (N,), the labels of all problems.
        rates, momenta: (n,), float64.
        steps: the index at which a run ends; with `stop_when_perfect` it ends at the first with accuracy 1.
        with_margins, with_loss: what is looked at on the way.
        watched: whether values may become infinite: only then is it looked for.
        spike_from: from how many times the least loss before a spike is entered.
        all_scores and all that follow: the state of the blocks of lanes, made by `new_blocks`.

    Cost a step and cell: N M (N + M) multiply-adds, N (M - 1) exponentials; for two classes N^2 and N; with a size
    N (M - 1) (N + M - 1) multiply-adds. A size and dtype takes 1.5 s to compile, the first one 2.4 s.
    """
    number = all_scores.dtype.type
    width = lanes(all_scores)
    places = _places(targets, all_scores.shape[2], width)
    work = np.zeros((2, *all_scores.shape[1:]), all_scores.dtype)
    factors = np.ones((2, targets.size, width), all_scores.dtype)
    order, residual, moved = borrowed(places), borrowed(work[0]), borrowed(work[1])
    scales, ones = borrowed(factors[0]), borrowed(factors[1])
    with_momentum = momenta.max() > 0.0
    for block in range(member, all_scores.shape[0], members):
        scores, velocity = borrowed(all_scores[block]), borrowed(all_velocities[block])
        seen, momentum = borrowed(all_seen[block]), borrowed(all_momenta[block])
        input_gram, output_gram = borrowed(all_input_grams[block]), borrowed(all_output_grams[block])
        weights, scaled = borrowed(all_weights[block]), borrowed(all_rates[block])
        taken = 0
        while taken < rounds:
            running = 0
            for lane in range(width):
                if cells[block, lane] == WAITING:
                    _clear(lane, scores, velocity, scaled, seen)
                    cell = next_ticket(tickets)
                    cells[block, lane] = cell if cell < rates.size else AT_REST
                    if cell >= rates.size:
                        seen[AGE, lane] = -math.inf
                        continue
                    problem = problem_of[cell]
                    if problem != loaded[block, lane]:
                        loaded[block, lane] = problem
                        _fill(lane, input_gram, input_grams[problem])
                        _fill(lane, output_gram, output_grams[problem])
                    for token in range(targets.size):
                        weights[token, lane] = frequencies[problem, token]
                        scaled[token, lane] = frequencies[problem, token] * rates[cell]
                    momentum[lane] = momenta[cell]
                running += cells[block, lane] >= 0
            if running == 0:
                break
            ended = 0
            while ended == 0 and taken < rounds:
                taken += 1
                lead, losses = look_ahead(
                    size, scores, order, output_gram, weights, scaled, residual, scales, with_loss
                )  # fmt: skip
                age = load(seen, AGE * width)
                broken = age != age
                if watched:
                    broken = _not_finite(scores)
                    lead = select(broken, number(0.0), lead)
                if with_margins:
                    look_at_margins(seen, lead)
                if with_loss:
                    look_at_loss(seen, losses, spike_from)
                over = broken | (age >= number(steps))
                if stop_when_perfect:
                    over = over | (lead < number(0.0))
                if any_lane(over):
                    ended = mask_bits(over)
                    fallen, perfect = mask_bits(broken), mask_bits(lead < number(0.0))
                    for lane in range(width):
                        if (ended >> lane) & 1:
                            cell = cells[block, lane]
                            cells[block, lane] = WAITING
                            _leave(lane, scores, seen, targets, frequencies[problem_of[cell]], records[cell])
                            codes[cell] = REACHED_END
                            if (fallen >> lane) & 1:
                                codes[cell] = NOT_FINITE
                            elif stop_when_perfect and (perfect >> lane) & 1:
                                codes[cell] = STOPPED
                move(
                    size, input_gram, output_gram, residual, moved, scales, ones, velocity, momentum, with_momentum,
                    scores,
                )  # fmt: skip
                store(seen, AGE * width, age + number(1.0))
    _keep(places, work, factors)


@compiled()
def _keep(*_: Any) -> None:
    """Keep arrays until here that others borrow."""


@compiled()
def _places(targets: Labels, n_classes: int, width: int) -> Labels:
    """Return (N, M + 1): the places of each token's scores, that of the target first, then of the target's pulls."""
    places = np.empty((targets.size, n_classes + 1), np.int64)
    for token in range(targets.size):
        for label in range(n_classes):
            places[token, label] = (token * n_classes + (targets[token] + label) % n_classes) * width
        places[token, n_classes] = targets[token] * (n_classes - 1) ** 2 * width
    return places


@compiled()
def _clear(lane: int, scores: Matrix, velocity: Matrix, scaled: Matrix, seen: Matrix) -> None:
    """Bring a lane to the start, with a rate of zero."""
    for token in range(scores.shape[0]):
        scaled[token, lane] = 0.0
        for label in range(scores.shape[1]):
            scores[token, label, lane] = 0.0
            velocity[token, label, lane] = 0.0
    for row in range(len(START)):
        seen[row, lane] = START[row]


@compiled()
def _fill(lane: int, lane_matrices: Matrix, matrix: Matrix) -> None:
    for i in range(matrix.shape[0]):
        for k in range(matrix.shape[1]):
            lane_matrices[i, k, lane] = matrix[i, k]


@compiled()
def _not_finite(scores: Matrix) -> Any:
    """Return the mask of the lanes that hold an infinity or a NaN."""
    check = load(scores, 0) * scores.dtype.type(0.0)
    for place in range(0, scores.size, lanes(scores)):
        check = fma(load(scores, place), scores.dtype.type(0.0), check)  # infinity * 0 is NaN
    return check != check


@compiled()
def _leave(lane: int, scores: Matrix, seen: Matrix, targets: Labels, frequencies: Vector, record: Vector) -> None:
    """Write what was seen of the run in a lane, and the loss and the accuracy of its last scores."""
    for column in range(len(RECORD)):
        record[column] = seen[RECORD[column], lane]
    in_margins = scores.shape[1] == 1
    last = np.zeros((scores.shape[0], 2 if in_margins else scores.shape[1]), scores.dtype)
    for token in range(scores.shape[0]):
        if in_margins:
            last[token, targets[token]] = scores[token, 0, lane]
        else:
            for label in range(scores.shape[1]):
                last[token, label] = scores[token, label, lane]
    record[FINAL_LOSS] = loss(last, targets, frequencies)
    record[FINAL_ACCURACY] = accuracy(last, targets, frequencies)
