"""Two tokens without label noise under minibatches: how far the tilt still swings after t steps."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import InputError
from .arguments import at_least, positive
from .two_tokens import TwoTokens

Array = NDArray[np.float64]


def minibatch_tilt_spread(correlation: float, frequencies: Sequence[float], batch_size: int, steps: ArrayLike) -> Array:
    r"""Return the standard deviation over seeds of the tilt gamma_1 late in minibatch descent of two tokens.

    .. math:: \sqrt{\mathrm{Var}\,\gamma_1(t)} \sim \frac{a}{2\sqrt{p_1 p_2\,B\,(2a-1)\,t}}, \qquad
              a = \frac{1+\alpha}{1-\alpha} > \frac12

    It does not depend on the learning rate, and it decays more slowly than the 1/t of descent without noise (for
    alpha > 0): the loss that a sample leaves falls as fast as the force that pulls back. Valid for a << t once the
    margins grow like log t, which takes until e^margin of the first steps is forgotten. For a <= 1/2
    (alpha <= -1/3) the early tilt is never forgotten on this scale, and there is no such law.

    Parameters
    ----------
    correlation
        alpha in (-1/3, 1).
    frequencies
        (p_1, p_2), the frequent token first.
    batch_size
        B >= 1.
    steps
        t > 0, any shape.

    Returns
    -------
    The standard deviation, the shape of `steps`.

    Raises
    ------
    InputError
        Outside of these ranges.

    Source: the review of cabannes2024, open question on noise. Derivation: near gamma_1 = log(p_1/p_2)/2 every token
    leaves p_x e^{-m_x} = s e^{-gamma_2}, s^2 = p_1 p_2, and e^{gamma_2} = eta c (1-alpha) s t; a step then moves the
    deviation by -(a/t) of itself and by noise of variance a^2/(4 p_1 p_2 B t^2).

    Cost: O(1) an entry.

    Examples
    --------
    >>> minibatch_tilt_spread(0.5, (0.75, 0.25), batch_size=1, steps=[1e4, 1e6]).round(6)
    array([0.015492, 0.001549])
    """
    tokens = TwoTokens.of(correlation, frequencies)
    pull = (1.0 + tokens.correlation) / (1.0 - tokens.correlation)
    if pull <= 0.5:
        raise InputError("the law of the tilt holds for correlations above -1/3", correlation)
    batch = at_least("batch_size", batch_size, 1)
    times = positive("steps", steps)
    return np.asarray(pull / (2.0 * tokens.geometric * np.sqrt(batch * (2.0 * pull - 1.0) * times)))
