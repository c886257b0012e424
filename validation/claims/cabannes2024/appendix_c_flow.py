"""Appendix C.1 on gradient flow: the steps that lead to Theorem 4, printed and corrected."""

from __future__ import annotations

import math
from typing import Any

import mpmath
import numpy as np
from mpmath import mpf

from .... import analytics
from ...case import Case, Evidence, Exact
from .flow_evidence import (
    HOLDS,
    SHOW,
    VIOLATED,
    appendix_lower,
    exact_appendix_lower,
    exact_point,
    flow_claim,
    flow_evidence,
)  # fmt: skip
from .two_token_cases import FLOW_CORNERS, FLOW_CORRECTED, Array, Picked, Run, flow_family, numbers
from .two_token_precision import exact_numbers


def _share(case: Case, printed: bool) -> Evidence:
    """T4.9: e^{gamma_2}/(c_t t) (printed) or e^{gamma_2}/(c_t t + 1) against the ends of the interval."""

    def measure(run: Run, picked: Picked) -> tuple[Array, Array, Array]:
        mean = run.mean[picked]
        fade = np.exp(-mean)
        share = 1.0 / (1.0 + (mean - 1.0) * fade) if printed else 1.0 / (1.0 + mean * fade)
        # the derivative of 1/(1 + g e^-g) vanishes at g = 1, where the least value is; the square is the next order
        slope = np.abs((2.0 if printed else 1.0) - mean) * fade * share**2
        wide = run.error[picked]
        error = wide * slope + 2.0 * (wide * share) ** 2 * share + 4e-16 * share
        low = math.exp(math.e / 2) if printed else math.e / (math.e + 1)
        if printed:
            return share, np.full_like(share, low), error
        ones = np.ones_like(share)
        return np.concatenate([share, ones]), np.concatenate([low * ones, share]), np.concatenate([error, error])

    return flow_evidence(case, measure)


def _exact_share(case: Case, index: int, printed: bool) -> Exact | None:
    def compare(_: Any, mean: Any, time: float, second: bool) -> tuple[Any, Any]:
        rest = (mean - 1 if printed else mean) * mpmath.exp(-mean)
        share = 1 / (1 + rest)
        if second:
            return mpf(1), share
        return share, mpmath.exp(mpmath.e / 2) if printed else mpmath.e / (mpmath.e + 1)

    return exact_point(case, index, compare)


def _tilt_level(case: Case) -> Evidence:
    """T4.6 as printed: sinh(gamma_1 - gbar) <= C(gamma_2)."""
    _, pair, _ = numbers(case)

    def measure(run: Run, picked: Picked) -> tuple[Array, Array, Array]:
        offset = run.tilt[picked] - analytics.limiting_tilt(pair)
        level = analytics.turning_level(run.mean[picked], pair)
        return np.sinh(offset), level, run.error[picked] * (np.cosh(offset) + level)

    return flow_evidence(case, measure)


def _exact_tilt_level(case: Case, index: int) -> Exact | None:
    def compare(tilt: Any, mean: Any, time: float, second: bool) -> tuple[Any, Any]:
        _, frequent, rare, _ = exact_numbers(case)
        level = (frequent - rare) * mpmath.exp(-mean) / (2 * mpmath.sqrt(frequent * rare))
        return mpmath.sinh(tilt - mpmath.log(frequent / rare) / 2), level

    return exact_point(case, index, compare)


def _tilt_range(case: Case) -> Evidence:
    """0 <= gamma_1 <= log(p_1/p_2), stacked for the relation <=."""
    correlation, pair, _ = numbers(case)
    low, high = analytics.flow_tilt_bounds(correlation, pair)

    def measure(run: Run, picked: Picked) -> tuple[Array, Array, Array]:
        tilt, error = run.tilt[picked], run.error[picked]
        flat = np.ones_like(tilt)
        return np.concatenate([tilt, low * flat]), np.concatenate([high * flat, tilt]), np.concatenate([error, error])

    return flow_evidence(case, measure)


def _exact_tilt_range(case: Case, index: int) -> Exact | None:
    def compare(tilt: Any, mean: Any, time: float, second: bool) -> tuple[Any, Any]:
        _, frequent, rare, _ = exact_numbers(case)
        return (mpf(0), tilt) if second else (tilt, mpmath.log(frequent / rare))

    return exact_point(case, index, compare)


def _tilt_power(case: Case, factor: float, power: int) -> Evidence:
    """e^{gamma_1} <= factor (p_1/p_2)^power."""
    _, (frequent, rare), _ = numbers(case)

    def measure(run: Run, picked: Picked) -> tuple[Array, Array, Array]:
        value = np.exp(run.tilt[picked])
        return value, np.full_like(value, factor * (frequent / rare) ** power), (run.error[picked] + 4e-16) * value

    return flow_evidence(case, measure)


def _exact_tilt_power(case: Case, index: int, factor: int, power: int) -> Exact | None:
    def compare(tilt: Any, mean: Any, time: float, second: bool) -> tuple[Any, Any]:
        _, frequent, rare, _ = exact_numbers(case)
        return mpmath.exp(tilt), factor * (frequent / rare) ** power

    return exact_point(case, index, compare)


def _tilt_envelope(case: Case) -> Evidence:
    """T4.7 as printed: gamma_1 <= gbar + (p_1-p_2)/sqrt(p_1 p_2) 1.05/(c_1 t + 1)."""
    correlation, (frequent, rare), distance = numbers(case)

    def measure(run: Run, picked: Picked) -> tuple[Array, Array, Array]:
        total = (1 - correlation) * distance * rare * run.axis[picked]
        bound = analytics.limiting_tilt((frequent, rare)) + (frequent - rare) / math.sqrt(frequent * rare) * 1.05 / (
            total + 1
        )
        return run.tilt[picked], bound, run.error[picked]

    return flow_evidence(case, measure)


def _exact_tilt_envelope(case: Case, index: int) -> Exact | None:
    def compare(tilt: Any, mean: Any, time: float, second: bool) -> tuple[Any, Any]:
        correlation, frequent, rare, distance = exact_numbers(case)
        total = (1 - correlation) * distance * rare * mpf(time)
        rest = (frequent - rare) / mpmath.sqrt(frequent * rare) * mpf("1.05") / (total + 1)
        return tilt, mpmath.log(frequent / rare) / 2 + rest

    return exact_point(case, index, compare)


# as the correlation tends to 1 the tilt gets to twice its limit before the mean margin has moved
TO_THE_END = flow_family(
    SHOW, (*FLOW_CORNERS, {"correlation": 0.999, "rare": 0.1, "squared_distance": 2.0, "time": 60.0})
)

CLAIMS = (
    flow_claim(
        "appendix_c", "flow_mean_margin_lower", "printed", "T4.4", "Appendix C.1",
        "Flow: lower bound of the mean margin",
        r"$\gamma_2\geq\log(c_1t+1)-h(c_1t+1)$, $c_1=(1-\alpha)cp_2$, $h$ of Appendix B.1",
        r"$\gamma_2(t)$", ">=", r"$\log(c_1t+1)-h(c_1t+1)$", HOLDS,
        "true, by lemma L1; the proof in print has two errors that cancel (a lost 1/2, a discarded term)",
        appendix_lower, exact_appendix_lower, assumptions=FLOW_CORRECTED,
    ),
    flow_claim(
        "appendix_c", "flow_tilt_level", "printed", "T4.6", "Appendix C.1",
        "Flow: the tilt stays below its turning level",
        r"$\sinh(\gamma_1-\bar\gamma)\leq C(\gamma_2)$ along the flow", r"$\sinh(\gamma_1-\bar\gamma)$", "<=",
        r"$C(\gamma_2)$", VIOLATED,
        "false at large t for every alpha above alpha*(p_1) < 0: the ratio tends to (1+alpha)/(2 alpha), 1.5 at 0.5",
        _tilt_level, _exact_tilt_level,
    ),
    flow_claim(
        "appendix_c", "flow_tilt_level", "corrected", "T4.6", "Appendix C.1", "Flow: range of the tilt",
        r"$0\leq\gamma_1(t)\leq\log(p_1/p_2)$ for all $t$", r"$\gamma_1$, $0$", "<=",
        r"$\log(p_1/p_2)$, $\gamma_1$", HOLDS, "errata (5.1); the upper end is sharp as alpha -> 1",
        _tilt_range, _exact_tilt_range, family=TO_THE_END,
        proof="at tilt 0 its speed is >= 0; at 2 gbar, sinh(gbar) = C(0) >= C(gamma_2), so its speed is <= 0",
    ),
    flow_claim(
        "appendix_c", "flow_tilt_upper", "printed", "T4.7", "Appendix C.1", "Flow: upper envelope of the tilt",
        r"$\gamma_1\leq\bar\gamma+\frac{p_1-p_2}{\sqrt{p_1p_2}}\frac{1.05}{c_1t+1}$, $c_1=(1-\alpha)cp_2$",
        r"$\gamma_1(t)$", "<=", r"$\bar\gamma+\frac{p_1-p_2}{\sqrt{p_1p_2}}\frac{1.05}{c_1t+1}$", VIOLATED,
        "rests on T4.6: at alpha = 0, p_1 = 0.7, c = 2, t = 1e4 it says 0.4238017 where gamma_1 = 0.4239855",
        _tilt_envelope, _exact_tilt_envelope,
    ),
    flow_claim(
        "appendix_c", "flow_tilt_power", "printed", "T4.8", "Appendix C.1", "Flow: crude bound of the tilt",
        r"$e^{\gamma_1}\leq 4(p_1/p_2)^2$", r"$e^{\gamma_1}$", "<=", "$4(p_1/p_2)^2$", HOLDS,
        "true but loose; the chain in print rests on the false T4.6",
        lambda case: _tilt_power(case, 4.0, 2), lambda case, index: _exact_tilt_power(case, index, 4, 2),
    ),
    flow_claim(
        "appendix_c", "flow_tilt_power", "corrected", "T4.8", "Appendix C.1", "Flow: bound of the tilt",
        r"$e^{\gamma_1}\leq p_1/p_2$", r"$e^{\gamma_1}$", "<=", "$p_1/p_2$", HOLDS, "errata (5.1)",
        lambda case: _tilt_power(case, 1.0, 1), lambda case, index: _exact_tilt_power(case, index, 1, 1),
        proof="the range of the tilt, [0, log(p_1/p_2)]",
    ),
    flow_claim(
        "appendix_c", "growth_share", "printed", "T4.9", "Appendix C.1", "Flow: the interval of e^gamma_2",
        r"$e^{\gamma_2}\in c_tt\cdot[e^{e/2},1]$", r"$e^{\gamma_2}/(c_tt)$", ">=", "$e^{e/2}$", VIOLATED,
        "typo: e^{e/2} = 3.89 > 1, the interval is empty", lambda case: _share(case, True),
        lambda case, index: _exact_share(case, index, True), assumptions=FLOW_CORRECTED,
    ),
    flow_claim(
        "appendix_c", "growth_share", "corrected", "T4.9", "Appendix C.1", "Flow: the interval of e^gamma_2",
        r"$e^{\gamma_2}\in(c_tt+1)\cdot[e/(e+1),1]$", r"$e^{\gamma_2}/(c_tt+1)$, $1$", ">=",
        r"$e/(e+1)$, $e^{\gamma_2}/(c_tt+1)$", HOLDS, "sharp: attained at gamma_2 = 1",
        lambda case: _share(case, False), lambda case, index: _exact_share(case, index, False),
        proof="c_t t + 1 = e^g + g, and g e^{-g} is in [0, 1/e] for g >= 0",
    ),
)  # fmt: skip
