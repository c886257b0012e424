"""Loss and its gradients with respect to the factors of W = A B^T."""

from __future__ import annotations

from ..arrays import Labels, Matrix, Vector
from .softmax_gradient import softmax_gradient


def factorised_gradient(
    left: Matrix, right: Matrix, inputs: Matrix, outputs: Matrix, targets: Labels, frequencies: Vector
) -> tuple[float, Matrix, Matrix]:
    """Return the loss and, with G its gradient with respect to W = A B^T, G B and G^T A, both (d, r)."""
    loss, gradient = softmax_gradient(left @ right.T, inputs, outputs, targets, frequencies)
    return loss, gradient @ right, gradient.T @ left
