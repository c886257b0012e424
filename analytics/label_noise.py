"""A token whose label is wrong with a fixed probability: the finite minimum, and the flow that stops there."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from ..errors import InputError
from .arguments import finite, non_negative

Array = npt.NDArray[np.float64]


def _checked(label_noise: float, n_classes: int) -> tuple[float, int]:
    rho, classes = float(finite("label_noise", label_noise)), float(finite("n_classes", n_classes))
    if not 0.0 < rho < 1.0:
        raise InputError(
            "label_noise must lie strictly between 0 and 1", label_noise, "without noise: tied_flow_margin"
        )
    if int(classes) != classes or classes < 2:
        raise InputError("n_classes must be an integer of at least 2", n_classes)
    return rho, int(classes)


def _log_of_one_minus_exp(gap: Array) -> Array:
    """Return log(1 - e^gap) for gap <= 0, to full relative precision on both sides."""
    near = gap > -math.log(2.0)
    return np.asarray(np.where(near, np.log(-np.expm1(np.where(near, gap, -1.0))), np.log1p(-np.exp(gap))))


def label_noise_margin(label_noise: float, n_classes: int = 2) -> float:
    r"""Return the margin at the minimum of the loss when labels are wrong with probability rho.

    .. math:: m^\star = \log\frac{(1-\rho)(M-1)}{\rho}

    Every wrong class is shown with probability rho/(M-1). With linearly independent inputs and affinely independent
    outputs W can give every token any differences of scores, so that at the minimum each softmax is the law of the
    labels, whatever the correlations and the frequencies.

    Parameters
    ----------
    label_noise
        rho in (0, 1).
    n_classes
        M >= 2.

    Returns
    -------
    The margin to every wrong class: positive for rho < (M-1)/M.

    Raises
    ------
    InputError
        Outside of these ranges.

    Source: the review of cabannes2024, open question on noise. Proof: the cross entropy to a law q is least at q.

    Cost: O(1).

    Examples
    --------
    >>> round(label_noise_margin(0.1), 6), round(label_noise_margin(0.1, 10), 6)
    (2.197225, 4.394449)
    """
    rho, classes = _checked(label_noise, n_classes)
    return math.log1p(-rho) + math.log(classes - 1) - math.log(rho)


def label_noise_loss(label_noise: float, n_classes: int = 2) -> float:
    r"""Return the least loss when labels are wrong with probability rho: the entropy of a label.

    .. math:: -(1-\rho)\log(1-\rho) - \rho\log\frac{\rho}{M-1}

    It is attained under the conditions of `label_noise_margin` and a lower bound without them. Arguments, errors and
    source: as there. Cost: O(1).

    >>> round(label_noise_loss(0.1), 6)
    0.325083
    """
    rho, classes = _checked(label_noise, n_classes)
    return -(1.0 - rho) * math.log1p(-rho) - rho * math.log(rho / (classes - 1))


def label_noise_flow_margin(
    elapsed: npt.ArrayLike, n_classes: int, label_noise: float, initial: npt.ArrayLike = 0.0
) -> Array:
    r"""Return the margin of a token with noisy labels under gradient flow when all its wrong scores are equal.

    With orthonormal outputs and an input orthogonal to the others the margin moves by
    ``(e^m + M - 1) dm = M (1 - rho) (1 - e^(m - m*)) d(elapsed)``, hence

    .. math:: m - m_0 - \frac1\rho \log\frac{1 - e^{m-m^\star}}{1 - e^{m_0-m^\star}}
              = \frac{M (1-\rho)}{M-1}\, p |e|^2 t .

    It grows like log t as without noise (`tied_flow_margin`) until about p |e|^2 t = (M-1)/(M rho), and then approaches
    m* (`label_noise_margin`) exponentially.

    Parameters
    ----------
    elapsed
        p(x) |e_x|^2 t >= 0 (the same clock as `tied_flow_margin`), any shape.
    n_classes
        M >= 2.
    label_noise
        rho in (0, 1).
    initial
        Margin at time zero, below m*, broadcast with `elapsed`.

    Returns
    -------
    The margin, shape of the broadcast, by bisection to a few ulp of max(1, |m|).

    Raises
    ------
    InputError
        Outside of these ranges.

    Source: the review of cabannes2024, open question on noise. Proof: with u = e^m the equation is rational in u.

    Cost: about 60 evaluations of two logarithms for each entry.

    Examples
    --------
    >>> label_noise_flow_margin([0.0, 10.0, 1000.0], 2, 0.1).round(6)
    array([0.      , 1.99944 , 2.197225])
    """
    rho, classes = _checked(label_noise, n_classes)
    top = label_noise_margin(rho, classes)
    times, start = np.broadcast_arrays(non_negative("elapsed", elapsed), finite("initial", initial))
    if (start >= top).any():
        raise InputError(f"initial must lie below the margin of the minimum, {top:.6g}", float(start.max()))
    wanted = times * (classes * (1.0 - rho) / (classes - 1))
    left = _log_of_one_minus_exp(start - top)
    low, high = np.array(start), np.full(start.shape, top)
    with np.errstate(divide="ignore"):
        while True:
            middle = 0.5 * (low + high)
            if ((middle == low) | (middle == high)).all():
                break
            passed = (middle - start) - (_log_of_one_minus_exp(middle - top) - left) / rho
            low, high = np.where(passed <= wanted, middle, low), np.where(passed <= wanted, high, middle)
    return np.asarray(np.where(wanted == 0.0, start, high))
