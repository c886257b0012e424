"""What loops over parameters of any structure share: the rows of the tokens, the record, the step."""

from __future__ import annotations

import math

import numpy as np

from ..arrays import Labels, Matrix, Vector
from ..compile import compiled
from .descent_arguments import Record, Rows
from .descent_record import holds
from .rows import residual_row


@compiled()
def fill_rows(scores: Matrix, targets: Labels, weights: Vector, residual: Matrix, rows: Rows) -> bool:
    """Fill the residual, losses, margins and whether the target comes first; return whether all are finite.

    The residual of token x is weights[x] (P - Y), (N, M); the scores stay.
    """
    for token in range(scores.shape[0]):
        target = targets[token]
        loss, margin = residual_row(scores[token], target, weights[token], residual[token])
        if not (loss < math.inf and abs(margin) < math.inf):
            return False
        rows.losses[token], rows.margins[token] = loss, margin
        first = margin >= 0.0
        if margin == 0.0:
            for label in range(target):
                first = first and scores[token, label] < scores[token, target]
        rows.firsts[token] = 1.0 if first else 0.0
    return True


@compiled()
def save_row(current: Vector, rows: Rows, record: Record, next_row: int, due: bool) -> bool:
    """Save the columns of a step and its margins if they are due, and return whether the stop condition holds."""
    if due:
        for column in range(record.scalars.shape[1]):
            record.scalars[next_row, column] = current[column]
        if record.margins.shape[0] > 0:
            for token in range(rows.margins.shape[0]):
                record.margins[next_row, token] = rows.margins[token]
    if record.stop_column < 0:
        return False
    return bool(holds(current[record.stop_column], record.stop_relation, record.stop_threshold))


@compiled()
def descend(parameters: Matrix, gradient: Matrix, velocity: Matrix, momentum: float, rate: float) -> None:
    """Move the parameters, with velocity <- momentum velocity + gradient where there is momentum."""
    number = parameters.dtype.type
    state, slope, kept = parameters.reshape(-1), gradient.reshape(-1), velocity.reshape(-1)
    length, share = number(rate), number(momentum)
    if kept.shape[0] == 0:
        for place in range(state.shape[0]):
            state[place] -= length * slope[place]
    else:
        for place in range(state.shape[0]):
            kept[place] = share * kept[place] + slope[place]
            state[place] -= length * kept[place]


@compiled()
def squared_norm(matrix: Matrix) -> float:
    """Return the sum of the squares of all entries."""
    total = 0.0
    for row in range(matrix.shape[0]):
        for column in range(matrix.shape[1]):
            total += np.float64(matrix[row, column]) ** 2
    return total
