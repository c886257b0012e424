"""Structured memories in motion: the parameters themselves, in compiled slices."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import InputError
from ..kernels.cpu.descent_adaptive import Adaptation
from ..kernels.cpu.descent_arguments import Record
from ..kernels.cpu.descent_record import NOT_FINITE, SCALARS
from ..kernels.cpu.descent_record import STOPPED as STOP_CODE
from .adaptive import Adam, AdamW
from .descent import GradientDescent
from .descent_work import constant, rows_of
from .draws import draws_of
from .numbers import finite_array
from .stochastic import GradientNoise, StochasticGradientDescent, StochasticGradientFlow
from .system import REACHED_END, STOPPED, Event

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .recorder import Recorder

_RULES = (GradientDescent, StochasticGradientDescent, StochasticGradientFlow, Adam, AdamW)
_FURTHER = ("rate_gain", "imbalance")


def factorised_system(
    problem: Any,
    rule: Any,
    form: str | None,
    initial: Any,
    dtype: str,
    generator: np.random.Generator | None,
) -> FactorisedSystem | None:
    """Return the system of a structured memory under one of the package's rules; None for any other rule."""
    if type(rule) not in _RULES:
        return None
    if form not in (None, "weights"):
        raise InputError(f"a {type(problem).__name__} moves in weights only", f"form={form!r}", "leave form out")
    if isinstance(rule, StochasticGradientFlow) and not isinstance(rule.noise, GradientNoise) and rule.noise > 0.0:
        raise InputError(
            f"additive noise is defined for W, not for the weights of a {type(problem).__name__}",
            f"noise={rule.noise!r}", "pass noise=GradientNoise(batch_size, learning_rate)",
        )  # fmt: skip
    return FactorisedSystem(problem, rule, initial, dtype, generator)


class FactorisedSystem:
    """Two factors below each other, or the blocks of W."""

    form = "weights"
    n_tokens: int

    def __init__(
        self, problem: Any, rule: Any, initial: Any, dtype: str, generator: np.random.Generator | None
    ) -> None:
        from ..kernels.cpu.factorised import Embeddings, Places

        start = problem.initial_weights()
        if initial is not None:
            given = finite_array("initial", initial, dimensions=3, shape=str(start.shape))
            if given.shape != start.shape:
                raise InputError(f"initial must have shape {start.shape}", given.shape)
            start = given
        self.problem, self.step, self._shape = problem, 0, start.shape
        has_factors = hasattr(problem, "rank")
        self.columns: tuple[str, ...] = (*SCALARS, *_FURTHER) if has_factors else SCALARS
        self.recorded = frozenset({*self.columns, "margin"})
        rank = start.shape[2]
        self._parameters = np.array(start.reshape(-1, rank), dtype=dtype)
        nothing = np.zeros((0, rank), dtype)
        self._momentum = float(getattr(rule, "momentum", 0.0))
        self._velocity = np.zeros_like(self._parameters) if self._momentum else nothing
        adapts = isinstance(rule, Adam)
        self._moments = tuple(np.zeros_like(self._parameters) if adapts else nothing.copy() for _ in range(2))
        numbers = (rule.first_decay, rule.second_decay, rule.epsilon, rule.decay) if adapts else (0.0, 0.0, 1.0, 0.0)
        inputs, outputs = (constant(a, dtype) for a in (problem.inputs_in_blocks, problem.outputs_in_blocks))
        blocks, self.n_tokens, side = inputs.shape
        n_classes = outputs.shape[1]
        seen = np.array(inputs) if not has_factors else np.empty((blocks, self.n_tokens, rank), dtype)
        table = self.n_tokens, n_classes
        shapes = (blocks, n_classes, rank), table, table, (self.n_tokens, rank), (n_classes, rank)
        work = (*shapes, self._parameters.shape, (n_classes, side), (side, side), (rank, rank))
        places = Places(seen, *(np.empty(shape, dtype) for shape in work))
        self._rows = rows_of(self.n_tokens, 0, self.n_tokens)
        self._arguments = (
            self._parameters, self._velocity, self._momentum, Adaptation(*self._moments, *numbers),
            Embeddings(inputs, outputs, problem.targets, problem.frequencies), places, self._rows,
        )  # fmt: skip
        self._drawn = generator is not None
        self._draws = draws_of(rule, problem.frequencies, generator, None, dtype)
        self.largest_slice = self._draws.largest_slice
        products = 4 * (self.n_tokens + n_classes) * problem.dim * rank + 6 * self.n_tokens * n_classes * rank * blocks
        self.seconds_per_step = 5e-7 + 5e-11 * products + 3e-9 * self.n_tokens * n_classes

    def advance(self, end: int, rates: NDArray[np.float64], recorder: Recorder) -> Event:
        """Move to step `end` in one compiled call; the state at `end` is looked at, if it is due, but not moved."""
        from ..kernels.cpu.factorised import factorised_slice

        record = Record(
            recorder.steps, recorder.scalars, recorder.margins,
            recorder.stop_column, recorder.stop_relation, recorder.stop_threshold,
        )  # fmt: skip
        wanted = np.array([name in recorder.wanted and name in self.columns for name in _FURTHER], dtype=np.int64)
        weights, _ = self._draws.take(end - self.step)
        reached, recorder.next_row, code = factorised_slice(
            *self._arguments, weights, self._drawn, rates, record, wanted, recorder.next_row, self.step, end
        )
        self._draws.rewind(reached - self.step)
        self.step = reached
        if code == NOT_FINITE:
            return Event(not_finite="scores")
        return STOPPED if code == STOP_CODE else REACHED_END

    def _states(self) -> dict[str, NDArray[Any]]:
        first, second = self._moments
        return {
            "parameters": self._parameters, "velocity": self._velocity, "first_moment": first, "second_moment": second
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
        """Return E W^T U^T."""
        return np.asarray(self.problem.scores(self.weights()))
