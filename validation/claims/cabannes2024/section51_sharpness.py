"""Section 5.1: the sharpness of the minimum, cycles, and a rate that is always safe."""

from __future__ import annotations

from typing import Any

import mpmath
import numpy as np
from mpmath import mpf

from .... import analytics
from ....dynamics import AssociativeMemory, at, every, simulate
from ...assumption import Condition
from ...assumptions import ConstantRateDescent
from ...case import Array, Case, Evidence, Exact, Family, Parameter
from ...claim import Claim
from ...precision import descent, evaluate_twice
from ...verdict import Outcome
from .section51_problems import _CASES, _DIRECTED, _NOT_SEPARABLE, _balance, _least, exact_three_tokens, three_tokens
from .situations_multiclass import (
    EPS,
    SEED,
    descent_case,
    measured,
    random_memory,
    random_start,
    source_of,
    start_of,
    steps_of,
)


def _build_fraction(seed: int, fraction: float) -> Case:
    problem = three_tokens(seed)
    _, sharpness = _least(Case(problem=problem))
    # near the threshold the distance shrinks by |1 - 2 fraction| a step
    steps = int(np.clip(20 / max(abs(1 - fraction), 1e-9), 2000, 20000))
    return descent_case(problem, fraction * 2 / sharpness, steps, random_start(seed, 2, 0.3))


def _ends(case: Case, initial: Array, goal: Array, steps: int) -> tuple[float, Array]:
    """Return the distance from the minimiser at the start, and at four late steps."""
    late = sorted({steps // 2, 3 * steps // 4, steps - 1, steps})
    run = simulate(case.problem, case.rule, steps=steps, save=at([0, *late]), observe=("scores",),
                   initial=initial, form="weights")  # fmt: skip
    scores = np.asarray(run["scores"])
    scores = scores - scores.mean(axis=2, keepdims=True)
    distance = np.abs(scores - goal).reshape(len(scores), -1).max(axis=1)
    return float(distance[0]), distance[1:]


def _converges(case: Case) -> float:
    """Return 1 if the run and one from close by end at the minimiser, -1 if not.

    To end there: a distance below 1e-6 of that of the start, not growing at four late steps (down to the rounding of
    the minimiser). The second start, 1e-3 away in a random direction, tells it from a start that lies by chance
    where descent cannot leave an unstable minimum.
    """
    weights, _ = _least(case)
    m, steps = case.problem, steps_of(case, 4000)
    if steps < 4:
        return -1.0
    goal = m.inputs @ weights.T @ m.outputs.T
    goal = goal - goal.mean(axis=1, keepdims=True)
    floor = 1e-10 * (1 + float(np.abs(goal).max()))
    away = m.outputs.T @ np.random.default_rng(13).normal(size=goal.T.shape) @ m.inputs
    change = m.inputs @ away.T @ m.outputs.T
    size = float(np.abs(change - change.mean(axis=1, keepdims=True)).max())
    if size == 0:
        return -1.0  # nothing can move
    start = start_of(case)
    first, distance = _ends(case, start, goal, steps)
    reach = max(first, 1.0)
    _, other = _ends(case, start + 1e-3 * reach / size * away, goal, steps)
    for found in (distance, other):
        shrinks = np.all((found[1:] <= found[:-1]) | (found[1:] <= floor))
        if not (shrinks and found[-1] <= 1e-6 * reach):
            return -1.0
    return 1.0


_CONVERGES = Condition(
    "descent ends at the minimum, from this start and from starts close by",
    _converges,
    Family((SEED, Parameter("fraction", 0.3, 1.5)), _build_fraction),
)


def _sharpness(case: Case) -> Evidence:
    """Sharpness of the minimum at which descent ends, against 2/eta."""
    _, sharpness = _least(case)
    return measured([1.0], [sharpness], [2 / case.rule.learning_rate], 1e-11 * (1 + sharpness), axis_name="run")


def _exact_above(case: Case, index: int) -> Exact:
    """Return H* of the closed-form minimiser against 2/eta, after seeing 600 steps converge to it in mpf."""

    if _balance(case) < 0:
        seen, limit = (mpf(float(v[0])) for v in (_sharpness(case).quantity, _sharpness(case).bound))
        return Exact(seen, limit, abs(seen - limit) / 10, "double precision: not three tokens in the plane")

    def values() -> tuple[Any, Any]:
        margins, probabilities = exact_three_tokens(case.problem)
        run = descent(case, 600)
        gap = max(abs(run.margin(x) - margins[x]) for x in range(3))
        m = case.problem
        total = mpmath.zeros(2)
        square = mpmath.fsum((mpf(float(a)) - mpf(float(b))) ** 2 for a, b in zip(*m.outputs, strict=True))
        for e, p, q in zip(m.inputs, m.frequencies, probabilities, strict=True):
            for i in range(2):
                for j in range(2):
                    total[i, j] += square * mpf(float(p)) * q * (1 - q) * mpf(float(e[i])) * mpf(float(e[j]))
        sharpness = max(mpmath.eigsy(total, eigvals_only=True))
        return sharpness if gap < mpf(10) ** -3 else mpmath.inf, 2 / mpf(float(case.rule.learning_rate))

    return evaluate_twice(values, "closed-form minimiser, gradient descent seen to converge")


def cycle_memory() -> AssociativeMemory:
    """Return three tokens on one line for which descent at eta = 1.5/H* settles in a cycle of two."""
    inputs = np.array([[0.9, 0.0], [1.15, 0.0], [100.0, 0.0]])
    return AssociativeMemory(inputs, np.eye(2), np.array([0, 1, 0]), np.array([0.58, 0.417, 0.003]))


def _build_cycle(fraction: float) -> Case:
    problem = cycle_memory()
    _, sharpness = _least(Case(problem=problem))
    return descent_case(problem, fraction * 2 / sharpness, 4000)


def _cycle(case: Case) -> Evidence:
    """Distance of the late iterates from the minimiser, which the printed dichotomy sends to zero below 2/H*.

    A run that has neither ended there nor closed a cycle of two may still be on its way: no evidence.
    """
    weights, _ = _least(case)
    steps = steps_of(case, 4000)
    if steps < 3:
        return measured([], [], [])
    run = simulate(case.problem, case.rule, steps=steps, save=at([steps - 3, steps - 2, steps - 1, steps]),
                   observe=("margins",), initial=case.initial, form="weights")  # fmt: skip
    m = case.problem
    own = m.inputs @ weights.T @ m.outputs.T
    goal = own[np.arange(len(own)), m.targets][:, None] - own
    margins = np.asarray(run["margins"])[-4:]
    distance = np.abs(margins - goal).max(axis=(1, 2))[-2:]
    closed = float(np.abs(margins[2:] - margins[:2]).max()) <= 1e-9 * float(distance.max())
    if not closed and float(distance.max()) > 1e-3:
        return measured([], [], [])
    return measured(np.asarray(run.step)[-2:].astype(float), distance, np.full(2, 1e-3), 1e-6)


def _below(case: Case) -> float:
    return float(2 / case.rule.learning_rate - _least(case)[1])


_BELOW = Condition(r"$\eta<2/H_*$", _below, Family((SEED, Parameter("fraction", 0.3, 1.5)), _build_fraction),
                   strict=True)  # fmt: skip


def line_cycle(case: Case, steps: int) -> tuple[Any, Any, Any, Any]:
    """Return (v at the last step, closure |v_{t+2}-v_t|, multiplier of the cycle, minimiser) in the current precision.

    Tokens on one line reduce descent to v = (u_1-u_2)^T W e, a scalar: v' = v + eta c sum p z/(1+e^{z v}), z the
    signed length.
    """
    m = case.problem
    z = [(1 if f == 0 else -1) * mpf(float(e[0])) for e, f in zip(m.inputs, m.targets, strict=True)]
    p = [mpf(float(v)) for v in m.frequencies]
    rate = 2 * mpf(float(case.rule.learning_rate))

    def push(v: Any) -> Any:
        return mpmath.fsum(w * s / (1 + mpmath.exp(s * v)) for w, s in zip(p, z, strict=True))

    def slope(v: Any) -> Any:
        return -mpmath.fsum(
            w * s * s / ((1 + mpmath.exp(s * v)) * (1 + mpmath.exp(-s * v))) for w, s in zip(p, z, strict=True)
        )

    v = mpf(0)
    for _ in range(steps):
        v += rate * push(v)
    first = v + rate * push(v)
    second = first + rate * push(first)
    multiplier = (1 + rate * slope(v)) * (1 + rate * slope(first))
    best = mpf(0)
    for _ in range(200):
        best -= mpmath.sign(push(best) / slope(best)) * min(abs(push(best) / slope(best)), mpf(1) / 20)
    return v, abs(second - v), multiplier, best


def _exact_cycle(case: Case, index: int) -> Exact:
    """Return the largest distance at the last steps, once the cycle is seen to close (1e-30) and to be stable."""
    m = case.problem
    on_a_line = not np.any(m.inputs[:, 1:]) and len(m.outputs) == 2 and case.initial is None
    if not on_a_line or sorted(m.outputs.ravel().tolist()) != [0.0, 0.0, 1.0, 1.0]:
        seen = mpf(float(_cycle(case).quantity[index]))
        return Exact(seen, mpf(10) ** -3, abs(seen - mpf(10) ** -3) / 10, "double precision: tokens not on one line")
    longest = float(np.abs(m.inputs).max())

    def values() -> tuple[Any, Any]:
        v, closure, multiplier, best = line_cycle(case, steps_of(case, 4000) - 1 + index)
        if closure > mpf(10) ** -30 or abs(multiplier) >= 1:
            return mpf(0), mpf(10) ** -3  # no proof of a cycle: no violation
        return abs(v - best) * mpf(longest), mpf(10) ** -3

    return evaluate_twice(values, "descent to a closed, stable 2-cycle")


def _build_lemma(seed: int, n_tokens: int, n_classes: int, dim: int, fraction: float, scale: float, steps: int) -> Case:
    problem = random_memory(seed, n_tokens, n_classes, dim)
    return descent_case(problem, fraction * analytics.descent_rate(problem), steps, random_start(seed, dim, scale))


_SAFE_RATE = Condition(
    r"$\eta\leq 8/(D^2\lambda_{\max})$",
    lambda case: float(analytics.descent_rate(case.problem) * (1 + 4 * EPS) - case.rule.learning_rate),
    Family((SEED, Parameter("fraction", 0.1, 2.0, "log")),
           lambda seed, fraction: _build_lemma(seed, 4, 3, 3, fraction, 1.0, 10)),
)  # fmt: skip


def _descends(case: Case) -> Evidence:
    run = simulate(case.problem, case.rule, steps=steps_of(case, 200), save=every(1), observe=("loss",),
                   initial=case.initial)  # fmt: skip
    loss = np.asarray(run["loss"])
    return measured(np.asarray(run.step)[1:].astype(float), loss[1:], loss[:-1], 64 * EPS * loss[:-1] * len(loss))


def _exact_descends(case: Case, index: int) -> Exact:
    def values() -> tuple[Any, Any]:
        run = descent(case, index)
        before = run.loss()
        return run.run(index + 1).loss(), before

    return evaluate_twice(values, "gradient descent")


_LEMMA = Family(
    (SEED, Parameter("n_tokens", 1, 6, "integer"), Parameter("n_classes", 2, 5, "integer"),
     Parameter("dim", 2, 4, "integer"), Parameter("fraction", 0.01, 1.0, "log"), Parameter("scale", 0.01, 10.0, "log"),
     Parameter("steps", 10, 100, "log-integer")),
    _build_lemma,
    show={"seed": 3, "n_tokens": 5, "n_classes": 3, "dim": 3, "fraction": 1.0, "scale": 3.0, "steps": 100},
    corners=({"n_tokens": 1, "n_classes": 2, "fraction": 1.0, "scale": 10.0}, {"fraction": 1.0, "scale": 0.01}),
)  # fmt: skip

CLAIMS = (
    Claim(
        id="cabannes2024.section51.sharpness_of_the_minimum",
        form="printed",
        title="Sharpness of a minimum to which descent converges",
        statement=r"if $\eta$ is small enough we converge to the minimum, presenting a sharpness "
        r"$H_*$ greater than $2/\eta$",
        source=source_of("Section 5.1", "S5.1"),
        quantity=r"$H_*$",
        relation=">=",
        bound=r"$2/\eta$",
        assumptions=(_NOT_SEPARABLE, ConstantRateDescent(), _CONVERGES),
        expected=Outcome.VIOLATED,
        reason="Inverted: every run at eta < 2/H* of this family converges, and there H* < 2/eta.",
        family=Family(
            (SEED, Parameter("fraction", 0.3, 0.98)),
            _build_fraction,
            show={"seed": 1, "fraction": 0.9},
            corners=({"seed": 1, "fraction": 0.5},),
        ),
        evaluate=_sharpness,
        exact=_exact_above,
        cases=_CASES,
        directed=_DIRECTED,
    ),
    Claim(
        id="cabannes2024.section51.sharpness_of_the_minimum",
        form="corrected",
        title="Sharpness of a minimum to which descent converges",
        statement=r"if descent converges to the minimum (generic start), its sharpness $H_*$ is at most $2/\eta$",
        source=source_of("Section 5.1", "S5.1"),
        quantity=r"$H_*$",
        relation="<=",
        bound=r"$2/\eta$",
        assumptions=(_NOT_SEPARABLE, ConstantRateDescent(), _CONVERGES),
        expected=Outcome.HOLDS,
        reason="Runs at up to 1.5 times 2/H* end at the minimum below 2/H* (seen to 0.999) and never beyond it.",
        proof="The linear map at the minimum, 1 - eta H, has an eigenvalue below -1 when eta H* > 2.",
        family=Family(
            (SEED, Parameter("fraction", 0.3, 1.5)),
            _build_fraction,
            show={"seed": 1, "fraction": 0.98},
            corners=tuple({"seed": s, "fraction": f} for s in (1, 2) for f in (0.98, 0.99, 0.999, 1.001, 1.01, 1.1)),
        ),
        evaluate=_sharpness,
        cases=_CASES,
        directed=_DIRECTED,
    ),
    Claim(
        id="cabannes2024.section51.dichotomy",
        form="printed",
        title="Below 2/H* descent converges",
        statement=r"either the learning rate is small enough ($\eta<2/H_*$) and we converge to the minimum, "
        "or it is greater and we oscillate",
        source=source_of("Section 5.1", "S5.2"),
        quantity=r"distance of the margins from the minimum at step $4000$",
        relation="<=",
        bound=r"$10^{-3}$",
        assumptions=(_NOT_SEPARABLE, ConstantRateDescent(), _BELOW),
        expected=Outcome.VIOLATED,
        reason="Three tokens on a line at eta = 1.5/H*: from W_0 = 0 descent settles in a stable cycle of period two "
        "(margin per unit length -0.113568, 1.891658; multiplier -0.165), though the minimum is linearly stable.",
        family=Family(
            (Parameter("fraction", 0.74, 0.76),), _build_cycle, show={"fraction": 0.75}, corners=({"fraction": 0.75},)
        ),
        evaluate=_cycle,
        exact=_exact_cycle,
        cases=(4, 40),
        directed=(0, 20),
    ),
    Claim(
        id="cabannes2024.section51.dichotomy",
        form="corrected",
        title="A rate below which the loss never increases",
        statement=r"if $\eta\leq 8/(D^2\lambda_{\max}(\sum_x p\,e_xe_x^\top))$, $D=\max\|u_i-u_j\|$, "
        r"then $L(W_{t+1})\leq L(W_t)$ from every start",
        source=source_of("Section 5.1", "S5.2"),
        quantity=r"$L(W_{t+1})$",
        relation="<=",
        bound=r"$L(W_t)$",
        assumptions=(ConstantRateDescent(), _SAFE_RATE),
        expected=Outcome.HOLDS,
        reason="New. The descent lemma with the bound on the Hessian that holds at every W; descent then cannot cycle.",
        proof="||H|| <= D^2 lambda_max/4 everywhere, so L' <= L - eta(1 - eta D^2 lambda_max/8)||grad L||^2.",
        family=_LEMMA,
        evaluate=_descends,
        exact=_exact_descends,
        cases=_CASES,
        directed=_DIRECTED,
    ),
)
