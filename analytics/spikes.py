"""Loss spikes of two correlated tokens from W_0 = 0: height, onset, certificate of absence, and times.

K = eta c / 2 throughout. Source of all: Cabannes et al. 2024, Proposition 5, and the errata, section 6.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction

from ..errors import InputError
from .two_token_descent import descent_tilt_bounds
from .two_tokens import TwoTokens, checked_rate

_LOG2 = math.log(2.0)


def _interfering(correlation: float, frequencies: Sequence[float], squared_distance: float = 2.0) -> TwoTokens:
    """Return the system, which must have correlation * p_1 > p_2."""
    pair = TwoTokens.of(correlation, frequencies, squared_distance)
    if not _interference(pair) > 0:
        raise InputError(
            "correlation * p_1 must exceed p_2",
            (correlation, *frequencies),
            "otherwise the first step lowers no margin and raises no loss",
        )
    return pair


def _interference(pair: TwoTokens) -> float:
    """Return correlation p_1 - p_2, rounded once: it cancels where corr p_1 ~ p_2, and where corr ~ 1, p_1 ~ p_2."""
    return float(Fraction(pair.correlation) * Fraction(pair.frequent) - Fraction(pair.rare))


def _not_negative(correlation: float, frequencies: Sequence[float], squared_distance: float) -> TwoTokens:
    pair = TwoTokens.of(correlation, frequencies, squared_distance)
    if pair.correlation < 0:
        raise InputError(
            "this bound needs correlation >= 0", correlation, "below zero every margin grows at every step"
        )
    return pair


def _log_cosh(x: float) -> float:
    x = abs(x)
    return math.log1p(2.0 * math.sinh(0.5 * x) ** 2) if x < 1.0 else x + math.log1p(math.exp(-2.0 * x)) - _LOG2


def _first_margins(pair: TwoTokens, scale: float) -> tuple[float, float]:
    """Return the margins after one step at K = scale: K (p_1 - corr p_2), -K (corr p_1 - p_2)."""
    return scale * (pair.excess + (1.0 - pair.correlation) * pair.rare), -scale * _interference(pair)


def _first_loss(pair: TwoTokens, scale: float) -> float:
    """Return L(W_1) at K = scale, a sum of positive terms."""
    return sum(
        weight * (max(-margin, 0.0) + math.log1p(math.exp(-abs(margin))))
        for weight, margin in zip((pair.frequent, pair.rare), _first_margins(pair, scale), strict=True)
    )


def _first_step_rise(pair: TwoTokens, scale: float) -> float:
    """Return L(W_1) - log 2 at K = scale; small margins through log(1+e^-m) = log 2 - m/2 + log cosh(m/2)."""
    first, second = _first_margins(pair, scale)
    if max(first, -second) > 2.0:
        return _first_loss(pair, scale) - _LOG2
    fall = 0.5 * scale * (pair.excess**2 + 2.0 * (1.0 - pair.correlation) * pair.frequent * pair.rare)
    return pair.frequent * _log_cosh(0.5 * first) + pair.rare * _log_cosh(0.5 * second) - fall


def first_step_loss(
    correlation: float, frequencies: Sequence[float], learning_rate: float, squared_distance: float = 2.0
) -> float:
    """Return the loss after one step of descent, exactly.

    .. code-block:: text

        L(W_1) = p_1 log(1 + e^{-K (p_1 - corr p_2)}) + p_2 log(1 + e^{K (corr p_1 - p_2)})

    Source: Cabannes et al. 2024, Proposition 5 (20); spec 1.2.

    >>> round(first_step_loss(0.95, (0.75, 0.25), 10.0), 5)
    1.16314
    """
    pair = TwoTokens.of(correlation, frequencies, squared_distance)
    return _first_loss(pair, 0.5 * checked_rate(learning_rate) * pair.squared_distance)


def first_step_loss_bounds(
    correlation: float, frequencies: Sequence[float], learning_rate: float, squared_distance: float = 2.0
) -> tuple[float, float]:
    """Return (lower, upper) with lower < L(W_1) <= upper, for correlation * p_1 > p_2.

    .. code-block:: text

        K (corr p_1 - p_2) p_2  <  L(W_1)  <=  K (corr p_1 - p_2) p_2 + log 2

    Replaces Proposition 5, which prints eta for K = eta c/2 and is false for c < 2. Proof idea:
    log(1 + e^x) = x + log(1 + e^-x) on the rare token. Source: errata P5.1, section 6.

    >>> lower, upper = first_step_loss_bounds(0.95, (0.75, 0.25), 10.0)
    >>> round(lower, 5), round(upper, 5)
    (1.15625, 1.8494)
    """
    pair = _interfering(correlation, frequencies, squared_distance)
    scale = 0.5 * checked_rate(learning_rate) * pair.squared_distance
    lower = scale * _interference(pair) * pair.rare
    return lower, lower + _LOG2


def worst_first_step(
    correlation: float, learning_rate: float, squared_distance: float = 2.0
) -> tuple[float, float]:
    """Return (p_2, K (corr p_1 - p_2) p_2) for the frequency that makes the first-step spike highest, corr > 0.

    .. code-block:: text

        p_2 = corr / (2 (1 + corr)),    height = K corr^2 / (4 (1 + corr))

    The loss after that step is the height plus at most log 2. Source: spec 1.2.

    >>> rare, height = worst_first_step(0.95, 10.0)
    >>> round(rare, 6), round(height, 6)
    (0.24359, 1.157051)
    """
    pair = TwoTokens.of(correlation, (0.5, 0.5), squared_distance)
    if not pair.correlation > 0:
        raise InputError("a first-step spike needs correlation > 0", correlation)
    scale = 0.5 * checked_rate(learning_rate) * pair.squared_distance
    return 0.5 * pair.correlation / (1.0 + pair.correlation), scale * pair.correlation**2 / (4 * (1 + pair.correlation))


def largest_eigenvalue_of_inputs(correlation: float, frequencies: Sequence[float]) -> float:
    """Return the largest eigenvalue of sum_x p(x) e_x e_x^T: (1 + sqrt(1 - 4 p_1 p_2 (1 - corr^2))) / 2.

    Source: errata, section 6; the sharpness at W = 0 is c/4 times it.

    >>> round(largest_eigenvalue_of_inputs(0.95, (0.75, 0.25)), 6)
    0.981372
    """
    pair = TwoTokens.of(correlation, frequencies)
    across = (1.0 - pair.correlation) * (1.0 + pair.correlation)
    return 0.5 * (1.0 + math.sqrt(pair.excess**2 + 4.0 * pair.frequent * pair.rare * (1.0 - across)))


def no_spike_rate(correlation: float, frequencies: Sequence[float], squared_distance: float = 2.0) -> float:
    """Return the largest learning rate certified to never raise the loss, 8 / (c lambda_max).

    Proof idea: the Hessian is at most (c/4) lambda_max everywhere, so the descent lemma gives a monotone loss for
    eta <= 2 / that. Sharp as correlation -> 1, p_1 -> 1/2. Source: errata, section 6.

    >>> round(no_spike_rate(0.5, (0.9, 0.1)), 3)
    4.314
    """
    pair = TwoTokens.of(correlation, frequencies, squared_distance)
    return 8.0 / (pair.squared_distance * largest_eigenvalue_of_inputs(correlation, frequencies))


def first_step_threshold_bounds(
    correlation: float, frequencies: Sequence[float], squared_distance: float = 2.0
) -> tuple[float, float]:
    """Return learning rates (lower, upper) that enclose `first_step_threshold`.

    .. code-block:: text

        4 / lambda_max  <=  K_1  <=  log 2 / ((corr p_1 - p_2) p_2),     learning rate = 2 K_1 / c

    Source: errata, section 6. Idea: the descent lemma below, Proposition 5 above.

    >>> [round(value, 3) for value in first_step_threshold_bounds(0.5, (0.9, 0.1))]
    [4.314, 19.804]
    """
    pair = _interfering(correlation, frequencies, squared_distance)
    upper = _LOG2 / (_interference(pair) * pair.rare)
    return no_spike_rate(correlation, frequencies, squared_distance), 2.0 * upper / pair.squared_distance


def first_step_threshold(
    correlation: float, frequencies: Sequence[float], squared_distance: float = 2.0
) -> float:
    """Return the learning rate above which, and only above which, the first step raises the loss (corr p_1 > p_2).

    The root K_1 > 0 of L(W_1) = log 2, times 2/c. L(W_1) is strictly convex in K and starts downwards at log 2, so the
    root is unique. It is not the threshold of later spikes. Cost: one bracketed root search, some 50 evaluations.
    Source: errata, section 6.

    >>> round(first_step_threshold(0.5, (0.9, 0.1)), 3)
    19.801
    """
    from scipy.optimize import brentq

    pair = _interfering(correlation, frequencies, squared_distance)
    low = 4.0 / largest_eigenvalue_of_inputs(correlation, frequencies) * (1.0 - 1e-12)
    high = _LOG2 / (_interference(pair) * pair.rare) * (1.0 + 1e-12)
    # L(W_1) - log 2 divided by K: same root, free of the trivial zero at K = 0, of order one along the bracket
    root = brentq(lambda scale: _first_step_rise(pair, scale) / scale, low, high, xtol=1e-300, rtol=1e-14)
    return 2.0 * float(root) / pair.squared_distance


def spike_height_bound(
    correlation: float, frequencies: Sequence[float], learning_rate: float, squared_distance: float = 2.0
) -> float:
    """Return a bound for the loss at every step, for correlation >= 0.

    .. code-block:: text

        sup_t L(W_t)  <=  log 2 + p_2 log(p_1/p_2) + (eta c/2) (1 + corr) p_1 p_2

    Proof idea: m_1 + m_2 = 2 gamma_2 >= 0, so at most one margin is negative, by at most the tilt's range
    (`descent_tilt_bounds`), and log(1 + e^-m) <= log 2 + max(-m, 0). Source: errata P5.2, section 6.

    >>> round(spike_height_bound(0.999, (0.9, 0.1), 100.0), 2)
    18.9
    """
    pair = _not_negative(correlation, frequencies, squared_distance)
    scale = 0.5 * checked_rate(learning_rate) * pair.squared_distance
    return (
        _LOG2
        + 2.0 * pair.rare * pair.limiting_tilt
        + scale * (1.0 + pair.correlation) * pair.frequent * pair.rare
    )  # fmt: skip


def imperfect_steps_bound(
    correlation: float, frequencies: Sequence[float], learning_rate: float, squared_distance: float = 2.0
) -> float:
    """Return a bound for the number of steps t >= 0 at which some margin is <= 0 (step 0 counts), corr >= 0.

    .. code-block:: text

        N_bad  <=  1 + 2 max(G_plus, G_minus) / (K (1 - corr) p_2)

    It tends to 1 + 2 (1 + corr) p_1 / ((1 - corr) p_2) as the rate grows. Proof idea: an imperfect step raises gamma_2
    by at least K (1 - corr) p_2 / 2, and imperfection means gamma_2 <= |gamma_1| <= max(G_plus, G_minus).
    Source: errata, section 6; G_plus, G_minus as in `descent_tilt_bounds`.

    >>> round(imperfect_steps_bound(0.5, (0.9, 0.1), 10.0), 2)
    55.0
    """
    pair = _not_negative(correlation, frequencies, squared_distance)
    scale = 0.5 * checked_rate(learning_rate) * pair.squared_distance
    lower, upper = descent_tilt_bounds(correlation, frequencies, learning_rate, squared_distance)
    return 1.0 + 2.0 * max(upper, -lower) / (scale * (1.0 - pair.correlation) * pair.rare)


def perfect_time_lower_bound(correlation: float, frequencies: Sequence[float]) -> float:
    """Return a lower bound, the same for all learning rates, for the first step with accuracy 1.

    .. code-block:: text

        T_perfect  >=  1 + (corr p_1/p_2 - 1)/2        (corr p_1 > p_2, corr >= 0)

    Where corr p_1 <= p_2 it returns 1. Proof idea: the first step takes the rare margin to -K (corr p_1 - p_2) and
    every later step adds at most 2 K p_2. Source: errata, section 6.

    >>> round(perfect_time_lower_bound(0.95, (0.99, 0.01)), 3)
    47.525
    """
    pair = _not_negative(correlation, frequencies, 2.0)
    return 1.0 + max(0.0, _interference(pair) / (2.0 * pair.rare))
