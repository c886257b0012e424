"""Claims of one's own: what is said of the silver step sizes, found by traindyn through an entry point."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import mpmath
import numpy as np
from numpy.typing import NDArray

import traindyn as td
from traindyn.validation import Assumption, Case, Claim, Evidence, Exact, Family, Outcome, Parameter, Source

from .problem import Quadratic
from .rule import SILVER_RATIO, SilverDescent, silver_step

EPSILON = np.finfo(float).eps


@dataclass(frozen=True)
class ConvexQuadratic(Assumption):
    """An assumption of one's own: it tests a case, prints itself, and draws cases inside, on and outside."""

    statement: str = "the problem is a quadratic with curvatures in $[0, L]$, and the rule knows $L$"

    def holds(self, case: Case) -> bool:
        """Return whether no curvature is negative or above the smoothness that the rule was given."""
        curvature = case.problem.curvature
        return bool((curvature >= 0).all() and curvature.max() <= case.rule.smoothness)

    def draw(self, rng: np.random.Generator, where: str = "inside") -> Case:
        """Return a random case; on the boundary one curvature is 0 and one is L."""
        curvature = rng.uniform(0.0, 1.0, size=3)
        if where == "boundary":
            curvature[:2] = 0.0, 1.0
        if where == "outside":
            curvature[0] = rng.choice([-0.5, 1.5])
        return Case(problem=Quadratic(curvature, rng.normal(size=3)), rule=SilverDescent(1.0), steps=15)


def _build(curvature: float, angle: float, doublings: int) -> Case:
    problem = Quadratic(np.array([1.0, curvature]), np.array([np.cos(angle), np.sin(angle)]))
    return Case(problem=problem, rule=SilverDescent(problem.smoothness), steps=2**doublings - 1)


FAMILY = Family(
    (
        Parameter("curvature", 1e-4, 1.0, "log"),
        Parameter("angle", 0.0, np.pi / 2),
        Parameter("doublings", 2, 9, "integer"),
    ),
    _build,
    show={"curvature": 0.02, "angle": 1.0, "doublings": 7},
)


def _losses(case: Case) -> NDArray[np.float64]:
    return np.asarray(td.simulate(case.problem, case.rule, steps=case.steps, observe=("loss",))["loss"])


def _rate_bound(case: Case, doublings: Any, ratio: Any = SILVER_RATIO, sqrt: Any = np.sqrt) -> Any:
    squared = float(case.problem.start @ case.problem.start)
    return case.rule.smoothness * squared / (1 + sqrt(4 * ratio ** (2 * doublings) - 3))


def _rate(case: Case) -> Evidence:
    doublings = np.arange(1, int(np.log2(case.steps + 1)) + 1)
    steps = 2**doublings - 1
    loss = _losses(case)[steps]
    # every step multiplies each coordinate once: two roundings a step, twice for the square
    error = 8 * EPSILON * (steps + 1) * loss
    return Evidence(steps, loss, _rate_bound(case, doublings), error, axis_name="step n", axis_scale="log")


def _decrease(case: Case) -> Evidence:
    loss = _losses(case)
    steps = np.arange(len(loss) - 1)
    return Evidence(steps, loss[1:], loss[:-1], 16 * EPSILON * (steps + 1) * loss[:-1], axis_name="step t")


def _exact_losses(case: Case, steps: int) -> list[mpmath.mpf]:
    """Return the losses up to a step in the precision of the caller."""
    weights = [mpmath.mpf(float(value)) for value in case.problem.start]
    curvature = [mpmath.mpf(float(value)) for value in case.problem.curvature]
    losses = []
    for step in range(steps + 1):
        losses.append(sum(c * w**2 for c, w in zip(curvature, weights, strict=True)) / 2)
        rate = mpmath.mpf(silver_step(step)) / mpmath.mpf(case.rule.smoothness)
        weights = [(1 - rate * c) * w for c, w in zip(curvature, weights, strict=True)]
    return losses


def _exact_decrease(case: Case, index: int) -> Exact:
    with mpmath.workdps(50):
        losses = _exact_losses(case, index + 1)
        return Exact(losses[-1], losses[-2], abs(losses[-2]) * mpmath.mpf(10) ** -45, "the steps in 50 digits")


CLAIMS = (
    Claim(
        id="silver.section1.decrease",
        form="printed",
        title="silver steps decrease the loss",
        statement="Gradient descent with the silver step sizes decreases the loss at every step.",
        source=Source("altschuler2023", "a common misreading"),
        quantity="$f(w_{t+1})$",
        relation="<=",
        bound="$f(w_t)$",
        assumptions=(ConvexQuadratic(),),
        expected=Outcome.VIOLATED,
        reason="every long step overshoots along directions of large curvature",
        family=FAMILY,
        evaluate=_decrease,
        exact=_exact_decrease,
    ),
    Claim(
        id="silver.theorem1.rate",
        form="printed",
        title="the silver rate",
        statement=r"After $n=2^k-1$ silver steps $f(w_n)\leq L|w_0|^2/(1+\sqrt{4\rho^{2k}-3})$, $\rho=1+\sqrt{2}$.",
        source=Source("altschuler2023", "Theorem 1.1"),
        quantity="$f(w_n)$",
        relation="<=",
        bound=r"$L|w_0|^2/(1+\sqrt{4\rho^{2k}-3})$",
        assumptions=(ConvexQuadratic(),),
        expected=Outcome.HOLDS,
        reason="proved for every smooth convex function",
        family=FAMILY,
        evaluate=_rate,
    ),
)
