"""Coordinates and velocities of two correlated tokens against the raw gradient in W."""

import numpy as np
import pytest

from traindyn import TraindynError, analytics


def raw_problem(correlation, squared_distance, rng):
    """Inputs, outputs (text convention: score = u^T W e) with the given correlation and |u1 - u2|^2 in dimension 5."""
    basis = np.linalg.qr(rng.normal(size=(5, 5)))[0]
    inputs = np.stack([basis[0], correlation * basis[0] + np.sqrt(1 - correlation**2) * basis[1]])
    centre = rng.normal(size=5)
    half = 0.5 * np.sqrt(squared_distance) * basis[3]
    return inputs, np.stack([centre + half, centre - half])


def raw_gradient(weights, inputs, outputs, frequencies):
    scores = inputs @ weights.T @ outputs.T
    odds = np.exp(scores - scores.max(axis=1, keepdims=True))
    pull = odds / odds.sum(axis=1, keepdims=True) - np.eye(2)
    return outputs.T @ pull.T @ (np.asarray(frequencies)[:, None] * inputs)


def raw_margins(weights, inputs, outputs):
    return np.array([(outputs[i] - outputs[1 - i]) @ weights @ inputs[i] for i in (0, 1)])


@pytest.mark.parametrize("correlation", [-0.9, -0.3, 0.0, 0.4, 0.95])
@pytest.mark.parametrize("squared_distance", [0.1, 2.0, 7.0])
def test_velocities_are_those_of_the_raw_gradient(correlation, squared_distance):
    rng = np.random.default_rng(1)
    frequencies = (0.8, 0.2)
    inputs, outputs = raw_problem(correlation, squared_distance, rng)
    weights = rng.normal(size=(5, 5))
    margins = raw_margins(weights, inputs, outputs)
    measured = raw_margins(-raw_gradient(weights, inputs, outputs, frequencies), inputs, outputs)
    velocity = analytics.margin_velocity(margins, correlation, frequencies, squared_distance)
    np.testing.assert_allclose(velocity, measured, rtol=1e-12, atol=1e-14)
    tilt, mean = analytics.modes_from_margins(margins)
    modes = analytics.mode_velocity(tilt, mean, correlation, frequencies, squared_distance)
    np.testing.assert_allclose(modes, analytics.modes_from_margins(measured), rtol=1e-12, atol=1e-14)


def test_modes_and_margins_are_inverse_of_each_other():
    margins = np.random.default_rng(2).normal(size=(7, 2))
    np.testing.assert_allclose(
        analytics.margins_from_modes(*analytics.modes_from_margins(margins)), margins, rtol=0, atol=1e-15
    )


@pytest.mark.parametrize("tilt", [-700.0, -3.0, 0.3, 2.0, 700.0])
@pytest.mark.parametrize("mean", [0.0, 0.5, 300.0])
def test_turning_level_is_where_the_tilt_turns(tilt, mean):
    frequencies = (0.7, 0.3)
    speed, _ = analytics.mode_velocity(tilt, mean, 0.3, frequencies)
    gap = analytics.turning_level(mean, frequencies) - np.sinh(tilt - analytics.limiting_tilt(frequencies))
    assert np.sign(speed) in (np.sign(gap), 0.0)


def test_velocities_are_finite_for_huge_margins():
    with np.errstate(all="raise", under="ignore"):
        velocity = analytics.margin_velocity([-1e300, 1e300], 0.5, (0.75, 0.25))
    np.testing.assert_array_equal(velocity, [1.5, -0.75])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((1.0, (0.7, 0.3)), "strictly between -1 and 1"),
        ((-1.0, (0.7, 0.3)), "strictly between -1 and 1"),
        ((float("nan"), (0.7, 0.3)), "strictly between -1 and 1"),
        ((0.5, (0.3, 0.7)), "swap the tokens"),
        ((0.5, (0.7, 0.4)), "sum to one"),
        ((0.5, (0.7,)), "pair"),
        ((0.5, (1.0, 0.0)), "positive"),
    ],
)
def test_bad_input_is_refused(arguments, words):
    with pytest.raises(TraindynError, match=words):
        analytics.flow_tilt_bounds(*arguments)


def test_bad_rates_times_and_shapes_are_refused():
    with pytest.raises(TraindynError, match="learning_rate must be positive"):
        analytics.descent_tilt_bounds(0.5, (0.7, 0.3), 0.0)
    with pytest.raises(TraindynError, match="time must be finite and not negative"):
        analytics.flow_mean_margin_bounds([-1.0], 0.5, (0.7, 0.3))
    with pytest.raises(TraindynError, match="squared_distance"):
        analytics.flow_mean_margin_bounds([1.0], 0.5, (0.7, 0.3), -2.0)
    with pytest.raises(TraindynError, match=r"shape \(\.\.\., 2\)"):
        analytics.modes_from_margins([1.0, 2.0, 3.0])
    with pytest.raises(TraindynError, match="correlation >= 0"):
        analytics.alignment_constant(-0.5, (0.7, 0.3))
    with pytest.raises(TraindynError, match="must exceed p_2"):
        analytics.first_step_threshold(0.2, (0.7, 0.3))
