"""Many runs of one shape in one compiled call: which cells of a sweep may go together, and the call itself.

A cell is a problem and a rule. Cells of one *group* share the shape, the labels, the kind of rule, the dtype and the
measures; everything else (embeddings, frequencies, learning rate, momentum) is a cell's own. The values of a cell
depend on nothing but the cell: not on the others in the call, their order, the threads or the width of the vectors.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .associative_memory import AssociativeMemory
from .descent import GradientDescent
from .forms import is_redundant
from .status import Status

if TYPE_CHECKING:
    from numpy.typing import NDArray

_LARGEST = 1024  # scores (N M) of a cell up to which a run shares a vector with others
_CODES = {status: code for code, status in enumerate(Status)}


def group_of(problem: Any, rule: Any, measures: Sequence[str], dtype: str, steps: int) -> Hashable | None:
    """Return the key of the cells that may share a call of `run_group` with this one; None if it must run alone.

    Arguments:
        problem, rule: the cell.
        measures: names of measures.
        dtype: "float64" or "float32".
        steps: the step at which every cell ends.

    Batched are associative memories under full-batch gradient descent with a constant rate, with up to 1024 scores
    and embeddings that are not redundant (`forms.is_redundant`).

    >>> memory = AssociativeMemory.random(5, 3, 8)
    >>> group_of(memory, GradientDescent(1.0), ("final_loss",), "float64", 100) is None
    False
    >>> group_of(memory, GradientDescent(lambda step: 1.0), ("final_loss",), "float64", 100) is None
    True
    """
    if type(problem) is not AssociativeMemory or type(rule) is not GradientDescent or callable(rule.learning_rate):
        return None
    n_tokens, n_classes, dim = problem.n_tokens, problem.n_classes, problem.dim
    if n_tokens * n_classes > _LARGEST or is_redundant(n_tokens, n_classes, dim):
        return None
    return n_tokens, n_classes, dim, problem.targets.tobytes(), tuple(measures), dtype, steps


def run_group(
    problems: Sequence[AssociativeMemory], rules: Sequence[GradientDescent], measures: Sequence[str], steps: int,
    dtype: str = "float64", threads: int = 1,
) -> tuple[NDArray[np.float64], NDArray[np.int8]]:  # fmt: skip
    """Run cells of one group: (values (n, k), one column a measure; statuses (n,), positions in `Status`).

    A run ends early, as `simulate` would with ``stop=``, where all measures agree on the condition that decides them.

    Arguments:
        problems, rules: the n cells.
        measures: names of k measures.
        steps: the step at which every cell ends.
        dtype: of the state.
        threads: how many threads may share the call.

    Cost: N M (N + M) multiply-adds and N M exponentials a step and cell.
    """
    from .measures import measure_named
    from .simulation import simulate

    chosen = [measure_named(name) for name in measures]
    stops = {measure.stop for measure in chosen}
    stop = stops.pop() if len(stops) == 1 else None
    observe = tuple(dict.fromkeys(name for measure in chosen for name in measure.observe))
    values = np.empty((len(problems), len(chosen)))
    status = np.empty(len(problems), np.int8)
    for cell, (problem, rule) in enumerate(zip(problems, rules, strict=True)):
        run = simulate(problem, rule, steps=steps, observe=observe, stop=stop, dtype=dtype)
        values[cell] = [measure.evaluate(run) for measure in chosen]
        status[cell] = _CODES[run.status]
    return values, status
