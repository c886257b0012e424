"""Elementary lower bounds on the margin from zero weights, and the rates from which the printed ones are true."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .arguments import Floats, counts, positive

LOGARITHM_RATE = 2.512862417252339  # k*: the root of exp(k/2) = 1 + k
LINEAR_RATE = 2.0
UNIFORM_SHARE = 0.7310585786300049  # e/(e + 1)


def descent_margin_floor(steps: ArrayLike, rate: ArrayLike) -> Floats:
    r"""Return an elementary lower bound on the margin after t steps from margin 0, two classes, every rate.

    $$m_t \geq \log\max\left(1 + \frac{kt}{2},\ \frac{e}{e+1}(1 + kt)\right).$$

    Parameters: `steps` t, whole numbers >= 0; `rate` $k = \eta c_x$ > 0; broadcast. Returns an array.
    Raises InputError for numbers outside these ranges. Cost: one logarithm an element.

    Source: Cabannes et al. 2024, B.1.2, with the lost 1/2 put back; errata T2.5, (3.1). Proof: $e^m + m$ is convex with
    derivative $1 + e^m$, so one step adds at least k: $e^{m_t} + m_t \geq 1 + kt$; and $m \leq e^m/e$. The 1/2 comes
    from telescoping $e^{m'} - e^{m} \geq k e^m/(1+e^m) \geq k/2$, and is best possible as k t -> 0.

    >>> descent_margin_floor([0, 1, 100], 1.0).round(4).tolist()
    [0.0, 0.4055, 4.3019]
    """
    total = positive("rate", rate) * counts("steps", steps)
    floor: Floats = np.maximum(np.log1p(0.5 * total), np.log(UNIFORM_SHARE) + np.log1p(total))
    return floor[()]


def printed_margin_bound_holds(rate: ArrayLike) -> NDArray[np.bool_]:
    r"""Return whether the printed $m_t \geq \log(1 + kt)$ holds at every step from margin 0 (two classes).

    True iff $k \geq k^* = 2.512862417\ldots$, the root of $e^{k/2} = 1 + k$: it holds always iff it holds at t = 1.
    The weaker $m_t \geq \log(k(t - t_0))$ holds with some (then with every) $t_0 \geq 0$ iff $k \geq 2$.

    Parameters: `rate` k > 0. Returns an array of bool. Raises InputError for k <= 0. Cost: a comparison.

    Source: errata T2.5, T2.6, (3.3).

    >>> printed_margin_bound_holds([2.5, 2.6]).tolist()
    [False, True]
    """
    return np.asarray(positive("rate", rate) >= LOGARITHM_RATE)[()]
