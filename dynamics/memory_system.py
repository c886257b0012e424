"""The associative memory in motion: what its forms share, and the choice among them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from ..errors import InputError
from ..kernels.compile import thread_count
from ..kernels.cpu.descent_arguments import Motion, Record
from ..kernels.cpu.descent_record import NOT_FINITE, SCALARS
from ..kernels.cpu.descent_record import STOPPED as STOP_CODE
from ..kernels.team import run_team, team_size
from .adaptive import Adam, AdamW
from .descent import GradientDescent
from .descent_work import constant
from .draws import BatchDraws, CovarianceDraws, Draws, draws_of
from .forms import choose_form, seconds_per_step, state_bytes, step_is_shared
from .numbers import finite_array
from .observing import check_memory
from .stochastic import GradientNoise, StochasticGradientDescent, StochasticGradientFlow
from .system import REACHED_END, STOPPED, Event

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .associative_memory import AssociativeMemory
    from .recorder import Recorder

# of random draws
_NUMBERS_PER_SLICE = 2**19

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
    from .memory_margins import MarginSystem
    from .memory_particles import HalfSystem, ParticleSystem
    from .memory_weights import AdaptiveSystem, WeightSystem
    from .noisy_inputs import NoisyInputSystem
    from .tiny_system import TinySystem, is_tiny

    chosen = choose_form(problem, rule, form)
    check_memory(0, {}, state_bytes(chosen, problem.n_tokens, problem.n_classes, problem.dim))
    start = initial_weights(problem, initial)
    kinds: dict[str, type[MemorySystem]] = {
        "margins": MarginSystem, "particles": ParticleSystem, "half": HalfSystem, "weights": WeightSystem
    }  # fmt: skip
    kind = AdaptiveSystem if isinstance(rule, Adam) else kinds[chosen]
    if getattr(rule, "input_noise", 0.0) > 0.0:
        kind = NoisyInputSystem
    if form in (None, "particles") and chosen != "margins" and is_tiny(problem, rule, dtype):
        kind = TinySystem
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


class MemorySystem:
    """What the forms share: the rule's numbers, the random stream, the work arrays of a slice."""

    form = "weights"
    recorded = frozenset({*SCALARS, "margin"})
    columns: tuple[str, ...] = SCALARS
    array_name = "scores"
    _compiled: Callable[..., Any]
    _arguments: tuple[Any, ...]
    _noise: tuple[NDArray[Any], NDArray[Any]]

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
        # a batch much smaller than the number of tokens is worth picking its rows
        self._batch_size = rule.batch_size if self._picks_rows(rule) else 0
        self.largest_slice = self._draws.largest_slice
        if self._batch_size:
            self.largest_slice = max(1, _NUMBERS_PER_SLICE // self._batch_size)
        self.n_tokens = problem.n_tokens
        sizes = problem.n_tokens, problem.n_classes, problem.dim
        self.seconds_per_step = seconds_per_step(self.form, *sizes)
        self._threads = thread_count() if step_is_shared(self.form, *sizes) else 1
        self._same_weights = not isinstance(self._draws, (BatchDraws, CovarianceDraws))
        self._ready = False

    def _picks_rows(self, rule: Any) -> bool:
        return isinstance(self._draws, BatchDraws) and 2 * rule.batch_size <= self.problem.n_tokens

    def advance(self, end: int, rates: NDArray[np.float64], recorder: Recorder) -> Event:
        """Move to step `end` in one compiled call; the state at `end` is looked at, if it is due, but not moved."""
        # where nobody looks, the scores of the last state are not worth half a step
        unseen = not recorder.wanted and not recorder.margins.size
        record = Record(
            recorder.steps[:0] if unseen else recorder.steps, recorder.scalars, recorder.margins,
            recorder.stop_column, recorder.stop_relation, recorder.stop_threshold,
        )  # fmt: skip
        row = 0 if unseen else recorder.next_row
        reached, row, code = self._run(self._motion(end, rates), record, row, end)
        self._draws.rewind(reached - self.step)
        self.step = reached
        finite = code != NOT_FINITE and not (
            unseen and not all(np.isfinite(state).all() for state in self._states().values())
        )
        # a step at which something is not finite is not saved
        side: Literal["left", "right"] = "right" if finite else "left"
        recorder.next_row = int(np.searchsorted(recorder.steps, reached, side=side)) if unseen else row
        if not finite:
            return Event(not_finite=self.array_name)
        return STOPPED if code == STOP_CODE else REACHED_END

    def _motion(self, end: int, rates: NDArray[np.float64]) -> Motion:
        count = end - self.step
        weights, noise = self._draws.take(0 if self._batch_size else count)
        batches = np.zeros((1 if self._batch_size else 0, self._batch_size), np.int64)
        if self._batch_size and count:
            batches = self._draws.take_tokens(count)
        batches.flags.writeable = False
        left, right = self._noise
        return Motion(weights, batches, rates, self._momentum, left, noise, right, self._noise_scale)

    def _run(self, motion: Motion, record: Record, next_row: int, end: int) -> tuple[int, int, int]:
        threads = 1
        if self._threads > 1:
            threads = min(self._threads, team_size((end - self.step + 1) * self.seconds_per_step))
        reached, next_row, code, ready = run_team(
            self._compiled, threads, *self._arguments, motion, record, next_row, self.step, end, self._ready
        )
        self._ready = ready and self._same_weights
        return reached, next_row, code

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
        self._ready = False

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
            moved = self._moved(dual)
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

    def _moved(self, dual: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return W - W0 of dual coefficients."""
        return np.asarray(self.problem.outputs.T @ dual.T @ self.problem.inputs)

    def _score_changes(self) -> NDArray[np.float64]:
        """Return the scores minus those at the start (N, M), but for a number added to each row."""
        raise NotImplementedError

    def _start_scores(self) -> NDArray[np.float64]:
        if self._initial is None:
            return np.zeros((self.problem.n_tokens, self.problem.n_classes))
        return scores_of(self.problem, self._initial)

    def _noise_sides(
        self, left: NDArray[Any] | None = None, right: NDArray[Any] | None = None
    ) -> tuple[NDArray[Any], NDArray[Any]]:
        if left is None or right is None:
            left, right = np.zeros((self.problem.n_tokens, 0)), np.zeros((0, 1))
        return constant(left, self._dtype), constant(right, self._dtype)


_DUAL_RULES = (GradientDescent, StochasticGradientDescent, StochasticGradientFlow)
_ADAPTIVE_RULES = (Adam, AdamW)
