"""Numbers of the paper's figures and closed forms, to their last printed digit."""

from __future__ import annotations

import math

import numpy as np
import pytest

from traindyn import kernels

OUTPUTS = np.eye(2)


def two_tokens(alpha):
    return np.array([[1.0, 0.0], [alpha, math.sqrt(1 - alpha**2)]])


def along(gamma):
    """W = (u_1 - u_2) (x) gamma / 2: the first token's margin is <gamma, e_1>, the second's -<gamma, e_2>."""
    return 0.5 * np.outer(OUTPUTS[0] - OUTPUTS[1], gamma)


@pytest.mark.parametrize("alpha", [-0.5, 0.0, 0.5, 0.95])
@pytest.mark.parametrize("p", [0.5, 0.75, 0.99])
def test_sharpness_of_two_tokens_at_zero(alpha, p):
    want = 0.25 * (1 + math.sqrt(1 - 4 * p * (1 - p) * (1 - alpha**2)))
    memory = (np.zeros((2, 2)), two_tokens(alpha), OUTPUTS, [0, 1], [p, 1 - p])
    assert kernels.sharpness(*memory) == pytest.approx(want, rel=1e-14)
    assert kernels.largest_eigenvalue(*memory).value == pytest.approx(want, rel=1e-14)


def test_sharpness_of_figure_two_at_zero():
    value = kernels.sharpness(np.zeros((2, 2)), two_tokens(0.95), OUTPUTS, [0, 1], [0.75, 0.25])
    assert round(value, 6) == 0.490686


@pytest.mark.parametrize(
    ("alpha", "gamma", "loss", "digits"),
    [
        (-0.5, (1, -1), 0.2917539, 7),
        (-0.5, (5, -5), 0.0053065, 7),
        (-0.5, (-10, 10), 10.9151, 4),
        (0.95, (5, -5), 0.8123232, 7),
        (0.95, (10, -10), 1.5948338, 7),
        (0.95, (5, 5), 1.5833024, 7),
        (0.95, (-10, 10), 7.5004585, 7),
        (0.95, (0, 0), 0.6931472, 7),
    ],
)
def test_loss_landscape_of_figure_one(alpha, gamma, loss, digits):
    memory = (two_tokens(alpha), OUTPUTS, [0, 1], [0.75, 0.25])
    found, _ = kernels.softmax_gradient(along(gamma), *memory)
    assert found == pytest.approx(loss, abs=1.01 * 10**-digits)


def test_spikes_of_figure_two():
    inputs, p = two_tokens(0.95), [0.75, 0.25]
    scores, losses, accuracies = np.zeros((2, 2)), [], []
    for _ in range(35):
        losses.append(kernels.loss(scores, [0, 1], p))
        accuracies.append(kernels.accuracy(scores, [0, 1], p))
        scores = kernels.particle_step(scores, inputs @ inputs.T, OUTPUTS @ OUTPUTS.T, [0, 1], p, 10.0)
    known = [math.log(2), 1.16314, 0.49763, 0.75285, 0.6438, 1.34866, 0.28957, 0.33431, 0.55868, 0.35716, 0.61967]
    known += [0.22529, 0.27614, 0.20254, 0.21597, 0.1472]
    np.testing.assert_allclose(losses[:16], known, rtol=0, atol=1.01e-5)
    assert losses[34] == pytest.approx(0.05424, abs=1.01e-5)
    assert int(np.argmax(losses)) == 5
    assert accuracies[1:16] == [0.75, 1, 0.75, 0.25, 0.75, 0.75, 1, 0.75, 1, 0.75, 1, 0.75, 1, 0.75, 1]
    assert accuracies[15:] == [1.0] * 20


def test_three_tokens_at_the_minimiser_that_forgets_the_first():
    inputs = np.array([[-1.0, 0.0], [-math.sqrt(3) / 2, -0.5], [math.sqrt(3) / 2, -0.5]])
    weights, targets, p = along((0.255353, 0.606641)), [0, 1, 0], [0.40, 0.35, 0.25]
    memory = (weights, inputs, OUTPUTS, targets, p)
    loss, gradient = kernels.softmax_gradient(*memory)
    assert loss == pytest.approx(0.6780700, abs=1.01e-7)
    assert abs(gradient).max() < 1e-6
    assert kernels.sharpness(*memory) == pytest.approx(0.413812, abs=1.01e-6)
    scores = kernels.scores(weights, inputs, OUTPUTS)
    np.testing.assert_allclose(kernels.margins(scores, targets), [-0.255353, 0.524463, -0.082178], atol=1.6e-6)
    assert kernels.accuracy(scores, targets, p) == pytest.approx(0.35, abs=1e-15)
