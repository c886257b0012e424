"""Product of the Hessian with a direction."""

from __future__ import annotations

from ..arrays import Labels, Matrix, Vector
from .hessian import hessian


def hessian_vector_product(
    weights: Matrix, direction: Matrix, inputs: Matrix, outputs: Matrix, targets: Labels, frequencies: Vector
) -> Matrix:
    """Return H vec(V) as a matrix, (d, d), with H of equation (26)."""
    product = hessian(weights, inputs, outputs, targets, frequencies) @ direction.reshape(-1)
    return product.reshape(weights.shape)
