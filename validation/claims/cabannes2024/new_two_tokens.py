"""NEW on two tokens: lemmas L1-L3, the orbit (5.2), the envelope (5.3), rates, constants and the loss of the flow."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import mpmath
import numpy as np
from mpmath import mpf

from .... import analytics
from ....dynamics import simulate
from ...assumption import Assumption
from ...assumptions import ConstantRateDescent, CorrelationBetween
from ...case import Case, Evidence, Exact, Family, Parameter
from ...claim import Claim, Relation, Source
from ...precision import evaluate_twice
from ...verdict import Outcome
from .flow_evidence import exact_point, flow_evidence
from .two_token_assumptions import LateEnd, PositiveMean, TiltWithin, Unequal
from .two_token_cases import (
    DISTANCE,
    FLOW_CASES,
    FLOW_CORRECTED,
    OPEN,
    ORDERED,
    PAPER,
    UNIT,
    Array,
    Picked,
    Run,
    flow,
    flow_case,
    flow_family,
    numbers,
    state_case,
)  # fmt: skip
from .two_token_precision import exact_numbers, exact_start, exact_velocity
from .two_token_regime import LateRegime, SeparatedRates, regime

STATES: tuple[Assumption, ...] = (*ORDERED, OPEN, ConstantRateDescent())


# lemmas L1-L3: the pull A + B


def _state(correlation: float, rare: float, squared_distance: float, tilt: float, mean_margin: float) -> Case:
    return state_case(correlation, rare, squared_distance, tilt, mean_margin, 1.0)


def _within(correlation: float, rare: float, squared_distance: float, share: float, mean_margin: float) -> Case:
    """A state whose tilt is a share of log(p_1/p_2)."""
    tilt = share * math.log((1 - rare) / rare)
    return state_case(correlation, rare, squared_distance, tilt, mean_margin, 1.0)


def _pull(case: Case, bound: Callable[[float, float, float], float]) -> Evidence:
    """A + B, measured from one step of descent, against a function of (p_1, p_2, e^{gamma_2})."""
    run = simulate(case.problem, case.rule, steps=1, observe=("margin",), initial=case.initial)
    margins = np.asarray(run["margin"])
    correlation, (frequent, rare), distance = numbers(case)
    rate = float(case.rule.learning_rate) * distance * (1 - correlation)
    pull = float((margins[1] - margins[0]).sum()) / rate
    size = 1.0 + float(np.abs(margins).max())
    limit = bound(frequent, rare, math.exp(float(margins[0].mean())))
    return Evidence(np.zeros(1), np.array([pull]), np.array([limit]), 32 * UNIT * size * (1 / rate + 1))


def _exact_pull(case: Case, bound: Callable[[Any, Any, Any], Any]) -> Exact:
    def both() -> tuple[Any, Any]:
        margins = exact_start(case)
        correlation, frequent, rare, distance = exact_numbers(case)
        pull = sum(exact_velocity(case)(margins)) / (distance * (1 - correlation))
        return pull, bound(frequent, rare, mpmath.exp((margins[0] + margins[1]) / 2))

    return evaluate_twice(both, "velocity of the two margins")


def _second(frequent: Any, rare: Any, growth: Any) -> Any:
    root = mpmath.sqrt if isinstance(rare, mpf) else math.sqrt
    return 2 * root(frequent * rare) / (2 * root(frequent / rare) + growth)


def _lemma(
    number: int, statement: str, relation: Relation, bound: Callable[[Any, Any, Any], Any], text: str, proof: str
) -> Claim:
    # a hair inside the ends: a mode is half a sum of rounded margins, and at an end the lemma holds with equality
    growing = Parameter("mean_margin", 1e-6 if number != 2 else -6.0, 8.0)
    moving = Parameter("share", 1e-3, 0.999) if number == 3 else Parameter("tilt", -6.0, 6.0)
    rare = Parameter("rare", 1e-4, 0.499 if number == 3 else 0.5, "log")
    show = {"correlation": 0.5, "rare": 0.2, "squared_distance": 2.0, "mean_margin": 1.0, moving.name: 0.5}
    where: tuple[Assumption, ...] = {1: (PositiveMean(),), 2: (), 3: (PositiveMean(), TiltWithin())}[number]
    return Claim(
        id=f"{PAPER}.new.lemma{number}", form="corrected", title=f"Lemma L{number}: the pull A + B",
        statement=statement,
        source=Source(PAPER, "Theorem 4, new", f"L{number}"), quantity="$A+B$", relation=relation, bound=text,
       
        expected=Outcome.HOLDS, reason="errata section 5", proof=proof, assumptions=(*STATES, *where),
        family=Family(
            (Parameter("correlation", -0.99, 0.99), rare, DISTANCE, moving, growing),
            build=_within if number == 3 else _state, show=show,
        ),
        evaluate=lambda case: _pull(case, bound), exact=lambda case, _: _exact_pull(case, bound),
    )  # fmt: skip


# the orbit and the envelope


def _orbit(case: Case) -> Evidence:
    """Deviation of the tilt, then relative time, of the simulated flow against the orbit at the same mean margin.

    The budget is that of the two integrations: 1e-8 of the scale C(0) e^{-b g} on which the deviation lives.
    """
    correlation, pair, distance = numbers(case)
    run = flow(case)
    later = np.flatnonzero(run.mean > 0.05)
    mean, time = run.mean[later], run.axis[later]
    deviation, clock = analytics.flow_orbit(mean, correlation, pair, distance)
    measured = run.tilt[later] - analytics.limiting_tilt(pair)
    exponent = analytics.alignment_exponent(correlation)
    scale = np.abs(measured) + float(analytics.turning_level(0.0, pair)) * np.exp(-exponent * mean)
    quantity, bound = np.concatenate([measured, time / clock]), np.concatenate([deviation, np.ones_like(time)])
    stretch = 2 * run.error[later] * (1 + np.exp(mean) / (np.expm1(mean) + mean))
    error = np.concatenate([run.error[later] + 1e-8 * scale, 1e-8 + stretch])
    return Evidence(np.concatenate([time, time]), quantity, bound, error, axis_name="time t", axis_scale="log")


def _envelope(case: Case) -> Evidence:
    """Both sides of (5.3), stacked for the relation >=."""
    correlation, pair, _ = numbers(case)
    limit = analytics.limiting_tilt(pair)

    def measure(run: Run, picked: Picked) -> tuple[Array, Array, Array]:
        lower, upper = analytics.flow_tilt_envelope(np.maximum(run.mean[picked], 0.0), correlation, pair)
        offset = run.tilt[picked] - limit
        error = run.error[picked] + 1e-13 * (np.abs(lower) + np.abs(upper)) + 4 * UNIT * limit
        return np.concatenate([offset, upper]), np.concatenate([lower, offset]), np.concatenate([error, error])

    return flow_evidence(case, measure)


def _exact_envelope(case: Case, index: int) -> Exact | None:
    def compare(tilt: Any, mean: Any, time: float, second: bool) -> tuple[Any, Any]:
        correlation, frequent, rare, _ = exact_numbers(case)
        stiffness, growth = (1 + correlation) / (1 - correlation), 1 / (2 * mpmath.sqrt(frequent * rare))
        level, offset = (frequent - rare) * growth, tilt - mpmath.log(frequent / rare) / 2
        top = mpmath.exp(mean) + growth
        if not second:
            return offset, -mpmath.asinh(level * ((1 + growth) / top) ** stiffness)
        panels = mpmath.linspace(1, mpmath.exp(mean), 2 + math.ceil(4 * float(mean) + float(stiffness)))
        integral = mpmath.quad(lambda x: ((x + growth) / top) ** stiffness / (x * (x + 1)), panels)
        return mpmath.asinh(level * stiffness * integral), offset

    return exact_point(case, index, compare)


def _short(correlation: float, rare: float, squared_distance: float = 2.0, time: float | None = None) -> Case:
    """A flow over 500 units of c t: later the upper envelope is exact to the last digit of a simulation."""
    return flow_case(correlation, rare, squared_distance, 500.0 / squared_distance if time is None else time)


# rates and constants


def _clock(case: Case, time: float) -> float:
    correlation, (frequent, rare), distance = numbers(case)
    return (1 - correlation) * distance * math.sqrt(frequent * rare) * time


def _exponent(case: Case) -> Evidence:
    """Local exponent of the deviation over the last decade, with the budget of the run's regime."""
    correlation, pair, _ = numbers(case)
    run = flow(case)
    late, early = len(run.axis) - 1, int(np.argmin(np.abs(run.axis - run.axis[-1] / 10)))
    offset = np.abs(run.tilt - analytics.limiting_tilt(pair))
    span = math.log(run.axis[late] / run.axis[early])
    exponent = -math.log(offset[late] / offset[early]) / span
    rounding = float((run.error[late] + UNIT) / offset[late] + (run.error[early] + UNIT) / offset[early]) / span
    bound = analytics.alignment_exponent(correlation)
    error = regime(case, run).relative_error(float(run.axis[early])) / span + rounding
    return Evidence(run.axis[-1:], np.array([exponent]), np.array([bound]), error, axis_name="time t", axis_scale="log")


def _constant(case: Case) -> Evidence:
    """t (gamma_1 - gbar) over the last decade against its limit, alpha > 0, with the budget of the run's regime."""
    correlation, pair, distance = numbers(case)
    run = flow(case)
    late = np.flatnonzero(run.axis >= 0.1 * run.axis[-1])
    time, state = run.axis[late], regime(case, run)
    bound = np.full_like(time, analytics.alignment_constant(correlation, pair, distance))
    relative = np.array([state.relative_error(float(t)) for t in time])
    measured = time * (run.tilt[late] - analytics.limiting_tilt(pair))
    return Evidence(
        time, measured, bound, relative * np.abs(measured) + time * (run.error[late] + UNIT), axis_name="time t",
        axis_scale="log",
    )  # fmt: skip


def _uncorrelated(case: Case) -> Evidence:
    _, pair, distance = numbers(case)

    def measure(run: Run, picked: Picked) -> tuple[Array, Array, Array]:
        tilt, mean = analytics.uncorrelated_flow(run.axis[picked], pair, distance)
        error = run.error[picked] + 4 * UNIT * (1 + mean)
        measured = np.concatenate([run.tilt[picked], run.mean[picked]])
        return measured, np.concatenate([tilt, mean]), np.concatenate([error, error])

    return flow_evidence(case, measure)


def _loss_limit(case: Case) -> Evidence:
    """t L(W_t) over the last two decades against 2/((1-alpha) c).

    Budget: with d = |gamma_1 - gbar|, t L is the limit times cosh(d) (1 + O(log(t) r / (c_0 s t))), and the growth of
    e^{gamma_2} so far carries the mean of cosh(d), at most 1 + d^2/|1 - 2b| late on; times 10.
    """
    correlation, pair, distance = numbers(case)
    run = flow(case)
    late = np.flatnonzero(run.axis >= 1e-2 * run.axis[-1])
    time = run.axis[late]
    bound = np.full_like(time, analytics.loss_constant(correlation, distance))
    offset = np.abs(run.tilt[late] - analytics.limiting_tilt(pair))
    exponent = analytics.alignment_exponent(correlation)
    clock = np.array([_clock(case, float(t)) for t in time])
    early = math.sinh(analytics.limiting_tilt(pair)) ** 2 + math.sqrt(pair[0] / pair[1])
    remainder = offset**2 / max(0.1, abs(1 - 2 * exponent)) + early * (1 + np.log(clock)) / clock
    error = bound * (10 * remainder + 2 * run.error[late])
    return Evidence(time, time * run.loss[late], bound, error, axis_name="time t", axis_scale="log")


def _loss_bound(case: Case) -> Evidence:
    """L(W_t) <= e^{-lower bound of gamma_2}."""
    correlation, pair, distance = numbers(case)

    def measure(run: Run, picked: Picked) -> tuple[Array, Array, Array]:
        lower, _ = analytics.flow_mean_margin_bounds(run.axis[picked], correlation, pair, distance)
        loss = run.loss[picked]
        return loss, np.exp(-lower), loss * (run.error[picked] + 8 * UNIT)

    return flow_evidence(case, measure)


# claims

LONG = {"squared_distance": 2.0, "time": 1e6}
SLOW = Family(
    (Parameter("correlation", -0.8, -0.45), Parameter("rare", 0.05, 0.4)),
    build=lambda correlation, rare, time=1e6: flow_case(correlation, rare, 2.0, time),
    show={"correlation": -0.5, "rare": 0.25},
    corners=({"correlation": 0.5, "rare": 0.1}, {"correlation": 0.8, "rare": 0.3}, {"correlation": -0.8, "rare": 0.3}),
)
FAST = Family(
    (Parameter("correlation", 0.3, 0.9), Parameter("rare", 0.05, 0.4)),
    build=lambda correlation, rare, time=1e6: flow_case(correlation, rare, 2.0, time),
    show={"correlation": 0.5, "rare": 0.1}, corners=({"correlation": 0.9, "rare": 0.3},),
)  # fmt: skip
FREE = Family(
    (Parameter("rare", 1e-3, 0.5, "log"), DISTANCE),
    build=lambda rare, squared_distance, time=1e8: flow_case(0.0, rare, squared_distance, time),
    show={"rare": 0.3, "squared_distance": 2.0}, corners=({"rare": 0.3, "squared_distance": 2.0, "time": 1e16},),
)  # fmt: skip
LOSS = Family(
    (Parameter("correlation", -0.5, 0.9), Parameter("rare", 0.02, 0.5, "log")),
    build=lambda correlation, rare, time=1e8: flow_case(correlation, rare, 2.0, time),
    show={"correlation": 0.5, "rare": 0.1},
    corners=({"correlation": 0.9, "rare": 0.25, "time": 1e10}, {"correlation": -0.5, "rare": 0.3, "time": 1e10}),
)


def _new(
    name: str, title: str, statement: str, quantity: str, relation: Relation, bound: str, erratum: str, proof: str,
    family: Family, evaluate: Callable[[Case], Evidence], exact: Callable[[Case, int], Exact | None] | None = None,
    extra: tuple[Assumption, ...] = (), reason: str = "errata section 5",
) -> Claim:  # fmt: skip
    return Claim(
        id=f"{PAPER}.new.{name}", form="corrected", title=title, statement=statement, quantity=quantity,
        relation=relation, bound=bound, source=Source(PAPER, "Theorem 4, new", erratum), proof=proof,
       
        expected=Outcome.HOLDS, reason=reason, family=family, evaluate=evaluate, exact=exact,
        assumptions=(*FLOW_CORRECTED, *extra), **FLOW_CASES,
    )  # fmt: skip


CLAIMS = (
    _lemma(
        1, r"for $a=e^{\gamma_2}\geq 1$ and every tilt: $A+B\geq 2p_2/(1+a)$", ">=",
        lambda frequent, rare, growth: 2 * rare / (1 + growth), r"$2p_2/(1+a)$",
        "p_1 >= p_2 and (1+a cosh g)(1+a) - (1+2a cosh g+a^2) = a(a-1)(cosh g-1) >= 0",
    ),
    _lemma(
        2, r"for every tilt and mean margin: $A+B\geq 2s/(2r+a)$, $s=\sqrt{p_1p_2}$, $r=\sqrt{p_1/p_2}$", ">=", _second,
        r"$2s/(2r+a)$",
        "cross-multiplied: a^2(Y-2s) + a(1+2rY-4s cosh g) + 2r-2s >= 0 with Y = p_1 e^-g + p_2 e^g >= 2s",
    ),
    _lemma(
        3, r"for $0\leq\gamma_1\leq\log(p_1/p_2)$ and $a=e^{\gamma_2}\geq 1$: $A+B\leq 1/(1+a)$", "<=",
        lambda frequent, rare, growth: 1 / (1 + growth), r"$1/(1+a)$", "Y = 2s cosh(g - gbar) <= 1 and cosh g >= 1",
    ),
    _new(
        "two_token_orbit", "The orbit of the flow",
        r"$S=\sinh(\gamma_1-\bar\gamma)$ solves $\frac{dS}{d\gamma_2}=\kappa(\Delta "
        r"e-S)\frac{\sqrt{1+S^2}}{\sqrt{1+S^2}+e}$, "
        r"$e=\frac{e^{-\gamma_2}}{2\sqrt{p_1p_2}}$, $\Delta=p_1-p_2$, $\kappa=\frac{1+\alpha}{1-\alpha}$, $S(0)=-C(0)$",
        r"$\gamma_1-\bar\gamma$, time", "==", "orbit", "(5.2)", "divide the two equations (19) by each other",
        flow_family({"correlation": 0.5, "rare": 0.1, **LONG}), _orbit,
    ),
    _new(
        "tilt_envelope", "Envelope of the tilt",
        r"$-C_0(\frac{1+G}{a+G})^\kappa\leq\sinh(\gamma_1-\bar\gamma)\leq C_0\kappa(a+G)^{-\kappa}\int_1^a"
        r"\frac{(x+G)^\kappa}{x(x+1)}dx$, $a=e^{\gamma_2}$, $G=\frac{1}{2\sqrt{p_1p_2}}$, $C_0=(p_1-p_2)G$",
        r"$\gamma_1-\bar\gamma$, upper", ">=", r"lower, $\gamma_1-\bar\gamma$", "(5.3)",
        "variation of constants in the orbit equation with x/(x+G) <= q <= x/(x+1), for |gamma_1-gbar| <= gbar",
        Family(
            (Parameter("correlation", -0.9, 0.9), Parameter("rare", 1e-3, 0.5, "log"), DISTANCE), build=_short,
            show={"correlation": 0.5, "rare": 0.1, "squared_distance": 2.0},
            corners=({"correlation": -0.8, "rare": 0.3, "squared_distance": 2.0, "time": 1e8},
                     {"correlation": -0.2, "rare": 0.01, "squared_distance": 2.0, "time": 1e4}),
        ),
        _envelope, _exact_envelope,
    ),
    _new(
        "alignment_exponent", "Rate of alignment",
        r"$|\gamma_1-\bar\gamma|\sim t^{-b}$, $b=\min(1,\frac{1+\alpha}{1-\alpha})$ for $p_1>p_2$ and "
        r"$\alpha\leq-1/3$ or $\alpha\geq 0.2$; "
        r"not in between: at one $\alpha^*(p_1)$ in $(-1/3,0)$ the factor of $t^{-b}$ vanishes",
        "local exponent over the last decade", "==", r"$\min(1,\frac{1+\alpha}{1-\alpha})$", "T4.5, (5.2)",
        "for large gamma_2 the orbit is dS/dg = kappa(C - S): forced part e^-g, free part e^{-kappa g}; e^g ~ t", SLOW,
        _exponent, extra=(Unequal(), SeparatedRates(), LateEnd(), LateRegime()),
        reason="measured -.1111 at alpha = -.8, -.3333 at -.5, -.5000 at -1/3",
    ),
    _new(
        "alignment_constant", "Constant of alignment",
        r"$t(\gamma_1-\bar\gamma)\to\frac{(1+\alpha)(p_1-p_2)}{4\alpha(1-\alpha)cp_1p_2}$ for $\alpha>0$, $p_1>p_2$",
        r"$t(\gamma_1-\bar\gamma)$", "==", r"$\frac{(1+\alpha)(p_1-p_2)}{4\alpha(1-\alpha)cp_1p_2}$", "T4.5, (5.2)",
        "the forced part is kappa C/(kappa-1), and e^{gamma_2} ~ c_0 sqrt(p_1p_2) t", FAST, _constant,
        extra=(CorrelationBetween(0.0, 1.0, open_low=True, open_high=True), Unequal(), LateEnd(), LateRegime()),
        reason="alpha = .5, p_1 = .9, c = 2: predicted 6.6667, measured 6.667",
    ),
    _new(
        "uncorrelated_flow", "Flow at correlation zero",
        r"at $\alpha=0$: $e^{m_i}+m_i=1+cp_it$, so $\gamma_1-\bar\gamma\sim(1/p_2-1/p_1)\log t/(2ct)$",
        r"$\gamma_1$, $\gamma_2$", "==", "closed form", "T4.5, (5.2)", "the tokens decouple", FREE, _uncorrelated,
        extra=(CorrelationBetween(0.0, 0.0),),
    ),
    _new(
        "two_token_loss_limit", "Limit of the loss", r"$tL(W_t)\to\frac{2}{(1-\alpha)c}$, whatever the frequencies",
        "$tL(W_t)$", "==", r"$\frac{2}{(1-\alpha)c}$", "(5.1)",
        "L ~ p_1e^{-m_1}+p_2e^{-m_2} = 2s cosh(gamma_1-gbar) e^{-gamma_2} and e^{gamma_2} ~ c_0 s t", LOSS, _loss_limit,
        extra=(LateEnd(),),
    ),
    _new(
        "two_token_loss", "Upper bound of the loss",
        r"$L(W_t)\leq e^{-g}$ with $g$ the lower bound (5.1) of $\gamma_2$, for all $t$", "$L(W_t)$", "<=", "$e^{-g}$",
        "(5.1)", "L <= p_1e^{-m_1}+p_2e^{-m_2} = 2s cosh(gamma_1-gbar)e^{-gamma_2} <= e^{-gamma_2}",
        flow_family({"correlation": 0.5, "rare": 0.1, **LONG}), _loss_bound,
    ),
)  # fmt: skip
