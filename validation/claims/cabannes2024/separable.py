"""Separable problems of any size: loss at every time, steps to perfect accuracy, margins, Cover's count."""

from __future__ import annotations

from typing import Any

import mpmath
import numpy as np
from mpmath import mpf

from .... import analytics
from ....dynamics import AssociativeMemory, GradientFlow, at, logarithmic, simulate, when
from ...assumption import Condition
from ...assumptions import ConstantRateDescent, OrthonormalInputs, OrthonormalOutputs, ZeroStart
from ...case import Array, Case, Evidence, Exact, Family, Parameter
from ...claim import Claim, Source
from ...precision import evaluate_twice
from ...verdict import Outcome
from .section51 import _SAFE_RATE
from .situations_multiclass import (
    PAPER,
    SEED,
    descent_case,
    exact_flow,
    flow_case,
    orthogonal_memory,
    random_memory,
    random_start,
    separable_memory,
    start_scores,
)

_EPS = float(np.finfo(float).eps)
_CASES = {"cases": (20, 400), "directed": (8, 120)}

_SEPARABLE = Condition(
    r"some $W$ has all margins $>0$",
    lambda case: 1.0 if analytics.separability(case.problem).strict else -1.0,
    Family((SEED,), lambda seed: Case(problem=random_memory(seed, 4, 3, 2))),
    strict=True,
)


def _hard(case: Case) -> float:
    return float(analytics.hard_margin(case.problem).margin)


def _start_loss(case: Case) -> float:
    m = case.problem
    scores = start_scores(case)
    own = scores[np.arange(len(scores)), m.targets]
    return float(m.frequencies @ (np.logaddexp.reduce(scores, axis=1) - own))


# the loss at every time


def _build_flow(seed: int, n_tokens: int, n_classes: int, dim: int, time: float, scale: float) -> Case:
    return flow_case(separable_memory(seed, n_tokens, n_classes, dim), time, random_start(seed, dim, scale))


def _flow_loss(case: Case) -> Evidence:
    last = float(case.time if case.time is not None else 1e4)
    run = simulate(case.problem, case.rule or GradientFlow(), time=last, save=logarithmic(20), observe=("loss",),
                   initial=case.initial)  # fmt: skip
    loss = np.asarray(run["loss"])
    bound = analytics.separable_flow_loss_bound(
        run.time, _hard(case), float(case.problem.frequencies.min()), _start_loss(case)
    )
    # the hard margin is known to its duality gap, 1e-9; the flow to its own estimate
    budget = 10 * np.asarray(run.error["loss"]) + 1e-8 * bound
    return Evidence(np.asarray(run.time)[1:], loss[1:], bound[1:], budget[1:], "time t", "log")


def _exact_single(case: Case, index: int) -> Exact:
    """Return loss and bound for one token of two classes, where the bound is attained; others lie far inside."""
    last = float(case.time if case.time is not None else 1e4)
    time = float(np.asarray(logarithmic(20).times(last))[index + 1])
    m = case.problem

    def values() -> tuple[Any, Any]:
        if len(m.inputs) > 1 or len(m.outputs) > 2:
            return mpf(0), mpf(1)
        difference = [mpf(float(a)) - mpf(float(b)) for a, b in zip(*m.outputs[[m.targets[0], 1 - m.targets[0]]], strict=True)]
        e = [mpf(float(a)) for a in m.inputs[0]]
        weights = np.zeros((len(e),) * 2) if case.initial is None else case.initial
        start = mpmath.fsum(
            difference[i] * mpf(float(weights[i, j])) * e[j] for i in range(len(e)) for j in range(len(e))
        )
        rate = mpmath.fsum(a * a for a in difference) * mpmath.fsum(a * a for a in e) * mpf(float(m.frequencies[0]))
        level = mpmath.exp(start) + start + rate * mpf(time)
        margin = mpmath.log(level) if level > 3 else level - 1
        for _ in range(60):
            step = (mpmath.exp(margin) + margin - level) / (mpmath.exp(margin) + 1)
            margin -= step
        loss = mpmath.log1p(mpmath.exp(-margin))
        return loss, loss  # b = e^m: bound and loss are the same function

    return evaluate_twice(values, "exact flow of one token")


def _build_descent(
    seed: int, n_tokens: int, n_classes: int, dim: int, fraction: float, steps: int, scale: float
) -> Case:
    problem = separable_memory(seed, n_tokens, n_classes, dim)
    return descent_case(problem, fraction * analytics.descent_rate(problem), steps, random_start(seed, dim, scale))


def _descent_loss(case: Case) -> Evidence:
    run = simulate(case.problem, case.rule, steps=case.steps or 1000, save=logarithmic(30), observe=("loss",),
                   initial=case.initial)  # fmt: skip
    loss, steps = np.asarray(run["loss"]), np.asarray(run.step, dtype=float)
    bound = analytics.separable_descent_loss_bound(
        case.problem, _hard(case), case.rule.learning_rate, steps, _start_loss(case)
    )
    return Evidence(steps[1:], loss[1:], bound[1:], 1e-8 * bound[1:], axis_scale="log")


def _tied_loss(case: Case) -> Evidence:
    """Both sides of t L around N (1 - 1/M) for orthonormal embeddings from zero."""
    last = float(case.time if case.time is not None else 1e6)
    times = np.geomspace(1.0, last, 12)
    run = simulate(case.problem, case.rule or GradientFlow(), time=last, save=at(times), observe=("loss",))
    rows = np.searchsorted(run.time, times * (1 - 1e-12))
    loss, error = np.asarray(run["loss"])[rows], np.asarray(run.error["loss"])[rows]
    low, high = _tied_loss_bounds(case, times)
    budget = times * (10 * error + 1e-12 * loss)
    seen = np.isfinite(high)
    return Evidence(np.r_[times, times[seen]], np.r_[times * loss, (times * high)[seen]],
                    np.r_[times * low, (times * loss)[seen]], np.r_[budget, budget[seen]], "time t", "log")  # fmt: skip


def _tied_loss_bounds(case: Case, times: Array) -> tuple[Array, Array]:
    m = case.problem
    a = len(m.outputs) - 1
    x = (a + 1) * m.frequencies[None, :] * times[:, None]
    rest = 1 + x - a * np.log1p(x)
    low = (m.frequencies * np.log1p(a / (1 + x))).sum(axis=1)
    high = np.where(rest > 0, m.frequencies * np.log1p(a / np.maximum(rest, 1e-300)), np.inf).sum(axis=1)
    return low, high


def _exact_tied_loss(case: Case, index: int) -> Exact:
    last = float(case.time if case.time is not None else 1e6)
    evidence = _tied_loss(case)
    time, upper = float(evidence.axis[index]), index >= len(np.geomspace(1.0, last, 12))

    def values() -> tuple[Any, Any]:
        n = len(case.problem.outputs)
        a, loss, bound = n - 1, mpf(0), mpf(0)
        for p in map(mpf, map(float, case.problem.frequencies)):
            w = exact_flow([mpf(0)] * n, p * mpf(time))
            loss += p * mpmath.log1p(a * mpmath.exp(w[1] - w[0]))
            x = n * p * mpf(time)
            bound += p * mpmath.log1p(a / ((1 + x - a * mpmath.log1p(x)) if upper else 1 + x))
        return (time * bound, time * loss) if upper else (time * loss, time * bound)

    return evaluate_twice(values, "exact flow")


# the perceptron argument


def _build_any(seed: int, n_tokens: int, n_classes: int, dim: int, rate: float, steps: int) -> Case:
    return descent_case(separable_memory(seed, n_tokens, n_classes, dim), rate, steps)


def _error_sum(case: Case) -> Evidence:
    """Sum over the steps of G_s = sum p (1 - p_W(f|x)) against its bound."""
    steps = case.steps or 1000
    run = simulate(case.problem, case.rule, steps=steps, observe=("margins",), initial=case.initial)
    margins = np.asarray(run["margins"])[:-1]
    others = np.exp(-np.minimum(margins, 700.0))
    others[:, np.arange(len(case.problem.targets)), case.problem.targets] = 0.0
    total = others.sum(axis=2)
    errors = (total / (1 + total)) @ case.problem.frequencies
    summed = np.cumsum(errors)
    keep = np.unique(np.geomspace(1, steps, 30).astype(int)) - 1
    t = keep + 1.0
    margin = _hard(case)
    bound = np.array([analytics.cumulative_error_bound(case.problem, margin, case.rule.learning_rate, s) for s in t])
    return Evidence(t, summed[keep], bound, 1e-8 * bound, axis_scale="log")


def _perfect(case: Case) -> Evidence:
    """First step with perfect accuracy against its bound; a run that ends before is no evidence, and says so by 0."""
    bound = analytics.perfect_accuracy_bound(case.problem, _hard(case), case.rule.learning_rate)
    steps = int(min(np.ceil(bound), case.steps or 20000))
    run = simulate(case.problem, case.rule, steps=steps, save=logarithmic(2), observe=("accuracy",),
                   stop=when("accuracy", ">=", 1.0), initial=case.initial)  # fmt: skip
    reached = float(np.asarray(run["accuracy"])[-1]) >= 1.0
    first = float(run.step[-1]) if reached else (np.inf if steps >= bound else 0.0)
    return Evidence([1.0], [first], [bound], 1e-8 * bound, axis_name="run")


# (13) and (22): margins and accuracy


def _margin_definition(case: Case) -> Evidence:
    steps = case.steps or 20
    run = simulate(case.problem, case.rule, steps=steps, observe=("margins",), initial=case.initial)
    m, weights = case.problem, np.asarray(run.final)
    image = weights @ m.inputs.T
    formula = [(m.outputs[f] - u) @ image[:, x] for x, f in enumerate(m.targets) for u in m.outputs]
    size = 1 + float(np.abs(m.outputs).sum(axis=1).max() * np.abs(image).max())
    flat = np.asarray(run["margins"])[-1].ravel()
    return Evidence(np.arange(flat.size) + 1.0, flat, formula, 64 * _EPS * size * (1 + steps), axis_name="margin")


def _accuracy_definition(case: Case) -> Evidence:
    """Whether all tokens are right (accuracy exactly 1) against whether all margins (22) are positive, at every step."""
    run = simulate(case.problem, case.rule, steps=case.steps or 50, observe=("accuracy", "margin"), initial=case.initial)
    right = (np.asarray(run["accuracy"]) == 1.0).astype(float)
    positive = np.all(np.asarray(run["margin"]) > 0, axis=1).astype(float)
    return Evidence(np.asarray(run.step, dtype=float), right, positive, 0.0)


# Cover's law


def _cover(case: Case) -> Evidence:
    """Count the separable labelings of N points in general position, all of them, against Cover's number."""
    points = case.problem.inputs
    n, dim = points.shape
    found = 0
    for code in range(2 ** (n - 1)):  # the opposite labeling is separable by -W
        labels = np.array([(code >> x) & 1 for x in range(n)])
        memory = AssociativeMemory(points, np.eye(dim)[:2], labels, np.full(n, 1 / n))
        found += 2 * bool(analytics.separability(memory).strict)
    return Evidence([float(n)], [float(found)], [float(analytics.separable_labelings(n, dim))], 0.0,
                    axis_name="number of tokens")  # fmt: skip


def _source(place: str, row: str = "") -> Source:
    return Source(PAPER, place, row)


_SHAPE = (SEED, Parameter("n_tokens", 1, 6, "integer"), Parameter("n_classes", 2, 5, "integer"),
          Parameter("dim", 2, 6, "integer"))  # fmt: skip

CLAIMS = (
    Claim(
        id="cabannes2024.equation13.margins",
        form="printed",
        title="Margins as differences of particles",
        statement=r"$m_i(x)=w_{xf^*(x)}-w_{xi}=(u_{f^*(x)}-u_i)^\top We_x$",
        source=_source("(13)"),
        quantity=r"$m_i(x)$ of the particles",
        relation="==",
        bound=r"$(u_{f^*(x)}-u_i)^\top We_x$",
        expected=Outcome.HOLDS,
        reason="The margins that the simulation reports are those of its final weights.",
        proof="Definition (10).",
        family=Family((*_SHAPE, Parameter("rate", 0.1, 10.0, "log")),
                      lambda seed, n_tokens, n_classes, dim, rate: descent_case(
                          random_memory(seed, n_tokens, n_classes, dim), rate, 20, random_start(seed, dim, 1.0)),
                      show={"seed": 1, "n_tokens": 3, "n_classes": 3, "dim": 3, "rate": 1.0}),
        evaluate=_margin_definition,
        **_CASES,
    ),
    Claim(
        id="cabannes2024.equation22.perfect_accuracy",
        form="printed",
        title="Perfect accuracy and positive margins",
        statement=r"perfect accuracy is achieved when $m_t(x)=u_{f^*(x)}^\top We_x-\max_{j\neq x}u_j^\top We_x>0$ "
        r"for all $x$",
        source=_source("(22)"),
        quantity="accuracy is 1",
        relation="==",
        bound=r"all $m_t(x)>0$",
        expected=Outcome.HOLDS,
        reason="True for f*(x) = x, for which (22) is written; in general the maximum is over j != f*(x), as here.",
        proof="Definition; a tie counts as wrong.",
        family=Family((*_SHAPE, Parameter("rate", 0.1, 100.0, "log")),
                      lambda seed, n_tokens, n_classes, dim, rate: descent_case(
                          separable_memory(seed, n_tokens, n_classes, dim), rate, 50),
                      show={"seed": 1, "n_tokens": 4, "n_classes": 3, "dim": 4, "rate": 3.0}),
        evaluate=_accuracy_definition,
        **_CASES,
    ),
    Claim(
        id="cabannes2024.new.flow_loss",
        form="corrected",
        title="Loss of every separable flow, at every time",
        statement=r"$L(W_t)\leq p\,\log(1+1/b_t)$, $b_t+\log b_t=b_0+\log b_0+\gamma^2pt$, $b_0=1/(e^{L(W_0)/p}-1)$, "
        r"$p=\min_xp(x)$, $\gamma$ the hard margin; so $\limsup_t tL(W_t)\leq 1/\gamma^2$",
        source=_source("new", "spec 1.1"),
        quantity=r"$L(W_t)$",
        relation="<=",
        bound=r"$p\,\log(1+1/b_t)$",
        assumptions=(_SEPARABLE,),
        expected=Outcome.HOLDS,
        reason="New: the upper half of the universal law t L -> 1/gamma^2 with its regime, from any start. Equality for "
        "one token of two classes.",
        proof="dL/dt = -||grad L||^2 <= -gamma^2G^2 and G >= p(1-e^{-L/p}) (a concave function is least at a vertex).",
        family=Family((*_SHAPE, Parameter("time", 10.0, 1e5, "log"), Parameter("scale", 0.01, 1.0, "log")), _build_flow,
                      show={"seed": 1, "n_tokens": 4, "n_classes": 3, "dim": 4, "time": 1e5, "scale": 0.1},
                      corners=({"n_tokens": 1, "n_classes": 2, "dim": 2, "time": 1e5},)),
        evaluate=_flow_loss,
        exact=_exact_single,
        **_CASES,
    ),
    Claim(
        id="cabannes2024.new.descent_loss",
        form="corrected",
        title="Loss of every separable descent with a safe rate",
        statement=r"for $\eta<2/B$, $B=\frac{D^2}{4}\lambda_{\max}$: the bound of the flow at the time "
        r"$\eta(1-\eta B/2)\,t$; so $\limsup_t\eta tL(W_t)\leq 1/(\gamma^2(1-\eta B/2))$",
        source=_source("new", "spec 1.1"),
        quantity=r"$L(W_t)$",
        relation="<=",
        bound=r"$p\,\log(1+1/b_t)$",
        assumptions=(_SEPARABLE, ConstantRateDescent(), _SAFE_RATE),
        expected=Outcome.HOLDS,
        reason="New.",
        proof="Descent lemma, and b + log b is a convex decreasing function of L.",
        family=Family((*_SHAPE, Parameter("fraction", 0.01, 0.99, "log"), Parameter("steps", 10, 10000, "log-integer"),
                       Parameter("scale", 0.01, 1.0, "log")), _build_descent,
                      show={"seed": 1, "n_tokens": 4, "n_classes": 3, "dim": 4, "fraction": 0.3, "steps": 10000,
                            "scale": 0.1},
                      corners=({"n_tokens": 1, "n_classes": 2, "dim": 2, "fraction": 0.01, "steps": 10000},)),
        evaluate=_descent_loss,
        **_CASES,
    ),
    Claim(
        id="cabannes2024.new.orthonormal_loss",
        form="corrected",
        title="Loss with orthonormal embeddings, two-sided",
        statement=r"from $W_0=0$: $\sum_xp\log(1+\frac{M-1}{1+X})\leq L(W_t)\leq"
        r"\sum_xp\log(1+\frac{M-1}{1+X-(M-1)\log(1+X)})$, $X=Mp(x)t$; both times $t$ tend to $N(1-1/M)=1/\gamma^2$",
        source=_source("new", "spec 1.1"),
        quantity=r"$tL(W_t)$ and upper bound",
        relation=">=",
        bound=r"lower bound and $tL(W_t)$",
        assumptions=(OrthonormalInputs(), OrthonormalOutputs(), ZeroStart()),
        expected=Outcome.HOLDS,
        reason="New: the universal law with both sides at every time, free of p in the limit.",
        proof="e^m + (M-1)m = 1 + X and 0 <= m <= log(1+X).",
        family=Family((SEED, Parameter("n_tokens", 1, 4, "integer"), Parameter("n_classes", 2, 8, "integer"),
                       Parameter("imbalance", 1.0, 20.0, "log"), Parameter("time", 1e2, 1e8, "log")),
                      lambda seed, n_tokens, n_classes, imbalance, time: flow_case(
                          orthogonal_memory(seed, n_tokens, n_classes, imbalance), time),
                      show={"seed": 0, "n_tokens": 3, "n_classes": 4, "imbalance": 5.0, "time": 1e8},
                      corners=({"n_classes": 2, "time": 1e8}, {"n_classes": 8, "imbalance": 20.0})),
        evaluate=_tied_loss,
        exact=_exact_tied_loss,
        **_CASES,
    ),
    Claim(
        id="cabannes2024.new.cumulative_error",
        form="corrected",
        title="Summed errors of descent on any separable problem, every rate",
        statement=r"from $W_0=0$, every $\eta$: $\sum_{s<t}G_s\leq R^2D^2/\gamma^2+\sqrt{2wt/\eta}/\gamma$, "
        r"$G=\sum_xp(1-p_W(f|x))$, $w=W_0((M-1)/e)$ (Lambert)",
        source=_source("new", "section 6"),
        quantity=r"$\sum_{s<t}G_s$",
        relation="<=",
        bound=r"$R^2D^2/\gamma^2+\sqrt{2wt/\eta}/\gamma$",
        assumptions=(_SEPARABLE, ConstantRateDescent(), ZeroStart()),
        expected=Outcome.HOLDS,
        reason="New. Loose by a factor 1.1 to 100 on random problems.",
        proof="Perceptron: <-grad, W*> >= gamma G, -<W, grad> <= w, ||grad|| <= R D G <= R D sqrt(G); solve for the sum.",
        family=Family((*_SHAPE, Parameter("rate", 1e-2, 1e3, "log"), Parameter("steps", 10, 2000, "log-integer")),
                      _build_any,
                      show={"seed": 1, "n_tokens": 5, "n_classes": 4, "dim": 4, "rate": 10.0, "steps": 2000},
                      corners=({"rate": 1e3, "steps": 2000}, {"rate": 1e-2, "steps": 2000})),
        evaluate=_error_sum,
        **_CASES,
    ),
    Claim(
        id="cabannes2024.new.time_to_accuracy",
        form="corrected",
        title="Steps to perfect accuracy on any separable problem, every rate",
        statement=r"from $W_0=0$, every $\eta$: the first step with perfect accuracy is at most "
        r"$\frac{8w}{\eta\gamma^2p_{\min}^2}+\frac{4R^2D^2}{\gamma^2p_{\min}}$",
        source=_source("new", "section 6"),
        quantity="first step with perfect accuracy",
        relation="<=",
        bound=r"$\frac{8w}{\eta\gamma^2p_{\min}^2}+\frac{4R^2D^2}{\gamma^2p_{\min}}$",
        assumptions=(_SEPARABLE, ConstantRateDescent(), ZeroStart()),
        expected=Outcome.HOLDS,
        reason="New. Loose by one to three orders. Runs are followed for 20000 steps; where the bound is longer and the "
        "accuracy is not reached, the case proves nothing.",
        proof="An imperfect step has G >= p_min/2; solve the quadratic of the summed errors.",
        family=Family((*_SHAPE, Parameter("rate", 1e-2, 1e3, "log")),
                      lambda seed, n_tokens, n_classes, dim, rate: _build_any(seed, n_tokens, n_classes, dim, rate, 20000),
                      show={"seed": 1, "n_tokens": 5, "n_classes": 4, "dim": 4, "rate": 10.0}),
        evaluate=_perfect,
        **_CASES,
    ),
    Claim(
        id="cabannes2024.new.cover_count",
        form="corrected",
        title="How many labelings of two classes can be stored",
        statement=r"of the $2^N$ labelings of $N$ inputs in general position, exactly "
        r"$2\sum_{k<d}\binom{N-1}{k}$ are separable ($M=2$)".replace("\\binom{N-1}{k}", "C(N-1,k)"),
        source=_source("new", "spec 4.2, Cover 1965"),
        quantity="separable labelings, counted",
        relation="==",
        bound=r"$2\sum_{k<d}C(N-1,k)$",
        expected=Outcome.HOLDS,
        reason="Counted exactly by deciding all labelings: 6 of 8 for three tokens in the plane; one half of all at "
        "N = 2d.",
        proof="Cover's recursion C(N+1,d) = C(N,d) + C(N,d-1).",
        family=Family((SEED, Parameter("n_tokens", 1, 6, "integer"), Parameter("dim", 2, 4, "integer")),
                      lambda seed, n_tokens, dim: Case(problem=random_memory(seed, n_tokens, 2, dim)),
                      show={"seed": 0, "n_tokens": 4, "dim": 2},
                      corners=({"n_tokens": 3, "dim": 2}, {"n_tokens": 6, "dim": 3})),
        evaluate=_cover,
        cases=(10, 100),
        directed=(0, 20),
    ),
)

