"""Assumptions of claims on two tokens: where a state lies, and how long a run is."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import mpmath
import numpy as np

from ....dynamics import GradientDescent, GradientFlow
from ...assumption import Assumption, Where
from ...case import Case
from .two_token_cases import memory, numbers, state_case
from .two_token_precision import exact_numbers, exact_start


def _modes(case: Case) -> tuple[Any, Any]:
    """Return (tilt, mean margin) of the start, in the current precision."""
    first, second = exact_start(case)
    return (first - second) / 2, (first + second) / 2


@dataclass(frozen=True)
class PositiveMean(Assumption):
    """The mean margin of the state is not negative; decided in 50 digits, as the lemmas are sharp there."""

    statement: str = r"$a=e^{\gamma_2}\geq 1$"

    def holds(self, case: Case) -> bool:
        """Return whether gamma_2 >= 0 at the start."""
        with mpmath.workdps(50):
            return bool(_modes(case)[1] >= 0)

    def draw(self, rng: np.random.Generator, where: Where = "inside") -> Case:
        """Return a state with a positive or negative mean margin; the boundary is W = 0."""
        if where == "boundary":
            return Case(problem=memory(float(rng.uniform(-0.9, 0.9)), 0.2), rule=GradientDescent(1.0), steps=1)
        mean = float(rng.uniform(0.1, 3.0))
        return state_case(0.3, 0.2, 2.0, float(rng.uniform(-2, 2)), mean if where == "inside" else -mean, 1.0)


@dataclass(frozen=True)
class TiltWithin(Assumption):
    """The tilt of the state lies between 0 and twice its limit; decided in 50 digits."""

    statement: str = r"$0\leq\gamma_1\leq\log(p_1/p_2)$"

    def holds(self, case: Case) -> bool:
        """Return whether 0 <= gamma_1 <= log(p_1/p_2) at the start."""
        with mpmath.workdps(50):
            _, frequent, rare, _ = exact_numbers(case)
            return bool(0 <= _modes(case)[0] <= mpmath.log(frequent / rare))

    def draw(self, rng: np.random.Generator, where: Where = "inside") -> Case:
        """Return a state with a tilt inside, above or below; the boundary is W = 0."""
        if where == "boundary":
            return Case(problem=memory(float(rng.uniform(-0.9, 0.9)), 0.2), rule=GradientDescent(1.0), steps=1)
        share = float(rng.uniform(0.1, 0.9))
        if where == "outside":
            share = float(rng.choice([-1.0, 1.1])) * (1 + share)
        return state_case(0.3, 0.2, 2.0, share * math.log(4.0), 1.0, 1.0)


@dataclass(frozen=True)
class Unequal(Assumption):
    """The first token is more frequent: at equal frequencies the tilt stays at its limit, and has no rate."""

    statement: str = "$p_1>p_2$"

    def holds(self, case: Case) -> bool:
        """Return whether p_1 > p_2."""
        return bool(case.problem.frequencies[0] > case.problem.frequencies[1])

    def draw(self, rng: np.random.Generator, where: Where = "inside") -> Case:
        """Return a two-token case; the boundary has nearly equal frequencies, outside equal ones."""
        rare = {"inside": float(rng.uniform(0.01, 0.49)), "boundary": 0.5 * (1 - 1e-12), "outside": 0.5}[where]
        return Case(problem=memory(float(rng.uniform(-0.9, 0.9)), rare), rule=GradientFlow(), time=1e6)


@dataclass(frozen=True)
class LateEnd(Assumption):
    """The run goes on for so long that the law of late times can be compared over its last decades."""

    least: float = 1000.0

    @property
    def statement(self) -> str:  # type: ignore[override]
        """Return the condition as a formula."""
        return rf"the run ends at $2(1-\alpha)cp_1p_2t\geq {self.least:g}$ (descent: $\eta t$ for $t$)"

    def holds(self, case: Case) -> bool:
        """Return whether the run ends late enough: e^{gamma_2} then exceeds 1/(2 sqrt(p_1 p_2)) by that factor."""
        correlation, (first, second), distance = numbers(case)
        end = float(case.time or 0.0)
        if isinstance(case.rule, GradientDescent):
            end = float(case.rule.rate(0)) * int(case.steps or 0)
        clock = 2.0 * (1.0 - correlation) * distance * first * second * end
        return clock >= self.least * (1 - 1e-12)

    def draw(self, rng: np.random.Generator, where: Where = "inside") -> Case:
        """Return a flow that ends later, just then, or earlier."""
        problem = memory(0.0, 0.5)  # 2 c p_1 p_2 = 1
        factor = {"inside": 1 + float(rng.exponential(5.0)), "boundary": 1.0, "outside": float(rng.uniform(0.01, 0.9))}
        return Case(problem=problem, rule=GradientFlow(), time=self.least * factor[where])
