"""Cycles of period two: the published one in 50 digits, laws of existence, one step of a simulation, refusals."""

from __future__ import annotations

from types import SimpleNamespace

import mpmath
import numpy as np
import pytest

from traindyn import AssociativeMemory, GradientDescent, kernels, simulate
from traindyn.analytics import minimise, minimiser_stability, two_cycle
from traindyn.dynamics import cabannes2024
from traindyn.errors import InputError, SizeError

SEED_9 = cabannes2024.circle_memory(seed=9, n_tokens=30)


def arrays(memory):
    return memory.inputs, memory.outputs, memory.targets, memory.frequencies


def crowded(seed, n_tokens=40, n_classes=5, dim=4):
    rng = np.random.default_rng(seed)
    p = rng.dirichlet(np.ones(n_tokens))
    inputs, outputs = rng.normal(size=(n_tokens, dim)), rng.normal(size=(n_classes, dim))
    return AssociativeMemory(inputs, outputs, rng.integers(n_classes, size=n_tokens), p)


def after_one_step(memory, rate, weights):
    return weights - rate * kernels.softmax_gradient(weights, *arrays(memory))[1]


def exact_cycle(memory, rate, gamma):
    """Return (gamma after two steps - gamma, eigenvalues of two steps, the two points) in 50 digits, two classes."""
    mpf = mpmath.mpf
    signed = [
        [mpf(float(v)) * (1 if f == 0 else -1) for v in e] for e, f in zip(memory.inputs, memory.targets, strict=True)
    ]
    p = [mpf(float(v)) for v in memory.frequencies]
    identity = mpmath.eye(2)

    def step(g):
        new, slope = g.copy(), identity.copy()
        for a, w in zip(signed, p, strict=True):
            wrong = 1 / (1 + mpmath.exp(a[0] * g[0] + a[1] * g[1]))
            for i in range(2):
                new[i] += 2 * rate * w * wrong * a[i]
                for j in range(2):
                    slope[i, j] -= 2 * rate * w * wrong * (1 - wrong) * a[i] * a[j]
        return new, slope

    x = mpmath.matrix([mpf(float(v)) for v in gamma])
    for _ in range(8):
        middle, first = step(x)
        end, second = step(middle)
        x = x - mpmath.lu_solve(second * first - identity, end - x)
    middle, first = step(x)
    end, second = step(middle)
    return end - x, mpmath.eig(second * first, left=False, right=False), x, middle


def test_the_published_cycle_in_fifty_digits():
    cycle = two_cycle(SEED_9, 10.0)
    gammas = np.array([1.0, -1.0]) @ cycle.weights
    lower = int(gammas[:, 0].argmin())
    # spec, Fig 5: the cycle, its losses and sharpnesses, to one unit of the last digit
    np.testing.assert_allclose(gammas[lower], [-2.341374, -0.435831], rtol=0, atol=1e-6)
    np.testing.assert_allclose(gammas[1 - lower], [2.131590, 3.347797], rtol=0, atol=1e-6)
    np.testing.assert_allclose(cycle.loss[[lower, 1 - lower]], [1.0368, 1.3376], rtol=0, atol=1e-4)
    np.testing.assert_allclose(cycle.sharpness[[lower, 1 - lower]], [0.1595, 0.0888], rtol=0, atol=1e-4)
    assert cycle.closure < 1e-14
    with mpmath.workdps(50):
        closure, values, first, second = exact_cycle(SEED_9, mpmath.mpf(10), gammas[lower])
        assert mpmath.norm(closure) < mpmath.mpf(10) ** -47
        # the double solution is the exact one to its rounding
        for point, exact in ((gammas[lower], first), (gammas[1 - lower], second)):
            assert max(abs(exact[i] - float(point[i])) for i in range(2)) < 1e-14
        moduli = sorted((float(abs(v)) for v in values), reverse=True)
        assert moduli[0] < 1.0
    np.testing.assert_allclose(np.abs(cycle.multipliers), moduli, rtol=1e-11)
    assert cycle.stable


def test_the_critical_rate_of_seed_9():
    local = minimiser_stability(SEED_9, 10.0)
    assert local.sharpness == pytest.approx(0.319637, abs=1e-6)
    assert local.critical_rate == pytest.approx(6.257, abs=1e-3)
    assert local.sharpness == pytest.approx(kernels.sharpness(minimise(SEED_9).weights, *arrays(SEED_9)), rel=1e-10)
    assert (local.multiplier, local.stable) == (pytest.approx(10.0 * local.sharpness - 1.0), False)
    below = minimiser_stability(SEED_9, 0.999 * local.critical_rate)
    assert below.stable
    assert below.multiplier == pytest.approx(0.998, abs=1e-12)
    # at a small rate the flattest direction is the slowest
    values = np.linalg.eigvalsh(kernels.hessian(minimise(SEED_9).weights, *arrays(SEED_9)))
    assert minimiser_stability(SEED_9, 0.5).multiplier == pytest.approx(1 - 0.5 * values[values > 1e-9][0], rel=1e-10)


@pytest.mark.parametrize("rate", [6.2572, 6.5, 20.0, 200.0, 1000.0])
def test_a_cycle_exists_beyond_the_critical_rate(rate):
    cycle = two_cycle(SEED_9, rate)
    first, second = cycle.weights
    scale = 4e-15 * rate
    np.testing.assert_allclose(after_one_step(SEED_9, rate, first), second, rtol=0, atol=scale)
    np.testing.assert_allclose(after_one_step(SEED_9, rate, second), first, rtol=0, atol=scale)
    assert cycle.separation == pytest.approx(np.linalg.norm(first - second))
    assert cycle.separation > 0.01


def test_a_cycle_is_born_at_the_minimiser():
    critical = minimiser_stability(SEED_9, 1.0).critical_rate
    near, nearer = (two_cycle(SEED_9, critical * (1.0 + excess)) for excess in (4e-5, 1e-5))
    # a flip bifurcation: the width grows like the root of the excess, and the multiplier leaves 1 in proportion
    assert near.separation / nearer.separation == pytest.approx(2.0, rel=1e-3)
    assert (1.0 - near.multiplier) / (1.0 - nearer.multiplier) == pytest.approx(4.0, rel=1e-3)
    assert nearer.stable


@pytest.mark.parametrize("seed", range(3))
def test_many_classes(seed):
    memory = crowded(seed)
    rate = 1.5 * minimiser_stability(memory, 1.0).critical_rate
    cycle = two_cycle(memory, rate)
    first, second = cycle.weights
    np.testing.assert_allclose(after_one_step(memory, rate, first), second, rtol=0, atol=1e-13)
    np.testing.assert_allclose(after_one_step(memory, rate, second), first, rtol=0, atol=1e-13)
    assert cycle.separation > 0.5
    assert cycle.multipliers.shape == (16,)
    for weights, loss, sharpness in zip(cycle.weights, cycle.loss, cycle.sharpness, strict=True):
        assert loss == pytest.approx(kernels.softmax_gradient(weights, *arrays(memory))[0], rel=1e-13)
        assert sharpness == pytest.approx(kernels.sharpness(weights, *arrays(memory)), rel=1e-9)
    # eigenvalues of two steps against the product of Hessians in all d^2 coordinates; the other four are 1
    size = memory.dim**2
    steps = [np.eye(size) - rate * kernels.hessian(w, *arrays(memory)) for w in cycle.weights]
    everywhere = np.abs(np.linalg.eigvals(steps[1] @ steps[0]))
    np.testing.assert_allclose(np.sort(everywhere), np.sort(np.abs(cycle.multipliers)), rtol=0, atol=1e-10)


def test_a_stable_cycle_draws_descent_in_at_its_multiplier():
    cycle = two_cycle(SEED_9, 10.0)
    away = np.array([[1.0, 1.0], [-1.0, -1.0]]) * 1e-3
    start = cycle.weights[0] + away
    run = simulate(SEED_9, GradientDescent(10.0), steps=20, initial=start, observe=("weights",))
    distance = np.linalg.norm(run["weights"][::2] - cycle.weights[0], axis=(1, 2))
    ratios = distance[4:9] / distance[3:8]
    np.testing.assert_allclose(ratios[-2:], cycle.multiplier, rtol=2e-3)


def test_below_the_critical_rate_a_start_is_needed():
    # the review's example: three tokens on a line at 3/4 of the critical rate
    inputs = np.array([[0.9, 0.0], [1.15, 0.0], [100.0, 0.0]])
    memory = AssociativeMemory(inputs, np.eye(2), [0, 1, 0], [0.58, 0.417, 0.003])
    local = minimiser_stability(memory, 1.0)
    rate = 0.75 * local.critical_rate
    assert minimiser_stability(memory, rate).stable
    with pytest.raises(InputError, match=r"must exceed the critical rate 2/H\*.*pass start="):
        two_cycle(memory, rate)
    cycle = two_cycle(memory, rate, [[[0.9, 0.0], [-0.9, 0.0]], [[0.0, 0.3], [0.0, -0.3]]])
    np.testing.assert_allclose(
        np.array([1.0, -1.0]) @ cycle.weights, [[1.891658, 0.0], [-0.113568, 0.0]], rtol=0, atol=1e-6
    )
    assert cycle.multipliers.real == pytest.approx([-0.165], abs=5e-4)
    assert cycle.multipliers.imag == pytest.approx([0.0])
    assert cycle.stable


def test_dimensions_that_nothing_uses_change_nothing():
    rng = np.random.default_rng(0)
    turn, other = np.linalg.qr(rng.normal(size=(5, 5)))[0], np.linalg.qr(rng.normal(size=(5, 5)))[0]
    wide = SimpleNamespace(
        inputs=SEED_9.inputs @ turn[:2], outputs=SEED_9.outputs @ other[:2] + 3.0 * other[4],
        targets=SEED_9.targets, frequencies=SEED_9.frequencies,
    )  # fmt: skip
    plain, embedded = two_cycle(SEED_9, 10.0), two_cycle(wide, 10.0)
    assert embedded.weights.shape == (2, 5, 5)
    back = other[:2] @ embedded.weights @ turn[:2].T
    order = [0, 1] if np.allclose(back[0], plain.weights[0], atol=1e-6) else [1, 0]
    np.testing.assert_allclose(back[order], plain.weights, rtol=0, atol=1e-12)
    np.testing.assert_allclose(np.abs(embedded.multipliers), np.abs(plain.multipliers), rtol=1e-9)


def test_what_is_no_cycle_is_refused():
    weights = minimise(SEED_9).weights
    with pytest.raises(InputError, match="Newton ends at the minimiser, which is a fixed point"):
        two_cycle(SEED_9, 10.0, np.stack([weights + 0.01, weights - 0.01]))
    far = 1e3 * np.random.default_rng(0).normal(size=(2, 2, 2))
    with pytest.raises(InputError, match=r"Newton found no cycle of period two from this start; got a residual of"):
        two_cycle(SEED_9, 10.0, far)
    with pytest.raises(InputError, match=r"no minimiser, so gradient descent has neither a fixed point nor a cycle"):
        two_cycle(cabannes2024.circle_memory(39, 3), 10.0)
    with pytest.raises(InputError, match="no minimiser"):
        minimiser_stability(cabannes2024.circle_memory(39, 3), 10.0)
    with pytest.raises(InputError, match=r"shape \(2, 2, 2\)"):
        two_cycle(SEED_9, 10.0, np.zeros((2, 3, 3)))
    for rate in (0.0, -1.0, np.nan, np.inf):
        with pytest.raises(InputError, match="learning_rate must be a finite number > 0"):
            two_cycle(SEED_9, rate)
    rng = np.random.default_rng(0)
    wide = SimpleNamespace(
        inputs=rng.normal(size=(40, 40)), outputs=rng.normal(size=(41, 40)), targets=np.arange(40),
        frequencies=np.full(40, 1 / 40),
    )  # fmt: skip
    with pytest.raises(SizeError, match="up to 1000 unknowns; this problem has 1600"):
        two_cycle(wide, 1.0)


@pytest.mark.parametrize("where", ["inputs", "outputs"])
def test_a_problem_that_no_weights_change_is_refused(where):
    embeddings = {"inputs": np.eye(2), "outputs": np.eye(2)} | {where: np.zeros((2, 2))}
    memory = AssociativeMemory(embeddings["inputs"], embeddings["outputs"], [0, 1], [0.5, 0.5])
    for solve in (minimiser_stability, two_cycle):
        with pytest.raises(InputError, match="no W changes the loss"):
            solve(memory, 1.0)
