"""The hard margin: the least W with every margin at least one, as a least-distance problem."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..errors import InputError
from .pairs import Coordinates, coordinates
from .protocol import Memory

Array = npt.NDArray[np.float64]

_WHOLE = 2e6  # matrix entries up to which all margins enter at once


@dataclass(frozen=True, eq=False)
class HardMargin:
    """The max-margin solution of a separable problem."""

    weights: Array
    """Least-norm W with all margins >= 1, shape (d, d)."""
    margin: float
    """gamma = 1 / ||W||_F: the largest least margin of a unit-Frobenius W."""
    direction: Array
    """weights / ||weights||_F."""
    multipliers: Array
    """Dual solution, shape (N, M), >= 0: weights = sum of multiplier (u_f - u_y) e_x^T."""
    gap: float
    """Relative duality gap: the margin lies in [margin, margin * (1 + gap)]."""
    iterations: int
    """Rounds of the cutting-plane loop (1: all margins entered at once)."""


def hard_margin(memory: Memory) -> HardMargin:
    r"""Return the max-margin solution of a separable problem, with its duality gap.

    .. math:: \min \|W\|_F^2 \quad \text{with} \quad \langle (u_{f(x)}-u_y) e_x^\top, W\rangle \ge 1,
              \qquad \gamma = 1/\|W\|_F.

    A least-distance problem, solved by non-negative least squares (Lawson and Hanson 1974, chapter 23) on the dual, in
    the span of the gradients, and polished on its active set; beyond 2e6 matrix entries by cutting planes.

    Raises `InputError` when the problem is not separable. Source: spec section 1.1 (universal law). Cost: active-set
    steps of O(N M d^2) each, at most a few d^2 of them as a rule.

    >>> import numpy as np
    >>> from types import SimpleNamespace
    >>> memory = SimpleNamespace(
    ...     inputs=np.eye(2), outputs=np.eye(2), targets=np.array([0, 1]), frequencies=np.array([0.5, 0.5]))
    >>> answer = hard_margin(memory)
    >>> round(answer.margin, 12), answer.gap < 1e-12
    (1.0, True)
    """
    space = coordinates(memory)
    answer = _hard_margin(space)
    if answer is None:
        raise InputError(
            "hard_margin needs a separable problem", "one without a W of positive margins", "see separability(memory)"
        )
    return answer


def _hard_margin(space: Coordinates) -> HardMargin | None:
    """Return the solution, or None when no W has all margins positive."""
    tokens, classes = space.all_pairs()
    if not len(tokens) or not space.unknowns:
        return None
    if len(tokens) * space.unknowns <= _WHOLE:
        working = np.arange(len(tokens))
    else:
        guess = _weighted_sum(space, tokens, classes, np.ones(len(tokens)))
        order = np.argsort(space.margins(guess)[tokens, classes], kind="stable")
        working = np.sort(order[: 4 * space.unknowns + 100])
    rounds = 0
    while True:
        rounds += 1
        rows = space.rows(tokens[working], classes[working])
        solved = _least_distance(rows)
        if solved is None:
            return None
        weights, dual = solved
        margins = space.margins(weights)[tokens, classes]
        if len(working) == len(tokens) or float(margins.min()) >= 1.0 - 1e-10:
            break
        order = np.argsort(margins, kind="stable")
        fresh = order[margins[order] < 1.0 - 1e-10][: 2 * space.unknowns + 100]
        kept = working[dual > 0.0]
        grown = np.union1d(kept, fresh)
        if rounds % 8 == 0:  # never drop again what was dropped before: the loop ends
            grown = np.union1d(working, fresh)
        working = grown
    least = float(margins.min())
    if not least > 0.0:
        return None
    weights = weights / least
    size = float(np.linalg.norm(weights))
    longest = float(np.linalg.norm(space.inputs, axis=1).max()) * float(np.linalg.norm(space.outputs, axis=1).max())
    if size * longest > 1e12:  # a least margin that rounding alone could produce proves nothing
        return None
    total, spread = float(dual.sum()), float(np.linalg.norm(dual @ rows))
    gap = max(0.0, size * spread / total - 1.0) if total > 0.0 else np.inf
    multipliers = np.zeros((len(space.inputs), len(space.outputs)))
    multipliers[tokens[working], classes[working]] = dual
    lifted = space.lift(weights)
    return HardMargin(lifted, 1.0 / size, lifted / size, multipliers, gap, rounds)


def _weighted_sum(
    space: Coordinates, tokens: npt.NDArray[np.int64], classes: npt.NDArray[np.int64], weights: Array
) -> Array:
    difference = space.outputs[space.targets[tokens]] - space.outputs[classes]
    return np.asarray(((weights[:, None] * difference).T @ space.inputs[tokens]).ravel())


def _least_distance(rows: Array) -> tuple[Array, Array] | None:
    """Return the least z with rows @ z >= 1 and its multipliers, or None when there is no such z."""
    scale = float(np.linalg.norm(rows, axis=1).min())
    if scale == 0.0:
        return None
    height = scale  # rows @ z >= height; tuned so that the solution has norm about one
    for _ in range(6):
        stacked = np.vstack([rows.T, np.full(len(rows), height)])
        target = np.zeros(len(stacked))
        target[-1] = 1.0
        dual, distance = _nonnegative(stacked, target)
        if distance < 1e-13:
            return None
        slack = 1.0 - height * float(dual.sum())
        if slack <= 0.0:
            slack = distance**2
        solution = rows.T @ dual / slack
        size = float(np.linalg.norm(solution))
        if 0.2 < size < 5.0:
            break
        height = height / max(size, 1e-8)
    weights, multipliers = solution / height, dual / (slack * height)
    return _polished(rows, weights, multipliers)


def _nonnegative(matrix: Array, target: Array) -> tuple[Array, float]:
    """Return x >= 0 with the least |matrix x - target|, and that distance."""
    from scipy.optimize import lsq_linear, nnls

    solution, distance = nnls(matrix, target, maxiter=50 * max(matrix.shape))
    # SciPy 1.17's nnls ends early on degenerate problems: then a gradient is positive where x is zero
    if distance > 0.0 and float((matrix.T @ (target - matrix @ solution)).max()) > 1e-9 * distance:
        solution = lsq_linear(matrix, target, bounds=(0.0, np.inf), method="bvls").x
        distance = float(np.linalg.norm(matrix @ solution - target))
    return np.asarray(solution), float(distance)


def _polished(rows: Array, weights: Array, multipliers: Array) -> tuple[Array, Array]:
    """Return the solution re-solved on its active set, if that keeps it feasible and its multipliers positive."""
    active = multipliers > 1e-12 * multipliers.max(initial=0.0)
    # least-norm solution of rows z = 1 and the multipliers that give it, without squaring the condition number
    candidate = np.linalg.lstsq(rows[active], np.ones(int(active.sum())), rcond=None)[0]
    exact = np.linalg.lstsq(rows[active].T, candidate, rcond=None)[0]
    before, after = float((rows @ weights).min()), float((rows @ candidate).min())
    if np.all(exact > 0.0) and after >= 1.0 - 1e-11 and after >= before - 1e-11:
        full = np.zeros_like(multipliers)
        full[active] = exact
        return candidate, full
    return weights, multipliers
