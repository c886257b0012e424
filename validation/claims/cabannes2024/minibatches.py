"""Equation (7) and stochastic descent: mini-batches, as gradients and as particles; any embeddings."""

from __future__ import annotations

import itertools
from typing import Any

import mpmath
import numpy as np
from mpmath import mpf

from .... import kernels
from ....dynamics import StochasticGradientDescent, simulate
from ...case import Case, Evidence, Exact, Family, Parameter
from ...precision import Descent, evaluate_twice, matrix
from .equations_particles import SEED, TOKENS, exact_soft, random_case, size_of, start_of, token_gradients
from .orthogonal_assumptions import MiniBatches
from .orthogonal_cases import HOLDS, VIOLATED, orthogonal_claim
from .rounding import grown, shadow
from .two_token_cases import UNIT


def _batch_case(seed: int, n_tokens: int, batch: int) -> Case:
    case = random_case(seed, n_tokens, 3, 3)
    rule = StochasticGradientDescent(1.0, int(batch))
    return Case(problem=case.problem, rule=rule, steps=1, initial=case.initial)


def _mean_batch(case: Case, average: bool) -> Evidence:
    """The expectation over all batches of the batch's gradient, coordinate by coordinate, against grad L."""
    problem = case.problem
    size = int(case.rule.batch_size)
    gradients = token_gradients(case)
    mean = np.zeros_like(gradients[0])
    for batch in itertools.product(range(problem.n_tokens), repeat=size):
        chosen = list(batch)
        summed = gradients[chosen].sum(axis=0)
        mean += np.prod(problem.frequencies[chosen]) * (summed / size if average else summed)
    _, full = kernels.softmax_gradient(
        start_of(case), problem.inputs, problem.outputs, problem.targets, problem.frequencies
    )
    error = 256 * UNIT * size * size_of(case)
    axis = np.arange(full.size, dtype=float)
    return Evidence(axis, mean.ravel(), full.ravel(), error, axis_name="coordinate of W", value_scale=1.0)


def _exact_mean_batch(case: Case, index: int, average: bool) -> Exact:
    row, column = divmod(index, case.problem.dim)
    size = int(case.rule.batch_size)

    def both() -> tuple[Any, Any]:
        problem = case.problem
        soft = exact_soft(Descent(problem, 1.0, case.initial))
        inputs, outputs = matrix(problem.inputs), matrix(problem.outputs)
        own = []
        for x, target in enumerate(problem.targets):
            pull = mpmath.fsum(q * (outputs[z][row] - outputs[int(target)][row]) for z, q in enumerate(soft[x]))
            own.append(pull * inputs[x][column])
        p = [mpf(float(v)) for v in problem.frequencies]
        mean = mpf(0)
        for batch in itertools.product(range(len(p)), repeat=size):
            summed = mpmath.fsum(own[x] for x in batch)
            mean += mpmath.fprod(p[x] for x in batch) * (summed / size if average else summed)
        return mean, mpmath.fdot(p, own)

    exact = evaluate_twice(both, "all batches")
    # frequencies that sum to one only to rounding
    return Exact(exact.quantity, exact.bound, exact.error + mpf(64 * UNIT * size) * abs(exact.bound), exact.method)


def _stochastic_case(seed: int, n_tokens: int, batch: int, rate: float, steps: int = 50) -> Case:
    case = random_case(seed, n_tokens, 3, 3)
    scale = np.trace(case.problem.input_gram) * np.trace(case.problem.output_gram)
    rule = StochasticGradientDescent(float(rate / scale), int(batch))
    return Case(problem=case.problem, rule=rule, steps=int(steps), initial=case.initial)


def _stochastic(case: Case) -> Evidence:
    """The loss of stochastic descent, as weights and as particles, on the same random batches."""
    seed = int(case.parameters.get("seed", 0))
    steps = int(case.steps or 0)
    options: dict[str, Any] = {"steps": steps, "initial": case.initial, "observe": ("loss",), "rng": seed}
    runs = [simulate(case.problem, case.rule, form=form, **options) for form in ("weights", "particles")]
    other = shadow(case)
    moved = simulate(other.problem, other.rule, form="particles", **options | {"initial": other.initial})
    steps_seen = np.asarray(runs[0].step, dtype=float)
    largest = np.maximum.accumulate(np.abs(np.asarray(runs[0]["loss"])))
    error = 256 * UNIT * (1 + steps_seen) * (size_of(case) + largest) + grown(
        np.asarray(runs[1]["loss"]), np.asarray(moved["loss"])
    )
    return Evidence(steps_seen, runs[0]["loss"], runs[1]["loss"], error)


CLAIMS = (
    orthogonal_claim(
        "equation7.minibatch_gradient", "printed", ("Section 2, equation (7)", "E7"), "Mini-batch gradients are "
        "unbiased",
        r"$\sum_{(x,y)\in B}\nabla\ell(W;x,y)$ over a random batch $B$ has mean $\nabla\mathcal{L}(W)$ (noise of "
        r"zero mean).",
        (r"$\mathrm{E}\,\sum_B\nabla\ell$", "==", r"$\nabla\mathcal{L}(W)$"), VIOLATED,
        r"the mean is $|B|\,\nabla\mathcal{L}$; all batches are enumerated",
        assumptions=(MiniBatches(),),
        family=Family(
            (SEED, Parameter("n_tokens", 2, 4, "integer"), Parameter("batch", 2, 4, "integer")), build=_batch_case,
            show={"seed": 1, "n_tokens": 3, "batch": 2},
        ),
        evaluate=lambda case: _mean_batch(case, False), exact=lambda case, i: _exact_mean_batch(case, i, False),
        cases=(20, 200), directed=(5, 40),
    ),
    orthogonal_claim(
        "equation7.minibatch_gradient", "corrected", ("Section 2, equation (7)", "E7"), "Mini-batch gradients are "
        "unbiased",
        r"$\frac{1}{|B|}\,\sum_{(x,y)\in B}\nabla\ell(W;x,y)$ over a random batch $B$ has mean $\nabla\mathcal{L}(W)$.",
        (r"$\mathrm{E}\,\frac{1}{|B|}\sum_B\nabla\ell$", "==", r"$\nabla\mathcal{L}(W)$"), HOLDS,
        "divide by the size of the batch; all batches are enumerated",
        proof="Linearity of the mean: each of the |B| independent draws has mean $\\nabla\\mathcal{L}$.",
        assumptions=(MiniBatches(),),
        family=Family(
            (SEED, Parameter("n_tokens", 1, 4, "integer"), Parameter("batch", 1, 4, "integer")), build=_batch_case,
            show={"seed": 1, "n_tokens": 3, "batch": 2},
        ),
        evaluate=lambda case: _mean_batch(case, True), exact=lambda case, i: _exact_mean_batch(case, i, True),
        cases=(20, 200), directed=(5, 40),
    ),
    orthogonal_claim(
        "theorem1.stochastic_descent", "printed", ("Theorem 1, after equation (12)", "T1"),
        "Stochastic descent as a particle system",
        r"Stochastic descent is (12) with the sum over $x$ replaced by the sum over a random mini-batch (averaged, "
        r"see (7)).",
        ("loss on the weights", "==", "loss on the particles"), HOLDS, "true; both forms run on the same batches",
        assumptions=(MiniBatches(10**9),),
        family=Family(
            (SEED, TOKENS, Parameter("batch", 1, 5, "integer"), Parameter("rate", 0.01, 1.0, "log")),
            build=_stochastic_case, show={"seed": 1, "n_tokens": 4, "batch": 2, "rate": 0.5},
        ),
        evaluate=_stochastic, cases=(20, 200), directed=(5, 40),
    ),
)  # fmt: skip
