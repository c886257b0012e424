"""Appendix C.1, the indications for gradient descent: the lower bound of the mean margin that they use."""

from __future__ import annotations

from typing import Any

import mpmath
import numpy as np

from ...case import Array, Case, Evidence, Exact
from .theorem4_descent import HOLDS, VIOLATED, along_descent, descent_claim, exact_along_descent
from .two_token_cases import Picked, Run, numbers
from .two_token_precision import exact_numbers


def _rate(case: Case) -> float:
    return float(case.rule.learning_rate)


def _printed(case: Case) -> Evidence:
    """gamma_2 >= log(eta c t + 1)."""
    _, _, distance = numbers(case)

    def measure(run: Run, picked: Picked) -> tuple[Array, Array, Array]:
        return run.mean[picked], np.log1p(_rate(case) * distance * run.axis[picked]), run.error[picked]

    return along_descent(case, measure)


def _exact_printed(case: Case, index: int) -> Exact:
    def compare(_: Any, mean: Any, step: int, second: bool) -> tuple[Any, Any]:
        distance = exact_numbers(case)[3]
        return mean, mpmath.log1p(mpmath.mpf(_rate(case)) * distance * step)

    return exact_along_descent(case, index, compare)


def _corrected(case: Case) -> Evidence:
    """gamma_2 >= log of the larger of 1 + eta c_1 t/2 and e/(e+1) (1 + eta c_1 t)."""
    correlation, (_, rare), distance = numbers(case)

    def measure(run: Run, picked: Picked) -> tuple[Array, Array, Array]:
        total = _rate(case) * (1 - correlation) * distance * rare * run.axis[picked]
        bound = np.maximum(np.log1p(0.5 * total), np.log1p(total) - np.log1p(np.exp(-1.0)))
        return run.mean[picked], bound, run.error[picked]

    return along_descent(case, measure)


def _exact_corrected(case: Case, index: int) -> Exact:
    def compare(_: Any, mean: Any, step: int, second: bool) -> tuple[Any, Any]:
        correlation, _, rare, distance = exact_numbers(case)
        total = mpmath.mpf(_rate(case)) * (1 - correlation) * distance * rare * step
        return mean, max(mpmath.log1p(total / 2), mpmath.log1p(total) - mpmath.log1p(mpmath.exp(-1)))

    return exact_along_descent(case, index, compare)


PLACE = "Appendix C.1, Indications to prove that gamma_1 converges"
TITLE = "Descent: the mean margin in the indications"

CLAIMS = (
    descent_claim(
        "appendix_c", "descent_indications", "printed", "smaller slips", PLACE, TITLE,
        r"$\gamma_2(t)\geq\log(\eta ct+1)$, $c=\|u_1-u_2\|^2$", r"$\gamma_2(t)$", ">=", r"$\log(\eta ct+1)$", VIOLATED,
        "contradicts (37), which has $c_1/2$, $c_1=(1-\\alpha)cp_2$, for $c$: one step from $W_0=0$ gives "
        "$\\gamma_2=(1-\\alpha)\\eta c/4$ against $\\log(1+\\eta c)$; with $c_1$ for $c$ it is false too, as "
        "$e^{\\gamma_2}+\\gamma_2\\to 1+\\eta c_1t$ at $p_1=p_2$ for small rates",
        _printed, _exact_printed,
    ),
    descent_claim(
        "appendix_c", "descent_indications", "corrected", "smaller slips", PLACE, TITLE,
        r"$\gamma_2(t)\geq\log\,\max(1+\frac{\eta c_1t}{2},\frac{e}{e+1}(1+\eta c_1t))$, $c_1=(1-\alpha)cp_2$, for "
        r"every $\eta$ and $t$", r"$\gamma_2(t)$", ">=", r"$\log\,\max(\cdot,\cdot)$", HOLDS,
        "(37), and the constant of the flow; both rates are O(1/t) as the indications need", _corrected,
        _exact_corrected,
        proof=r"(37); and $e^{\gamma_2}(1+1/e)\geq e^{\gamma_2}+\gamma_2\geq 1+\eta c_1t$ (T4.11)",
    ),
)  # fmt: skip
