"""Slices of gradient descent for two classes, where the margins (N,) are the whole state."""

from __future__ import annotations

import math

from ..arrays import Labels, Matrix, Vector
from ..compile import compiled
from .descent_arguments import Motion, Record, Rows
from .descent_record import NOT_FINITE, REACHED_END, STOPPED, is_due, look
from .descent_tiles import chosen_row
from .products import multiply


@compiled()
def margin_residuals(
    margins: Vector, targets: Labels, weights: Vector, out: Vector, losses: Vector, firsts: Vector, looked_at: bool
) -> bool:
    """Fill -w_x / (1 + e^m); where the step is looked at, also log(1 + e^-m) and whether the target comes first.

    Returns whether all margins are finite. Cost: N exponentials, and N logarithms where looked at.
    """
    finite = True
    for token in range(margins.shape[0]):
        margin = margins[token]
        finite = finite and margin * 0.0 == 0.0
        small = math.exp(-abs(margin))
        wrong = small if margin >= 0.0 else 1.0
        out[token] = -weights[token] * (wrong / (1.0 + small))
        if not looked_at:
            continue
        losses[token] = math.log1p(small) + (0.0 if margin >= 0.0 else -margin)
        firsts[token] = 1.0 if margin > 0.0 or (margin == 0.0 and targets[token] == 0) else 0.0
    return finite


@compiled()
def add_by_way_of_weights(
    margins: Vector, increment: Vector, signed: Matrix, squared: float, moved: Vector, along: Vector
) -> None:
    """Add squared * signed @ (signed^T @ increment) to the margins; `moved` (N,) and `along` (d,) are work arrays."""
    for axis in range(along.shape[0]):
        along[axis] = 0.0
    for token in range(margins.shape[0]):
        for axis in range(along.shape[0]):
            along[axis] += increment[token] * signed[token, axis]
    for token in range(margins.shape[0]):
        moved[token] = 0.0
        for axis in range(along.shape[0]):
            moved[token] += signed[token, axis] * along[axis]
        margins[token] += squared * moved[token]


@compiled()
def margin_slice(
    margins: Vector, dual: Vector, velocity: Vector, coupling: Matrix, signed: Matrix, squared: float,
    targets: Labels, frequencies: Vector, rows: Rows, residual: Vector, increment: Vector, along: Vector,
    noise_half: Matrix, noise_full: Matrix, motion: Motion, record: Record, next_row: int, start: int, end: int,
) -> tuple[int, int, int]:  # fmt: skip
    """Advance margins and their dual coefficients: m <- m + coupling da, coupling = |u_0 - u_1|^2 s_x s_y <e_x, e_y>.

    Where `coupling` is empty it is applied as squared * signed signed^T with the inputs times their signs, (N, d): an
    increment that moves no margin then adds no rounding noise, as in `descent_particles`.

    A slice as in `descent_weights`, by one thread. Cost a step: 2 N^2 or 4 N d operations, N exponentials.
    """
    step = start
    while True:
        index = step - start
        due = is_due(record, next_row, step)
        looked = due or record.stop_column >= 0
        if step == end and not looked:
            return step, next_row, REACHED_END
        weights = motion.token_weights[chosen_row(index, motion.token_weights.shape[0])]
        if not margin_residuals(margins, targets, weights, residual, rows.losses, rows.firsts, looked):
            return step, next_row, NOT_FINITE
        if looked:
            for token in range(margins.shape[0]):
                rows.margins[token] = margins[token]
            stop = look(record, next_row, due, frequencies, rows)
            next_row += due
            if stop:
                return step, next_row, STOPPED
        if step == end:
            return step, next_row, REACHED_END
        rate = motion.rates[chosen_row(index, motion.rates.shape[0])]
        for token in range(margins.shape[0]):
            velocity[token] = motion.momentum * velocity[token] + residual[token]
            increment[token] = -rate * velocity[token]
        if motion.noise.shape[0] > 0:
            multiply(motion.noise_left, motion.noise[index], noise_half)
            multiply(noise_half, motion.noise_right, noise_full)
            for token in range(margins.shape[0]):
                increment[token] += motion.noise_scale * noise_full[token, 0]
        for token in range(margins.shape[0]):
            dual[token] += increment[token]
        if coupling.shape[0] > 0:
            for other in range(margins.shape[0]):
                change = increment[other]
                if change != 0.0:  # of a token outside the batch
                    for token in range(margins.shape[0]):
                        margins[token] += change * coupling[other, token]
        else:
            add_by_way_of_weights(margins, increment, signed, squared, residual, along)
        step += 1
