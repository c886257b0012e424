"""The weight matrix of a binary orthogonal memory, put together from its margins."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from ..errors import InputError
from .arguments import Floats, finite


def binary_weights(
    margins: ArrayLike, inputs: ArrayLike, outputs: ArrayLike, targets: ArrayLike, initial: ArrayLike | None = None
) -> Floats:
    r"""Return the weights that have given margins and the initial weights' component outside the gradient span.

    $$W_t = \sum_x m_t(x)\, \frac{u_{f(x)} - u_{\bar f(x)}}{\|u_1-u_2\|^2} \otimes \frac{e_x}{\|e_x\|^2}
       + \Pi_\perp W_0,\qquad \Pi_\perp W_0 = W_0 - v v^\top W_0 P,$$

    where $\bar f(x)$ is the other class, v the unit vector along $u_1-u_2$ and P the projection on the inputs.

    Parameters
    ----------
    margins : array-like, shape (N,)
        $m_t(x) = (u_{f(x)} - u_{\bar f(x)})^\top W_t e_x$.
    inputs : array-like, shape (N, d)
        Orthogonal, not zero.
    outputs : array-like, shape (2, d)
        Two different class embeddings.
    targets : array-like of int, shape (N,)
        f(x), 0 or 1.
    initial : array-like, shape (d, d), optional
        W_0 (default 0).

    Returns
    -------
    array (d, d), the weights; score of class y on token x is `outputs[y] @ weights @ inputs[x]`.

    Raises
    ------
    InputError: shapes that disagree, more than two classes, inputs that are not orthogonal, equal outputs.

    Cost: O(N d^2 + d^2).

    Source: Cabannes et al. 2024, eq. (14), which has $u_1 - u_2$ for every token and so the wrong sign where
    $f(x) = 2$ (errata T2.1). For the dynamics (6) it needs noise inside the gradient span.

    >>> binary_weights([1.0, 2.0], [[1, 0], [0, 1]], [[1, 0], [0, 1]], [0, 1]).tolist()
    [[0.5, -1.0], [-0.5, 1.0]]
    """
    m, e, u = finite("margins", margins), finite("inputs", inputs), finite("outputs", outputs)
    if e.ndim != 2 or u.shape != (2, e.shape[1]) or m.shape != e.shape[:1]:
        raise InputError("margins (N,), inputs (N, d) and outputs (2, d) must agree", (m.shape, e.shape, u.shape))
    labels = np.asarray(targets)
    if labels.shape != m.shape or not np.isin(labels, (0, 1)).all():
        raise InputError("targets must be N labels, each 0 or 1", labels.tolist())
    gram = e @ e.T
    norms = np.diag(gram)
    gap = u[0] - u[1]
    distance = float(gap @ gap)
    if distance == 0.0 or (norms == 0.0).any():
        raise InputError("the two outputs must differ and no input may be zero", distance)
    cosine = np.abs(gram / np.sqrt(np.outer(norms, norms)) - np.eye(len(e))).max()
    if cosine > 1e-9:
        raise InputError("inputs must be orthogonal", f"largest cosine {cosine:.3g}", "orthogonalise the inputs")
    sign = np.where(labels == 0, 1.0, -1.0)
    weights = np.outer(gap / distance, (sign * m / norms) @ e)
    if initial is None:
        return weights
    start = finite("initial", initial)
    if start.shape != weights.shape:
        raise InputError("initial must have shape (d, d)", start.shape)
    inside = np.outer(gap / distance, ((gap @ start @ e.T) / norms) @ e)
    return weights + (start - inside)
