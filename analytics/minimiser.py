"""The minimiser of the cross entropy, or the proof that there is none."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..errors import SizeError
from .deciding import decide
from .least_distance import _hard_margin
from .pairs import Coordinates, coordinates
from .protocol import Memory
from .separating import _separate

Array = npt.NDArray[np.float64]

_MOST_UNKNOWNS = 4000


@dataclass(frozen=True, eq=False)
class Minimiser:
    """The least cross entropy of a problem and where it is."""

    weights: Array | None
    """The minimiser in the span of the gradients, shape (d, d). None for a separable problem. For a weakly separable
    one, the minimiser of the part of the loss that `direction` cannot remove."""
    loss: float
    """The infimum of the loss: attained at `weights`, or 0 for a separable problem."""
    separable: bool
    """Whether some W has all margins > 0 (then the loss has no minimiser)."""
    weakly_separable: bool
    """Whether some W has all margins >= 0 and one > 0 (then too the loss has no minimiser)."""
    direction: Array | None
    """Unit-Frobenius direction at infinity: the max-margin direction of a separable problem, a direction that removes
    part of the loss for a weakly separable one, None where the minimiser exists."""
    gradient_norm: float
    """Frobenius norm of the gradient at `weights` (of the remaining part of the loss); 0 for a separable problem."""
    iterations: int
    """Newton steps taken."""


def minimise(memory: Memory) -> Minimiser:
    r"""Return the minimiser of the cross entropy, or the direction in which it decreases for ever.

    .. math:: L(W) = \sum_x p(x) \log\sum_y e^{-(u_{f(x)}-u_y)^\top W e_x}

    Damped Newton with the exact Hessian, in orthonormal coordinates of the span of the gradients, where the Hessian
    is positive definite whatever the ranks of the embeddings. The loss has a minimiser if and only if no W has all
    margins >= 0 and one of them > 0; that is decided first by `separability`.

    `memory`: a problem (inputs, outputs, targets, frequencies). Raises `SizeError` beyond 4000 unknowns.
    Source: Section 5.1; errata section 7. Proof: L is convex, strictly on the span; a recession direction is a W with
    margins >= 0. Cost: O(N (d^2 + M d) + N d^4 + d^6) a step, about ten steps, after one linear program.

    >>> import numpy as np
    >>> from types import SimpleNamespace
    >>> inputs = np.array([[1.0, 0.0], [0.8, -0.6], [0.8, 0.6]])
    >>> memory = SimpleNamespace(
    ...     inputs=inputs, outputs=np.eye(2), targets=np.array([0, 1, 1]), frequencies=np.array([0.4, 0.3, 0.3]))
    >>> answer = minimise(memory)
    >>> round(float((answer.weights @ inputs[0]) @ [1, -1]), 6)  # the most frequent token is forgotten
    -0.204668
    """
    space = coordinates(memory)
    if space.unknowns > _MOST_UNKNOWNS:
        raise SizeError(f"minimise solves up to {_MOST_UNKNOWNS} unknowns; this problem has {space.unknowns}")
    frequencies = np.asarray(memory.frequencies, dtype=np.float64)
    decision = decide(space)
    if decision is not None and decision.multipliers is not None:
        everything = np.ones((len(space.inputs), len(space.outputs)), dtype=bool)
        reduced, loss, gradient, steps = _newton(space, everything, frequencies, np.eye(space.unknowns))
        return Minimiser(space.lift(reduced), loss, False, False, None, gradient, steps)
    strict = _hard_margin(space)
    if strict is not None:
        return Minimiser(None, 0.0, True, True, strict.direction, 0.0, 0)
    answer = _separate(space, *space.all_pairs())
    if answer.strict:
        return Minimiser(None, 0.0, True, True, answer.direction, 0.0, 0)
    kept = ~answer.separated
    tokens, classes = np.nonzero(kept)
    rows = space.rows(tokens.astype(np.int64), classes.astype(np.int64))
    basis = _face(rows) if answer.weak else np.eye(space.unknowns)
    reduced, loss, gradient, steps = _newton(space, kept, frequencies, basis)
    return Minimiser(space.lift(reduced), loss, False, answer.weak, answer.direction, gradient, steps)


def _face(rows: Array) -> Array:
    """Return an orthonormal basis of the row space, shape (unknowns, rank)."""
    _, sizes, axes = np.linalg.svd(rows, full_matrices=False)
    return np.asarray(axes[sizes > 1e-10 * max(float(sizes.max(initial=0.0)), 1e-300)].T)


def _loss(space: Coordinates, kept: npt.NDArray[np.bool_], frequencies: Array, reduced: Array) -> tuple[float, Array]:
    """Return the loss over the kept pairs and their softmax weights, shape (N, M)."""
    exponents = np.where(kept, -space.margins(reduced), -np.inf)
    largest = exponents.max(axis=1)
    grown = np.exp(exponents - largest[:, None])
    total = grown.sum(axis=1)
    own = np.arange(len(grown)), space.targets
    # log1p keeps a small loss: the target's own term is one when it is the largest
    others = np.where(kept, grown, 0.0)
    others[own] = 0.0
    each = np.where(largest <= 0.0, np.log1p(others.sum(axis=1)), largest + np.log(total))
    return float(frequencies @ each), grown / total[:, None]


def _newton(
    space: Coordinates, kept: npt.NDArray[np.bool_], frequencies: Array, basis: Array
) -> tuple[Array, float, float, int]:
    own = np.arange(len(space.inputs)), space.targets
    position = np.zeros(basis.shape[1])
    reduced = basis @ position
    loss, mass = _loss(space, kept, frequencies, reduced)
    size, steps = np.inf, 0
    while steps < 200:
        steps += 1
        error = mass.copy()
        error[own] -= 1.0
        gradient = basis.T @ ((error @ space.outputs * frequencies[:, None]).T @ space.inputs).ravel()
        new_size = float(np.linalg.norm(gradient))
        hessian = basis.T @ _hessian(space, frequencies, mass) @ basis
        step = _newton_step(hessian, gradient)
        decrement = float(-gradient @ step)
        if new_size == 0.0 or (decrement < 1e-26 and new_size >= 0.5 * size):
            size = min(size, new_size)
            break
        size = new_size
        length = 1.0
        while length > 1e-12:
            trial = position + length * step
            new_loss, new_mass = _loss(space, kept, frequencies, basis @ trial)
            # near the minimum the loss no longer resolves the step: there the full Newton step is taken
            if new_loss <= loss - 1e-4 * length * decrement or decrement < 1e-9 * max(loss, 1e-300):
                break
            length *= 0.5
        position, loss, mass = trial, new_loss, new_mass
    return basis @ position, loss, size, steps


def _newton_step(hessian: Array, gradient: Array) -> Array:
    try:
        factor = np.linalg.cholesky(hessian)
        return np.asarray(-np.linalg.solve(factor.T, np.linalg.solve(factor, gradient)))
    except np.linalg.LinAlgError:  # saturated to rounding far from the minimiser
        shift = 1e-12 * max(float(np.trace(hessian)), 1e-300)
        return np.asarray(-np.linalg.solve(hessian + shift * np.eye(len(hessian)), gradient))


def _hessian(space: Coordinates, frequencies: Array, mass: Array) -> Array:
    """Return the Hessian in reduced coordinates: sum of p (covariance of the outputs) kron (e e^T)."""
    means = mass @ space.outputs
    centred = space.outputs[None, :, :] - means[:, None, :]
    covariance = np.einsum("xm,xma,xmb->xab", mass, centred, centred)
    weighted = frequencies[:, None, None] * covariance
    n, a = len(space.inputs), space.outputs.shape[1]
    squares = (space.inputs[:, :, None] * space.inputs[:, None, :]).reshape(n, -1)
    k = space.inputs.shape[1]
    blocks = (weighted.reshape(n, -1).T @ squares).reshape(a, a, k, k)
    return np.asarray(blocks.transpose(0, 2, 1, 3).reshape(a * k, a * k))
