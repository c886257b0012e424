"""Gradient flow of an associative memory: dW/dt = -grad L(W), exactly at any time up to 1e300."""

from __future__ import annotations

import math
import time as clock
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from ..errors import InputError, TraindynError, unknown_name
from ..kernels.compile import single_threaded_blas
from ..kernels.cpu import flow as kernel
from . import flow_stationary, flow_stiff
from .flow_form import FlowForm

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from .associative_memory import AssociativeMemory
    from .flow_form import Array

METHODS = ("auto", "explicit", *flow_stiff.METHODS)
STIFF_UP_TO = flow_stationary.DENSE_UP_TO

_SLICE_SECONDS = 0.05
_FIRST_STEP = 0.01
_LARGEST_STEP = 2.0
_TEST_EVERY = 0.5  # in log time
_RELATIVE_LOCAL = 0.02  # local tolerance of a step in units of rtol, from the measured global error
_STATIONARY = 0.1  # in units of rtol
_STALL_BELOW = 1e-3  # step, in log time, under which a problem too large for implicit steps is tested for rest
_TIGHTER = 0.01  # tolerance of the companion run that `error` compares with, in units of our own
_EPSILON = float(np.finfo(float).eps)

Checkpoint = tuple[float, dict[str, "Array"]]


class FlowSystem:
    r"""The gradient flow of one problem, standing at one time.

    $$\\frac{dW}{dt} = -\\nabla L(W), \\qquad s = \\log(1 + t / \\tau),$$

    integrated in log time s, with 1/tau the largest rate of a margin, in the smallest exact coordinates
    (`FlowForm`). Up to time 1e300 nothing overflows, and small margins and losses keep their relative precision.

    Methods. The default walks a chain of explicit steps of order 8; in log time a separable problem is hardly stiff
    (for two tokens the fastest rate is (1 + alpha) / (1 - alpha)), and these steps are far cheaper and more accurate
    than implicit ones. Where stability comes to limit the steps so much that an implicit method is cheaper (problems
    that are not separable, once they settle), problems of up to 2000 unknowns go on with SciPy's Radau and the exact
    Jacobian. Both are one-step methods started at points that do not depend on the times asked for, so the state at a
    time depends neither on the other times asked for nor on interruptions, to the last bit.

    Arguments:
        problem: the memory.
        form: "weights", "particles" or "margins" (two classes); None picks the smallest.
        initial: W0 (d, d); zero where None.
        rtol: aimed-at error of margins and scores, relative to the largest |margin| a token has had, in [1e-13, 1e-2].
        checkpoint: what `checkpoint` returned in an earlier run of the same problem, form, initial and rtol.
        method: "auto", "explicit", or "radau", "bdf", "lsoda" (SciPy's, from the start).

    Attributes: form (the name), coordinates (`FlowForm`), rtol, method, time, stationary, message (why stationary).

    Raises: InputError. Cost: see `advance_to`.
    Source: Cabannes, Simsek, Bietti 2024, equation (4); the span, after equation (9).

    >>> from traindyn.dynamics.associative_memory import AssociativeMemory
    >>> flow = FlowSystem(AssociativeMemory.two_tokens(correlation=0.0, frequencies=(0.5, 0.5)))
    >>> flow.advance_to(1e10)
    >>> round(float(flow.margins()[0]), 9)      # e^m + m = 1 + t
    23.025850928
    """

    @single_threaded_blas
    def __init__(
        self,
        problem: AssociativeMemory,
        form: str | None = None,
        initial: ArrayLike | None = None,
        rtol: float = 1e-10,
        checkpoint: tuple[float, Mapping[str, ArrayLike]] | None = None,
        *,
        method: str = "auto",
    ) -> None:
        if method not in METHODS:
            raise unknown_name("method", method, METHODS)
        if not 1e-13 <= rtol <= 1e-2:
            raise InputError("rtol must lie in [1e-13, 1e-2]", rtol, "pass rtol=1e-10")
        self._chosen = FlowForm(problem, form, None if initial is None else np.asarray(initial, dtype=np.float64))
        self.form = self._chosen.name
        self.rtol, self.method = float(rtol), method
        self.message = ""
        self._tolerance = self.rtol * _RELATIVE_LOCAL
        self._largest_step = _LARGEST_STEP
        self._log_scale = -math.log(self._chosen.rate) if self._chosen.rate > 0.0 else 0.0
        self._resumed_from = checkpoint
        self._restart()

    # --- where the chain stands -------------------------------------------------------------------------------------

    def _restart(self) -> None:
        """Put the chain at its beginning, or at the checkpoint given."""
        self.coordinates = self._chosen
        self._near = np.zeros(kernel.LENGTH)
        self._near[kernel.STEP] = _FIRST_STEP
        self._near_state, self._near_reach = np.zeros(self._chosen.shape), np.zeros(self._chosen.start.shape)
        self._stiff = self.method in flow_stiff.METHODS
        self._arrived = False
        self._unfinished: flow_stiff.Stretch | None = None
        saved = None if self._resumed_from is None else self._resumed_from[1]
        flags = np.array([self._stiff, False], dtype=np.float64) if saved is None else self._entry(saved, "flags", 2)
        self._stiff, self._arrived = bool(flags[0]), bool(flags[1])
        if self._stiff or self._arrived:
            self._continue_in_weights()
        if saved is not None:
            self._near = self._entry(saved, "near", kernel.LENGTH)
            self._near_state = self._entry(saved, "state", *self.coordinates.shape)
            self._near_reach = self._entry(saved, "reach", *self._chosen.start.shape)
        self._first = float(self._near[kernel.POSITION])
        self._far = np.full(kernel.LENGTH, -1.0)
        self._far_state, self._far_reach = np.empty(self._chosen.shape), np.empty(self._chosen.start.shape)
        self._state = self._near_state.copy()
        self.time = self._time_of(self._first)

    def _continue_in_weights(self) -> None:
        """Go over to the form "weights" at the chain point (see `FlowForm`)."""
        self._near_state = self.coordinates.to_weights(self._near_state)
        self.coordinates = self._weights_form

    def _entry(self, saved: Mapping[str, ArrayLike], name: str, *shape: int) -> Array:
        given = np.array(saved.get(name, np.nan), dtype=np.float64, order="C")
        if given.shape != shape or not np.isfinite(given).all():
            raise InputError(
                f"checkpoint must come from a flow with the same problem and form ({self.form})",
                f"{name} of shape {given.shape} for {shape}", "start afresh without it",
            )  # fmt: skip
        return given

    def checkpoint(self) -> Checkpoint:
        """Return (time, arrays): the last chain point not after `time`, from which a run goes on bit for bit."""
        arrays = {
            "near": self._near.copy(),
            "state": self._near_state.copy(),
            "reach": self._near_reach.copy(),
            "flags": np.array([self._stiff, self._arrived], dtype=np.float64),
        }
        return self._time_of(float(self._near[kernel.POSITION])), arrays

    def _time_of(self, position: float) -> float:
        scale = math.exp(self._log_scale)
        return scale * math.expm1(position) if position < 1.0 else math.exp(self._log_scale + position) - scale

    def _position_of(self, time: float) -> float:
        ratio = math.log(time) - self._log_scale if time > 0.0 else -math.inf
        return math.log1p(math.exp(ratio)) if ratio < 600.0 else ratio

    # --- moving -----------------------------------------------------------------------------------------------------

    @property
    def stationary(self) -> bool:
        """True where the flow has arrived: in all later time no margin moves by more than rtol / 10."""
        return self._arrived and self._position_of(self.time) >= self._near[kernel.POSITION]

    def advance_to(self, time: float, interrupted: Callable[[], bool] | None = None) -> None:
        """Put the system at `time`.

        Arguments:
            time: in units of the flow, from 0 (or the checkpoint's time) to 1e300; going back starts again.
            interrupted: asked at least every 0.1 s (or every step, where one takes longer); when it returns True the
                call returns early, with the system at an earlier time that it shows in ``.time``.

        Raises: InputError for a time that is negative, not finite or before the checkpoint.
        Cost: 12 evaluations of the gradient a step, 3 to 5 steps an e-fold of time, and one step for each time asked.
        """
        if not 0.0 <= time <= 1e300:
            raise InputError("time must lie in [0, 1e300]", time, "pass a time within it")
        target = self._position_of(time)
        if target < self._near[kernel.POSITION]:
            self._restart()
            if target < self._first * (1.0 - 4.0 * _EPSILON):
                raise InputError("time lies before the checkpoint", time, f"start afresh, or pass >= {self.time!r}")
            target = max(target, self._first)
        stop = interrupted or (lambda: False)
        with single_threaded_blas:
            finished = self._go(target, stop)
        if finished:
            self.time = float(time)
        else:
            self._state = self._near_state.copy()
            self.time = self._time_of(float(self._near[kernel.POSITION]))

    def _go(self, target: float, stop: Callable[[], bool]) -> bool:
        attempts = self._first_slice
        while not self._arrived and not self._stiff:
            begun = clock.perf_counter()
            outcome = self._walk(target, attempts)
            if outcome == kernel.REACHED:
                return True
            if outcome == kernel.CANDIDATE:
                self._test_arrival()
            elif outcome == kernel.TURNED_STIFF:
                self._turn_stiff()
            elif outcome == kernel.STUCK:
                raise InputError("the flow left the range of float64", self._time_of(float(self._near[0])),
                                 "scale the embeddings or initial down")  # fmt: skip
            else:
                # how long a slice is changes no bit: the chain does not know where it is cut
                taken = clock.perf_counter() - begun
                attempts = max(1, min(2 * attempts, int(attempts * _SLICE_SECONDS / max(taken, 1e-6))))
            if stop():
                return False
        if self._arrived:
            self._state = self._near_state.copy()
            return True
        try:
            return self._go_stiff(target, stop)
        except flow_stiff.StiffStalled as reason:
            raise TraindynError(
                f"the implicit integrator gave up after time {self._time_of(float(self._near[kernel.POSITION])):.6g}: "
                f'{reason}; pass a larger rtol, or method="explicit"'
            ) from None

    def _turn_stiff(self) -> None:
        if self.coordinates.unknowns <= STIFF_UP_TO:
            self._stiff = True
            self._continue_in_weights()
            return
        # too large for implicit steps: at rest, as far as steps limited by stability can tell?
        near, form = self._near, self.coordinates
        near[kernel.STIFF] = 0.0
        difference = form.differences(self._near_state)
        force = flow_stationary.forces(form, difference)
        velocity = force if form.dual else form.left_adjoint @ force @ form.right_adjoint
        elapsed = near[kernel.STEP] * math.exp(self._log_scale + near[kernel.POSITION])
        moved = np.abs(form.changes(velocity)) * elapsed
        if (moved <= 10.0 * self._tolerance * np.maximum(1.0, np.abs(difference))).all():
            self._arrived = True
            self.message = (
                f"stationary from time {self._time_of(float(near[kernel.POSITION])):.6g} on, as far as steps limited "
                f"by stability can tell: a step of {near[kernel.STEP]:.2g} of an e-fold of time moves no margin by "
                f"more than {10.0 * self._tolerance:.1g} of max(1, |margin|); much slower modes may remain"
            )

    def _walk(self, target: float, attempts: int) -> int:
        form = self.coordinates
        return int(
            kernel.walk(
                target, attempts, self._tolerance, self._stiff_below, self._largest_step, self._log_scale,
                self._near, self._near_state, self._near_reach, self._far, self._far_state, self._far_reach,
                self._state, form.start, form.problem.targets, form.problem.frequencies, form.left, form.right,
                form.left_adjoint, form.right_adjoint, form.dual,
            )
        )  # fmt: skip

    def _go_stiff(self, target: float, stop: Callable[[], bool]) -> bool:
        near = self._near
        while near[kernel.POSITION] + flow_stiff.SEGMENT <= target:
            end = float(near[kernel.POSITION]) + flow_stiff.SEGMENT
            state = self._stretch(end, stop)
            if state is None:
                return False
            self._near_state = state
            near[kernel.POSITION] = end
            self._test_arrival()
            if self._arrived:
                break
        if self._arrived or target <= near[kernel.POSITION]:
            self._state = self._near_state.copy()
            return True
        state = self._stretch(target, stop)
        if state is not None:
            self._state = state
        return state is not None

    def _stretch(self, end: float, stop: Callable[[], bool]) -> Array | None:
        """Integrate from the chain point to `end`; None when stopped, and then the next call goes on with it."""
        begin = float(self._near[kernel.POSITION])
        work = self._unfinished
        if work is None or work.ends != (begin, end):
            method = self.method if self.method in flow_stiff.METHODS else "radau"
            work = flow_stiff.Stretch(
                self.coordinates, self._log_scale, self._near_state, begin, end, self._tolerance, method
            )
        state = work.run(stop)
        self._unfinished = work if state is None else None
        return state

    def _test_arrival(self) -> None:
        near = self._near
        near[kernel.NEXT_TEST] = near[kernel.POSITION] + _TEST_EVERY
        difference = self.coordinates.differences(self._near_state)
        step = flow_stationary.arrived(self._weights_form, difference, _STATIONARY * self.rtol)
        if step is None:
            return
        self._continue_in_weights()
        self._near_state = self._near_state + step
        self._arrived = True
        self.message = (
            f"stationary from time {self._time_of(float(near[kernel.POSITION])):.6g} on: the Newton step to the "
            f"minimiser moves no margin by more than {_STATIONARY * self.rtol:.1g} of max(1, |margin|)"
        )

    @cached_property
    def _weights_form(self) -> FlowForm:
        form = self._chosen
        return form if form.name == "weights" else FlowForm(form.problem, "weights", form.initial)

    @cached_property
    def _operations(self) -> float:
        (rows, columns), (a, b) = self.coordinates.start.shape, self.coordinates.shape
        products = 2.0 * rows * b * (a + columns) * (1 if self.coordinates.dual else 2)
        return float(products + 20.0 * rows * columns)

    @cached_property
    def _first_slice(self) -> int:
        return int(min(max(1e8 * _SLICE_SECONDS / (12.0 * self._operations), 1.0), 1e5))

    @cached_property
    def _stiff_below(self) -> float:
        """Step size under which an implicit step is cheaper, from counts alone (a clock would cost the bits)."""
        if self.method == "explicit":
            return 0.0
        if self.coordinates.unknowns > STIFF_UP_TO:
            return _STALL_BELOW
        size = float(self.coordinates.shape[0] * self.coordinates.shape[1])
        explicit: float = 12.0 * (150.0 + self._operations)  # nanoseconds, roughly
        implicit = 60.0 * (2e5 + 30.0 * size**2 + 0.5 * size**3)  # about 60 steps an e-fold of time
        return float(explicit / implicit)

    # --- what it shows ----------------------------------------------------------------------------------------------

    @single_threaded_blas
    def margins(self) -> Array:
        """Return (N,): score of the target minus the best other score."""
        difference = self.coordinates.differences(self._state)
        if self.coordinates.binary:
            return np.ascontiguousarray(difference[:, 0])
        np.put_along_axis(difference, self.coordinates.problem.targets[:, None], np.inf, axis=1)
        return np.asarray(difference.min(axis=1))

    @single_threaded_blas
    def margins_to(self) -> Array:
        """Return (N, M): score of the target minus the score of each class; zero at the target."""
        return self.coordinates.margins_to(self._state)

    @single_threaded_blas
    def scores(self) -> Array:
        """Return (N, M): outputs @ W @ inputs."""
        return self.coordinates.scores(self._state)

    @single_threaded_blas
    def weights(self) -> Array:
        """Return W (d, d)."""
        return self.coordinates.initial + self.coordinates.moved_weights(self._state)

    # --- how far off it is ------------------------------------------------------------------------------------------

    def companion(self) -> FlowSystem:
        """Return a run of the same flow with a hundredth of the tolerance and half the largest step, at its start."""
        start = self._chosen.initial
        companion = FlowSystem(
            self._chosen.problem, self.form, start, self.rtol, self._resumed_from, method=self.method
        )
        companion._tolerance = max(self._tolerance * _TIGHTER, 2e-15)
        companion._largest_step = 0.5 * self._largest_step  # where the tolerance does not limit the steps, this does
        return companion

    @cached_property
    def _companion(self) -> FlowSystem:
        return self.companion()

    @single_threaded_blas
    def error(self, interrupted: Callable[[], bool] | None = None) -> Array:
        """Return (N,): estimated error of the margins at `time`.

        The distance to a second run with a hundredth of the tolerance (from the same checkpoint, where there is one),
        half as much again for the error of that run, and what rounding does: 8 eps times the sum of absolute terms of
        a margin.

        Cost: on the first call a run of about twice the cost from the start; later calls go on from there.
        """
        self._companion.advance_to(self.time, interrupted)
        difference = self.coordinates.differences(self._state)
        truncation = np.abs(difference - self._companion.coordinates.differences(self._companion._state)).max(axis=1)
        terms = np.abs(self.coordinates.left) @ np.abs(self._state) @ np.abs(self.coordinates.right)
        scale = (terms + np.abs(self.coordinates.start)).max(axis=1)
        return np.asarray(1.5 * truncation + 8.0 * _EPSILON * scale)
