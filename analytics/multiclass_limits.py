"""Late times of orthogonal multi-class training: limit direction, second-order expansion, slow mode, invariants."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ..errors import InputError
from .protocol import Memory

Array = npt.NDArray[np.float64]


def projected_outputs(outputs: npt.ArrayLike) -> Array:
    r"""Return the outputs projected on the span of their differences, :math:`\Pi(u_y)`.

    For orthonormal outputs :math:`\Pi(u_y) = u_y - \bar u` with squared norm 1 - 1/M. In general the component in the
    affine hull's normal directions is removed.

    `outputs`: shape (M, d). Returns shape (M, d). Cost: one SVD, O(M^2 d).
    Source: Theorem 3, end of Appendix B.2; errata T3.2 (the paper prints 1/sqrt 2 for the norm).

    >>> import numpy as np
    >>> projected_outputs(np.eye(2))
    array([[ 0.5, -0.5],
           [-0.5,  0.5]])
    """
    values = np.asarray(outputs, dtype=np.float64)
    differences = values[1:] - values[:1]
    _, sizes, axes = np.linalg.svd(differences, full_matrices=False)
    kept = axes[sizes > max(differences.shape) * np.finfo(float).eps * max(float(sizes.max(initial=0.0)), 1e-300)]
    return np.asarray((values @ kept.T) @ kept)


def limit_direction(memory: Memory) -> Array:
    r"""Return the limit of W_t / log t for orthonormal embeddings, :math:`W_\infty = \sum_x \Pi(u_{f(x)}) e_x^\top`.

    The constant is 1 for every M, p and W_0, and for gradient descent with every rate: W_inf is the hard-margin
    solution (least norm with all margins >= 1). Shape (d, d). Cost: O(N d^2).

    Source: Theorem 3; errata T3.1, T3.2. Proof: every margin is log(M p t) + o(1) and the mean score is conserved.

    >>> import numpy as np
    >>> from types import SimpleNamespace
    >>> memory = SimpleNamespace(
    ...     inputs=np.eye(2), outputs=np.eye(2), targets=np.array([0, 1]), frequencies=np.array([0.5, 0.5]))
    >>> limit_direction(memory)
    array([[ 0.5, -0.5],
           [-0.5,  0.5]])
    """
    return np.asarray(projected_outputs(memory.outputs)[memory.targets].T @ memory.inputs)


def asymptotic_weights(memory: Memory, time: float, initial: npt.ArrayLike | None = None) -> Array:
    r"""Return the second-order expansion of the weights of the flow at a late time (orthonormal embeddings).

    .. math:: W_t = \log(t) W_\infty + \sum_x \log(M p(x))\, \Pi(u_{f(x)}) e_x^\top + \Pi_\perp W_0 + R_t,

    with R_t = O(log t / t) when all wrong scores start equal, else Theta(t^{-1/M}); so W_t / log t converges no faster
    than 1 / log t. `time` > 0 (for gradient descent, the sum of the rates), `initial` is W_0, zero when absent.
    Returns shape (d, d). Cost: O(N d^2). Source: errata, section 4 (NEW) and T3.5.

    >>> import numpy as np
    >>> from types import SimpleNamespace
    >>> memory = SimpleNamespace(
    ...     inputs=np.eye(2), outputs=np.eye(2), targets=np.array([0, 1]), frequencies=np.array([0.5, 0.5]))
    >>> asymptotic_weights(memory, np.e)
    array([[ 0.5, -0.5],
           [-0.5,  0.5]])
    """
    if not time > 0.0:
        raise InputError("time must be positive", time)
    n_classes = len(memory.outputs)
    gains = np.log(time) + np.log(n_classes * memory.frequencies)
    weights = (gains[:, None] * projected_outputs(memory.outputs)[memory.targets]).T @ memory.inputs
    if initial is not None:
        start = np.asarray(initial, dtype=np.float64)
        centred = projected_outputs(memory.outputs)
        inside = np.linalg.lstsq(centred, centred @ start, rcond=None)[0]
        basis = memory.inputs / np.linalg.norm(memory.inputs, axis=1, keepdims=True)
        weights = weights + start - (inside @ basis.T) @ basis
    return np.asarray(weights)


def slow_mode(initial: npt.ArrayLike) -> Array:
    r"""Return the coefficients b_j of the slow decay :math:`m_j = \log(M T) + b_j T^{-1/M} + \dots`, T = p |e|^2 t.

    .. math:: b_j = (v_j - \bar v)\,(M e^{-S})^{-1/M}, \qquad v_j = e^{-w_j(0)}, \quad S = \sum_i w_i(0),

    for the M - 1 wrong classes; all zero when they start equal (the correction is then O(log T / T)).

    `initial`: scores at time zero, shape (M,), target first. Returns shape (M - 1,). Cost: O(M).
    Source: errata, section 4 (NEW). Proof: with v = v_j + s, ``M T e^{-S} = s^M (1 + M mean(v)/s + ...)``.

    >>> slow_mode([0.0, 0.0, 0.0])
    array([0., 0.])
    >>> slow_mode([0.0, 1.0, 0.0]).round(6)
    array([-0.30584,  0.30584])
    """
    scores = np.asarray(initial, dtype=np.float64)
    falls = np.exp(-scores[1:])
    return np.asarray((falls - falls.mean()) * np.exp(-(np.log(len(scores)) - scores.sum()) / len(scores)))


def late_margin_enclosure(initial: npt.ArrayLike, clock: npt.ArrayLike) -> tuple[Array, Array]:
    r"""Return proved bounds on the margins of the flow minus log(M T), T = p |e|^2 t, at every time.

    With s the internal clock (``s = e^{-w_j(T)} - e^{-w_j(0)}``), :math:`u = \bar v + s`, :math:`\delta_j = v_j-\bar v`
    and :math:`G = u \prod_i (v_i + s)`,

    .. math:: m_j - \log(MT) = \log(1 + \delta_j/u) - \log\bigl(1 - (G_0 + J - M e^{-S}\Lambda)/G\bigr),

    exactly, with :math:`\Lambda = \sum \log(1+s/v_i)` and
    :math:`0 \le J \le \frac{v_{max}}{\bar v}\frac{\sum \delta_i^2}{M-2}(v_{max}+s)^{M-2}`. The first term is the slow
    mode: it decays as T^{-1/M} and nothing else does.

    Parameters: `initial` scores, shape (M,), target first; `clock` s, shape (T,).
    Returns (lower, upper), each (T, M - 1). The upper bound is infinite where G_0 + J may reach G (early times).
    Source: errata, section 4 (rate only); proof: G' = M P + P sum delta_i^2 / (u (v_i + s)), P = prod (v_i + s).
    Cost: O(T M).

    >>> low, high = late_margin_enclosure([0.0, 0.0, 0.0], [143.2])
    >>> bool((high - low < 1e-5).all())
    True
    """
    s = np.atleast_1d(np.asarray(clock, dtype=np.float64))
    scores = np.asarray(initial, dtype=np.float64)
    n_classes = len(scores)
    v = np.exp(-scores[1:])
    mean, top = v.mean(), v.max()
    delta = v - mean
    u = mean + s
    log_g = np.log(u) + np.log(v + s[:, None]).sum(axis=1)
    start = np.exp(np.log(mean) + np.log(v).sum() - log_g)
    log_part = n_classes * np.log1p(s[:, None] / v).sum(axis=1) * np.exp(-scores.sum() - log_g)
    spread = float(delta @ delta)
    excess = np.zeros_like(u)
    if n_classes > 2 and spread > 0.0:
        excess = (top / mean) * spread / (n_classes - 2) * np.exp((n_classes - 2) * np.log(top + s) - log_g)
    first = np.log1p(delta / u[:, None])
    lower = first - np.log1p(-np.minimum(start - log_part, 0.5))[:, None]
    reach = start + excess - log_part
    upper = first - np.log1p(-np.minimum(reach, 1.0 - 1e-16))[:, None]
    upper = np.where(reach[:, None] >= 1.0, np.inf, upper)
    return lower, upper


def flow_invariants(scores: npt.ArrayLike, squared_norms: npt.ArrayLike | None = None) -> Array:
    r"""Return the conserved quantities of multi-class flow with orthogonal outputs.

    :math:`e^{-w_j}/n_j - e^{-w_k}/n_k` for the wrong classes (k the first of them), then :math:`\sum_i w_i/n_i`.

    `scores`: shape (M,) or (T, M), target first; `squared_norms`: n, shape (M,), ones when absent.
    Returns shape (M - 1,) or (T, M - 1). Source: Section 4.1; errata T3.3 (the paper's form needs equal norms).

    >>> flow_invariants([1.0, 0.0, 0.0])
    array([0., 1.])
    """
    values = np.asarray(scores, dtype=np.float64)
    norms = np.ones(values.shape[-1]) if squared_norms is None else np.asarray(squared_norms, dtype=np.float64)
    falls = np.exp(-values[..., 1:]) / norms[1:]
    return np.concatenate([falls[..., 1:] - falls[..., :1], (values / norms).sum(axis=-1)[..., None]], axis=-1)


def tightest_margin_factor(scores: npt.ArrayLike) -> Array:
    r"""Return c of the tightest margin's equation :math:`(c + e^m)\,dm = p|e|^2 (c+1)\,dt`.

    :math:`c = \sum_{j\ne1} e^{w_j - w_k} \in [1, M-1]`, k the likeliest wrong class; c increases to M - 1 in the flow.

    `scores`: shape (M,) or (T, M), target first. Source: Section 4.1, Appendix B.2; errata T3.4 (the paper's range is
    too wide by one).

    >>> float(tightest_margin_factor([0.0, 1.0, 1.0]))
    2.0
    """
    wrong = np.asarray(scores, dtype=np.float64)[..., 1:]
    return np.asarray(np.exp(wrong - wrong.max(axis=-1, keepdims=True)).sum(axis=-1))
