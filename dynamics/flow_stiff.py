"""Stiff stretches of a gradient flow, by SciPy's implicit integrators in log time with the exact Jacobian.

The stretch is cut into segments of fixed length in log time, each integrated afresh from the end of the one before;
the state at a time is integrated from the last segment boundary before it. So the answer depends on no other
request. The integrators' own interpolants are not used: that of Radau is of order 3 only.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from ..kernels.cpu import flow as kernel
from .flow_stationary import log_time_jacobian

if TYPE_CHECKING:
    from .flow_form import Array, FlowForm

METHODS = {"radau": "Radau", "bdf": "BDF", "lsoda": "LSODA"}
SEGMENT = 0.5
_TIGHTEST = 3e-14  # SciPy refuses relative tolerances under 100 eps


class Interrupted(Exception):  # noqa: N818 - a request, not an error
    """The caller asked to stop in the middle of a segment."""


class StiffStalled(Exception):  # noqa: N818
    """The implicit integrator gave up; the message is SciPy's."""


def integrate(
    form: FlowForm,
    log_scale: float,
    state: Array,
    begin: float,
    end: float,
    tolerance: float,
    method: str,
    stop: Callable[[], bool],
) -> Array:
    """Return the state (a, b) at log time `end`, integrated afresh from `state` at `begin`.

    Arguments:
        form: the coordinates. log_scale: log of the time scale. tolerance: relative, for one step.
        method: a key of METHODS. stop: asked after every step; True raises Interrupted.

    Raises: Interrupted, StiffStalled.
    Cost: for each step of Radau a few evaluations, and LU factors of a real and a complex (ab, ab) matrix now and then.
    """
    if end == begin:
        return state.copy()
    import scipy.integrate

    shape = form.shape
    rows, columns = form.start.shape
    work: tuple[Any, ...] = (
        np.empty((rows, shape[1])), np.empty((rows, shape[1])), np.empty((rows, columns)), np.empty((rows, columns)),
    )  # fmt: skip
    out = np.empty(shape)

    def derivative(position: float, flat: Array) -> Array:
        kernel.velocity(
            np.ascontiguousarray(flat.reshape(shape)), log_scale + position, form.start, form.problem.targets,
            form.problem.frequencies, form.left, form.right, form.left_adjoint, form.right_adjoint, form.dual,
            *work, out,
        )  # fmt: skip
        return out.ravel().copy()

    def jacobian(position: float, flat: Array) -> Array:
        difference = form.differences(flat.reshape(shape))
        return log_time_jacobian(form, difference, float(np.exp(log_scale + position)))

    size = max(1.0, float(np.abs(state).max()))
    solver = getattr(scipy.integrate, METHODS[method])(
        derivative, begin, state.ravel().copy(), end, rtol=max(tolerance, _TIGHTEST),
        atol=max(tolerance, _TIGHTEST) * size, jac=jacobian,
    )  # fmt: skip
    while solver.status == "running":
        message = solver.step()
        if solver.status == "failed":
            raise StiffStalled(message or "the step became too small")
        if solver.status == "running" and stop():
            raise Interrupted
    return np.ascontiguousarray(solver.y.reshape(shape))
