"""Section 4.2: when one step is enough, and when the margins only grow."""

from __future__ import annotations

from typing import Any

import numpy as np
from mpmath import mpf

from ....dynamics import simulate
from ...assumptions import ConstantRateDescent, CorrelationBetween, TwoTokens, ZeroStart
from ...case import Case, Evidence, Exact, Parameter
from .theorem4_descent import HOLDS, SHOW, VIOLATED, descent_claim
from .two_token_cases import (
    UNIT,
    descend,
    descent_family,
    numbers,
    saved_steps,
    state_family,
)  # fmt: skip
from .two_token_precision import exact_velocity, twice_descent


def _rate(case: Case) -> float:
    return float(case.rule.learning_rate)


def _first_margins(case: Case) -> Evidence:
    """T4.16 corrected: the least margin after one step against K min(p_1 - alpha p_2, p_2 - alpha p_1)."""
    correlation, (first, second), distance = numbers(case)
    run = simulate(case.problem, case.rule, steps=1, observe=("margin",), initial=case.initial)
    scale = 0.5 * _rate(case) * distance
    least = float(np.asarray(run["margin"])[-1].min())
    bound = scale * min(first - correlation * second, second - correlation * first)
    return Evidence(np.ones(1), np.array([least]), np.array([bound]), 16 * UNIT * scale)


def _one_step(case: Case) -> Evidence:
    """T4.16 printed: after one step every margin is positive."""
    run = simulate(case.problem, case.rule, steps=1, observe=("margin",), initial=case.initial)
    margins = np.asarray(run["margin"])
    size = float(np.abs(margins).max())
    return Evidence(np.array([1.0, 2.0]), margins[-1], np.zeros(2), 16 * UNIT * (size + 1), axis_name="token")


def _exact_one_step(case: Case, index: int) -> Exact:
    def compare(tilt: Any, mean: Any) -> tuple[Any, Any]:
        return (mean + tilt, mean - tilt)[index], mpf(0)

    return twice_descent(case, 1, compare)


def _growing(case: Case) -> Evidence:
    """Both margins increase at every step (alpha <= 0)."""
    run = descend(case)
    steps = np.diff(run.margins, axis=0)
    adjacent = np.flatnonzero(np.diff(run.axis) == 1)
    rise = steps[adjacent].min(axis=1)
    largest = np.maximum.accumulate(np.abs(run.margins).max(axis=1))[adjacent + 1]
    return Evidence(run.axis[adjacent] + 1, rise, np.zeros_like(rise), 4 * UNIT * largest, axis_scale="log")


def _exact_growing(case: Case, index: int) -> Exact:
    def compare(tilt: Any, mean: Any) -> tuple[Any, Any]:
        return min(exact_velocity(case)([mean + tilt, mean - tilt])) * mpf(_rate(case)), mpf(0)

    step = index if int(case.steps or 0) <= 2000 else int(saved_steps(int(case.steps or 0))[index])
    return twice_descent(case, step, compare)


REPULSIVE = CorrelationBetween(-1.0, 0.0)
STATE_SHOW = {
    "correlation": -0.5, "rare": 0.25, "squared_distance": 2.0, "tilt": 0.0, "mean_margin": -3.0, "learning_rate": 1.0,
}  # fmt: skip


CLAIMS = (
    descent_claim(
        "section42", "one_step", "printed", "T4.16", "Section 4.2", "One step is enough without competition",
        r"for $\alpha\leq 0$ a single gradient step gives perfect accuracy: $m_i(1)>0$", "$m_i(1)$", ">=", "$0$",
        VIOLATED, "needs W_0 = 0: from margins of -3 a step of rate 1 does not reach 0",
        _one_step, _exact_one_step, assumptions=(TwoTokens(), REPULSIVE, ConstantRateDescent()),
        family=state_family(STATE_SHOW, correlation=Parameter("correlation", -0.99, 0.0)),
    ),
    descent_claim(
        "section42", "one_step", "corrected", "T4.16", "Section 4.2", "When one step is enough",
        r"from $W_0=0$ the least margin after one step is $\frac{\eta c}{2}\min(p_1-\alpha p_2,p_2-\alpha p_1)$: "
        r"one step "
        r"is enough iff $p_2>\alpha p_1$ (for $p_1\geq p_2$)",
        r"$\min_i m_i(1)$", "==", r"$\frac{\eta c}{2}\min(p_1-\alpha p_2,p_2-\alpha p_1)$", HOLDS,
        "equation (17) at W = 0", _first_margins,
        assumptions=(TwoTokens(), ConstantRateDescent(), ZeroStart()), proof="both sigmoids are 1/2 at W = 0",
    ),
    descent_claim(
        "section42", "margins_grow", "printed", "T4.16", "Section 4.2", "Both margins grow without competition",
        r"for $\alpha\leq 0$ both margins increase at every step", r"$\min_i\Delta m_i$", ">=", "$0$", HOLDS,
        "true from every W: both terms of (17) are positive", _growing, _exact_growing,
        assumptions=(TwoTokens(), REPULSIVE, ConstantRateDescent(), ZeroStart()),
        family=descent_family(
            {**SHOW, "correlation": -0.5}, ({**SHOW, "correlation": 0.0}, {**SHOW, "correlation": -1.0}),
            Parameter("correlation", -1.0, 0.0),
        ),
    ),
)  # fmt: skip
