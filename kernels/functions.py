"""The public functions of the kernels: each checks its arguments at the door and hands them to the CPU twin."""

from __future__ import annotations

import math
import os
from typing import Any, NamedTuple

from ..errors import InputError, SizeError, TraindynError
from .arrays import ArrayLike, Matrix, Vector
from .door import enter, positive, refuse_other_devices
from .operations import OPERATIONS, Operation


class Eigenpair(NamedTuple):
    """Largest eigenvalue of a Hessian with what it took to find it."""

    value: float
    """The eigenvalue, >= 0."""
    vector: Matrix
    """Its eigenvector as a direction of the weights, (d, d), of unit Frobenius norm; the sign is arbitrary."""
    residual: float
    """Norm of H v - value v: an eigenvalue lies within this distance of `value`."""
    products: int
    """Hessian-vector products spent; 0 where the dense matrix was solved."""


class Spectrum(NamedTuple):
    """All eigenvalues of a Hessian."""

    values: Vector
    """The eigenvalues, (d²,), rising."""
    residuals: Vector
    """(d²,): norms of H v - value v where vectors were asked for, else the usual bound d² ulp of the largest value."""
    vectors: Matrix | None
    """The eigenvectors in columns, (d², d²), row-major as in `hessian`; None where they were not asked for."""


def _run(operation: Operation, values: dict[str, Any], **options: Any) -> Any:
    arrays, _ = enter(operation.arguments, values)
    return operation.twin("cpu")(*arrays.values(), **options)


def scores(weights: ArrayLike, inputs: ArrayLike, outputs: ArrayLike) -> Matrix:
    r"""Return the scores of all classes on all tokens.

    $S_{xy} = u_y^\top W e_x$

    Arguments: `weights` W (d, d); `inputs` the rows e_x (N, d); `outputs` the rows u_y (M, d).

    Returns: (N, M), of the arrays' floating type.

    Raises: InputError for shapes, types or entries that break a law named in the message.

    Cost: 2 N M d + 2 min(N, M) d² operations.

    Source: Cabannes, Simsek, Bietti 2024, equation (10).

    >>> scores([[0, 1], [0, 0]], inputs=[[1, 2]], outputs=[[3, 0], [0, 1]])
    array([[6., 0.]])
    """
    return _run(OPERATIONS["scores"], {"weights": weights, "inputs": inputs, "outputs": outputs})  # type: ignore[no-any-return]


def loss(scores: ArrayLike, targets: ArrayLike, frequencies: ArrayLike) -> float:
    r"""Return the population cross entropy.

    $L = \sum_x p(x) \log(1 + \sum_{z \neq f(x)} \exp(S_{xz} - S_{x f(x)}))$

    A small loss keeps its relative precision, down to 1e-300.

    Arguments: `scores` S (N, M); `targets` f (N,), integers in 0 .. M - 1; `frequencies` p (N,), >= 0 with sum 1.

    Returns: the loss in nats, >= 0.

    Raises: InputError for shapes, types or entries that break a law named in the message.

    Cost: N M exponentials.

    Source: Cabannes, Simsek, Bietti 2024, equations (2) and (3).

    >>> loss([[690.0, 0.0]], targets=[0], frequencies=[1.0])
    2.171738281389827e-300
    """
    return _run(OPERATIONS["loss"], {"scores": scores, "targets": targets, "frequencies": frequencies})  # type: ignore[no-any-return]


def margins(scores: ArrayLike, targets: ArrayLike) -> Vector:
    r"""Return each token's margin: its score on the target minus the best other score.

    $m(x) = S_{x f(x)} - \max_{z \neq f(x)} S_{xz}$

    Arguments: `scores` S (N, M); `targets` f (N,), integers in 0 .. M - 1.

    Returns: (N,); infinite where there is one class only.

    Raises: InputError for shapes, types or entries that break a law named in the message.

    Cost: one pass over the scores.

    Source: Cabannes, Simsek, Bietti 2024, equation (13), the least over the classes.

    >>> margins([[3.0, 1.0, 2.0], [0.0, 0.0, 0.0]], targets=[0, 2])
    array([1., 0.])
    """
    return _run(OPERATIONS["margins"], {"scores": scores, "targets": targets})  # type: ignore[no-any-return]


def accuracy(scores: ArrayLike, targets: ArrayLike, frequencies: ArrayLike) -> float:
    """Return one minus the frequencies of the tokens whose margin is not positive.

    It is exactly 1.0 if and only if all margins are positive: ties count as wrong.

    Arguments: `scores` S (N, M); `targets` f (N,), integers in 0 .. M - 1; `frequencies` p (N,), >= 0 with sum 1.

    Returns: a number in [0, 1].

    Raises: InputError for shapes, types or entries that break a law named in the message.

    Cost: one pass over the scores.

    Source: Cabannes, Simsek, Bietti 2024, equation (1): one minus the 0-1 loss.

    >>> accuracy([[3.0, 1.0], [0.0, 0.0]], targets=[0, 1], frequencies=[0.75, 0.25])
    0.75
    """
    return _run(OPERATIONS["accuracy"], {"scores": scores, "targets": targets, "frequencies": frequencies})  # type: ignore[no-any-return]


def softmax_gradient(
    weights: ArrayLike, inputs: ArrayLike, outputs: ArrayLike, targets: ArrayLike, frequencies: ArrayLike
) -> tuple[float, Matrix]:
    r"""Return the loss and its gradient with respect to the weights.

    $\nabla L(W) = \sum_x p(x) \sum_z (P_{xz} - 1\{z = f(x)\})\, u_z e_x^\top$, P the softmax of the scores.

    Arguments: `weights` W (d, d); `inputs` the rows e_x (N, d); `outputs` the rows u_y (M, d); `targets` f (N,),
    integers in 0 .. M - 1; `frequencies` p (N,), >= 0 with sum 1.

    Returns: the loss, and the gradient (d, d) in the orientation of the weights.

    Raises: InputError for shapes, types or entries that break a law named in the message.

    Cost: 4 N M d + 4 min(N, M) d² operations and N M exponentials.

    Source: Cabannes, Simsek, Bietti 2024, equations (2) and (9), text convention.

    >>> softmax_gradient([[0, 0], [0, 0]], inputs=[[1, 2]], outputs=[[1, 0], [0, 1]], targets=[0], frequencies=[1])
    (0.6931471805599453, array([[-0.5, -1. ],
           [ 0.5,  1. ]]))
    """
    values = _memory(weights, inputs, outputs, targets, frequencies)
    return _run(OPERATIONS["softmax_gradient"], values)  # type: ignore[no-any-return]


def particle_step(
    scores: ArrayLike,
    input_gram: ArrayLike,
    output_gram: ArrayLike,
    targets: ArrayLike,
    frequencies: ArrayLike,
    learning_rate: float,
) -> Matrix:
    r"""Return the scores after one step of gradient descent, without weights.

    $S - \eta\, G_E\, \mathrm{diag}(p)\, (P - Y)\, G_U$, P the softmax of the scores, Y the targets one-hot.

    Arguments: `scores` S (N, M); `input_gram` G_E = E E^T (N, N); `output_gram` G_U = U U^T (M, M); `targets` f (N,),
    integers in 0 .. M - 1; `frequencies` p (N,), >= 0 with sum 1; `learning_rate` the step size > 0.

    Returns: (N, M), a new array.

    Raises: InputError for shapes, types or entries that break a law named in the message.

    Cost: 2 N M (N + M) operations and N M exponentials, whatever the dimension of the embeddings.

    Source: Cabannes, Simsek, Bietti 2024, Theorem 1, equation (12).

    >>> identity = [[1, 0], [0, 1]]
    >>> particle_step([[0, 0], [0, 0]], identity, identity, targets=[0, 1], frequencies=[0.5, 0.5], learning_rate=4)
    array([[ 1., -1.],
           [-1.,  1.]])
    """
    values = {
        "scores": scores,
        "input_gram": input_gram,
        "output_gram": output_gram,
        "targets": targets,
        "frequencies": frequencies,
        "learning_rate": learning_rate,
    }
    return _run(OPERATIONS["particle_step"], values)  # type: ignore[no-any-return]


def hessian(
    weights: ArrayLike, inputs: ArrayLike, outputs: ArrayLike, targets: ArrayLike, frequencies: ArrayLike
) -> Matrix:
    r"""Return the Hessian of the loss with respect to the weights, row after row.

    $H = \sum_x p(x)\, C_x \otimes e_x e_x^\top, \quad C_x = U^\top (\mathrm{diag}\, P_x - P_x P_x^\top)\, U$

    Arguments: as those of `softmax_gradient`. The targets are checked but do not matter.

    Returns: (d², d²), symmetric and positive semi-definite; entry (i d + j, k d + l) belongs to W_ij and W_kl.

    Raises: InputError for shapes, types or entries that break a law named in the message; SizeError where the
    machine's memory cannot hold the matrix.

    Cost: N M d² + N d⁴ / 2 operations; d⁴ entries of memory: use `hessian_vector_product` for large d.

    Source: Cabannes, Simsek, Bietti 2024, equation (26).

    >>> hessian([[0, 0], [0, 0]], inputs=[[1, 0]], outputs=[[1, 0], [0, 1]], targets=[0], frequencies=[1])[0]
    array([ 0.25,  0.  , -0.25,  0.  ])
    """
    values = _memory(weights, inputs, outputs, targets, frequencies)
    return _dense(OPERATIONS["hessian"], values, 1.25)  # type: ignore[no-any-return]  # the result and its packed form


def hessian_spectrum(
    weights: ArrayLike, inputs: ArrayLike, outputs: ArrayLike, targets: ArrayLike, frequencies: ArrayLike,
    *, vectors: bool = False,
) -> Spectrum:  # fmt: skip
    """Return all eigenvalues of the Hessian, each with its residual, and the eigenvectors if asked for.

    Arguments: as those of `softmax_gradient`; `vectors` whether to return the eigenvectors. The targets do not matter.

    Returns: a named tuple (values, residuals, vectors). An eigenvalue of the computed matrix lies within each residual
    of each value; the matrix is off by some roundings of its largest entries.

    Raises: InputError for shapes, types or entries that break a law named in the message; SizeError where the
    machine's memory cannot hold the matrix.

    Cost: the Hessian and 4 d⁶ / 3 operations of LAPACK (with vectors some 9 d⁶); d⁴ entries of memory.

    Source: Cabannes, Simsek, Bietti 2024, equation (26).

    >>> spectrum = hessian_spectrum([[0, 0], [0, 0]], [[2, 0]], [[1, 0], [0, 1]], targets=[0], frequencies=[1])
    >>> abs(spectrum.values.round(12)).tolist(), bool(spectrum.residuals.max() < 1e-14)
    ([0.0, 0.0, 0.0, 2.0], True)
    """
    values = _memory(weights, inputs, outputs, targets, frequencies)
    return Spectrum(*_dense(OPERATIONS["hessian_spectrum"], values, 4.0 if vectors else 2.5, vectors=bool(vectors)))


def _dense(operation: Operation, values: dict[str, Any], matrices: float, **options: Any) -> Any:
    """Call an operation that holds so many matrices (d d, d d), if the memory can."""
    arrays, sizes = enter(operation.arguments, values)
    itemsize, dim = arrays["weights"].itemsize, sizes["d"]
    needed, present = matrices * itemsize * dim**4, _physical_memory()
    if needed > present:
        raise SizeError(
            f"the Hessian for d = {dim} needs {needed / 1e9:.3g} GB and this machine has {present / 1e9:.3g} GB; "
            "use hessian_vector_product or largest_eigenvalue, which never form it"
        )
    return operation.twin("cpu")(*arrays.values(), **options)


def hessian_vector_product(
    weights: ArrayLike,
    direction: ArrayLike,
    inputs: ArrayLike,
    outputs: ArrayLike,
    targets: ArrayLike,
    frequencies: ArrayLike,
) -> Matrix:
    r"""Return the product of the Hessian with a direction, without forming the Hessian.

    $H[V] = \sum_x p(x)\, C_x V e_x e_x^\top$

    Arguments: `direction` V (d, d); the others as those of `softmax_gradient`. The targets do not matter.

    Returns: (d, d), in the orientation of the weights.

    Raises: InputError for shapes, types or entries that break a law named in the message.

    Cost: 6 N M d + 6 min(N, M) d² operations and N M exponentials.

    Source: Cabannes, Simsek, Bietti 2024, equation (26).

    >>> zero, direction, outputs = [[0, 0], [0, 0]], [[1, 0], [0, 0]], [[1, 0], [0, 1]]
    >>> hessian_vector_product(zero, direction, [[1, 2]], outputs, targets=[0], frequencies=[1])
    array([[ 0.25,  0.5 ],
           [-0.25, -0.5 ]])
    """
    memory = _memory(weights, inputs, outputs, targets, frequencies)
    values = {"weights": memory.pop("weights"), "direction": direction, **memory}
    return _run(OPERATIONS["hessian_vector_product"], values)  # type: ignore[no-any-return]


def sharpness(
    weights: ArrayLike, inputs: ArrayLike, outputs: ArrayLike, targets: ArrayLike, frequencies: ArrayLike
) -> float:
    """Return the largest eigenvalue of the Hessian.

    Arguments: as those of `softmax_gradient`. The targets do not matter.

    Returns: the eigenvalue, >= 0, to a residual of at most 1e-8 of it (float32: 2.4e-6).

    Raises: InputError for shapes, types or entries that break a law named in the message; TraindynError where 1000
    Hessian-vector products were not enough.

    Cost: d <= 8: the dense eigenvalue problem; else some 10 to 40 Hessian-vector products.

    Source: Cabannes, Simsek, Bietti 2024, equation (26) and Section 5.

    >>> round(sharpness([[0, 0], [0, 0]], inputs=[[2, 0]], outputs=[[1, 0], [0, 1]], targets=[0], frequencies=[1]), 12)
    2.0
    """
    value = _run(OPERATIONS["sharpness"], _memory(weights, inputs, outputs, targets, frequencies))
    if math.isnan(value):
        raise not_converged()
    return float(value)


def not_converged() -> TraindynError:
    """Return the error of a sharpness whose residual stays too large."""
    return TraindynError(
        "the sharpness did not converge to a residual of 1e-8 within 1000 Hessian-vector products; "
        "call largest_eigenvalue with a larger tolerance= or max_products= and look at its residual"
    )


def largest_eigenvalue(
    weights: ArrayLike,
    inputs: ArrayLike,
    outputs: ArrayLike,
    targets: ArrayLike,
    frequencies: ArrayLike,
    *,
    start: ArrayLike | None = None,
    tolerance: float = 1e-8,
    max_products: int = 1000,
) -> Eigenpair:
    """Return the largest eigenvalue of the Hessian with its eigenvector, residual and cost.

    Up to d = 8 the dense problem is solved. Beyond, Lanczos iteration with full reorthogonalisation runs on products
    with the closed-form Hessian until the residual is at most `tolerance` times the value; it has converged if and
    only if the residual returned satisfies that. The value is then, but for rounding, at most the true one and, where
    the next eigenvalue lies a gap below, short of it by at most residual² / gap. Without a `start` the iteration begins
    with the eigenvector of a small problem, that of the sixteenth of the tokens that curve most. The bits of the result
    do not depend on the number of threads.

    Arguments: as those of `softmax_gradient`; `start` (d, d) an approximate eigenvector, for instance that of the
    step before (a hundredth of chance is mixed in, so that no start can hide the eigenvector); `tolerance` > 0, at
    least 20 roundings of the type are granted; `max_products` the most Hessian-vector products to spend, >= 1.

    Returns: a named tuple (value, vector, residual, products).

    Raises: InputError for shapes, types or entries that break a law named in the message. A result that has not
    converged is no error: its residual says so.

    Cost: `products` times 4 N M d + 4 min(N, M) d² operations, one or two such products more for the start, and
    64 d² + 2 N M numbers of memory.

    Source: Cabannes, Simsek, Bietti 2024, equation (26); Lanczos 1950.

    >>> pair = largest_eigenvalue([[0, 0], [0, 0]], [[2, 0]], [[1, 0], [0, 1]], targets=[0], frequencies=[1])
    >>> round(pair.value, 12), abs(pair.vector).round(3).tolist(), pair.products
    (2.0, [[0.707, 0.0], [0.707, 0.0]], 0)
    """
    operation = OPERATIONS["largest_eigenvalue"]
    values = _memory(weights, inputs, outputs, targets, frequencies)
    options: dict[str, Any] = {"tolerance": positive("tolerance", tolerance), "max_products": _count(max_products)}
    if start is None:
        return Eigenpair(*_run(operation, values, **options))
    refuse_other_devices({"start": start})
    arrays, _ = enter({**operation.arguments, "start": "dd"}, {**values, "start": start})
    options["start"] = arrays.pop("start")
    if not options["start"].any():
        raise InputError("start must not be zero", "a zero matrix", "leave it out for a random start")
    return Eigenpair(*operation.twin("cpu")(*arrays.values(), **options))


def _memory(
    weights: ArrayLike, inputs: ArrayLike, outputs: ArrayLike, targets: ArrayLike, frequencies: ArrayLike
) -> dict[str, Any]:
    embeddings = {"inputs": inputs, "outputs": outputs}
    return {"weights": weights, **embeddings, "targets": targets, "frequencies": frequencies}


def _count(max_products: Any) -> int:
    if isinstance(max_products, bool) or not hasattr(max_products, "__index__") or max_products < 1:
        raise InputError("max_products must be an integer >= 1", repr(max_products), "pass for instance 1000")
    return int(max_products)


def _physical_memory() -> float:
    try:
        return float(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    except (AttributeError, ValueError):  # not told by this platform
        return math.inf
