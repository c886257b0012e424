"""Assumptions: objects that test a case, print themselves, and generate cases inside, on and outside."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from ..errors import InputError
from .case import Case, Family

Where = Literal["inside", "boundary", "outside"]


class Assumption(ABC):
    """A condition on a case.

    Subclasses set `statement` (a phrase, formulas between dollar signs) and define `holds` and `draw`.
    """

    statement: str

    @abstractmethod
    def holds(self, case: Case) -> bool:
        """Return whether the case satisfies the assumption."""

    @abstractmethod
    def draw(self, rng: np.random.Generator, where: Where = "inside") -> Case:
        """Return a random case inside the assumption, on its boundary (still allowed), or outside."""

    def explain(self, case: Case) -> str:
        """Return the sentence that names the assumption and the value that breaks it."""
        return f"{self} (case: {case})"

    def __str__(self) -> str:
        return self.statement


@dataclass(frozen=True)
class Condition(Assumption):
    """An assumption `slack(case) >= 0` on the members of a family; its boundary is found by bisection."""

    statement: str
    slack: Callable[[Case], float]
    family: Family
    strict: bool = False

    def holds(self, case: Case) -> bool:
        """Return whether slack(case) >= 0 (> 0 if strict)."""
        value = self.slack(case)
        return value > 0 if self.strict else value >= 0

    def explain(self, case: Case) -> str:
        """Return the statement with the value of the slack."""
        return f"{self.statement} (slack {self.slack(case):.6g}; case: {case})"

    def draw(self, rng: np.random.Generator, where: Where = "inside") -> Case:
        """Return a random member of the family inside, outside, or on the boundary (bisection, inner side)."""
        dimension = len(self.family.parameters)
        inside: np.ndarray | None = None
        outside: np.ndarray | None = None
        for _ in range(2000):
            point = rng.random(dimension)
            if self.holds(self.family.at(point)):
                inside = point
            else:
                outside = point
            if where == "inside" and inside is not None:
                return self.family.at(inside)
            if where == "outside" and outside is not None:
                return self.family.at(outside)
            if inside is not None and outside is not None:
                break
        if inside is None or outside is None:
            raise InputError(
                f"no case {where} was found among 2000 of the family", self.statement, "widen its parameters"
            )
        for _ in range(60):
            middle = 0.5 * (inside + outside)
            if self.holds(self.family.at(middle)):
                inside = middle
            else:
                outside = middle
        return self.family.at(inside)
