"""The orbit of two correlated tokens under gradient flow from W_0 = 0: tilt and time as functions of the mean margin.

Source: errata to Cabannes et al. 2024, (5.2). The correlation enters the orbit only through
k = (1 + correlation) / (1 - correlation).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from ..errors import InputError
from .exponential_line import exponential_line_root
from .two_tokens import Array, TwoTokens, checked_elapsed


def orbit_slope(
    sine: ArrayLike, mean_margin: ArrayLike, correlation: float, frequencies: Sequence[float]
) -> Array:
    """Return dS/dg of the orbit, S = sinh(tilt - limiting tilt) as a function of the mean margin g.

    .. code-block:: text

        dS/dg = k ((p_1 - p_2) e - S) sqrt(1 + S^2) / (sqrt(1 + S^2) + e),   e = e^{-g} / (2 sqrt(p_1 p_2))

    with S(0) = -C(0). Proof idea: divide the two speeds of (19) by each other and write them with e^{tilt - limit}.
    Elementwise in `sine` and `mean_margin`. Source: errata (5.2).

    >>> round(float(orbit_slope(0.0, 0.0, 0.0, (0.9, 0.1))), 12)
    0.5
    """
    pair = TwoTokens.of(correlation, frequencies)
    s, mean = np.asarray(sine, dtype=np.float64), np.asarray(mean_margin, dtype=np.float64)
    fade = np.exp(-mean) / (2.0 * pair.geometric)
    cosine = np.hypot(1.0, s)
    return np.asarray(pair.stiffness * (pair.excess * fade - s) * cosine / (cosine + fade))


def flow_orbit(
    mean_margin: ArrayLike,
    correlation: float,
    frequencies: Sequence[float],
    squared_distance: float = 2.0,
    rtol: float = 1e-11,
) -> tuple[Array, Array]:
    """Return (tilt - limiting tilt, time) of the flow from W_0 = 0 where its mean margin is g.

    Shapes: those of `mean_margin`, non-negative and at most 690. The scaled unknowns S e^{b g}, b = min(1, k), and
    t e^{-g} stay of order one (times g at correlation 0), so the relative accuracy is that of the integration at
    every time up to 1e300: about 10 to 100 `rtol`, away from sign changes of the deviation. Cost: one stiff
    integration of two equations over [0, max g], some milliseconds. Source: errata (5.2).

    >>> deviation, time = flow_orbit(60.0, 0.5, (0.9, 0.1))
    >>> round(float(time * deviation), 4)
    6.6667
    """
    from scipy.integrate import solve_ivp

    pair = TwoTokens.of(correlation, frequencies, squared_distance)
    mean = checked_elapsed(mean_margin, "mean_margin")
    if mean.size and mean.max() > 690.0:
        raise InputError("the mean margin of an orbit must be at most 690", float(mean.max()), "e^g would overflow")
    stiffness, exponent = pair.stiffness, min(1.0, pair.stiffness)
    level, limit = pair.imbalance, pair.limiting_tilt
    half_rate = 0.5 * pair.base_rate

    def slope(g: float, state: Array) -> list[float]:
        scaled, relative_time = state
        sine = scaled * math.exp(-exponent * g)
        fade = math.exp(-g)
        cosine = math.hypot(1.0, sine)
        share = fade / (2.0 * pair.geometric * cosine + fade)  # 1 - q
        tilt = limit + math.asinh(sine)
        growth = pair.frequent / (fade + math.exp(tilt)) + pair.rare / (fade + math.exp(-tilt))
        push = level * math.exp((exponent - 1.0) * g) * (1.0 - share)
        return [
            (exponent - stiffness) * scaled + stiffness * (scaled * share + push),
            1.0 / (half_rate * growth) - relative_time,
        ]

    points, inverse = np.unique(mean.ravel(), return_inverse=True)
    start = np.array([-level, 0.0])
    values = np.empty((2, points.size))
    values[:, points == 0.0] = start[:, None]
    later = points[points > 0.0]
    if later.size:
        solution = solve_ivp(
            slope, (0.0, float(later[-1])), start, method="LSODA", t_eval=later, rtol=rtol, atol=rtol * 1e-3
        )
        if not solution.success:
            raise InputError("the orbit could not be integrated", solution.message, "use a larger rtol")
        values[:, points > 0.0] = solution.y
    deviation = np.arcsinh(values[0] * np.exp(-exponent * points))
    time = values[1] * np.exp(points)
    return deviation[inverse].reshape(mean.shape), time[inverse].reshape(mean.shape)


def uncorrelated_flow(
    time: ArrayLike, frequencies: Sequence[float], squared_distance: float = 2.0
) -> tuple[Array, Array]:
    """Return (tilt, mean margin) of the flow from W_0 = 0 at correlation 0, in closed form.

    .. code-block:: text

        e^{m_i} + m_i = 1 + c p_i t,   tilt = (m_1 - m_2)/2,   mean margin = (m_1 + m_2)/2

    The tokens decouple. The tilt minus its limit behaves as alignment_constant * log t / t, so the printed O(1/t) is
    false here too. Shapes: those of `time`. Source: errata T4.5, (5.2).

    >>> tilt, mean = uncorrelated_flow(1e4, (0.7, 0.3))
    >>> round(float(tilt), 7)
    0.4239855
    """
    pair = TwoTokens.of(0.0, frequencies, squared_distance)
    elapsed = pair.squared_distance * checked_elapsed(time, "time")
    first = exponential_line_root(pair.frequent * elapsed, 1.0)
    second = exponential_line_root(pair.rare * elapsed, 1.0)
    return 0.5 * (first - second), 0.5 * (first + second)
