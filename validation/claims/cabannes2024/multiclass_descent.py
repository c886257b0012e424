"""Runs of gradient descent with orthogonal embeddings that several claims measure."""

from __future__ import annotations

import numpy as np

from ....dynamics import at, logarithmic, simulate
from ...assumption import Assumption
from ...assumptions import (
    ConstantRateDescent,
    OrthonormalInputs,
    OrthonormalOutputs,
)
from ...case import Array, Case, Family, Parameter
from .situations_multiclass import (
    SEED,
    descent_case,
    orthogonal_memory,
    random_start,
    start_scores,
    steps_of,
    target_first,
)

_DESCENT: tuple[Assumption, ...] = (OrthonormalInputs(), OrthonormalOutputs(), ConstantRateDescent())
_CASES = (40, 1500)
_DIRECTED = (20, 400)


def _build(seed: int, n_tokens: int, n_classes: int, rate: float, steps: int, scale: float) -> Case:
    problem = orthogonal_memory(seed, n_tokens, n_classes, 3.0)
    return descent_case(problem, rate, steps, random_start(seed, problem.inputs.shape[1], scale) if scale else None)


def _rates(case: Case) -> Array:
    """Return eta p |e|^2 of every token, |e| = 1 as the assumption says (not what rounding left of it)."""
    return np.asarray(case.rule.learning_rate * case.problem.frequencies)


def _start_margins(case: Case) -> list[Array]:
    """Return the M-1 margins of every token at the start."""
    rows = [target_first(s, int(f)) for s, f in zip(start_scores(case), case.problem.targets, strict=True)]
    return [row[0] - row[1:] for row in rows]


def _run(case: Case, steps: Array | None = None) -> tuple[Array, Array]:
    """Return the steps that were kept and the scores there, (T, N, M)."""
    grid = logarithmic(40) if steps is None else at(steps)
    run = simulate(
        case.problem, case.rule, steps=steps_of(case, 1000), save=grid, observe=("scores",), initial=case.initial
    )
    return np.asarray(run.step, dtype=float), np.asarray(run["scores"])


_STEP = Family(
    (SEED, Parameter("n_tokens", 1, 3, "integer"), Parameter("n_classes", 2, 6, "integer"),
     Parameter("rate", 0.1, 100.0, "log"), Parameter("scale", 0.01, 3.0, "log")),
    lambda seed, n_tokens, n_classes, rate, scale: _build(seed, n_tokens, n_classes, rate, 1, scale),
    show={"seed": 0, "n_tokens": 3, "n_classes": 4, "rate": 1.0, "scale": 1.0},
    corners=({"n_classes": 3, "rate": 0.1, "scale": 3.0},),
)  # fmt: skip
