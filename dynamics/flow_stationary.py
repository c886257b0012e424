"""When has a gradient flow arrived? The Newton step to the minimiser answers.

A flow is called stationary at a point from which the full Newton step, which ends at the minimiser when the loss
is close to quadratic, moves no score difference by more than `tolerance` times max(1, |D|): all that the flow would
still do, in whatever time, is below the tolerance. A small gradient alone says nothing, for slow modes have small
gradients long before they have moved; and in a separable problem the Newton step never becomes small, since it
moves the margins of the support vectors by about 1 however late it is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from .flow_form import Array, FlowForm

DENSE_UP_TO = 2000
_PRODUCTS = 2000


def probabilities(difference: Array, form: FlowForm) -> Array:
    """Return (N, q): softmax of the other classes (zero at the target), from score differences."""
    exponent = -difference
    if not form.binary:
        np.put_along_axis(exponent, form.problem.targets[:, None], -np.inf, axis=1)
    shift = np.maximum(exponent.max(axis=1, keepdims=True), 0.0)
    weights = np.exp(exponent - shift)
    return np.asarray(weights / (weights.sum(axis=1, keepdims=True) + np.exp(-shift)))


def token_changes(right: Array, form: FlowForm) -> Array:
    """Return (N, b, q): change of D[x, y] for a unit change of row x of left z; zero at the target."""
    if form.binary:
        return np.broadcast_to(right, (form.problem.n_tokens, 1, 1))
    rows = right.T[form.problem.targets][:, None, :] - right.T[None]
    return np.asarray(rows.transpose(0, 2, 1))


def log_time_jacobian(form: FlowForm, difference: Array, factor: float) -> Array:
    """Return (ab, ab): d(dz/ds) / dz = factor * d(dz/dt) / dz, in row-major order of z.

    Built from differences to the target only, so that nothing cancels when a token is nearly learned.
    Cost: N b^2 M + a^2 b^2 N operations.
    """
    other = probabilities(difference, form)
    change = token_changes(form.right, form)
    back = token_changes(form.right_adjoint.T, form)
    weighted = form.problem.frequencies[:, None] * (other * factor)
    mean = np.einsum("xy,xdy->xd", other, change)
    middle = -np.einsum("xby,xy,xdy->xbd", back, weighted, change - mean[:, :, None], optimize=True)
    if form.dual:
        full = form.left[:, None, :, None] * middle[:, :, None, :]
    else:
        full = np.einsum("xa,xc,xbd->abcd", form.left, form.left, middle, optimize=True)
    size = form.shape[0] * form.shape[1]
    return np.ascontiguousarray(full.reshape(size, size))


def arrived(form: FlowForm, difference: Array, limit: float) -> Array | None:
    """Return the Newton step (a, b) to the minimiser where the flow is stationary at D, else None.

    Arguments:
        form: a form with name "weights".
        difference: D (N, q) at the point.
        limit: largest change of a score difference, relative to max(1, |D|), that counts as arrived.

    Directions whose curvature is lost in rounding are left out of the step; then the flow counts as stationary only
    if, besides, every velocity dD/dt is rounding noise, |dD/dt| <= 64 eps (sum of the absolute terms).

    Cost: an eigendecomposition up to 2000 unknowns, else at most 2000 products with the Hessian.
    """
    force = forces(form, difference)
    descent = form.left_adjoint @ force @ form.right_adjoint
    size = form.shape[0] * form.shape[1]
    if size > DENSE_UP_TO:
        step = _conjugate_gradients(form, difference, descent, limit)
        if step is None:
            return np.zeros(form.shape) if _only_noise(form, force, descent) else None
    else:
        hessian = -log_time_jacobian(form, difference, 1.0)
        values, vectors = np.linalg.eigh(0.5 * (hessian + hessian.T))
        seen = values > size * np.finfo(float).eps * values[-1]
        if not seen.all() and not _only_noise(form, force, descent):
            return None
        projected = vectors[:, seen].T @ descent.ravel()
        step = (vectors[:, seen] @ (projected / values[seen])).reshape(form.shape)
    return step if _moves(form, difference, step) <= limit else None


def forces(form: FlowForm, difference: Array) -> Array:
    """Return F (N, q) = p (onehot - softmax); for two classes p times the probability of the other class."""
    other = form.problem.frequencies[:, None] * probabilities(difference, form)
    if form.binary:
        return other
    force = -other
    np.put_along_axis(force, form.problem.targets[:, None], other.sum(axis=1, keepdims=True), axis=1)
    return force


def _only_noise(form: FlowForm, force: Array, descent: Array) -> bool:
    velocity = form.changes(descent)
    terms = np.abs(form.left_adjoint) @ np.abs(force) @ np.abs(form.right_adjoint)
    scale = np.abs(form.left) @ terms @ np.abs(form.right)
    return bool((np.abs(velocity) <= 64.0 * np.finfo(float).eps * scale).all())


def _moves(form: FlowForm, difference: Array, step: Array) -> float:
    change = form.changes(step)
    return float((np.abs(change) / np.maximum(1.0, np.abs(difference))).max())


def _conjugate_gradients(form: FlowForm, difference: Array, descent: Array, limit: float) -> Array | None:
    other = probabilities(difference, form)
    frequencies = form.problem.frequencies[:, None]
    targets = form.problem.targets[:, None]

    def product(direction: Array) -> Array:
        change = form.changes(direction)
        pull = other * (change - (other * change).sum(axis=1, keepdims=True)) * frequencies
        if form.binary:
            pull = other * (1.0 - other) * change * frequencies
        else:
            np.put_along_axis(pull, targets, 0.0, axis=1)
            own = pull.sum(axis=1, keepdims=True)
            pull = -pull
            np.put_along_axis(pull, targets, own, axis=1)
        return np.asarray(form.left.T @ pull @ form.right_adjoint)

    step = np.zeros(form.shape)
    residual = descent.copy()
    direction = residual.copy()
    square = float(np.vdot(residual, residual))
    goal = 1e-6 * square
    for count in range(_PRODUCTS):
        image = product(direction)
        curvature = float(np.vdot(direction, image))
        if not curvature > 0.0:
            return step if square <= goal else None
        length = square / curvature
        step += length * direction
        if count % 16 == 15 and _moves(form, difference, step) > 10.0 * limit:
            return None
        residual -= length * image
        previous, square = square, float(np.vdot(residual, residual))
        if square <= goal:
            return step
        direction = residual + square / previous * direction
    return None
