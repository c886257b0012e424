"""Number of gradient descent steps to a given margin, between two proved bounds."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from .arguments import Floats, at_least, finite, positive, within
from .descent_margin import MARGIN_RANGE, Enclosure, first_margin

_ROUNDING = 16.0 * np.finfo(np.float64).eps


def steps_to_margin_bounds(
    margin: ArrayLike, rate: ArrayLike, initial: ArrayLike = 0.0, wrong_classes: ArrayLike = 1
) -> tuple[Floats, Floats]:
    r"""Return (least, most) for the first step at which the margin is at least `margin`.

    With $G_b(m) = e^{m} - e^{m_1} + (a-b)(m-m_1)$ and T the first step with $m_T \geq m > m_1$,

    $$1 + \max\!\left(1, \lceil G_{b_+}(m)/k \rceil\right) \;\leq\; T \;\leq\;
      1 + \max\!\left(1, \lceil G_{b_-}(m)/k \rceil\right),$$

    the lower bound where $e^{m} \geq b_+ - a$ (else T >= 2); T = 0 for m <= m_0 and T = 1 for m_0 < m <= m_1.

    Parameters
    ----------
    margin : array-like
        The margin m to be reached, any finite number <= 700.
    rate, initial, wrong_classes : as in `descent_margin_bounds`.

    Returns
    -------
    (least, most): arrays of whole numbers in float64, rounded outwards (infinite beyond 1e308).

    Raises
    ------
    InputError: as `descent_margin_bounds`; margin > 700.

    Cost: about 1 microsecond an element.

    Source: errata (3.6), restarted after the first exact step. Proof: both sides of (3.4) at m_T and m_{T-1}; the left
    side is convex in m, so it increases beyond its positive root. The plain form
    $T \leq \lceil (e^m - e^{m_0} + a(m-m_0))/k \rceil$ is weaker.

    >>> least, most = steps_to_margin_bounds([0.0, 0.4, 5.0], rate=1.0)
    >>> least.tolist(), most.tolist()
    ([0.0, 1.0, 151.0], [0.0, 1.0, 151.0])
    """
    goal, k, start, a = np.broadcast_arrays(
        finite("margin", margin),
        positive("rate", rate),
        within("initial", initial, -MARGIN_RANGE, MARGIN_RANGE),
        at_least("wrong_classes", wrong_classes, 1),
    )
    within("margin", np.maximum(goal, 0.0), 0.0, MARGIN_RANGE)
    side = Enclosure(k, first_margin(k, start, a), a)
    first = side.origin
    rise = np.maximum(goal - first, 0.0).astype(np.float64)
    with np.errstate(all="ignore"):
        shift = side.scale * np.log(2.0)
        far = np.exp(np.where(rise > 36.0, side.first + rise - shift, 0.0))
        gained = np.where(rise > 36.0, far, np.exp(side.first - shift) * np.expm1(np.minimum(rise, 36.0)))
        speed = np.ldexp(k, -side.scale.astype(np.int32))
        least = (gained + side.most * rise) / speed
        most = (gained + side.least * rise) / speed
        # the error of exp(m - shift) is |m| ulp, that of the logarithm's coefficient 4 ulp of the scale
        slip = _ROUNDING * (gained * (1.0 + np.abs(side.first) + rise + shift / 8.0) + rise) / speed
        least = np.ceil(np.where(np.exp(goal - shift) + side.most >= 0.0, least - slip, -np.inf))
        most = np.ceil(most + slip)
    touch = _ROUNDING * np.maximum(np.abs(start), np.abs(side.first))
    early = np.where(goal <= start, 0.0, 1.0)
    low = np.where(goal <= first + touch, early, 1.0 + np.maximum(least, 1.0))
    high = np.where((goal <= start) | (goal <= first - touch), early, 1.0 + np.maximum(most, 1.0))
    return low[()], high[()]
