"""The associative memory in motion: weights, particles or margins, advanced by compiled slices."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import InputError
from ..kernels.compile import single_threaded_blas
from ..kernels.cpu.descent_record import NOT_FINITE, SCALARS
from ..kernels.cpu.descent_record import STOPPED as STOP_CODE
from .adaptive import Adam, AdamW
from .descent import GradientDescent
from .draws import Draws, draws_of
from .forms import choose_form, is_redundant, seconds_per_step, state_bytes
from .numbers import finite_array
from .observing import check_memory
from .stochastic import GradientNoise, StochasticGradientDescent, StochasticGradientFlow
from .system import REACHED_END, STOPPED, Event

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .associative_memory import AssociativeMemory
    from .recorder import Recorder

# OpenBLAS starts a second thread above this many multiply-adds
_BLAS_ALONE = 100_000

# rounding units of the largest score by which the sum of dual coefficients may miss the scores
_UNITS = 256.0


def memory_system(
    problem: AssociativeMemory,
    rule: Any,
    form: str | None,
    initial: Any,
    dtype: str,
    generator: np.random.Generator | None,
) -> MemorySystem | None:
    """Return the system of a memory under one of the package's rules; None for any other rule."""
    if type(rule) not in (*_DUAL_RULES, *_ADAPTIVE_RULES):
        return None
    chosen = choose_form(problem, rule, form)
    check_memory(0, {}, state_bytes(chosen, problem.n_tokens, problem.n_classes, problem.dim))
    start = initial_weights(problem, initial)
    kind = {"margins": MarginSystem, "particles": ParticleSystem, "weights": WeightSystem}[chosen]
    if isinstance(rule, Adam):
        kind = AdaptiveSystem
    return kind(problem, rule, start, dtype, generator)


def initial_weights(problem: AssociativeMemory, initial: Any) -> NDArray[np.float64] | None:
    """Return the checked (d, d) start; None stands for zero."""
    if initial is None:
        return None
    start = finite_array("initial", initial, dimensions=2, shape=f"({problem.dim}, {problem.dim})")
    if start.shape != (problem.dim, problem.dim):
        raise InputError(f"initial must be W of shape ({problem.dim}, {problem.dim})", start.shape)
    return start


def scores_of(problem: AssociativeMemory, weights: NDArray[Any]) -> NDArray[np.float64]:
    """Return E W^T U^T, (N, M)."""
    return problem.inputs @ weights.T @ problem.outputs.T  # type: ignore[no-any-return]


def weight_half_shape(n_tokens: int, n_classes: int, dim: int) -> tuple[int, int]:
    """Return the shape of the product half-way between weights and scores."""
    return (dim, n_classes) if n_classes <= n_tokens else (n_tokens, dim)


class MemorySystem:
    """What the forms share: the rule's numbers, the random stream, the work arrays of a slice."""

    form = "weights"
    recorded = frozenset({*SCALARS, "margin"})
    columns: tuple[str, ...] = SCALARS
    array_name = "scores"
    _compiled: Callable[..., Any]
    _work: tuple[Any, ...]
    _fixed: tuple[Any, ...]

    def __init__(
        self,
        problem: AssociativeMemory,
        rule: Any,
        initial: NDArray[np.float64] | None,
        dtype: str,
        generator: np.random.Generator | None,
    ) -> None:
        self.problem = problem
        self.step = 0
        self._dtype = dtype
        self._initial = initial
        self._momentum = float(getattr(rule, "momentum", 0.0))
        additive = isinstance(rule, StochasticGradientFlow) and not isinstance(rule.noise, GradientNoise)
        self._span = problem.gradient_span if additive and rule.noise > 0.0 else None
        self._noise_scale = float(rule.noise) * math.sqrt(rule.dt) if self._span is not None else 0.0
        self._draws: Draws = draws_of(rule, problem.frequencies, generator, self._span, dtype)
        self.largest_slice = self._draws.largest_slice
        self._rows = np.empty((3, problem.n_tokens))
        self.n_tokens = problem.n_tokens
        self._current = np.empty(len(SCALARS))
        sizes = problem.n_tokens, problem.n_classes, problem.dim
        self.seconds_per_step = seconds_per_step(self.form, *sizes)
        self._blas = problem.n_tokens * problem.n_classes * max(sizes) > _BLAS_ALONE

    def advance(self, end: int, rates: NDArray[np.float64], recorder: Recorder) -> Event:
        """Move to step `end` in one compiled call; the state at `end` is looked at but not moved."""
        weights, noise = self._draws.take(end - self.step)
        with single_threaded_blas if self._blas else contextlib.nullcontext():
            reached, recorder.next_row, code = self._slice(
                weights, noise, rates, self._rows, self._current, self.step, end,
                recorder.steps, recorder.next_row, recorder.scalars, recorder.margins,
                recorder.stop_column, recorder.stop_relation, recorder.stop_threshold,
            )  # fmt: skip
        self._draws.rewind(reached - self.step)
        self.step = reached
        if code == NOT_FINITE:
            return Event(not_finite=self.array_name)
        return STOPPED if code == STOP_CODE else REACHED_END

    def _slice(self, weights: NDArray[Any], noise: NDArray[Any], rates: NDArray[Any], *rest: Any) -> Any:
        raise NotImplementedError

    def _states(self) -> dict[str, NDArray[Any]]:
        raise NotImplementedError

    def buffers(self) -> dict[str, NDArray[Any]]:
        """Return copies of the arrays that the rest of the run depends on."""
        return {name: array.copy() for name, array in self._states().items()}

    def restore(self, buffers: Mapping[str, NDArray[Any]], step: int) -> None:
        """Go back to a step."""
        for name, array in self._states().items():
            array[...] = buffers[name]
        self.step = step

    def weights(self) -> NDArray[Any]:
        """Return W in the dtype of the state: W0 + U^T A^T E where that gives the scores back, else from the scores.

        With more tokens than dimensions, or more classes, the dual coefficients A have directions that move no score.
        Without a separating W they grow there with every step and cancel in the sum, until nothing is left of it; so
        they do for tokens that are nearly parallel. The scores, which feed back on themselves, stay exact. Where the
        sum is good it is the better one, for pseudo-inverses multiply rounding errors in directions that hardly count.
        """
        problem = self.problem
        with np.errstate(over="ignore", invalid="ignore"):  # of a run that is no longer finite
            dual = self._dual_coefficients().astype(np.float64)
            moved = problem.outputs.T @ dual.T @ problem.inputs
            changes = self._score_changes()
            missed = scores_of(problem, moved) - changes
            missed -= missed.mean(axis=1, keepdims=True)
            allowed = _UNITS * float(np.finfo(self._dtype).eps) * np.abs(self.scores()).max()
            if np.abs(missed).max() > allowed:
                moved = problem.gradient_span.weights_of(changes)
            return (moved if self._initial is None else self._initial + moved).astype(self._dtype)

    def scores(self) -> NDArray[Any]:
        """Return a copy of the scores (N, M)."""
        raise NotImplementedError

    def _dual_coefficients(self) -> NDArray[Any]:
        raise NotImplementedError

    def _score_changes(self) -> NDArray[np.float64]:
        """Return the scores minus those at the start (N, M), but for a number added to each row."""
        raise NotImplementedError

    def _start_scores(self) -> NDArray[np.float64]:
        if self._initial is None:
            return np.zeros((self.problem.n_tokens, self.problem.n_classes))
        return scores_of(self.problem, self._initial)

    def _constant(self, array: NDArray[Any]) -> NDArray[Any]:
        """Return a read-only array of the state's dtype: compiled code then sees one type."""
        fixed = np.ascontiguousarray(array, dtype=self._dtype)
        if fixed.flags.writeable:
            fixed = fixed.view()
            fixed.flags.writeable = False
        return fixed

    def _noise_arrays(
        self, left: NDArray[Any] | None = None, right: NDArray[Any] | None = None
    ) -> tuple[NDArray[Any], ...]:
        if left is None or right is None:
            left, right = np.zeros((self.problem.n_tokens, 0)), np.zeros((0, 1))
        return self._constant(left), self._constant(right), np.empty((left.shape[0], right.shape[0]), self._dtype)


class ParticleSystem(MemorySystem):
    """Scores (N, M) and dual coefficients, equation (12)."""

    form = "particles"

    def __init__(self, problem: AssociativeMemory, rule: Any, *rest: Any) -> None:
        from ..kernels.cpu.descent import particle_slice

        super().__init__(problem, rule, *rest)
        shape = problem.n_tokens, problem.n_classes
        self._start = self._start_scores().astype(self._dtype)
        self._scores = self._start.copy()
        self._dual = np.zeros(shape, self._dtype)
        self._velocity = np.zeros(shape, self._dtype)
        self._compiled = particle_slice
        span = self._span
        left, right, half = self._noise_arrays(span.dual_left, span.dual_right) if span else self._noise_arrays()
        redundant = is_redundant(*shape, problem.dim)
        nothing = np.empty((0, 0))
        grams = (nothing, nothing) if redundant else (problem.input_gram, problem.output_gram)
        inputs, outputs = (problem.inputs, problem.outputs) if redundant else (nothing, nothing)
        matrices = *grams, inputs, inputs.T, outputs, outputs.T
        self._fixed = (*map(self._constant, matrices), problem.targets, problem.frequencies)
        self._noise = left, right, half
        half_shape = weight_half_shape(*shape, problem.dim) if redundant else shape
        square = (problem.dim, problem.dim) if redundant else (0, 0)
        self._work = tuple(np.empty(size, self._dtype) for size in (shape, shape, half_shape, shape, square))

    def _slice(self, weights: NDArray[Any], noise: NDArray[Any], rates: NDArray[Any], *rest: Any) -> Any:
        left, right, half = self._noise
        return self._compiled(
            self._scores, self._dual, self._velocity, *self._fixed, weights, rates, self._momentum,
            left, noise, right, self._noise_scale, *self._work, half, *rest,
        )  # fmt: skip

    def _states(self) -> dict[str, NDArray[Any]]:
        return {"scores": self._scores, "dual": self._dual, "velocity": self._velocity}

    def _dual_coefficients(self) -> NDArray[Any]:
        return self._dual

    def _score_changes(self) -> NDArray[np.float64]:
        return np.asarray(self._scores.astype(np.float64) - self._start)

    def scores(self) -> NDArray[Any]:
        """Return a copy of the scores."""
        return self._scores.copy()


class MarginSystem(MemorySystem):
    """Margins (N,) of two classes and their dual coefficients, equation (17) for any N."""

    form = "margins"
    array_name = "margins"

    def __init__(self, problem: AssociativeMemory, rule: Any, *rest: Any) -> None:
        from ..kernels.cpu.descent_margins import margin_slice

        super().__init__(problem, rule, *rest)
        size = problem.n_tokens
        self._signs = np.where(problem.targets == 0, 1.0, -1.0)
        start = self._start_scores()
        self._start = (self._signs * (start[:, 0] - start[:, 1])).astype(self._dtype)
        self._margins = self._start.copy()
        self._dual = np.zeros(size, self._dtype)
        self._velocity = np.zeros(size, self._dtype)
        self._compiled = margin_slice
        self._gap = problem.outputs[0] - problem.outputs[1]
        self._squared = float(self._gap @ self._gap)
        redundant = is_redundant(size, 2, problem.dim)
        signed = self._signs[:, None] * problem.inputs if redundant else np.empty((0, 0))
        if redundant:
            coupling = np.empty((0, 0))
        else:
            coupling = self._squared * (self._signs[:, None] * self._signs) * problem.input_gram
        span = self._span
        left = self._signs[:, None] * span.dual_left if span is not None else None
        self._noise = self._noise_arrays(left, span.dual_right if span else None)
        self._fixed = (
            self._constant(coupling), self._constant(signed), self._squared, problem.targets, problem.frequencies
        )
        self._work = tuple(np.empty(length, self._dtype) for length in (size, size, signed.shape[1]))
        self._noise_full = np.empty((size, self._noise[1].shape[1]), self._dtype)

    def _slice(self, weights: NDArray[Any], noise: NDArray[Any], rates: NDArray[Any], *rest: Any) -> Any:
        left, right, half = self._noise
        return self._compiled(
            self._margins, self._dual, self._velocity, *self._fixed, weights, rates, self._momentum,
            left, noise, right, self._noise_scale, *self._work, half, self._noise_full, *rest,
        )  # fmt: skip

    def _states(self) -> dict[str, NDArray[Any]]:
        return {"margins": self._margins, "dual": self._dual, "velocity": self._velocity}

    def _dual_coefficients(self) -> NDArray[Any]:
        signed = self._signs * self._dual
        return np.stack([signed, -signed], axis=1)

    def _differences(self) -> NDArray[np.float64]:
        """Return (N,): the change of score 0 minus score 1."""
        return np.asarray(self._signs * (self._margins.astype(np.float64) - self._start))

    def _score_changes(self) -> NDArray[np.float64]:
        return np.outer(self._differences(), [0.5, -0.5])

    def scores(self) -> NDArray[Any]:
        """Return the scores: W - W0 is along u_0 - u_1, so that the margins tell all of its scores."""
        scores = self._start_scores()
        if self._squared > 0.0:
            scores = scores + np.outer(self._differences(), self.problem.outputs @ self._gap / self._squared)
        return scores.astype(self._dtype)


class WeightSystem(MemorySystem):
    """The weights (d, d), equation (5)."""

    form = "weights"

    def __init__(self, problem: AssociativeMemory, rule: Any, *rest: Any) -> None:
        from ..kernels.cpu.descent import weight_slice

        super().__init__(problem, rule, *rest)
        n_tokens, n_classes, dim = problem.n_tokens, problem.n_classes, problem.dim
        start = np.zeros((dim, dim)) if self._initial is None else self._initial.T
        self._transposed = np.array(start, dtype=self._dtype, order="C")
        self._velocity = np.zeros((n_tokens, n_classes), self._dtype)
        self._compiled = weight_slice
        span = self._span
        self._noise = self._noise_arrays(span.weight_left, span.weight_right) if span else self._noise_arrays()
        self._fixed = (
            self._constant(problem.inputs), self._constant(problem.inputs.T),
            self._constant(problem.outputs), self._constant(problem.outputs.T),
            problem.targets, problem.frequencies,
        )  # fmt: skip
        half = weight_half_shape(n_tokens, n_classes, dim)
        shapes = [(n_tokens, n_classes)] * 3 + [half, (dim, dim)]
        self._work = tuple(np.empty(shape, self._dtype) for shape in shapes)

    def _slice(self, weights: NDArray[Any], noise: NDArray[Any], rates: NDArray[Any], *rest: Any) -> Any:
        left, right, half = self._noise
        return self._compiled(
            self._transposed, self._velocity, *self._fixed, weights, rates, self._momentum,
            left, noise, right, self._noise_scale, *self._work, half, *rest,
        )  # fmt: skip

    def _states(self) -> dict[str, NDArray[Any]]:
        return {"transposed": self._transposed, "velocity": self._velocity}

    def weights(self) -> NDArray[Any]:
        """Return a copy of W."""
        return np.array(self._transposed.T, order="C")

    def scores(self) -> NDArray[Any]:
        """Return E W^T U^T."""
        scores = self.problem.inputs @ self._transposed.astype(np.float64) @ self.problem.outputs.T
        return scores.astype(self._dtype)


class AdaptiveSystem(WeightSystem):
    """The weights and two moments of each, for Adam and AdamW."""

    def __init__(self, problem: AssociativeMemory, rule: Any, *rest: Any) -> None:
        from ..kernels.cpu.descent_adaptive import adaptive_slice

        super().__init__(problem, rule, *rest)
        self._moments = np.zeros_like(self._transposed), np.zeros_like(self._transposed)
        self._numbers = rule.first_decay, rule.second_decay, rule.epsilon, rule.decay
        self._compiled = adaptive_slice

    def _slice(self, weights: NDArray[Any], noise: NDArray[Any], rates: NDArray[Any], *rest: Any) -> Any:
        scores, residual, _, half, full = self._work
        return self._compiled(
            self._transposed, *self._moments, *self._fixed, rates, *self._numbers, scores, residual, half, full, *rest
        )

    def _states(self) -> dict[str, NDArray[Any]]:
        first, second = self._moments
        return {"transposed": self._transposed, "first_moment": first, "second_moment": second}


_DUAL_RULES = (GradientDescent, StochasticGradientDescent, StochasticGradientFlow)
_ADAPTIVE_RULES = (Adam, AdamW)
