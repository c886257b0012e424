"""Section 4.1: whether one gradient step learns everything, and how many do."""

from __future__ import annotations

import numpy as np
from mpmath import mpf

from .... import analytics
from ...assumption import Condition
from ...case import Array, Case, Evidence, Exact, Family, Parameter
from ...claim import Claim
from ...precision import evaluate_twice
from ...verdict import Outcome
from .multiclass_descent import _CASES, _DESCENT, _DIRECTED, _STEP, _build, _rates, _run, _start_margins
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


def _one_step(case: Case) -> Evidence:
    """Margin of every token after one step, which should be positive."""
    _, scores = _run(Case(case.parameters, case.problem, case.rule, 1, None, case.initial))
    rows = [target_first(row, int(f)) for row, f in zip(scores[-1], case.problem.targets, strict=True)]
    margins = [float(np.min(s[0] - s[1:])) for s in rows]
    budget = (8 * EPS + scores[0].size * defect(case.problem)) * (1 + np.abs(scores).max())
    return measured(np.arange(len(margins)) + 1.0, margins, np.zeros(len(margins)), budget, axis_name="token")


def _exact_one_step(case: Case, index: int) -> Exact:
    return evaluate_twice(lambda: (ideal_descent(case, 1).margin(index), mpf(0)), "one step of gradient descent")


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
    return measured(np.r_[tokens, tokens], np.r_[found, high], np.r_[low, found], 0.0, axis_name="token")


def _build_bracket(seed: int, n_classes: int, rate: float, scale: float) -> Case:
    problem = orthogonal_memory(seed, 1, n_classes)
    weights = random_start(seed, problem.inputs.shape[1], scale)
    if seed == 0 and n_classes == 3:  # the example of the errata: scores (0, 5, 0), 30 steps at eta p = 0.1
        f = int(problem.targets[0])
        weights = 5.0 * np.outer(problem.outputs[(f + 1) % 3], problem.inputs[0])
    return descent_case(problem, rate, 1, weights)


CLAIMS = (
    Claim(
        id="cabannes2024.section4.one_step",
        form="printed",
        title="One gradient step learns everything",
        statement=r"one gradient step is enough to learn all associations, $f_{W_1}(x)=f^*(x)$, for any initialisation",
        source=source_of("Section 4.1", "T3.6"),
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
        cases=_CASES,
        directed=_DIRECTED,
    ),
    Claim(
        id="cabannes2024.section4.one_step",
        form="corrected",
        title="One gradient step learns everything from a close start",
        statement=r"one step is enough if every margin starts above $-\eta p(x)\|e_x\|^2$ (from $W_0=0$: always)",
        source=source_of("Section 4.1", "T3.6"),
        quantity=r"$m_1(x)$",
        relation=">",
        bound=r"$0$",
        assumptions=(*_DESCENT, _CLOSE_START),
        expected=Outcome.HOLDS,
        reason="True, and impossible if some margin starts at or below -2 eta p.",
        proof="A negative margin has q_i > q_1, so its increment eta p (1-q_1+q_i) exceeds eta p; all others grow too.",
        family=Family(
            _STEP.parameters,
            _STEP.build,
            show={"seed": 0, "rate": 30.0, "scale": 0.1},
            corners=({"scale": 0.01, "rate": 1.0},),
        ),
        evaluate=_one_step,
        exact=_exact_one_step,
        cases=_CASES,
        directed=_DIRECTED,
    ),
    Claim(
        id="cabannes2024.new.steps_to_learn",
        form="corrected",
        title="Number of steps until a token is learned",
        statement=r"$\lfloor D/(2\eta p)\rfloor+1\leq T\leq\lceil D/(\eta p)\rceil$, $D=\max_i(-m_i(0))>0$",
        source=source_of("new", "T3.6"),
        quantity=r"$T$ and $\lceil D/(\eta p)\rceil$",
        relation=">=",
        bound=r"$\lfloor D/(2\eta p)\rfloor+1$ and $T$",
        assumptions=_DESCENT,
        expected=Outcome.HOLDS,
        reason="Exact integers. (A margin that starts at 0 needs one step: the bracket of the errata reads 0 there.)",
        proof="A negative margin grows by more than eta p and less than 2 eta p at every step.",
        family=Family(
            (
                SEED,
                Parameter("n_classes", 2, 6, "integer"),
                Parameter("rate", 0.05, 10.0, "log"),
                Parameter("scale", 0.1, 4.0, "log"),
            ),
            _build_bracket,
            show={"seed": 0, "n_classes": 3, "rate": 0.1, "scale": 1.0},
            corners=({"n_classes": 2, "rate": 0.05, "scale": 4.0},),
        ),
        evaluate=_bracket,
        cases=_CASES,
        directed=_DIRECTED,
    ),
)
