"""The public function of the kernels for normalised hidden vectors; the others are in `functions`."""

from __future__ import annotations

from ..errors import unknown_name
from .arrays import ArrayLike, Matrix
from .door import enter
from .operations import OPERATIONS


def normalised_gradient(
    weights: ArrayLike, inputs: ArrayLike, outputs: ArrayLike, targets: ArrayLike, frequencies: ArrayLike, gain: float,
    epsilon: float, kind: str = "unit",
) -> tuple[float, Matrix, float]:  # fmt: skip
    r"""Return the loss of scores $g\, U n_x$, where $n_x$ is the normalised $h_x = W e_x$, and its gradients.

    "unit": $n = h / \sqrt{|h|^2 + \epsilon}$; "layer": the same of h without the mean of its entries; "batch": entry by
    entry $(h_{xi} - \mu_i) / \sqrt{d v_i + \epsilon}$ with the frequency-weighted mean and variance over the tokens;
    "none": h itself. The usual layer and batch normalisations, of unit variance, have gain $\sqrt d$.

    Arguments: `weights` W (d, d); `inputs` the rows e_x (N, d); `outputs` the rows u_y (M, d); `targets` f (N,),
    integers in 0 .. M - 1; `frequencies` p (N,), >= 0 with sum 1; `gain` g > 0; `epsilon` > 0; `kind`.

    Returns: the loss, the gradient by W (d, d), and the derivative by the gain.

    Raises: InputError for shapes, types, entries or a kind that break a law named in the message.

    Cost: 4 N d² + 4 N M d + 12 N d operations and N M exponentials.

    Source: the review of Cabannes, Simsek, Bietti 2024, open question 2; the authors' code has "unit".

    >>> loss, gradient, slope = normalised_gradient([[3, 0], [0, 3]], [[1, 0]], [[1, 0], [0, 1]], [0], [1.0], 1.0, 1e-6)
    >>> round(loss, 6), round(slope, 6), abs(gradient).round(6).tolist()  # nothing along W but by epsilon
    (0.313262, -0.268941, [[0.0, 0.0], [0.089647, 0.0]])
    """
    from .cpu.normalised import KINDS

    if not isinstance(kind, str) or kind not in KINDS:
        raise unknown_name("kind of normalisation", kind, KINDS)
    operation = OPERATIONS["normalised_gradient"]
    values = {"weights": weights, "inputs": inputs, "outputs": outputs, "targets": targets, "frequencies": frequencies}
    arrays, _ = enter(operation.arguments, {**values, "gain": gain, "epsilon": epsilon})
    return operation.twin("cpu")(*arrays.values(), KINDS[kind])  # type: ignore[no-any-return]
