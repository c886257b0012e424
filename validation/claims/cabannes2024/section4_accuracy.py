"""Section 4, opening: independent inputs and perfect accuracy (errata S4)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from mpmath import mpf

from .... import analytics
from ....dynamics import AssociativeMemory, GradientDescent, simulate
from ...assumption import Assumption, Where
from ...assumptions import ConstantRateDescent, IndependentInputs, ZeroStart
from ...case import Case, Evidence, Exact, Family, Parameter
from ...precision import evaluate_twice
from .orthogonal_cases import HOLDS, VIOLATED, orthogonal_claim
from .two_token_cases import UNIT, Array


def _directions(outputs: Array, label: int) -> Any:
    """Return a direction w with <u_label - u_y, w> >= 1 for every other distinct class, or None (u not exposed)."""
    from scipy.optimize import linprog

    others = outputs[label] - np.delete(outputs, label, axis=0)
    found = linprog(np.zeros(outputs.shape[1]), A_ub=-others, b_ub=-np.ones(len(others)), bounds=(None, None))
    return found.x if found.status == 0 else None


@dataclass(frozen=True)
class ExposedTargets(Assumption):
    """The embedding of every token's class is an exposed vertex of the hull of the class embeddings."""

    statement: str = r"every $u_{f(x)}$ is an exposed vertex of the convex hull of the $u_y$"

    def holds(self, case: Case) -> bool:
        """Return whether each target class can be the strict argmax."""
        outputs = case.problem.outputs
        return all(_directions(outputs, int(label)) is not None for label in np.unique(case.problem.targets))

    def draw(self, rng: np.random.Generator, where: Where = "inside") -> Case:
        """Return a case of the midpoint family; outside, the third class is the midpoint or inside the segment."""
        bulge = {"inside": float(rng.uniform(0.2, 1.0)), "boundary": 1e-3, "outside": 0.0}[where]
        return _case(bulge, float(rng.uniform(0.0, 0.5)), 1.0)


@dataclass(frozen=True)
class ProvedSteps(Assumption):
    """The rate is at most 4/(D^2 lambda), and the run reaches the step by which convexity proves accuracy 1."""

    statement: str = r"$\eta\leq 4/(D^2\lambda)$, and at least as many steps as the proof needs"

    def holds(self, case: Case) -> bool:
        """Return whether the rate is safe and the run long enough."""
        share = case.rule.learning_rate / _safe_rate(case)
        return bool(share <= 1 + 1e-12) and int(case.steps or 0) >= proved_steps(case, min(share, 1.0))

    def draw(self, rng: np.random.Generator, where: Where = "inside") -> Case:
        """Return a member of the midpoint family with all the steps that it needs (boundary), twice or half as many."""
        case = _safe_case(float(rng.uniform(0.2, 1.0)), float(rng.uniform(0, 0.5)), 1.0)
        steps = {"inside": 2 * int(case.steps or 0), "boundary": int(case.steps or 0),
        "outside": int(case.steps or 0) // 2}
        return Case(problem=case.problem, rule=case.rule, steps=steps[where])


def _safe_rate(case: Case) -> float:
    """Return 4/(D^2 lambda), one over the largest curvature that the loss can have."""
    problem = case.problem
    diameter = max(float(np.sum((a - b) ** 2)) for a in problem.outputs for b in problem.outputs)
    top = float(np.linalg.eigvalsh((problem.inputs.T * problem.frequencies) @ problem.inputs)[-1])
    return 4.0 / (diameter * top)


def _case(bulge: float, correlation: float, rate: float, steps: int = 3000) -> Case:
    """Return three tokens of three classes; u_2 lies at a height `bulge` above the midpoint of u_1 and u_3."""
    base = AssociativeMemory.random(3, 3, 3, embedding="equicorrelated", correlation=correlation, rng=0)
    outputs = np.array([[1.0, 0.0, 0.0], [0.5, 0.5, bulge], [0.0, 1.0, 0.0]])
    problem = AssociativeMemory(base.inputs, outputs, [0, 1, 2], [0.25, 0.5, 0.25])
    return Case(problem=problem, rule=GradientDescent(rate), steps=int(steps))


def _possible(case: Case) -> Evidence:
    """The largest accuracy that any W can have with independent inputs, and the loss of the trained one, against 1."""
    problem = case.problem
    exposed = np.array([_directions(problem.outputs, int(label)) is not None for label in problem.targets])
    run = simulate(problem, case.rule, steps=int(case.steps or 0), initial=case.initial, observe=("accuracy",))
    best = float(problem.frequencies[exposed].sum()) if not exposed.all() else 1.0
    steps = np.asarray(run.step, dtype=float)
    # a run that has not got there yet proves nothing: only what no W can reach counts against the statement
    reached = np.maximum(run["accuracy"], best)
    return Evidence(steps, reached, np.ones(len(steps)), 4 * UNIT)


def _exact_possible(case: Case, index: int) -> Exact:
    """Count as impossible, exactly, the classes that are means of two others; other hulls are left to float64."""
    seen = float(_possible(case).quantity[index])

    def both() -> tuple[Any, Any]:
        outputs = [[mpf(float(v)) for v in row] for row in case.problem.outputs]
        total = mpf(0)
        for p, label in zip(case.problem.frequencies, case.problem.targets, strict=True):
            rest = [u for y, u in enumerate(outputs) if y != int(label)]
            if not any(_is_mean(outputs[int(label)], u, v) for i, u in enumerate(rest) for v in rest[:i]):
                total += mpf(float(p))
        return total, mpf(1)

    exact = evaluate_twice(both, "the class of a wrong token is exactly the mean of two others")
    if seen < 1 and abs(exact.quantity - seen) > mpf(10) ** -9:
        # a hull that only the linear program of double precision sees: violated, not certified
        return Exact(mpf(seen), mpf(1), mpf(1 - seen) / 10, "linear program in double precision")
    return exact


def _is_mean(own: list[Any], first: list[Any], second: list[Any]) -> bool:
    return all(2 * a == b + c for a, b, c in zip(own, first, second, strict=True))


def _safe_case(bulge: float, correlation: float, share: float) -> Case:
    """Return a run to the step at which convexity proves perfect accuracy, at `share` of the rate 8/(D^2 lambda)."""
    case = _case(bulge, correlation, 1.0)
    rule = GradientDescent(share * _safe_rate(case))
    return Case(problem=case.problem, rule=rule, steps=int(proved_steps(case, share)))


def proved_steps(case: Case, share: float) -> float:
    """Return a step by which descent at `share` <= 1 of the rate 1/beta, beta = D^2 lambda/4, has accuracy 1.

    L(W_T) <= L(s W*) + s^2 |W*|^2/(2 rate T) with margins s of s W*: L(s W*) <= log(1 + (M-1) e^-s), and a loss below
    p_min log 2 leaves no token wrong. Infinite where no s of the search proves it: a token too rare.
    """
    problem = case.problem
    rate = share * _safe_rate(case)
    norm = 1.0 / analytics.hard_margin(problem).margin
    goal = float(problem.frequencies.min()) * math.log(2.0)
    best = math.inf
    for s in np.linspace(1.0, 12.0, 111):
        room = goal - math.log1p((problem.n_classes - 1) * math.exp(-s))
        if room > 0:
            best = min(best, (s * norm) ** 2 / (2 * rate * room))
    return math.ceil(best) + 1 if math.isfinite(best) else math.inf


def _reached(case: Case) -> Evidence:
    run = simulate(case.problem, case.rule, steps=int(case.steps or 0), initial=case.initial, observe=("accuracy",))
    return Evidence([float(run.step[-1])], [float(run["accuracy"][-1])], [1.0], 0.0)  # type: ignore[arg-type]


def _exact_reached(case: Case, index: int) -> Exact:
    value = float(_reached(case).quantity[0])
    return Exact(mpf(value), mpf(1), mpf(10) ** -50, "accuracy is exact: 1 minus the frequencies of the wrong tokens")


CLAIMS = (
    orthogonal_claim(
        "section4.perfect_accuracy", "printed", ("Section 4, opening", "S4"), "Independent inputs give perfect "
        "accuracy",
        r"If $N\leq d$ and the $e_x$ are linearly independent, optimisation of the loss ensures $f_W=f^*$.",
        ("accuracy (or the largest possible)", ">=", "$1$"), VIOLATED,
        r"$u_2=(u_1+u_3)/2$: class 2 is never the strict argmax, and the loss on its token is at least $\log 3$",
        assumptions=(IndependentInputs(), ConstantRateDescent()), cases=(6, 60), directed=(0, 20),
        family=Family(
            (Parameter("bulge", 0.0, 1.0), Parameter("correlation", 0.0, 0.5), Parameter("rate", 0.1, 2.0, "log")),
            build=lambda bulge, correlation, rate: _case(bulge, correlation, rate, 300),
            show={"bulge": 0.0, "correlation": 0.0, "rate": 1.0},
        ),
        evaluate=_possible, exact=_exact_possible,
    ),
    orthogonal_claim(
        "section4.perfect_accuracy", "corrected", ("Section 4, opening", "S4"), "Independent inputs give perfect "
        "accuracy",
        r"If the $e_x$ are linearly independent and every $u_{f(x)}$ is an exposed vertex of the hull of the $u_y$ "
        r"(distinct unit "
        r"$u_y$ suffice), gradient descent with $\eta\leq 4/(D^2\lambda)$ has accuracy 1 from a computable step on.",
        ("accuracy at that step", ">=", "$1$"), HOLDS,
        "then the problem is separable; the step is the one at which convexity bounds the loss by $p_{min}\\log 2$",
        proof=r"Independent $e_x$: $We_x$ is free, so $W$ exists with all margins $\geq 1$. For rates up to $1/\beta$, "
        r"$L(W_T)\leq L(W^*)+\|W^*\|^2/(2\eta T)$ for every $W^*$; take $W^*$ with margins $s$. A wrong token costs "
        r"$p\log 2$.",
        assumptions=(IndependentInputs(), ExposedTargets(), ConstantRateDescent(), ZeroStart(), ProvedSteps()),
        cases=(8, 100), directed=(4, 30),
        family=Family(
            (Parameter("bulge", 0.2, 1.0), Parameter("correlation", 0.0, 0.5), Parameter("share", 0.3, 1.0)),
            build=_safe_case, show={"bulge": 0.5, "correlation": 0.2, "share": 1.0},
        ),
        evaluate=_reached, exact=_exact_reached,
    ),
)  # fmt: skip
