"""Section 4.1: the displayed equations of flow and descent with many classes."""

from __future__ import annotations

from typing import Any

import mpmath
import numpy as np
from mpmath import mpf

from .... import analytics, kernels
from ....dynamics import GradientDescent
from ...assumptions import (
    OrthogonalInputs,
    OrthogonalOutputs,
    OrthonormalOutputs,
)
from ...case import Array, Case, Evidence, Exact, Family, Parameter
from ...claim import Claim
from ...precision import evaluate_twice
from ...verdict import Outcome
from .multiclass_descent import _CASES, _DESCENT, _DIRECTED, _STEP, _rates, _run
from .situations_multiclass import (
    EPS,
    SEED,
    defect,
    exact_start,
    ideal_descent,
    measured,
    orthogonal_memory,
    random_start,
    source_of,
    start_of,
    start_scores,
    target_first,
)


def _speeds(case: Case) -> tuple[Array, Array]:
    """Return the speeds dS/dt (N, M) of the scores from the gradient kernel, and their error.

    The kernel forms every residual without cancellation, so a speed has the relative error of an exponential;
    embeddings that are orthogonal only to rounding add a share of the other tokens' speeds.
    """
    m = case.problem
    weights = start_of(case)
    slope = -kernels.softmax_gradient(weights, m.inputs, m.outputs, m.targets, m.frequencies)[1]
    speed = m.inputs @ slope.T @ m.outputs.T
    size = np.abs(m.inputs) @ np.abs(weights).T @ np.abs(m.outputs).T
    relative = 8 * EPS * (2 + len(m.outputs) + size.max(axis=1, keepdims=True))
    return speed, relative * np.abs(speed) + len(m.inputs) * defect(m) * np.abs(speed).max(initial=0.0)


def _equations(case: Case) -> Evidence:
    """Both displayed differential equations at a random W, dw/dt from the gradient kernel."""
    m = case.problem
    speed, error = _speeds(case)
    left, right, budget = [], [], []
    for x, f in enumerate(m.targets):
        w = target_first(start_scores(case)[x], int(f))
        dw = target_first(speed[x], int(f))
        norms = target_first(np.sum(m.outputs**2, axis=1), int(f))
        scale = float(m.frequencies[x] * np.sum(m.inputs[x] ** 2))
        total = np.exp(w).sum()
        left += [dw[0] * total, *(dw[1:] * total)]
        right += [scale * norms[0] * np.exp(w[1:]).sum(), *(-scale * norms[1:] * np.exp(w[1:]))]
        budget += [*(target_first(error[x], int(f)) * total)]
    return measured(np.arange(len(left)) + 1.0, left, right, budget, axis_name="score")


def _tightest(case: Case) -> Evidence:
    """(c + e^m) dm/dt against p|e|^2 (c + 1) for the tightest margin, dm/dt from the gradient kernel."""
    m = case.problem
    speed, error = _speeds(case)
    left, right, budget = [], [], []
    for x, f in enumerate(m.targets):
        w, dw = target_first(start_scores(case)[x], int(f)), target_first(speed[x], int(f))
        k = 1 + int(np.argmax(w[1:]))
        c = float(analytics.tightest_margin_factor(w))
        left.append((c + np.exp(w[0] - w[k])) * (dw[0] - dw[k]))
        right.append(float(m.frequencies[x] * np.sum(m.inputs[x] ** 2)) * (c + 1))
        wrong = target_first(error[x], int(f))
        budget.append((c + np.exp(w[0] - w[k])) * (wrong[0] + wrong[k]))
    return measured(np.arange(len(left)) + 1.0, left, right, budget, axis_name="token")


def _rate_bounds(case: Case) -> Evidence:
    """Both bounds of Appendix B.2 on dt/dm of the tightest margin (p|e|^2 = 1), dm/dt from the gradient kernel."""
    m = case.problem
    speed, error = _speeds(case)
    low, middle, high, budget = [], [], [], []
    n = len(m.outputs)
    tokens = np.flatnonzero(np.sum(m.inputs**2, axis=1) > 0)
    for x in tokens:
        f = int(m.targets[x])
        w, dw = target_first(start_scores(case)[x], f), target_first(speed[x], f)
        k = 1 + int(np.argmax(w[1:]))
        ties = int(np.sum(w[1:] == w[k]))
        growth = np.exp(w[0] - w[k])
        middle.append(float(m.frequencies[x] * np.sum(m.inputs[x] ** 2)) / (dw[0] - dw[k]))
        low.append(growth / (n + 1) + ties / (ties + 1))
        high.append(growth / (ties + 1) + n / (n + 1))
        wrong = target_first(error[x], f)
        budget.append(middle[-1] * (wrong[0] + wrong[k]) / (dw[0] - dw[k]))
    return measured(np.r_[tokens, tokens] + 1.0, np.r_[middle, high], np.r_[low, middle], np.r_[budget, budget],
                    axis_name="token")  # fmt: skip


def _exact_rate_bounds(case: Case, index: int) -> Exact:
    """Return dt/dm = (e^m + c)/(c + 1) and the bound of the point, in exact arithmetic."""
    tokens = np.flatnonzero(np.sum(case.problem.inputs**2, axis=1) > 0)
    upper, place = divmod(index, len(tokens))

    def values() -> tuple[Any, Any]:
        w = exact_start(case, int(tokens[place]))
        n, top = len(w), max(w[1:])
        growth, ties = mpmath.exp(w[0] - top), mpf(sum(value == top for value in w[1:]))
        c = mpmath.fsum(mpmath.exp(value - top) for value in w[1:])
        middle = (growth + c) / (c + 1)
        if upper:
            return growth / (ties + 1) + mpf(n) / (n + 1), middle
        return middle, growth / (n + 1) + ties / (ties + 1)

    return evaluate_twice(values, "speed of the tightest margin")


def _increments(case: Case) -> Evidence:
    """A(w) times the increase of every margin in one step, against eta p|e|^2 (A - e^{w_1} + e^{w_i})."""
    _, scores = _run(Case(case.parameters, case.problem, case.rule, 1, None, case.initial))
    left, right, size = [], [], 1.0
    for x, f in enumerate(case.problem.targets):
        w, new = target_first(scores[0, x], int(f)), target_first(scores[-1, x], int(f))
        total = np.exp(w).sum()
        left.append(total * ((new[0] - new[1:]) - (w[0] - w[1:])))
        right.append(_rates(case)[x] * (np.exp(w[1:]).sum() + np.exp(w[1:])))
        size = max(size, float(total * (np.abs(w).max() + np.abs(new).max() + 1)))
    flat = np.ravel(left)
    budget = (64 * EPS + scores[0].size * defect(case.problem)) * size
    return measured(np.arange(flat.size) + 1.0, flat, np.ravel(right), budget, axis_name="margin")


def _exact_increments(case: Case, index: int) -> Exact:
    x, j = divmod(index, len(case.problem.outputs) - 1)
    f = int(case.problem.targets[x])

    def values() -> tuple[Any, Any]:
        run = ideal_descent(case, 0)
        order = [f, *[y for y in range(len(run.scores[x])) if y != f]]
        before = [run.scores[x][y] for y in order]
        run.run(1)
        after = [run.scores[x][y] for y in order]
        rate = mpf(float(case.rule.learning_rate)) * mpf(float(case.problem.frequencies[x]))
        e = [mpmath.exp(w) for w in before]
        move = (after[0] - after[j + 1]) - (before[0] - before[j + 1])
        return mpmath.fsum(e) * move, rate * (mpmath.fsum(e[1:]) + e[j + 1])

    return evaluate_twice(values, "one step of gradient descent")


def _point(seed: int, n_tokens: int, n_classes: int, scale: float, norms: float) -> Case:
    problem = orthogonal_memory(seed, n_tokens, n_classes, 3.0, norms, norms)
    return Case(problem=problem, rule=GradientDescent(1.0), steps=1,
                initial=random_start(seed, problem.inputs.shape[1], scale))  # fmt: skip


_POINTS = Family(
    (SEED, Parameter("n_tokens", 1, 3, "integer"), Parameter("n_classes", 2, 6, "integer"),
     Parameter("scale", 0.01, 3.0, "log"), Parameter("norms", 1.0, 1.5, "log")),
    _point,
    show={"seed": 1, "n_tokens": 2, "n_classes": 4, "scale": 1.0, "norms": 1.2},
)  # fmt: skip
_UNIT_POINTS = Family(
    tuple(p for p in _POINTS.parameters if p.name != "norms"),
    lambda seed, n_tokens, n_classes, scale: _point(seed, n_tokens, n_classes, scale, 1.0),
    show={"seed": 1, "n_tokens": 2, "n_classes": 4, "scale": 1.0},
)

CLAIMS = (
    Claim(
        id="cabannes2024.section4.multiclass_flow_equations",
        form="printed",
        title="Equations of the flow with orthogonal outputs",
        statement=r"$\frac{A}{A-e^{w_1}}dw_1=p\|e\|^2\|u_1\|^2dt$, $A\,e^{-w_i}dw_i=-p\|e\|^2\|u_i\|^2dt$ ($i\neq1$)",
        source=source_of("Section 4.1"),
        quantity=r"$A\,dw_1/dt,\ A\,dw_i/dt$",
        relation="==",
        bound=r"$p\|e\|^2\|u_1\|^2(A-e^{w_1}),\ -p\|e\|^2\|u_i\|^2e^{w_i}$",
        assumptions=(OrthogonalInputs(), OrthogonalOutputs()),
        expected=Outcome.HOLDS,
        reason="True at every W, for every norm.",
        proof="Project the gradient on u_i e^T.",
        family=_POINTS,
        evaluate=_equations,
    ),
    Claim(
        id="cabannes2024.section4.tightest_margin",
        form="printed",
        title="Equation of the tightest margin",
        statement=r"$(c+e^m)\,dm=p(x)\|e_x\|^2(c+1)\,dt$, $c=\sum_{j\neq1}e^{w_j-w_k}$ bounded",
        source=source_of("Section 4.1", "T3.4"),
        quantity=r"$(c+e^m)\,dm/dt$",
        relation="==",
        bound=r"$p(x)\|e_x\|^2(c+1)$",
        assumptions=(OrthogonalInputs(), OrthonormalOutputs()),
        expected=Outcome.HOLDS,
        reason="True to rounding, c in [1, M-1].",
        proof="A e^{-w_k} = e^m + c.",
        family=_UNIT_POINTS,
        evaluate=_tightest,
    ),
    Claim(
        id="cabannes2024.appendix_b.tightest_margin_speed",
        form="printed",
        title="Bounds on the speed of the tightest margin",
        statement=r"$(\frac{e^m}{M+1}+\frac{M_k}{M_k+1})\,dm\leq dt\leq(\frac{e^m}{M_k+1}+\frac{M}{M+1})\,dm$, "
        r"$M_k$ the number of wrong classes tied with $k$",
        source=source_of("Appendix B.2", "T3.4"),
        quantity=r"$dt/dm$ and upper bound",
        relation=">=",
        bound=r"lower bound and $dt/dm$",
        assumptions=(OrthogonalInputs(), OrthonormalOutputs()),
        expected=Outcome.HOLDS,
        reason="True but loose: the count of wrong classes is one too large; M+1 may be M, M/(M+1) may be (M-1)/M.",
        proof="dt/dm = (e^m+c)/(c+1) with M_k <= c <= M-1.",
        family=_UNIT_POINTS,
        evaluate=_rate_bounds,
        exact=_exact_rate_bounds,
    ),
    Claim(
        id="cabannes2024.section4.descent_margin_increment",
        form="printed",
        title="Margins only increase under gradient descent",
        statement=r"$A(w)\Delta_tm_i=\eta_t(A(w)-e^{w_1}+e^{w_i})\,p(x)\|e_x\|^2>0$",
        source=source_of("Section 4.1"),
        quantity=r"$A(w)\,\Delta_t m_i$",
        relation="==",
        bound=r"$\eta\,p\|e\|^2(A-e^{w_1}+e^{w_i})$",
        assumptions=_DESCENT,
        expected=Outcome.HOLDS,
        reason="True for every W and every rate.",
        proof="Subtract two components of the update.",
        family=_STEP,
        evaluate=_increments,
        exact=_exact_increments,
        cases=_CASES,
        directed=_DIRECTED,
    ),
)
