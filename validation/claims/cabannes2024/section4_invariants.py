"""Section 4.1 and Appendix B.2: what the multi-class flow conserves, and the range of the tightest margin's factor."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import mpmath
import numpy as np
from mpmath import mpf

from .... import analytics
from ...assumptions import FlowRule, OrthogonalInputs, OrthogonalOutputs
from ...case import Case, Evidence, Exact, Family, Parameter
from ...claim import Claim
from ...precision import evaluate_twice
from ...verdict import Outcome
from .multiclass_runs import (
    _BOX,
    _CASES,
    _DIRECTED,
    _FLOW,
    _NO_ZERO_OUTPUT,
    _NORMS,
    _THREE_CLASSES,
    _build_started,
    flow_scores,
    late_time,
)
from .situations_multiclass import (
    EPS,
    defect,
    exact_flow,
    exact_start,
    measured,
    source_of,
    start_scores,
    target_first,
    times_of,
)

_STARTED = Family(
    (*_BOX, Parameter("time", 1e2, 1e8, "log"), Parameter("scale", 0.1, 3.0, "log")),
    _build_started,
    show={"seed": 0, "n_tokens": 2, "n_classes": 3, "imbalance": 2.0, "time": 1e8, "scale": 1.0},
    corners=({"n_tokens": 1, "n_classes": 2, "scale": 3.0}, {"n_tokens": 4, "n_classes": 8, "scale": 3.0, "time": 1e8}),
)


def _invariant(printed: bool) -> Callable[[Case], Evidence]:
    def evaluate(case: Case) -> Evidence:
        times = times_of(late_time(case), 1e-2 * late_time(case), 5)
        scores, error = flow_scores(case, times)
        f = int(case.problem.targets[0])
        norms = np.sum(target_first(case.problem.outputs.T, f) ** 2, axis=0)
        chosen = np.ones_like(norms) if printed else norms
        flow = target_first(scores[:, 0], f)
        kept = analytics.flow_invariants(flow, chosen)[:, :-1]
        start = analytics.flow_invariants(target_first(start_scores(case)[0], f), chosen)[:-1]
        # without the decade that `error` holds in reserve: an invariant does not need it
        size = np.exp(-flow[:, 1:]).max(axis=1) / chosen.min()
        budget = (0.1 * error + 16 * EPS + defect(case.problem)) * size * (1 + np.abs(flow).max(axis=1))
        width = kept.shape[1]
        return measured(np.repeat(times, width), kept.ravel(), np.tile(start, len(times)), np.repeat(budget, width),
                        "time t", "log")  # fmt: skip

    return evaluate


def _exact_invariant(printed: bool) -> Callable[[Case, int], Exact]:
    def exact(case: Case, index: int) -> Exact:
        """Integrate the raw equations of the flow in mpf by Taylor's method (mpmath.odefun)."""
        n = len(case.problem.outputs)
        step, j = divmod(index, n - 2)
        time = times_of(late_time(case), 1e-2 * late_time(case), 5)[step]
        f = int(case.problem.targets[0])

        def values() -> tuple[Any, Any]:
            start = exact_start(case, 0)
            order = [f, *[y for y in range(n) if y != f]]
            norms = [mpmath.fsum(mpf(float(a)) ** 2 for a in case.problem.outputs[y]) for y in order]
            used = [mpf(1)] * n if printed else norms
            elapsed = mpf(float(time)) * mpf(float(case.problem.frequencies[0]))
            elapsed *= mpmath.fsum(mpf(float(a)) ** 2 for a in case.problem.inputs[0])
            flow = exact_flow(start, elapsed, norms)

            def kept(w: list[Any]) -> Any:
                return mpmath.exp(-w[j + 2]) / used[j + 2] - mpmath.exp(-w[1]) / used[1]

            return kept(flow), kept(start)

        return evaluate_twice(values, "exact flow")

    return exact


def _sum(norm_weighted: bool) -> Callable[[Case], Evidence]:
    def evaluate(case: Case) -> Evidence:
        times = times_of(late_time(case), 1e-2 * late_time(case), 6)
        scores, _ = flow_scores(case, times)
        norms = np.sum(case.problem.outputs**2, axis=1) if norm_weighted else np.ones(len(case.problem.outputs))
        total = (scores / norms).sum(axis=2)
        start = (start_scores(case) / norms).sum(axis=1)
        # every step of a Runge-Kutta method keeps a linear invariant: what is left is rounding
        size = 1 + np.abs(scores).max(axis=(1, 2))
        budget = (24 * EPS + scores.shape[1] * defect(case.problem)) * size * np.sum(1 / norms)
        return measured(np.repeat(times, total.shape[1]), total.ravel(), np.tile(start, len(times)),
                        np.repeat(budget, total.shape[1]), "time t", "log")  # fmt: skip

    return evaluate


def _sum_vanishes(case: Case) -> Evidence:
    """C = sum w_i at a late time against half of its start: if C = o(1) it must drop below."""
    times = times_of(late_time(case), 10.0, 6)
    scores, error = flow_scores(case, times)
    start = np.abs(start_scores(case)[0].sum())
    total = np.abs(scores[:, 0].sum(axis=1))
    return measured(times[-1:], total[-1:], [0.5 * start], error[-1:] * scores.shape[2], "time t", "log")


def _exact_sum_vanishes(case: Case, index: int) -> Exact:
    def values() -> tuple[Any, Any]:
        start = exact_start(case, 0)
        elapsed = mpf(late_time(case)) * mpf(float(case.problem.frequencies[0]))
        return abs(mpmath.fsum(exact_flow(start, elapsed))), abs(mpmath.fsum(start)) / 2

    return evaluate_twice(values, "exact flow")


def _factor(upper: Callable[[int], float]) -> Callable[[Case], Evidence]:
    def evaluate(case: Case) -> Evidence:
        times = times_of(late_time(case), 1e-2, 10)
        scores, error = flow_scores(case, times)
        factors = [
            analytics.tightest_margin_factor(target_first(scores[:, x], int(f)))
            for x, f in enumerate(case.problem.targets)
        ]
        n = len(case.problem.outputs)
        return measured(np.tile(times, len(factors)), np.concatenate(factors), np.full(len(factors) * 10, upper(n)),
                        np.tile(4 * n * error, len(factors)), "time t", "log")  # fmt: skip

    return evaluate


def _exact_factor(upper: Callable[[int], float]) -> Callable[[Case, int], Exact]:
    def exact(case: Case, index: int) -> Exact:
        token, step = divmod(index, 10)
        time = times_of(late_time(case), 1e-2, 10)[step]

        def values() -> tuple[Any, Any]:
            elapsed = mpf(float(time)) * mpf(float(case.problem.frequencies[token]))
            wrong = exact_flow(exact_start(case, token), elapsed)[1:]
            top = max(wrong)
            return mpmath.fsum(mpmath.exp(w - top) for w in wrong), mpf(upper(len(wrong) + 1))

        return evaluate_twice(values, "exact flow")

    return exact


CLAIMS = (
    Claim(
        id="cabannes2024.section4.invariant",
        form="printed",
        title="Invariant of the multi-class flow",
        statement=r"for orthogonal outputs, $e^{-w_i}-e^{-w_j}$ stays constant ($i,j\neq 1$)",
        source=source_of("Section 4.1", "T3.3"),
        quantity=r"$e^{-w_i(t)}-e^{-w_j(t)}$",
        relation="==",
        bound=r"$e^{-w_i(0)}-e^{-w_j(0)}$",
        assumptions=(FlowRule(), OrthogonalInputs(), OrthogonalOutputs(), _THREE_CLASSES),
        expected=Outcome.VIOLATED,
        reason="Needs outputs of equal norm; Section 4.1 assumes orthogonal ones.",
        family=_NORMS,
        evaluate=_invariant(True),
        exact=_exact_invariant(True),
        cases=_CASES,
        directed=_DIRECTED,
    ),
    Claim(
        id="cabannes2024.section4.invariant",
        form="corrected",
        title="Invariant of the multi-class flow",
        statement=r"for orthogonal outputs, $e^{-w_i}/\|u_i\|^2-e^{-w_j}/\|u_j\|^2$ stays constant ($i,j\neq 1$)",
        source=source_of("Section 4.1", "T3.3"),
        quantity=r"$e^{-w_i(t)}/n_i-e^{-w_j(t)}/n_j$",
        relation="==",
        bound=r"$e^{-w_i(0)}/n_i-e^{-w_j(0)}/n_j$",
        assumptions=(FlowRule(), OrthogonalInputs(), OrthogonalOutputs(), _THREE_CLASSES, _NO_ZERO_OUTPUT),
        expected=Outcome.HOLDS,
        reason="Conserved to the accuracy of the integration.",
        proof="A e^{-w_i} dw_i = -p|e|^2 n_i dt, so d(e^{-w_i})/n_i is the same for all i.",
        family=_NORMS,
        evaluate=_invariant(False),
        cases=_CASES,
        directed=_DIRECTED,
    ),
    Claim(
        id="cabannes2024.appendix_b.sum_invariant",
        form="printed",
        title="The last invariant",
        statement=r"for orthonormal outputs, $\sum_i w_i$ stays constant",
        source=source_of("Appendix B.2"),
        quantity=r"$\sum_i w_i(t)$",
        relation="==",
        bound=r"$\sum_i w_i(0)$",
        assumptions=_FLOW,
        expected=Outcome.HOLDS,
        reason="True for orthonormal outputs; with norms it is the sum of w_i/n_i.",
        proof="The update lies in span{u_i-u_j}, orthogonal to sum u_i/n_i.",
        family=_STARTED,
        evaluate=_sum(False),
        cases=_CASES,
        directed=_DIRECTED,
    ),
    Claim(
        id="cabannes2024.appendix_b.sum_invariant",
        form="corrected",
        title="The last invariant",
        statement=r"for orthogonal outputs, $\sum_i w_i/\|u_i\|^2$ stays constant",
        source=source_of("Appendix B.2", "T3.3"),
        quantity=r"$\sum_i w_i(t)/n_i$",
        relation="==",
        bound=r"$\sum_i w_i(0)/n_i$",
        assumptions=(FlowRule(), OrthogonalInputs(), OrthogonalOutputs(), _NO_ZERO_OUTPUT),
        expected=Outcome.HOLDS,
        reason="The form that covers every norm.",
        proof="d(sum w_i/n_i) = p|e|^2 (1-sum p_W) dt = 0.",
        family=_NORMS,
        evaluate=_sum(True),
        cases=_CASES,
        directed=_DIRECTED,
    ),
    Claim(
        id="cabannes2024.appendix_b.sum_vanishes",
        form="printed",
        title="The sum of the scores vanishes",
        statement=r"$\sum_{i\in[M]} w_i =: C = o(1)$",
        source=source_of("Appendix B.2", "T3.4"),
        quantity=r"$|\sum_i w_i(t)|$",
        relation="<=",
        bound=r"$\frac{1}{2}|\sum_i w_i(0)|$ at late times",
        assumptions=_FLOW,
        expected=Outcome.VIOLATED,
        reason="C is conserved, so it is o(1) only where it is zero; what the proof needs is C = O(1).",
        family=_STARTED,
        evaluate=_sum_vanishes,
        exact=_exact_sum_vanishes,
        cases=_CASES,
        directed=_DIRECTED,
    ),
    Claim(
        id="cabannes2024.appendix_b.tightest_factor",
        form="printed",
        title="Range of the factor of the tightest margin",
        statement=r"$c = M_k+\theta_k$ with $\theta_k\in[0,M-M_k]$, so $c\leq M$",
        source=source_of("Appendix B.2", "T3.4"),
        quantity=r"$c=\sum_{j\neq 1}e^{w_j-w_k}$",
        relation="<=",
        bound=r"$M$",
        assumptions=_FLOW,
        expected=Outcome.HOLDS,
        reason="True but loose: there are M-1 wrong classes, not M.",
        proof="As the corrected form.",
        family=_STARTED,
        evaluate=_factor(float),
        cases=_CASES,
        directed=_DIRECTED,
    ),
    Claim(
        id="cabannes2024.appendix_b.tightest_factor",
        form="corrected",
        title="Range of the factor of the tightest margin",
        statement=r"$c=\sum_{j\neq 1}e^{w_j-w_k}\in[1,M-1]$, $k$ the likeliest wrong class",
        source=source_of("Appendix B.2", "T3.4"),
        quantity=r"$c=\sum_{j\neq 1}e^{w_j-w_k}$",
        relation="<=",
        bound=r"$M-1$",
        assumptions=_FLOW,
        expected=Outcome.HOLDS,
        reason="c increases to M-1 (equality when all wrong scores are tied).",
        proof="Each of the M-1 terms is at most 1, and the one of k is 1.",
        family=_STARTED,
        evaluate=_factor(lambda n: n - 1.0),
        exact=_exact_factor(lambda n: n - 1.0),
        cases=_CASES,
        directed=_DIRECTED,
    ),
)
