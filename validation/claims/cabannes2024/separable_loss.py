"""New: the loss of every separable problem at every time."""

from __future__ import annotations

from typing import Any

import mpmath
import numpy as np
from mpmath import mpf

from .... import analytics
from ....dynamics import GradientFlow, at, logarithmic, simulate
from ...assumptions import ConstantRateDescent, FlowRule, OrthonormalInputs, OrthonormalOutputs, ZeroStart
from ...case import Array, Case, Evidence, Exact, Family, Parameter
from ...claim import Claim
from ...precision import evaluate_twice
from ...verdict import Outcome
from .multiclass_runs import late_time
from .section51_sharpness import _SAFE_RATE
from .separable_problems import _CASES, _DIRECTED, _SEPARABLE, _SHAPE, _hard
from .situations_multiclass import (
    SEED,
    descent_case,
    exact_flow,
    flow_case,
    measured,
    orthogonal_memory,
    random_start,
    separable_memory,
    source_of,
    start_scores,
    steps_of,
    times_of,
)


def _start_loss(case: Case) -> float:
    m = case.problem
    scores = start_scores(case)
    own = scores[np.arange(len(scores)), m.targets]
    return float(m.frequencies @ (np.logaddexp.reduce(scores, axis=1) - own))


def _build_flow(seed: int, n_tokens: int, n_classes: int, dim: int, time: float, scale: float) -> Case:
    return flow_case(separable_memory(seed, n_tokens, n_classes, dim), time, random_start(seed, dim, scale))


def _flow_loss(case: Case) -> Evidence:
    last = 1e4 if case.time is None else late_time(case)
    run = simulate(case.problem, case.rule or GradientFlow(), time=last, save=logarithmic(20), observe=("loss",),
                   initial=case.initial)  # fmt: skip
    loss = np.asarray(run["loss"])
    bound = analytics.separable_flow_loss_bound(
        run.time, _hard(case), float(case.problem.frequencies.min()), _start_loss(case)
    )
    # the hard margin is known to its duality gap, below 1e-11; the flow to its own estimate
    budget = 10 * np.asarray(run.error["loss"]) + 1e-10 * bound
    return measured(np.asarray(run.time)[1:], loss[1:], bound[1:], budget[1:], "time t", "log")


def _exact_single(case: Case, index: int) -> Exact:
    """Return loss and bound for one token of two classes, where the bound is attained; others lie far inside."""
    last = 1e4 if case.time is None else late_time(case)
    time = float(np.asarray(logarithmic(20).times(last))[index + 1])
    m = case.problem

    def values() -> tuple[Any, Any]:
        if len(m.inputs) > 1 or len(m.outputs) > 2:
            return mpf(0), mpf(1)
        difference = [
            mpf(float(a)) - mpf(float(b)) for a, b in zip(*m.outputs[[m.targets[0], 1 - m.targets[0]]], strict=True)
        ]
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
    run = simulate(case.problem, case.rule, steps=steps_of(case, 1000), save=logarithmic(30), observe=("loss",),
                   initial=case.initial)  # fmt: skip
    loss, steps = np.asarray(run["loss"]), np.asarray(run.step, dtype=float)
    bound = analytics.separable_descent_loss_bound(
        case.problem, _hard(case), case.rule.learning_rate, steps, _start_loss(case)
    )
    return measured(steps[1:], loss[1:], bound[1:], 1e-10 * bound[1:], axis_scale="log")


def _tied_loss(case: Case) -> Evidence:
    """Both sides of t L around N (1 - 1/M) for orthonormal embeddings from zero."""
    last = late_time(case)
    times = times_of(last, 1.0, 12)
    run = simulate(case.problem, case.rule or GradientFlow(), time=last, save=at(times), observe=("loss",))
    rows = np.searchsorted(run.time, times * (1 - 1e-12))
    loss, error = np.asarray(run["loss"])[rows], np.asarray(run.error["loss"])[rows]
    low, high = _tied_loss_bounds(case, times)
    budget = times * (10 * error + 1e-12 * loss)
    seen = np.isfinite(high)
    return measured(np.r_[times, times[seen]], np.r_[times * loss, (times * high)[seen]],
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
    last = late_time(case)
    evidence = _tied_loss(case)
    time, upper = float(evidence.axis[index]), index >= len(times_of(last, 1.0, 12))

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


CLAIMS = (
    Claim(
        id="cabannes2024.new.flow_loss",
        form="corrected",
        title="Loss of every separable flow, at every time",
        statement=r"$L(W_t)\leq p\,\log(1+1/b_t)$, $b_t+\log b_t=b_0+\log b_0+\gamma^2pt$, $b_0=1/(e^{L(W_0)/p}-1)$, "
        r"$p=\min_xp(x)$, $\gamma$ the hard margin; so $\limsup_t tL(W_t)\leq 1/\gamma^2$",
        source=source_of("new", "spec 1.1"),
        quantity=r"$L(W_t)$",
        relation="<=",
        bound=r"$p\,\log(1+1/b_t)$",
        assumptions=(FlowRule(), _SEPARABLE),
        expected=Outcome.HOLDS,
        reason="New: the upper half of the law t L -> 1/gamma^2 with its regime, from any start; equality for "
        "one token of two classes.",
        proof="dL/dt = -||grad L||^2 <= -gamma^2G^2 and G >= p(1-e^{-L/p}) (a concave function is least at a vertex).",
        family=Family(
            (*_SHAPE, Parameter("time", 10.0, 1e5, "log"), Parameter("scale", 0.01, 1.0, "log")),
            _build_flow,
            show={"seed": 1, "n_tokens": 4, "n_classes": 3, "dim": 4, "time": 1e5, "scale": 0.1},
            corners=({"n_tokens": 1, "n_classes": 2, "dim": 2, "time": 1e5},),
        ),
        evaluate=_flow_loss,
        exact=_exact_single,
        cases=_CASES,
        directed=_DIRECTED,
    ),
    Claim(
        id="cabannes2024.new.descent_loss",
        form="corrected",
        title="Loss of every separable descent with a safe rate",
        statement=r"for $\eta<2/B$, $B=\frac{D^2}{4}\lambda_{\max}$: the bound of the flow at the time "
        r"$\eta(1-\eta B/2)\,t$; so $\limsup_t\eta tL(W_t)\leq 1/(\gamma^2(1-\eta B/2))$",
        source=source_of("new", "spec 1.1"),
        quantity=r"$L(W_t)$",
        relation="<=",
        bound=r"$p\,\log(1+1/b_t)$",
        assumptions=(_SEPARABLE, ConstantRateDescent(), _SAFE_RATE),
        expected=Outcome.HOLDS,
        reason="New.",
        proof="Descent lemma, and b + log b is a convex decreasing function of L.",
        family=Family(
            (
                *_SHAPE,
                Parameter("fraction", 0.01, 0.99, "log"),
                Parameter("steps", 10, 10000, "log-integer"),
                Parameter("scale", 0.01, 1.0, "log"),
            ),
            _build_descent,
            show={"seed": 1, "n_tokens": 4, "n_classes": 3, "dim": 4, "fraction": 0.3, "steps": 10000, "scale": 0.1},
            corners=({"n_tokens": 1, "n_classes": 2, "dim": 2, "fraction": 0.01, "steps": 10000},),
        ),
        evaluate=_descent_loss,
        cases=_CASES,
        directed=_DIRECTED,
    ),
    Claim(
        id="cabannes2024.new.orthonormal_loss",
        form="corrected",
        title="Loss with orthonormal embeddings, two-sided",
        statement=r"from $W_0=0$: $\sum_xp\log(1+\frac{M-1}{1+X})\leq L(W_t)\leq"
        r"\sum_xp\log(1+\frac{M-1}{1+X-(M-1)\log(1+X)})$, $X=Mp(x)t$; both times $t$ tend to $N(1-1/M)=1/\gamma^2$",
        source=source_of("new", "spec 1.1"),
        quantity=r"$tL(W_t)$ and upper bound",
        relation=">=",
        bound=r"lower bound and $tL(W_t)$",
        assumptions=(FlowRule(), OrthonormalInputs(), OrthonormalOutputs(), ZeroStart()),
        expected=Outcome.HOLDS,
        reason="New: the universal law with both sides at every time, free of p in the limit.",
        proof="e^m + (M-1)m = 1 + X and 0 <= m <= log(1+X).",
        family=Family(
            (
                SEED,
                Parameter("n_tokens", 1, 4, "integer"),
                Parameter("n_classes", 2, 8, "integer"),
                Parameter("imbalance", 1.0, 20.0, "log"),
                Parameter("time", 1e2, 1e8, "log"),
            ),
            lambda seed, n_tokens, n_classes, imbalance, time: flow_case(
                orthogonal_memory(seed, n_tokens, n_classes, imbalance), time
            ),
            show={"seed": 0, "n_tokens": 3, "n_classes": 4, "imbalance": 5.0, "time": 1e8},
            corners=({"n_classes": 2, "time": 1e8}, {"n_classes": 8, "imbalance": 20.0}),
        ),
        evaluate=_tied_loss,
        exact=_exact_tied_loss,
        cases=_CASES,
        directed=_DIRECTED,
    ),
)
