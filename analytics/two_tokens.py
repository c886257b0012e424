"""Two associations with correlated inputs: coordinates, velocities, limits and exponents.

The system is N = M = 2, f*(x) = x, unit inputs with <e_1, e_2> = correlation (equation 16 of Cabannes et al. 2024).
Its two margins m_1, m_2 are replaced by two modes (the paper's gamma_1 and gamma_2):

    tilt        gamma_1 = (m_1 - m_2) / 2        bounded
    mean margin gamma_2 = (m_1 + m_2) / 2        grows like log t

Throughout, `squared_distance` is c = |u_1 - u_2|^2 (2 for orthonormal outputs) and the frequent token comes first.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import InputError

Array = NDArray[np.float64]


@dataclass(frozen=True)
class TwoTokens:
    """The numbers of a two-token system, validated once; the other functions take them as plain arguments."""

    correlation: float
    frequent: float
    rare: float
    squared_distance: float

    @classmethod
    def of(cls, correlation: float, frequencies: Sequence[float], squared_distance: float = 2.0) -> TwoTokens:
        """Return the system with these numbers; raise `InputError` where they break its laws."""
        if not -1.0 < correlation < 1.0:
            raise InputError(
                "the correlation of two tokens must lie strictly between -1 and 1",
                correlation,
                "at -1 the tilt never moves, at 1 the mean margin never moves: no bound of this kind holds there",
            )
        try:
            frequent, rare = (float(value) for value in frequencies)
        except (TypeError, ValueError):
            raise InputError("frequencies must be a pair of numbers", frequencies) from None
        if not (frequent > 0 and rare > 0 and abs(frequent + rare - 1.0) <= 1e-9):
            raise InputError("the two frequencies must be positive and sum to one", (frequent, rare))
        if frequent < rare:
            raise InputError("the first token must be the more frequent one", (frequent, rare), "swap the tokens")
        if not (squared_distance > 0 and math.isfinite(squared_distance)):
            raise InputError("squared_distance must be positive and finite", squared_distance)
        return cls(float(correlation), frequent, rare, float(squared_distance))

    @property
    def geometric(self) -> float:
        """Return s = sqrt(p_1 p_2)."""
        return math.sqrt(self.frequent * self.rare)

    @property
    def odds(self) -> float:
        """Return r = sqrt(p_1 / p_2) >= 1."""
        return math.sqrt(self.frequent / self.rare)

    @property
    def excess(self) -> float:
        """Return p_1 - p_2."""
        return self.frequent - self.rare

    @property
    def imbalance(self) -> float:
        """Return C(0) = (p_1 - p_2) / (2 sqrt(p_1 p_2)) = sinh(limiting tilt)."""
        return self.excess / (2.0 * self.geometric)

    @property
    def limiting_tilt(self) -> float:
        """Return log(p_1 / p_2) / 2."""
        return 0.5 * (math.log(self.frequent) - math.log(self.rare))

    @property
    def stiffness(self) -> float:
        """Return (1 + correlation) / (1 - correlation), the ratio of the two modes' speeds."""
        return (1.0 + self.correlation) / (1.0 - self.correlation)

    @property
    def base_rate(self) -> float:
        """Return c_0 = (1 - correlation) c."""
        return (1.0 - self.correlation) * self.squared_distance


def checked_rate(learning_rate: float) -> float:
    """Return a learning rate as a float; raise `InputError` unless it is positive and finite."""
    rate = float(learning_rate)
    if not (rate > 0 and math.isfinite(rate)):
        raise InputError("learning_rate must be positive and finite", learning_rate)
    return rate


def checked_elapsed(values: ArrayLike, name: str) -> Array:
    """Return an array of non-negative finite times or steps; raise `InputError` where it is not one."""
    array = np.asarray(values, dtype=np.float64)
    if not (np.isfinite(array).all() and (array >= 0).all()):
        raise InputError(f"{name} must be finite and not negative", values)
    return array


def modes_from_margins(margins: ArrayLike) -> tuple[Array, Array]:
    """Return (tilt, mean margin) of pairs of margins.

    .. code-block:: text

        gamma_1 = (m_1 - m_2) / 2,    gamma_2 = (m_1 + m_2) / 2

    `margins` has shape (..., 2); both results have shape (...). Cost: two operations a pair.
    Source: Cabannes et al. 2024, equation (18).

    >>> tilt, mean = modes_from_margins([3.0, 1.0])
    >>> float(tilt), float(mean)
    (1.0, 2.0)
    """
    array = np.asarray(margins, dtype=np.float64)
    if array.ndim == 0 or array.shape[-1] != 2:
        raise InputError("margins of two tokens must have shape (..., 2)", array.shape)
    return 0.5 * (array[..., 0] - array[..., 1]), 0.5 * (array[..., 0] + array[..., 1])


def margins_from_modes(tilt: ArrayLike, mean_margin: ArrayLike) -> Array:
    """Return the margins (m_1, m_2) = (gamma_2 + gamma_1, gamma_2 - gamma_1), shape (..., 2).

    Source: Cabannes et al. 2024, equation (18) and the display after it.

    >>> margins_from_modes(1.0, 2.0).tolist()
    [3.0, 1.0]
    """
    first, second = np.asarray(tilt, dtype=np.float64), np.asarray(mean_margin, dtype=np.float64)
    return np.stack(np.broadcast_arrays(second + first, second - first), axis=-1)


def _sigmoid(x: Array) -> Array:
    """Return 1 / (1 + e^-x) without overflow."""
    small = np.exp(-np.abs(x))
    return np.where(x >= 0, 1.0, small) / (1.0 + small)


def margin_velocity(
    margins: ArrayLike, correlation: float, frequencies: Sequence[float], squared_distance: float = 2.0
) -> Array:
    """Return dm/dt of the two margins under gradient flow; a step of gradient descent moves them by eta times it.

    .. code-block:: text

        dm_i/dt = c ( p_i / (1 + e^{m_i}) - correlation p_j / (1 + e^{m_j}) )

    `margins` and the result have shape (..., 2). Here any correlation in [-1, 1] and any order of the frequencies
    is allowed. Source: Cabannes et al. 2024, equations (17) and (31) with the index m_j in the second term.

    >>> margin_velocity([0.0, 0.0], 0.5, (0.75, 0.25)).tolist()
    [0.625, -0.125]
    """
    array = np.asarray(margins, dtype=np.float64)
    pull = np.asarray(frequencies, dtype=np.float64) * _sigmoid(-array)
    return np.asarray(squared_distance * (pull - correlation * pull[..., ::-1]))


def mode_velocity(
    tilt: ArrayLike,
    mean_margin: ArrayLike,
    correlation: float,
    frequencies: Sequence[float],
    squared_distance: float = 2.0,
) -> tuple[Array, Array]:
    """Return (d gamma_1/dt, d gamma_2/dt) under gradient flow; a step of gradient descent moves them by eta times it.

    .. code-block:: text

        d gamma_1/dt = (c/2) (1 + correlation) (A - B),    A = p_1 / (1 + e^{gamma_2 + gamma_1})
        d gamma_2/dt = (c/2) (1 - correlation) (A + B),    B = p_2 / (1 + e^{gamma_2 - gamma_1})

    Source: Cabannes et al. 2024, equations (19), (32), (33), (35), (36), which print c for c/2 (errata T4.1).

    >>> tilt, mean = mode_velocity(0.0, 0.0, 0.5, (0.75, 0.25))
    >>> float(tilt), float(mean)
    (0.375, 0.25)
    """
    first, second = np.asarray(tilt, dtype=np.float64), np.asarray(mean_margin, dtype=np.float64)
    frequent, rare = frequencies
    pull, counter = frequent * _sigmoid(-(second + first)), rare * _sigmoid(first - second)
    half = 0.5 * squared_distance
    return half * (1.0 + correlation) * (pull - counter), half * (1.0 - correlation) * (pull + counter)


def limiting_tilt(frequencies: Sequence[float]) -> float:
    """Return the limit of the tilt, log(p_1 / p_2) / 2, for flow and for descent at every rate.

    Source: Cabannes et al. 2024, Theorem 4. Idea: it is where the two tokens pull equally hard once e^{gamma_2} is
    large, A = B.

    >>> round(limiting_tilt((0.75, 0.25)), 12)
    0.549306144334
    """
    return TwoTokens.of(0.0, frequencies).limiting_tilt


def turning_level(mean_margin: ArrayLike, frequencies: Sequence[float]) -> Array:
    """Return C(gamma_2): the tilt grows where sinh(tilt - limiting tilt) < C and falls where it is above.

    .. code-block:: text

        C(gamma_2) = (p_1 - p_2) e^{-gamma_2} / (2 sqrt(p_1 p_2))

    Source: Cabannes et al. 2024, equation (34).

    >>> round(float(turning_level(0.0, (0.75, 0.25))), 12)
    0.57735026919
    """
    return np.asarray(TwoTokens.of(0.0, frequencies).imbalance * np.exp(-np.asarray(mean_margin, dtype=np.float64)))


def growth_constant(
    time: ArrayLike, mean_margin: ArrayLike, correlation: float, squared_distance: float = 2.0
) -> Array:
    """Return c_t / c_0, where c_t = (e^{gamma_2} + gamma_2 - 1) / t and c_0 = (1 - correlation) c.

    For the flow from W_0 = 0 it lies in [p_2, 1/2] at every t > 0 and tends to sqrt(p_1 p_2).
    Source: Cabannes et al. 2024, Theorem 4 (which prints the range [2 p_2, 8 p_1^3 / p_2^2]); errata T4.2, (5.1).

    >>> round(float(growth_constant(1e-9, 0.25e-9, 0.5)), 6)
    0.5
    """
    elapsed, mean = np.asarray(time, dtype=np.float64), np.asarray(mean_margin, dtype=np.float64)
    return np.asarray((np.expm1(mean) + mean) / ((1.0 - correlation) * squared_distance * elapsed))


def growth_constant_limit(frequencies: Sequence[float]) -> float:
    """Return the limit of c_t / c_0, sqrt(p_1 p_2), for every correlation in (-1, 1).

    Source: errata (5.1). Idea: once e^{gamma_2} is large, e^{gamma_2} grows at the speed
    (c_0/2)(p_1 e^{-gamma_1} + p_2 e^{gamma_1}), and at the limiting tilt the bracket is 2 sqrt(p_1 p_2).

    >>> round(growth_constant_limit((0.75, 0.25)), 5)
    0.43301
    """
    return TwoTokens.of(0.0, frequencies).geometric


def loss_constant(correlation: float, squared_distance: float = 2.0) -> float:
    """Return the limit of t L(W_t) under flow, and of eta t L(W_t) under descent: 2 / ((1 - correlation) c).

    It does not depend on the frequencies. Source: errata (5.1); it equals 1 / margin^2 with the hard margin.

    >>> round(loss_constant(0.95), 12)
    20.0
    """
    return 2.0 / TwoTokens.of(correlation, (0.5, 0.5), squared_distance).base_rate


def alignment_exponent(correlation: float) -> float:
    """Return the exponent b of |tilt - limiting tilt| ~ t^-b for p_1 > p_2: min(1, (1 + corr) / (1 - corr)).

    At correlation 0 the law is log t / t. Negative correlations delay the alignment: the printed O(1/t) is wrong
    there. Source: errata T4.5 and (5.2), by linearising the orbit equation for large mean margin.

    >>> alignment_exponent(0.5), round(alignment_exponent(-0.5), 6)
    (1.0, 0.333333)
    """
    return min(1.0, TwoTokens.of(correlation, (0.5, 0.5)).stiffness)


def alignment_constant(correlation: float, frequencies: Sequence[float], squared_distance: float = 2.0) -> float:
    """Return the limit of t (tilt - limiting tilt) for correlation > 0, of t/log t times it for correlation = 0.

    .. code-block:: text

        correlation > 0:   (1 + corr) (p_1 - p_2) / (4 corr (1 - corr) c p_1 p_2)
        correlation = 0:   (1/p_2 - 1/p_1) / (2 c)

    For a negative correlation the constant of t^-exponent has no closed form: an `InputError`.
    Source: errata (5.2). Idea: for large mean margin the orbit equation is dS/dg = k (C - S), whose forced solution
    is S = k C / (k - 1), k = (1 + corr) / (1 - corr) > 1, and e^{gamma_2} ~ c_0 sqrt(p_1 p_2) t.

    >>> round(alignment_constant(0.5, (0.9, 0.1)), 4), round(alignment_constant(0.2, (0.7, 0.3)), 4)
    (6.6667, 1.7857)
    """
    pair = TwoTokens.of(correlation, frequencies, squared_distance)
    product = pair.frequent * pair.rare
    if pair.correlation > 0:
        return (
            (1.0 + pair.correlation) * pair.excess
            / (4.0 * pair.correlation * (1.0 - pair.correlation) * pair.squared_distance * product)
        )  # fmt: skip
    if pair.correlation == 0:
        return pair.excess / (2.0 * pair.squared_distance * product)
    raise InputError(
        "the alignment constant is known for correlation >= 0", correlation, "use alignment_exponent for the rate"
    )
