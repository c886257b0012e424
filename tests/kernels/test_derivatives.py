"""Loss, gradient and Hessian against each other by finite differences, and the orientation of all matrices.

Central differences in the step h = 1e-5 err by h^2 / 6 times a third derivative of order 1, and by rounding / h, 2e-11.
"""

from __future__ import annotations

import numpy as np
import pytest

from traindyn import kernels

SIZES = [(4, 3, 3), (2, 2, 2), (5, 2, 4), (2, 5, 4), (3, 3, 1)]
STEP = 1e-5


def differences(function, weights):
    """The derivative of `function` along each entry of the weights, row-major."""
    columns = []
    for index in np.ndindex(weights.shape):
        step = np.zeros_like(weights)
        step[index] = STEP
        columns.append((np.asarray(function(weights + step)) - np.asarray(function(weights - step))) / (2 * STEP))
    return np.array(columns)


@pytest.mark.parametrize("size", SIZES)
def test_gradient_is_the_derivative_of_the_loss(size, memory):
    weights, *rest = memory(*size)
    inputs, outputs, targets, frequencies = rest
    loss, gradient = kernels.softmax_gradient(weights, *rest)
    assert loss == pytest.approx(
        kernels.loss(kernels.scores(weights, inputs, outputs), targets, frequencies), rel=1e-14
    )
    numeric = differences(lambda w: kernels.softmax_gradient(w, *rest)[0], weights)
    np.testing.assert_allclose(gradient.ravel(), numeric, rtol=0, atol=1e-9)


@pytest.mark.parametrize("size", SIZES)
def test_hessian_is_the_derivative_of_the_gradient(size, memory):
    weights, *rest = memory(*size)
    numeric = differences(lambda w: kernels.softmax_gradient(w, *rest)[1].ravel(), weights)
    np.testing.assert_allclose(kernels.hessian(weights, *rest), numeric, rtol=0, atol=1e-8)


@pytest.mark.parametrize("size", [*SIZES, (12, 7, 9)])
def test_product_is_the_dense_hessian_times_the_direction(size, memory):
    weights, *rest = memory(*size)
    direction = np.random.default_rng(1).normal(size=weights.shape)
    dense = kernels.hessian(weights, *rest)
    product = kernels.hessian_vector_product(weights, direction, *rest)
    np.testing.assert_allclose(product.ravel(), dense @ direction.ravel(), rtol=0, atol=1e-13 * abs(dense).max() * 81)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("degenerate", [False, True])
def test_hessian_is_symmetric_and_positive(size, degenerate, memory):
    dense = kernels.hessian(*memory(*size, degenerate=degenerate))
    np.testing.assert_array_equal(dense, dense.T)
    assert np.linalg.eigvalsh(dense)[0] >= -1e-14 * max(1.0, abs(dense).max())


def test_kronecker_order_is_outputs_then_inputs(memory):
    weights, inputs, outputs, targets, _ = memory(1, 4, 3)
    dense = kernels.hessian(weights, inputs, outputs, targets, [1.0])
    row = np.exp(inputs[0] @ weights.T @ outputs.T)
    row /= row.sum()
    covariance = outputs.T @ (np.diag(row) - np.outer(row, row)) @ outputs
    square = np.outer(inputs[0], inputs[0])
    np.testing.assert_allclose(dense, np.kron(covariance, square), rtol=0, atol=1e-14)
    assert abs(dense - np.kron(square, covariance)).max() > 0.1


def test_scores_read_weights_from_input_to_output():
    weights = np.zeros((3, 3))
    weights[2, 0] = 1.0  # u = third axis, e = first axis
    scores = kernels.scores(weights, inputs=np.eye(3), outputs=np.eye(3))
    assert scores[0, 2] == 1.0
    assert scores.sum() == 1.0


@pytest.mark.parametrize("size", [(4, 3, 3), (3, 6, 5), (6, 3, 5)])
def test_particles_move_as_the_weights_do(size, memory):
    """Theorem 1, with embeddings that are not orthogonal, over 50 steps."""
    weights, inputs, outputs, targets, frequencies = memory(*size)
    scores = kernels.scores(weights, inputs, outputs)
    for _ in range(50):
        _, gradient = kernels.softmax_gradient(weights, inputs, outputs, targets, frequencies)
        weights = weights - 0.1 * gradient
        scores = kernels.particle_step(scores, inputs @ inputs.T, outputs @ outputs.T, targets, frequencies, 0.1)
    expected = kernels.scores(weights, inputs, outputs)
    np.testing.assert_allclose(scores, expected, rtol=0, atol=1e-12 * abs(expected).max())


def test_gradient_stays_in_the_span_of_the_data(memory):
    """Equation (9): rows in the span of the inputs, columns in the span of differences of outputs."""
    weights, inputs, outputs, targets, frequencies = memory(2, 3, 5)
    _, gradient = kernels.softmax_gradient(weights, inputs, outputs, targets, frequencies)
    rows = np.eye(5) - np.linalg.pinv(inputs) @ inputs
    spread = outputs[1:] - outputs[0]
    columns = np.eye(5) - np.linalg.pinv(spread) @ spread
    assert abs(gradient @ rows).max() < 1e-14
    assert abs(columns @ gradient).max() < 1e-14


def test_permuting_tokens_and_rotating_embeddings_changes_nothing(memory):
    weights, inputs, outputs, targets, frequencies = memory(5, 4, 3)
    loss, gradient = kernels.softmax_gradient(weights, inputs, outputs, targets, frequencies)
    order = [3, 0, 4, 1, 2]
    again = kernels.softmax_gradient(weights, inputs[order], outputs, targets[order], frequencies[order])
    np.testing.assert_allclose(again[1], gradient, rtol=0, atol=1e-15)
    left, right = (np.linalg.qr(np.random.default_rng(s).normal(size=(3, 3)))[0] for s in (1, 2))
    turned = kernels.softmax_gradient(
        left @ weights @ right.T, inputs @ right.T, outputs @ left.T, targets, frequencies
    )
    assert turned[0] == pytest.approx(loss, rel=1e-14)
    np.testing.assert_allclose(turned[1], left @ gradient @ right.T, rtol=0, atol=1e-14)
