"""The loss of gradient descent on orthogonal memories: sharp constants and bounds that hold at every step."""

from __future__ import annotations

import functools
import math

import numpy as np
from numpy.typing import ArrayLike

from ..errors import InputError
from .arguments import Floats, counts, positive


@functools.lru_cache(maxsize=256)
def descent_loss_constant(n_classes: int) -> float:
    r"""Return the sharp constant C_M of the loss bound.

    $$C_M = \sup_{m \geq 0}\ \log(1 + a e^{-m})\,\frac{e^{m} + a m - 1}{a},\qquad a = M - 1.$$

    Parameters
    ----------
    n_classes : int
        M >= 2.

    Returns
    -------
    float: C_M, to 1e-14 relative. C_2 = 1.079435 is attained in the limit k -> 0 at margin 2.526, k t = 14.03.

    Raises
    ------
    InputError: M < 2 or not an integer.

    Cost: 0.1 ms, once for each M.

    Source: errata (3.2), NEW for M > 2. Proof: by (3.1) $k t \leq e^{m_t} + a m_t - 1$ from W_0 = 0, so
    $\log(1+ae^{-m_t})\, k t / a \leq C_M$, with equality in the limit of the flow, k -> 0.

    >>> round(descent_loss_constant(2), 6)
    1.079435
    >>> round(descent_loss_constant(10), 4)
    2.1598
    """
    if isinstance(n_classes, bool) or int(n_classes) != n_classes or n_classes < 2:
        raise InputError("n_classes must be an integer >= 2", n_classes, "pass the number of classes M")
    from scipy.optimize import minimize_scalar

    a = float(n_classes - 1)

    def value(margin: float) -> float:
        return math.log1p(a * math.exp(-margin)) * (math.expm1(margin) / a + margin)

    grid = np.linspace(0.0, math.log(a) + 40.0, 400)
    peak = int(np.argmax([value(m) for m in grid]))
    bracket = (grid[max(peak - 1, 0)], grid[peak + 1])
    found = minimize_scalar(lambda m: -value(m), bounds=bracket, method="bounded", options={"xatol": 1e-9})
    return float(-found.fun)


def descent_loss_bound(
    steps: ArrayLike,
    learning_rate: ArrayLike,
    squared_norms: ArrayLike,
    n_classes: int = 2,
    output_gap: float = 2.0,
) -> Floats:
    r"""Return a bound on the loss after t steps of gradient descent from W_0 = 0, valid at every rate and step.

    $$L(W_t) \leq \min\left(\log M,\ \frac{C_M}{\eta t}\,\frac{2(M-1)}{M g} \sum_x \frac{1}{\|e_x\|^2}\right),
      \qquad g = \|u_i-u_j\|^2 .$$

    For two classes that is $\frac{1.079435}{\eta t} \sum_x \frac{p(x)}{c_x}$: the frequencies drop out.

    Parameters
    ----------
    steps : array-like
        t, whole numbers >= 0.
    learning_rate : array-like
        $\eta$ > 0, broadcast against `steps`.
    squared_norms : array-like, shape (N,)
        $\|e_x\|^2$ of the input embeddings, which are orthogonal.
    n_classes : int
        M >= 2; for M > 2 the outputs are orthogonal with equal norms.
    output_gap : float
        g > 0, the squared distance of two output embeddings.

    Returns
    -------
    numpy array of the broadcast shape, float64.

    Raises
    ------
    InputError: numbers outside these ranges.

    Cost: a few operations an element.

    Source: Cabannes et al. 2024, Theorem 2 (printed with constant 1, which fails); errata T2.7 and (3.2).

    >>> float(descent_loss_bound(33, 1.0, [1.0, 1.0]).round(6))  # the loss there is 0.030782 > 1/33
    0.03271
    """
    t = counts("steps", steps)
    rate = positive("learning_rate", learning_rate)
    norms = positive("squared_norms", squared_norms)
    gap = positive("output_gap", output_gap)
    constant = descent_loss_constant(n_classes) * 2.0 * (n_classes - 1) / n_classes * float(np.sum(1.0 / norms)) / gap
    with np.errstate(divide="ignore", over="ignore"):
        return np.minimum(math.log(n_classes), constant / rate / t)[()]


def unit_constant_rate(frequencies: ArrayLike, squared_norms: ArrayLike, output_gap: float = 2.0) -> float:
    r"""Return the learning rate below which the printed loss bound (constant 1) fails at large t.

    $$\eta^* = 2\,\frac{\sum_x p(x)/c_x^2}{\sum_x p(x)/c_x},\qquad c_x = p(x)\|e_x\|^2\|u_1-u_2\|^2;$$

    for unit inputs $\eta^* \|u_1-u_2\|^2 = \frac2N \sum_x 1/p(x)$. Two classes, from W_0 = 0.

    Parameters: `frequencies` p(x), shape (N,); `squared_norms` of the inputs, shape (N,) or a number; `output_gap`.
    Returns the rate. Raises InputError for numbers <= 0. Cost: O(N).

    Source: errata T2.7, (3.3). Proof: insert (3.5) into $\log(1+e^{-m}) = e^{-m} - O(e^{-2m})$; the term of order
    $\log(t)/t^2$ has the sign of $\sum_x p(x) (1 - \eta c_x/2)/c_x^2$. When every $\eta c_x \geq 2$ the printed bound
    holds at every step.

    >>> unit_constant_rate([0.5, 0.5], 1.0)
    2.0
    """
    p = positive("frequencies", frequencies)
    speed = p * positive("squared_norms", squared_norms) * positive("output_gap", output_gap)
    return float(2.0 * np.sum(p / speed**2) / np.sum(p / speed))
