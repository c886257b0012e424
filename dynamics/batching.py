"""Many runs of one shape in one compiled call: which cells of a sweep may go together, and the call itself.

A cell is a problem and a rule. Cells of one *group* share the shape, the labels, the kind of rule, the dtype and the
measures; everything else (embeddings, frequencies, learning rate, momentum) is a cell's own. The values of a cell
depend on nothing but the cell: not on the others in the call, their order, the threads or the width of the vectors.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .associative_memory import AssociativeMemory
from .descent import GradientDescent
from .forms import is_redundant
from .measures import MEASURES, SPIKE_TOLERANCE, needs_of
from .one_thread import one_thread
from .slicing import Interruption
from .status import Status

if TYPE_CHECKING:
    from numpy.typing import NDArray

_LARGEST = 1024  # scores (N M) of a cell up to which a run shares a vector with others
_CODES = {status: code for code, status in enumerate(Status)}
_SLICE = 0.05  # seconds

# read from the run by the batched kernel, and not of its end
_OF_MARGINS = frozenset({"steps_to_accuracy", "steps_to_settle", "smallest_margin"})
_OF_LOSS = frozenset(
    {"peak_loss", "peak_step", "spike_height", "spike_duration", "spike_count", "steps_above_initial", "last_rise"}
)
# decided by differences of the loss that single precision does not show
_OF_FINE_LOSS = _OF_LOSS - {"peak_loss", "peak_step"}
_OF_END = frozenset({"final_loss", "final_accuracy"})
_COUNTED = {"float64": 2**53, "float32": 2**24}  # steps that a lane can count


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
    if not set(measures) <= _OF_MARGINS | _OF_LOSS | _OF_END or steps >= _COUNTED.get(dtype, 0):
        return None
    if dtype == "float32" and not _OF_FINE_LOSS.isdisjoint(measures):
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
    Ctrl-C, and the event of `slicing.cancelled_by`, leave the cells that were not finished `Status.INTERRUPTED`.

    Arguments:
        problems, rules: the n cells.
        measures: names of k measures.
        steps: the step at which every cell ends.
        dtype: of the state.
        threads: how many threads may share the call.

    Cost: N M (N + M) multiply-adds and N M exponentials a step and cell; 10 us a cell to gather its numbers.

    >>> memory = AssociativeMemory.two_tokens()
    >>> values, status = run_group([memory] * 2, [GradientDescent(1.0), GradientDescent(10.0)], ["peak_loss"], 100)
    >>> values.round(4).tolist(), status.tolist()
    ([[0.6931], [1.3487]], [0, 0])
    """
    from ..kernels.cpu.lanes import WAITING, descend_in_lanes, new_blocks, size_of
    from ..kernels.cpu.synchrony_layout import SIZE
    from ..kernels.team import run_team

    first = problems[0]
    stopping = needs_of([MEASURES[name] for name in measures]).stop is not None
    distinct = {id(problem): problem for problem in problems}
    number_of = {key: number for number, key in enumerate(distinct)}
    problem_of = np.array([number_of[id(problem)] for problem in problems])
    rates = np.array([rule.learning_rate for rule in rules], dtype=np.float64)
    momenta = np.array([rule.momentum for rule in rules])
    frequencies = np.array([problem.frequencies for problem in distinct.values()])
    with_loss = not _OF_LOSS.isdisjoint(measures)
    size = size_of(first.n_tokens, first.n_classes, with_loss)
    inputs, outputs, pushes = _couplings(list(distinct.values()), frequencies, size is not None)

    with np.errstate(over="ignore"):
        reach = pushes[problem_of] * rates * steps / (1.0 - momenta)
        watched = not bool(reach.max() < 1e-3 * float(np.finfo(dtype).max))
        inputs, outputs = inputs.astype(dtype), outputs.astype(dtype)
    records, codes = _records(rates.size)
    width = max(first.n_classes * (outputs.shape[1] > 0), 1)
    threads = max(1, min(threads, rates.size))
    blocks = new_blocks(threads, first.n_tokens, width, outputs.shape[1:], np.dtype(dtype))
    tickets = np.zeros(SIZE, np.int64)
    rounds = max(1, int(_SLICE / _seconds(first.n_tokens, width)))
    cells = blocks[-2]
    with Interruption() as interruption:
        while not interruption.requested and (cells >= 0).any() | (cells == WAITING).any():
            run_team(
                descend_in_lanes, threads, size, tickets, rounds, problem_of, inputs, outputs, frequencies,
                np.array(first.targets), rates, momenta, steps, stopping, not _OF_MARGINS.isdisjoint(measures),
                with_loss, watched, 1.0 + SPIKE_TOLERANCE, records, codes, *blocks,
            )  # fmt: skip
    return _values(measures, records, codes), _statuses(codes, stopping)


def _seconds(n_tokens: int, n_classes: int) -> float:
    """Return about how long a step of a block of lanes takes."""
    return 1e-9 * (30 + n_tokens * n_classes * (5.0 + 0.15 * (n_tokens + n_classes)))


def _couplings(
    problems: list[AssociativeMemory], frequencies: NDArray[np.float64], small: bool
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return the Gram matrices of all problems and a bound of how far a step of rate 1 moves any score.

    For small problems the second are the pulls <u_k - u_f, u_z - u_0> of each target f, by the k that follow it in turn
    and by z > 0. Else for two classes the first are the couplings of the margins, |u_0 - u_1|^2 s_x s_y <e_x, e_y>, and
    the others empty.
    """
    first = problems[0]
    with one_thread(first.n_tokens, first.n_classes, first.dim):
        inputs = np.array([problem.inputs for problem in problems])
        outputs = np.array([problem.outputs for problem in problems])
        input_grams = inputs @ inputs.transpose(0, 2, 1)
        if small:
            turns = (np.arange(first.n_classes)[:, None] + np.arange(1, first.n_classes)) % first.n_classes
            gaps = outputs[:, turns] - outputs[:, :, None]
            output_grams = gaps @ (outputs[:, 1:] - outputs[:, :1])[:, None].transpose(0, 1, 3, 2)
            output_grams = output_grams.reshape(len(problems), -1, first.n_classes - 1)
            largest = 2.0 * np.abs(output_grams).max(axis=(1, 2))
        elif first.n_classes > 2:
            output_grams = outputs @ outputs.transpose(0, 2, 1)
            largest = np.abs(output_grams).max(axis=(1, 2))
        else:
            signs = np.where(first.targets == 0, 1.0, -1.0)
            gaps = outputs[:, :1] - outputs[:, 1:]
            squared = gaps @ gaps.transpose(0, 2, 1)
            input_grams = squared * (signs[:, None] * signs) * input_grams
            output_grams = np.empty((len(problems), 0, 0))
            largest = np.ones(len(problems))
        weighted = (np.abs(input_grams) * frequencies[:, None, :]).sum(axis=2).max(axis=1)
    return input_grams, output_grams, 2.0 * weighted * largest


def _records(cells: int) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    from ..kernels.cpu.lanes import RECORD

    return np.full((cells, len(RECORD) + 2), math.nan), np.full(cells, -1)


def _values(measures: Sequence[str], records: NDArray[np.float64], codes: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the measures, defined in `measures`, from what the kernel saw of the runs."""
    from ..kernels.cpu import lanes, lanes_record
    from ..kernels.cpu.descent_record import NOT_FINITE

    def seen(row: int) -> NDArray[np.float64]:
        return records[:, lanes.RECORD.index(row)]

    first, last = seen(lanes_record.FIRST_PERFECT), seen(lanes_record.LAST_IMPERFECT)
    height = seen(lanes_record.HEIGHT)
    settled = (last < seen(lanes_record.AGE)) | (last < 0.0)
    over = height == 0.0
    lasting = (seen(lanes_record.OPEN) > 0.0) & ~over
    columns: Mapping[str, NDArray[np.float64]] = {
        "steps_to_accuracy": np.where(np.isfinite(first), first, math.nan),
        "steps_to_settle": np.where(settled, last + 1.0, math.nan),
        "peak_loss": seen(lanes_record.PEAK),
        "peak_step": seen(lanes_record.PEAK_AT),
        "spike_height": height,
        "spike_duration": np.where(over, 0.0, np.where(lasting, math.nan, seen(lanes_record.DURATION))),
        "final_loss": records[:, lanes.FINAL_LOSS],
        "final_accuracy": records[:, lanes.FINAL_ACCURACY],
        "smallest_margin": -seen(lanes_record.LEAD),
        "spike_count": seen(lanes_record.SPIKES),
        "steps_above_initial": seen(lanes_record.ABOVE),
        "last_rise": seen(lanes_record.LAST_RISE),
    }
    values = np.column_stack([columns[name] for name in measures])
    undecided = (codes == NOT_FINITE) | (codes < 0)
    for column, name in enumerate(measures):
        if name != "steps_to_accuracy":
            values[undecided, column] = math.nan
    return values


def _statuses(codes: NDArray[np.int64], stopping: bool) -> NDArray[np.int8]:
    from ..kernels.cpu.descent_record import NOT_FINITE, REACHED_END, STOPPED

    names = {
        -1: Status.INTERRUPTED,
        REACHED_END: Status.STEPS_EXHAUSTED if stopping else Status.COMPLETED,
        STOPPED: Status.THRESHOLD_REACHED,
        NOT_FINITE: Status.NOT_FINITE,
    }
    statuses = np.empty(codes.size, np.int8)
    for code, status in names.items():
        statuses[codes == code] = _CODES[status]
    return statuses
