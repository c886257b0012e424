"""Theorem 4 for gradient flow, printed and corrected."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import mpmath
import numpy as np
from mpmath import mpf

from .... import analytics
from ...assumptions import CorrelationBetween, FrequentFirst, TwoTokens, ZeroStart
from ...case import Case, Evidence, Exact, Parameter
from .flow_evidence import (
    HOLDS,
    NOT_TESTABLE,
    SHOW,
    VIOLATED,
    appendix_lower,
    exact_appendix_lower,
    exact_point,
    flow_claim,
    flow_evidence,
    position,
)  # fmt: skip
from .two_token_cases import FLOW_CORRECTED, Array, Flow, Picked, Run, flow, flow_family, numbers
from .two_token_precision import exact_line_root, exact_numbers, twice_flow


def _ratio(case: Case, run: Run, picked: Picked) -> tuple[Array, Array]:
    """Return c_t/c_0 and its error."""
    correlation, _, distance = numbers(case)
    time, mean = run.axis[picked], run.mean[picked]
    ratio = analytics.growth_constant(time, mean, correlation, distance)
    return ratio, (np.exp(mean) + 1) * run.error[picked] / ((1 - correlation) * distance * time) + 1e-15


def _exact_ratio(case: Case, mean: Any, time: float) -> Any:
    correlation, _, _, distance = exact_numbers(case)
    return (mpmath.expm1(mean) + mean) / ((1 - correlation) * distance * mpf(time))


def _growth(
    case: Case, lower: Callable[[float, float], float], upper: Callable[[float, float], float] | None
) -> Evidence:
    """c_t/c_0 against a lower bound and, stacked behind it, an upper bound against c_t/c_0 (relation >=)."""
    _, (frequent, rare), _ = numbers(case)

    def measure(run: Run, picked: Picked) -> tuple[Array, Array, Array]:
        ratio, error = _ratio(case, run, picked)
        low = np.full_like(ratio, lower(frequent, rare))
        if upper is None:
            return ratio, low, error
        high = np.full_like(ratio, upper(frequent, rare))
        return np.concatenate([ratio, high]), np.concatenate([low, ratio]), np.concatenate([error, error])

    return flow_evidence(case, measure)


def _exact_growth(
    case: Case, index: int, lower: Callable[[Any, Any], Any], upper: Callable[[Any, Any], Any]
) -> Exact | None:
    times, second = position(case, index)

    def compare(states: Sequence[tuple[Any, Any]]) -> tuple[Any, Any]:
        _, frequent, rare, _ = exact_numbers(case)
        ratio = _exact_ratio(case, states[0][1], times)
        return (upper(frequent, rare), ratio) if second else (ratio, lower(frequent, rare))

    return twice_flow(case, [times], compare)


def _upper_only(case: Case, upper: Callable[[float, float], float]) -> Evidence:
    _, (frequent, rare), _ = numbers(case)

    def measure(run: Run, picked: Picked) -> tuple[Array, Array, Array]:
        ratio, error = _ratio(case, run, picked)
        return np.full_like(ratio, upper(frequent, rare)), ratio, error

    return flow_evidence(case, measure)


def _exact_upper_only(case: Case, index: int, upper: Callable[[Any, Any], Any]) -> Exact | None:
    def compare(_: Any, mean: Any, time: float, second: bool) -> tuple[Any, Any]:
        _, frequent, rare, _ = exact_numbers(case)
        return upper(frequent, rare), _exact_ratio(case, mean, time)

    return exact_point(case, index, compare)


def _mean_margin(case: Case) -> Evidence:
    correlation, pair, distance = numbers(case)

    def measure(run: Run, picked: Picked) -> tuple[Array, Array, Array]:
        lower, upper = analytics.flow_mean_margin_bounds(run.axis[picked], correlation, pair, distance)
        mean, error = run.mean[picked], run.error[picked]
        return np.concatenate([mean, upper]), np.concatenate([lower, mean]), np.concatenate([error, error])

    return flow_evidence(case, measure)


def _exact_mean_margin(case: Case, index: int) -> Exact | None:
    def compare(_: Any, mean: Any, time: float, second: bool) -> tuple[Any, Any]:
        correlation, frequent, rare, distance = exact_numbers(case)
        elapsed = (1 - correlation) * distance * mpf(time)
        if second:
            return exact_line_root(elapsed / 2, mpf(1)), mean
        geometric, odds = mpmath.sqrt(frequent * rare), mpmath.sqrt(frequent / rare)
        return mean, max(exact_line_root(rare * elapsed, mpf(1)), exact_line_root(geometric * elapsed, 2 * odds - 1))

    return exact_point(case, index, compare)


DECADE = 10.0


def _rate(case: Case) -> tuple[Run, int, float, float]:
    """Return (run, index a decade before the end, local exponent over the last decade, its error)."""
    run = flow(case)
    _, pair, _ = numbers(case)
    late = len(run.axis) - 1
    early = int(np.argmin(np.abs(np.log(run.axis[1:] * DECADE / run.axis[-1])))) + 1
    offset = np.abs(run.tilt - analytics.limiting_tilt(pair))
    with np.errstate(divide="ignore"):
        exponent = -math.log(offset[late] / offset[early]) / math.log(run.axis[late] / run.axis[early])
    error = (run.error[late] / offset[late] + run.error[early] / offset[early]) / math.log(DECADE)
    return run, early, exponent, float(error)


def _exponent(case: Case) -> Evidence:
    """The local exponent of |gamma_1 - gbar| over the last decade, which O(1/t) wants to be at least 1."""
    frequent, rare = case.problem.frequencies
    if frequent == rare or not case.time:
        return Evidence([], [], [], axis_name="time t", axis_scale="log")  # type: ignore[arg-type]
    run, _, exponent, error = _rate(case)
    return Evidence(run.axis[-1:], np.array([exponent]), np.ones(1), error, axis_name="time t", axis_scale="log")


def _exact_exponent(case: Case, index: int) -> Exact | None:
    run, early, _, _ = _rate(case)
    times = [float(run.axis[early]), float(run.axis[-1])]

    def compare(states: Sequence[tuple[Any, Any]]) -> tuple[Any, Any]:
        _, frequent, rare, _ = exact_numbers(case)
        gaps = [abs(tilt - mpmath.log(frequent / rare) / 2) for tilt, _ in states]
        return -mpmath.log(gaps[1] / gaps[0]) / mpmath.log(mpf(times[1]) / mpf(times[0])), mpf(1)

    return twice_flow(case, times, compare)


RATE_CORNERS = (
    {"correlation": -0.8, "rare": 0.3, "squared_distance": 2.0, "time": 1e6},
    {"correlation": -0.5, "rare": 0.25, "squared_distance": 2.0, "time": 1e6},
)
ENDS = (
    {"correlation": -1.0, "rare": 0.25, "squared_distance": 2.0, "time": 1e4},
    {"correlation": 1.0, "rare": 0.25, "squared_distance": 2.0, "time": 20.0},
)
NEAR_ENDS = tuple(
    {"correlation": sign * (1 - 10.0**-k), "rare": rare, "squared_distance": 2.0, "time": 1e4}
    for sign in (-1, 1) for k in (1, 2, 3) for rare in (0.25, 0.01)
)  # fmt: skip

C_T = r"with $c_t=(e^{\gamma_2}+\gamma_2-1)/t$, $c_0=(1-\alpha)c$, $c=\|u_1-u_2\|^2$"

CLAIMS = (
    flow_claim(
        "theorem4", "flow_mean_margin", "printed", "", "Theorem 4, flow", "Flow: growth of the mean margin",
        r"$\gamma_2(t)=\log(c_tt+1)+O(\log(c_2t+1)/(c_2t+1))$", r"$\gamma_2(t)$", "==", r"$\log(c_tt+1)+O(\cdot)$",
        NOT_TESTABLE, "an O(.) without a constant; the ranges of c_t are claims of their own",
    ),
    flow_claim(
        "theorem4", "flow_mean_margin", "corrected", "", "Theorem 4, flow", "Flow: growth of the mean margin",
        r"$e^{\gamma_2}+\gamma_2\geq 1+c_0p_2t$, $e^{\gamma_2}+(2r-1)\gamma_2\geq 1+c_0\sqrt{p_1p_2}\,t$, "
        r"$e^{\gamma_2}+\gamma_2\leq 1+c_0t/2$, with $r=\sqrt{p_1/p_2}$, $c_0=(1-\alpha)c$",
        r"$\gamma_2$, upper bound", ">=", r"lower bound, $\gamma_2$", HOLDS,
        "errata (5.1); equality at p_1 = p_2; 1500 random systems", _mean_margin, _exact_mean_margin,
        proof="lemmas L1, L2, L3 bound the pull A + B on both sides; multiply by F' for F(g) = e^g + Qg and integrate",
    ),
    flow_claim(
        "theorem4", "growth_constant", "printed", "T4.2", "Theorem 4, flow", "Flow: least growth constant",
        r"$2p_2\leq c_t/c_0$ " + C_T, r"$c_t/c_0$", ">=", "$2p_2$", VIOLATED,
        "factor 2 of equation (19): at p_1 = p_2 the ratio is 1/2 exactly, the bound 1",
        lambda case: _growth(case, lambda _, rare: 2 * rare, None),
        lambda case, index: _exact_growth(case, index, lambda _, rare: 2 * rare, lambda _, rare: rare),
        assumptions=FLOW_CORRECTED,
    ),
    flow_claim(
        "theorem4", "growth_constant", "corrected", "T4.2", "Theorem 4, flow", "Flow: range of the growth constant",
        r"$p_2\leq c_t/c_0\leq 1/2$ for all $t>0$, and the limit is $\sqrt{p_1p_2}$, " + C_T,
        r"$c_t/c_0$, $1/2$", ">=", r"$p_2$, $c_t/c_0$", HOLDS, "errata (5.1); sharp at p_1 = p_2 and as t -> 0",
        lambda case: _growth(case, lambda _, rare: rare, lambda _, rare: 0.5),
        lambda case, index: _exact_growth(case, index, lambda _, rare: rare, lambda _, rare: mpf(1) / 2),
        proof="(5.1): L1 gives p_2 from below, L3 gives 1/2 from above for a tilt in [0, log(p_1/p_2)]",
    ),
    flow_claim(
        "theorem4", "growth_constant_upper", "printed", "T4.3", "Theorem 4, flow", "Flow: largest growth constant",
        r"$c_t/c_0\leq 8p_1^3/p_2^2$ " + C_T, r"$8p_1^3/p_2^2$", ">=", r"$c_t/c_0$", HOLDS,
        "true but very loose: 7.8e4 against 1/2 at p_2 = 0.01",
        lambda case: _upper_only(case, lambda frequent, rare: 8 * frequent**3 / rare**2),
        lambda case, index: _exact_upper_only(case, index, lambda frequent, rare: 8 * frequent**3 / rare**2),
        assumptions=FLOW_CORRECTED,
    ),
    flow_claim(
        "theorem4", "growth_constant_upper", "corrected", "T4.3", "Theorem 4, flow", "Flow: largest growth constant",
        r"$c_t/c_0\leq 1/2$ " + C_T, r"$1/2$", ">=", r"$c_t/c_0$", HOLDS, "errata (5.1)",
        lambda case: _upper_only(case, lambda _, rare: 0.5),
        lambda case, index: _exact_upper_only(case, index, lambda _, rare: mpf(1) / 2),
        proof="L3: A + B <= 1/(1 + e^{gamma_2}) while the tilt is in [0, log(p_1/p_2)]",
    ),
    flow_claim(
        "theorem4", "flow_alignment", "printed", "T4.5", "Theorem 4, flow", "Flow: rate of alignment",
        r"$\gamma_1(t)=\frac{1}{2}\log(p_1/p_2)+O(1/t)$: the local exponent of $|\gamma_1-\bar\gamma|$ is at least 1",
        r"$-d\log|\gamma_1-\bar\gamma|/d\log t$", ">=", "$1$", VIOLATED,
        "for alpha < 0 the exponent is (1+alpha)/(1-alpha) < 1: 0.111 at alpha = -0.8; at alpha = 0 it is log t/t",
        _exponent, _exact_exponent,
        family=flow_family(
            {**SHOW, "correlation": -0.5, "rare": 0.25, "time": 1e6}, RATE_CORNERS,
            Parameter("correlation", -0.9, -0.3), Parameter("rare", 0.02, 0.4, "log"),
        ),
    ),
    flow_claim(
        "theorem4", "correlation_range", "printed", "T4.10", "Theorem 4, (16)", "Range of the correlation",
        r"for all $\alpha\in[-1,1]$: $\gamma_1=\bar\gamma+O(1/t)$", r"$-d\log|\gamma_1-\bar\gamma|/d\log t$", ">=",
        "$1$", VIOLATED,
        "at alpha = -1 the tilt stays 0, at alpha = 1 the mean margin does and the tilt tends to 2 gbar",
        _exponent, _exact_exponent,
        assumptions=(TwoTokens(), FrequentFirst(), CorrelationBetween(-1.0, 1.0), Flow(), ZeroStart()),
        family=flow_family(ENDS[0], ENDS, Parameter("correlation", -1.0, -1.0), Parameter("rare", 0.02, 0.4, "log")),
    ),
    flow_claim(
        "theorem4", "correlation_range", "corrected", "T4.10", "Theorem 4, (16)", "Range of the correlation",
        r"for all $|\alpha|<1$: $\gamma_2\to\infty$, at least as the root of $e^g+g=1+(1-\alpha)cp_2t$",
        r"$\gamma_2(t)$", ">=", "root", HOLDS, "errata (5.1), here close to both ends", appendix_lower,
        exact_appendix_lower,
        family=flow_family(NEAR_ENDS[4], NEAR_ENDS, Parameter("correlation", 0.9, 0.999)),
        proof="lemma L1 needs |alpha| < 1 only",
    ),
)  # fmt: skip
