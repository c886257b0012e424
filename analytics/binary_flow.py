"""Gradient flow of one margin in closed form: orthogonal embeddings, two classes or tied wrong classes."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from .arguments import Floats, at_least, finite, non_negative
from .exponential_root import binary_exponent, positive_root, scaled_product

_FROZEN = 2200.0  # from this margin on no finite elapsed time moves a float64 margin


def flow_displacement(elapsed: ArrayLike, initial: ArrayLike = 0.0, wrong_classes: ArrayLike = 1) -> Floats:
    r"""Return how far a margin has moved under gradient flow.

    $$e^{m_0}\,(e^{d}-1) + a\,d = x,\qquad d = m_t - m_0,\qquad x = c_x t.$$

    Parameters
    ----------
    elapsed : array-like
        x >= 0. Two classes: c_x t with $c_x = p(x)\|e_x\|^2\|u_1-u_2\|^2$; tied wrong classes and orthonormal
        outputs: $M p(x) \|e_x\|^2 t$. No unit.
    initial : array-like
        Margin m_0, any finite number.
    wrong_classes : array-like
        a = M - 1 >= 1, the number of wrong classes, whose scores are equal at the start (and stay so).

    Returns
    -------
    numpy array of the broadcast shape, float64: d >= 0, within 1 ulp for x in [1e-300, 1e300] and m_0 in
    [-700, 700] wherever d is a normal number (2 ulp on platforms whose long double is a double).

    Raises
    ------
    InputError: NaN or infinite entries, elapsed < 0, wrong_classes < 1.

    Cost: about 0.4 microseconds an element, 20 arrays of the size of the result.

    Source: Cabannes et al. 2024, eq. (29); errata T2.4 and section 2 (the printed y - W0(e^y) overflows from
    y = 710 and loses every digit from y = 1e15).

    >>> float(flow_displacement(1e-20))
    5e-21
    >>> float(flow_displacement(1e17))
    39.14394658089878
    """
    return _displacement(*_arguments(elapsed, initial, wrong_classes)).astype(np.float64)[()]


def flow_margin(elapsed: ArrayLike, initial: ArrayLike = 0.0, wrong_classes: ArrayLike = 1) -> Floats:
    r"""Return the margin after gradient flow for a given elapsed time.

    $$e^{m_t} + a\,m_t = e^{m_0} + a\,m_0 + x,\qquad x = c_x t,$$

    evaluated as m_0 + d with d from `flow_displacement`.

    Parameters, raises and cost: as `flow_displacement`.

    Returns
    -------
    numpy array of the broadcast shape, float64, within 1 ulp of max(\|m_0\|, \|d\|).

    Source: Cabannes et al. 2024, Theorem 2 and eq. (29); errata T2.0 (from W_0 = 0 the law is m + e^m = c_x t + 1),
    T2.4. Proof: separate the variables of (1 + e^m) dm = c_x dt.

    >>> float(flow_margin(0.0, initial=-3.0))
    -3.0
    >>> float(flow_margin(2.718281828459045))
    1.0
    """
    time, start, slope = _arguments(elapsed, initial, wrong_classes)
    return (start.astype(np.longdouble) + _displacement(time, start, slope)).astype(np.float64)[()]


def _arguments(elapsed: ArrayLike, initial: ArrayLike, wrong_classes: ArrayLike) -> tuple[Floats, Floats, Floats]:
    time, start, slope = np.broadcast_arrays(
        non_negative("elapsed", elapsed), finite("initial", initial), at_least("wrong_classes", wrong_classes, 1)
    )
    return time, start, slope


def _displacement(time: Floats, start: Floats, slope: Floats) -> Floats:
    start = np.minimum(start, _FROZEN)
    scale = np.maximum(binary_exponent(np.maximum(start, np.log(slope))), 0)
    root = positive_root(start, scale, scaled_product(scale, slope), scaled_product(scale, time))
    return np.where(time > 0.0, root, np.longdouble(0))
