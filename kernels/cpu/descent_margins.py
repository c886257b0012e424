"""Slices of gradient descent for two classes, where the margins (N,) are the whole state."""

from __future__ import annotations

import math

from ..arrays import Labels, Matrix, Vector
from ..compile import compiled
from .descent_products import multiply
from .descent_record import NOT_FINITE, REACHED_END, STOPPED, look


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
    targets: Labels, frequencies: Vector, token_weights: Matrix, rates: Vector, momentum: float,
    noise_left: Matrix, noise: Matrix, noise_right: Matrix, noise_scale: float,
    residual: Vector, increment: Vector, along: Vector, noise_half: Matrix, noise_full: Matrix,
    rows: Matrix, current: Vector, start: int, end: int,
    save_steps: Labels, next_row: int, scalars: Matrix, saved_margins: Matrix,
    stop_column: int, stop_relation: int, stop_threshold: float,
) -> tuple[int, int, int]:  # fmt: skip
    """Advance margins and their dual coefficients: m <- m + coupling da, coupling = |u_0 - u_1|^2 s_x s_y <e_x, e_y>.

    Where `coupling` is empty it is applied as squared * signed signed^T with the inputs times their signs, (N, d): an
    increment that moves no margin then adds no rounding noise, as in `descent.particle_slice`.

    A slice as in `descent`. Cost a step: 2 N^2 or 4 N d operations, N exponentials.
    """
    losses, shown, firsts = rows[0], rows[1], rows[2]
    step = start
    while True:
        index = step - start
        weights = token_weights[index if index < token_weights.shape[0] else token_weights.shape[0] - 1]
        due = next_row < save_steps.shape[0] and save_steps[next_row] == step
        looked_at = due or stop_column >= 0
        if not margin_residuals(margins, targets, weights, residual, losses, firsts, looked_at):
            return step, next_row, NOT_FINITE
        for token in range(margins.shape[0]):
            shown[token] = margins[token]
        next_row, stop = look(
            step, frequencies, losses, shown, firsts, save_steps, next_row, scalars, saved_margins,
            stop_column, stop_relation, stop_threshold, current,
        )  # fmt: skip
        if stop:
            return step, next_row, STOPPED
        if step == end:
            return step, next_row, REACHED_END
        rate = rates[index if index < rates.shape[0] else rates.shape[0] - 1]
        for token in range(margins.shape[0]):
            velocity[token] = momentum * velocity[token] + residual[token]
            increment[token] = -rate * velocity[token]
        if noise.shape[0] > 0:
            multiply(noise_left, noise[index], noise_half)
            multiply(noise_half, noise_right, noise_full)
            for token in range(margins.shape[0]):
                increment[token] += noise_scale * noise_full[token, 0]
        for token in range(margins.shape[0]):
            dual[token] += increment[token]
        if coupling.shape[0] > 0:
            for other in range(margins.shape[0]):
                change = increment[other]
                for token in range(margins.shape[0]):
                    margins[token] += change * coupling[other, token]
        else:
            add_by_way_of_weights(margins, increment, signed, squared, residual, along)
        step += 1
