"""Slices of descent along batches whose inputs carry fresh noise: the noise leaves the span of the tokens, so that the
weights themselves are the state.
"""

from __future__ import annotations

import numpy as np

from ..arrays import Labels, Matrix, Vector
from ..compile import compiled
from .borrowing import borrowed
from .descent_arguments import Memory, Record, Rows
from .descent_record import NOT_FINITE, REACHED_END, STOPPED, is_due, look
from .products import multiply, multiply_add_left_transposed, multiply_right_transposed
from .rows import loss_row, residual_row


@compiled()
def _look_at_tokens(transposed: Matrix, memory: Memory, half: Matrix, scores: Matrix, rows: Rows) -> bool:
    """Fill what is recorded of the tokens without noise; return whether all their losses are numbers."""
    multiply(memory.inputs, transposed, half)
    multiply_right_transposed(half, memory.outputs, scores)
    for token in range(scores.shape[0]):
        target = memory.targets[token]
        loss, margin = loss_row(scores[token], target)
        if loss - loss != 0.0:  # a NaN or an infinity
            return False
        rows.losses[token], rows.margins[token] = loss, margin
        first = margin >= 0.0
        for label in range(target):
            first = first and scores[token, label] < scores[token, target]
        rows.firsts[token] = 1.0 if first else 0.0
    return True


@compiled()
def noisy_input_slice(
    transposed: Matrix, memory: Memory, tokens: Labels, noise: Matrix, spread: float, rates: Vector, points: Matrix,
    pulls: Matrix, residuals: Matrix, half: Matrix, scores: Matrix, rows: Rows, record: Record, next_row: int,
    start: int, end: int,
) -> tuple[int, int, int]:  # fmt: skip
    """Advance W^T (d, d) from `start` to `end` along batches of B: (step reached, next row, code).

    Arguments:
        tokens: (k, B) the token of each sample.
        noise: (k, B d) standard normal numbers; the input of a sample is e_x + spread * noise.
        points, pulls: (B, d); residuals: (B, M); half: (N, d); scores: (N, M): work arrays.

    Cost a step: 4 B (M d + d^2) operations and B M exponentials; where it is looked at, 2 N (M d + d^2) more.
    """
    transposed = borrowed(transposed)
    memory = borrowed(memory)
    tokens = borrowed(tokens)
    noise = borrowed(noise)
    rates = borrowed(rates)
    points = borrowed(points)
    pulls = borrowed(pulls)
    residuals = borrowed(residuals)
    half = borrowed(half)
    scores = borrowed(scores)
    rows = borrowed(rows)
    record = borrowed(record)
    number = transposed.dtype.type
    batch, dim = points.shape
    share = 1.0 / batch
    step = start
    while True:
        due = is_due(record, next_row, step)
        if due or record.stop_column >= 0:
            if not _look_at_tokens(transposed, memory, half, scores, rows):
                return step, next_row, NOT_FINITE
            stop = look(record, next_row, due, memory.frequencies, rows)
            next_row += due
            if stop:
                return step, next_row, STOPPED
        if step == end:
            return step, next_row, REACHED_END
        index = step - start
        for sample in range(batch):
            token = tokens[index, sample]
            for axis in range(dim):
                moved = memory.inputs[token, axis] + spread * noise[index, sample * dim + axis]
                points[sample, axis] = number(moved)
        multiply(points, transposed, pulls)
        multiply_right_transposed(pulls, memory.outputs, residuals)
        for sample in range(batch):
            row = residuals[sample]
            loss, _ = residual_row(row, memory.targets[tokens[index, sample]], share, row)
            if loss - loss != 0.0:  # a NaN or an infinity
                return step, next_row, NOT_FINITE
        multiply(residuals, memory.outputs, pulls)
        rate = rates[index if index < rates.shape[0] else rates.shape[0] - 1]
        multiply_add_left_transposed(np.float64(-rate), points, pulls, transposed)
        step += 1
