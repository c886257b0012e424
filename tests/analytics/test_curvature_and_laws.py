"""Curvature, capacity, loss laws and time bounds: golden values, the Fig 6 problems, Cover's law by decision."""

from types import SimpleNamespace

import mpmath
import numpy as np
import pytest
from scipy.stats import binom

from traindyn import analytics
from traindyn.errors import InputError


def torch_randn(raw, shape):
    """Return float32 normal numbers as PyTorch's CPU generator draws them from the raw 32-bit words (at least 16)."""
    numel = int(np.prod(shape))

    def block(words):
        u = (words & (2**24 - 1)).astype(np.float32) / np.float32(2**24)
        u = u.reshape(-1, 16)
        radius = np.sqrt(np.float32(-2) * np.log(np.float32(1) - u[:, :8]))
        angle = np.float32(2 * np.pi) * u[:, 8:]
        return np.concatenate([radius * np.cos(angle), radius * np.sin(angle)], axis=1).ravel()

    words = raw(numel)
    values = np.empty(numel, dtype=np.float32)
    full = numel - numel % 16
    values[:full] = block(words[:full])
    if numel % 16:
        values[-16:] = block(raw(16))
    return values.reshape(shape)


def torch_randn_small(raw, shape):
    """Return fewer than 16 numbers: Box-Muller pairs in float64 from 53-bit uniforms."""
    values = []
    while len(values) < int(np.prod(shape)):
        r = [int(w) for w in raw(4)]
        u1, u2 = (((r[k] << 32 | r[k + 1]) & (2**53 - 1)) / 2**53 for k in (0, 2))
        radius = np.sqrt(-2 * np.log1p(-u2))
        values += [radius * np.cos(2 * np.pi * u1), radius * np.sin(2 * np.pi * u1)]
    return np.array(values[: int(np.prod(shape))], dtype=np.float32).reshape(shape)


def words_of(seed):
    """Return a function that yields the raw words of MT19937 seeded as init_genrand does."""
    engine = np.random.MT19937()
    engine._legacy_seeding(seed)
    return engine.random_raw


def fig6(dim):
    """Return the memory of Fig 6: torch seed 43, five unit tokens and classes, Zipf frequencies."""
    raw = words_of(43)
    if 5 * dim >= 16:
        inputs, outputs = (torch_randn(raw, (5, dim)).astype(np.float64) for _ in range(2))
    else:  # the second number of a pair is kept for the next call
        inputs, outputs = torch_randn_small(raw, (2, 5, dim)).astype(np.float64)
    p = 1 / np.arange(1.0, 6.0)
    return SimpleNamespace(
        inputs=inputs / np.linalg.norm(inputs, axis=1, keepdims=True),
        outputs=outputs / np.linalg.norm(outputs, axis=1, keepdims=True),
        targets=np.arange(5),
        frequencies=p / p.sum(),
    )


def test_the_torch_stream_is_rebuilt():
    np.testing.assert_allclose(
        torch_randn_small(words_of(42), (2, 3)).ravel(), [0.3367, 0.1288, 0.2345, 0.2303, -1.1229, -0.1863], atol=5e-5
    )
    np.testing.assert_allclose(torch_randn(words_of(0), (4, 4))[0], [-1.1258, -1.1524, -0.2506, -0.4339], atol=5e-5)
    np.testing.assert_allclose(torch_randn(words_of(42), (4, 4))[0], [1.9269, 1.4873, 0.9007, -2.1055], atol=5e-5)
    np.testing.assert_allclose(fig6(3).inputs[0], [-0.561736, -0.611498, 0.557246], atol=1e-6)
    np.testing.assert_allclose(fig6(3).outputs[0], [-0.685785, -0.634202, 0.357052], atol=1e-6)


@pytest.mark.parametrize(("dim", "constant", "digit"), [(5, 30.339, 1e-3), (10, 4.2754, 1e-4)])
def test_fig6_hard_margin_is_the_asymptotic_loss_constant(dim, constant, digit):
    problem = fig6(dim)
    assert analytics.asymptotic_loss_constant(problem) == pytest.approx(constant, abs=digit)
    assert analytics.hard_margin(problem).gap < 1e-10
    # measured eta t L at t = 10^4 within 2 per cent (spec, universal law)
    from traindyn import AssociativeMemory, GradientDescent, logarithmic, simulate

    memory = AssociativeMemory(problem.inputs, problem.outputs, problem.targets, problem.frequencies)
    run = simulate(memory, GradientDescent(20.0), steps=10_000, save=logarithmic(2), observe=("loss",))
    assert 20.0 * 10_000 * run["loss"][-1] == pytest.approx(constant, rel=0.02)


def test_fig6_in_three_dimensions_is_separable():
    assert analytics.separability(fig6(3)).strict  # the caption of Fig 6 calls it a lack of capacity


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
    memory = fig6(5)
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
