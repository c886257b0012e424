"""Sweeps of two-token runs: columns of settings in, columns of measures out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from ..errors import InputError, unknown_name
from .cpu.synchrony_layout import SIZE
from .door import refuse_other_devices
from .team import run_team, team_size

if TYPE_CHECKING:
    from .arrays import ArrayLike, Matrix

__all__ = ["TWO_TOKEN_MEASURES", "two_token_descent"]

TWO_TOKEN_MEASURES = (
    "steps_to_accuracy", "steps_to_settle", "peak_loss", "peak_step", "spike_height", "spike_duration", "final_loss",
    "final_accuracy", "smallest_margin", "spike_count", "steps_above_initial", "last_rise",
)  # fmt: skip
"""The measures that `two_token_descent` knows; each is defined in `traindyn.dynamics.measures`."""

# steps of a block's lanes in one compiled call: some 20 ms (40 with losses), after which Ctrl-C is seen
_ROUNDS = 400_000
_WATCHED_ROUNDS = 100_000
_SECONDS_PER_CELL = 1e-7
_MOST_STEPS = 2**53


def two_token_descent(
    learning_rates: ArrayLike,
    correlations: ArrayLike,
    frequencies: ArrayLike,
    *,
    steps: int,
    measures: str | Sequence[str] = "steps_to_accuracy",
    squared_distance: ArrayLike = 2.0,
    margins: ArrayLike = (0.0, 0.0),
    threads: int | None = None,
) -> Matrix:
    r"""Return what n runs of gradient descent on two correlated tokens show, (n, k).

    .. code-block:: text

        m_1 <- m_1 + rate c (p_1/(1 + e^m_1) - corr p_2/(1 + e^m_2))
        m_2 <- m_2 + rate c (p_2/(1 + e^m_2) - corr p_1/(1 + e^m_1))
        L   =  p_1 log(1 + e^-m_1) + p_2 log(1 + e^-m_2)

    Main arguments:
        learning_rates: (n,) positive numbers, or one for all, as every argument here may be.
        correlations: (n,) numbers in [-1, 1], the inner product of the two unit inputs.
        frequencies: (n, 2) positive numbers that sum to 1 within 1e-9.
        steps: the last step of every run.
        measures: one or k names of `TWO_TOKEN_MEASURES`; the fastest call asks for steps_to_accuracy alone.

    Other arguments:
        squared_distance: (n,) positive numbers, c = \|u_0 - u_1\|^2.
        margins: (n, 2), where the runs start.
        threads: the most threads to use; by default as many as the call deserves.

    Returns: float64, NaN where a run does not decide a measure. A run's numbers depend on nothing but the run.

    Raises: InputError.

    Cost: 8 ns a step and vector for steps_to_accuracy alone, three times that with losses; a run ends where its
    measures are decided, so that only final_loss and final_accuracy cost all steps.

    Source: Cabannes, Simsek, Bietti 2024, equation (17) and Figure 3.

    >>> measures = ("steps_to_accuracy", "steps_to_settle")
    >>> two_token_descent([1.0, 10.0], 0.95, (0.75, 0.25), steps=1000, measures=measures)
    array([[52., 52.],
           [ 2., 15.]])
    """
    names = (measures,) if isinstance(measures, str) else tuple(measures)
    for name in names:
        if name not in TWO_TOKEN_MEASURES:
            raise unknown_name("measure of two tokens", name, TWO_TOKEN_MEASURES)
    if not names or len(set(names)) < len(names):
        raise InputError("measures must name at least one, and none twice", repr(measures))
    if not isinstance(steps, (int, np.integer)) or isinstance(steps, bool) or not 0 <= steps < _MOST_STEPS:
        raise InputError("steps must be an integer from 0 to 2^53", repr(steps))
    if threads is not None and threads < 1:
        raise InputError("threads must be at least 1", threads)
    columns, n_cells = _columns(
        learning_rates=learning_rates, correlations=correlations, frequencies=frequencies,
        squared_distance=squared_distance, margins=margins,
    )  # fmt: skip
    return cast("Matrix", run_two_tokens(columns, n_cells, int(steps), names, threads))


def run_two_tokens(
    columns: Sequence[Any], n_cells: int, steps: int, names: tuple[str, ...], threads: int | None = None,
    given_up: Callable[[], bool] | None = None,
) -> Matrix | None:  # fmt: skip
    """Return what `two_token_descent` returns, of columns that were checked already.

    Columns: learning rates, correlations, both frequencies, squared distance, both start margins; each float64,
    contiguous, with one entry or `n_cells`. `given_up` is asked some 50 times a second; None once it says so.
    """
    columns = tuple(_read_only(column) for column in columns)
    strides = np.array([int(column.shape[0] > 1) for column in columns])
    most = team_size(_SECONDS_PER_CELL * n_cells)
    blocks = most if threads is None else min(most, threads)
    tickets = np.zeros(SIZE, np.int64)
    if names == ("steps_to_accuracy",):
        from .cpu import two_tokens_accuracy as plain

        first = np.empty(n_cells)
        state = plain.new_blocks(blocks)
        done = _run(plain.steps_to_accuracy, given_up, blocks, state[-1][:, plain.AT_WORK],
                    tickets, _ROUNDS, columns, strides, steps, first, *state)  # fmt: skip
        return first[:, None] if done else None
    from .cpu import two_tokens_watched as watched

    out = np.empty((n_cells, len(names)))
    places = np.array([names.index(name) if name in names else -1 for name in watched.MEASURED])
    watch = watched.new_blocks(blocks)
    done = _run(watched.two_token_measures, given_up, blocks, watch[-1][:, watched.AT_WORK], tickets, _WATCHED_ROUNDS,
                columns, strides, steps, watched.wanted(names), places, out, *watch)  # fmt: skip
    return out if done else None


def _run(
    function: Callable[..., Any], given_up: Callable[[], bool] | None, blocks: int, at_work: Any, *arguments: Any
) -> bool:
    while True:
        run_team(function, blocks, *arguments)
        if not at_work.any():
            return True
        if given_up is not None and given_up():
            return False


def _columns(**values: Any) -> tuple[tuple[Any, ...], int]:
    """Return the seven columns in the kernels' order and the number of cells."""
    refuse_other_devices(values)
    arrays = {name: _real(name, value, pair=name in ("frequencies", "margins")) for name, value in values.items()}
    sizes = {name: array.shape[0] for name, array in arrays.items() if array.shape[0] != 1}
    n_cells = next(iter(sizes.values()), 1)
    for name, size in sizes.items():
        if size != n_cells:
            raise InputError(f"{name} must have one entry, or as many as the arguments before it ({n_cells})", size)
    _check("learning_rates must be positive", arrays["learning_rates"], lambda array: array > 0.0)
    _check("squared_distance must be positive", arrays["squared_distance"], lambda array: array > 0.0)
    _check("correlations must lie in [-1, 1]", arrays["correlations"], lambda array: abs(array) <= 1.0)
    _check("frequencies must be positive", arrays["frequencies"], lambda array: array > 0.0)
    _check(
        "frequencies must sum to 1 within 1e-9", arrays["frequencies"],
        lambda array: abs(array[:, 0] + array[:, 1] - 1.0) <= 1e-9,
    )  # fmt: skip
    frequencies, margins = arrays["frequencies"], arrays["margins"]
    columns = (
        arrays["learning_rates"], arrays["correlations"], frequencies[:, 0], frequencies[:, 1],
        arrays["squared_distance"], margins[:, 0], margins[:, 1],
    )  # fmt: skip
    return columns, n_cells


def _real(name: str, value: Any, pair: bool) -> Any:
    shape = "(n, 2) or (2,)" if pair else "(n,) or one number"
    try:
        array = np.asarray(value)
        if array.dtype.kind not in "iuf":
            raise TypeError(f"dtype {array.dtype}")
        array = np.asarray(array, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"{name} must be numbers of shape {shape}", str(error)) from None
    if array.ndim == int(pair):
        array = array[None]
    if array.ndim != 1 + int(pair) or (pair and array.shape[1] != 2) or array.shape[0] == 0:
        raise InputError(f"{name} must have shape {shape}", f"shape {np.shape(value)}")
    _check(f"{name} must be finite", array, np.isfinite)
    return array


def _check(law: str, array: Any, holds: Callable[[Any], Any]) -> None:
    good = holds(array)
    if not good.all():
        place = np.argwhere(~good)[0]
        raise InputError(law, f"{array[place[0]]} at index {place[0]}")


def _read_only(column: Any) -> Any:
    column = np.ascontiguousarray(column).view()
    column.flags.writeable = False
    return column
