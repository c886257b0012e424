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


def _three_in_the_plane(case: Case) -> bool:
    """Return whether the case has three tokens in the plane and two different class embeddings."""
    m = case.problem
    return m.inputs.shape == (3, 2) and len(m.outputs) == 2 and bool(np.any(m.outputs[0] != m.outputs[1]))


def _balance(case: Case) -> float:
    """Return the least of the three areas e_i x e_j of the signed unit tokens, < 0 if they do not surround 0."""
    m = case.problem
    norms = np.linalg.norm(m.inputs, axis=1, keepdims=True) if _three_in_the_plane(case) else np.zeros(1)
    if not np.all(norms > 0):
        return -1.0
    a = np.where(m.targets == 0, 1.0, -1.0)[:, None] * m.inputs / norms
    b, c = np.roll(a, -1, axis=0), np.roll(a, -2, axis=0)
    areas = b[:, 0] * c[:, 1] - b[:, 1] * c[:, 0]
    return float(max(areas.min(), (-areas).min())) - 1e-6


_SURROUNDED = Condition(
    r"three tokens in the plane and two classes, $\sum\lambda_ia_i=0$ with all $\lambda_i>0$",
    _balance,
    Family((SEED,), lambda seed: Case(problem=random_memory(seed, 3, 2, 2))),
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
