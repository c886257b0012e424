"""What holds for the Hessian at every W: sign, rank, norm, and where it is largest."""

from __future__ import annotations

from typing import Any

import mpmath
import numpy as np
from mpmath import mpf

from .... import analytics, kernels
from ...assumption import Condition
from ...assumptions import TwoClasses
from ...case import Array, Case, Evidence, Exact, Family, Parameter
from ...claim import Claim
from ...precision import evaluate_twice
from ...verdict import Outcome
from .situations_multiclass import EPS, SEED, measured, random_start, source_of, start_of
from .weight_space import _SMALL, _arrays, _build, _exact_softmax


def _spectrum(case: Case) -> Array:
    weights, *rest = _arrays(case)
    return np.asarray(np.linalg.eigvalsh(kernels.hessian(weights, *rest)))


def _positive(case: Case) -> Evidence:
    values = _spectrum(case)
    budget = 1e-13 * max(float(values[-1]), 1e-300) * len(values)
    return measured([1.0], [values[0]], [0.0], budget, axis_name="least eigenvalue")


def _least_kept(rows: Array) -> float:
    """Return the least singular value that counts for the rank, 0 for a zero matrix."""
    values = np.linalg.svd(rows, compute_uv=False)
    kept = int(np.linalg.matrix_rank(rows))
    return float(values[kept - 1]) if kept else 0.0


def _noise(values: Array) -> float:
    """Return a bound on the rounding of the eigenvalues of the Hessian."""
    return float(32 * EPS * len(values) * max(float(np.abs(values).max()), 1e-300))


def _rank_gap(case: Case) -> float:
    """Return log10 of a proved lower bound on the nonzero eigenvalues of the Hessian over their rounding, minus 2.

    Cov(u) >= min_y p_W(y) times the scatter of u around its mean, and sum p e e^T and the scatter have least nonzero
    eigenvalues that are squares of singular values.
    """
    weights, inputs, outputs, _, frequencies = _arrays(case)
    scores = inputs @ weights.T @ outputs.T
    mass = np.exp(scores - np.logaddexp.reduce(scores, axis=1, keepdims=True))
    least = float(mass.min()) * _least_kept(np.sqrt(frequencies)[:, None] * inputs) ** 2
    least *= _least_kept(outputs - outputs.mean(axis=0)) ** 2
    noise = _noise(_spectrum(case))
    return float(np.log10(least / noise)) - 2 if least > 0 else -np.inf


def _rank(case: Case) -> Evidence:
    """Number of eigenvalues beyond rounding; the assumption keeps all others a hundred times above it."""
    values = _spectrum(case)
    rank = int(np.sum(values > _noise(values)))
    return measured([1.0], [float(rank)], [float(analytics.hessian_rank(case.problem))], 0.0, axis_name="rank")


_DECIDABLE = Condition(
    "no nonzero eigenvalue is as small as rounding (so the rank can be counted)",
    _rank_gap,
    Family((*_SMALL.parameters[:-1], Parameter("scale", 1e-3, 100.0, "log")), _build),
)


def _norm(case: Case) -> Evidence:
    weights, *rest = _arrays(case)
    bound = analytics.hessian_norm_bound(case.problem)
    scales = np.array([0.0, 0.1, 1.0])
    sharpness = [kernels.sharpness(s * weights, *rest) for s in scales]
    return measured(scales, sharpness, np.full(3, bound), 1e-12 * bound, axis_name="scale of W")


def _norm_by_loss(case: Case) -> Evidence:
    weights, *rest = _arrays(case)
    m = case.problem
    factor = float(np.linalg.norm(m.inputs, axis=1).max()) ** 2 * analytics.squared_diameter(m.outputs)
    scales = np.array([0.0, 0.3, 1.0, 3.0])
    pairs = [(kernels.sharpness(s * weights, *rest), kernels.softmax_gradient(s * weights, *rest)[0]) for s in scales]
    bound = factor * np.array([loss for _, loss in pairs])
    return measured(scales, np.array([h for h, _ in pairs]), bound, 1e-12 * bound, axis_name="scale of W")


def _near_zero(case: Case) -> Evidence:
    weights, *rest = _arrays(case)
    at_zero = kernels.sharpness(np.zeros_like(weights), *rest)
    scales = np.array([0.03, 0.1, 0.3, 1.0, 3.0])
    values = np.array([kernels.sharpness(s * weights, *rest) for s in scales])
    return measured(scales, values, np.full(5, at_zero), 1e-12 * at_zero, axis_name="scale of W", axis_scale="log")


def _near_zero_build(seed: int, n_classes: int, scale: float) -> Case:
    """One unit token, orthonormal outputs, and a W that favours two of the classes equally."""
    from ....dynamics import AssociativeMemory

    memory = AssociativeMemory(np.eye(n_classes)[:1], np.eye(n_classes), np.zeros(1, dtype=np.int64), np.ones(1))
    weights = np.zeros((n_classes, n_classes))
    weights[:2, 0] = scale
    return Case(problem=memory, initial=weights + 0.01 * random_start(seed, n_classes, 1.0))


def _exact_hessian_matrix(case: Case, scale: Any) -> Any:
    """Return the Hessian at scale W in the current precision: sum_x p Cov(u) kron e e^T."""
    m = case.problem
    outputs = [[mpf(float(a)) for a in u] for u in m.outputs]
    inputs = [[mpf(float(a)) for a in e] for e in m.inputs]
    weights = [[mpf(float(a)) * scale for a in row] for row in start_of(case)]
    dim = len(weights)
    hessian = mpmath.zeros(dim * dim)
    for e, p in zip(inputs, m.frequencies, strict=True):
        image = [mpmath.fdot(row, e) for row in weights]
        q = _exact_softmax([mpmath.fdot(u, image) for u in outputs])
        mean = [mpmath.fdot(q, [u[a] for u in outputs]) for a in range(dim)]
        for a in range(dim):
            for b in range(dim):
                c = mpf(float(p)) * mpmath.fsum(
                    w * (u[a] - mean[a]) * (u[b] - mean[b]) for w, u in zip(q, outputs, strict=True)
                )
                for i in range(dim):
                    for j in range(dim):
                        hessian[a * dim + i, b * dim + j] += c * e[i] * e[j]
    return hessian


def _exact_largest(matrix: Any) -> Any:
    return max(mpmath.eigsy(matrix, eigvals_only=True))


def _exact_second_moment(case: Case) -> Any:
    m = case.problem
    dim = m.inputs.shape[1]
    total = mpmath.zeros(dim)
    for e, p in zip(m.inputs, m.frequencies, strict=True):
        for i in range(dim):
            for j in range(dim):
                total[i, j] += mpf(float(p)) * mpf(float(e[i])) * mpf(float(e[j]))
    return _exact_largest(total)


def _exact_squared_diameter(case: Case) -> Any:
    rows = [[mpf(float(a)) for a in u] for u in case.problem.outputs]
    return max(mpmath.fsum((a - b) ** 2 for a, b in zip(u, v, strict=True)) for u in rows for v in rows)


def _exact_positive(case: Case, index: int) -> Exact:
    return evaluate_twice(
        lambda: (min(mpmath.eigsy(_exact_hessian_matrix(case, mpf(1)), eigvals_only=True)), mpf(0)),
        "eigenvalues of the Hessian",
    )


def _exact_norm(case: Case, index: int) -> Exact:
    scale = (0.0, 0.1, 1.0)[index]

    def values() -> tuple[Any, Any]:
        bound = _exact_squared_diameter(case) / 4 * _exact_second_moment(case)
        return _exact_largest(_exact_hessian_matrix(case, mpf(scale))), bound

    return evaluate_twice(values, "eigenvalues of the Hessian")


def _exact_norm_by_loss(case: Case, index: int) -> Exact:
    scale = (0.0, 0.3, 1.0, 3.0)[index]

    def values() -> tuple[Any, Any]:
        m = case.problem
        loss = mpf(0)
        weights = [[mpf(float(a)) * mpf(scale) for a in row] for row in start_of(case)]
        for e, f, p in zip(m.inputs, m.targets, m.frequencies, strict=True):
            image = [mpmath.fdot(row, [mpf(float(a)) for a in e]) for row in weights]
            s = [mpmath.fdot([mpf(float(a)) for a in u], image) for u in m.outputs]
            others = mpmath.fsum(mpmath.exp(w - s[int(f)]) for y, w in enumerate(s) if y != int(f))
            loss += mpf(float(p)) * mpmath.log1p(others)
        reach = max(mpmath.fsum(mpf(float(a)) ** 2 for a in e) for e in m.inputs)
        largest = _exact_largest(_exact_hessian_matrix(case, mpf(scale)))
        return largest, reach * _exact_squared_diameter(case) * loss

    return evaluate_twice(values, "eigenvalues of the Hessian")


def _exact_two_classes(case: Case, index: int) -> Exact:
    scale = (0.03, 0.1, 0.3, 1.0, 3.0)[index]
    return evaluate_twice(
        lambda: (
            _exact_largest(_exact_hessian_matrix(case, mpf(scale))),
            _exact_largest(_exact_hessian_matrix(case, mpf(0))),
        ),
        "eigenvalues of the Hessian",
    )


def _exact_near_zero(case: Case, index: int) -> Exact:
    """Return sharpness at the point and at zero for one token: |e|^2 times the largest eigenvalue of a covariance."""
    scale = (0.03, 0.1, 0.3, 1.0, 3.0)[index]

    def values() -> tuple[Any, Any]:
        found = []
        for factor in (scale, 0.0):
            row = [mpf(float(w)) * mpf(factor) for w in start_of(case) @ case.problem.inputs[0]]
            q = _exact_softmax([mpmath.fdot([mpf(float(a)) for a in u], row) for u in case.problem.outputs])
            n = len(q)
            matrix = mpmath.matrix(n, n)
            for i in range(n):
                for j in range(n):
                    matrix[i, j] = q[i] * ((i == j) - q[j])
            found.append(max(mpmath.eigsy(matrix, eigvals_only=True)))
        return found[0], found[1]

    return evaluate_twice(values, "largest eigenvalue of the covariance")


CLAIMS = (
    Claim(
        id="cabannes2024.new.hessian_positive",
        form="corrected",
        title="The Hessian is positive semi-definite",
        statement=r"$\nabla^2 L = \sum_x p(x)\,(e_x e_x^\top)\otimes\mathrm{Cov}_{p_W(\cdot|x)}(u) \succeq 0$",
        source=source_of("new", "section 7"),
        quantity=r"$\lambda_{\min}(\nabla^2 L)$",
        relation=">=",
        bound=r"$0$",
        expected=Outcome.HOLDS,
        reason="New. The least eigenvalue is zero to rounding, never below.",
        proof="A sum of Kronecker products of positive semi-definite matrices.",
        family=_SMALL,
        evaluate=_positive,
        exact=_exact_positive,
    ),
    Claim(
        id="cabannes2024.new.hessian_rank",
        form="corrected",
        title="The rank of the Hessian is the same at every W",
        statement=r"$\mathrm{rank}\,\nabla^2 L(W) = \mathrm{rank}(e_x)\cdot\mathrm{rank}(u_i-u_j)$ for every $W$",
        source=source_of("new", "section 7"),
        quantity=r"$\mathrm{rank}\,\nabla^2 L(W)$",
        relation="==",
        bound=r"$\mathrm{rank}(e_x)\cdot\mathrm{rank}(u_i-u_j)$",
        expected=Outcome.HOLDS,
        reason="New. Counted at W where no probability is lost to rounding.",
        proof="The softmax has full support, so each covariance has the range span{u_i-u_j}; ranges of sums of "
        "positive semi-definite matrices add.",
        family=_SMALL,
        assumptions=(_DECIDABLE,),
        evaluate=_rank,
    ),
    Claim(
        id="cabannes2024.new.hessian_norm",
        form="corrected",
        title="A bound on the sharpness that holds at every W",
        statement=r"$\|\nabla^2 L(W)\| \leq \frac{D^2}{4}\,\lambda_{\max}(\sum_x p(x)e_xe_x^\top)$, "
        r"$D=\max\|u_i-u_j\|$",
        source=source_of("new", "section 7"),
        quantity=r"$\|\nabla^2 L(W)\|$",
        relation="<=",
        bound=r"$\frac{D^2}{4}\lambda_{\max}(\sum_x p(x)e_xe_x^\top)$",
        expected=Outcome.HOLDS,
        reason="New. Equality at W = 0 for two classes.",
        proof="Popoviciu: a variable in an interval of length D has variance at most D^2/4.",
        family=_SMALL,
        evaluate=_norm,
        exact=_exact_norm,
    ),
    Claim(
        id="cabannes2024.section51.sharpness_near_zero",
        form="printed",
        title="The loss is sharpest for small weights",
        statement=r"the sharpness of the logistic loss is mainly high for small values of the norm of $W$",
        source=source_of("Section 5.1", "S5.4"),
        quantity=r"$\|\nabla^2 L(W)\|$",
        relation="<=",
        bound=r"$\|\nabla^2 L(0)\|$",
        expected=Outcome.VIOLATED,
        reason="False for more than two classes: with M = 10 the covariance has norm 0.1 at W = 0 and 0.5 where two "
        "classes share the probability.",
        family=Family(
            (SEED, Parameter("n_classes", 2, 10, "integer"), Parameter("scale", 0.5, 30.0, "log")),
            _near_zero_build,
            show={"seed": 0, "n_classes": 10, "scale": 5.0},
            corners=({"n_classes": 10, "scale": 10.0},),
        ),
        evaluate=_near_zero,
        exact=lambda case, index: _exact_near_zero(case, index),
    ),
    Claim(
        id="cabannes2024.section51.sharpness_near_zero",
        form="corrected",
        title="The loss is sharpest at zero for two classes",
        statement=r"for two classes, $\nabla^2 L(W) \preceq \nabla^2 L(0)$ for every $W$",
        source=source_of("Section 5.1", "S5.4"),
        quantity=r"$\|\nabla^2 L(W)\|$",
        relation="<=",
        bound=r"$\|\nabla^2 L(0)\|$",
        assumptions=(TwoClasses(),),
        expected=Outcome.HOLDS,
        reason="True for M = 2.",
        proof="q(1-q) <= 1/4 for every token, and both sides are sums of the same positive semi-definite matrices.",
        family=Family(
            tuple(p for p in _SMALL.parameters if p.name != "n_classes"),
            lambda seed, n_tokens, dim, scale: _build(seed, n_tokens, 2, dim, scale),
            show={"seed": 1, "n_tokens": 4, "dim": 3, "scale": 0.5},
            corners=({"n_tokens": 1, "scale": 1e-3},),
        ),
        evaluate=_near_zero,
        exact=_exact_two_classes,
    ),
    Claim(
        id="cabannes2024.section51.separable_sharpness",
        form="printed",
        title="In the separable case the sharpness vanishes at infinity",
        statement=r"in the separable case the sharpness decreases until reaching zero at infinity",
        source=source_of("Section 5.1"),
        quantity=r"$\|\nabla^2 L(W_t)\|$",
        relation="<=",
        bound=r"$o(1)$",
        expected=Outcome.NOT_TESTABLE,
        reason="A limit without a rate cannot be tested; the corrected form gives the rate.",
    ),
    Claim(
        id="cabannes2024.section51.separable_sharpness",
        form="corrected",
        title="The sharpness is at most a multiple of the loss",
        statement=r"$\|\nabla^2 L(W)\| \leq R^2 D^2\,L(W)$, $R=\max\|e_x\|$, $D=\max\|u_i-u_j\|$, for every $W$",
        source=source_of("Section 5.1"),
        quantity=r"$\|\nabla^2 L(W)\|$",
        relation="<=",
        bound=r"$R^2D^2 L(W)$",
        expected=Outcome.HOLDS,
        reason="New. So the sharpness vanishes at the rate of the loss, 1/t, in the separable case.",
        proof="The variance of u under p_W is at most E|u-u_f|^2 <= D^2 (1-p_W(f)), and 1-q <= -log q.",
        family=_SMALL,
        evaluate=_norm_by_loss,
        exact=_exact_norm_by_loss,
    ),
)
