"""Section 4.1, many classes, in discrete time: margins, one step, the theorem for gradient descent."""

from __future__ import annotations

from typing import Any

import mpmath
import numpy as np
from mpmath import mpf

from .... import analytics, kernels
from ....dynamics import GradientDescent, at, logarithmic, simulate
from ...assumption import Assumption, Condition
from ...assumptions import (
    ConstantRateDescent,
    OrthogonalInputs,
    OrthogonalOutputs,
    OrthonormalInputs,
    OrthonormalOutputs,
    ZeroStart,
)
from ...case import Array, Case, Evidence, Exact, Family, Parameter
from ...claim import Claim, Source
from ...precision import descent, evaluate_twice
from ...verdict import Outcome
from .situations_multiclass import (
    PAPER,
    SEED,
    descent_case,
    orthogonal_memory,
    random_start,
    start_of,
    start_scores,
    target_first,
)

_EPS = float(np.finfo(float).eps)
_DESCENT: tuple[Assumption, ...] = (OrthonormalInputs(), OrthonormalOutputs(), ConstantRateDescent())
_CASES = {"cases": (40, 1500), "directed": (20, 400)}


def _build(seed: int, n_tokens: int, n_classes: int, rate: float, steps: int, scale: float) -> Case:
    problem = orthogonal_memory(seed, n_tokens, n_classes, 3.0)
    return descent_case(problem, rate, steps, random_start(seed, problem.inputs.shape[1], scale) if scale else None)


def _rates(case: Case) -> Array:
    """Return eta p |e|^2 of every token."""
    m = case.problem
    return np.asarray(case.rule.learning_rate * m.frequencies * np.sum(m.inputs**2, axis=1))


def _start_margins(case: Case) -> list[Array]:
    """Return the M-1 margins of every token at the start."""
    rows = [target_first(s, int(f)) for s, f in zip(start_scores(case), case.problem.targets, strict=True)]
    return [row[0] - row[1:] for row in rows]


def _run(case: Case, steps: Array | None = None) -> tuple[Array, Array]:
    """Return the steps that were kept and the scores there, (T, N, M)."""
    grid = logarithmic(40) if steps is None else at(steps)
    run = simulate(
        case.problem, case.rule, steps=case.steps or 1000, save=grid, observe=("scores",), initial=case.initial
    )
    return np.asarray(run.step, dtype=float), np.asarray(run["scores"])


def _drift(steps: Array, scores: Array) -> Array:
    """Return the rounding budget of simulated scores: each step rounds every score, 4 ulp of the largest."""
    size = 1 + np.abs(scores).max(axis=(1, 2))
    return np.asarray(4 * _EPS * size * (1 + steps))


# the flow and descent equations of Section 4.1


def _equations(case: Case) -> Evidence:
    """Both displayed differential equations at a random W, dw/dt from the gradient kernel."""
    m = case.problem
    weights = start_of(case)
    slope = -kernels.softmax_gradient(weights, m.inputs, m.outputs, m.targets, m.frequencies)[1]
    speed = m.inputs @ slope.T @ m.outputs.T
    left, right = [], []
    for x, f in enumerate(m.targets):
        w = target_first(start_scores(case)[x], int(f))
        dw = target_first(speed[x], int(f))
        norms = target_first(np.sum(m.outputs**2, axis=1), int(f))
        scale = float(m.frequencies[x] * np.sum(m.inputs[x] ** 2))
        total = np.exp(w).sum()
        left += [dw[0] * total, *(dw[1:] * total)]
        right += [scale * norms[0] * np.exp(w[1:]).sum(), *(-scale * norms[1:] * np.exp(w[1:]))]
    size = np.abs(right) + 64 * np.exp(np.abs(start_scores(case)).max()) * m.outputs.size
    return Evidence(np.arange(len(left)) + 1.0, left, right, 64 * _EPS * size, axis_name="score")


def _tightest(case: Case) -> Evidence:
    """(c + e^m) dm/dt against p|e|^2 (c + 1) for the tightest margin, dm/dt from the gradient kernel."""
    m = case.problem
    slope = -kernels.softmax_gradient(start_of(case), m.inputs, m.outputs, m.targets, m.frequencies)[1]
    speed = m.inputs @ slope.T @ m.outputs.T
    left, right = [], []
    for x, f in enumerate(m.targets):
        w, dw = target_first(start_scores(case)[x], int(f)), target_first(speed[x], int(f))
        k = 1 + int(np.argmax(w[1:]))
        c = float(analytics.tightest_margin_factor(w))
        left.append((c + np.exp(w[0] - w[k])) * (dw[0] - dw[k]))
        right.append(float(m.frequencies[x] * np.sum(m.inputs[x] ** 2)) * (c + 1))
    size = np.abs(right) * 64 * len(m.outputs) + 64 * np.exp(2 * np.abs(start_scores(case)).max())
    return Evidence(np.arange(len(left)) + 1.0, left, right, _EPS * size, axis_name="token")


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
    return Evidence(np.arange(flat.size) + 1.0, flat, np.ravel(right), 64 * _EPS * size, axis_name="margin")


def _exact_increments(case: Case, index: int) -> Exact:
    x, j = divmod(index, len(case.problem.outputs) - 1)
    f = int(case.problem.targets[x])

    def values() -> tuple[Any, Any]:
        run = descent(case, 0)
        order = [f, *[y for y in range(len(run.scores[x])) if y != f]]
        before = [run.scores[x][y] for y in order]
        run.run(1)
        after = [run.scores[x][y] for y in order]
        rate = mpf(float(case.rule.learning_rate)) * mpf(float(case.problem.frequencies[x]))
        rate *= mpmath.fsum(mpf(float(a)) ** 2 for a in case.problem.inputs[x])
        e = [mpmath.exp(w) for w in before]
        move = (after[0] - after[j + 1]) - (before[0] - before[j + 1])
        return mpmath.fsum(e) * move, rate * (mpmath.fsum(e[1:]) + e[j + 1])

    return evaluate_twice(values, "one step of gradient descent")


# T3.6: one step, and how many


def _one_step(case: Case) -> Evidence:
    """Margin of every token after one step, which should be positive."""
    _, scores = _run(Case(case.parameters, case.problem, case.rule, 1, None, case.initial))
    margins = [float(np.min(s[0] - s[1:])) for s in
               (target_first(row, int(f)) for row, f in zip(scores[-1], case.problem.targets, strict=True))]  # fmt: skip
    budget = 8 * _EPS * (1 + np.abs(scores).max())
    return Evidence(np.arange(len(margins)) + 1.0, margins, np.zeros(len(margins)), budget, axis_name="token")


def _exact_one_step(case: Case, index: int) -> Exact:
    return evaluate_twice(lambda: (descent(case, 1).margin(index), mpf(0)), "one step of gradient descent")


_CLOSE_START = Condition(
    r"every margin starts above $-\eta p(x)\|e_x\|^2$",
    lambda case: float(min(np.min(m) + r for m, r in zip(_start_margins(case), _rates(case), strict=True))),
    Family((SEED, Parameter("rate", 0.1, 100.0, "log"), Parameter("scale", 0.01, 3.0, "log")),
           lambda seed, rate, scale: _build(seed, 3, 4, rate, 1, scale)),
    strict=True,
)  # fmt: skip


def _first_correct(case: Case) -> tuple[Array, list[tuple[int, int]]]:
    """Return the first step with all margins positive for every token, and the proved brackets."""
    brackets = [
        analytics.steps_to_correct(m, float(r)) for m, r in zip(_start_margins(case), _rates(case), strict=True)
    ]
    last = max(high for _, high in brackets)
    steps, scores = _run(
        Case(case.parameters, case.problem, case.rule, max(last, 1), None, case.initial), np.arange(max(last, 1) + 1.0)
    )
    found = []
    for x, f in enumerate(case.problem.targets):
        w = target_first(scores[:, x], int(f))
        right = np.all(w[:, :1] > w[:, 1:], axis=1)
        found.append(float(steps[int(np.argmax(right))]) if right.any() else np.inf)
    return np.array(found), brackets


def _bracket(case: Case) -> Evidence:
    found, brackets = _first_correct(case)
    low, high = np.array(brackets, dtype=float).T
    tokens = np.arange(len(found)) + 1.0
    return Evidence(np.r_[tokens, tokens], np.r_[found, high], np.r_[low, found], 0.0, axis_name="token")


# Theorem 3 for gradient descent


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
    budget = np.repeat(_drift(steps, scores), tokens)
    return Evidence(np.r_[where, where], np.r_[margin.ravel(), np.transpose(high).ravel()],
                    np.r_[np.transpose(low).ravel(), margin.ravel()], np.r_[budget, budget], axis_scale="log")  # fmt: skip


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
    budget = (_drift(steps, scores)[1:, None] * 2 * v[1:].max(axis=1, keepdims=True)) * np.ones((1, len(i)))
    where = np.repeat(steps[1:], len(i))
    return Evidence(where, gaps[1:].ravel(), gaps[:-1].ravel(), budget.ravel(), axis_scale="log")


def _exact_contraction(case: Case, index: int) -> Exact:
    steps, scores = _run(case)
    n = scores.shape[2]
    i, j = np.triu_indices(n - 1, 1)
    row, pair = divmod(index, len(i))
    f = int(case.problem.targets[0])

    def values() -> tuple[Any, Any]:
        run = descent(case, int(steps[row]))
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
    budget = _drift(steps, scores) * (np.exp(margin) + c) + 8 * _EPS * bound
    return Evidence(steps, level, bound, budget, axis_scale="log")


def _exact_tight_floor(case: Case, index: int) -> Exact:
    steps, _ = _run(case)

    def values() -> tuple[Any, Any]:
        run = descent(case, 0)
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


def _source(place: str, row: str = "") -> Source:
    return Source(PAPER, place, row)


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
_STEP = Family(
    (SEED, Parameter("n_tokens", 1, 3, "integer"), Parameter("n_classes", 2, 6, "integer"),
     Parameter("rate", 0.1, 100.0, "log"), Parameter("scale", 0.01, 3.0, "log")),
    lambda seed, n_tokens, n_classes, rate, scale: _build(seed, n_tokens, n_classes, rate, 1, scale),
    show={"seed": 0, "n_tokens": 3, "n_classes": 4, "rate": 1.0, "scale": 1.0},
    corners=({"n_classes": 3, "rate": 0.1, "scale": 3.0},),
)  # fmt: skip


def _build_bracket(seed: int, n_classes: int, rate: float, scale: float) -> Case:
    problem = orthogonal_memory(seed, 1, n_classes)
    weights = random_start(seed, problem.inputs.shape[1], scale)
    if seed == 0 and n_classes == 3:  # the example of the errata: scores (0, 5, 0), 30 steps at eta p = 0.1
        f = int(problem.targets[0])
        weights = 5.0 * np.outer(problem.outputs[(f + 1) % 3], problem.inputs[0])
    return descent_case(problem, rate, 1, weights)


CLAIMS = (
    Claim(
        id="cabannes2024.section4.multiclass_flow_equations",
        form="printed",
        title="Equations of the flow with orthogonal outputs",
        statement=r"$\frac{A}{A-e^{w_1}}dw_1=p\|e\|^2\|u_1\|^2dt$, $A\,e^{-w_i}dw_i=-p\|e\|^2\|u_i\|^2dt$ ($i\neq1$)",
        source=_source("Section 4.1"),
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
        source=_source("Section 4.1", "T3.4"),
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
        id="cabannes2024.section4.descent_margin_increment",
        form="printed",
        title="Margins only increase under gradient descent",
        statement=r"$A(w)\Delta_tm_i=\eta_t(A(w)-e^{w_1}+e^{w_i})\,p(x)\|e_x\|^2>0$",
        source=_source("Section 4.1"),
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
        **_CASES,
    ),
    Claim(
        id="cabannes2024.section4.one_step",
        form="printed",
        title="One gradient step learns everything",
        statement=r"one gradient step is enough to learn all associations, $f_{W_1}(x)=f^*(x)$, for any initialisation",
        source=_source("Section 4.1", "T3.6"),
        quantity=r"$m_1(x)$",
        relation=">",
        bound=r"$0$",
        assumptions=_DESCENT,
        expected=Outcome.VIOLATED,
        reason="A step moves a margin by less than 2 eta p: one that starts below -2 eta p stays negative. "
        "Scores (0,5,0) with eta p = 0.1 need 30 steps.",
        family=_STEP,
        evaluate=_one_step,
        exact=_exact_one_step,
        **_CASES,
    ),
    Claim(
        id="cabannes2024.section4.one_step",
        form="corrected",
        title="One gradient step learns everything from a close start",
        statement=r"one step is enough if every margin starts above $-\eta p(x)\|e_x\|^2$ (from $W_0=0$: always)",
        source=_source("Section 4.1", "T3.6"),
        quantity=r"$m_1(x)$",
        relation=">",
        bound=r"$0$",
        assumptions=(*_DESCENT, _CLOSE_START),
        expected=Outcome.HOLDS,
        reason="True, and impossible if some margin starts at or below -2 eta p.",
        proof="A negative margin has q_i > q_1, so its increment eta p (1-q_1+q_i) exceeds eta p; all others grow too.",
        family=Family(_STEP.parameters, _STEP.build, show={"seed": 0, "rate": 30.0, "scale": 0.1},
                      corners=({"scale": 0.01, "rate": 1.0},)),
        evaluate=_one_step,
        exact=_exact_one_step,
        **_CASES,
    ),
    Claim(
        id="cabannes2024.new.steps_to_learn",
        form="corrected",
        title="Number of steps until a token is learned",
        statement=r"$\lfloor D/(2\eta p)\rfloor+1\leq T\leq\lceil D/(\eta p)\rceil$, $D=\max_i(-m_i(0))>0$",
        source=_source("new", "T3.6"),
        quantity=r"$T$ and $\lceil D/(\eta p)\rceil$",
        relation=">=",
        bound=r"$\lfloor D/(2\eta p)\rfloor+1$ and $T$",
        assumptions=_DESCENT,
        expected=Outcome.HOLDS,
        reason="Exact integers. (A margin that starts at 0 needs one step: the bracket of the errata reads 0 there.)",
        proof="A negative margin grows by more than eta p and less than 2 eta p at every step.",
        family=Family((SEED, Parameter("n_classes", 2, 6, "integer"), Parameter("rate", 0.05, 10.0, "log"),
                       Parameter("scale", 0.1, 4.0, "log")), _build_bracket,
                      show={"seed": 0, "n_classes": 3, "rate": 0.1, "scale": 1.0},
                      corners=({"n_classes": 2, "rate": 0.05, "scale": 4.0},)),
        evaluate=_bracket,
        **_CASES,
    ),
    Claim(
        id="cabannes2024.theorem3.descent",
        form="printed",
        title="Theorem 3 for gradient descent",
        statement="for gradient descent, we expect the same theorem to hold",
        source=_source("Appendix B.2, indications", "T3.1"),
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
        statement=r"from $W_0=0$, $W_t=\sum_x m_t(x)\,\Pi(u_{f(x)})e_x^\top$ with $e^{m}+(M-1-b_+)m\leq 1+Mp\eta t"
        r"\leq e^{m}+(M-1-b_-)m$, every $\eta$ and $t$",
        source=_source("Appendix B.2, indications", "T3.1"),
        quantity=r"$m_t(x)$ and upper bound",
        relation=">=",
        bound=r"lower bound and $m_t(x)$",
        assumptions=(*_DESCENT, ZeroStart()),
        expected=Outcome.HOLDS,
        reason="The two-sided enclosure (3.4) of the errata with a = M-1, k = eta M p. So W_t/log(eta t) tends to W_inf "
        "at the rate 1/log t.",
        proof="Tied wrong scores stay tied; the scalar map m' = m + k/(a+e^m) is enclosed by telescoping F(m)=e^m+am.",
        family=Family((SEED, Parameter("n_tokens", 1, 3, "integer"), Parameter("n_classes", 2, 12, "integer"),
                       Parameter("rate", 1e-2, 100.0, "log"), Parameter("steps", 10, 3000, "log-integer")),
                      lambda seed, n_tokens, n_classes, rate, steps: _build(seed, n_tokens, n_classes, rate, steps, 0.0),
                      show={"seed": 0, "n_tokens": 2, "n_classes": 5, "rate": 1.0, "steps": 3000},
                      corners=({"rate": 1.0, "steps": 100000, "n_classes": 3}, {"rate": 100.0, "n_classes": 2})),
        evaluate=_descent_expansion,
        exact=_exact_descent_expansion,
        **_CASES,
    ),
    Claim(
        id="cabannes2024.new.descent_contraction",
        form="corrected",
        title="Descent contracts what the flow conserves",
        statement=r"if $\eta p(x)\|e_x\|^2\leq1$, every $|e^{-w_i}-e^{-w_j}|$ ($i,j\neq1$) never increases",
        source=_source("new"),
        quantity=r"$|e^{-w_i(t')}-e^{-w_j(t')}|$",
        relation="<=",
        bound=r"$|e^{-w_i(t)}-e^{-w_j(t)}|$, $t<t'$",
        assumptions=(*_DESCENT, _SMALL_RATE),
        expected=Outcome.HOLDS,
        reason="New. With v growing like t^{1/M}, the wrong scores align at the rate of the flow, t^{-1/M}: Theorem 3 "
        "for descent from every start, with a rate.",
        proof="v' = v e^{x/v}, x = eta p/A: the increment v(e^{x/v}-1) decreases in v, and order is kept since "
        "x/v = eta p q <= 1.",
        family=Family((SEED, Parameter("n_classes", 3, 6, "integer"), Parameter("rate", 0.01, 1.0, "log"),
                       Parameter("steps", 10, 2000, "log-integer"), Parameter("scale", 0.1, 2.0, "log")),
                      lambda seed, n_classes, rate, steps, scale: _build(seed, 1, n_classes, rate, steps, scale),
                      show={"seed": 0, "n_classes": 3, "rate": 1.0, "steps": 2000, "scale": 1.0},
                      corners=({"rate": 1.0, "scale": 2.0},)),
        evaluate=_contraction,
        exact=_exact_contraction,
        **_CASES,
    ),
    Claim(
        id="cabannes2024.new.descent_tightest_margin",
        form="corrected",
        title="The tightest margin from any right start",
        statement=r"if $\eta p\|e\|^2\leq1$ and all margins start at or above $0$: "
        r"$e^{m_t}+c_0m_t\geq e^{m_0}+c_0m_0+(c_0+1)\eta p\,t$ for the tightest margin, $c_0=\sum_{j\neq1}e^{w_j-w_k}$",
        source=_source("new"),
        quantity=r"$e^{m_t}+c_0m_t$",
        relation=">=",
        bound=r"$e^{m_0}+c_0m_0+(c_0+1)\eta p t$",
        assumptions=(*_DESCENT, _SMALL_RATE, _RIGHT_START),
        expected=Outcome.HOLDS,
        reason="New. The flow has equality in the limit of equal wrong scores. May be restarted with a larger c.",
        proof="c increases (the differences of e^{-w} contract), (c+1)/(c+e^m) increases in c for m >= 0, and "
        "e^m + c_0 m is convex.",
        family=Family((SEED, Parameter("n_classes", 2, 6, "integer"), Parameter("rate", 0.01, 1.0, "log"),
                       Parameter("steps", 10, 2000, "log-integer"), Parameter("scale", 0.1, 2.0, "log")), _right_build,
                      show={"seed": 0, "n_classes": 3, "rate": 1.0, "steps": 2000, "scale": 1.0}),
        evaluate=_tight_floor,
        exact=_exact_tight_floor,
        **_CASES,
    ),
)

