"""The door for a million two-token runs: columns of numbers in, columns of measures out, no object a cell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..kernels.sweeps import run_two_tokens
from .associative_memory import AssociativeMemory, second_coordinate
from .descent import GradientDescent
from .slicing import is_cancelled
from .status import Status

if TYPE_CHECKING:
    from numpy.typing import NDArray

_CODES = {status: code for code, status in enumerate(Status)}
_SQUARE = np.eye(2)
_TARGETS = np.arange(2)

MOST_RATE = 1e290
"""Beyond, a run of 2^53 steps could overflow; the batched runs and `simulate` find out where."""


def row_of(problem: Any, rule: Any) -> tuple[float, float, float, float] | None:
    """Return (correlation, two frequencies, learning rate) of a cell whose numbers the columns give; None for others.

    What counts is what the problem holds, not how it was made, so that a cell gives the same in a `Recipe` and in a
    function.

    >>> row_of(AssociativeMemory.two_tokens(0.5), GradientDescent(2.0))
    (0.5, 0.75, 0.25, 2.0)
    """
    if type(problem) is not AssociativeMemory or type(rule) is not GradientDescent:
        return None
    rate, inputs = rule.learning_rate, problem.inputs
    if callable(rate) or rule.momentum != 0.0 or not 0.0 < rate <= MOST_RATE or inputs.shape != (2, 2):
        return None
    (one, zero), (alpha, rest) = inputs.tolist()
    if one != 1.0 or zero != 0.0 or not abs(alpha) <= 1.0 or rest != second_coordinate(alpha):
        return None
    if not np.array_equal(problem.outputs, _SQUARE) or not np.array_equal(problem.targets, _TARGETS):
        return None
    return (alpha, *problem.frequencies.tolist(), float(rate))


def columns_of(rows: Sequence[tuple[float, float, float, float]]) -> dict[str, NDArray[np.float64]]:
    """Return the columns of rows of `row_of`."""
    table = np.array(rows)
    return {
        "correlation": np.ascontiguousarray(table[:, 0]), "frequencies": np.ascontiguousarray(table[:, 1:3]),
        "learning_rate": np.ascontiguousarray(table[:, 3]), "momentum": np.zeros(1),
    }  # fmt: skip


def two_token_columns(
    columns: Mapping[str, NDArray[np.float64]], measures: Sequence[str], steps: int, threads: int = 1
) -> tuple[NDArray[np.float64], NDArray[np.int8]]:
    """Run `AssociativeMemory.two_tokens` under `GradientDescent` from W = 0: (values (n, k), statuses (n,)).

    Arguments:
        columns: correlation (n,), frequencies (n, 2), learning_rate (n,) and momentum (n,), all lawful; those that
            are one number for all cells may have one row.
        measures: names of k measures.
        steps: the step at which every cell ends.
        threads: the most threads to use.

    Statuses are positions in `Status`. Cells with momentum are built as objects and go the way of `run_group`. When the
    event of `slicing.cancelled_by` is set, all cells are `Status.INTERRUPTED`.

    Cost: see `traindyn.kernels.sweeps.two_token_descent`.

    >>> columns = {"correlation": np.array([0.95]), "frequencies": np.array([[0.75, 0.25]]),
    ...            "learning_rate": np.array([1.0, 10.0]), "momentum": np.zeros(1)}
    >>> two_token_columns(columns, ("steps_to_accuracy",), 1000)[0].ravel()
    array([52.,  2.])
    """
    names = tuple(measures)
    n_cells = max(column.shape[0] for column in columns.values())
    moving = columns["momentum"] != 0.0
    if moving.any():
        return _some_with_momentum(columns, moving, n_cells, names, steps, threads)
    frequencies = columns["frequencies"]
    settings = columns["learning_rate"], columns["correlation"], frequencies[:, 0], frequencies[:, 1]
    distance, start = np.full(1, 2.0), np.zeros(1)
    values = run_two_tokens((*settings, distance, start, start), n_cells, steps, names, threads, is_cancelled)
    if values is None:
        return np.full((n_cells, len(names)), np.nan), np.full(n_cells, _CODES[Status.INTERRUPTED], np.int8)
    if names != ("steps_to_accuracy",):
        return values, np.full(n_cells, _CODES[Status.COMPLETED], np.int8)
    reached, missed = _CODES[Status.THRESHOLD_REACHED], _CODES[Status.STEPS_EXHAUSTED]
    return values, np.where(np.isnan(values[:, 0]), np.int8(missed), np.int8(reached))


def _some_with_momentum(
    columns: Mapping[str, NDArray[np.float64]], moving: NDArray[np.bool_], n_cells: int, names: tuple[str, ...],
    steps: int, threads: int,
) -> tuple[NDArray[np.float64], NDArray[np.int8]]:  # fmt: skip
    from .batching import run_group

    whole = {name: np.broadcast_to(column, (n_cells, *column.shape[1:])) for name, column in columns.items()}
    moving = np.broadcast_to(moving, (n_cells,))
    values, status = np.empty((n_cells, len(names))), np.empty(n_cells, np.int8)
    with_momentum, without = np.flatnonzero(moving), np.flatnonzero(~moving)
    problems = [
        AssociativeMemory.two_tokens(float(whole["correlation"][cell]), whole["frequencies"][cell])
        for cell in with_momentum
    ]
    rules = [
        GradientDescent(float(whole["learning_rate"][cell]), momentum=float(whole["momentum"][cell]))
        for cell in with_momentum
    ]
    values[with_momentum], status[with_momentum] = run_group(problems, rules, names, steps, "float64", threads)
    if without.size:
        others = {name: np.ascontiguousarray(column[without]) for name, column in whole.items()}
        values[without], status[without] = two_token_columns(others, names, steps, threads)
    return values, status
