"""Small problems that cannot be stored, and their minimisers."""

from __future__ import annotations

from typing import Any

import mpmath
import numpy as np
from mpmath import mpf

from .... import analytics, kernels
from ....dynamics import AssociativeMemory
from ...assumption import Condition
from ...case import Array, Case, Family
from .situations_multiclass import SEED, random_memory

_CASES = (24, 600)
_DIRECTED = (10, 200)


def three_tokens(seed: int) -> AssociativeMemory:
    """Return three unit tokens in the plane that cannot all be stored (their signed angles surround the origin)."""
    rng = np.random.default_rng([seed, 3])
    angles = np.array([0.0, 2 * np.pi / 3, 4 * np.pi / 3]) + rng.uniform(-0.4, 0.4, 3)
    targets = rng.permutation([0, 1, 0])
    sign = np.where(targets == 0, 1.0, -1.0)
    p = rng.uniform(0.6, 1.4, 3)
    return AssociativeMemory(np.c_[np.cos(angles), np.sin(angles)] * sign[:, None], np.eye(2), targets, p / p.sum())


def _least(case: Case) -> tuple[Array, float]:
    """Return the minimiser and the sharpness there."""
    m = case.problem
    weights = analytics.minimise(m).weights
    assert weights is not None
    return weights, float(kernels.sharpness(weights, m.inputs, m.outputs, m.targets, m.frequencies))


_NOT_SEPARABLE = Condition(
    "the loss has a minimiser (no $W$ has all margins $\\geq 0$ and one $>0$)",
    lambda case: -1.0 if analytics.separability(case.problem).weak else 1.0,
    Family((SEED,), lambda seed: Case(problem=random_memory(seed, 4, 2, 2))),
    strict=True,
)


def exact_three_tokens(problem: AssociativeMemory) -> tuple[list[Any], list[Any]]:
    """Return margins and error probabilities at the minimiser of three tokens in the plane, in mpf."""
    sign = [1 if f == 0 else -1 for f in problem.targets]
    a = [[s * mpf(float(v)) for v in e] for s, e in zip(sign, problem.inputs, strict=True)]
    p = [mpf(float(v)) for v in problem.frequencies]
    balance = [a[(i + 1) % 3][0] * a[(i + 2) % 3][1] - a[(i + 1) % 3][1] * a[(i + 2) % 3][0] for i in range(3)]
    if sum(balance) < 0:
        balance = [-b for b in balance]
    top = min(v / b for v, b in zip(p, balance, strict=True))

    def level(k: Any) -> Any:
        return mpmath.fsum(b * mpmath.log((v - k * b) / (k * b)) for v, b in zip(p, balance, strict=True))

    low, high = top * mpf(10) ** -30, top * (1 - mpf(10) ** -30)
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if level(middle) > 0 else (low, middle)
    k = (low + high) / 2
    for _ in range(5):
        slope = -mpmath.fsum(b * (b / (v - k * b) + 1 / k) for v, b in zip(p, balance, strict=True))
        k -= level(k) / slope
    errors = [k * b / v for v, b in zip(p, balance, strict=True)]
    return [mpmath.log((1 - q) / q) for q in errors], errors
