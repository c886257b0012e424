"""Margin of a token whose wrong classes are tied: the closed form of multi-class gradient flow."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ..errors import InputError
from .arguments import non_negative
from .binary_flow import flow_margin

Array = npt.NDArray[np.float64]


def tied_flow_margin(elapsed: npt.ArrayLike, n_classes: int, initial: npt.ArrayLike = 0.0) -> Array:
    r"""Return the margin of a token under gradient flow when all its wrong scores are equal.

    With orthonormal outputs, a = M - 1 and x = M p |e|^2 t the margin solves ``(a + e^m) dm = dx``, so

    .. math:: e^m + a m = e^{m_0} + a m_0 + x, \qquad
              m = \log(a\,\omega(Y)), \quad Y = (e^{m_0} + a m_0 + x)/a - \log a,

    omega the Wright omega function: `flow_margin` with M - 1 wrong classes, on the clock of `multiclass_flow`.

    Parameters
    ----------
    elapsed
        p(x) |e_x|^2 t >= 0 (the same clock as `multiclass_flow`), any shape.
    n_classes
        M >= 2.
    initial
        Margin at time zero, broadcast with `elapsed`.

    Returns
    -------
    The margin, shape of the broadcast. The move is accurate to 2 ulp.

    Raises
    ------
    InputError
        For M < 2, negative times, or arguments that are not finite.

    Source: errata of cabannes2024, section 4. Proof: `dm = M p dt/(a + e^m)` integrates in closed form.

    Cost: as `flow_margin`.

    Examples
    --------
    >>> float(tied_flow_margin(3.0, 2).round(12))
    1.672821698629
    >>> float(tied_flow_margin(1e300, 1000).round(9))
    697.683283177
    """
    if int(n_classes) != n_classes or n_classes < 2:
        raise InputError("n_classes must be an integer of at least 2", n_classes)
    return flow_margin(int(n_classes) * non_negative("elapsed", elapsed), initial, int(n_classes) - 1)
