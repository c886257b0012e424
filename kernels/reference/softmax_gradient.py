"""Loss and its gradient with respect to the weights."""

from __future__ import annotations

import numpy as np

from ..arrays import Labels, Matrix, Vector
from .loss import loss
from .scores import scores
from .softmax import one_hot, softmax


def softmax_gradient(
    weights: Matrix, inputs: Matrix, outputs: Matrix, targets: Labels, frequencies: Vector
) -> tuple[float, Matrix]:
    """Return the loss and sum_x p(x) sum_z (P_xz - Y_xz) u_z e_x^T, (d, d), equation (9)."""
    all_scores = scores(weights, inputs, outputs)
    residual = softmax(all_scores) - one_hot(targets, len(outputs))
    gradient = np.einsum("x,xz,zi,xj->ij", frequencies, residual, outputs, inputs)
    return loss(all_scores, targets, frequencies), gradient
