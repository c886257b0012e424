"""Separable problems and their hard margins."""

from __future__ import annotations

from .... import analytics
from ...assumption import Condition
from ...case import Case, Family, Parameter
from .situations_multiclass import (
    SEED,
    random_memory,
)

_CASES = (20, 150)
_DIRECTED = (8, 60)
_SEPARABLE = Condition(
    r"some $W$ has all margins $>0$",
    lambda case: 1.0 if analytics.separability(case.problem).strict else -1.0,
    Family((SEED,), lambda seed: Case(problem=random_memory(seed, 4, 3, 2))),
    strict=True,
)


def _hard(case: Case) -> float:
    return float(analytics.hard_margin(case.problem).margin)


_SHAPE = (SEED, Parameter("n_tokens", 1, 6, "integer"), Parameter("n_classes", 2, 5, "integer"),
          Parameter("dim", 2, 6, "integer"))  # fmt: skip
