"""Cycles of period two of gradient descent, and whether descent stays at the minimum, as static equations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ..errors import InputError, SizeError
from .minimiser import _hessian, _loss, minimise
from .pairs import Coordinates, coordinates
from .protocol import Memory

Array = npt.NDArray[np.float64]

_MOST_UNKNOWNS = 1000
_MOST_STEPS = 100


@dataclass(frozen=True, eq=False)
class TwoCycle:
    """Two points that gradient descent sends to each other, with what shows it."""

    weights: Array
    """The two points in the span of the gradients, shape (2, d, d)."""
    loss: Array
    """Loss at both, shape (2,)."""
    sharpness: Array
    """Largest eigenvalue of the Hessian at both, shape (2,)."""
    closure: float
    """Frobenius norm of g(g(W)) - W, g one step of descent: the larger one of the two points."""
    separation: float
    """Frobenius norm of the difference of the two points."""
    multipliers: npt.NDArray[np.complex128]
    """Eigenvalues of the Jacobian of two steps, largest modulus first, one for each dimension of the span."""
    iterations: int
    """Newton steps taken."""

    @property
    def multiplier(self) -> float:
        """Modulus of the largest eigenvalue: a small disturbance grows by it every two steps, in the long run."""
        return float(abs(self.multipliers[0]))

    @property
    def stable(self) -> bool:
        """Whether descent from close by ends in this cycle: multiplier < 1."""
        return self.multiplier < 1.0


class Stability(NamedTuple):
    """How gradient descent behaves next to the minimiser."""

    sharpness: float
    """H*, the largest eigenvalue of the Hessian at the minimiser."""
    critical_rate: float
    """2 / H*: descent stays at the minimiser below it and leaves it above."""
    multiplier: float
    """Modulus of the largest eigenvalue of one step, max |1 - eta lambda| over the Hessian's eigenvalues."""
    stable: bool
    """Whether multiplier < 1, that is eta H* / 2 < 1."""


def minimiser_stability(memory: Memory, learning_rate: float) -> Stability:
    r"""Return whether gradient descent that is close to the minimiser of the cross entropy ends there.

    .. math:: \eta H_* / 2 < 1, \quad H_* = \lambda_{max}(\nabla^2 L(W_*))

    `memory`: a problem whose loss has a minimiser; `learning_rate`: eta > 0. Raises `InputError` when there is no
    minimiser (the sharpness then tends to zero along the way), `SizeError` beyond 1000 unknowns (dimension of the
    gradients' span). Source: Section 5.1, with the inequality the right way round (errata S5.1). Proof: one step next
    to the minimiser is I - eta H_* on the span, where H_* is positive definite. Cost: `minimise` and one eigenvalue
    problem of that dimension.

    >>> import numpy as np
    >>> from types import SimpleNamespace
    >>> inputs = np.array([[1.0, 0.0], [0.8, -0.6], [0.8, 0.6]])
    >>> memory = SimpleNamespace(
    ...     inputs=inputs, outputs=np.eye(2), targets=np.array([0, 1, 1]), frequencies=np.array([0.4, 0.3, 0.3]))
    >>> answer = minimiser_stability(memory, 6.0)
    >>> round(answer.critical_rate, 6), answer.stable
    (5.146164, False)
    """
    rate = _checked_rate(learning_rate)
    descent = _Descent(_space(memory), memory, rate)
    return _stability(descent, descent.reduced(_minimiser(memory)))


def two_cycle(memory: Memory, learning_rate: float, start: npt.ArrayLike | None = None) -> TwoCycle:
    r"""Return a cycle of period two of gradient descent, solved for and not simulated.

    .. math:: B = A - \eta\nabla L(A), \quad A = B - \eta\nabla L(B), \quad A \ne B

    Newton on both equations at once, in orthonormal coordinates of the span of the gradients. Without `start` the
    Newton steps begin at a point that is known to lie near a cycle: with the mean m and the half difference h of the
    two points, cycles are the critical points of

    .. math:: L(m + h) + L(m - h) - \tfrac{2}{\eta}|h|^2,

    whose least value over m is a convex function of h less a parabola. From h = 0 it grows along the sharpest
    direction of the minimiser if :math:`\eta H_* > 2`, and far away it tends to :math:`-\infty`, so it has a largest
    value at some other h: **beyond the critical rate a cycle of period two always exists**. Fixed-point steps that
    never lower it lead there.

    `memory`: a problem whose loss has a minimiser; `learning_rate`: eta > 0; `start`: two weights, shape (2, d, d),
    such as ``run["weights"][-2:]`` of a long run (what lies outside the span moves no score and is left out).
    Returns the points with their losses, sharpnesses, closure and multipliers. Raises `InputError` for a problem
    whose loss has no minimiser (every step moves W along one direction, which rules cycles out), when Newton does not
    arrive, when it arrives at the minimiser, and without `start` at or below the critical rate; `SizeError` beyond
    1000 unknowns. Cycles may exist below the critical rate too (errata S5.2): they need a `start`.
    Source: Section 5.1, Figure 5; errata section 7. Cost: O(n^3 + N n^2) a step, n the unknowns, about ten steps.

    >>> import numpy as np
    >>> from types import SimpleNamespace
    >>> inputs = np.array([[1.0, 0.0], [0.8, -0.6], [0.8, 0.6]])
    >>> memory = SimpleNamespace(
    ...     inputs=inputs, outputs=np.eye(2), targets=np.array([0, 1, 1]), frequencies=np.array([0.4, 0.3, 0.3]))
    >>> cycle = two_cycle(memory, 6.0)
    >>> cycle.closure < 1e-14, cycle.separation > 0.1, cycle.stable
    (True, True, True)
    """
    rate = _checked_rate(learning_rate)
    descent = _Descent(_space(memory), memory, rate)
    minimum = descent.reduced(_minimiser(memory))
    if start is not None:
        pair = np.asarray(start, dtype=np.float64)
        dim = memory.inputs.shape[1]
        if pair.shape != (2, dim, dim) or not np.isfinite(pair).all():
            raise InputError(f"start must be two finite weights, shape (2, {dim}, {dim})", pair.shape)
        return _finished(descent, minimum, *_newton(descent, descent.reduced(pair[0]), descent.reduced(pair[1])))
    local = _stability(descent, minimum)
    if rate <= local.critical_rate:
        raise InputError(
            "without start= the learning rate must exceed the critical rate 2/H*, beyond which a cycle exists",
            f"{rate:g} <= {local.critical_rate:.6g}",
            "pass start=, such as the last two weights of a long run",
        )
    mean, half = _ascend(descent, minimum)
    return _finished(descent, minimum, *_newton(descent, mean + half, mean - half))


class _Descent:
    """Gradient descent of a memory in reduced coordinates: loss, gradient, Hessian, one step."""

    def __init__(self, space: Coordinates, memory: Memory, rate: float) -> None:
        self.space, self.rate = space, rate
        self.frequencies = np.asarray(memory.frequencies, dtype=np.float64)
        self.pairs = np.ones((len(space.inputs), len(space.outputs)), dtype=bool)

    def reduced(self, weights: Array) -> Array:
        """Return the coordinates of (d, d) weights."""
        return np.asarray((self.space.output_basis.T @ weights @ self.space.input_basis).ravel())

    def loss(self, x: Array) -> float:
        return _loss(self.space, self.pairs, self.frequencies, x)[0]

    def gradient(self, x: Array) -> Array:
        error = self._mass(x).copy()
        error[np.arange(len(error)), self.space.targets] -= 1.0
        return np.asarray(((error @ self.space.outputs * self.frequencies[:, None]).T @ self.space.inputs).ravel())

    def hessian(self, x: Array) -> Array:
        return _hessian(self.space, self.frequencies, self._mass(x))

    def step(self, x: Array) -> Array:
        return x - self.rate * self.gradient(x)

    def jacobian(self, x: Array) -> Array:
        return np.eye(len(x)) - self.rate * self.hessian(x)

    def _mass(self, x: Array) -> Array:
        return _loss(self.space, self.pairs, self.frequencies, x)[1]


def _checked_rate(learning_rate: float) -> float:
    rate = float(learning_rate)
    if not 0.0 < rate < np.inf:
        raise InputError("learning_rate must be a finite number > 0", learning_rate)
    return rate


def _space(memory: Memory) -> Coordinates:
    space = coordinates(memory)
    if not space.unknowns:
        raise InputError("no W changes the loss of this problem: all inputs are zero, or all outputs equal")
    if space.unknowns > _MOST_UNKNOWNS:
        raise SizeError(f"cycles are solved for up to {_MOST_UNKNOWNS} unknowns; this problem has {space.unknowns}")
    return space


def _minimiser(memory: Memory) -> Array:
    answer = minimise(memory)
    if answer.weakly_separable or answer.weights is None:
        raise InputError(
            "the loss of this problem has no minimiser, so gradient descent has neither a fixed point nor a cycle",
            "a problem with a W of all margins >= 0, one of them > 0",
            "ask about a problem for which minimise(memory).weakly_separable is False",
        )
    return answer.weights


def _stability(descent: _Descent, minimum: Array) -> Stability:
    values = np.linalg.eigvalsh(descent.hessian(minimum))
    multiplier = float(np.abs(1.0 - descent.rate * values).max())
    sharpness = float(values[-1])
    return Stability(sharpness, 2.0 / sharpness, multiplier, multiplier < 1.0)


def _newton(descent: _Descent, first: Array, second: Array) -> tuple[Array, Array, float, float, int]:
    """Return both points, the size of the residual and of the last step, and the number of steps."""
    n = len(first)
    residual = np.concatenate([descent.step(first) - second, descent.step(second) - first])
    size, last = float(np.linalg.norm(residual)), np.inf
    for steps in range(1, _MOST_STEPS + 1):
        matrix = -np.eye(2 * n)[:, np.r_[n : 2 * n, 0:n]]
        matrix[:n, :n], matrix[n:, n:] = descent.jacobian(first), descent.jacobian(second)
        try:
            move = np.linalg.solve(matrix, -residual)
        except np.linalg.LinAlgError:
            break
        length = 1.0
        while True:
            trial = first + length * move[:n], second + length * move[n:]
            new = np.concatenate([descent.step(trial[0]) - trial[1], descent.step(trial[1]) - trial[0]])
            new_size = float(np.linalg.norm(new))
            if new_size <= (1.0 - 1e-4 * length) * size or length < 1e-8:
                break
            length *= 0.5
        if new_size >= size:  # rounding, or no way down
            return first, second, size, last, steps
        (first, second), residual, size = trial, new, new_size
        last = length * float(np.linalg.norm(move))
    return first, second, size, last, _MOST_STEPS


def _finished(
    descent: _Descent, minimum: Array, first: Array, second: Array, size: float, last: float, iterations: int
) -> TwoCycle:
    scale = max(1.0, float(np.linalg.norm(first)), float(np.linalg.norm(second)))
    if not size <= 1e-10 * scale:
        raise InputError(
            "Newton found no cycle of period two from this start",
            f"a residual of {size:.3g} after {iterations} steps",
            "start from two successive weights of a longer run, or leave start out",
        )
    separation = float(np.linalg.norm(first - second))
    # a cycle nearer to the fixed point than what Newton still moved is not told from it
    if separation <= max(1e-7 * scale, 1e3 * size):
        raise InputError(
            "from this start Newton ends at the minimiser, which is a fixed point and no cycle of period two",
            f"two points {separation:.3g} apart, {float(np.linalg.norm(first - minimum)):.3g} from the minimiser",
            "start from two weights on both sides of it and further away, or leave start out",
        )
    points = (first, second)
    closure = max(float(np.linalg.norm(descent.step(descent.step(x)) - x)) for x in points)
    multipliers = np.linalg.eigvals(descent.jacobian(second) @ descent.jacobian(first)).astype(np.complex128)
    return TwoCycle(
        weights=np.stack([descent.space.lift(x) for x in points]),
        loss=np.array([descent.loss(x) for x in points]),
        sharpness=np.array([np.linalg.eigvalsh(descent.hessian(x))[-1] for x in points]),
        closure=closure,
        separation=separation,
        multipliers=multipliers[np.argsort(-np.abs(multipliers), kind="stable")],
        iterations=iterations,
    )


def _ascend(descent: _Descent, minimum: Array) -> tuple[Array, Array]:
    """Return mean and half difference near a largest value of min_m L(m + h) + L(m - h) - (2/eta) |h|^2.

    h <- (eta/4) (grad L(m + h) - grad L(m - h)) never lowers it: the parabola is concave, the rest is convex in h.
    """
    value, direction = 2.0 * descent.loss(minimum), np.linalg.eigh(descent.hessian(minimum))[1][:, -1]
    # no cycle is wider: both gradients of a cycle are shorter than the longest pair (u_f - u_y) e^T
    space = descent.space
    wide = max(float(np.linalg.norm(space.outputs - u, axis=1).max()) for u in space.outputs)
    length = 0.5 * descent.rate * wide * float(np.linalg.norm(space.inputs, axis=1).max())
    mean = minimum
    for _ in range(60):
        half = length * direction
        mean = _best_mean(descent, minimum, half)
        if descent.loss(mean + half) + descent.loss(mean - half) - 2.0 / descent.rate * length**2 > value:
            break
        length *= 0.5
    for _ in range(1000):
        new = 0.25 * descent.rate * (descent.gradient(mean + half) - descent.gradient(mean - half))
        change = float(np.linalg.norm(new - half))
        half = new
        mean = _best_mean(descent, mean, half)
        if change <= 1e-6 * float(np.linalg.norm(half)):
            break
    return mean, half


def _best_mean(descent: _Descent, mean: Array, half: Array) -> Array:
    """Return the minimiser over m of the convex L(m + half) + L(m - half), by Newton steps in a region of trust."""
    from scipy.optimize import minimize

    def value(m: Array) -> tuple[float, Array]:
        ends = m + half, m - half
        return sum(map(descent.loss, ends)), descent.gradient(ends[0]) + descent.gradient(ends[1])

    def curvature(m: Array) -> Array:
        return descent.hessian(m + half) + descent.hessian(m - half)

    size = max(1.0, float(np.linalg.norm(half)))
    options = {"gtol": 1e-9, "initial_trust_radius": size, "max_trust_radius": 1e3 * size}
    return np.asarray(minimize(value, mean, jac=True, hess=curvature, method="trust-exact", options=options).x)
