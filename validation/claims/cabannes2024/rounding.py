"""How far rounding grows along a discrete run: a shadow of it, started and driven a few ulps away.

Descent at a large learning rate can be chaotic: a rounding of one ulp then grows by a factor per step, and a budget of
ulps times steps says nothing. The distance to the shadow measures that growth, along the trajectory itself.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ....dynamics import AssociativeMemory
from ...case import Array, Case

SHIFT = 4.0 * float(np.finfo(np.float64).eps)
# The shadow is moved once at the start and then by its rate and frequencies at every step, in one direction; rounding
# comes at every step with its own sign. The multiple covers the difference.
MULTIPLE = 16.0


@dataclass(frozen=True)
class _Shifted:
    """A schedule of learning rates, each larger by a few ulps."""

    schedule: Callable[[int], float]

    def __call__(self, step: int) -> float:
        """Return the learning rate of a step."""
        return float(self.schedule(step)) * (1.0 + SHIFT)


def shadow(case: Case) -> Case:
    """Return the case with its learning rate, frequencies and initial weights moved by 4 ulps."""
    problem, rule = case.problem, case.rule
    frequencies = problem.frequencies * (1.0 + SHIFT * _signs(problem.n_tokens))
    moved = AssociativeMemory(problem.inputs, problem.outputs, problem.targets, frequencies / frequencies.sum())
    rate: Any = rule.learning_rate
    rate = _Shifted(rate) if callable(rate) else float(rate) * (1.0 + SHIFT)
    start = case.initial
    if start is not None:
        start = start * (1.0 + SHIFT * _signs(start.size).reshape(start.shape))
    return Case(case.parameters, moved, replace(rule, learning_rate=rate), case.steps, case.time, start)


def _signs(count: int) -> Array:
    """Return +1, -1, -1, +1, ... (Thue-Morse): no symmetry of a problem is left in the shift."""
    return np.array([1.0 - 2.0 * (number.bit_count() % 2) for number in range(count)])


def grown(run: Array, other: Array) -> Array:
    """Return the error (n,) that the distance of a run (n, ...) to its shadow stands for.

    It is 16 times the largest distance so far: two chaotic trajectories may meet by accident.
    """
    distance = np.abs(run - other).reshape(len(run), -1).max(axis=1, initial=0.0)
    return np.asarray(MULTIPLE * np.maximum.accumulate(np.where(np.isnan(distance), np.inf, distance)))
