"""The best accuracy that any W reaches: exact in the plane, two-sided elsewhere."""

from __future__ import annotations

import functools
import math
from fractions import Fraction
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from .least_distance import _hard_margin
from .minimiser import minimise
from .pairs import Coordinates, coordinates
from .protocol import Memory

Array = npt.NDArray[np.float64]


class AccuracyOptimum(NamedTuple):
    """Bounds on the largest accuracy, and a W that reaches the lower one."""

    lower: float
    upper: float
    direction: Array
    """Unit-Frobenius W, shape (d, d), with accuracy `lower` (zero when no token can be answered)."""
    exact: bool
    """Whether lower and upper are the optimum."""


def accuracy_optimum(memory: Memory, restarts: int = 4) -> AccuracyOptimum:
    r"""Return the largest frequency-weighted accuracy over all W: :math:`\max_W \sum_x p(x) 1[m_W(x) > 0]`.

    Two classes in the plane: exact. W acts through the angle of one vector; each token is answered on an open half
    circle, and a sweep over the 2N ends, ordered in exact rational arithmetic, finds the best arc.
    Otherwise bounds: from below by storing tokens greedily (most frequent first, `restarts` random orders, and the
    minimiser of the loss), each set proved storable by its hard margin; from above because every Farkas combination
    of pairs that sums to zero holds a token that must be wrong (disjoint charges, local ratio).

    `memory`: a problem; `restarts` >= 0 random orders. Ties are wrong. Returns (lower, upper, direction, exact).
    Source: Section 5.1, Fig 4. Cost: O(N log N) in the plane; else O(restarts N) small least-distance problems.

    >>> import numpy as np
    >>> from types import SimpleNamespace
    >>> inputs = np.array([[1.0, 0.0], [0.8, -0.6], [0.8, 0.6]])
    >>> memory = SimpleNamespace(
    ...     inputs=inputs, outputs=np.eye(2), targets=np.array([0, 1, 1]), frequencies=np.array([0.4, 0.3, 0.3]))
    >>> answer = accuracy_optimum(memory)
    >>> round(answer.lower, 12), answer.exact
    (0.7, True)
    """
    inputs = np.asarray(memory.inputs, dtype=np.float64)
    outputs = np.asarray(memory.outputs, dtype=np.float64)
    if inputs.shape[1] == 2 and len(outputs) == 2:
        return _sweep(inputs, outputs, np.asarray(memory.targets), np.asarray(memory.frequencies, dtype=np.float64))
    return _bounds(memory, restarts)


def _sweep(inputs: Array, outputs: Array, targets: npt.NDArray[np.int64], frequencies: Array) -> AccuracyOptimum:
    difference = outputs[0] - outputs[1]
    usable = np.any(inputs != 0.0, axis=1)
    if not np.any(difference != 0.0) or not usable.any():
        return AccuracyOptimum(0.0, 0.0, np.zeros((2, 2)), True)
    signed = np.where(targets[:, None] == 0, inputs, -inputs)[usable]
    weight = frequencies[usable]
    # each token's boundary is a line; its normal in the half plane [0, pi) names it, `up` says which side is right
    up = (signed[:, 1] > 0.0) | ((signed[:, 1] == 0.0) & (signed[:, 0] > 0.0))
    normals = np.where(up[:, None], signed, -signed)
    order, line = _exact_lines(normals)
    n_lines = int(line[-1]) + 1
    plus = np.bincount(line, weights=np.where(up[order], weight[order], 0.0), minlength=n_lines)
    minus = np.bincount(line, weights=np.where(up[order], 0.0, weight[order]), minlength=n_lines)
    plus_before, minus_before = np.cumsum(plus), np.cumsum(minus)
    first = plus_before + (minus_before[-1] - minus_before)
    second = (plus_before[-1] - plus_before) + minus_before
    totals = np.concatenate([first, second])
    # running sums are good to rounding; the winners are summed again exactly
    contenders = np.nonzero(totals >= totals.max() - 1e-12)[0][:64]
    best, accuracy = -1, -1.0
    missed = [float(x) for x in frequencies[~usable]]
    place = np.empty(len(order), dtype=np.int64)
    place[order] = line
    for arc in contenders:
        right = ((place <= arc % n_lines) == up) if arc < n_lines else ((place <= arc % n_lines) != up)
        value = 1.0 - math.fsum([*missed, *weight[~right].tolist()])
        if value > accuracy:
            best, accuracy = int(arc), value
    starts = normals[order[np.searchsorted(line, np.arange(n_lines))]]
    i = best % n_lines
    here = _unit(starts[i])
    there = _unit(starts[i + 1]) if i + 1 < n_lines else -_unit(starts[0])
    middle = here + there
    if math.hypot(*middle) < 1e-8:
        middle = np.array([-here[1], here[0]])
    # the arc between two normals, turned back by a right angle, is the arc of answers
    gamma = np.array([middle[1], -middle[0]]) * (1.0 if best < n_lines else -1.0)
    direction = np.outer(difference, gamma)
    return AccuracyOptimum(accuracy, accuracy, direction / np.linalg.norm(direction), True)


def _unit(vector: Array) -> Array:
    scaled = vector / np.abs(vector).max()
    return np.asarray(scaled / math.hypot(*scaled))


def _exact_lines(normals: Array) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return an order of the normals by angle and the rank of each one's line, exactly where floats are close."""
    angles = np.arctan2(normals[:, 1], normals[:, 0])
    order = np.argsort(angles, kind="stable")
    close = np.diff(angles[order]) < 1e-12
    line = np.zeros(len(order), dtype=np.int64)

    def compare(a: int, b: int) -> int:
        return _turn(normals, a, b)

    start = 0
    for end in [*(np.nonzero(~close)[0] + 1).tolist(), len(order)]:
        if end - start > 1:
            group = sorted(order[start:end].tolist(), key=functools.cmp_to_key(compare))
            order[start:end] = group
            for k in range(start + 1, end):
                line[k] = _turn(normals, int(order[k - 1]), int(order[k])) != 0
        if start > 0:
            line[start] = 1
        start = end
    return order.astype(np.int64), np.cumsum(line)


def _turn(normals: Array, a: int, b: int) -> int:
    """Return -1, 0 or 1 as normal a comes before, with or after normal b (both in the upper half plane), exactly."""
    (ax, ay), (bx, by) = (tuple(Fraction(float(v)) for v in normals[i]) for i in (a, b))
    cross = ax * by - ay * bx
    return (cross < 0) - (cross > 0)


def _bounds(memory: Memory, restarts: int) -> AccuracyOptimum:
    space = coordinates(memory)
    frequencies = np.asarray(memory.frequencies, dtype=np.float64)
    n = len(frequencies)
    by_frequency = np.argsort(-frequencies, kind="stable")
    rng = np.random.default_rng(0)
    best = 0.0
    direction = np.zeros((memory.inputs.shape[1],) * 2)
    whole = _hard_margin(space)
    if whole is not None:
        return AccuracyOptimum(1.0, 1.0, whole.direction, True)
    upper = _charged(space, frequencies)
    minimum = minimise(memory)
    starts = [np.zeros(n, dtype=bool)]
    if minimum.weights is not None:
        scores = memory.inputs @ minimum.weights.T @ memory.outputs.T
        own = scores[np.arange(n), memory.targets].copy()
        scores[np.arange(n), memory.targets] = -np.inf
        starts.append(own > scores.max(axis=1))
    plans = [(start, by_frequency) for start in starts]
    plans += [(starts[0], np.argsort(-frequencies * rng.exponential(size=n), kind="stable")) for _ in range(restarts)]
    for stored, order in plans:
        found = _greedy(space, stored, order)
        if found is None:
            continue
        kept, weights = found
        value = 1.0 - math.fsum(frequencies[~kept].tolist())
        if value > best:
            best, direction = value, weights
        if best >= upper - 1e-12:
            break
    exact = best >= upper - 1e-12
    return AccuracyOptimum(best, best if exact else upper, direction, exact)


def _subset(space: Coordinates, tokens: npt.NDArray[np.bool_]) -> Coordinates:
    return Coordinates(
        space.inputs[tokens], space.outputs, space.targets[tokens], space.input_basis, space.output_basis
    )


def _greedy(
    space: Coordinates, stored: npt.NDArray[np.bool_], order: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.bool_], Array] | None:
    """Return a set of tokens that is stored together and cannot be enlarged, with its max-margin direction."""
    kept = stored.copy()
    answer = _hard_margin(_subset(space, kept)) if kept.any() else None
    if answer is None:
        kept = np.zeros_like(stored)
    for token in order:
        if kept[token]:
            continue
        if answer is not None:
            reduced = (space.output_basis.T @ answer.direction @ space.input_basis).ravel()
            margins = space.margins(reduced)[token]
            margins[space.targets[token]] = np.inf
            if margins.min() > 1e-9:
                kept[token] = True
                continue
        trial = kept.copy()
        trial[token] = True
        found = _hard_margin(_subset(space, trial))
        if found is not None:
            kept, answer = trial, found
    if answer is None:
        return None
    final = _hard_margin(_subset(space, kept))
    return (kept, final.direction) if final is not None else None


def _charged(space: Coordinates, frequencies: Array) -> float:
    """Return an upper bound: charge every infeasible set of tokens with the least weight left in it."""
    from scipy.optimize import linprog

    left = frequencies.copy()
    paid: list[float] = []
    for _ in range(len(frequencies)):
        active = left > 0.0
        if not active.any():
            break
        part = _subset(space, active)
        tokens, classes = part.all_pairs()
        rows = part.rows(tokens, classes)
        sizes = np.linalg.norm(rows, axis=1)
        dead = sizes <= 1e-13 * max(float(sizes.max(initial=0.0)), 1e-300)
        where = np.nonzero(active)[0]
        if dead.any() or not rows.size:  # a token whose margin is always zero is always wrong
            charged = np.unique(where[tokens[dead]]) if rows.size else where
            paid += left[charged].tolist()
            left[charged] = 0.0
            continue
        scaled = rows / sizes[:, None]
        # the least combination of margins that sums to zero: lambda >= 0, sum lambda = 1, sum lambda F = 0
        answer = linprog(
            np.zeros(len(scaled)),
            A_eq=np.vstack([scaled.T, np.ones(len(scaled))]),
            b_eq=np.concatenate([np.zeros(scaled.shape[1]), [1.0]]),
            bounds=(0.0, None),
            method="highs-ds",
        )
        if answer.x is None or np.linalg.norm(answer.x @ scaled) > 1e-9:
            break
        support = np.unique(where[tokens[answer.x > 1e-9]])
        charge = float(left[support].min())
        paid.append(charge)
        left[support] -= charge
        left[left < 1e-15] = 0.0
    return 1.0 - math.fsum(paid)
