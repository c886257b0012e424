"""Gradient descent on two correlated tokens from W_0 = 0: proved bounds for every learning rate and every step.

Source of all: errata to Cabannes et al. 2024, section 5, (5.4), which replace Theorem 4 for descent.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from .exponential_line import exponential_line_root
from .two_tokens import Array, TwoTokens, checked_elapsed, checked_rate

_OUTWARDS = 4.0 * np.finfo(np.float64).eps


def descent_mean_margin_lower(
    steps: ArrayLike,
    correlation: float,
    frequencies: Sequence[float],
    learning_rate: float,
    squared_distance: float = 2.0,
) -> Array:
    """Return a lower bound for the mean margin gamma_2 after each number of steps, rounded outwards by 4 ulp.

    .. code-block:: text

        e^g + g      >= 1 + eta c_0 p_2 t
        e^g + 2 r g  >= 1 + eta c_0 sqrt(p_1 p_2) t        (leading constant exact; r = sqrt(p_1/p_2))

    with c_0 = (1 - correlation) c; the better of the two. Proof idea: F(g) = e^g + Q g is convex, so a step raises it
    by at least F'(g) times the step, and the step is at least eta c_0 p_2/(1 + e^g) and eta c_0 s/(2r + e^g) (lemmas
    L1, L2, valid for every tilt). Shapes: those of `steps`. Cost: a few Newton iterations an element.
    Source: errata T4.11, (5.4), L1, L2.

    >>> descent_mean_margin_lower([0, 10, 10**6], 0.95, (0.75, 0.25), 10.0).round(6).tolist()
    [0.0, 0.940005, 12.978421]
    """
    pair = TwoTokens.of(correlation, frequencies, squared_distance)
    elapsed = checked_rate(learning_rate) * pair.base_rate * checked_elapsed(steps, "steps")
    weak = exponential_line_root(pair.rare * elapsed, 1.0)
    sharp = exponential_line_root(pair.geometric * elapsed, 2.0 * pair.odds)
    return np.maximum(weak, sharp) * (1.0 - _OUTWARDS)


def descent_tilt_bounds(
    correlation: float, frequencies: Sequence[float], learning_rate: float, squared_distance: float = 2.0
) -> tuple[float, float]:
    """Return (-G_minus, G_plus), the range that the tilt gamma_1 never leaves, at any learning rate.

    .. code-block:: text

        G_plus  = max( log(p_1/p_2) + k (p_1 - p_2)/2,  k p_1 ),     k = (eta c/2) (1 + correlation)
        G_minus = max( 0,  k p_2 - log(p_1/p_2)/2 )

    Replaces the appendix's gamma_max and gamma_min, which carry (1 - correlation) and c. Proof idea: the tilt grows
    only from below C(gamma_2) <= C(0), so from at most log(p_1/p_2); a growth step is at most k (p_1 - p_2)/2 from a
    tilt >= 0 and at most k p_1 from below; it falls only from above its limit, by at most k p_2.
    Source: errata T4.13, T4.14, (5.4).

    >>> lower, upper = descent_tilt_bounds(0.95, (0.75, 0.25), 10.0)
    >>> round(lower, 6), round(upper, 6)
    (-4.325694, 14.625)
    """
    pair = TwoTokens.of(correlation, frequencies, squared_distance)
    reach = 0.5 * checked_rate(learning_rate) * pair.squared_distance * (1.0 + pair.correlation)
    limit = pair.limiting_tilt
    upper = max(2.0 * limit + 0.5 * reach * pair.excess, reach * pair.frequent)
    return -max(0.0, reach * pair.rare - limit), upper


def descent_tilt_radius(
    correlation: float, frequencies: Sequence[float], learning_rate: float, squared_distance: float = 2.0
) -> float:
    """Return a bound for |gamma_1 - log(p_1/p_2)/2| at every step, the compact form of `descent_tilt_bounds`.

    .. code-block:: text

        | gamma_1 - log(p_1/p_2)/2 |  <=  log(p_1/p_2)/2 + (eta c/2) (1 + correlation) p_1

    Source: errata (5.4).

    >>> round(descent_tilt_radius(0.95, (0.75, 0.25), 10.0), 6)
    15.174306
    """
    pair = TwoTokens.of(correlation, frequencies, squared_distance)
    reach = 0.5 * checked_rate(learning_rate) * pair.squared_distance * (1.0 + pair.correlation)
    return pair.limiting_tilt + reach * pair.frequent
