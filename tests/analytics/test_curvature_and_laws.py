"""Curvature, capacity, loss laws and time bounds: golden values, the Fig 6 problems, Cover's law by decision."""

from types import SimpleNamespace

import mpmath
import numpy as np
import pytest
from scipy.stats import binom

from traindyn import analytics
from traindyn.dynamics.cabannes2024 import figure6_memory
from traindyn.errors import InputError


@pytest.mark.parametrize(("dim", "constant", "digit"), [(5, 30.339, 1e-3), (10, 4.2754, 1e-4)])
def test_fig6_hard_margin_is_the_asymptotic_loss_constant(dim, constant, digit):
    problem = figure6_memory(dim)
    assert analytics.asymptotic_loss_constant(problem) == pytest.approx(constant, abs=digit)
    assert analytics.hard_margin(problem).gap < 1e-10
    # measured eta t L at t = 10^4 within 2 per cent (spec, universal law)
    from traindyn import GradientDescent, logarithmic, simulate

    run = simulate(problem, GradientDescent(20.0), steps=10_000, save=logarithmic(2), observe=("loss",))
    assert 20.0 * 10_000 * run["loss"][-1] == pytest.approx(constant, rel=0.02)


def test_fig6_in_three_dimensions_is_separable():
    assert analytics.separability(figure6_memory(3)).strict  # the caption of Fig 6 calls it a lack of capacity


def test_two_token_sharpness_is_the_hessian_at_zero():
    assert analytics.two_token_sharpness(0.95, (0.75, 0.25)) == pytest.approx(0.25 * (1 + 0.926875**0.5), rel=1e-15)
    from traindyn import kernels

    rng = np.random.default_rng(0)
    for _ in range(10):
        a, p = rng.uniform(-1, 1), rng.uniform(0.01, 0.99)
        outputs = rng.normal(size=(2, 2))
        e = np.array([[1.0, 0.0], [a, np.sqrt(1 - a * a)]])
        hessian = kernels.hessian(np.zeros((2, 2)), e, outputs, np.array([0, 1]), np.array([p, 1 - p]))
        c = float(np.sum((outputs[0] - outputs[1]) ** 2))
        assert analytics.two_token_sharpness(a, (p, 1 - p), c) == pytest.approx(
            np.linalg.eigvalsh(hessian)[-1], rel=1e-12
        )
        memory = SimpleNamespace(inputs=e, outputs=outputs, targets=np.array([0, 1]), frequencies=np.array([p, 1 - p]))
        assert analytics.hessian_norm_bound(memory) == pytest.approx(np.linalg.eigvalsh(hessian)[-1], rel=1e-12)
        assert analytics.descent_rate(memory) == pytest.approx(2 / np.linalg.eigvalsh(hessian)[-1], rel=1e-12)


def test_hessian_ranks_of_the_errata():
    from traindyn import kernels

    rng = np.random.default_rng(1)
    for n, m, dim in ((3, 3, 3), (3, 4, 3), (1, 3, 4), (4, 3, 5)):
        inputs, outputs = rng.normal(size=(n, dim)), rng.normal(size=(m, dim))
        problem = SimpleNamespace(
            inputs=inputs, outputs=outputs, targets=rng.integers(m, size=n), frequencies=np.full(n, 1 / n)
        )
        rank = analytics.hessian_rank(problem)
        assert rank == min(n, dim) * min(m - 1, dim)
        for scale in (0.0, 0.5):
            hessian = kernels.hessian(
                scale * rng.normal(size=(dim, dim)), inputs, outputs, problem.targets, problem.frequencies
            )
            assert np.linalg.matrix_rank(hessian, tol=1e-10) == rank


def test_cover_probability():
    assert analytics.cover_probability(3, 2) == 0.75
    assert analytics.cover_probability(5, 2) == 0.3125
    for dim in (1, 5, 40):
        assert analytics.cover_probability(2 * dim, dim) == 0.5
    for n in (1, 2, 7, 300, 4000, 4001, 20000):
        for dim in (1, 2, n // 3 + 1, n // 2 + 1, n - 1, n, n + 3):
            if dim >= 1:
                expected = binom.cdf(dim - 1, n - 1, 0.5) if dim < n else 1.0
                assert analytics.cover_probability(n, dim) == pytest.approx(expected, rel=1e-9)
    with mpmath.workdps(30):  # far below the smallest float64
        tail = mpmath.fsum(mpmath.binomial(9999, k) for k in range(10)) / mpmath.mpf(2) ** 9999
        assert analytics.cover_log_probability(10000, 10) == pytest.approx(float(mpmath.log(tail)), rel=1e-13)
    assert analytics.cover_probability(10000, 10) == 0.0
    with pytest.raises(InputError):
        analytics.cover_probability(3, 0)


@pytest.mark.parametrize(("n", "dim"), [(3, 2), (5, 2), (6, 3), (8, 4)])
def test_decided_separability_follows_covers_law(n, dim):
    rng = np.random.default_rng([n, dim])
    trials = 300
    found = sum(
        analytics.separability(
            SimpleNamespace(
                inputs=rng.normal(size=(n, dim)),
                outputs=np.eye(dim)[:2],
                targets=rng.integers(2, size=n),
                frequencies=np.full(n, 1 / n),
            )
        ).strict
        for _ in range(trials)
    )
    p = analytics.cover_probability(n, dim)
    assert abs(found / trials - p) < 3 * np.sqrt(p * (1 - p) / trials)


def test_flow_loss_bound_is_attained_by_one_token_of_two_classes():
    times = np.array([0.0, 1e-3, 1.0, 50.0, 1e6, 1e12])
    for start in (0.0, 3.0, -20.0, -300.0):
        margin = analytics.flow_margin(2.0 * times, start)  # orthonormal: c = 2, hard margin sqrt 2
        loss = np.logaddexp(0.0, -margin)
        bound = analytics.separable_flow_loss_bound(times, np.sqrt(2.0), 1.0, float(np.logaddexp(0.0, -start)))
        np.testing.assert_allclose(bound, loss, rtol=1e-11)


def test_descent_loss_bound_refuses_fast_rates():
    memory = SimpleNamespace(
        inputs=np.eye(2), outputs=np.eye(2), targets=np.array([0, 1]), frequencies=np.array([0.5, 0.5])
    )
    assert analytics.descent_rate(memory) == pytest.approx(8.0)
    with pytest.raises(InputError):
        analytics.separable_descent_loss_bound(memory, 1.0, 8.0, 10, 1.0)


def test_perceptron_bounds_solve_the_same_quadratic():
    memory = figure6_memory(5)
    margin = analytics.hard_margin(memory).margin
    for rate in (0.1, 10.0, 1e4):
        steps = analytics.perfect_accuracy_bound(memory, margin, rate)
        # at the bound, p_min/2 a step for all steps is no longer allowed by the summed bound
        assert 0.5 * memory.frequencies.min() * steps >= analytics.cumulative_error_bound(memory, margin, rate, steps)


def test_closed_constants_agree_with_the_hard_margin():
    norms = np.array([0.5, 2.0, 1.0])
    memory = SimpleNamespace(
        inputs=np.diag(norms), outputs=np.eye(3)[:2], targets=np.array([0, 1, 1]), frequencies=np.full(3, 1 / 3)
    )
    assert analytics.asymptotic_loss_constant(memory) == pytest.approx(
        analytics.binary_loss_constant(norms**2), rel=1e-12
    )
    with pytest.raises(InputError):
        analytics.two_token_loss_constant(1.0)
