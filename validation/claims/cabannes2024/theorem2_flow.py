"""Theorem 2 and appendix B.1.1, gradient flow: the exact margin and its correction h (errata T2.0, T2.2 - T2.4)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import mpmath
import numpy as np
from mpmath import mpf

from .... import analytics
from ...case import Case, Evidence, Exact, Parameter
from ...precision import evaluate_twice
from .orthogonal_assumptions import ANY_FLOW, ZERO_FLOW
from .orthogonal_cases import (
    FLOW_CASES,
    HOLDS,
    START,
    VIOLATED,
    Run,
    exact_flow_margin,
    exact_token,
    flow_family,
    flow_run,
    orthogonal_claim,
    stacked,
    tokens,
)  # fmt: skip
from .two_token_cases import UNIT, Array

CORNERS = ({"time": 10.0}, {"time": 1e10}, {"time": 1e4, "rare": 1e-3, "squared_norm": 0.1})
ZERO_FAMILY = flow_family({"time": 1e3}, CORNERS)
ANY_FAMILY = flow_family(
    {"time": 1e3, "initial": -2.0},
    (*({"initial": 0.0} | corner for corner in CORNERS), {"time": 1e4, "initial": -12.0}, {"time": 1e4,
    "initial": 8.0}, {"time": 10.0,
    "initial": -1.0}),
    START,
)
NEGATIVE_FAMILY = flow_family(
    {"time": 10.0, "initial": -1.0},
    # from W_0 = 0 the first times have y close to 1, where the factor is close to its least value
    ({"time": 10.0, "initial": -0.6}, {"time": 3.0, "initial": -3.0}, {"time": 10.0, "initial": 0.0}),
    Parameter("initial", -3.0, -0.57),
)  # fmt: skip
TINY = 1e-12  # y > 0


def _times(case: Case) -> tuple[Run, Array, Array]:
    """Return the run at times > 0, c_x t (n, N) and y = c_x t + e^{m_0} + m_0."""
    run = flow_run(case)
    late = run.axis > 0
    run = Run(run.axis[late], run.margins[late], run.loss[late], run.error[late])
    constants = tokens(case)
    elapsed = constants.speed * run.axis[:, None]
    return run, elapsed, elapsed + np.exp(constants.start) + constants.start


def _exact(case: Case, index: int, compare: Callable[[Any, Any, Any, Any], tuple[Any, Any]]) -> Exact:
    """Re-evaluate compare(c_x t, m_0, y, m) at one point of evidence stacked by token over the times > 0."""
    axis = _times(case)[0].axis
    token, place = divmod(index % (len(axis) * case.problem.n_tokens), len(axis))

    def both() -> tuple[Any, Any]:
        constants = exact_token(case, token)
        elapsed = constants.speed * mpf(float(axis[place]))
        margin = exact_flow_margin(elapsed, constants.start)
        return compare(elapsed, constants.start, elapsed + mpmath.exp(constants.start) + constants.start, margin)

    return evaluate_twice(both, "the flow's implicit equation, by Newton's method")


def _conserved(case: Case, offset: float) -> Evidence:
    """m + e^m against c_x t + offset."""
    run, elapsed, _ = _times(case)
    value = run.margins + np.exp(run.margins)
    error = run.error * (1 + np.exp(run.margins)) + 8 * UNIT * (value + elapsed + 1)
    return stacked(run, value, elapsed + offset, error, flow_axis=True)


def _exact_conserved(case: Case, index: int, offset: int) -> Exact:
    return _exact(case, index, lambda x, start, y, m: (m + mpmath.exp(m), x + offset))


def _closed_form(case: Case) -> Evidence:
    run, elapsed, _ = _times(case)
    start = tokens(case).start
    bound = analytics.flow_margin(elapsed, start)
    return stacked(run, run.margins, bound, run.error + 8 * UNIT * np.maximum(np.abs(bound), np.abs(start)),
    flow_axis=True)


def _lambert(value: Any) -> Any:
    """Return W_0(e^value): the root w of w + log w = value."""
    root = mpmath.re(mpmath.lambertw(mpmath.exp(value))) if value < 1000 else value - mpmath.log(value)
    for _ in range(60):
        step = (root + mpmath.log(root) - value) * root / (root + 1)
        root -= step
        if abs(step) <= 4 * mpmath.eps * root:
            break
    return root


def _exact_closed_form(case: Case, index: int) -> Exact:
    # quantity: the implicit equation; bound: the product logarithm of (29)
    return _exact(case, index, lambda x, start, y, m: (m, y - _lambert(y)))


# ---- h = log y - m on y >= 1 ----------------------------------------------------------------------------------


def _kept(case: Case, least: float) -> tuple[Run, Array, Any]:
    """Return the run, y, and where the statement speaks: y >= least, and off y = 1 where log(y) vanishes."""
    run, _, y = _times(case)
    return run, y, ((y >= least) & (np.abs(y - 1) > 1e-9)).T.ravel()


def _pointwise(
    case: Case, least: float, measure: Callable[[Array, Array, Array], tuple[Array, Array, Array]]
) -> Evidence:
    """Return evidence of measure(y, m, error of m) where the statement speaks (nowhere: no points)."""
    run, y, keep = _kept(case, least)
    if not keep.any():
        nothing = np.empty(0)
        return Evidence(nothing, nothing, nothing, axis_name="time t", axis_scale="log")
    axis = np.broadcast_to(run.axis[:, None], y.shape).T.ravel()[keep]
    error = np.broadcast_to(run.error, y.shape).T.ravel()[keep]
    value, bound, error = measure(y.T.ravel()[keep], run.margins.T.ravel()[keep], error)
    return Evidence(axis, value, bound, error, axis_name="time t", axis_scale="log")


def _exact_pointwise(case: Case, index: int, least: float, compare: Callable[[Any, Any], tuple[Any, Any]]) -> Exact:
    """Re-evaluate compare(y, m) at one point of `_pointwise`."""
    _, _, keep = _kept(case, least)
    return _exact(case, int(np.flatnonzero(keep)[index]), lambda x, start, y, m: compare(y, m))


def _correction(case: Case, which: str) -> Evidence:
    """h against 0, 2 log(y)/y, 1.0237 log(y)/y, log(y)/(2 y) or log(1 + 1/e), on y >= 1."""

    def measure(y: Array, margin: Array, error: Array) -> tuple[Array, Array, Array]:
        unit = np.log(y) / y
        if which == "constant":
            bound = np.full_like(unit, 0.31326168751822286)
        else:
            bound = {"sign": 0.0, "printed": 2.0, "sharp": 1.0237150809438473, "half": 0.5}[which] * unit
        return np.log(y) - margin, bound, error + 8 * UNIT * (1 + np.log(y) + np.abs(margin))

    return _pointwise(case, 1.0, measure)


def _exact_correction(case: Case, index: int, which: str) -> Exact:
    def compare(y: Any, m: Any) -> tuple[Any, Any]:
        if which == "constant":
            return mpmath.log(y) - m, mpmath.log1p(1 / mpmath.e)
        factor = {"sign": mpf(0), "printed": mpf(2), "half": mpf(1) / 2}
        value = _largest_factor() if which == "sharp" else factor[which]
        return mpmath.log(y) - m, value * mpmath.log(y) / y

    return _exact_pointwise(case, index, 1.0, compare)


def _largest_factor() -> Any:
    """Return the largest h y / log y, at m = 3.00318, in the current precision."""

    def factor(m: Any) -> Any:
        y = mpmath.exp(m) + m
        return y * mpmath.log1p(m * mpmath.exp(-m)) / mpmath.log(y)

    return factor(mpmath.findroot(lambda m: mpmath.diff(factor, m), mpf("3.0031766")))


def _factor(case: Case, least: float) -> Evidence:
    """The factor h y / log y against 1/2, where y >= least."""

    def measure(y: Array, margin: Array, error: Array) -> tuple[Array, Array, Array]:
        log = np.log(y)
        error = (error + 8 * UNIT * (1 + np.abs(log) + np.abs(margin))) * y / np.abs(log)
        return (log - margin) * y / log, np.full_like(y, 0.5), error

    return _pointwise(case, least, measure)


def _exact_factor(case: Case, index: int, least: float) -> Exact:
    return _exact_pointwise(case, index, least, lambda y, m: ((mpmath.log(y) - m) * y / mpmath.log(y), mpf(1) / 2))


def _correction_claim(
    name: str, form: str, erratum: str, title: str, statement: str, relation: str, bound: str, which: str, reason: str,
    proof: str = "",
) -> Any:  # fmt: skip
    return orthogonal_claim(
        f"theorem2.{name}", form, ("Theorem 2, equation (15)", erratum), title, statement,
        (r"$h=\log y-m_t$", relation, bound), HOLDS, reason, proof=proof,
        assumptions=ANY_FLOW, family=ANY_FAMILY,
        evaluate=lambda case: _correction(case, which),
        exact=lambda case, index: _exact_correction(case, index, which), **FLOW_CASES,
    )  # fmt: skip


SUBSTITUTE = r"From $y=e^m+m$: $h=\log(1+me^{-m})$, and on $m\geq 0$ $me^{-m}\leq 1/e$."
CLAIMS = (
    orthogonal_claim(
        "section4.flow_from_zero", "printed", ("Section 4.1, display before Theorem 2", "T2.0"),
        "Flow: the margin's implicit equation", r"From $W_0=0$ the flow has $m_t+e^{m_t}=c_xt$.",
        ("$m_t+e^{m_t}$", "==", "$c_xt$"), VIOLATED, "at t = 0 the left side is 1; a lost constant (the appendix has "
        "it)",
        assumptions=ZERO_FLOW, family=ZERO_FAMILY,
        evaluate=lambda case: _conserved(case, 0.0), exact=lambda case, i: _exact_conserved(case, i, 0), **FLOW_CASES,
    ),
    orthogonal_claim(
        "section4.flow_from_zero", "corrected", ("Section 4.1, display before Theorem 2", "T2.0"),
        "Flow: the margin's implicit equation", r"From $W_0=0$ the flow has $m_t+e^{m_t}=c_xt+1$.",
        ("$m_t+e^{m_t}$", "==", "$c_xt+1$"), HOLDS, "the constant of the start put back",
        proof=r"Separate the variables of $(1+e^m)\,dm=c_x\,dt$.",
        assumptions=ZERO_FLOW, family=ZERO_FAMILY,
        evaluate=lambda case: _conserved(case, 1.0), exact=lambda case, i: _exact_conserved(case, i, 1), **FLOW_CASES,
    ),
    orthogonal_claim(
        "appendix_b.flow_closed_form", "printed", ("Appendix B.1.1, equation (29)", "T2.4"),
        "Flow: the margin in closed form",
        r"$m_t=y-\mathcal{W}_0(e^{y})$, $y=c_xt+e^{m_0}+m_0$.",
        ("$m_t$", "==", r"$y-\mathcal{W}_0(e^y)$"), HOLDS,
        "true; but in floating point it overflows from y = 710 on and loses all digits from y = 1e15 on: "
        "analytics.flow_margin "
        "solves for the displacement instead",
        assumptions=ANY_FLOW, family=ANY_FAMILY, evaluate=_closed_form, exact=_exact_closed_form, **FLOW_CASES,
    ),
    _correction_claim(
        "flow_correction_sign", "printed", "T2.2", "Flow: the margin stays below its logarithm",
        r"$m_t=\log y-h(y)$ with $h(y)\geq 0$ for $y=c_x(t-t_0)\geq 1$.", ">=", "$0$", "sign", "true",
    ),
    _correction_claim(
        "flow_correction_sign", "corrected", "T2.2", "Flow: the least correction",
        r"$h(y)\geq\frac{1}{2}\log(y)/y$ for $y\geq 1$; equality in the limit $y\to 1$.", ">=",
        r"$\frac{1}{2}\log(y)/y$",
        "half", "sharp: the factor tends to 1/2 at y = 1",
        SUBSTITUTE + r" The factor $h\,y/\log y$ is $\frac{1}{2}$ at $y=1$, 1 at infinity and has one maximum.",
    ),
    _correction_claim(
        "flow_correction_upper", "printed", "T2.2", "Flow: the largest correction",
        r"$h(y)\leq 2\log(y)/y$ for all $y\geq 1$.", "<=", r"$2\log(y)/y$", "printed", "true, loose",
    ),
    _correction_claim(
        "flow_correction_upper", "corrected", "T2.2", "Flow: the largest correction",
        r"$h(y)\leq 1.0237151\,\log(y)/y$ for all $y\geq 1$; attained at $y=23.1526$, $m=3.00318$.", "<=",
        r"$1.0237151\,\log(y)/y$", "sharp", "the sharp constant", SUBSTITUTE,
    ),
    _correction_claim(
        "flow_correction_constant", "corrected", "T2.2", "Flow: the correction is below 0.3133",
        r"$h(y)\leq\log(1+1/e)=0.31326$ for all $y\geq 1$; attained at $m=1$.", "<=", r"$\log(1+1/e)$", "constant",
        "sharp (the appendix uses 2/e = 0.7358)", SUBSTITUTE,
    ),
    orthogonal_claim(
        "appendix_b.correction_domain", "printed", ("Appendix B.1.1", "T2.3"), "Flow: where the factor of h is bounded",
        r"As soon as $y=c_xt+e^{m_0}+m_0\geq 0$, $\tilde{h}(y)=h(y)\,y/\log y\geq\frac{1}{2}$.",
        (r"$\tilde{h}(y)$", ">=", r"$\frac{1}{2}$"), VIOLATED,
        r"at y = 0.1 the factor is 0.078; the inequality of Hoorfar and Hassani needs y >= 1",
        assumptions=ANY_FLOW, family=NEGATIVE_FAMILY,
        evaluate=lambda case: _factor(case, TINY), exact=lambda case, i: _exact_factor(case, i, TINY), **FLOW_CASES,
    ),
    orthogonal_claim(
        "appendix_b.correction_domain", "corrected", ("Appendix B.1.1", "T2.3"), "Flow: where the factor of h is "
        "bounded",
        r"As soon as $y\geq 1$, $\tilde{h}(y)\geq\frac{1}{2}$ (and $\tilde{h}(y)\leq 1.0237151$).",
        (r"$\tilde{h}(y)$", ">=", r"$\frac{1}{2}$"), HOLDS, "the domain on which the range holds",
        proof=SUBSTITUTE + r" $\tilde{h}$ starts at $\frac{1}{2}$ for $m=0$ and stays above it.",
        assumptions=ANY_FLOW, family=NEGATIVE_FAMILY,
        evaluate=lambda case: _factor(case, 1.0), exact=lambda case, i: _exact_factor(case, i, 1.0), **FLOW_CASES,
    ),
)  # fmt: skip
