"""Equations (14), (27), (28): the weights, the gradient on one token, and the margin's step."""

from __future__ import annotations

from typing import Any

import mpmath
import numpy as np
from mpmath import mpf

from .... import analytics, kernels
from ....dynamics import AssociativeMemory, GradientDescent, simulate
from ...assumptions import OrthogonalInputs
from ...case import Case, Evidence, Exact, Family, Parameter
from ...precision import Descent, evaluate_twice, matrix
from .orthogonal_assumptions import ANY_DESCENT, NonzeroInputs
from .orthogonal_cases import (
    HOLDS,
    START,
    VIOLATED,
    binary_family,
    descend,
    exact_margin,
    exact_token,
    orthogonal_claim,
    rates,
    saved_axis,
    stacked,
)  # fmt: skip
from .two_token_cases import UNIT, Array

COUNT = 12  # steps or times at which whole weight matrices are compared


def _random_memory(seed: int, n_tokens: int, n_classes: int, dim: int) -> tuple[AssociativeMemory, Array]:
    """Return a memory with orthogonal inputs of free norms and free outputs, and random initial weights."""
    rng = np.random.default_rng(seed)
    count = min(n_tokens, dim)
    inputs = np.linalg.qr(rng.normal(size=(dim, dim)))[0][:count] * rng.uniform(0.5, 2.0, size=(count, 1))
    targets = (np.arange(count) + 1) % n_classes
    frequencies = rng.dirichlet(np.ones(count)) * 0.9 + 0.1 / count
    problem = AssociativeMemory(inputs, rng.normal(size=(n_classes, dim)), targets, frequencies / frequencies.sum())
    return problem, rng.normal(size=(dim, dim))


def _weights_case(seed: int, n_tokens: int, dim: int, rate: float, steps: int = 50) -> Case:
    problem, start = _random_memory(seed, n_tokens, 2, dim)
    return Case(problem=problem, rule=GradientDescent(rate), steps=int(steps), initial=start)


WEIGHTS_FAMILY = Family(
    (Parameter("seed", 0, 10**6, "integer"), Parameter("n_tokens", 1, 5, "integer"), Parameter("dim", 3, 6, "integer"),
     Parameter("rate", 1e-2, 10.0, "log")),
    build=_weights_case, show={"seed": 1, "n_tokens": 3, "dim": 4, "rate": 0.7},
    corners=({"seed": 2, "n_tokens": 3, "dim": 3, "rate": 0.7, "steps": 2000},),
)  # fmt: skip


def _weights(case: Case, printed: bool) -> Evidence:
    """||W_t - formula|| at some steps; the formula has u_1 - u_2 for every token (printed) or each token's own sign."""
    steps = int(case.steps or 0)
    problem = case.problem
    picked = np.unique(np.linspace(0, steps, COUNT).astype(int))
    from ....dynamics import at

    run = simulate(
        problem, case.rule, steps=steps, initial=case.initial, save=at(picked), observe=("margin", _seen_weights())
    )
    signs = np.zeros_like(problem.targets) if printed else problem.targets
    distance, size = [], []
    for margins, weights in zip(run["margin"], run["weights"], strict=True):
        formula = analytics.binary_weights(margins, problem.inputs, problem.outputs, signs, case.initial)
        distance.append(np.linalg.norm(weights - formula))
        size.append(np.linalg.norm(weights))
    spread = np.linalg.cond(problem.inputs) * float(np.sum(problem.outputs**2)) / _distance(problem)
    error = 64 * UNIT * (1 + np.asarray(run.step)) * spread * np.asarray(size)
    return Evidence(np.asarray(run.step, dtype=float), np.array(distance), np.zeros(len(size)), error, value_scale=1.0)


def _seen_weights() -> Any:
    return {"weights": lambda state: state.weights}


def _distance(problem: AssociativeMemory) -> float:
    gap = problem.outputs[0] - problem.outputs[1]
    return float(gap @ gap)


def _exact_weights(case: Case, index: int, printed: bool) -> Exact:
    step = int(np.unique(np.linspace(0, int(case.steps or 0), COUNT).astype(int))[index])
    return evaluate_twice(lambda: (_exact_distance(case, step, printed), mpf(0)), "gradient descent of the weights")


def _exact_distance(case: Case, step: int, printed: bool) -> Any:
    problem = case.problem
    inputs, outputs = mpmath.matrix(matrix(problem.inputs)), mpmath.matrix(matrix(problem.outputs))
    dim = problem.dim
    start = mpmath.matrix(matrix(case.initial)) if case.initial is not None else mpmath.zeros(dim)
    weights = start.copy()
    rate = mpf(float(case.rule.learning_rate))
    gap = (outputs[0, :] - outputs[1, :]).T
    for _ in range(step):
        change = mpmath.zeros(dim)
        for x in range(problem.n_tokens):
            sign = 1 if problem.targets[x] == 0 else -1
            margin = sign * (gap.T * weights * inputs[x, :].T)[0]
            pull = mpf(float(problem.frequencies[x])) * sign / (1 + mpmath.exp(margin))
            change += pull * gap * inputs[x, :]
        weights += rate * change
    length = (gap.T * gap)[0]
    formula = start.copy()
    for x in range(problem.n_tokens):
        e = inputs[x, :]
        norm = (e * e.T)[0]
        raw = (gap.T * weights * e.T)[0]
        sign = 1 if problem.targets[x] == 0 else -1
        wanted = sign * raw if printed else raw  # the printed formula multiplies m_t(x) by u_1 - u_2 for every token
        formula += (wanted - (gap.T * start * e.T)[0]) / (length * norm) * gap * e
    return mpmath.norm(weights - formula, 2)


# ---- (27): the gradient applied to one input -------------------------------------------------------------------


def _gradient_case(seed: int, n_tokens: int, n_classes: int, dim: int) -> Case:
    problem, start = _random_memory(seed, n_tokens, n_classes, dim)
    return Case(problem=problem, rule=GradientDescent(1.0), steps=1, initial=start)


def _gradient_on_token(case: Case) -> Evidence:
    """Coordinates of grad L(W) e_x: kernel against p(x) |e_x|^2 sum_z p_W(z|x) (u_z - u_f)."""
    problem = case.problem
    start = case.initial if case.initial is not None else problem.initial_weights()
    _, gradient = kernels.softmax_gradient(start, problem.inputs, problem.outputs, problem.targets, problem.frequencies)
    scores = problem.scores(start)
    soft = np.exp(scores - scores.max(axis=1, keepdims=True))
    soft /= soft.sum(axis=1, keepdims=True)
    norms = np.einsum("xd,xd->x", problem.inputs, problem.inputs)
    formula = (problem.frequencies * norms)[:, None] * (soft @ problem.outputs - problem.outputs[problem.targets])
    value = problem.inputs @ gradient.T
    error = 64 * UNIT * problem.dim * (1 + np.abs(scores).max()) * np.abs(problem.outputs).max() * norms.max()
    axis = np.arange(value.size, dtype=float)
    return Evidence(axis, value.ravel(), formula.ravel(), error, axis_name="coordinate", value_scale=1.0)


def _exact_gradient_on_token(case: Case, index: int) -> Exact:
    problem = case.problem
    token, coordinate = divmod(index, problem.dim)

    def both() -> tuple[Any, Any]:
        run = Descent(problem, 1.0, case.initial)
        soft = []
        for row in run.scores:
            weights = [mpmath.exp(s - max(row)) for s in row]
            soft.append([w / mpmath.fsum(weights) for w in weights])
        inputs, outputs = matrix(problem.inputs), matrix(problem.outputs)
        total, own = mpf(0), mpf(0)
        for x in range(problem.n_tokens):
            target = int(problem.targets[x])
            pull = mpmath.fsum(
                q * (outputs[z][coordinate] - outputs[target][coordinate]) for z, q in enumerate(soft[x])
            )
            inner = mpmath.fdot(inputs[x], inputs[token])
            total += mpf(float(problem.frequencies[x])) * pull * inner
            own = mpf(float(problem.frequencies[x])) * pull * inner if x == token else own
        return total, own

    exact = evaluate_twice(both, "the gradient from its definition")
    # inputs of a problem are orthogonal to rounding only: what the other tokens add is that rounding
    slip = mpf(problem.n_tokens * 64 * UNIT)
    return Exact(exact.quantity, exact.bound, exact.error + slip, exact.method)


# ---- (28): (1 + e^m) (m' - m) = eta c -------------------------------------------------------------------------


def _step(case: Case) -> Evidence:
    run = descend(case)
    margins, step = run.margins[:-1], np.diff(run.margins, axis=0)
    consecutive = np.diff(run.axis) == 1
    growth = 1 + np.exp(np.minimum(margins[consecutive], 600.0))
    value = growth * step[consecutive]
    bound = np.broadcast_to(rates(case), value.shape)
    # the rounding of two neighbouring margins is all that enters one step: it does not accumulate
    largest = np.maximum.accumulate(np.abs(run.margins).max(axis=1))[1:][consecutive, None]
    start = np.abs(case.problem.scores(case.initial)).max() if case.initial is not None else 0.0
    error = 16 * UNIT * growth * np.maximum(largest, start) + 16 * UNIT * bound
    thin = type(run)(run.axis[:-1][consecutive], margins, run.loss, run.error)
    return stacked(thin, value, bound, error)


def _exact_step(case: Case, index: int) -> Exact:
    axis = np.concatenate([[0.0], saved_axis(case)])
    axis = axis[:-1][np.diff(axis) == 1]
    token, place = divmod(index, len(axis))

    def both() -> tuple[Any, Any]:
        constants = exact_token(case, token)
        now = exact_margin(case, token, int(axis[place]), constants)
        after = exact_margin(case, token, int(axis[place]) + 1, constants)
        return (1 + mpmath.exp(now)) * (after - now), mpf(float(case.rule.learning_rate)) * constants.speed

    return evaluate_twice(both, "two steps of (28)")


STEP_FAMILY = binary_family({"rate": 1.0, "initial": -2.0}, ({"rate": 1.0, "steps": 40},), start=START)
CLAIMS = (
    orthogonal_claim(
        "theorem2.weights", "printed", ("Theorem 2, equation (14)", "T2.1"), "The weights from the margins",
        r"$W_t=\sum_x m_t(x)\,\frac{u_1-u_2}{\|u_1-u_2\|^2}\otimes\frac{e_x}{\|e_x\|^2}+\Pi_\perp W_0$, for any "
        r"classes $f(x)$.",
        (r"$\|W_t-\mathrm{formula}\|$", "==", "$0$"), VIOLATED,
        "tokens of the second class come in with the wrong sign",
        assumptions=(*ANY_DESCENT, NonzeroInputs()), family=WEIGHTS_FAMILY, cases=(30, 400), directed=(10, 60),
        evaluate=lambda case: _weights(case, True), exact=lambda case, i: _exact_weights(case, i, True),
    ),
    orthogonal_claim(
        "theorem2.weights", "corrected", ("Theorem 2, equation (14)", "T2.1"), "The weights from the margins",
        r"$W_t=\sum_x m_t(x)\,\frac{u_{f(x)}-u_{y}}{\|u_1-u_2\|^2}\otimes\frac{e_x}{\|e_x\|^2}+\Pi_\perp W_0$, $y$ "
        r"the other class.",
        (r"$\|W_t-\mathrm{formula}\|$", "==", "$0$"), HOLDS,
        "each token with the sign of its class; for the dynamics (6) the noise must lie in the span of the gradients",
        proof=r"$W_t-W_0$ lies in the span of $(u_1-u_2)\otimes e_x$ by (9); its coefficients follow from the margins.",
        assumptions=(*ANY_DESCENT, NonzeroInputs()), family=WEIGHTS_FAMILY, cases=(30, 400), directed=(10, 60),
        evaluate=lambda case: _weights(case, False), exact=lambda case, i: _exact_weights(case, i, False),
    ),
    orthogonal_claim(
        "appendix_b.gradient_on_token", "printed", ("Appendix B, equation (27)", ""), "The gradient on one token",
        r"With orthogonal inputs $\nabla L(W)e_x=p(x)\|e_x\|^2\sum_z p_W(z|x)(u_z-u_{f(x)})$.",
        (r"$(\nabla L(W)e_x)_i$", "==", r"$p(x)\|e_x\|^2\sum_z p_W(z|x)(u_z-u_{f(x)})_i$"), HOLDS, "true: the other "
        "tokens drop out",
        assumptions=(OrthogonalInputs(),), cases=(60, 600), directed=(20, 100),
        family=Family(
            (Parameter("seed", 0, 10**6, "integer"), Parameter("n_tokens", 1, 5, "integer"),
             Parameter("n_classes", 2, 6, "integer"), Parameter("dim", 2, 6, "integer")),
            build=_gradient_case, show={"seed": 1, "n_tokens": 3, "n_classes": 3, "dim": 4},
        ),
        evaluate=_gradient_on_token, exact=_exact_gradient_on_token,
    ),
    orthogonal_claim(
        "appendix_b.descent_step", "printed", ("Appendix B.1, equation (28)", ""), "One step of a margin",
        r"$(e^{m_t}+1)(m_{t+1}-m_t)=\eta c_x$, for every token, rate and start.",
        (r"$(e^{m_t}+1)(m_{t+1}-m_t)$", "==", r"$\eta c_x$"), HOLDS, "true",
        assumptions=ANY_DESCENT, family=STEP_FAMILY, evaluate=_step, exact=_exact_step,
    ),
)  # fmt: skip
