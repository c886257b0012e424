"""Gradient descent of one margin between two proved bounds, for every learning rate, step and start."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .arguments import Floats, at_least, counts, positive, within
from .exponential_remainder import ratio_root, remainder, remainder_slope
from .exponential_root import binary_exponent, positive_root, scaled_product

MARGIN_RANGE = 700.0
# units in the last place added on either side; without an extended long double the first step costs up to 20
_OUTWARDS = 4.0 if np.finfo(np.longdouble).eps < 1e-18 else 32.0
_FROZEN = 2200.0


def descent_margin_bounds(
    steps: ArrayLike, rate: ArrayLike, initial: ArrayLike = 0.0, wrong_classes: ArrayLike = 1
) -> tuple[Floats, Floats]:
    r"""Return (lower, upper) for the margin after some steps of gradient descent.

    The map is $m' = m + k/(a + e^{m})$. With $z_1 = k/(a+e^{m_1})$, $\psi(z) = (e^z-1-z)/z^2$,
    $\phi(z) = (k - a z)\psi(z)$, $b_- = \min(k/2, \phi(z_1))$ and $b_+ = \sup_{(0,z_1]}\phi$,

    $$e^{m_t} + (a-b_+)(m_t-m_1) \;\leq\; e^{m_1} + k(t-1) \;\leq\; e^{m_t} + (a-b_-)(m_t-m_1),$$

    which is solved for m_t on both sides and rounded outwards by 4 ulp. The first step, m_1, is exact; at step 0 both
    bounds are `initial`.

    Parameters
    ----------
    steps : array-like
        t, whole numbers >= 0 (as floats they may go to 1e300).
    rate : array-like
        k > 0: $\eta c_x$ for two classes, $\eta M p(x)\|e_x\|^2$ for tied wrong classes and orthonormal outputs.
    initial : array-like
        m_0 in [-700, 700].
    wrong_classes : array-like
        a = M - 1 >= 1; the scores of the wrong classes are equal at the start (and stay so).

    Returns
    -------
    (lower, upper): arrays of the broadcast shape. For m_0 = 0 and k <= 10 they differ by less than log(2 + k t)/t.

    Raises
    ------
    InputError: entries that are not finite, rate <= 0, steps < 0 or fractional, initial outside [-700, 700],
    wrong_classes < 1.

    Cost: about 2 microseconds an element.

    Source: errata (3.4), NEW. Proof: exactly, $e^{m'} - e^m + (a-b)z = k + z(\phi(z)-b)$ for one step $z = k/(a+e^m)$;
    z decreases along the run, so $b_- \leq \phi \leq b_+$, and the steps are summed. phi has one maximum because
    $z + \psi/\psi'$ increases (Borell: psi is the Laplace transform of 1 - s on [0, 1]).

    >>> lower, upper = descent_margin_bounds([0, 1, 100], rate=1.0)
    >>> lower.round(4).tolist(), upper.round(4).tolist()
    ([0.0, 0.5, 4.5851], [0.0, 0.5, 4.5911])
    """
    t, k, start, a = np.broadcast_arrays(
        counts("steps", steps),
        positive("rate", rate),
        within("initial", initial, -MARGIN_RANGE, MARGIN_RANGE),
        at_least("wrong_classes", wrong_classes, 1),
    )
    first = first_margin(k, start, a)
    side = Enclosure(k, first, a)
    left = np.maximum(t - 1.0, 0.0)
    lower, upper = side.margins(left)
    size = np.maximum(np.abs(start), np.maximum(np.abs(lower), np.abs(upper)))
    slip = _OUTWARDS * np.spacing(size)
    return np.where(t == 0, start, lower - slip)[()], np.where(t == 0, start, upper + slip)[()]


def first_margin(rate: Floats, start: Floats, wrong: Floats) -> NDArray[np.longdouble]:
    """Return the margin after one step as long doubles: its error is magnified where the start is very negative."""
    long = start.astype(np.longdouble)
    margin: NDArray[np.longdouble] = long + rate / (wrong + np.exp(long))
    return margin


class Enclosure:
    r"""The two-sided law from the margin `first` on, with its coefficients times a power of two.

    `least` and `most` are $a - b_-$ and $a - b_+$ times 2**-scale; the scale keeps every coefficient below 1.
    """

    def __init__(self, rate: Floats, first: NDArray[np.longdouble], wrong: Floats) -> None:
        self.rate, self.origin = rate, first
        self.first: Floats = np.minimum(first, _FROZEN).astype(np.float64)
        with np.errstate(all="ignore"):
            decay = np.exp(-np.abs(self.first))
            high = self.first > 0.0
            # share = e^m / (a + e^m); k - a z = k share, so phi(z) = k share psi(z) has no cancellation
            share = np.where(high, 1.0 / (1.0 + wrong * decay), decay / (wrong + decay))
            pull = np.where(high, rate * decay * share, rate / (wrong + decay))
            # phi rises up to z_1 iff psi/psi'(z_1) <= z_1 e^m / a
            rises = remainder(pull) * (wrong * np.where(high, decay, 1.0)) <= remainder_slope(pull) * (
                pull * np.where(high, 1.0, decay)
            )
        tilted = rate > 3.0 * wrong
        falls = tilted & ~rises
        top = ratio_root(np.where(falls, rate / wrong, 3.0))
        peak = 2.0 * np.log(remainder(top)) - np.log(remainder_slope(top)) + top + np.log(wrong)
        ends = np.log(share) + np.log(remainder(pull)) + pull + np.log(rate)
        largest = np.maximum(np.maximum(np.log(wrong), np.log(rate)), self.first)
        largest = np.maximum(largest, np.where(falls, peak, np.where(tilted, ends, -np.inf)))
        self.scale: NDArray[np.int64] = np.maximum(binary_exponent(largest), 0)
        root = np.exp(0.5 * pull)
        at_end = scaled_product(self.scale, rate, share, remainder(pull), root, root)
        root = np.exp(0.5 * top)
        at_top = scaled_product(self.scale, wrong, remainder(top), root, root, remainder(top) / remainder_slope(top))
        half = scaled_product(self.scale + 1, rate)
        plain = scaled_product(self.scale, wrong)
        self.least = plain - np.minimum(half, at_end)
        self.most = plain - np.where(falls, at_top, np.where(tilted, np.maximum(half, at_end), half))

    def margins(self, steps: Floats) -> Floats:
        """Return the margins (lower, upper) at which the two sides are equalities, `steps` steps after `first`."""
        target = scaled_product(self.scale, self.rate, steps)
        root = positive_root(self.first, self.scale, np.stack([self.least, self.most]), target)
        root = np.where(target > 0.0, root, np.longdouble(0))
        return (self.origin + root).astype(np.float64)
