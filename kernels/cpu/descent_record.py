"""What a descent loop looks at while it runs: loss, accuracy, margins, the stop condition, non-finite values.

Columns of the recorded scalars: loss, accuracy, accuracy with the papers' tie rule, smallest margin.
"""

from __future__ import annotations

import math

from ..arrays import Labels, Matrix, Vector
from ..compile import compiled
from .rows import residual_row
from .tokens import share_right

SCALARS = ("loss", "accuracy", "accuracy_first_index", "smallest_margin")
RELATIONS = (">=", "<=", ">", "<")

REACHED_END, STOPPED, NOT_FINITE = 0, 1, 2


@compiled()
def residuals(
    scores: Matrix, targets: Labels, weights: Vector, out: Matrix, losses: Vector, margins: Vector, firsts: Vector
) -> bool:
    """Fill each token's residual w_x (softmax - onehot), loss, margin and whether it is the first argmax.

    Returns whether all scores are finite. Cost: N M exponentials.
    """
    finite = True
    for token in range(scores.shape[0]):
        row = scores[token]
        target = targets[token]
        check = 0.0
        first = 1.0
        for label in range(row.shape[0]):
            check += row[label] * 0.0  # infinity * 0 is NaN
            if row[label] > row[target] or (row[label] == row[target] and label < target):
                first = 0.0
        finite = finite and check == 0.0
        firsts[token] = first
        losses[token], margins[token] = residual_row(row, target, weights[token], out[token])
    return finite


@compiled()
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


@compiled()
def holds(value: float, relation: int, threshold: float) -> bool:
    """Return whether value RELATION threshold; False for NaN."""
    if relation == 0:
        return value >= threshold
    if relation == 1:
        return value <= threshold
    if relation == 2:
        return value > threshold
    return value < threshold


@compiled()
def look(
    step: int, frequencies: Vector, losses: Vector, margins: Vector, firsts: Vector,
    save_steps: Labels, next_row: int, scalars: Matrix, saved_margins: Matrix,
    stop_column: int, stop_relation: int, stop_threshold: float, current: Vector,
) -> tuple[int, bool]:  # fmt: skip
    """Record the step if it is the next one to save, and test the stop condition: (next row, stop)."""
    due = next_row < save_steps.shape[0] and save_steps[next_row] == step
    if not due and stop_column < 0:
        return next_row, False
    summarise(frequencies, losses, margins, firsts, current)
    if due:
        for column in range(current.shape[0]):
            scalars[next_row, column] = current[column]
        if saved_margins.shape[0] > 0:
            for token in range(margins.shape[0]):
                saved_margins[next_row, token] = margins[token]
        next_row += 1
    stop = stop_column >= 0 and holds(current[stop_column], stop_relation, stop_threshold)
    return next_row, stop
