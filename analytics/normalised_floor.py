"""The least loss that normalised hidden vectors allow: a convex problem for each class, with a certificate."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from .arguments import positive
from .protocol import Memory

Floats = NDArray[np.float64]

_SPHERE, _INSIDE = 1e-9, 200
_SMALL = -45.0  # log(1 + M e^top) is M e^top to rounding, for fewer than hundreds of classes


class LossFloor(NamedTuple):
    """The least loss over all vectors of bounded length, and the vectors that attain it."""

    value: float
    """Loss at `points`: an upper bound on the floor."""
    gap: float
    """The floor is at least value - gap; 0 but for the tolerance of the solver and rounding."""
    points: Floats
    """(M, d): the best vector of each class, of length at most the gain; zero for a class without a token."""
    margins: Floats
    """(M,): the least margin of each class at its point; NaN for a class without a token."""


def normalised_loss_floor(memory: Memory, gain: float, centred: bool = False) -> LossFloor:
    r"""Return the least loss of scores <u_y, n_x> with vectors of length at most the gain.

    $$\sum_x p(x) \min_{|n| \leq g} \log\Big(1 + \sum_{j \neq f(x)} e^{-\langle u_{f(x)} - u_j,\, n\rangle}\Big)$$

    No weights W do better where the hidden vectors W e_x are normalised to length g; where the inputs are linearly
    independent some W come as close as one likes, for then each W e_x can be chosen by itself. With M orthonormal
    outputs the floor is $\log(1 + (M-1) e^{-g\sqrt{M/(M-1)}})$.

    Parameters
    ----------
    memory : outputs (M, d), targets (N,) and frequencies (N,) are used
    gain : g > 0
    centred : whether the entries of n sum to zero, as after the mean subtraction of a layer normalisation

    Returns
    -------
    LossFloor

    Raises
    ------
    InputError: gain <= 0 or not finite.

    Cost: a quasi-Newton minimisation in d unknowns for each class.

    Source: NEW. Proof of the certificate: the loss is convex in n, so for all $|n'| \leq g$ it is at least
    $f(n) + \langle \nabla f(n), n' - n\rangle \geq f(n) - (g |\nabla f(n)| + \langle \nabla f(n), n\rangle)$.

    >>> from types import SimpleNamespace
    >>> memory = SimpleNamespace(inputs=np.eye(3), outputs=np.eye(3), targets=np.arange(3), frequencies=np.ones(3) / 3)
    >>> floor = normalised_loss_floor(memory, gain=2.0)
    >>> round(floor.value, 9), floor.gap < 1e-12, floor.margins.round(6).tolist()
    (0.159287685, True, [2.44949, 2.44949, 2.44949])
    """
    gain = float(positive("gain", gain))
    outputs = np.asarray(memory.outputs, dtype=np.float64)
    if len(outputs) < 2:
        raise InputError("a loss needs at least two classes", f"{len(outputs)}")
    if centred:
        outputs = outputs - outputs.mean(axis=1, keepdims=True)
    targets, shares = np.asarray(memory.targets), np.asarray(memory.frequencies, dtype=np.float64)
    points, margins = np.zeros_like(outputs), np.full(len(outputs), np.nan)
    value = gap = 0.0
    for label in np.unique(targets):
        ahead = outputs[label] - np.delete(outputs, label, axis=0)
        point = _best(ahead, gain)
        loss, slope = _loss(ahead, point)
        share = float(shares[targets == label].sum())
        value += share * loss
        gap += share * max(float(gain * np.linalg.norm(slope) + slope @ point), 0.0)
        points[label], margins[label] = point, (ahead @ point).min()
    return LossFloor(value, gap, points, margins)


def _loss(ahead: Floats, point: Floats) -> tuple[float, Floats]:
    """Return log(1 + sum_j exp(-<ahead_j, n>)) and its gradient."""
    lead = -(ahead @ point)
    top = max(float(lead.max()), 0.0)
    weights = np.exp(lead - top)
    total = float(weights.sum())
    loss = np.log1p(total) if top == 0.0 else top + np.log(np.exp(-top) + total)
    return float(loss), -(weights / (np.exp(-top) + total)) @ ahead


def _log_loss(ahead: Floats, point: Floats) -> tuple[float, Floats]:
    """Return the logarithm of the loss and its gradient, also where the loss itself is below the range of float64."""
    lead = -(ahead @ point)
    top = float(lead.max())
    if top > _SMALL:
        loss, slope = _loss(ahead, point)
        return float(np.log(loss)), slope / loss
    weights = np.exp(lead - top)  # log(1 + x) = x
    return top + float(np.log(weights.sum())), -(weights / weights.sum()) @ ahead


def _best(ahead: Floats, gain: float) -> Floats:
    """Return the minimiser over the ball: on the sphere, or inside where the gradient vanishes there."""
    from scipy.optimize import minimize

    def on_sphere(free: Floats) -> tuple[float, Floats]:
        length = float(np.linalg.norm(free))
        unit = free / length
        # the logarithm, for the loss itself is exponentially small at large gains
        level, slope = _log_loss(ahead, gain * unit)
        pull = gain * slope
        return level, (pull - (pull @ unit) * unit) / length

    start = ahead.mean(axis=0)
    if not np.linalg.norm(start) > 0.0:
        start = ahead[0] if np.linalg.norm(ahead[0]) > 0.0 else np.ones(ahead.shape[1])
    found = minimize(on_sphere, start / np.linalg.norm(start), jac=True, method="BFGS", options={"gtol": _SPHERE})
    point: Floats = gain * found.x / np.linalg.norm(found.x)
    if float(_loss(ahead, point)[1] @ point) <= 0.0:
        return point
    inside: Any = minimize(lambda n: _loss(ahead, n), np.zeros_like(point), jac=True, method="BFGS",
                           options={"gtol": _SPHERE, "maxiter": _INSIDE})  # fmt: skip
    length = float(np.linalg.norm(inside.x))
    return np.asarray(inside.x if length <= gain else gain * inside.x / length)
