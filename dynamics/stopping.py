"""Conditions that end a run."""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import unknown_name
from .numbers import real

RELATIONS = (">=", "<=", ">", "<")


@dataclass(frozen=True)
class When:
    """A scalar observable compared with a threshold; NaN never fulfils it."""

    name: str
    relation: str
    threshold: float

    def holds(self, value: float) -> bool:
        """Return whether the value fulfils the condition."""
        if self.relation == ">=":
            return value >= self.threshold
        if self.relation == "<=":
            return value <= self.threshold
        return value > self.threshold if self.relation == ">" else value < self.threshold


def when(name: str, relation: str, threshold: float) -> When:
    """Return the condition that ends a run at the first step where `name` RELATION `threshold`.

    Arguments:
        name: any observable with one number a step, such as "loss", "accuracy" or "smallest_margin".
        relation: ">=", "<=", ">" or "<".
        threshold: a finite number.

    Cost: nothing for loss, accuracy and smallest_margin; others are evaluated in Python at every step.

    >>> when("accuracy", ">=", 1.0)
    When(name='accuracy', relation='>=', threshold=1.0)
    """
    if relation not in RELATIONS:
        raise unknown_name("relation", relation, RELATIONS)
    return When(str(name), relation, real("threshold", threshold))
