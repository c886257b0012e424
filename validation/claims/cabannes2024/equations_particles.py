"""Equations (8), (9), (12) and Theorem 1: gradients and particles; any embeddings."""

from __future__ import annotations

from typing import Any

import mpmath
import numpy as np
from mpmath import mpf

from .... import kernels
from ....dynamics import AssociativeMemory, GradientDescent, at, simulate
from ...assumptions import ConstantRateDescent
from ...case import Case, Evidence, Exact, Family, Parameter
from ...precision import Descent, evaluate_twice, matrix
from .orthogonal_cases import HOLDS, VIOLATED, orthogonal_claim
from .rounding import grown, shadow
from .two_token_cases import UNIT, Array

SEED = Parameter("seed", 0, 10**6, "integer")
TOKENS = Parameter("n_tokens", 1, 5, "integer")
CLASSES = Parameter("n_classes", 2, 5, "integer")
DIM = Parameter("dim", 1, 5, "integer")
SHOW = {"seed": 1, "n_tokens": 4, "n_classes": 3, "dim": 3}


def random_case(seed: int, n_tokens: int, n_classes: int, dim: int, rate: float = 0.7, steps: int = 50) -> Case:
    """Return descent of a memory with Gaussian embeddings, far from orthogonal, from random weights."""
    rng = np.random.default_rng(seed)
    frequencies = rng.dirichlet(np.ones(n_tokens)) * 0.9 + 0.1 / n_tokens
    problem = AssociativeMemory(
        rng.normal(size=(n_tokens, dim)), rng.normal(size=(n_classes, dim)),
        rng.integers(n_classes, size=n_tokens), frequencies / frequencies.sum(),
    )  # fmt: skip
    return Case(
        problem=problem, rule=GradientDescent(rate), steps=int(steps), initial=rng.normal(size=(dim, dim))
    )


FAMILY = Family((SEED, TOKENS, CLASSES, DIM), build=random_case, show=SHOW)


def _stable_case(share: float, steps: int = 50, **values: int) -> Case:
    """Return descent at `share` of the rate 4/(tr G_E tr G_U), which is below 2/sharpness: rounding does not grow."""
    case = random_case(**values)
    rate = 4.0 * share / float(np.trace(case.problem.input_gram) * np.trace(case.problem.output_gram))
    return Case(problem=case.problem, rule=GradientDescent(rate), steps=int(steps), initial=case.initial)


RUN_FAMILY = Family(
    (SEED, TOKENS, CLASSES, DIM, Parameter("share", 1e-3, 1.0, "log")), build=_stable_case, show=SHOW | {"share": 0.9},
    corners=(SHOW | {"share": 1.0, "steps": 200},),
)  # fmt: skip


def start_of(case: Case) -> Array:
    return case.problem.initial_weights() if case.initial is None else np.asarray(case.initial)


def _softmax(scores: Array) -> Array:
    """Return the softmax along the last axis."""
    exponentials = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return np.asarray(exponentials / exponentials.sum(axis=-1, keepdims=True))


def size_of(case: Case) -> float:
    problem = case.problem
    norms = [float(np.linalg.norm(rows, axis=1).max()) for rows in (problem.inputs, problem.outputs)]
    largest = float(np.abs(problem.scores(start_of(case))).max())
    return float((1 + norms[0] * norms[1]) * (1 + largest) * problem.dim)


def exact_soft(run: Descent) -> list[list[Any]]:
    soft = []
    for row in run.scores:
        weights = [mpmath.exp(s - max(row)) for s in row]
        soft.append([w / mpmath.fsum(weights) for w in weights])
    return soft


# ---- (8): which probabilities ---------------------------------------------------------------------------------


def _probabilities(case: Case, transposed: bool) -> Evidence:
    """Softmax of <e_x, W u_y> (transposed) or of u_y^T W e_x against the gradient's own probabilities."""
    problem, start = case.problem, start_of(case)
    scores = problem.inputs @ (start if transposed else start.T) @ problem.outputs.T
    value = _softmax(scores)
    run = simulate(problem, GradientDescent(1.0), steps=0, initial=start, observe=("scores",))
    bound = _softmax(np.asarray(run["scores"][0], dtype=float))
    axis = np.arange(value.size, dtype=float)
    return Evidence(axis, value.ravel(), bound.ravel(), 64 * UNIT * size_of(case), axis_name="pair (x, y)")


def _exact_probabilities(case: Case, index: int, transposed: bool) -> Exact:
    problem, start = case.problem, start_of(case)
    token, label = divmod(index, problem.n_classes)

    def both() -> tuple[Any, Any]:
        e = [mpf(float(v)) for v in problem.inputs[token]]
        outputs = matrix(problem.outputs)
        weights = matrix(start.T if transposed else start)
        image = [mpmath.fdot(row, e) for row in weights]
        raised = [mpmath.exp(mpmath.fdot(u, image)) for u in outputs]
        return raised[label] / mpmath.fsum(raised), exact_soft(Descent(problem, 1.0, case.initial))[token][label]

    return evaluate_twice(both, "softmax of the scores")


# ---- (9): the gradient and the span in which W moves ----------------------------------------------------------


def _gradient(case: Case) -> Evidence:
    """Coordinates of sum_x p(x) sum_z p_W(z|x)(u_z - u_f) e_x^T against complex-step derivatives of the loss."""
    problem, start = case.problem, start_of(case)
    soft = _softmax(problem.scores(start))
    pulled = soft @ problem.outputs - problem.outputs[problem.targets]
    value = pulled.T @ (problem.frequencies[:, None] * problem.inputs)
    tiny = 1e-30
    bound = np.empty_like(value)
    for i, j in np.ndindex(*value.shape):
        moved = start.astype(complex)
        moved[i, j] += 1j * tiny
        scores = problem.inputs @ moved.T @ problem.outputs.T
        top = scores.real.max(axis=1)
        own = scores[np.arange(problem.n_tokens), problem.targets]
        loss = problem.frequencies @ (top + np.log(np.exp(scores - top[:, None]).sum(axis=1)) - own)
        bound[i, j] = loss.imag / tiny
    axis = np.arange(value.size, dtype=float)
    error = 64 * UNIT * size_of(case)
    return Evidence(axis, value.ravel(), bound.ravel(), error, axis_name="coordinate of W", value_scale=1.0)


def _span(case: Case) -> Evidence:
    """The part of W_t - W_0 outside the span of (u_j - u_k) e_i^T."""
    problem, start = case.problem, start_of(case)
    picked = np.unique(np.linspace(0, int(case.steps or 0), 8).astype(int))
    run = simulate(
        problem, case.rule, steps=int(case.steps or 0), initial=start, save=at(picked),
        observe={"weights": lambda state: state.weights}, form="weights",
    )  # fmt: skip
    left = _projection(problem.outputs[1:] - problem.outputs[0])
    right = _projection(problem.inputs)
    value, size = [], []
    for weights in run["weights"]:
        moved = np.asarray(weights) - start
        value.append(float(np.linalg.norm(moved - left @ moved @ right)))
        size.append(float(np.linalg.norm(weights)) + float(np.linalg.norm(start)))
    steps = np.asarray(run.step, dtype=float)
    error = 64 * UNIT * (1 + steps) * np.maximum.accumulate(size)
    return Evidence(steps, np.array(value), np.zeros(len(value)), error, value_scale=1.0)


def _projection(rows: Array) -> Array:
    """Return the orthogonal projection on the span of the rows."""
    _, singular, basis = np.linalg.svd(rows, full_matrices=False)
    basis = basis[singular > 1e-12 * max(singular.max(initial=0.0), 1e-300)]
    return np.asarray(basis.T @ basis)


# ---- Theorem 1 ------------------------------------------------------------------------------------------------


def token_gradients(case: Case) -> Array:
    """Return grad l(W; x, f(x)) of every token, (N, d, d)."""
    problem = case.problem
    gradients = []
    for x in range(problem.n_tokens):
        _, gradient = kernels.softmax_gradient(
            start_of(case), problem.inputs[x : x + 1], problem.outputs, problem.targets[x : x + 1], np.ones(1)
        )
        gradients.append(gradient)
    return np.array(gradients)


def _projected_gradient(case: Case) -> Evidence:
    """<grad l(W; x, y), u_j (x) e_i> for all i, j, x = the first token, against the formula with alpha and beta."""
    problem, start = case.problem, start_of(case)
    gradient = token_gradients(case)[0]
    value = problem.inputs @ gradient.T @ problem.outputs.T
    soft = _softmax(problem.scores(start))[0]
    label = int(problem.targets[0])
    gram = problem.output_gram
    # beta_{j z y} = <u_j, u_z - u_y>
    beta = gram - gram[:, [label]]
    bound = np.outer(problem.input_gram[:, 0], beta @ soft)
    axis = np.arange(value.size, dtype=float)
    error = 256 * UNIT * size_of(case) ** 2
    return Evidence(axis, value.ravel(), bound.ravel(), error, axis_name="pair (i, j)", value_scale=1.0)


def particle_step(problem: AssociativeMemory, scores: Array, rate: float) -> Array:
    """Return one step of (12), written out as printed, with beta_{j f z} = <u_j, u_f - u_z>."""
    soft = _softmax(scores)
    gram = problem.output_gram
    after = scores.copy()
    for i, j in np.ndindex(*scores.shape):
        for x, f in enumerate(problem.targets):
            inner = sum((gram[j, f] - gram[j, z]) * soft[x, z] for z in range(problem.n_classes))
            after[i, j] += rate * problem.frequencies[x] * problem.input_gram[i, x] * inner
    return after


def _particles(case: Case) -> Evidence:
    """The scores of gradient descent on W against particles moved by (12): the largest score and where it differs."""
    problem, start = case.problem, start_of(case)
    steps = int(case.steps or 0)
    run = _descended(case, ("scores",))
    scores = np.asarray(run["scores"], dtype=float)
    particles = [problem.scores(start)]
    for t in range(steps):
        particles.append(particle_step(problem, particles[-1], case.rule.rate(t)))
    moved = np.array(particles).reshape(len(scores), -1)
    seen = scores.reshape(len(scores), -1)
    worst = np.argmax(np.abs(seen - moved), axis=1)
    rows = np.arange(len(seen))
    largest = np.maximum.accumulate(np.abs(seen).max(axis=1))
    # descent and particles round differently at every step; how far that grows, a shadow of the descent shows
    other = _descended(shadow(case), ("scores",))
    error = 64 * UNIT * (1 + rows) * (1 + largest) * problem.dim + grown(scores, np.asarray(other["scores"]))
    return Evidence(rows.astype(float), seen[rows, worst], moved[rows, worst], error)


def _descended(case: Case, observe: Any) -> Any:
    return simulate(
        case.problem, case.rule, steps=int(case.steps or 0), initial=start_of(case), observe=observe, form="weights"
    )


def _exact_particles(case: Case, index: int) -> Exact:
    """Return the score that differs most, by descent on the matrix W and by the particles (12), in 50 digits."""

    def both() -> tuple[Any, Any]:
        weights, particles = _exact_weights(case, index), Descent(case.problem, case.rule.learning_rate, case.initial)
        problem = case.problem
        inputs, outputs = matrix(problem.inputs), matrix(problem.outputs)
        moved = particles.run(index).scores
        pairs = []
        for i, e in enumerate(inputs):
            image = [mpmath.fdot(row, e) for row in weights]
            pairs += [(mpmath.fdot(u, image), moved[i][j]) for j, u in enumerate(outputs)]
        return max(pairs, key=lambda pair: abs(pair[0] - pair[1]))

    return evaluate_twice(both, "descent on the matrix W and on its particles")


def _exact_weights(case: Case, step: int) -> list[list[Any]]:
    """Return W after a number of steps of descent by equation (9), in the current precision."""
    problem = case.problem
    inputs, outputs, weights = matrix(problem.inputs), matrix(problem.outputs), matrix(start_of(case))
    rate = mpf(float(case.rule.learning_rate))
    for _ in range(step):
        pulls = []
        for e, target, p in zip(inputs, problem.targets, problem.frequencies, strict=True):
            image = [mpmath.fdot(row, e) for row in weights]
            raised = [mpmath.exp(mpmath.fdot(u, image)) for u in outputs]
            total = mpmath.fsum(raised)
            shares = [r / total - (1 if z == int(target) else 0) for z, r in enumerate(raised)]
            pulls.append([rate * mpf(float(p)) * mpmath.fdot(shares, column) for column in zip(*outputs, strict=True)])
        for i, row in enumerate(weights):
            for j in range(len(row)):
                row[j] -= mpmath.fsum(pull[i] * e[j] for pull, e in zip(pulls, inputs, strict=True))
    return weights


CLAIMS = (
    orthogonal_claim(
        "equation8.probabilities", "printed", ("Section 3, before equation (8)", "T1"), "The scores behind the "
        "probabilities",
        r"The model's probabilities are the softmax of $\langle e_x,Wu_y\rangle$.",
        (r"$\mathrm{softmax}_y\langle e_x,Wu_y\rangle$", "==", "$p_W(y|x)$"), VIOLATED,
        "W is transposed with respect to (1) and (10); they agree for symmetric W only",
        family=FAMILY, evaluate=lambda case: _probabilities(case, True), cases=(30, 300), directed=(10, 60),
        exact=lambda case, i: _exact_probabilities(case, i, True),
    ),
    orthogonal_claim(
        "equation8.probabilities", "corrected", ("Section 3, before equation (8)", "T1"), "The scores behind the "
        "probabilities",
        r"The model's probabilities are the softmax of $\langle u_y,We_x\rangle=\langle W,u_y\otimes e_x\rangle$.",
        (r"$\mathrm{softmax}_y\langle u_y,We_x\rangle$", "==", "$p_W(y|x)$"), HOLDS, "the order of (1) and (10)",
        proof="By the definition (3) of the loss.",
        family=FAMILY, evaluate=lambda case: _probabilities(case, False), cases=(30, 300), directed=(10, 60),
        exact=lambda case, i: _exact_probabilities(case, i, False),
    ),
    orthogonal_claim(
        "equation9.gradient", "printed", ("Section 3, equation (9)", ""), "The gradient",
        r"$\nabla\ell(W;x,y)=\sum_z p_W(z|x)(u_z-u_y)\otimes e_x$ (summed over tokens with $p(x)$).",
        (r"$\nabla\mathcal{L}(W)_{ij}$ by (9)", "==", "complex-step derivative"), HOLDS, "true",
        family=FAMILY, evaluate=_gradient, cases=(40, 400), directed=(10, 60),
    ),
    orthogonal_claim(
        "equation9.span", "printed", ("Section 3, after equation (9)", ""), "Where the weights move",
        r"$W_t-W_0$ stays in the span of $(u_j-u_k)\otimes e_i$.",
        (r"$\|W_t-W_0-\mathrm{projection}\|$", "==", "$0$"), HOLDS, "true: every gradient lies in that span",
        assumptions=(ConstantRateDescent(),), family=RUN_FAMILY, evaluate=_span, cases=(40, 400), directed=(10, 60),
    ),
    orthogonal_claim(
        "theorem1.projected_gradient", "printed", ("Theorem 1", "T1"), "The gradient on a particle",
        r"$\langle\nabla\ell(W;x,y),u_j\otimes e_i\rangle=\alpha_{ix}\,\sum_z\beta_{jzy}\,p_W(z|x)$, "
        r"$\beta_{jzy}=\langle u_j,u_z-u_y\rangle$.",
        (r"$\langle\nabla\ell,u_j\otimes e_i\rangle$", "==", r"$\alpha_{ix}\,\sum_z\beta_{jzy}\,p_W(z|x)$"), HOLDS,
        "true",
        family=FAMILY, evaluate=_projected_gradient, cases=(40, 400), directed=(10, 60),
    ),
    orthogonal_claim(
        "theorem1.particle_system", "printed", ("Theorem 1, equation (12)", "T1"), "Descent as a particle system",
        r"$\Delta_tw_{ij}=\eta_t\,\sum_xp(x)\alpha_{ix}\,\sum_z\beta_{jf(x)z}\,p(z|x)$ moves the scores of gradient "
        r"descent on $W$, "
        "for any embeddings.",
        ("$u_j^TW_te_i$", "==", "particle $w_{ij}$"), HOLDS,
        "true, sign included; the step (12) is written out term by term and compared with descent on the matrix",
        assumptions=(ConstantRateDescent(),), family=RUN_FAMILY, evaluate=_particles, exact=_exact_particles,
        cases=(10, 100), directed=(4, 20),
    ),
)  # fmt: skip
