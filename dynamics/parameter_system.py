"""Problems whose parameters move in compiled slices of their own: what such systems share.

A subclass sets `_slice`, the compiled function, and `_arguments`, what it is given first; it is called as

.. code-block:: text

    _slice(*_arguments, token_weights, drawn, rates, record, wanted, next_row, start, end) -> (step, next row, code)

where `token_weights` (k or 1, N) are those of the gradient of each step, and `drawn` says whether they are random.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import InputError
from ..kernels.cpu.descent_adaptive import Adaptation
from ..kernels.cpu.descent_arguments import Record
from ..kernels.cpu.descent_record import NOT_FINITE, SCALARS
from ..kernels.cpu.descent_record import STOPPED as STOP_CODE
from .adaptive import Adam, AdamW
from .descent import GradientDescent
from .descent_work import rows_of
from .draws import draws_of
from .numbers import finite_array
from .stochastic import GradientNoise, StochasticGradientDescent, StochasticGradientFlow
from .system import REACHED_END, STOPPED, Event

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .recorder import Recorder

_RULES = (GradientDescent, StochasticGradientDescent, StochasticGradientFlow, Adam, AdamW)


def is_moved(problem: Any, rule: Any, form: str | None) -> bool:
    """Return whether a `ParameterSystem` moves the problem by the rule; a rule of the user's own is left to Python.

    Raises: InputError for a form other than the weights, for input noise, and for noise that is defined for W alone.
    """
    if type(rule) not in _RULES:
        return False
    if form not in (None, "weights"):
        raise InputError(f"a {type(problem).__name__} moves in weights only", f"form={form!r}", "leave form out")
    if getattr(rule, "input_noise", 0.0) > 0.0:
        raise InputError(
            f"input noise is defined for an AssociativeMemory, not for a {type(problem).__name__}",
            f"input_noise={rule.input_noise!r}", "pass input_noise=0, or the memory itself",
        )  # fmt: skip
    if isinstance(rule, StochasticGradientFlow) and not isinstance(rule.noise, GradientNoise) and rule.noise > 0.0:
        raise InputError(
            f"additive noise is defined for W, not for the weights of a {type(problem).__name__}",
            f"noise={rule.noise!r}", "pass noise=GradientNoise(batch_size, learning_rate)",
        )  # fmt: skip
    return True


class ParameterSystem:
    """Parameters in one matrix, the rows of the problem's weights below each other, under any rule of the package.

    The problem has ``initial_weights()``, ``scores(weights)``, targets and frequencies. Columns of the record are loss,
    accuracies and smallest margin, then `further`, of which the slice computes those that are wanted.
    """

    form = "weights"
    _slice: Callable[..., tuple[int, int, int]]
    _arguments: tuple[Any, ...]

    def __init__(
        self, problem: Any, rule: Any, initial: Any, dtype: str, generator: np.random.Generator | None,
        further: tuple[str, ...] = (),
    ) -> None:  # fmt: skip
        start = problem.initial_weights()
        if initial is not None:
            given = finite_array("initial", initial, dimensions=start.ndim, shape=str(start.shape))
            if given.shape != start.shape:
                raise InputError(f"initial must have shape {start.shape}", given.shape)
            start = given
        self.problem, self.step, self._shape, self._dtype = problem, 0, start.shape, dtype
        self.columns = (*SCALARS, *further)
        self.recorded = frozenset({*self.columns, "margin"})
        self.n_tokens = int(problem.frequencies.size)
        self._further = further
        self._parameters = np.array(start.reshape(-1, start.shape[-1]), dtype=dtype)
        self._momentum = float(getattr(rule, "momentum", 0.0))
        self._velocity = np.zeros_like(self._parameters[: None if self._momentum else 0])
        adapts = isinstance(rule, Adam)
        first, second = (np.zeros_like(self._parameters[: None if adapts else 0]) for _ in range(2))
        numbers = (rule.first_decay, rule.second_decay, rule.epsilon, rule.decay) if adapts else (0.0, 0.0, 1.0, 0.0)
        self._adaptation = Adaptation(first, second, *numbers)
        self._rows = rows_of(self.n_tokens, 0, self.n_tokens)
        self._drawn = generator is not None
        self._draws = draws_of(rule, problem.frequencies, generator, None, dtype)
        self.largest_slice = self._draws.largest_slice
        self.seconds_per_step = 1e-5

    def advance(self, end: int, rates: NDArray[np.float64], recorder: Recorder) -> Event:
        """Move to step `end` in one compiled call; the state at `end` is looked at, if it is due, but not moved."""
        record = Record(
            recorder.steps, recorder.scalars, recorder.margins,
            recorder.stop_column, recorder.stop_relation, recorder.stop_threshold,
        )  # fmt: skip
        wanted = np.array([name in recorder.wanted for name in self._further], dtype=np.int64)
        weights, _ = self._draws.take(end - self.step)
        reached, recorder.next_row, code = self._slice(
            *self._arguments, weights, self._drawn, rates, record, wanted, recorder.next_row, self.step, end
        )
        self._draws.rewind(reached - self.step)
        self.step = reached
        if code == NOT_FINITE:
            return Event(not_finite="scores")
        return STOPPED if code == STOP_CODE else REACHED_END

    def _states(self) -> dict[str, NDArray[Any]]:
        return {
            "parameters": self._parameters, "velocity": self._velocity,
            "first_moment": self._adaptation.first_moment, "second_moment": self._adaptation.second_moment,
        }  # fmt: skip

    def buffers(self) -> dict[str, NDArray[Any]]:
        """Return copies of the arrays that the rest of the run depends on."""
        return {name: array.copy() for name, array in self._states().items()}

    def restore(self, buffers: Mapping[str, NDArray[Any]], step: int) -> None:
        """Go back to a step."""
        for name, array in self._states().items():
            array[...] = buffers[name]
        self.step = step

    def weights(self) -> NDArray[Any]:
        """Return a copy of the parameters in the shape of the problem's weights."""
        return self._parameters.reshape(self._shape).copy()

    def scores(self) -> NDArray[Any]:
        """Return the scores (N, M)."""
        return np.asarray(self.problem.scores(self.weights()))
