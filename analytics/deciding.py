"""Separable or not, decided by Newton's method with a certificate either way: far cheaper than a linear program."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from .pairs import Coordinates

Array = npt.NDArray[np.float64]

_MOST_UNKNOWNS = 3000
_MOST_STEPS = 80
_LEAST_MARGIN = 1e-10  # of |W| |e| |u|: below it a positive margin may be rounding
_LEAST_MULTIPLIER = 1e-3  # of a multiplier that the correction must leave: far from what rounding moves


class Decision(NamedTuple):
    """A certificate: weights with all margins > 0, or multipliers > 0 whose sum over all margins is zero."""

    weights: Array | None
    """Separating weights in reduced coordinates, flat; None for a problem that is not separable."""
    multipliers: Array | None
    """Shape (N, M), > 0 off the targets, sum 1; None for a separable problem."""
    residual: float
    """Norm of the sum of multiplier (u_f - u_y) outer e_x, in units of the largest pair; 0 for a separable one."""


def decide(space: Coordinates) -> Decision | None:
    r"""Return a certificate that a problem is separable, or that it is not even weakly so; None where it finds neither.

    Newton's method on the cross entropy, of equal weights, until one of two things shows. All margins are positive:
    W separates. Or the softmax q gives multipliers that nearly balance, and exactly after one correction:

    .. math:: \lambda_{xy} = q_{xy} (1 - \langle F_{xy}, z\rangle), \qquad
              z = \Big(\sum q_{xy} F_{xy} F_{xy}^\top\Big)^{-1} \sum q_{xy} F_{xy}, \qquad
              \sum \lambda_{xy} F_{xy} = 0,

    F_xy = (u_f(x) - u_y) e_x^T, which are all positive as soon as no margin of z reaches 1; then every W with margins
    >= 0 has all margins 0 (Farkas). Weakly separable problems have neither certificate, and separable ones with
    margins near rounding may end without.

    `space`: the problem in its smallest coordinates. Source: NEW. Proof: the display, and that q > 0.
    Cost: O(N (M l^2 + l^2 k^2) + (l k)^3) a step for ranks l, k of outputs and inputs, 5 to 40 steps.

    >>> import numpy as np
    >>> from types import SimpleNamespace
    >>> from traindyn.analytics.pairs import coordinates
    >>> three = np.array([[1.0, 0.0], [-0.5, 0.9], [-0.5, -0.9]])
    >>> memory = SimpleNamespace(inputs=three, outputs=np.eye(2), targets=np.zeros(3, int), frequencies=np.ones(3) / 3)
    >>> decide(coordinates(memory)).multipliers.round(3)[:, 1].tolist()  # no half plane holds all three
    [0.333, 0.333, 0.333]
    """
    if not space.unknowns or space.unknowns > _MOST_UNKNOWNS or len(space.outputs) < 2:
        return None
    n, m = len(space.inputs), len(space.outputs)
    wrong = np.arange(m)[None, :] != space.targets[:, None]
    reach = float(np.linalg.norm(space.inputs, axis=1).max()) * float(np.linalg.norm(space.outputs, axis=1).max())
    gaps = space.outputs[space.targets][:, None, :] - space.outputs[None, :, :]
    squares = (space.inputs[:, :, None] * space.inputs[:, None, :]).reshape(n, -1)
    weights = np.zeros(space.unknowns)
    margins = np.zeros((n, m))
    loss = _loss(margins)
    for _ in range(_MOST_STEPS):
        floor = _LEAST_MARGIN * reach * float(np.linalg.norm(weights))
        if float(margins[wrong].min()) > floor:
            return Decision(weights, None, 0.0)
        mass = np.exp(-margins - np.logaddexp.reduce(-margins, axis=1, keepdims=True))
        means = np.einsum("xm,xma->xa", mass, gaps)
        gradient = (means.T @ space.inputs).ravel()  # of the sum of q F; the loss falls along it
        centred = gaps - means[:, None, :]
        step = _solved(_moments(mass, centred), squares, gradient)
        if step is None:
            return None
        moved = space.margins(step)
        if float(np.abs(moved[wrong]).max()) < 2.0:
            correction = _solved(_moments(mass, gaps), squares, gradient)
            if correction is not None:
                found = _balanced(space, mass * wrong, wrong, gaps, correction)
                if found is not None:
                    return found
        decrement = float(gradient @ step)
        length = 1.0
        while True:
            new = _loss(margins + length * moved)
            if new <= loss - 1e-4 * length * decrement:
                break
            length *= 0.5
            if length < 1e-8:
                return None
        weights, margins, loss = weights + length * step, margins + length * moved, new
    return None


def _loss(margins: Array) -> float:
    return float(np.logaddexp.reduce(-margins, axis=1).sum())


def _moments(mass: Array, vectors: Array) -> Array:
    """Return the second moments of each token's vectors, sum_m mass[x, m] v v^T, (N, l, l)."""
    return np.asarray((mass[:, :, None] * vectors).transpose(0, 2, 1) @ vectors)


def _solved(moments: Array, squares: Array, gradient: Array) -> Array | None:
    """Return (sum_x moments_x kron e e^T)^-1 gradient; None where rounding leaves it indefinite."""
    n, size = moments.shape[:2]
    width = round(squares.shape[1] ** 0.5)
    blocks = (moments.reshape(n, -1).T @ squares).reshape(size, size, width, width)
    matrix = blocks.transpose(0, 2, 1, 3).reshape(size * width, size * width)
    try:
        factor = np.linalg.cholesky(matrix)
    except np.linalg.LinAlgError:
        return None
    from scipy.linalg import cho_solve

    return np.asarray(cho_solve((factor, True), gradient))


def _balanced(
    space: Coordinates, mass: Array, wrong: npt.NDArray[np.bool_], gaps: Array, correction: Array
) -> Decision | None:
    """Return the corrected multipliers, if they are positive and their sum vanishes to rounding."""
    factors = 1.0 - space.margins(correction)
    if not float(factors[wrong].min()) > _LEAST_MULTIPLIER:
        return None
    multipliers = mass * factors
    multipliers /= multipliers.sum()
    total = np.einsum("xm,xma->xa", multipliers, gaps).T @ space.inputs
    largest = float((np.linalg.norm(gaps, axis=2) * np.linalg.norm(space.inputs, axis=1)[:, None]).max())
    residual = float(np.linalg.norm(total)) / largest
    return Decision(None, multipliers, residual) if residual < 1e-12 else None
