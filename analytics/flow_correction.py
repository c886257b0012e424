"""The correction h of the flow margin to its logarithm, with the sharp ranges of h."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from .arguments import Floats, at_least
from .binary_flow import flow_margin

CORRECTION_MAX = 0.31326168751822286  # log(1 + 1/e), attained at m = 1
FACTOR_MIN = 0.5  # the limit at y = 1
FACTOR_MAX = 1.0237150809438473  # attained at y = 23.152619, m = 3.0031766


def flow_margin_correction(argument: ArrayLike) -> Floats:
    r"""Return h(y) of eq. (15): how far the flow margin stays below log y.

    $$h(y) = \log y - m = \log(1 + m e^{-m}),\qquad m + e^{m} = y = c_x(t - t_0).$$

    Parameters
    ----------
    argument : array-like
        $y = c_x t + e^{m_0} + m_0 \geq 1$, the domain on which the ranges hold. No unit.

    Returns
    -------
    numpy array of the same shape; $0 \leq h \leq \log(1+1/e) = 0.31326$ and
    $\frac12 \log(y)/y \leq h \leq 1.02372 \log(y)/y$, both sharp (the paper has 0 and 2).

    Raises
    ------
    InputError: y < 1 (there $0 \leq h$ fails: at y = 0.5 h = -0.53), NaN or infinite entries.

    Cost: one `flow_margin`.

    Source: Cabannes et al. 2024, eq. (15) and B.1.1; errata T2.2, T2.3. Proof: substitute y = e^m + m; on m >= 0,
    m e^{-m} is largest at m = 1.

    >>> float(flow_margin_correction(1 + 2.718281828459045))
    0.31326168751822286
    """
    y = at_least("argument", argument, 1.0)
    margin = flow_margin(y - 1.0)
    return np.asarray(np.log1p(margin * np.exp(-margin)))[()]


def flow_correction_factor(argument: ArrayLike) -> Floats:
    r"""Return h~(y) of appendix B.1.1: the correction in units of log(y)/y.

    $$\tilde h(y) = \frac{y\,h(y)}{\log y} \in [\tfrac12,\ 1.0237150809\ldots],\qquad y \geq 1.$$

    Parameters, raises and cost: as `flow_margin_correction`. The value at y = 1 is the limit 1/2.

    Source: Cabannes et al. 2024, B.1.1 (printed range [1/2, 2], printed domain y >= 0); errata T2.3.

    >>> float(flow_correction_factor(1.0))
    0.5
    >>> round(float(flow_correction_factor(23.153)), 8)
    1.02371508
    """
    y = at_least("argument", argument, 1.0)
    close = y - 1.0 < 1e-9
    safe = np.where(close, 2.0, y)
    # near 1, with x = y - 1: m = x/2 - x^2/16, h = x/2 - 7x^2/16, log(y)/y = x - 3x^2/2, quotient 1/2 + 5x/16
    factor = flow_margin_correction(safe) * safe / np.log1p(safe - 1.0)
    return np.where(close, 0.5 + 0.3125 * (y - 1.0), factor)[()]
