"""Appendix A: gradient and Hessian of the loss, and what holds for the Hessian at every W."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import mpmath
import numpy as np
from mpmath import mpf

from .... import analytics, kernels
from ...assumptions import TwoClasses
from ...case import Array, Case, Evidence, Exact, Family, Parameter
from ...claim import Claim, Source
from ...precision import evaluate_twice
from ...verdict import Outcome
from .situations_multiclass import PAPER, SEED, random_memory, random_start, start_of

_EPS = float(np.finfo(float).eps)


def _build(seed: int, n_tokens: int, n_classes: int, dim: int, scale: float) -> Case:
    return Case(problem=random_memory(seed, n_tokens, n_classes, dim), initial=random_start(seed, dim, scale))


_BOX = (
    SEED,
    Parameter("n_tokens", 1, 6, "integer"),
    Parameter("n_classes", 2, 6, "integer"),
    Parameter("dim", 2, 5, "integer"),
    Parameter("scale", 1e-3, 10.0, "log"),
)
_CORNERS = ({"n_tokens": 1, "n_classes": 2, "dim": 2, "scale": 1e-3}, {"n_tokens": 6, "n_classes": 6, "scale": 10.0})
_SHOW = {"seed": 1, "n_tokens": 4, "n_classes": 3, "dim": 3, "scale": 0.5}
_FAMILY = Family(_BOX, _build, show=_SHOW, corners=_CORNERS)


def _arrays(case: Case) -> tuple[Array, Array, Array, Array, Array]:
    m = case.problem
    return start_of(case), m.inputs, m.outputs, m.targets, m.frequencies


def _direction(case: Case) -> Array:
    """Return a fixed unit direction in weight space, the same for every evaluation of the case."""
    shape = start_of(case).shape
    v = np.random.default_rng(11).normal(size=shape)
    return np.asarray(v / np.linalg.norm(v))


def _sizes(case: Case) -> tuple[float, float]:
    """Return the largest norm of a pair (u, e) and the sum of terms, which set the rounding errors."""
    m = case.problem
    return float(np.linalg.norm(m.inputs, axis=1).max() * np.linalg.norm(m.outputs, axis=1).max()), float(m.outputs.size)


def _softmax(case: Case, weights: Array) -> Array:
    m = case.problem
    s = m.inputs @ weights.T @ m.outputs.T
    s = np.exp(s - s.max(axis=1, keepdims=True))
    return np.asarray(s / s.sum(axis=1, keepdims=True))


def _slope(function: Callable[[Any], Any], size: float) -> tuple[Any, float]:
    """Return the derivative at 0 of a smooth function of h, by central differences extrapolated twice, and its error.

    `size` is the scale on which the function changes; the error is the difference of the last two extrapolations plus
    the rounding of the differences.
    """
    h = 0.02 / size
    rows = [np.asarray((function(h / 2**k) - function(-h / 2**k)) / (2 * h / 2**k)) for k in range(3)]
    second = [(4 * b - a) / 3 for a, b in zip(rows, rows[1:], strict=False)]
    third = (16 * second[1] - second[0]) / 15
    values = max(1.0, float(np.max(np.abs(np.asarray(function(0.0))))))
    rounding = 200 * _EPS * values * size / 0.02 * 4
    return third, float(np.max(np.abs(third - second[1]))) / 10 + rounding


def _exact_scores(case: Case, h: Any) -> list[list[Any]]:
    m, w, v = case.problem, start_of(case), _direction(case)
    weights = [[mpf(float(a)) + h * mpf(float(b)) for a, b in zip(x, y, strict=True)] for x, y in zip(w, v, strict=True)]
    inputs = [[mpf(float(a)) for a in e] for e in m.inputs]
    outputs = [[mpf(float(a)) for a in u] for u in m.outputs]
    images = [[mpmath.fdot(row, e) for row in weights] for e in inputs]
    return [[mpmath.fdot(u, image) for u in outputs] for image in images]


def _exact_softmax(row: list[Any]) -> list[Any]:
    top = max(row)
    grown = [mpmath.exp(w - top) for w in row]
    total = mpmath.fsum(grown)
    return [g / total for g in grown]


def _exact_loss(case: Case, h: Any) -> Any:
    total = mpf(0)
    for row, f, p in zip(_exact_scores(case, h), case.problem.targets, case.problem.frequencies, strict=True):
        total += mpf(float(p)) * mpmath.log(mpmath.fsum(mpmath.exp(w - row[int(f)]) for w in row))
    return total


def _exact_pairs(case: Case) -> list[list[Any]]:
    """Return <V, u_z e_x^T> for every token and class, V the direction."""
    zero = _exact_scores(case, mpf(0))
    one = _exact_scores(case, mpf(1))
    return [[b - a for a, b in zip(x, y, strict=True)] for x, y in zip(zero, one, strict=True)]


# (23): the gradient


def _gradient(case: Case) -> Evidence:
    weights, *rest = _arrays(case)
    v, (size, terms) = _direction(case), _sizes(case)
    measured, error = _slope(lambda h: kernels.softmax_gradient(weights + h * v, *rest)[0], max(size, 1.0))
    m = case.problem
    mass = _softmax(case, weights)
    mass[np.arange(len(mass)), m.targets] -= 1.0
    formula = (mass * m.frequencies[:, None]).T @ m.inputs  # sum p_W e - e, one row for each output
    kernel = kernels.softmax_gradient(weights, *rest)[1]
    bound = [np.vdot(m.outputs.T @ formula, v)] * 2
    return Evidence([1.0, 2.0], [float(measured), np.vdot(kernel, v)], bound, [error, 40 * terms * _EPS * size],
                    axis_name="1: differences of the loss, 2: kernel")  # fmt: skip


def _exact_gradient(case: Case, index: int) -> Exact:
    def values() -> tuple[Any, Any]:
        slope = mpmath.diff(lambda h: _exact_loss(case, h), mpf(0))
        total = mpf(0)
        for row, pairs, f, p in zip(
            _exact_scores(case, mpf(0)), _exact_pairs(case), case.problem.targets, case.problem.frequencies, strict=True
        ):
            mean = mpmath.fdot(_exact_softmax(row), pairs)
            total += mpf(float(p)) * (mean - pairs[int(f)])
        return slope, total

    return _differences(evaluate_twice(values, "differences of the loss"))


def _differences(exact: Exact) -> Exact:
    """Return the evaluation with the error of mpmath's numerical derivative, half of the digits at worst."""
    return Exact(exact.quantity, exact.bound, exact.error + mpf(10) ** -20 * (1 + abs(exact.quantity)), exact.method)


# (24)-(26): the Hessian


def _hessian(case: Case) -> Evidence:
    weights, *rest = _arrays(case)
    v, (size, terms) = _direction(case), _sizes(case)
    measured, error = _slope(
        lambda h: np.vdot(kernels.softmax_gradient(weights + h * v, *rest)[1], v), max(size, 1.0)
    )
    kernel = v.ravel() @ kernels.hessian(weights, *rest) @ v.ravel()
    product = np.vdot(kernels.hessian_vector_product(weights, v, *rest), v)
    bound = [_quadratic_form(case)] * 3
    rounding = 60 * terms * _EPS * size**2
    return Evidence([1.0, 2.0, 3.0], [float(measured), float(kernel), float(product)], bound,
                    [error * max(size, 1.0) + rounding, rounding, rounding],
                    axis_name="1: differences of the gradient, 2: kernel, 3: Hessian-vector product")  # fmt: skip


def _quadratic_form(case: Case) -> float:
    """Return sum_x p sum_{z,z'} p_W(z)(delta - p_W(z')) <V, u_z e^T><V, u_z' e^T>, term by term as (26) has it."""
    m, v = case.problem, _direction(case)
    mass = _softmax(case, start_of(case))
    pairs = m.inputs @ v.T @ m.outputs.T
    total = 0.0
    for p, q, a in zip(m.frequencies, mass, pairs, strict=True):
        kernel = np.diag(q) - np.outer(q, q)
        total += float(p) * float(a @ kernel @ a)
    return total


def _exact_hessian(case: Case, index: int) -> Exact:
    def values() -> tuple[Any, Any]:
        second = mpmath.diff(lambda h: _exact_loss(case, h), mpf(0), 2)
        total = mpf(0)
        for row, a, p in zip(_exact_scores(case, mpf(0)), _exact_pairs(case), case.problem.frequencies, strict=True):
            q = _exact_softmax(row)
            n = range(len(q))
            total += mpf(float(p)) * mpmath.fsum(q[z] * ((z == k) - q[k]) * a[z] * a[k] for z in n for k in n)
        return second, total

    return _differences(evaluate_twice(values, "second differences of the loss"))


def _probability(case: Case) -> Evidence:
    """Derivative of every p_W(z|x) along a direction against (25)."""
    m, v, (size, _) = case.problem, _direction(case), _sizes(case)
    measured, error = _slope(lambda h: _softmax(case, start_of(case) + h * v), max(size, 1.0))
    mass = _softmax(case, start_of(case))
    pairs = m.inputs @ v.T @ m.outputs.T
    formula = mass * (pairs - (mass * pairs).sum(axis=1, keepdims=True))
    flat = measured.ravel()
    return Evidence(np.arange(flat.size) + 1.0, flat, formula.ravel(), error, axis_name="pair (x, z)")


def _exact_probability(case: Case, index: int) -> Exact:
    x, z = divmod(index, len(case.problem.outputs))

    def values() -> tuple[Any, Any]:
        slope = mpmath.diff(lambda h: _exact_softmax(_exact_scores(case, h)[x])[z], mpf(0))
        q, a = _exact_softmax(_exact_scores(case, mpf(0))[x]), _exact_pairs(case)[x]
        return slope, q[z] * (a[z] - mpmath.fdot(q, a))

    return _differences(evaluate_twice(values, "differences of the softmax"))


def _outer_form(case: Case) -> Evidence:
    """(24): the Hessian as sum_z (gradient of p) (e tensor u_z), applied to a direction on both sides."""
    m, v, (size, terms) = case.problem, _direction(case), _sizes(case)
    slopes, error = _slope(lambda h: _softmax(case, start_of(case) + h * v), max(size, 1.0))
    pairs = m.inputs @ v.T @ m.outputs.T
    weights, *rest = _arrays(case)
    quantity = float(v.ravel() @ kernels.hessian(weights, *rest) @ v.ravel())
    bound = float(m.frequencies @ (slopes * pairs).sum(axis=1))
    budget = error * float(np.abs(pairs).sum(axis=1).max()) + 60 * terms * _EPS * size**2
    return Evidence([1.0], [quantity], [bound], budget, axis_name="direction")


def _index_identity(printed: bool) -> Callable[[Case], Evidence]:
    def evaluate(case: Case) -> Evidence:
        e, u, other = case.problem.inputs[0], case.problem.outputs[0], case.problem.outputs[-1]
        left = np.einsum("i,j,k,l->ijkl", e, u, e, other)  # the matrix (e tensor u)(e tensor u')^T
        right = np.einsum("i,j,k,i->ijk", e, u, e, other)[..., None] if printed else left
        if not printed:
            right = (np.outer(e, u)[:, :, None, None] * np.outer(e, other)[None, None]).reshape(left.shape)
        right = np.broadcast_to(right, left.shape)
        size = float(np.abs(left).max() + np.abs(right).max())
        return Evidence(np.arange(left.size) + 1.0, left.ravel(), right.ravel(), 4 * _EPS * size, axis_name="entry ijkl")

    return evaluate


def _exact_index(printed: bool) -> Callable[[Case, int], Exact]:
    def exact(case: Case, index: int) -> Exact:
        m = case.problem
        dim = m.inputs.shape[1]
        i, j, k, last = np.unravel_index(index, (dim,) * 4)

        def values() -> tuple[Any, Any]:
            e, u, other = ([mpf(float(a)) for a in row] for row in (m.inputs[0], m.outputs[0], m.outputs[-1]))
            common = e[i] * u[j] * e[k]
            return common * other[last], common * other[i if printed else last]

        return evaluate_twice(values, "product of four coordinates")

    return exact


# what holds at every W


def _spectrum(case: Case) -> Array:
    weights, *rest = _arrays(case)
    return np.asarray(np.linalg.eigvalsh(kernels.hessian(weights, *rest)))


def _positive(case: Case) -> Evidence:
    values = _spectrum(case)
    budget = 1e-13 * max(float(values[-1]), 1e-300) * len(values)
    return Evidence([1.0], [values[0]], [0.0], budget, axis_name="least eigenvalue")


def _rank(case: Case) -> Evidence:
    """Rank from the spectrum: the gap is visible as long as the softmax is not saturated."""
    values = _spectrum(case)
    rank = int(np.sum(values > 1e-11 * values[-1]))
    return Evidence([1.0], [float(rank)], [float(analytics.hessian_rank(case.problem))], 0.5, axis_name="rank")


def _norm(case: Case) -> Evidence:
    weights, *rest = _arrays(case)
    bound = analytics.hessian_norm_bound(case.problem)
    scales = np.array([0.0, 0.1, 1.0])
    sharpness = [kernels.sharpness(s * weights, *rest) for s in scales]
    return Evidence(scales, sharpness, np.full(3, bound), 1e-9 * bound, axis_name="scale of W")


def _norm_by_loss(case: Case) -> Evidence:
    weights, *rest = _arrays(case)
    m = case.problem
    factor = float(np.linalg.norm(m.inputs, axis=1).max()) ** 2 * analytics.squared_diameter(m.outputs)
    scales = np.array([0.0, 0.3, 1.0, 3.0])
    pairs = [(kernels.sharpness(s * weights, *rest), kernels.softmax_gradient(s * weights, *rest)[0]) for s in scales]
    bound = factor * np.array([loss for _, loss in pairs])
    return Evidence(scales, np.array([h for h, _ in pairs]), bound, 1e-9 * bound, axis_name="scale of W")


def _near_zero(case: Case) -> Evidence:
    weights, *rest = _arrays(case)
    at_zero = kernels.sharpness(np.zeros_like(weights), *rest)
    scales = np.array([0.03, 0.1, 0.3, 1.0, 3.0])
    values = np.array([kernels.sharpness(s * weights, *rest) for s in scales])
    return Evidence(scales, values, np.full(5, at_zero), 1e-9 * at_zero, axis_name="scale of W", axis_scale="log")


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
        lambda: tuple(_exact_largest(_exact_hessian_matrix(case, mpf(s))) for s in (scale, 0.0)),  # type: ignore[arg-type,return-value]
        "eigenvalues of the Hessian",
    )


def _source(place: str, row: str = "") -> Source:
    return Source(PAPER, place, row)


_SMALL = Family(
    (SEED, Parameter("n_tokens", 1, 4, "integer"), Parameter("n_classes", 2, 5, "integer"),
     Parameter("dim", 2, 3, "integer"), Parameter("scale", 1e-3, 1.0, "log")),
    _build,
    show={"seed": 1, "n_tokens": 3, "n_classes": 3, "dim": 3, "scale": 0.5},
    corners=({"n_tokens": 3, "n_classes": 2, "dim": 3, "seed": 5}, {"n_tokens": 1, "n_classes": 5, "dim": 3, "seed": 2}),
)  # fmt: skip

CLAIMS = (
    Claim(
        id="cabannes2024.equation23.gradient",
        form="printed",
        title="Gradient of the loss",
        statement=r"$\nabla\ell(W;x,y) = \sum_z p_W(z|x)\,e_x u_z^\top - e_x u_y^\top$",
        source=_source("(23)"),
        quantity=r"$\frac{d}{dh}L(W+hV)$",
        relation="==",
        bound=r"$\sum_x p(x)\,\langle V,\ \sum_z p_W(z|x) u_z e_x^\top - u_{f(x)} e_x^\top\rangle$",
        expected=Outcome.HOLDS,
        reason="True (written here for scores u W e; Appendix A has the transpose). Differences of the loss agree.",
        proof="Differentiate the logarithm of the partition function.",
        family=_FAMILY,
        evaluate=_gradient,
        exact=_exact_gradient,
    ),
    Claim(
        id="cabannes2024.equation24.hessian_from_probabilities",
        form="printed",
        title="Hessian from the gradients of the probabilities",
        statement=r"$\nabla^2\ell(W;x,y) = \sum_z \nabla p_W(z|x)\,(e_x\otimes u_z)^\top$",
        source=_source("(24)"),
        quantity=r"$V^\top\nabla^2 L\,V$",
        relation="==",
        bound=r"$\sum_x p(x)\sum_z \frac{d}{dh}p_{W+hV}(z|x)\ \langle V, e_x\otimes u_z\rangle$",
        expected=Outcome.HOLDS,
        reason="True: the gradient is linear in the probabilities.",
        proof="The Hessian of a function whose gradient is g(W) a is (grad g) a^T.",
        family=_FAMILY,
        evaluate=_outer_form,
        exact=_exact_hessian,
    ),
    Claim(
        id="cabannes2024.equation25.probability_gradient",
        form="printed",
        title="Gradient of a probability",
        statement=r"$\nabla p_W(z|x) = p_W(z|x)\,(e_x\otimes u_z - \sum_{z'} p_W(z'|x)\,e_x\otimes u_{z'})$",
        source=_source("(25)"),
        quantity=r"$\frac{d}{dh}p_{W+hV}(z|x)$",
        relation="==",
        bound=r"$p_W(z|x)\,\langle V,\ e_x\otimes u_z - \sum_{z'} p_W(z'|x)\,e_x\otimes u_{z'}\rangle$",
        expected=Outcome.HOLDS,
        reason="True; differences of the softmax agree.",
        proof="grad p = p grad log p = -p grad l(W;x,z), with (23).",
        family=_FAMILY,
        evaluate=_probability,
        exact=_exact_probability,
    ),
    Claim(
        id="cabannes2024.equation26.hessian",
        form="printed",
        title="Hessian of the loss",
        statement=r"$\nabla^2\ell = \sum_{z,z'} p_W(z|x)(\delta_{zz'}-p_W(z'|x))\,e_x\otimes u_z\otimes e_x\otimes u_{z'}$",
        source=_source("(26)", "H1"),
        quantity=r"$V^\top\nabla^2 L\,V$",
        relation="==",
        bound=r"$\sum_x p\sum_{z,z'} p_W(z)(\delta_{zz'}-p_W(z'))\,\langle V,e u_z\rangle\langle V,e u_{z'}\rangle$",
        expected=Outcome.HOLDS,
        reason="True. Central differences of the gradient, the dense kernel and the product kernel agree with it.",
        proof="Insert (25) in (24).",
        family=_FAMILY,
        evaluate=_hessian,
        exact=_exact_hessian,
    ),
    Claim(
        id="cabannes2024.appendix_a.index_identity",
        form="printed",
        title="Coordinates of a product of embeddings",
        statement=r"$((e\otimes u)(e\otimes u')^\top)_{ij,kl} = (f_i^\top e)(f_j^\top u)(f_k^\top e)(f_i^\top u')$",
        source=_source("Appendix A, before (26)", "H1"),
        quantity=r"$((e\otimes u)(e\otimes u')^\top)_{ij,kl}$",
        relation="==",
        bound=r"$(f_i^\top e)(f_j^\top u)(f_k^\top e)(f_i^\top u')$",
        expected=Outcome.VIOLATED,
        reason="Index typo: the last factor is the coordinate l of u', not i.",
        family=_SMALL,
        evaluate=_index_identity(True),
        exact=_exact_index(True),
    ),
    Claim(
        id="cabannes2024.appendix_a.index_identity",
        form="corrected",
        title="Coordinates of a product of embeddings",
        statement=r"$((e\otimes u)(e\otimes u')^\top)_{ij,kl} = (f_i^\top e)(f_j^\top u)(f_k^\top e)(f_l^\top u')$",
        source=_source("Appendix A, before (26)", "H1"),
        quantity=r"$((e\otimes u)(e\otimes u')^\top)_{ij,kl}$",
        relation="==",
        bound=r"$(f_i^\top e)(f_j^\top u)(f_k^\top e)(f_l^\top u')$",
        expected=Outcome.HOLDS,
        reason="True with the index l.",
        proof="Definition of the outer product of two matrices.",
        family=_SMALL,
        evaluate=_index_identity(False),
        exact=_exact_index(False),
    ),
    Claim(
        id="cabannes2024.new.hessian_positive",
        form="corrected",
        title="The Hessian is positive semi-definite",
        statement=r"$\nabla^2 L = \sum_x p(x)\,(e_x e_x^\top)\otimes\mathrm{Cov}_{p_W(\cdot|x)}(u) \succeq 0$",
        source=_source("new", "section 7"),
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
        source=_source("new", "section 7"),
        quantity=r"$\mathrm{rank}\,\nabla^2 L(W)$",
        relation="==",
        bound=r"$\mathrm{rank}(e_x)\cdot\mathrm{rank}(u_i-u_j)$",
        expected=Outcome.HOLDS,
        reason="New. Counted at W where no probability is lost to rounding.",
        proof="The softmax has full support, so each covariance has the range span{u_i-u_j}; ranges of sums of positive "
        "semi-definite matrices add.",
        family=_SMALL,
        evaluate=_rank,
    ),
    Claim(
        id="cabannes2024.new.hessian_norm",
        form="corrected",
        title="A bound on the sharpness that holds at every W",
        statement=r"$\|\nabla^2 L(W)\| \leq \frac{D^2}{4}\,\lambda_{\max}(\sum_x p(x)e_xe_x^\top)$, "
        r"$D=\max\|u_i-u_j\|$",
        source=_source("new", "section 7"),
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
        source=_source("Section 5.1", "S5.4"),
        quantity=r"$\|\nabla^2 L(W)\|$",
        relation="<=",
        bound=r"$\|\nabla^2 L(0)\|$",
        expected=Outcome.VIOLATED,
        reason="False for more than two classes: with M = 10 the covariance has norm 0.1 at W = 0 and 0.5 where two "
        "classes share the probability.",
        family=Family((SEED, Parameter("n_classes", 2, 10, "integer"), Parameter("scale", 0.5, 30.0, "log")),
                      _near_zero_build, show={"seed": 0, "n_classes": 10, "scale": 5.0},
                      corners=({"n_classes": 10, "scale": 10.0},)),
        evaluate=_near_zero,
        exact=lambda case, index: _exact_near_zero(case, index),
    ),
    Claim(
        id="cabannes2024.section51.sharpness_near_zero",
        form="corrected",
        title="The loss is sharpest at zero for two classes",
        statement=r"for two classes, $\nabla^2 L(W) \preceq \nabla^2 L(0)$ for every $W$",
        source=_source("Section 5.1", "S5.4"),
        quantity=r"$\|\nabla^2 L(W)\|$",
        relation="<=",
        bound=r"$\|\nabla^2 L(0)\|$",
        assumptions=(TwoClasses(),),
        expected=Outcome.HOLDS,
        reason="True for M = 2.",
        proof="q(1-q) <= 1/4 for every token, and both sides are sums of the same positive semi-definite matrices.",
        family=Family(tuple(p for p in _SMALL.parameters if p.name != "n_classes"),
                      lambda seed, n_tokens, dim, scale: _build(seed, n_tokens, 2, dim, scale),
                      show={"seed": 1, "n_tokens": 4, "dim": 3, "scale": 0.5},
                      corners=({"n_tokens": 1, "scale": 1e-3},)),
        evaluate=_near_zero,
        exact=_exact_two_classes,
    ),
    Claim(
        id="cabannes2024.section51.separable_sharpness",
        form="printed",
        title="In the separable case the sharpness vanishes at infinity",
        statement=r"in the separable case the sharpness decreases until reaching zero at infinity",
        source=_source("Section 5.1"),
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
        source=_source("Section 5.1"),
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
