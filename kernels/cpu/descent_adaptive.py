"""Slices of Adam and AdamW: moments of each weight, so that the weights themselves must be carried."""

from __future__ import annotations

import math

from ..arrays import Labels, Matrix, Vector
from ..compile import compiled
from .descent import scores_of_weights, weight_increment
from .descent_record import NOT_FINITE, REACHED_END, STOPPED, look, residuals


@compiled()
def adaptive_slice(
    transposed: Matrix, first_moment: Matrix, second_moment: Matrix, inputs: Matrix, inputs_transposed: Matrix,
    outputs: Matrix, outputs_transposed: Matrix, targets: Labels, frequencies: Vector, rates: Vector,
    first_decay: float, second_decay: float, epsilon: float, weight_decay: float,
    scores: Matrix, residual: Matrix, half: Matrix, full: Matrix,
    rows: Matrix, current: Vector, start: int, end: int,
    save_steps: Labels, next_row: int, scalars: Matrix, saved_margins: Matrix,
    stop_column: int, stop_relation: int, stop_threshold: float,
) -> tuple[int, int, int]:  # fmt: skip
    """Advance W^T (d, d) and its two moments. A slice as in `descent`.

    Cost a step: 4 N M d + 4 min(N, M) d^2 operations, N M exponentials, d^2 roots and divisions.
    """
    losses, margins, firsts = rows[0], rows[1], rows[2]
    step = start
    while True:
        index = step - start
        scores_of_weights(inputs, transposed, outputs_transposed, half, scores)
        if not residuals(scores, targets, frequencies, residual, losses, margins, firsts):
            return step, next_row, NOT_FINITE
        next_row, stop = look(
            step, frequencies, losses, margins, firsts, save_steps, next_row, scalars, saved_margins,
            stop_column, stop_relation, stop_threshold, current,
        )  # fmt: skip
        if stop:
            return step, next_row, STOPPED
        if step == end:
            return step, next_row, REACHED_END
        rate = rates[index if index < rates.shape[0] else rates.shape[0] - 1]
        weight_increment(inputs_transposed, residual, outputs, half, full)
        first_correction = 1.0 - first_decay ** (step + 1)
        second_correction = 1.0 - second_decay ** (step + 1)
        for i in range(full.shape[0]):
            for k in range(full.shape[1]):
                gradient = full[i, k]
                first = first_decay * first_moment[i, k] + (1.0 - first_decay) * gradient
                second = second_decay * second_moment[i, k] + (1.0 - second_decay) * gradient * gradient
                first_moment[i, k] = first
                second_moment[i, k] = second
                scaled = (first / first_correction) / (math.sqrt(second / second_correction) + epsilon)
                transposed[i, k] -= rate * (scaled + weight_decay * transposed[i, k])
        step += 1
