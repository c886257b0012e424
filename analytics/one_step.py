"""When gradient descent with orthonormal embeddings answers correctly: one step, and how many steps."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from ..errors import InputError

Array = npt.NDArray[np.float64]


def margin_increments(scores: npt.ArrayLike, rate: float) -> Array:
    r"""Return the increase of every margin in one descent step, :math:`\eta p|e|^2 (1 - q_1 + q_i) > 0`.

    `scores`: shape (M,) or (T, M), target first; `rate` = eta p |e|^2 > 0; q the softmax of the scores.
    Returns shape (M - 1,) or (T, M - 1): in (rate, 2 rate) for a negative margin. Orthonormal outputs.
    Source: the display after Theorem 3; errata T3.6. Cost: O(M).

    >>> margin_increments([0.0, 0.0], 1.0)
    array([1.])
    """
    if not rate > 0.0:
        raise InputError("rate = eta p |e|^2 must be positive", rate)
    values = np.asarray(scores, dtype=np.float64)
    weights = np.exp(values - values.max(axis=-1, keepdims=True))
    mass = weights / weights.sum(axis=-1, keepdims=True)
    wrong = mass[..., 1:]
    return np.asarray(rate * (wrong.sum(axis=-1, keepdims=True) + wrong))


def one_step_margin(scores: npt.ArrayLike, rate: float) -> float:
    r"""Return the least margin after one descent step: the step answers correctly if and only if it is positive.

    Sufficient: every margin is above -rate. Impossible: some margin is at or below -2 rate.
    Arguments as in `margin_increments`, shape (M,). Source: errata T3.6. Cost: O(M).

    >>> round(one_step_margin([0.0, 5.0, 0.0], 0.1), 4)
    -4.802
    """
    values = np.asarray(scores, dtype=np.float64)
    return float(np.min(values[0] - values[1:] + margin_increments(values, rate)))


def steps_to_correct(margins: npt.ArrayLike, rate: float) -> tuple[int, int]:
    r"""Return bounds on the first step at which all margins of a token are positive (orthonormal embeddings).

    With D the largest deficit ``max(-m_i)`` at the start and rate = eta p |e|^2: 0 steps if D < 0, exactly one if
    D = 0, else :math:`\lfloor D/(2\,rate)\rfloor + 1 \le T \le \lceil D/rate\rceil`.

    `margins`: shape (M - 1,). Returns (lower, upper). Source: errata T3.6. Proof: a negative margin has q_i > q_1, so
    its increment lies strictly between rate and 2 rate; every other margin increases too. Cost: O(M).

    >>> steps_to_correct([-5.0, 0.0], 0.1)
    (25, 50)
    """
    if not rate > 0.0:
        raise InputError("rate = eta p |e|^2 must be positive", rate)
    deficit = float(np.max(-np.asarray(margins, dtype=np.float64)))
    if deficit < 0.0:
        return 0, 0
    if deficit == 0.0:
        return 1, 1
    quotient = Fraction(deficit) / Fraction(rate)  # exact: a float quotient may land on the wrong side of an integer
    return math.floor(quotient / 2) + 1, math.ceil(quotient)
