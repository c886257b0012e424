"""Stiff stretches of a gradient flow, by SciPy's implicit integrators in log time with the exact Jacobian.

The stretch is cut into segments of fixed length in log time, each integrated afresh from the end of the one before;
the state at a time is integrated from the last segment boundary before it. So the answer depends on no other
request. The integrators' own interpolants are not used: that of Radau is of order 3 only.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from ..kernels.cpu import flow as kernel
from .flow_stationary import log_time_jacobian

if TYPE_CHECKING:
    from .flow_form import Array, FlowForm

METHODS = {"radau": "Radau", "bdf": "BDF", "lsoda": "LSODA"}
SEGMENT = 0.25  # by measurement: longer ones cost more for each time asked, shorter ones more starts
_LOOSER = 10.0  # Radau's error estimate is of order 3, the result of order 5: measured, its errors are smaller still
_TIGHTEST = 5e-13  # below, rounding of the stiff components makes the steps collapse


class StiffStalled(Exception):
    """The implicit integrator gave up; the message is SciPy's."""


class Stretch:
    """One integration from `begin` to `end` in log time, which can be left and gone on with.

    Arguments:
        form: the coordinates. log_scale: log of the time scale. state (a, b): where it begins.
        tolerance: relative, for one explicit step. method: a key of METHODS.

    Cost: for each step of Radau a few evaluations, and LU factors of a real and a complex (ab, ab) matrix now and then.
    """

    def __init__(
        self, form: FlowForm, log_scale: float, state: Array, begin: float, end: float, tolerance: float, method: str
    ) -> None:
        import scipy.integrate

        self.ends = (begin, end)
        self._shape = shape = form.shape
        rows, columns = form.start.shape
        half, half_adjoint = np.empty((rows, shape[1])), np.empty((rows, shape[1]))
        difference, force = np.empty((rows, columns)), np.empty((rows, columns))
        out = np.empty(shape)

        def derivative(position: float, flat: Array) -> Array:
            kernel.velocity(
                np.ascontiguousarray(flat.reshape(shape)), log_scale + position, form.start, form.problem.targets,
                form.problem.frequencies, form.left, form.right, form.left_adjoint, form.right_adjoint, form.dual,
                half, half_adjoint, difference, force, out,
            )  # fmt: skip
            return out.ravel().copy()

        def jacobian(position: float, flat: Array) -> Array:
            return log_time_jacobian(form, form.differences(flat.reshape(shape)), float(np.exp(log_scale + position)))

        tolerance = max(_LOOSER * tolerance, _TIGHTEST)
        size = max(1.0, float(np.abs(state).max()))
        self._solver = getattr(scipy.integrate, METHODS[method])(
            derivative, begin, state.ravel().copy(), end, rtol=tolerance, atol=tolerance * size, jac=jacobian
        )

    def run(self, stop: Callable[[], bool]) -> Array | None:
        """Return the state (a, b) at `end`, or None when `stop`, asked after every step, said so.

        Raises: StiffStalled.
        """
        while self._solver.status == "running":
            message = self._solver.step()
            if self._solver.status == "failed":
                raise StiffStalled(message or "the step became too small")
            if self._solver.status == "running" and stop():
                return None
        return np.ascontiguousarray(self._solver.y.reshape(self._shape))
