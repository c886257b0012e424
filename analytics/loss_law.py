"""The universal law of separable training, eta t L -> 1/margin^2, and the part of it that holds at every time."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ..errors import InputError
from .curvature import hessian_norm_bound
from .least_distance import hard_margin
from .protocol import Memory

Array = npt.NDArray[np.float64]


def asymptotic_loss_constant(memory: Memory) -> float:
    r"""Return :math:`1/\gamma^2`, the limit of eta t L(W_t) for flow and descent on a separable problem.

    gamma is the hard margin; the constant depends neither on the frequencies nor on the start. The approach is slow:
    relative corrections are O(1/log t) in general, O(log t / t) for orthonormal embeddings from zero.
    Raises `InputError` when the problem is not separable. Source: spec section 1.1. Cost: one `hard_margin`.

    >>> import numpy as np
    >>> from types import SimpleNamespace
    >>> memory = SimpleNamespace(
    ...     inputs=np.eye(3), outputs=np.eye(3), targets=np.arange(3), frequencies=np.full(3, 1 / 3))
    >>> round(asymptotic_loss_constant(memory), 9)
    2.0
    """
    return float(hard_margin(memory).margin ** -2.0)


def orthonormal_loss_constant(n_tokens: int, n_classes: int) -> float:
    r"""Return :math:`1/\gamma^2 = N (1 - 1/M)` for orthonormal embeddings. Source: spec section 1.1.

    >>> orthonormal_loss_constant(4, 2)
    2.0
    """
    return n_tokens * (1.0 - 1.0 / n_classes)


def binary_loss_constant(squared_norms: npt.ArrayLike, squared_distance: float = 2.0) -> float:
    r"""Return :math:`1/\gamma^2 = \sum_x 1/(c |e_x|^2)` for orthogonal inputs and two classes, c = |u_1-u_2|^2.

    `squared_norms`: |e_x|^2, shape (N,). Source: spec section 1.1; Theorem 2.

    >>> binary_loss_constant([1.0, 1.0])
    1.0
    """
    return float(np.sum(1.0 / (squared_distance * np.asarray(squared_norms, dtype=np.float64))))


def two_token_loss_constant(correlation: float, squared_distance: float = 2.0) -> float:
    r"""Return :math:`1/\gamma^2 = 2/(c(1-\alpha))` for two unit tokens of two classes. Source: spec section 1.1.

    >>> two_token_loss_constant(0.5)
    2.0
    """
    if not -1.0 <= correlation < 1.0:
        raise InputError("correlation must lie in [-1, 1): at 1 the problem is not separable", correlation)
    return 2.0 / (squared_distance * (1.0 - correlation))


def separable_flow_loss_bound(
    time: npt.ArrayLike, margin: float, rarest: float, initial_loss: float
) -> Array:
    r"""Return the proved upper bound on the loss of gradient flow on a separable problem, at every time.

    .. math:: L(W_t) \le p\,\log(1 + 1/b_t), \qquad b_t + \log b_t = b_0 + \log b_0 + \gamma^2 p\, t, \qquad
              b_0 = 1/(e^{L(W_0)/p} - 1),

    p the smallest frequency. So ``limsup t L <= 1/gamma^2``: the upper half of the universal law, with its regime
    (relative excess O(log t/(gamma^2 p t))). Equality for a single token of two classes.

    Parameters: `time` >= 0 (any shape), `margin` gamma > 0 (`hard_margin`), `rarest` p, `initial_loss` L(W_0) > 0.
    Gradient descent with eta < 2/B, B = `hessian_norm_bound`: put eta (1 - eta B/2) t for the time
    (`separable_descent_loss_bound`). Source: NEW. Proof: ``dL/dt = -|grad L|^2 <= -gamma^2 G^2`` with
    ``G = sum p (1 - e^{-l_x}) >= p (1 - e^{-L/p})`` (a concave function on a simplex is least at a vertex); integrate.
    Cost: one Wright omega function an element.

    >>> import numpy as np
    >>> float(separable_flow_loss_bound(0.0, 1.0, 0.5, np.log(2.0)).round(12))
    0.69314718056
    >>> float((separable_flow_loss_bound(1e8, 1.0, 0.5, np.log(2.0)) * 1e8).round(4))
    1.0
    """
    from scipy.special import wrightomega

    if not (margin > 0.0 and 0.0 < rarest <= 1.0 and initial_loss > 0.0):
        law = "margin, rarest and initial_loss must be positive, rarest at most 1"
        raise InputError(law, (margin, rarest, initial_loss))
    times = np.asarray(time, dtype=np.float64)
    if not np.all(times >= 0.0):
        raise InputError("time must be >= 0", time)
    start = initial_loss / rarest
    log_odds = -np.log(np.expm1(start)) if start < 700.0 else -start
    reach = np.exp(log_odds) + log_odds + margin**2 * rarest * times
    # p log(1 + 1/b) with log b = reach - b, which also serves where b underflows
    odds = wrightomega(np.asarray(reach))
    log_b = np.where(odds > 1e-3, np.log(np.maximum(odds, 1e-300)), reach - odds)
    return np.asarray(rarest * np.logaddexp(0.0, -log_b))


def separable_descent_loss_bound(
    memory: Memory, margin: float, learning_rate: float, steps: npt.ArrayLike, initial_loss: float
) -> Array:
    r"""Return the same bound for gradient descent with a rate below 2/B, B = `hessian_norm_bound`.

    `separable_flow_loss_bound` at the time :math:`\eta(1-\eta B/2)\,t`. Source: NEW. Proof: the descent lemma gives
    ``L' <= L - eta (1 - eta B/2) |grad L|^2``, and ``b + log b`` is a convex decreasing function of L.
    Raises `InputError` for eta >= 2/B. `steps`: t >= 0, any shape. Cost: as `separable_flow_loss_bound`.

    >>> import numpy as np
    >>> from types import SimpleNamespace
    >>> memory = SimpleNamespace(
    ...     inputs=np.eye(2), outputs=np.eye(2), targets=np.array([0, 1]), frequencies=np.array([0.5, 0.5]))
    >>> float(separable_descent_loss_bound(memory, 1.0, 4.0, 1e6, np.log(2.0)).round(9))
    5e-07
    """
    effective = learning_rate * (1.0 - learning_rate * hessian_norm_bound(memory) / 2.0)
    if not (learning_rate > 0.0 and effective > 0.0):
        raise InputError("learning_rate must lie between 0 and descent_rate(memory)", learning_rate)
    return separable_flow_loss_bound(
        effective * np.asarray(steps, dtype=np.float64), margin, float(np.min(memory.frequencies)), initial_loss
    )
