"""New results on orthogonal memories under gradient descent: losses and thresholds, errata (3.2) and (3.3)."""

from __future__ import annotations

import math
from typing import Any

import mpmath
import numpy as np
from mpmath import mpf

from .... import analytics
from ....dynamics import GradientDescent
from ...assumptions import ZeroStart
from ...case import Case, Evidence, Exact, Family, Parameter
from ...precision import evaluate_twice
from .new_descent import CLASSES
from .orthogonal_assumptions import (
    TIED_DESCENT,
    ZERO_DESCENT,
    FastTokens,
    LogarithmDecides,
    NonzeroInputs,
    RunsUntil,
    SlowTokens,
)
from .orthogonal_cases import (
    HOLDS,
    RATE,
    after_start,
    binary_case,
    binary_family,
    exact_descent,
    exact_loss,
    exact_margin,
    exact_token,
    orthogonal_claim,
    rates,
    saved_axis,
    stacked,
    tied_case,
    tokens,
)  # fmt: skip
from .theorem2_descent import sharp_class_constant, sharp_constant
from .two_token_cases import UNIT

# ---- (3.2), (3.3) losses --------------------------------------------------------------------------------------


def _tied_loss(case: Case) -> Evidence:
    run, steps = after_start(case)
    problem = case.problem
    norms = np.einsum("xd,xd->x", problem.inputs, problem.inputs)
    gap = problem.outputs[0] - problem.outputs[1]
    bound = analytics.descent_loss_bound(steps, case.rule.learning_rate, norms, problem.n_classes, float(gap @ gap))
    error = (run.error[:, 0] + 16 * UNIT) * run.loss + 8 * UNIT * bound
    return Evidence(steps, run.loss, bound, error)


def _exact_tied_loss(case: Case, index: int) -> Exact:
    step = int(saved_axis(case)[index])
    a = case.problem.n_classes - 1

    def both() -> tuple[Any, Any]:
        grid = np.linspace(0.5, 40.0, 800)
        guess = grid[np.argmax(np.log1p(a * np.exp(-grid)) * (np.expm1(grid) / a + grid))]
        constant = sharp_class_constant(a, mpf(float(guess)))
        every = [exact_token(case, x) for x in range(case.problem.n_tokens)]
        scale = mpmath.fsum(a * token.frequency / token.speed for token in every)
        bound = constant * scale / (mpf(float(case.rule.learning_rate)) * step)
        return exact_loss(case, step), min(bound, mpmath.log(a + 1))

    return evaluate_twice(both, "descent of every token (28)")


def _peak_case(rate: float) -> Case:
    """Return the run to the step at which the loss bound is nearly attained, k t = 14.03."""
    return binary_case(rate, 0.5, steps=max(20, math.ceil(15.0 / rate)))


def _peak(case: Case) -> Evidence:
    """The largest k t log(1 + e^{-m_t}) of each token along the run, against C_2 (1 - k)."""
    run, steps = after_start(case)
    k = rates(case)
    scaled = k * steps[:, None] * np.log1p(np.exp(-run.margins))
    place = np.argmax(scaled, axis=0)
    columns = np.arange(len(k))
    error = run.error[place, 0] * scaled[place, columns] + 1e-14
    bound = analytics.descent_loss_constant(2) * (1 - k)
    return Evidence(steps[place], scaled[place, columns], bound, error)


def _exact_peak(case: Case, index: int) -> Exact:
    step = int(_peak(case).axis[index])

    def both() -> tuple[Any, Any]:
        token = exact_token(case, index)
        k = mpf(float(case.rule.learning_rate)) * token.speed
        margin = exact_margin(case, index, step, token)
        return k * step * mpmath.log1p(mpmath.exp(-margin)), sharp_constant() * (1 - k)

    return evaluate_twice(both, "descent of one token (28)")


def _late_case(factor: float, rare: float, squared_norm: float) -> Case:
    """Return a run at `factor` times the rate below which the printed bound on the loss fails at large t."""
    case = binary_case(1.0, rare, squared_norm)
    problem = case.problem
    norms = np.array([1.0, squared_norm])
    rate = factor * analytics.unit_constant_rate(problem.frequencies, norms, 2.0)
    slowest = rate * float(tokens(case).speed.min())
    steps = int(min(2e5, max(2e3, 3e3 / slowest)))
    return Case(problem=problem, rule=GradientDescent(rate), steps=steps)


def _late(case: Case) -> Evidence:
    """eta t L(W_t) against sum p/c_x at the last saved steps, in units of the latter."""
    run, steps = after_start(case)
    scale = float(np.sum(case.problem.frequencies / tokens(case).speed))
    value = case.rule.learning_rate * steps * run.loss / scale
    error = (run.error[:, 0] + 32 * UNIT) * value
    return Evidence(steps[-3:], value[-3:], np.ones(3), error[-3:])


def _exact_late(case: Case, index: int) -> Exact:
    step = int(saved_axis(case)[-3:][index])

    def both() -> tuple[Any, Any]:
        every = [exact_token(case, x) for x in range(case.problem.n_tokens)]
        scale = mpmath.fsum(token.frequency / token.speed for token in every)
        return mpf(float(case.rule.learning_rate)) * step * exact_loss(case, step) / scale, mpf(1)

    return evaluate_twice(both, "descent of every token (28)")


def _logarithm(case: Case) -> Evidence:
    run, steps = after_start(case)
    bound = np.log1p(rates(case) * steps[:, None])
    return stacked(run, run.margins, bound, run.error + 4 * UNIT * bound)


def _exact_logarithm(case: Case, index: int) -> Exact:
    return exact_descent(case, index, lambda token, k, t, m: (m, mpmath.log1p(k * t)))


CLAIMS = (
    orthogonal_claim(
        "new.multiclass_loss_bound", "corrected", ("new: loss with M classes", "3.2"),
        "Descent: bound on the loss with M classes",
        r"Orthonormal outputs, $W_0=0$: $L(W_t)\leq C_M\,\frac{M-1}{M\eta t}\,\sum_x\|e_x\|^{-2}$, "
        r"$C_M=\sup_m\log(1+ae^{-m})(e^m+am-1)/a$; $C_2=1.0794$, $C_{10}=2.1598$, $C_{1000}=12.15$.",
        ("$L(W_t)$", "<=", r"$C_M\,\frac{M-1}{M\eta t}\,\sum_x\|e_x\|^{-2}$"), HOLDS, "new; sharp as the rate goes "
        "to 0",
        proof=r"$kt\leq e^{m_t}+am_t-1$ by convexity, so $kt\log(1+ae^{-m_t})\leq aC_M$; $k=\eta Mp\|e\|^2$: $p$ "
        r"drops out.",
        assumptions=(*TIED_DESCENT, ZeroStart(), NonzeroInputs()),
        family=Family(
            (CLASSES, RATE, Parameter("squared_norm", 0.1, 10.0, "log")),
            build=lambda n_classes, rate, squared_norm, steps=300: tied_case(n_classes, rate, 0.0, steps, squared_norm),
            show={"n_classes": 10, "rate": 1.0, "squared_norm": 1.0, "steps": 300},
            corners=({"n_classes": 10, "rate": 0.02, "squared_norm": 1.0, "steps": 10000},
                     {"n_classes": 200, "rate": 10.0, "squared_norm": 1.0, "steps": 300}),
        ),
        evaluate=_tied_loss, exact=_exact_tied_loss,
    ),
    orthogonal_claim(
        "new.loss_constant_sharp", "corrected", ("new: sharpness of the loss constant", "3.2"),
        "Descent: the loss constant is attained as the rate goes to 0",
        r"$\max_t kt\log(1+e^{-m_t})\geq 1.079435\,(1-k)$ for $k\leq 0.1$, at $kt=14.03$.",
        (r"$\max_t\,kt\log(1+e^{-m_t})$", ">=", "$1.079435\\,(1-k)$"), HOLDS, "new",
        proof=r"By (3.4) $kt\geq e^{m}+(1-k/2)m-1$; at $m=2.526$ this loses $\frac{k}{2}m\log(1+e^{-m})=0.097k$.",
        assumptions=(*ZERO_DESCENT, SlowTokens(0.1), RunsUntil(14.9)),
        family=Family(
            (Parameter("rate", 1e-3, 0.1, "log"),), build=_peak_case, show={"rate": 0.01}, corners=({"rate": 1e-4},)
        ),
        evaluate=_peak, exact=_exact_peak, cases=(30, 300), directed=(10, 100),
    ),
    orthogonal_claim(
        "new.logarithm_threshold", "corrected", ("new: when the printed margin bound is right", "3.3"),
        "Descent: the printed logarithm from the critical rate on",
        r"If $\eta c_x\geq k^*=2.512862$ (the root of $e^{k/2}=1+k$) for every token and $W_0=0$: "
        r"$m_t\geq\log(1+\eta c_xt)$.",
        ("$m_t(x)$", ">=", r"$\log(1+\eta c_xt)$"), HOLDS, "new; the bound holds at every step iff it holds at the "
        "first",
        proof=r"One step changes $e^m$ by $k+g(z)$, $g\geq 0$ iff $k\geq z+1/\psi(z)$, increasing in $z$; $z_t$ "
        r"falls from $k/2$.",
        assumptions=(*ZERO_DESCENT, FastTokens(analytics.LOGARITHM_RATE)),
        family=binary_family(
            {"rate": 2.6}, ({"rate": 2.5129, "steps": 100000}, {"rate": 4.0, "rare": 0.01}),
            Parameter("rate", 2.51287, 1e3, "log"),
        ),
        evaluate=_logarithm, exact=_exact_logarithm,
    ),
    orthogonal_claim(
        "new.logarithm_fails_below", "corrected", ("new: when the printed margin bound is right", "3.3"),
        "Descent: the printed logarithm fails below the critical rate",
        r"For $\eta c_x<k^*=2.512862$ the printed bound fails at the first step: $m_1=k/2<\log(1+k)$.",
        ("$m_1(x)$", "<=", r"$\log(1+k)$"), HOLDS, "new; so k* is exact",
        proof=r"$m_1=k/2$, and $e^{k/2}<1+k$ on $(0,k^*)$.",
        assumptions=(*ZERO_DESCENT, SlowTokens(analytics.LOGARITHM_RATE)),
        family=Family(
            (Parameter("rate", 1e-4, 2.5128, "log"), Parameter("rare", 0.5, 0.5)),
            build=lambda rate, rare: binary_case(rate, rare, steps=1), show={"rate": 1.0, "rare": 0.5},
        ),
        evaluate=_logarithm, exact=_exact_logarithm,
    ),
    *(
        orthogonal_claim(
            f"new.unit_loss_constant_{name}", "corrected", ("new: when the printed loss bound is right", "3.3, T2.7"),
            f"Descent: the printed bound on the loss {verb} at large t",
            rf"$\eta$ {side} the rate $2\,(\sum p/c_x^2)/(\sum p/c_x)$: $\eta t L(W_t)\,/\,\sum p/c_x$ {sign} 1 at "
            rf"large $t$; for unit "
            r"inputs the rate is $\eta c=\frac{2}{N}\sum 1/p(x)$.",
            (r"$\eta tL(W_t)\,/\,\sum_x p(x)/c_x$", relation, "$1$"), HOLDS, "new; the exact rate",
            proof=r"(3.5) in $\log(1+e^{-m})$: the term of order $\log(t)/t^2$ has the sign of $\sum p(1-\eta "
            r"c_x/2)/c_x^2$.",
            assumptions=(*ZERO_DESCENT, LogarithmDecides(1 if side == "below" else -1)),
            family=Family(
                (Parameter("factor", low, high, "log"), Parameter("rare", 0.1, 0.5, "log"),
                 Parameter("squared_norm", 0.5, 2.0, "log")),
                build=_late_case, show={"factor": middle, "rare": 0.3, "squared_norm": 1.0},
            ),
            evaluate=_late, exact=_exact_late, cases=(20, 200), directed=(8, 60),
        )
        for name, verb, side, sign, relation, low, high, middle in (
            ("fails_late", "fails", "below", r"$\geq$", ">=", 0.05, 0.9, 0.5),
            ("holds_late", "holds", "above", r"$\leq$", "<=", 1.1, 20.0, 2.0),
        )
    ),
)  # fmt: skip
