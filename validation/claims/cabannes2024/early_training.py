"""Section 4.1, last paragraph: what the weights look like early in training."""

from __future__ import annotations

from typing import Any

import mpmath
import numpy as np
from mpmath import mpf

from ....dynamics import GradientDescent, simulate
from ...assumptions import ConstantRateDescent, OrthogonalInputs, OrthogonalOutputs, ZeroStart
from ...case import Array, Case, Evidence, Exact, Family, Parameter
from ...precision import evaluate_twice, matrix
from .orthogonal_cases import HOLDS, VIOLATED, orthogonal_claim
from .situations_multiclass import SEED, orthogonal_memory, random_memory
from .two_token_cases import UNIT


def _orthogonal_case(seed: int, n_tokens: int, n_classes: int, rate: float, imbalance: float = 3.0) -> Case:
    problem = orthogonal_memory(seed, int(n_tokens), int(n_classes), imbalance)
    return Case(problem=problem, rule=GradientDescent(rate), steps=1)


def _any_case(seed: int, n_tokens: int, n_classes: int, dim: int, rate: float) -> Case:
    problem = random_memory(seed, int(n_tokens), int(n_classes), int(dim))
    return Case(problem=problem, rule=GradientDescent(rate), steps=1)


def _first_weights(case: Case) -> tuple[Array, Array]:
    """Return W_1/eta and the size of what its coordinates are sums of."""
    problem = case.problem
    run = simulate(problem, case.rule, steps=1, observe=("loss",), form="weights")
    size = np.abs(problem.outputs).max() * np.abs(problem.inputs).max()
    return np.asarray(run.final) / float(case.rule.learning_rate), np.asarray(size)


def _sum(case: Case, projected: bool) -> Array:
    """Return sum_x p(x) u e_x^T with u = u_f(x), or its part without the mean of all classes."""
    problem = case.problem
    outputs = problem.outputs - problem.outputs.mean(axis=0) if projected else problem.outputs
    return np.asarray((problem.frequencies[:, None] * outputs[problem.targets]).T @ problem.inputs)


def _direction(case: Case) -> Evidence:
    """Coordinates of W_1 and of the printed sum, each divided by its norm: no constant of proportionality can help."""
    weights, _ = _first_weights(case)
    printed = _sum(case, projected=False)
    sizes = float(np.linalg.norm(weights)), float(np.linalg.norm(printed))
    if min(sizes) == 0.0:
        return Evidence([], [], [], axis_name="coordinate of W")  # type: ignore[arg-type]
    error = 64 * UNIT * (1 + sizes[1] / sizes[0])
    axis = np.arange(weights.size, dtype=float)
    return Evidence(axis, weights.ravel() / sizes[0], printed.ravel() / sizes[1], error, axis_name="coordinate of W")


def _exact_direction(case: Case, index: int) -> Exact:
    problem = case.problem

    def both() -> tuple[Any, Any]:
        outputs, inputs = matrix(problem.outputs), matrix(problem.inputs)
        tokens = range(len(inputs))
        p = [mpf(float(v)) for v in problem.frequencies]
        # the gradient (9) at W = 0: all softmax weights are 1/M
        mean = [mpmath.fsum(column) / len(outputs) for column in zip(*outputs, strict=True)]
        own = [outputs[int(f)] for f in problem.targets]
        dims = range(problem.dim)
        moved = [mpmath.fsum(p[x] * (own[x][i] - mean[i]) * inputs[x][j] for x in tokens) for i in dims for j in dims]
        shown = [mpmath.fsum(p[x] * own[x][i] * inputs[x][j] for x in tokens) for i in dims for j in dims]
        return moved[index] / mpmath.norm(moved), shown[index] / mpmath.norm(shown)

    return evaluate_twice(both, "one step from W = 0 by equation (9)")


def _projection(case: Case) -> Evidence:
    """Coordinates of W_1/eta against sum_x p(x) Pi(u_f(x)) e_x^T."""
    weights, size = _first_weights(case)
    axis = np.arange(weights.size, dtype=float)
    formula = _sum(case, projected=True).ravel()
    error = 32 * UNIT * (1 + case.problem.n_classes) * float(size)
    return Evidence(axis, weights.ravel(), formula, error, axis_name="coordinate of W", value_scale=1.0)


RATE = Parameter("rate", 1e-3, 1e3, "log")
PLACE = ("Section 4.1, last paragraph", "smaller slips")
TITLE = "The weights early in training"

CLAIMS = (
    orthogonal_claim(
        "section4.early_training", "printed", PLACE, TITLE,
        r"Early in training $W\simeq\sum_xp(x)\,u_{f(x)}\otimes e_x$ (up to a factor): so after one step from $W_0=0$.",
        (r"coordinates of $W_1/\|W_1\|$", "==", r"those of $\sum_xp(x)u_{f(x)}\otimes e_x$, normalised"), VIOLATED,
        r"a gradient has nothing along the mean of the $u_y$: for orthonormal $u_y$ the cosine is $\sqrt{1-1/M}$, "
        "0.707 for two classes",
        assumptions=(OrthogonalInputs(), OrthogonalOutputs(), ConstantRateDescent(), ZeroStart()),
        family=Family(
            (SEED, Parameter("n_tokens", 1, 5, "integer"), Parameter("n_classes", 2, 6, "integer"), RATE),
            build=_orthogonal_case, show={"seed": 1, "n_tokens": 3, "n_classes": 3, "rate": 0.1},
        ),
        evaluate=_direction, exact=_exact_direction, cases=(20, 200), directed=(5, 40),
    ),
    orthogonal_claim(
        "section4.early_training", "corrected", PLACE, TITLE,
        r"After one step from $W_0=0$, $W_1=\eta\,\sum_xp(x)\,\Pi(u_{f(x)})\otimes e_x$ with "
        r"$\Pi(u_y)=u_y-\frac{1}{M}\sum_zu_z$, for any embeddings.",
        (r"coordinates of $W_1/\eta$", "==", r"those of $\sum_xp(x)\Pi(u_{f(x)})\otimes e_x$"), HOLDS,
        "exact for every rate",
        proof=r"At $W=0$ every softmax weight is $1/M$ in (9).",
        assumptions=(ConstantRateDescent(), ZeroStart()),
        family=Family(
            (SEED, Parameter("n_tokens", 1, 5, "integer"), Parameter("n_classes", 2, 6, "integer"),
             Parameter("dim", 1, 6, "integer"), RATE),
            build=_any_case, show={"seed": 1, "n_tokens": 3, "n_classes": 3, "dim": 4, "rate": 0.1},
        ),
        evaluate=_projection, cases=(40, 400), directed=(10, 60),
    ),
)  # fmt: skip
