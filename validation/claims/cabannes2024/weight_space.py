"""Points and directions in weight space, and derivatives there in float64 and in mpf."""

from __future__ import annotations

from typing import Any

import mpmath

from ...case import Array, Case, Family, Parameter
from .situations_multiclass import SEED, random_memory, random_start, start_of


def _build(seed: int, n_tokens: int, n_classes: int, dim: int, scale: float) -> Case:
    return Case(problem=random_memory(seed, n_tokens, n_classes, dim), initial=random_start(seed, dim, scale))


def _arrays(case: Case) -> tuple[Array, Array, Array, Array, Array]:
    m = case.problem
    return start_of(case), m.inputs, m.outputs, m.targets, m.frequencies


def _exact_softmax(row: list[Any]) -> list[Any]:
    top = max(row)
    grown = [mpmath.exp(w - top) for w in row]
    total = mpmath.fsum(grown)
    return [g / total for g in grown]


_SMALL = Family(
    (SEED, Parameter("n_tokens", 1, 4, "integer"), Parameter("n_classes", 2, 5, "integer"),
     Parameter("dim", 2, 3, "integer"), Parameter("scale", 1e-3, 1.0, "log")),
    _build,
    show={"seed": 1, "n_tokens": 3, "n_classes": 3, "dim": 3, "scale": 0.5},
    corners=({"n_tokens": 3, "n_classes": 2, "dim": 3, "seed": 5}, {"n_tokens": 1, "n_classes": 5, "seed": 2}),
)  # fmt: skip
