"""Loss and gradient of a memory whose hidden vectors are normalised, by the Jacobians as the equations have them."""

from __future__ import annotations

import numpy as np

from ..arrays import Labels, Matrix, Vector
from .loss import loss
from .softmax import one_hot, softmax


def normalised_gradient(
    weights: Matrix, inputs: Matrix, outputs: Matrix, targets: Labels, frequencies: Vector, gain: float, epsilon: float,
    kind: str = "unit",
) -> tuple[float, Matrix, float]:  # fmt: skip
    """Return the loss at the scores g n U^T, its gradient by W (d, d), and by the gain g."""
    hidden = inputs @ weights.T
    normal, jacobian = normalised(hidden, frequencies, epsilon, kind)
    scores = gain * normal @ outputs.T
    residual = softmax(scores) - one_hot(targets, len(outputs))
    pull = frequencies[:, None] * residual @ outputs
    gradient = gain * np.einsum("yj,yjxi,xk->ik", pull, jacobian, inputs)
    return loss(scores, targets, frequencies), gradient, float(np.sum(pull * normal))


def normalised(hidden: Matrix, frequencies: Vector, epsilon: float, kind: str) -> tuple[Matrix, Matrix]:
    """Return n (N, d) and its derivatives dn_yj / dh_xi, (N, d, N, d)."""
    count, dim = hidden.shape
    tokens, entries = np.eye(count), np.eye(dim)
    if kind == "none":
        return hidden, np.einsum("yx,ji->yjxi", tokens, entries)
    if kind == "batch":
        centring = tokens - frequencies[None, :]  # (y, x)
        centred = centring @ hidden
        root = np.sqrt(dim * frequencies @ centred**2 + epsilon)
        change = np.einsum("yx,i->yxi", tokens, 1.0 / root)
        change -= dim * np.einsum("yi,x,xi,i->yxi", centred, frequencies, centred, root**-3)
        return centred / root, np.einsum("yzi,zx,ji->yjxi", change, centring, entries)
    centring = entries - 1.0 / dim if kind == "layer" else entries
    centred = hidden @ centring
    root = np.sqrt(np.sum(centred**2, axis=1) + epsilon)
    change = np.einsum("x,ji->xji", 1.0 / root, entries) - np.einsum("x,xj,xi->xji", root**-3, centred, centred)
    return centred / root[:, None], np.einsum("yx,yjk,ki->yjxi", tokens, change, centring)
