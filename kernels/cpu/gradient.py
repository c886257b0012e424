"""Loss and gradient with respect to the weights."""

from __future__ import annotations

from ..arrays import Labels, Matrix, Vector
from ..compile import compiled
from .scores import gather, scores
from .tokens import residual_in_place


@compiled()
def softmax_gradient(
    weights: Matrix, inputs: Matrix, outputs: Matrix, targets: Labels, frequencies: Vector
) -> tuple[float, Matrix]:
    """Return the loss and sum_(x,z) p(x) (P_xz - Y_xz) u_z e_x^T, (d, d)."""
    residual = scores(weights, inputs, outputs)
    loss = residual_in_place(residual, targets, frequencies)
    return loss, gather(residual, inputs, outputs)
