"""What a descent loop looks at while it runs: loss, accuracy, margins, the stop condition.

Columns of the recorded scalars: loss, accuracy, accuracy with the papers' tie rule, smallest margin.
"""

from __future__ import annotations

import math

import numpy as np

from ..arrays import Labels, Vector
from ..compile import compiled
from .compiled_once import compiled_once
from .descent_arguments import Record, Rows
from .synchrony import barrier
from .tokens import share_right

SCALARS = ("loss", "accuracy", "accuracy_first_index", "smallest_margin")
RELATIONS = (">=", "<=", ">", "<")

REACHED_END, STOPPED, NOT_FINITE = 0, 1, 2
GO_ON = -1


@compiled(inline=True)
def summarise(frequencies: Vector, losses: Vector, margins: Vector, firsts: Vector, out: Vector) -> None:
    """Fill the four scalars. The accuracies are 1 exactly if and only if no token is wrong, and 0 if all are."""
    loss = 0.0
    smallest = math.inf
    wrong, wrong_first = 0.0, 0.0
    count, count_first = 0, 0
    for token in range(frequencies.shape[0]):
        loss += frequencies[token] * losses[token]
        smallest = min(smallest, margins[token])
        if not margins[token] > 0.0:
            wrong += frequencies[token]
            count += 1
        if firsts[token] == 0.0:
            wrong_first += frequencies[token]
            count_first += 1
    out[0] = loss
    out[1] = share_right(wrong, count, frequencies.shape[0])
    out[2] = share_right(wrong_first, count_first, frequencies.shape[0])
    out[3] = smallest


@compiled(inline=True)
def holds(value: float, relation: int, threshold: float) -> bool:
    """Return whether value RELATION threshold; False for NaN."""
    if relation == 0:
        return value >= threshold
    if relation == 1:
        return value <= threshold
    if relation == 2:
        return value > threshold
    return value < threshold


@compiled(inline=True)
def is_due(record: Record, next_row: int, step: int) -> bool:
    """Return whether the step is the next one to save."""
    return bool(next_row < record.save_steps.shape[0] and record.save_steps[next_row] == step)


@compiled_once()
def look(record: Record, next_row: int, due: bool, frequencies: Vector, rows: Rows) -> bool:
    """Save what is due and return whether the stop condition holds. Cost: 5 N operations."""
    current = np.empty(4)
    summarise(frequencies, rows.losses, rows.margins, rows.firsts, current)
    if due:
        for column in range(current.shape[0]):
            record.scalars[next_row, column] = current[column]
        if record.margins.shape[0] > 0:
            for token in range(frequencies.shape[0]):
                record.margins[next_row, token] = rows.margins[token]
    if record.stop_column < 0:
        return False
    return bool(holds(current[record.stop_column], record.stop_relation, record.stop_threshold))


@compiled(inline=True)
def judge(
    sync: Labels, member: int, members: int, record: Record, next_row: int, due: bool, frequencies: Vector, rows: Rows
) -> int:
    """Return, to every member alike, whether the run goes on after the rows of a step are filled.

    Called by all members after the barrier that ends the filling. Member 0 saves what is due; the others wait only
    where there is a stop condition.
    """
    for tile in range(rows.flags.shape[0]):
        if rows.flags[tile] != 0:
            return NOT_FINITE
    if member == 0 and (due or record.stop_column >= 0):
        rows.decision[0] = look(record, next_row, due, frequencies, rows)
    if record.stop_column >= 0:
        if not barrier(sync, members):
            return REACHED_END
        if rows.decision[0] != 0:
            return STOPPED
    return GO_ON
