"""Gradient flow of two correlated tokens from W_0 = 0: proved bounds for every time.

Source of all: errata to Cabannes et al. 2024, section 5, (5.1)-(5.3), which replace Theorem 4 for the flow.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike

from .exponential_line import exponential_line_root
from .two_tokens import Array, TwoTokens, checked_elapsed

_OUTWARDS = 4.0 * np.finfo(np.float64).eps


def flow_mean_margin_bounds(
    time: ArrayLike, correlation: float, frequencies: Sequence[float], squared_distance: float = 2.0
) -> tuple[Array, Array]:
    """Return (lower, upper) for the mean margin gamma_2 of the flow at each time, rounded outwards by 4 ulp.

    .. code-block:: text

        e^g + g         >= 1 + c_0 p_2 t             (so c_t / c_0 >= p_2)
        e^g + (2r-1) g  >= 1 + c_0 sqrt(p_1 p_2) t   (leading constant exact; r = sqrt(p_1/p_2))
        e^g + g         <= 1 + c_0 t / 2             (so c_t / c_0 <= 1/2)

    with c_0 = (1 - correlation) c. The lower bound is the better of the first two (the second implies the first).
    At equal frequencies the two bounds coincide. Proof idea: the pull A + B is at least 2 p_2/(1 + e^g), at least
    2s/(2r - 1 + e^g) for a tilt in [0, log(p_1/p_2)], and at most 1/(1 + e^g) there (lemmas L1-L3); multiply by
    F'(g) for F = e^g + Q g.
    Shapes: those of `time`. Cost: a few Newton iterations an element. Source: errata (5.1), L1-L3.

    >>> lower, upper = flow_mean_margin_bounds([0.0, 1e10], 0.5, (0.75, 0.25))
    >>> lower.round(6).tolist(), upper.round(6).tolist()
    ([0.0, 22.188863], [0.0, 22.332704])
    """
    pair = TwoTokens.of(correlation, frequencies, squared_distance)
    elapsed = pair.base_rate * checked_elapsed(time, "time")
    weak = exponential_line_root(pair.rare * elapsed, 1.0)
    sharp = exponential_line_root(pair.geometric * elapsed, 2.0 * pair.odds - 1.0)
    upper = exponential_line_root(0.5 * elapsed, 1.0)
    return np.maximum(weak, sharp) * (1.0 - _OUTWARDS), upper * (1.0 + _OUTWARDS)


def growth_constant_bounds(
    time: ArrayLike, correlation: float, frequencies: Sequence[float], squared_distance: float = 2.0
) -> tuple[Array, Array]:
    """Return (lower, upper) for c_t / c_0 = (e^{gamma_2} + gamma_2 - 1) / (c_0 t) of the flow at each time.

    The lower bound is p_2 at first and tends to the limit sqrt(p_1 p_2); the upper one is 1/2, and at t -> 0 the
    ratio is 1/2 exactly. Replaces the printed 2 p_2 <= c_t/c_0 <= 8 p_1^3/p_2^2 (errata T4.2, T4.3). Shapes: those of
    `time` (> 0). Source: errata (5.1).

    >>> lower, upper = growth_constant_bounds([1e-3, 1e9], 0.5, (0.75, 0.25))
    >>> lower.round(5).tolist(), upper.tolist()
    ([0.25, 0.43301], [0.5, 0.5])
    """
    pair = TwoTokens.of(correlation, frequencies, squared_distance)
    elapsed = pair.base_rate * checked_elapsed(time, "time")
    total = pair.geometric * elapsed
    sharp = exponential_line_root(total, 2.0 * pair.odds - 1.0) * (1.0 + _OUTWARDS)
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = np.where(elapsed > 0, pair.geometric - 2.0 * (pair.odds - 1.0) * sharp / elapsed, 0.0)
    return np.maximum(ratio, pair.rare), np.full_like(elapsed, 0.5)


def flow_tilt_bounds(correlation: float, frequencies: Sequence[float]) -> tuple[float, float]:
    """Return the range [0, log(p_1/p_2)] that the tilt of the flow never leaves; the upper end is sharp as corr -> 1.

    Proof idea: at tilt 0 its speed is >= 0; at twice the limiting tilt, sinh(limiting tilt) = C(0) >= C(gamma_2), so
    its speed is <= 0. Source: errata T4.6, (5.1).

    >>> lower, upper = flow_tilt_bounds(0.5, (0.75, 0.25))
    >>> lower, round(upper, 12)
    (0.0, 1.098612288668)
    """
    return 0.0, 2.0 * TwoTokens.of(correlation, frequencies).limiting_tilt


def flow_tilt_envelope(
    mean_margin: ArrayLike, correlation: float, frequencies: Sequence[float]
) -> tuple[Array, Array]:
    """Return (lower, upper) for tilt - limiting tilt of the flow where its mean margin is g.

    .. code-block:: text

        -C0 ((1+G)/(a+G))^k  <=  sinh(tilt - limit)  <=  C0 k (a+G)^-k int_1^a (x+G)^k / (x (x+1)) dx

    with a = e^g, G = 1/(2 sqrt(p_1 p_2)), C0 = (p_1 - p_2) G, k = (1 + corr)/(1 - corr). Valid for every time; for
    corr > 0 the upper bound is asymptotically exact. Proof idea: variation of constants in the orbit equation with
    x/(x+G) <= q <= x/(x+1), because |tilt - limit| <= limit. Shapes: those of `mean_margin` (>= 0). Relative accuracy
    about 1e-13. Cost: up to a few thousand exponentials an element. Source: errata (5.3).

    >>> lower, upper = flow_tilt_envelope([0.0, 20.0], 0.5, (0.9, 0.1))
    >>> bool(abs(lower[0] + 0.5 * np.log(9.0)) < 1e-14), float(upper[0])
    (True, 0.0)
    """
    pair = TwoTokens.of(correlation, frequencies)
    mean = checked_elapsed(mean_margin, "mean_margin")
    growth = 0.5 / pair.geometric
    flat = mean.ravel()
    decay = np.exp(-pair.stiffness * _log_growth(flat, growth))
    forced = np.array([_forced_response(float(g), growth, pair.stiffness) for g in flat])
    lower, upper = -pair.imbalance * decay, pair.imbalance * forced
    return np.arcsinh(lower).reshape(mean.shape), np.arcsinh(upper).reshape(mean.shape)


def _log_growth(mean: Array, growth: float) -> Array:
    """Return log((e^g + G)/(1 + G)) without overflow or cancellation."""
    small = np.log1p(np.expm1(np.minimum(mean, 1.0)) / (1.0 + growth))
    return np.where(mean < 1.0, small, np.logaddexp(mean, math.log(growth)) - math.log1p(growth))


_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(24)


def _forced_response(mean: float, growth: float, stiffness: float) -> float:
    """Return k (a+G)^-k int_1^a (x+G)^k / (x (x+1)) dx, a = e^mean, by Gauss-Legendre panels.

    With x = e^{mean - d} the integrand is ((e^{mean-d} + G)/(a + G))^k / (1 + e^{mean-d}), d in [0, mean]. A panel is
    at most 1 wide (the nearest singularities lie pi away from the real axis) and the power falls by at most e^-3
    over it; where the power is below e^{-mean-60} of its end value nothing is left to add.
    """
    if mean == 0.0:
        return 0.0
    reach = 60.0 + mean
    share = 1.0 / (1.0 + growth * math.exp(-mean))  # a / (a + G)
    falls = np.arange(3.0, reach + 3.0, 3.0) / stiffness
    inside = -np.expm1(-falls) < share
    edges = -np.log1p(np.expm1(-falls[inside]) / share) if inside.any() else np.empty(0)
    end = mean if not inside.all() or edges[-1] > mean else float(edges[-1])
    edges = np.concatenate([[0.0], edges[edges < end], [end]])
    cuts = [edges[:1]]
    for left, right in pairwise(edges):
        cuts.append(np.linspace(left, right, max(1, math.ceil(right - left)) + 1)[1:])
    edges = np.concatenate(cuts)
    half = 0.5 * np.diff(edges)[:, None]
    depth = 0.5 * (edges[1:] + edges[:-1])[:, None] + half * _NODES
    near = np.log1p(share * np.expm1(-np.minimum(depth, 1.0)))
    log_growth = math.log(growth)
    far = np.logaddexp(mean - depth, log_growth) - np.logaddexp(mean, log_growth)
    power = stiffness * np.where(depth < 1.0, near, far)
    integrand = np.exp(power - np.logaddexp(0.0, mean - depth))
    return float(stiffness * np.sum(half * _WEIGHTS * integrand))
