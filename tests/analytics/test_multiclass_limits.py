"""Theorem 3: limit direction, second-order expansion, slow mode, tightest margin, one step."""

from types import SimpleNamespace

import numpy as np
import pytest

from traindyn import analytics


def memory(n_tokens, n_classes, dim, seed=0):
    rng = np.random.default_rng(seed)
    frequencies = rng.dirichlet(np.ones(n_tokens))
    return SimpleNamespace(
        inputs=np.linalg.qr(rng.normal(size=(dim, dim)))[0][:n_tokens],
        outputs=np.linalg.qr(rng.normal(size=(dim, dim)))[0][:n_classes],
        targets=rng.integers(n_classes, size=n_tokens),
        frequencies=frequencies,
    )


def exact_weights(problem, time, initial):
    """Weights of the flow from W_0, token by token from the exact scores (W moves in the gradients' span)."""
    weights = np.array(initial, dtype=float)
    for e, f, p in zip(problem.inputs, problem.targets, problem.frequencies, strict=True):
        order = [f, *[y for y in range(len(problem.outputs)) if y != f]]
        start = problem.outputs[order] @ initial @ e
        moved = analytics.multiclass_flow(p * time, start) - start
        weights += np.outer(moved @ problem.outputs[order], e)
    return weights


def test_projected_outputs_have_squared_norm_one_minus_one_over_m():
    for n_classes in (2, 3, 10):
        problem = memory(2, n_classes, 12)
        squares = np.sum(analytics.projected_outputs(problem.outputs) ** 2, axis=1)
        np.testing.assert_allclose(squares, 1 - 1 / n_classes, rtol=1e-13)


@pytest.mark.parametrize("n_classes", [2, 3, 10])
def test_second_order_expansion(n_classes):
    problem = memory(4, n_classes, 11, seed=n_classes)
    start = np.random.default_rng(1).normal(size=(11, 11))
    # the remainder is Theta(t^{-1/M}): at t = 1e250 it is below 1e-22 for M = 10
    weights = exact_weights(problem, 1e250, start)
    np.testing.assert_allclose(weights, analytics.asymptotic_weights(problem, 1e250, start), atol=1e-9)
    limit = analytics.limit_direction(problem)
    coefficient = np.vdot(weights, limit) / np.vdot(limit, limit) / np.log(1e250)
    assert coefficient == pytest.approx(1.0, abs=0.05)  # the paper's constant (M-1)/(sqrt 2 M) is below 0.7


def test_printed_constants_of_the_first_order_term():
    # spec: W_t / (log t W_inf) = 1 + log(M)/log t for p = 1 at log t = 10
    for n_classes, value in ((2, 1.069), (3, 1.110), (5, 1.161)):
        margin = float(analytics.tied_flow_margin(np.exp(10.0), n_classes))
        assert margin / 10.0 == pytest.approx(value, abs=6e-4)


def test_limit_direction_is_the_hard_margin_solution():
    problem = memory(5, 4, 8, seed=2)
    hard = analytics.hard_margin(problem)
    np.testing.assert_allclose(analytics.limit_direction(problem), hard.weights, atol=1e-12)
    assert hard.margin**-2 == pytest.approx(analytics.orthonormal_loss_constant(5, 4), rel=1e-12)


def test_slow_mode_coefficient():
    start = np.array([0.3, -0.5, 0.8])
    elapsed = 1e24
    scores = analytics.multiclass_flow(elapsed, start)
    measured = (scores[0] - scores[1:] - np.log(3 * elapsed)) * elapsed ** (1 / 3)
    np.testing.assert_allclose(measured, analytics.slow_mode(start), rtol=1e-4)  # float64: 1e-14 * 1e8
    np.testing.assert_array_equal(analytics.slow_mode(np.array([2.0, 1.0, 1.0])), 0.0)


@pytest.mark.parametrize("n_classes", [2, 3, 5, 8])
def test_late_margins_lie_in_their_enclosure(n_classes):
    rng = np.random.default_rng(n_classes)
    for _ in range(10):
        start = rng.normal(size=n_classes)
        elapsed = np.logspace(-3, 12, 30)
        scores = analytics.multiclass_flow(elapsed, start)
        clock = np.exp(-scores[:, 1]) - np.exp(-start[1])
        rest = scores[:, :1] - scores[:, 1:] - np.log(n_classes * elapsed)[:, None]
        low, high = analytics.late_margin_enclosure(start, clock)
        budget = 1e-11 * (1 + 1 / clock[:, None])  # the clock is a difference of floats
        assert np.all(rest >= low - budget)
        assert np.all(rest <= high + budget)
        # the slow term 1/s has been removed: what is left is O(1/s^2)
        width = np.where(np.isfinite(high), high - low, np.inf)[:, 0] * clock**2
        assert width[-1] <= 1.3 * width[-10] + 1e-12


def test_tightest_margin_factor_is_between_1_and_m_minus_1_and_increases():
    scores = analytics.multiclass_flow(np.logspace(-3, 9, 50), [0.0, 2.0, -1.0, 0.5])
    factor = analytics.tightest_margin_factor(scores)
    assert np.all(np.diff(factor) > 0)
    assert factor[0] >= 1.0
    assert 2.5 < factor[-1] <= 3.0
    # the ODE (c + e^m) m' = p (c + 1), by central differences
    times = 5.0 + np.array([-1e-4, 0.0, 1e-4])
    s = analytics.multiclass_flow(times, [0.0, 2.0, -1.0, 0.5])
    margin = s[:, 0] - s[:, 1]
    c = analytics.tightest_margin_factor(s[1])
    assert (c + np.exp(margin[1])) * (margin[2] - margin[0]) / 2e-4 == pytest.approx(c + 1, rel=1e-6)


def descend(scores, rate):
    q = np.exp(scores - scores.max())
    q /= q.sum()
    q[0] -= 1.0
    return scores - rate * q


def test_steps_to_correct_bracket():
    assert analytics.steps_to_correct([-5.0, 0.0], 0.1) == (25, 50)
    assert analytics.steps_to_correct([0.5, 0.1], 0.1) == (0, 0)
    assert analytics.steps_to_correct([0.5, 0.0], 0.1) == (1, 1)
    rng = np.random.default_rng(0)
    for _ in range(100):
        scores = rng.normal(size=int(rng.integers(2, 6))) * 3
        rate = 10 ** rng.uniform(-1.5, 1.5)
        low, high = analytics.steps_to_correct(scores[0] - scores[1:], rate)
        steps, w = 0, scores
        assert np.all(analytics.margin_increments(w, rate) > 0)
        while np.min(w[0] - w[1:]) <= 0:
            w = descend(w, rate)
            steps += 1
            if steps == 1:
                assert np.min(w[0] - w[1:]) == pytest.approx(analytics.one_step_margin(scores, rate), abs=1e-12)
        assert low <= steps <= high


def test_errata_example_needs_30_steps():
    w, steps = np.array([0.0, 5.0, 0.0]), 0
    assert analytics.one_step_margin(w, 0.1) == pytest.approx(-4.80, abs=5e-3)
    while np.min(w[0] - w[1:]) <= 0:
        w, steps = descend(w, 0.1), steps + 1
    assert steps == 30
