"""Theorem 3 for gradient descent, in quantities."""

from __future__ import annotations

from typing import Any

import mpmath
import numpy as np
from mpmath import mpf

from .... import analytics
from ...assumption import Condition
from ...assumptions import (
    ZeroStart,
)
from ...case import Array, Case, Evidence, Exact, Family, Parameter
from ...claim import Claim
from ...precision import evaluate_twice
from ...verdict import Outcome
from .multiclass_descent import _CASES, _DESCENT, _DIRECTED, _build, _rates, _run, _start_margins
from .multiclass_runs import _THREE_CLASSES
from .situations_multiclass import (
    EPS,
    SEED,
    defect,
    descent_case,
    ideal_descent,
    measured,
    orthogonal_memory,
    random_start,
    source_of,
    target_first,
)


def _drift(case: Case, steps: Array, scores: Array) -> Array:
    """Return the rounding budget of simulated scores: each step rounds every score, 4 ulp of the largest.

    Embeddings that are orthonormal only to rounding mix a share of the scores of other tokens and classes in.
    """
    size = 1 + np.abs(scores).max(axis=(1, 2))
    mixed = scores.shape[1] * scores.shape[2] * defect(case.problem)
    return np.asarray((4 * EPS * (1 + steps) + mixed) * size)


def _descent_expansion(case: Case) -> Evidence:
    """Both ends of the enclosure of every margin from W_0 = 0 with wrong scores tied: W = sum m Pi(u) e^T exactly."""
    steps, scores = _run(case)
    m = case.problem
    n, tokens = len(m.outputs), len(m.targets)
    own = scores[:, np.arange(tokens), m.targets]
    margin = own - scores[:, np.arange(tokens), (m.targets + 1) % n]
    low, high = zip(
        *[analytics.descent_margin_bounds(steps, float(n * r), 0.0, n - 1) for r in _rates(case)], strict=True
    )
    where = np.repeat(steps, tokens)
    budget = np.repeat(_drift(case, steps, scores), tokens)
    above, below = np.transpose(high).ravel(), np.transpose(low).ravel()
    return measured(
        np.r_[where, where],
        np.r_[margin.ravel(), above],
        np.r_[below, margin.ravel()],
        np.r_[budget, budget],
        axis_scale="log",
    )


def _exact_descent_expansion(case: Case, index: int) -> Exact:
    """Return margin and bound at the point; the bound is the analytic one, evaluated in float and rounded outwards."""
    evidence = _descent_expansion(case)
    half, tokens = len(evidence.axis) // 2, len(case.problem.targets)
    step, x = int(evidence.axis[index]), index % half % tokens

    def values() -> tuple[Any, Any]:
        a = len(case.problem.outputs) - 1
        k = mpf(float(case.rule.learning_rate)) * mpf(float(case.problem.frequencies[x])) * (a + 1)
        margin = mpf(0)  # tied wrong scores stay tied: the scores reduce to this scalar map
        for _ in range(step):
            margin += k / (a + mpmath.exp(margin))
        if index < half:
            return margin, mpf(float(evidence.bound[index]))
        return mpf(float(evidence.quantity[index])), margin

    return evaluate_twice(values, "gradient descent of the margin")


def _contraction(case: Case) -> Evidence:
    """Every |v_i - v_j| against its value one saved step earlier, v = e^{-w}; one token."""
    steps, scores = _run(case)
    f = int(case.problem.targets[0])
    w = target_first(scores[:, 0], f)
    v = np.exp(-w[:, 1:])
    i, j = np.triu_indices(v.shape[1], 1)
    gaps = np.abs(v[:, i] - v[:, j])
    budget = (_drift(case, steps, scores)[1:, None] * 2 * v.max(axis=1, keepdims=True)[1:]) * np.ones((1, len(i)))
    where = np.repeat(steps[1:], len(i))
    return measured(where, gaps[1:].ravel(), gaps[:-1].ravel(), budget.ravel(), axis_scale="log")


def _exact_contraction(case: Case, index: int) -> Exact:
    steps, scores = _run(case)
    n = scores.shape[2]
    i, j = np.triu_indices(n - 1, 1)
    row, pair = divmod(index, len(i))
    f = int(case.problem.targets[0])

    def values() -> tuple[Any, Any]:
        run = ideal_descent(case, int(steps[row]))
        order = [y for y in range(n) if y != f]

        def gap() -> Any:
            return abs(mpmath.exp(-run.scores[0][order[i[pair]]]) - mpmath.exp(-run.scores[0][order[j[pair]]]))

        before = gap()
        run.run(int(steps[row + 1]))
        return gap(), before

    return evaluate_twice(values, "gradient descent")


_SMALL_RATE = Condition(
    r"$\eta p(x)\|e_x\|^2\leq 1$",
    lambda case: float(1.0 - _rates(case).max()),
    Family((SEED, Parameter("rate", 0.1, 10.0, "log")), lambda seed, rate: _build(seed, 2, 4, rate, 10, 1.0)),
)
_RIGHT_START = Condition(
    "every margin starts at or above $0$",
    lambda case: float(min(np.min(m) for m in _start_margins(case))),
    Family((SEED, Parameter("scale", 0.01, 1.0, "log")), lambda seed, scale: _build(seed, 1, 3, 1.0, 10, scale)),
)


def _right_build(seed: int, n_classes: int, rate: float, steps: int, scale: float) -> Case:
    """One token whose target score leads at the start."""
    problem = orthogonal_memory(seed, 1, n_classes)
    weights = random_start(seed, problem.inputs.shape[1], scale)
    scores = problem.outputs @ weights @ problem.inputs[0]
    f = int(problem.targets[0])
    lead = max(float(np.max(np.delete(scores, f)) - scores[f]), 0.0)
    return descent_case(problem, rate, steps, weights + lead * np.outer(problem.outputs[f], problem.inputs[0]))


def _tight_floor(case: Case) -> Evidence:
    """e^m + c_0 m of the tightest margin against its start plus eta p (c_0 + 1) t; one token."""
    steps, scores = _run(case)
    w = target_first(scores[:, 0], int(case.problem.targets[0]))
    margin = w[:, 0] - w[:, 1:].max(axis=1)
    c = float(analytics.tightest_margin_factor(w[0]))
    level = np.exp(margin) + c * margin
    bound = level[0] + _rates(case)[0] * (c + 1) * steps
    budget = _drift(case, steps, scores) * (np.exp(margin) + c) + 8 * EPS * bound
    return measured(steps, level, bound, budget, axis_scale="log")


def _exact_tight_floor(case: Case, index: int) -> Exact:
    steps, _ = _run(case)

    def values() -> tuple[Any, Any]:
        run = ideal_descent(case, 0)
        f = int(case.problem.targets[0])
        start = [w for y, w in enumerate(run.scores[0]) if y != f]
        c = mpmath.fsum(mpmath.exp(w - max(start)) for w in start)
        first = run.margin(0)
        rate = mpf(float(case.rule.learning_rate)) * mpf(float(case.problem.frequencies[0]))
        run.run(int(steps[index]))
        now = run.margin(0)
        bound = mpmath.exp(first) + c * first + rate * (c + 1) * int(steps[index])
        return mpmath.exp(now) + c * now, bound

    return evaluate_twice(values, "gradient descent")


CLAIMS = (
    Claim(
        id="cabannes2024.theorem3.descent",
        form="printed",
        title="Theorem 3 for gradient descent",
        statement="for gradient descent, we expect the same theorem to hold",
        source=source_of("Appendix B.2, indications", "T3.1"),
        quantity=r"$W_t/\log t$",
        relation="==",
        bound=r"$\sum_x \Pi(u_{f(x)})\,e_x^\top$",
        assumptions=_DESCENT,
        expected=Outcome.NOT_TESTABLE,
        reason="A limit without a rate. It is true for every rate and start; the corrected form is quantitative.",
    ),
    Claim(
        id="cabannes2024.theorem3.descent",
        form="corrected",
        title="Theorem 3 for gradient descent, at every step",
        statement=r"from $W_0=0$, $W_t=\sum_x m_t(x)\,\Pi(u_{f(x)})e_x^\top$ with $e^{m_t}+(a-b_+)(m_t-m_1)"
        r"\leq e^{m_1}+k(t-1)\leq e^{m_t}+(a-b_-)(m_t-m_1)$ for every $\eta$ and $t\geq1$; $a=M-1$, $k=\eta Mp$, "
        r"$m_1=\eta p$, $\phi(z)=(k-az)(e^z-1-z)/z^2$, $z_1=k/(a+e^{m_1})$, $b_-=\min(k/2,\phi(z_1))$, "
        r"$b_+=\sup_{(0,z_1]}\phi$",
        source=source_of("Appendix B.2, indications", "T3.1"),
        quantity=r"$m_t(x)$ and upper bound",
        relation=">=",
        bound=r"lower bound and $m_t(x)$",
        assumptions=(*_DESCENT, ZeroStart()),
        expected=Outcome.HOLDS,
        reason="The two-sided enclosure (3.4) of the errata with a = M-1, k = eta M p; W_t/log(eta t) tends to W_inf "
        "at the rate 1/log t.",
        proof="Tied wrong scores stay tied; the scalar map m' = m + k/(a+e^m) is enclosed by telescoping F(m)=e^m+am.",
        family=Family(
            (
                SEED,
                Parameter("n_tokens", 1, 3, "integer"),
                Parameter("n_classes", 2, 12, "integer"),
                Parameter("rate", 1e-2, 100.0, "log"),
                Parameter("steps", 10, 3000, "log-integer"),
            ),
            lambda seed, n_tokens, n_classes, rate, steps: _build(seed, n_tokens, n_classes, rate, steps, 0.0),
            show={"seed": 0, "n_tokens": 2, "n_classes": 5, "rate": 1.0, "steps": 3000},
            corners=({"rate": 1.0, "steps": 100000, "n_classes": 3}, {"rate": 100.0, "n_classes": 2}),
        ),
        evaluate=_descent_expansion,
        exact=_exact_descent_expansion,
        cases=_CASES,
        directed=_DIRECTED,
    ),
    Claim(
        id="cabannes2024.new.descent_contraction",
        form="corrected",
        title="Descent contracts what the flow conserves",
        statement=r"if $\eta p(x)\|e_x\|^2\leq1$, every $|e^{-w_i}-e^{-w_j}|$ ($i,j\neq1$) never increases",
        source=source_of("new"),
        quantity=r"$|e^{-w_i(t')}-e^{-w_j(t')}|$",
        relation="<=",
        bound=r"$|e^{-w_i(t)}-e^{-w_j(t)}|$, $t<t'$",
        assumptions=(*_DESCENT, _SMALL_RATE, _THREE_CLASSES),
        expected=Outcome.HOLDS,
        reason="New. With v growing like t^{1/M}, the wrong scores align at the rate of the flow, t^{-1/M}: Theorem 3 "
        "for descent from every start, with a rate.",
        proof="v' = v e^{x/v}, x = eta p/A: the increment v(e^{x/v}-1) decreases in v, and order is kept since "
        "x/v = eta p q <= 1.",
        family=Family(
            (
                SEED,
                Parameter("n_classes", 3, 6, "integer"),
                Parameter("rate", 0.01, 1.0, "log"),
                Parameter("steps", 10, 2000, "log-integer"),
                Parameter("scale", 0.1, 2.0, "log"),
            ),
            lambda seed, n_classes, rate, steps, scale: _build(seed, 1, n_classes, rate, steps, scale),
            show={"seed": 0, "n_classes": 3, "rate": 1.0, "steps": 2000, "scale": 1.0},
            corners=({"rate": 1.0, "scale": 2.0},),
        ),
        evaluate=_contraction,
        exact=_exact_contraction,
        cases=_CASES,
        directed=_DIRECTED,
    ),
    Claim(
        id="cabannes2024.new.descent_tightest_margin",
        form="corrected",
        title="The tightest margin from any right start",
        statement=r"if $\eta p\|e\|^2\leq1$ and all margins start at or above $0$: "
        r"$e^{m_t}+c_0m_t\geq e^{m_0}+c_0m_0+(c_0+1)\eta p\,t$ for the tightest margin, $c_0=\sum_{j\neq1}e^{w_j-w_k}$",
        source=source_of("new"),
        quantity=r"$e^{m_t}+c_0m_t$",
        relation=">=",
        bound=r"$e^{m_0}+c_0m_0+(c_0+1)\eta p t$",
        assumptions=(*_DESCENT, _SMALL_RATE, _RIGHT_START),
        expected=Outcome.HOLDS,
        reason="New. The flow has equality in the limit of equal wrong scores. May be restarted with a larger c.",
        proof="c increases (the differences of e^{-w} contract), (c+1)/(c+e^m) increases in c for m >= 0, and "
        "e^m + c_0 m is convex.",
        family=Family(
            (
                SEED,
                Parameter("n_classes", 2, 6, "integer"),
                Parameter("rate", 0.01, 1.0, "log"),
                Parameter("steps", 10, 2000, "log-integer"),
                Parameter("scale", 0.1, 2.0, "log"),
            ),
            _right_build,
            show={"seed": 0, "n_classes": 3, "rate": 1.0, "steps": 2000, "scale": 1.0},
        ),
        evaluate=_tight_floor,
        exact=_exact_tight_floor,
        cases=_CASES,
        directed=_DIRECTED,
    ),
)
