"""Proposition 5 (loss spikes) and the display before it on early training, printed and corrected."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import mpmath
import numpy as np
from mpmath import mpf

from .... import analytics
from ....dynamics import simulate
from ...assumptions import ConstantRateDescent, FrequentFirst, TwoTokens, ZeroStart
from ...case import Case, Evidence, Exact, Family, Parameter
from ...claim import Claim, Source
from ...precision import evaluate_twice
from ...verdict import Outcome
from .two_token_cases import (
    ATTRACTING,
    DESCENT_CORRECTED,
    DESCENT_PRINTED,
    PAPER,
    UNIT,
    Interfering,
    descend,
    descent_case,
    descent_family,
    numbers,
    saved_steps,
)  # fmt: skip
from .two_token_precision import exact_descent, exact_numbers

SHOW = {"correlation": 0.9, "rare": 0.1, "learning_rate": 30.0, "squared_distance": 0.5, "steps": 1}
LOG2 = math.log(2.0)
SPIKES = (
    {"correlation": 0.9, "rare": 0.1, "learning_rate": 1000.0, "squared_distance": 0.02, "steps": 1},
    {"correlation": 0.95, "rare": 0.25, "learning_rate": 10.0, "squared_distance": 2.0, "steps": 1},
    {"correlation": 1 - 1e-9, "rare": 0.49, "learning_rate": 1e6, "squared_distance": 2.0, "steps": 1},
)
FAMILY = descent_family(SHOW, SPIKES, Parameter("correlation", 0.0, 0.999), Parameter("rare", 1e-3, 0.49, "log"))
HIGH = {"correlation": 0.999, "rare": 0.1, "learning_rate": 100.0, "squared_distance": 2.0, "steps": 300}
LATER = {"correlation": 0.8, "rare": 0.45, "learning_rate": 50.0, "squared_distance": 2.0, "steps": 300}


def exact_loss(case: Case, step: int) -> Any:
    """Return L(W_t) in the current precision."""
    tilt, mean = exact_descent(case, step)
    _, frequent, rare, _ = exact_numbers(case)
    return frequent * mpmath.log1p(mpmath.exp(-mean - tilt)) + rare * mpmath.log1p(mpmath.exp(tilt - mean))


def _first_loss(case: Case) -> tuple[float, float]:
    """Return (L(W_1), its error); an ulp of the correlation weighs K p_1 p_2."""
    run = simulate(case.problem, case.rule, steps=1, observe=("loss",), initial=case.initial)
    loss = float(np.asarray(run["loss"])[-1])
    _, (_, rare), distance = numbers(case)
    return loss, 8 * UNIT * (loss + 1 + float(case.rule.learning_rate) * distance * rare)


def _printed(case: Case) -> Evidence:
    loss, error = _first_loss(case)
    correlation, (frequent, rare), _ = numbers(case)
    bound = float(case.rule.learning_rate) * (correlation * frequent - rare) * rare
    return Evidence(np.ones(1), np.array([loss]), np.array([bound]), error)


def _exact_printed(case: Case, index: int) -> Exact:
    def both() -> tuple[Any, Any]:
        correlation, frequent, rare, _ = exact_numbers(case)
        return exact_loss(case, 1), mpf(float(case.rule.learning_rate)) * (correlation * frequent - rare) * rare

    return evaluate_twice(both, "one step of descent")


def _enclosed(case: Case) -> Evidence:
    """K (alpha p_1 - p_2) p_2 < L(W_1) <= the same + log 2, stacked for the relation >=."""
    loss, error = _first_loss(case)
    correlation, pair, distance = numbers(case)
    low, high = analytics.first_step_loss_bounds(correlation, pair, float(case.rule.learning_rate), distance)
    return Evidence(np.ones(2), np.array([loss, high]), np.array([low, loss]), error)


def _exact_enclosed(case: Case, index: int) -> Exact:
    def both() -> tuple[Any, Any]:
        correlation, frequent, rare, distance = exact_numbers(case)
        scale = mpf(float(case.rule.learning_rate)) * distance / 2
        low = scale * (correlation * frequent - rare) * rare
        loss = exact_loss(case, 1)
        return (low + mpmath.log(2), loss) if index else (loss, low)

    return evaluate_twice(both, "one step of descent")


def _loss_below(case: Case, bound: float) -> Evidence:
    run = descend(case)
    later = run.axis > 0
    loss = run.loss[later]
    return Evidence(
        run.axis[later], loss, np.full_like(loss, bound), run.error[later] + 8 * UNIT * (1 + loss), axis_scale="log"
    )


def _height(case: Case) -> Evidence:
    correlation, pair, distance = numbers(case)  # rounded orthogonal inputs may stand at -1e-16
    return _loss_below(
        case, analytics.spike_height_bound(max(0.0, correlation), pair, float(case.rule.learning_rate), distance)
    )


def _exact_loss_below(case: Case, index: int, bound: Callable[[], Any]) -> Exact:
    step = int(saved_steps(int(case.steps or 0))[1:][index])
    return evaluate_twice(lambda: (exact_loss(case, step), bound()), "gradient descent of the two margins")


def _exact_height(case: Case, index: int) -> Exact:
    def bound() -> Any:
        correlation, frequent, rare, distance = exact_numbers(case)
        scale = mpf(float(case.rule.learning_rate)) * distance / 2
        return mpmath.log(2) + rare * mpmath.log(frequent / rare) + scale * (1 + correlation) * frequent * rare

    return _exact_loss_below(case, index, bound)


def _early(case: Case, unit: float) -> Evidence:
    """|Delta m_i - the display| <= eta c p_2 at every step, with unit = 1 (printed) or c (corrected) in the display."""
    run = descend(case)
    correlation, (frequent, rare), distance = numbers(case)
    rate = float(case.rule.learning_rate)
    pull = rate * (unit or distance) * frequent / (1 + np.exp(np.minimum(run.margins[:-1, 0], 700.0)))
    moved = np.diff(run.margins, axis=0)
    gap = np.maximum(np.abs(moved[:, 0] - pull), np.abs(moved[:, 1] + correlation * pull))
    bound = np.full_like(gap, rate * distance * rare)
    return Evidence(run.axis[1:], gap, bound, 2 * run.error[1:] + 8 * UNIT * pull, axis_scale="log")


def _exact_early(case: Case, index: int, printed: bool) -> Exact:
    def both() -> tuple[Any, Any]:
        correlation, frequent, rare, distance = exact_numbers(case)
        rate = mpf(float(case.rule.learning_rate))
        (tilt, mean), (next_tilt, next_mean) = exact_descent(case, index), exact_descent(case, index + 1)
        pull = rate * (1 if printed else distance) * frequent / (1 + mpmath.exp(mean + tilt))
        first = next_mean + next_tilt - mean - tilt
        second = next_mean - next_tilt - mean + tilt
        return max(abs(first - pull), abs(second + correlation * pull)), rate * distance * rare

    return evaluate_twice(both, "gradient descent of the two margins")


EARLY = descent_family(
    {"correlation": 0.9, "rare": 0.01, "learning_rate": 1.0, "squared_distance": 2.0, "steps": 40},
    ({"correlation": 0.9, "rare": 0.01, "learning_rate": 0.1, "squared_distance": 2.0, "steps": 40},),
    Parameter("correlation", 0.0, 0.99), Parameter("rare", 1e-3, 0.1, "log"),
    Parameter("learning_rate", 1e-2, 10, "log"),
)  # fmt: skip
EARLY_ASSUMPTIONS = (TwoTokens(), FrequentFirst(), ATTRACTING, ConstantRateDescent(), ZeroStart())
HOLDS, VIOLATED = Outcome.HOLDS, Outcome.VIOLATED

CLAIMS = (
    Claim(
        id=f"{PAPER}.proposition5.first_step", form="printed",
        title="Proposition 5, equation (20): loss after one step",
        statement=r"if $\alpha p_1-p_2>0$ and $W_0=0$: $L(W_1)\geq\eta(\alpha p_1-p_2)p_2$",
        source=Source(PAPER, "Proposition 5, (20)", "P5.1"), quantity="$L(W_1)$", relation=">=",
        bound=r"$\eta(\alpha p_1-p_2)p_2$", expected=VIOLATED,
        reason="needs c = |u_1-u_2|^2 >= 2: at c = 0.02, eta = 1000, alpha = p_1 = 0.9 the loss is 0.7104, the "
        "bound 71.0",
        assumptions=(*DESCENT_PRINTED, Interfering()), family=FAMILY, evaluate=_printed, exact=_exact_printed,
    ),
    Claim(
        id=f"{PAPER}.proposition5.first_step", form="corrected", title="Proposition 5: loss after one step, enclosed",
        statement=r"$0<L(W_1)-K(\alpha p_1-p_2)p_2\leq\log 2$ with $K=\eta c/2$",
        source=Source(PAPER, "Proposition 5, (20)", "P5.1"), quantity="$L(W_1)$, upper bound", relation=">=",
        bound=r"$K(\alpha p_1-p_2)p_2$, $L(W_1)$", expected=HOLDS, reason="errata section 6; both sides are approached",
        proof="log(1+e^x) = x + log(1+e^-x) on the rare token, whose margin is -K(alpha p_1-p_2)",
        assumptions=(*DESCENT_CORRECTED, Interfering()), family=FAMILY, evaluate=_enclosed, exact=_exact_enclosed,
    ),
    Claim(
        id=f"{PAPER}.proposition5.criterion", form="printed", title="Proposition 5 as a criterion for spikes",
        statement=r"spikes are governed by $\alpha p_1>p_2$: if $\alpha p_1\leq p_2$ the loss stays below "
        r"$L(W_0)=\log 2$",
        source=Source(PAPER, "Proposition 5, Section 4.2", "P5.2"), quantity="$L(W_t)$", relation="<=",
        bound=r"$\log 2$", expected=VIOLATED,
        reason="a later step can spike: alpha = 0.8, p_1 = 0.55 (0.44 < 0.45), K = 50: L = .693, .213, 2.257, 11.60",
        assumptions=(*DESCENT_PRINTED, Interfering(positive=False)),
        family=Family(  # moderate rates and few steps: beyond, a trajectory is too sensitive to be certified
            (
                Parameter("correlation", 0.0, 0.99), Parameter("rare", 0.3, 0.5),
                Parameter("learning_rate", 1.0, 100.0, "log"),
            ),
            build=lambda correlation, rare, learning_rate, steps=12: descent_case(
                correlation, rare, learning_rate, 2.0, steps
            ),
            show={"correlation": 0.8, "rare": 0.45, "learning_rate": 50.0},
        ),
        evaluate=lambda case: _loss_below(case, LOG2),
        exact=lambda case, index: _exact_loss_below(case, index, lambda: mpmath.log(2)),
    ),
    Claim(
        id=f"{PAPER}.proposition5.criterion", form="corrected", title="Height of every spike",
        statement=r"for $0\leq\alpha<1$, $W_0=0$, every $\eta$, $t$: "
        r"$L(W_t)\leq\log 2+p_2\log\frac{p_1}{p_2}+\frac{\eta c}{2}(1+\alpha)p_1p_2$",
        source=Source(PAPER, "Proposition 5, Section 4.2", "P5.2"), quantity="$L(W_t)$", relation="<=",
        bound=r"$\log 2+p_2\log\frac{p_1}{p_2}+\frac{\eta c}{2}(1+\alpha)p_1p_2$", expected=HOLDS,
        reason="errata section 6; attained up to the ratio 0.9994",
        proof="m_1 + m_2 = 2 gamma_2 >= 0, so at most one margin is negative, by at most the range of the tilt; "
        "log(1+e^-m) <= log 2 + max(-m, 0)",
        assumptions=(*DESCENT_CORRECTED, ATTRACTING),
        family=descent_family(
            HIGH,
            (LATER, {**HIGH, "correlation": 0.9998, "rare": 0.018, "learning_rate": 9e5},
             {**HIGH, "correlation": 0.95, "rare": 0.25, "learning_rate": 10.0, "steps": 100000},
             {**HIGH, "rare": 1e-12, "learning_rate": 1e6}, {**HIGH, "correlation": 0.0, "learning_rate": 1e-6}),
            Parameter("correlation", 0.0, 0.9999),
        ),
        evaluate=_height, exact=_exact_height,
    ),
    Claim(
        id=f"{PAPER}.section42.early_training", form="printed", title="Section 4.2: early training",
        statement=r"early on $\Delta m_1=\frac{\eta p_1}{1+e^{m_1}}$, $\Delta m_2=-\frac{\eta\alpha "
        r"p_1}{1+e^{m_1}}$, up to "
        r"the neglected terms, at most $\eta cp_2$",
        source=Source(PAPER, "Section 4.2, display after (20)", "smaller slips"),
        quantity=r"$|\Delta m_i-\mathrm{display}|$", relation="<=", bound=r"$\eta cp_2$", expected=VIOLATED,
        reason="the display lacks the factor c of (17)", assumptions=EARLY_ASSUMPTIONS, family=EARLY,
        evaluate=lambda case: _early(case, 1.0), exact=lambda case, index: _exact_early(case, index, True),
    ),
    Claim(
        id=f"{PAPER}.section42.early_training", form="corrected", title="Section 4.2: early training",
        statement=r"$|\Delta m_1-\frac{\eta cp_1}{1+e^{m_1}}|$ and $|\Delta m_2+\frac{\eta c\alpha "
        r"p_1}{1+e^{m_1}}|$ are at "
        r"most $\eta cp_2$",
        source=Source(PAPER, "Section 4.2, display after (20)", "smaller slips"),
        quantity=r"$|\Delta m_i-\mathrm{display}|$", relation="<=", bound=r"$\eta cp_2$", expected=HOLDS,
        reason="(17) with the p_2 terms dropped", proof="the dropped terms are eta c p_2/(1+e^{m_2}) times 1 or alpha",
        assumptions=EARLY_ASSUMPTIONS, family=EARLY,
        evaluate=lambda case: _early(case, 0.0), exact=lambda case, index: _exact_early(case, index, False),
    ),
)  # fmt: skip
