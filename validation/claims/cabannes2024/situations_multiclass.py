"""Situations that the claims on many classes and on curvature share: random problems from a few numbers."""

from __future__ import annotations

from typing import Any, Literal

import mpmath
import numpy as np
import numpy.typing as npt
from mpmath import mpf

from .... import analytics
from ....dynamics import AssociativeMemory, GradientDescent, GradientFlow
from ...case import Array, Case, Evidence, Parameter
from ...claim import Source
from ...precision import Descent

SEED = Parameter("seed", 0, 99999, "integer")
PAPER = "cabannes2024"
EPS = float(np.finfo(float).eps)


def source_of(place: str, row: str = "") -> Source:
    """Return the place of a claim in the paper, with its row of the errata."""
    return Source(PAPER, place, row)


def measured(
    axis: npt.ArrayLike,
    quantity: npt.ArrayLike,
    bound: npt.ArrayLike,
    error: npt.ArrayLike = 0.0,
    axis_name: str = "step t",
    axis_scale: Literal["linear", "log"] = "linear",
    value_scale: float | None = None,
) -> Evidence:
    """Return the evidence of array-likes."""
    at, left, right, budget = (np.asarray(values, dtype=float) for values in (axis, quantity, bound, error))
    return Evidence(at, left, right, budget, axis_name, axis_scale, value_scale)


def rotation(rng: np.random.Generator, dim: int) -> Array:
    """Return a random orthogonal matrix, orthogonal to rounding."""
    return np.asarray(np.linalg.qr(rng.normal(size=(dim, dim)))[0])


def orthogonal_memory(
    seed: int, n_tokens: int, n_classes: int, imbalance: float = 1.0, norms: float = 1.0, output_norms: float = 1.0
) -> AssociativeMemory:
    """Return orthogonal embeddings; ratios of largest to smallest frequency, input norm and output norm are given."""
    rng = np.random.default_rng([seed, n_tokens, n_classes])
    dim = max(n_tokens, n_classes)
    # unit axes, permuted: exactly orthogonal in floats, so that nothing but the claim is tested
    inputs = np.eye(dim)[rng.permutation(dim)[:n_tokens]] * np.geomspace(1.0, norms, n_tokens)[:, None]
    outputs = np.eye(dim)[rng.permutation(dim)[:n_classes]] * np.geomspace(1.0, output_norms, n_classes)[:, None]
    p = np.geomspace(1.0, imbalance, n_tokens)
    targets = rng.integers(n_classes, size=n_tokens)
    return AssociativeMemory(inputs, outputs, targets, p / p.sum())


def random_memory(seed: int, n_tokens: int, n_classes: int, dim: int) -> AssociativeMemory:
    """Return Gaussian embeddings, random targets and random frequencies."""
    rng = np.random.default_rng([seed, n_tokens, n_classes, dim])
    p = np.maximum(rng.dirichlet(np.ones(n_tokens)), 1e-3)
    return AssociativeMemory(
        rng.normal(size=(n_tokens, dim)),
        rng.normal(size=(n_classes, dim)),
        rng.integers(n_classes, size=n_tokens),
        p / p.sum(),
    )


def separable_memory(seed: int, n_tokens: int, n_classes: int, dim: int) -> AssociativeMemory:
    """Return Gaussian embeddings whose targets a random W answers, with random frequencies."""
    rng = np.random.default_rng([seed, n_tokens, n_classes, dim])
    inputs, outputs = rng.normal(size=(n_tokens, dim)), rng.normal(size=(n_classes, dim))
    inputs /= np.linalg.norm(inputs, axis=1, keepdims=True)
    outputs /= np.linalg.norm(outputs, axis=1, keepdims=True)
    targets = (inputs @ rng.normal(size=(dim, dim)).T @ outputs.T).argmax(axis=1)
    p = np.maximum(rng.dirichlet(np.ones(n_tokens)), 0.02)
    return AssociativeMemory(inputs, outputs, targets, p / p.sum())


def random_start(seed: int, dim: int, scale: float) -> Array:
    """Return Gaussian initial weights."""
    return np.asarray(scale * np.random.default_rng([seed, 7]).normal(size=(dim, dim)))


def flow_case(problem: AssociativeMemory, time: float, initial: Array | None = None) -> Case:
    """Return a case of gradient flow."""
    return Case(problem=problem, rule=GradientFlow(), time=time, initial=initial)


def descent_case(problem: AssociativeMemory, rate: float, steps: int, initial: Array | None = None) -> Case:
    """Return a case of gradient descent."""
    return Case(problem=problem, rule=GradientDescent(rate), steps=steps, initial=initial)


def start_of(case: Case) -> Array:
    """Return W_0 of a case."""
    dim = case.problem.inputs.shape[1]
    return np.zeros((dim, dim)) if case.initial is None else np.asarray(case.initial, dtype=float)


def start_scores(case: Case) -> Array:
    """Return the scores at W_0, shape (N, M)."""
    return np.asarray(case.problem.inputs @ start_of(case).T @ case.problem.outputs.T)


def steps_of(case: Case, default: int) -> int:
    """Return the steps of a case; zero steps are zero, not the default."""
    return default if case.steps is None else int(case.steps)


def times_of(last: float, first: float, count: int) -> Array:
    """Return `count` times up to `last`, log-spaced from `first`, or over three decades where that is not early."""
    return np.asarray(np.geomspace(min(first, 1e-3 * last), last, count) if last > 0 else np.empty(0))


def defect(problem: AssociativeMemory) -> float:
    """Return how far, relatively, float embeddings called orthogonal are from it: 0 for rows along the axes."""
    worst = 0.0
    for rows in (problem.inputs, problem.outputs):
        if np.all(np.count_nonzero(rows, axis=1) <= 1):
            continue
        norms = np.linalg.norm(rows, axis=1)
        cosines = rows @ rows.T / np.outer(norms, norms) if np.all(norms > 0) else np.eye(len(rows))
        worst = max(worst, 4 * rows.shape[1] * EPS + float(np.abs(cosines - np.eye(len(rows))).max()))
    return worst


def ideal_descent(case: Case, step: int) -> Descent:
    """Return descent with orthonormal embeddings to `step`, in the current precision, from the same initial scores.

    The Gram matrices are the identity: what the assumptions of a claim say, not what rounding leaves of it.
    """
    problem = case.problem
    unit = [
        [[mpf(int(i == j)) for j in range(count)] for i in range(count)]
        for count in (len(problem.inputs), len(problem.outputs))
    ]
    return Descent(
        problem, case.rule.learning_rate, case.initial, input_gram=unit[0], output_gram=unit[1]
    ).run(step)


def target_first(scores: Array, target: int) -> Array:
    """Return scores (..., M) with the target's column moved to the front."""
    order = [target, *[y for y in range(scores.shape[-1]) if y != target]]
    return np.asarray(scores[..., order])


def exact_target_first(row: list[Any], target: int) -> list[Any]:
    """Return a row of mpf scores with the target's moved to the front."""
    return [row[target], *[w for y, w in enumerate(row) if y != target]]


def exact_start(case: Case, token: int) -> list[Any]:
    """Return the scores of a token at W_0 in the current precision, target first."""
    problem, weights = case.problem, start_of(case)
    image = [mpmath.fdot(map(mpf, map(float, row)), map(mpf, map(float, problem.inputs[token]))) for row in weights]
    row = [mpmath.fdot(map(mpf, map(float, u)), image) for u in problem.outputs]
    return exact_target_first(row, int(problem.targets[token]))


def exact_flow(start: list[Any], elapsed: Any, norms: list[Any] | None = None) -> list[Any]:
    """Return the scores of one token under the flow with orthogonal outputs, target first, by its exact solution.

    The clock s solves elapsed = int_0^s A ds'; the integral by Gauss-Legendre quadrature in the current precision
    (a polynomial for equal norms). `norms` are squared norms. Independent of `analytics`: bisection and Newton in mpf.
    """
    n = [mpf(1)] * len(start) if norms is None else norms
    odds = [mpmath.exp(w) for w in start[1:]]

    def scores(s: Any) -> list[Any]:
        falls = [mpmath.log1p(k * s * a) for k, a in zip(n[1:], odds, strict=True)]
        first = start[0] + n[0] * mpmath.fsum(f / k for f, k in zip(falls, n[1:], strict=True))
        return [first, *[w - f for w, f in zip(start[1:], falls, strict=True)]]

    def clock(s: Any) -> Any:
        falls = mpmath.fsum(mpmath.log1p(k * s * a) / k for k, a in zip(n[1:], odds, strict=True))
        if norms is None:
            coefficients = [mpf(1)]
            for a in odds:
                shifted = [mpf(0), *[c * s * a for c in coefficients]]
                coefficients = [x + y for x, y in zip([*coefficients, mpf(0)], shifted, strict=True)]
            rise = s * mpmath.fsum(c / (k + 1) for k, c in enumerate(coefficients)) * mpmath.exp(start[0])
        else:
            ends = [mpf(0), *[s / mpf(4) ** k for k in range(7, -1, -1)]]
            rise = mpmath.quad(lambda x: mpmath.exp(scores(x)[0]), ends, maxdegree=5, method="gauss-legendre")
        return rise + falls

    low, high = mpf(-60), mpf(60) + abs(mpmath.log(elapsed))
    if norms is not None:  # its clock is expensive: start Newton close by; where it starts does not matter
        guess = analytics.multiclass_flow(float(elapsed), [float(w) for w in start], [float(k) for k in n])
        low = high = mpmath.log((mpmath.exp(-mpf(guess[1])) - mpmath.exp(-start[1])) / n[1])
    while high - low > mpf(10) ** -5:
        middle = (low + high) / 2
        low, high = (low, middle) if clock(mpmath.exp(middle)) > elapsed else (middle, high)
    at = (low + high) / 2
    for _ in range(4):
        s = mpmath.exp(at)
        value = clock(s)
        slope = s * mpmath.fsum(mpmath.exp(w) for w in scores(s)) / value
        at -= mpmath.log(value / elapsed) / slope
    return scores(mpmath.exp(at))
