"""Can all associations be stored? An answer with a certificate, by Newton's method or a linear program."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..errors import InputError
from .deciding import decide
from .least_distance import _hard_margin
from .pairs import Coordinates, coordinates
from .protocol import Memory

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Separability:
    """Whether some W answers every token correctly, with the proof."""

    strict: bool
    """Some W has all margins > 0."""
    weak: bool
    """Some W has all margins >= 0 and at least one > 0 (true for every strict problem): the loss has no minimiser."""
    direction: Array | None
    """A unit-Frobenius W that shows it, shape (d, d); None when neither holds."""
    margin: float
    """Least margin of `direction` over the pairs that it separates; positive is the certificate. Zero without one."""
    separated: npt.NDArray[np.bool_]
    """Which margins can be positive together with all others >= 0, shape (N, M); False at the targets."""
    multipliers: Array
    """Farkas weights on the pairs not separated, shape (N, M), >= 0, sum 1: sum of weight (u_f - u_y) e_x^T = 0."""
    residual: float
    """Norm of that sum in units of the largest pair; zero (to rounding) is the certificate, and for strict problems."""


def separability(memory: Memory) -> Separability:
    r"""Return whether a problem is separable, weakly separable or neither, with a certificate.

    .. math:: \max \sum_k \xi_k \quad \text{with} \quad \langle F_k, W\rangle \ge \xi_k, \quad 0 \le \xi_k \le 1,

    F_k = (u_f(x) - u_y) e_x^T over the N (M - 1) margins. At the optimum each xi is 0 or 1: all 1 means strictly
    separable, all 0 that the cross entropy has a unique minimiser, and in between it has an infimum on a face.

    `memory`: a problem. Source: spec section 2 (Fig 4-6) and 4.2 (N2). Proof: scaling W raises every positive margin
    to 1; the dual variables of the pairs with xi = 0 are at least 1 and satisfy sum lambda F = 0 (Farkas).
    Newton's method (`deciding`) goes first and ends with a certificate of either answer, except for weakly separable
    problems; then a least-distance solve, whose positive margins are one too, and last the linear program.
    Cost: 5 to 40 Newton steps of O(N d^4 + d^6) as a rule (40 ms for 80 tokens and classes in 16 dimensions); else one
    linear program (SciPy HiGHS) with N (M - 1) rows and at most d^2 + N (M - 1) columns.

    >>> import numpy as np
    >>> from types import SimpleNamespace
    >>> memory = SimpleNamespace(
    ...     inputs=np.eye(2), outputs=np.eye(2), targets=np.array([0, 1]), frequencies=np.array([0.5, 0.5]))
    >>> answer = separability(memory)
    >>> answer.strict, round(answer.margin, 6)
    (True, 1.0)
    """
    space = coordinates(memory)
    decision = decide(space)
    nowhere = np.zeros((len(space.inputs), len(space.outputs)))
    if decision is not None and decision.multipliers is not None:
        return Separability(False, False, None, 0.0, nowhere > 0.0, decision.multipliers, decision.residual)
    everywhere = np.arange(len(space.outputs))[None, :] != space.targets[:, None]
    if decision is not None and decision.weights is not None:
        weights = decision.weights / np.linalg.norm(decision.weights)
        margin = float(space.margins(weights)[everywhere].min())
        return Separability(True, True, space.lift(weights), margin, everywhere, nowhere, 0.0)
    quick = _hard_margin(space)
    if quick is None:
        return _separate(space, *space.all_pairs())
    return Separability(True, True, quick.direction, quick.margin, everywhere, nowhere, 0.0)


def _separate(space: Coordinates, tokens: npt.NDArray[np.int64], classes: npt.NDArray[np.int64]) -> Separability:
    from scipy.optimize import linprog
    from scipy.sparse import csr_array, eye_array, hstack

    shape = (len(space.inputs), len(space.outputs))
    rows = space.rows(tokens, classes)
    sizes = np.linalg.norm(rows, axis=1)
    largest = float(sizes.max(initial=0.0))
    live = sizes > 1e-13 * largest if largest > 0.0 else np.zeros(len(rows), dtype=bool)
    scaled = rows[live] / sizes[live, None]
    count, unknowns = scaled.shape
    chosen = np.zeros(count, dtype=bool)
    weights = np.zeros(unknowns)
    multipliers = np.zeros(shape)
    residual = 0.0
    if count:
        constraint = hstack([csr_array(-scaled), eye_array(count)], format="csr")
        answer = linprog(
            np.concatenate([np.zeros(unknowns), -np.ones(count)]),
            A_ub=constraint,
            b_ub=np.zeros(count),
            bounds=[(None, None)] * unknowns + [(0.0, 1.0)] * count,
            method="highs",
        )
        if answer.x is None:
            raise InputError("the linear program of separability could not be solved", answer.message)
        weights = np.asarray(answer.x[:unknowns])
        chosen = np.asarray(answer.x[unknowns:]) > 0.5
        dual = np.maximum(-np.asarray(answer.ineqlin.marginals), 0.0)
        if not chosen.all():
            dual = np.where(chosen, 0.0, dual)
            dual = _balanced(scaled[~chosen], dual[~chosen])
            residual = float(np.linalg.norm(dual @ scaled[~chosen]))
            where = np.nonzero(live)[0][~chosen]
            multipliers[tokens[where], classes[where]] = dual / sizes[where] / np.sum(dual / sizes[where])
    weights = _onto_face(weights, scaled[~chosen])
    separated = np.zeros(shape, dtype=bool)
    where = np.nonzero(live)[0][chosen]
    separated[tokens[where], classes[where]] = True
    size = float(np.linalg.norm(weights))
    margin = 0.0
    direction = None
    if chosen.any() and size > 0.0:
        weights = weights / size
        margin = float(np.min(rows[where] @ weights))
        direction = space.lift(weights)
    strict = bool(chosen.all() and live.all() and margin > 0.0)
    weak = bool(chosen.any() and margin > 0.0)
    return Separability(strict, weak, direction, margin, separated, multipliers, residual)


def _balanced(rows: Array, dual: Array) -> Array:
    """Return the multipliers nearest to the given ones that balance the rows exactly, normalised to sum one."""
    total = float(dual.sum())
    if total <= 0.0:
        return dual
    dual = dual / total
    support = dual > 0.0
    correction, *_ = np.linalg.lstsq(rows[support].T, rows[support].T @ dual[support], rcond=None)
    moved = dual.copy()
    moved[support] -= correction
    if np.all(moved[support] > 0.0) and np.linalg.norm(moved @ rows) < np.linalg.norm(dual @ rows):
        dual = moved
    return np.asarray(dual / dual.sum())


def _onto_face(weights: Array, rows: Array) -> Array:
    """Return the weights without their component along margins that must be zero."""
    if not len(rows) or not weights.size:
        return weights
    _, sizes, axes = np.linalg.svd(rows, full_matrices=False)
    kept = axes[sizes > 1e-10 * max(float(sizes.max(initial=0.0)), 1e-300)]
    return np.asarray(weights - kept.T @ (kept @ weights))
