"""The public function of the kernels for factorised weights; the others are in `functions`."""

from __future__ import annotations

from .arrays import ArrayLike, Matrix
from .door import enter
from .operations import OPERATIONS


def factorised_gradient(
    left: ArrayLike, right: ArrayLike, inputs: ArrayLike, outputs: ArrayLike, targets: ArrayLike, frequencies: ArrayLike
) -> tuple[float, Matrix, Matrix]:
    r"""Return the loss at W = A B^T and its gradients with respect to both factors.

    $\nabla_A L = G B, \quad \nabla_B L = G^\top A, \quad G = \nabla L(W)$, without forming W or G.

    Arguments: `left` A (d, r); `right` B (d, r); `inputs` the rows e_x (N, d); `outputs` the rows u_y (M, d);
    `targets` f (N,), integers in 0 .. M - 1; `frequencies` p (N,), >= 0 with sum 1.

    Returns: the loss, the gradient by A and the gradient by B, both (d, r).

    Raises: InputError for shapes, types or entries that break a law named in the message.

    Cost: 4 (N + M) d r + 6 N M r operations and N M exponentials.

    Source: Cabannes, Simsek, Bietti 2024, equation (9), and the chain rule.

    >>> factorised_gradient([[1], [0]], [[0], [1]], [[1, 0]], [[1, 0], [0, 1]], targets=[0], frequencies=[1])
    (0.6931471805599453, array([[0.],
           [0.]]), array([[-0.5],
           [ 0. ]]))
    """
    values = {"left": left, "right": right, "inputs": inputs, "outputs": outputs}
    operation = OPERATIONS["factorised_gradient"]
    arrays, _ = enter(operation.arguments, {**values, "targets": targets, "frequencies": frequencies})
    return operation.twin("cpu")(*arrays.values())  # type: ignore[no-any-return]
