"""Appendix A: gradient and Hessian of the loss."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import mpmath
import numpy as np
from mpmath import mpf

from .... import kernels
from ...case import Array, Case, Evidence, Exact, Family, Parameter
from ...claim import Claim
from ...precision import evaluate_twice
from ...verdict import Outcome
from .situations_multiclass import EPS, SEED, measured, source_of, start_of
from .weight_space import _SMALL, _arrays, _build, _exact_softmax

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


def _direction(case: Case) -> Array:
    """Return a fixed unit direction in weight space, the same for every evaluation of the case."""
    shape = start_of(case).shape
    v = np.random.default_rng(11).normal(size=shape)
    return np.asarray(v / np.linalg.norm(v))


def _sizes(case: Case) -> tuple[float, float]:
    """Return the largest norm of a pair (u, e) and the sum of terms, which set the rounding errors."""
    m = case.problem
    return float(np.linalg.norm(m.inputs, axis=1).max() * np.linalg.norm(m.outputs, axis=1).max()), float(
        m.outputs.size
    )


def _softmax(case: Case, weights: Array) -> Array:
    m = case.problem
    s = m.inputs @ weights.T @ m.outputs.T
    s = np.exp(s - s.max(axis=1, keepdims=True))
    return np.asarray(s / s.sum(axis=1, keepdims=True))


def _reach(case: Case) -> float:
    """Return the largest sum of the terms of a score, in units of which scores are rounded."""
    m = case.problem
    terms = np.abs(m.inputs) @ np.abs(start_of(case)).T @ np.abs(m.outputs).T
    return 1.0 + float(terms.max())


def _slope(function: Callable[[Any], Any], size: float, unit: float) -> tuple[Any, float]:
    """Return the derivative at 0 of a smooth function of h, by central differences extrapolated twice, and its error.

    `size` is the scale on which the function changes, `unit` the size in units of which its values are rounded (they
    come from scores). The error is the difference of the last two extrapolations, plus the rounding of the differences:
    the smallest step is h/4, the extrapolation weighs its quotient by 1.4, and a value is rounded a few times.
    """
    h = 0.02 / size
    rows = [np.asarray((function(h / 2**k) - function(-h / 2**k)) / (2 * h / 2**k)) for k in range(3)]
    second = [(4 * b - a) / 3 for a, b in itertools.pairwise(rows)]
    third = (16 * second[1] - second[0]) / 15
    rounding = 24 * EPS * unit / h
    return third, float(np.max(np.abs(third - second[1]))) / 10 + rounding


def _exact_scores(case: Case, h: Any) -> list[list[Any]]:
    m, w, v = case.problem, start_of(case), _direction(case)
    weights = [
        [mpf(float(a)) + h * mpf(float(b)) for a, b in zip(x, y, strict=True)] for x, y in zip(w, v, strict=True)
    ]
    inputs = [[mpf(float(a)) for a in e] for e in m.inputs]
    outputs = [[mpf(float(a)) for a in u] for u in m.outputs]
    images = [[mpmath.fdot(row, e) for row in weights] for e in inputs]
    return [[mpmath.fdot(u, image) for u in outputs] for image in images]


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


def _gradient(case: Case) -> Evidence:
    weights, *rest = _arrays(case)
    v, (size, terms) = _direction(case), _sizes(case)
    seen, error = _slope(lambda h: kernels.softmax_gradient(weights + h * v, *rest)[0], max(size, 1.0), _reach(case))
    m = case.problem
    mass = _softmax(case, weights)
    mass[np.arange(len(mass)), m.targets] -= 1.0
    formula = (mass * m.frequencies[:, None]).T @ m.inputs  # sum p_W e - e, one row for each output
    kernel = kernels.softmax_gradient(weights, *rest)[1]
    bound = [np.vdot(m.outputs.T @ formula, v)] * 2
    return measured([1.0, 2.0], [float(seen), float(np.vdot(kernel, v))], bound, [error, 40 * terms * EPS * size],
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


def _hessian(case: Case) -> Evidence:
    weights, *rest = _arrays(case)
    v, (size, terms) = _direction(case), _sizes(case)
    seen, error = _slope(lambda h: np.vdot(kernels.softmax_gradient(weights + h * v, *rest)[1], v), max(size, 1.0),
                         size * _reach(case))  # fmt: skip
    kernel = v.ravel() @ kernels.hessian(weights, *rest) @ v.ravel()
    product = np.vdot(kernels.hessian_vector_product(weights, v, *rest), v)
    bound = [_quadratic_form(case)] * 3
    rounding = 60 * terms * EPS * size**2
    return measured([1.0, 2.0, 3.0], [float(seen), float(kernel), float(product)], bound,
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
    seen, error = _slope(lambda h: _softmax(case, start_of(case) + h * v), max(size, 1.0), _reach(case))
    mass = _softmax(case, start_of(case))
    pairs = m.inputs @ v.T @ m.outputs.T
    formula = mass * (pairs - (mass * pairs).sum(axis=1, keepdims=True))
    flat = seen.ravel()
    return measured(np.arange(flat.size) + 1.0, flat, formula.ravel(), error, axis_name="pair (x, z)")


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
    slopes, error = _slope(lambda h: _softmax(case, start_of(case) + h * v), max(size, 1.0), _reach(case))
    pairs = m.inputs @ v.T @ m.outputs.T
    weights, *rest = _arrays(case)
    quantity = float(v.ravel() @ kernels.hessian(weights, *rest) @ v.ravel())
    bound = float(m.frequencies @ (slopes * pairs).sum(axis=1))
    budget = error * float(np.abs(pairs).sum(axis=1).max()) + 60 * terms * EPS * size**2
    return measured([1.0], [quantity], [bound], budget, axis_name="direction")


def _index_identity(printed: bool) -> Callable[[Case], Evidence]:
    def evaluate(case: Case) -> Evidence:
        e, u, other = case.problem.inputs[0], case.problem.outputs[0], case.problem.outputs[-1]
        left = np.einsum("i,j,k,l->ijkl", e, u, e, other)  # the matrix (e tensor u)(e tensor u')^T
        right = np.einsum("i,j,k,i->ijk", e, u, e, other)[..., None] if printed else left
        if not printed:
            right = (np.outer(e, u)[:, :, None, None] * np.outer(e, other)[None, None]).reshape(left.shape)
        right = np.broadcast_to(right, left.shape)
        size = float(np.abs(left).max() + np.abs(right).max())
        return measured(np.arange(left.size) + 1.0, left.ravel(), right.ravel(), 4 * EPS * size, axis_name="entry ijkl")

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


CLAIMS = (
    Claim(
        id="cabannes2024.equation23.gradient",
        form="printed",
        title="Gradient of the loss",
        statement=r"$\nabla\ell(W;x,y) = \sum_z p_W(z|x)\,e_x u_z^\top - e_x u_y^\top$",
        source=source_of("(23)"),
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
        source=source_of("(24)"),
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
        source=source_of("(25)"),
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
        statement=r"$\nabla^2\ell=\sum_{z,z'}p_W(z|x)(\delta_{zz'}-p_W(z'|x))\,"
        r"e_x\otimes u_z\otimes e_x\otimes u_{z'}$",
        source=source_of("(26)", "H1"),
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
        source=source_of("Appendix A, before (26)", "H1"),
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
        source=source_of("Appendix A, before (26)", "H1"),
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
)
