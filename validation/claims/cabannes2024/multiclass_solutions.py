"""New: the exact multi-class flow, the closed form from zero weights, and the slow mode."""

from __future__ import annotations

from typing import Any

import mpmath
import numpy as np
from mpmath import mpf

from .... import analytics
from ...assumptions import FlowRule, OrthogonalInputs, OrthogonalOutputs, ZeroStart
from ...case import Case, Evidence, Exact, Family, Parameter
from ...claim import Claim
from ...precision import evaluate_twice
from ...verdict import Outcome
from .multiclass_runs import (
    _CASES,
    _DIRECTED,
    _FLOW,
    _LATE,
    _NO_ZERO_OUTPUT,
    _NORMS,
    _build_started,
    flow_scores,
    late_time,
)
from .situations_multiclass import (
    SEED,
    exact_flow,
    exact_start,
    measured,
    source_of,
    start_scores,
    target_first,
    times_of,
)


def _exact_solution(case: Case) -> Evidence:
    times = times_of(late_time(case), 1e-2, 8)
    scores, error = flow_scores(case, times)
    start, m = start_scores(case), case.problem
    squares = np.sum(m.inputs**2, axis=1)
    norms = np.sum(m.outputs**2, axis=1)
    quantity, bound = [], []
    for x, f in enumerate(m.targets):
        n = target_first(norms, int(f))
        quantity.append(target_first(scores[:, x], int(f)))
        bound.append(
            analytics.multiclass_flow(float(m.frequencies[x] * squares[x]) * times, target_first(start[x], int(f)), n)
        )
    shape = np.shape(quantity)
    where = np.broadcast_to(times[None, :, None], shape)
    budget = np.broadcast_to((error + 1e-11)[None, :, None], shape)
    return measured(where.ravel(), np.ravel(quantity), np.ravel(bound), budget.ravel(), "time t", "log")


def _tied(case: Case) -> Evidence:
    times = times_of(late_time(case), 1e-2, 10)
    scores, error = flow_scores(case, times)
    m = case.problem
    n, tokens = len(m.outputs), len(m.targets)
    own = scores[:, np.arange(tokens), m.targets]
    other = scores[:, np.arange(tokens), (m.targets + 1) % n]
    bound = analytics.tied_flow_margin(times[:, None] * m.frequencies, n)
    return measured(np.repeat(times, tokens), (own - other).ravel(), bound.ravel(), np.repeat(2 * error, tokens),
                    "time t", "log")  # fmt: skip


def _slow(case: Case) -> Evidence:
    """Distances of m_j - log(M p t) from both ends of its enclosure, lower ends first; one token."""
    return _slow_points(case)[0]


def _slow_points(case: Case) -> tuple[Evidence, list[tuple[int, int, bool]]]:
    """Return the evidence, and (time, wrong class, upper end) of each of its points; an infinite end is left out."""
    times = times_of(late_time(case), 1.0, 10)
    scores, error = flow_scores(case, times)
    m = case.problem
    f = int(m.targets[0])
    start, flow = target_first(start_scores(case)[0], f), target_first(scores[:, 0], f)
    elapsed = float(m.frequencies[0]) * times
    exact = analytics.multiclass_flow(elapsed, start)
    clock = np.exp(-exact[:, -1]) - np.exp(-start[-1])
    rest = flow[:, :1] - flow[:, 1:] - np.log(len(m.outputs) * elapsed)[:, None]
    low, high = analytics.late_margin_enclosure(start, clock)
    seen = np.isfinite(high)
    where = np.broadcast_to(times[:, None], rest.shape)
    # the clock is a difference of two floats: its relative error enters the bounds through the slow term
    v = np.exp(-start[1:])
    slip = 4e-16 * np.exp(-exact[:, -1]) / clock * (np.ptp(v) / (v.mean() + clock) + 1)
    budget = np.broadcast_to((2 * error + 20 * slip)[:, None], rest.shape)
    evidence = measured(
        np.r_[where.ravel(), where[seen]],
        np.r_[(rest - low).ravel(), (high - rest)[seen]],
        np.zeros(rest.size + int(seen.sum())),
        np.r_[budget.ravel(), budget[seen]],
        "time t",
        "log",
    )
    points = [(int(i), int(j), False) for i, j in np.ndindex(*rest.shape)]
    return evidence, points + [(int(i), int(j), True) for i, j in zip(*np.nonzero(seen), strict=True)]


def _exact_slow(case: Case, index: int) -> Exact:
    """Return the distance at the point of the index, in exact arithmetic."""
    evidence, points = _slow_points(case)
    time = float(evidence.axis[index])
    _, j, upper = points[index]

    def values() -> tuple[Any, Any]:
        start = exact_start(case, 0)
        n = len(start)
        elapsed = mpf(time) * mpf(float(case.problem.frequencies[0]))
        w = exact_flow(start, elapsed)
        v = [mpmath.exp(-a) for a in start[1:]]
        s = mpmath.exp(-w[1]) - v[0]
        mean = mpmath.fsum(v) / (n - 1)
        u = mean + s
        g = u * mpmath.fprod(a + s for a in v)
        first = mpmath.log1p((v[j] - mean) / u)
        rest = w[0] - w[j + 1] - mpmath.log(n * elapsed)
        log_part = n * mpmath.exp(-mpmath.fsum(start)) * mpmath.fsum(mpmath.log1p(s / a) for a in v)
        g0 = mean * mpmath.fprod(v)
        square = mpmath.fsum((a - mean) ** 2 for a in v)
        extra = max(v) / mean * square / (n - 2) * (max(v) + s) ** (n - 2) if n > 2 else mpf(0)
        if upper:
            return first - mpmath.log1p(-(g0 + extra - log_part) / g) - rest, mpf(0)
        return rest - first + mpmath.log1p(-(g0 - log_part) / g), mpf(0)

    return evaluate_twice(values, "exact flow")


CLAIMS = (
    Claim(
        id="cabannes2024.new.multiclass_flow",
        form="corrected",
        title="Exact flow with many classes, from every start",
        statement=r"$e^{-w_j(s)}=e^{-w_j(0)}+n_js$ ($j\neq 1$), $\sum_i w_i/n_i$ constant, "
        r"$p(x)\|e_x\|^2t=\int_0^s A(w(s'))ds'$",
        source=source_of("new", "section 4"),
        quantity=r"$w_j(t)$ simulated",
        relation="==",
        bound=r"$w_j(s(t))$",
        assumptions=(FlowRule(), OrthogonalInputs(), OrthogonalOutputs(), _NO_ZERO_OUTPUT),
        expected=Outcome.HOLDS,
        reason="New. The simulated flow agrees to its own error for equal and unequal norms.",
        proof="In the clock ds = p|e|^2dt/A every e^{-w_j} is linear, and sum w_i/n_i is conserved.",
        family=_NORMS,
        evaluate=_exact_solution,
        cases=_CASES,
        directed=_DIRECTED,
    ),
    Claim(
        id="cabannes2024.new.tied_flow",
        form="corrected",
        title="Closed form of the margin from zero weights",
        statement=r"from $W_0=0$: $m=\log((M-1)\,\omega(Y))$, $Y=\frac{1+Mpt}{M-1}-\log(M-1)$",
        source=source_of("new", "section 4"),
        quantity=r"$m_t(x)$",
        relation="==",
        bound=r"$\log((M-1)\omega(Y))$",
        assumptions=(*_FLOW, ZeroStart()),
        expected=Outcome.HOLDS,
        reason="New. omega is the Wright omega function; e^m + (M-1)m = 1 + Mpt.",
        proof="The wrong scores stay tied, so (M-1+e^m)dm = Mp dt.",
        family=_LATE,
        evaluate=_tied,
        cases=_CASES,
        directed=_DIRECTED,
    ),
    Claim(
        id="cabannes2024.new.slow_mode",
        form="corrected",
        title="Unequal wrong scores relax as slowly as t^(-1/M)",
        statement=r"$m_j-\log(Mpt)=\log(1+\delta_j/u)+O(1/s^2)$ with $u=\bar v+s$, $\delta_j=v_j-\bar v$, "
        r"$v_j=e^{-w_j(0)}$, $s\sim(Mpt\,e^{-S})^{1/M}$: two-sided, with constants, at every time",
        source=source_of("new", "section 4"),
        quantity="distance of $m_j-\\log(Mpt)$ from both ends of the enclosure",
        relation=">=",
        bound=r"$0$",
        assumptions=_FLOW,
        expected=Outcome.HOLDS,
        reason="New; the errata give the rate and its coefficient, this is a bound at every time. So the remainder "
        r"of Theorem 3 is Theta(t^{-1/M}) when the wrong scores start unequal, and O(log t/t) when they start equal.",
        proof="With G = u prod(v_i+s), G' = M P + P sum delta^2/(u(v_i+s)); integrate and bound the last term.",
        family=Family(
            (
                SEED,
                Parameter("n_classes", 2, 6, "integer"),
                Parameter("time", 1e2, 1e8, "log"),
                Parameter("scale", 0.1, 1.0, "log"),
            ),
            lambda seed, n_classes, time, scale: _build_started(seed, 1, n_classes, 1.0, time, scale),
            show={"seed": 0, "n_classes": 3, "time": 1e8, "scale": 1.0},
            corners=({"n_classes": 2, "time": 1e8}, {"n_classes": 6, "scale": 1.0, "time": 1e8}),
        ),
        evaluate=_slow,
        exact=_exact_slow,
        cases=_CASES,
        directed=_DIRECTED,
    ),
)
