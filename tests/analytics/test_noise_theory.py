"""Minimum, flow and rest of memories with noisy labels, and the swing of two tokens under batches."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import digamma, polygamma

import traindyn as td
from traindyn import analytics
from traindyn.errors import InputError
from traindyn.kernels import hessian


def hessian_at(memory: td.AssociativeMemory, weights: np.ndarray) -> np.ndarray:
    return hessian(weights, memory.inputs, memory.outputs, memory.targets, memory.frequencies)


@pytest.mark.parametrize("rho", [0.01, 0.2])
def test_the_minimum_has_the_predicted_margins_whatever_the_correlations(rho: float) -> None:
    memory = td.AssociativeMemory.random(4, 3, 6, frequencies="zipf", rng=3, output_embedding="sphere")
    noisy = memory.with_label_noise(rho)
    least = analytics.minimise(noisy)
    scores = memory.scores(least.weights)
    own = scores[np.arange(4), memory.targets][:, None] - scores
    own = own[own != 0.0]
    np.testing.assert_allclose(own, analytics.label_noise_margin(rho, 3), rtol=0, atol=1e-6)
    assert least.loss == pytest.approx(analytics.label_noise_loss(rho, 3), rel=1e-10)


def test_the_flow_of_an_orthogonal_token_is_the_closed_form() -> None:
    rho, classes = 0.05, 4
    memory = td.AssociativeMemory.random(3, classes, 8, "orthonormal", (0.5, 0.3, 0.2), rng=0)
    run = td.simulate(memory.with_label_noise(rho), td.GradientFlow(), time=3000.0)
    clock = run.time[:, None] * memory.frequencies
    expected = analytics.label_noise_flow_margin(clock, classes, rho)
    np.testing.assert_allclose(run["margin"][:, :3], expected, rtol=0, atol=1e-7)
    assert expected[-1, 0] == pytest.approx(analytics.label_noise_margin(rho, classes), abs=1e-6)


def test_the_flow_without_noise_is_the_limit() -> None:
    clock = np.geomspace(1e-3, 1e3, 7)
    nearly = analytics.label_noise_flow_margin(clock, 3, 1e-12)
    np.testing.assert_allclose(nearly, analytics.tied_flow_margin(clock, 3), rtol=0, atol=1e-8)


def test_information_equality_at_the_minimum_with_noisy_labels() -> None:
    noisy = td.AssociativeMemory.random(3, 3, 4, frequencies="zipf", rng=5).with_label_noise(0.1)
    least = analytics.minimise(noisy).weights
    curvature = hessian_at(noisy, least)
    noise = analytics.gradient_noise_covariance(noisy, least)
    np.testing.assert_allclose(noise, curvature, rtol=0, atol=1e-8)
    rest = analytics.stationary_covariance(curvature, noise, 0.7, 4)
    rate = 0.7 / 4
    np.testing.assert_allclose(
        curvature @ rest + rest @ curvature - 0.7 * curvature @ rest @ curvature, rate * noise, rtol=0, atol=1e-8
    )
    values, axes = np.linalg.eigh(curvature)
    kept = values > 1e-9
    expected = (axes[:, kept] * (rate / (2.0 - 0.7 * values[kept]))) @ axes[:, kept].T
    np.testing.assert_allclose(rest, expected, rtol=0, atol=1e-7)


def test_noise_covariance_is_that_of_single_samples() -> None:
    memory = td.AssociativeMemory.random(4, 3, 3, "gaussian", "zipf", rng=2)
    weights = np.random.default_rng(1).standard_normal((3, 3))
    single = []
    for x in range(4):
        alone = td.AssociativeMemory(memory.inputs[x : x + 1], memory.outputs, memory.targets[x : x + 1], [1.0])
        single.append(alone.loss_and_gradient(weights)[1].ravel())
    expected = np.cov(np.array(single).T, aweights=memory.frequencies, ddof=0)
    np.testing.assert_allclose(analytics.gradient_noise_covariance(memory, weights), expected, rtol=0, atol=1e-14)


def test_minibatches_come_to_rest_as_the_linear_theory_says() -> None:
    rate, batch, rho = 0.8, 16, 0.2
    noisy = td.AssociativeMemory.two_tokens(0.5, (0.75, 0.25)).with_label_noise(rho)
    least = analytics.minimise(noisy).weights
    rest = analytics.stationary_covariance(
        hessian_at(noisy, least), analytics.gradient_noise_covariance(noisy, least), rate, batch
    )
    contrast = np.array([1.0, -1.0])
    axes = [np.outer(contrast, direction).ravel() / 2 for direction in
            (noisy.inputs[0] + noisy.inputs[1], noisy.inputs[0] - noisy.inputs[1])]  # fmt: skip
    runs = [
        td.simulate(noisy, td.StochasticGradientDescent(rate, batch), steps=40_000, rng=seed, observe=("margin",))
        for seed in range(4)
    ]
    margins = np.array([run["margin"][4000:, :2] for run in runs])
    modes = (margins[..., 0] - margins[..., 1]) / 2, (margins[..., 0] + margins[..., 1]) / 2
    for axis, mode in zip(axes, modes, strict=True):
        # 144000 steps at relaxation times of 6 and 40 steps: 2 % and 4 %; the gradient is linear to eta c/2B = 5 %
        assert mode.std() == pytest.approx(np.sqrt(axis @ rest @ axis), rel=0.07)


def test_the_law_of_one_token_is_the_logit_of_a_beta_variable() -> None:
    for rho, step, batch in ((0.2, 0.5, 1), (0.01, 2.0, 16), (0.1, 4.0, 2)):
        heat = step * rho * (1 - rho) / (2 * batch)
        mean, deviation = analytics.label_noise_equilibrium(rho, step, batch)
        assert mean == pytest.approx(digamma((1 - rho) / heat) - digamma(rho / heat), rel=1e-8)
        assert deviation**2 == pytest.approx(polygamma(1, (1 - rho) / heat) + polygamma(1, rho / heat), rel=1e-8)


def test_the_law_of_one_token_among_others_is_that_of_the_flow() -> None:
    noisy = td.AssociativeMemory.two_tokens(0.0, (0.8, 0.2)).with_label_noise(0.2)
    rule = td.StochasticGradientFlow(td.GradientNoise(1, 2.0), dt=0.2)
    results = [td.simulate(noisy, rule, steps=150_000, rng=seed, observe=("margin",)) for seed in range(24)]
    margins = np.concatenate([run["margin"][5000:, :2] for run in results])
    # deviations have standard errors of 0.02 and 0.05 (from the spread of the runs), means of 0.02 and 0.03; without
    # the gradients' part of the noise both deviations would be 1.97
    for token, frequency, error in ((0, 0.8, 0.02), (1, 0.2, 0.05)):
        mean, deviation = analytics.label_noise_equilibrium(0.2, 4.0, 1, frequency)
        assert margins[:, token].mean() == pytest.approx(mean, abs=5 * error)
        assert margins[:, token].std() == pytest.approx(deviation, abs=4 * error)


def test_the_tilt_under_batches_swings_as_predicted() -> None:
    # without correlation a = 1 drops out of the law; at 0.5 it is 3, and the law is 1.34 times as large
    for correlation, rate in ((0.0, 0.5), (0.0, 2.0), (0.5, 2.0)):
        memory, ends = td.AssociativeMemory.two_tokens(correlation, (0.6, 0.4)), []
        for seed in range(300):
            run = td.simulate(memory, td.StochasticGradientDescent(rate, 2), steps=2000, rng=seed, save=td.at([]))
            ends.append((run["margin"][-1, 0] - run["margin"][-1, 1]) / 2)
        expected = analytics.minibatch_tilt_spread(correlation, (0.6, 0.4), 2, 2000)
        # 300 seeds know a deviation to 4 %
        assert np.std(ends, ddof=1) == pytest.approx(float(expected), rel=0.16)


def test_what_is_refused() -> None:
    curvature = np.diag([1.0, 0.5])
    cases = [
        (lambda: analytics.label_noise_margin(0.0), "strictly between 0 and 1"),
        (lambda: analytics.label_noise_loss(0.1, 1), "integer of at least 2"),
        (lambda: analytics.label_noise_flow_margin(1.0, 2, 0.1, 3.0), "below the margin of the minimum"),
        (lambda: analytics.stationary_covariance(curvature, curvature, 2.0), "pass less than 2"),
        (lambda: analytics.stationary_covariance(np.diag([1.0, 0.0]), curvature, 1.0), "range of the hessian"),
        (lambda: analytics.stationary_covariance(curvature, np.eye(3), 1.0), "of one shape"),
        (lambda: analytics.stationary_covariance(curvature, curvature, 1.0, 0), "batch_size must be at least 1"),
        (lambda: analytics.gradient_noise_covariance(td.AssociativeMemory.two_tokens(), np.eye(3)), "must have shape"),
        (lambda: analytics.label_noise_equilibrium(0.1, 0.0), "step > 0"),
        (lambda: analytics.label_noise_equilibrium(1.0, 1.0), "strictly between 0 and 1"),
        (lambda: analytics.minibatch_tilt_spread(-0.5, (0.7, 0.3), 1, 10), "above -1/3"),
        (lambda: analytics.minibatch_tilt_spread(0.5, (0.7, 0.3), 0, 10), "batch_size must be at least 1"),
        (lambda: analytics.minibatch_tilt_spread(0.5, (0.7, 0.3), np.nan, 10), "batch_size must be finite"),
        (lambda: analytics.label_noise_margin(0.1, np.nan), "n_classes must be finite"),
        (lambda: analytics.label_noise_margin("much"), "label_noise must be real numbers"),
        (lambda: analytics.label_noise_equilibrium(0.1, "large"), "step must be real numbers"),
        (lambda: analytics.stationary_covariance(np.zeros((2, 2)), np.zeros((2, 2)), 1.0), "and not zero"),
        (lambda: analytics.stationary_covariance(np.diag([1.0, -1.0]), curvature, 1.0), "positive semi-definite"),
        (lambda: analytics.stationary_covariance([[1.0, 1.0], [0.0, 1.0]], curvature, 1.0), "must be symmetric"),
        (lambda: analytics.stationary_covariance(curvature, curvature, 1.0, np.nan), "batch_size must be finite"),
    ]
    for call, message in cases:
        with pytest.raises(InputError, match=message):
            call()


@pytest.mark.parametrize("correlation", [-0.5, 0.9])
def test_equal_tokens_with_noisy_inputs_are_gaussian_classes(correlation: float) -> None:
    memory = td.AssociativeMemory.two_tokens(correlation, (0.5, 0.5))
    found = analytics.noisy_input_minimum(memory, 0.3)
    np.testing.assert_allclose(found.margins, (1 - correlation) / 0.09, rtol=1e-6)
    scores = memory.scores(found.weights)
    np.testing.assert_allclose([scores[0, 0] - scores[0, 1], scores[1, 1] - scores[1, 0]], found.margins, rtol=1e-12)


@pytest.mark.parametrize("noise", [100.0, 0.1, 0.05, 0.02])
def test_little_and_much_input_noise(noise: float) -> None:
    # at 0.02 the loss is below 1e-130
    found = analytics.noisy_input_minimum(td.AssociativeMemory.two_tokens(0.5, (0.5, 0.5)), noise)
    np.testing.assert_allclose(found.margins, 0.5 / noise**2, rtol=1e-6)
    assert found.gradient_norm < 1e-5


def test_the_minimum_under_noisy_inputs_is_that_of_samples() -> None:
    memory = td.AssociativeMemory.random(4, 2, 3, "gaussian", "zipf", rng=1, output_embedding="gaussian")
    found = analytics.noisy_input_minimum(memory, 0.5)
    copies, points = 50_000, np.random.default_rng(0).standard_normal((25_000, 3))
    points = np.concatenate([points, -points])
    inputs = (memory.inputs[:, None] + 0.5 * points).reshape(-1, 3)
    sample = td.AssociativeMemory(
        inputs, memory.outputs, np.repeat(memory.targets, copies), np.repeat(memory.frequencies / copies, copies)
    )
    loss, slope = sample.loss_and_gradient(found.weights)
    # 50000 samples in opposite pairs: the mean of a loss of deviation 1 is known to 0.005
    assert loss == pytest.approx(found.loss, abs=0.005)
    assert np.abs(slope).max() < 0.01 * np.abs(sample.loss_and_gradient(0.0 * found.weights)[1]).max()
    assert found.gradient_norm < 1e-8


def test_what_noisy_inputs_refuse() -> None:
    with pytest.raises(InputError, match="for two classes"):
        analytics.noisy_input_minimum(td.AssociativeMemory.random(3, 3, 3), 0.1)
    with pytest.raises(InputError, match="input_noise must be positive"):
        analytics.noisy_input_minimum(td.AssociativeMemory.two_tokens(), 0.0)
    with pytest.raises(InputError, match="input_noise must be real numbers"):
        analytics.noisy_input_minimum(td.AssociativeMemory.two_tokens(), "some")
    with pytest.raises(InputError, match="within the range of float64"):
        analytics.noisy_input_minimum(td.AssociativeMemory.two_tokens(), 1e-3)
