"""Three tokens in the plane: the minimiser of the cross entropy in closed form, and what it forgets."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ..errors import InputError

Array = npt.NDArray[np.float64]


class ThreeTokens(NamedTuple):
    """The minimiser for three tokens of two classes in the plane."""

    margins: Array
    """Margins at the minimiser, shape (3,)."""
    wrong: npt.NDArray[np.bool_]
    """Which tokens it answers wrongly (or ties)."""
    accuracy: float
    """Accuracy at the minimiser."""
    best_accuracy: float
    """Best accuracy of any W: 1 - min p."""
    excess: float
    """Excess risk, best_accuracy - accuracy."""


def three_token_minimiser(signed: npt.ArrayLike, frequencies: npt.ArrayLike) -> ThreeTokens:
    r"""Return the margins of the cross-entropy minimiser of three tokens that cannot all be stored.

    With a_i = s_i e_i (s = +1 for the first class, -1 for the second) and the positive balance
    :math:`\sum \lambda_i a_i = 0`, the error probabilities at the minimiser are
    :math:`q_i = \kappa\lambda_i/p_i`, kappa the root of
    :math:`\sum \lambda_i \log\frac{p_i-\kappa\lambda_i}{\kappa\lambda_i} = 0`; token i is wrong
    if and only if q_i >= 1/2.

    `signed`: shape (3, 2), spanning the plane with a positive balance; `frequencies`: shape (3,).
    Raises `InputError` when there is no positive balance (then the tokens are separable or one is free).
    Source: spec, Fig 4 (analytic certificate). Proof: the gradient is a multiple of ``sum p_i q_i a_i = 0`` and the
    balance is unique; the margins ``log((1-q)/q)`` are linear in W, so ``sum lambda_i m_i = 0``. Cost: one scalar root.

    >>> import numpy as np
    >>> answer = three_token_minimiser([[1.0, 0.0], [-0.8, 0.6], [-0.8, -0.6]], [0.4, 0.3, 0.3])
    >>> answer.margins.round(4), round(answer.excess, 12)
    (array([-0.2047,  0.1637,  0.1637]), 0.1)
    """
    from scipy.optimize import brentq

    a = np.asarray(signed, dtype=np.float64)
    p = np.asarray(frequencies, dtype=np.float64)
    if a.shape != (3, 2) or p.shape != (3,) or not np.all(p > 0.0):
        raise InputError("three tokens in the plane are needed: signed (3, 2), frequencies (3,) positive", a.shape)
    after, last = np.roll(a, -1, axis=0), np.roll(a, -2, axis=0)
    balance = after[:, 0] * last[:, 1] - after[:, 1] * last[:, 0]
    if balance.sum() < 0.0:
        balance = -balance
    if not np.all(balance > 0.0):
        raise InputError("the signed tokens must balance with positive weights (not separable, no token free)", balance)
    balance = balance / balance.sum()
    top = float(np.min(p / balance))

    def imbalance(kappa: float) -> float:
        return float(np.sum(balance * (np.log(np.maximum(p - kappa * balance, 1e-320)) - np.log(kappa * balance))))

    kappa = brentq(imbalance, 1e-300, top * (1.0 - 1e-16), xtol=1e-300, rtol=1e-15)
    margins = np.log(p - kappa * balance) - np.log(kappa * balance)
    wrong = margins <= 0.0
    accuracy = 1.0 - float(p[wrong].sum())
    best = 1.0 - float(p.min())
    return ThreeTokens(margins, wrong, accuracy, best, best - accuracy)
