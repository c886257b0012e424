"""Minimiser, accuracy optimum, separability and hard margin against brute force, on degenerate problems too."""

import itertools
from types import SimpleNamespace

import numpy as np
import pytest

from traindyn import analytics
from traindyn.analytics import accuracy
from traindyn.analytics.pairs import coordinates


def memory(inputs, outputs, targets, frequencies):
    arrays = {"inputs": inputs, "outputs": outputs, "frequencies": frequencies}
    return SimpleNamespace(
        **{name: np.asarray(value, dtype=float) for name, value in arrays.items()}, targets=np.asarray(targets)
    )


def margins(problem, weights):
    scores = problem.inputs @ weights.T @ problem.outputs.T
    own = scores[np.arange(len(scores)), problem.targets].copy()
    scores[np.arange(len(scores)), problem.targets] = -np.inf
    return own - scores.max(axis=1)


def error(problem, weights):
    return float(problem.frequencies[margins(problem, weights) <= 0].sum())


def best_by_subsets(problem):
    """Best accuracy over all sets of tokens that a linear program finds storable: exact, in 2^N programs."""
    from scipy.optimize import linprog

    best, n = 0.0, len(problem.targets)
    for kept in itertools.product([False, True], repeat=n):
        value = float(problem.frequencies[list(kept)].sum())
        if value <= best:
            continue
        rows = [
            np.outer(problem.outputs[problem.targets[x]] - problem.outputs[y], problem.inputs[x]).ravel()
            for x in np.flatnonzero(kept)
            for y in range(len(problem.outputs))
            if y != problem.targets[x]
        ]
        rows = np.array(rows)
        if linprog(np.zeros(rows.shape[1]), A_ub=-rows, b_ub=-np.ones(len(rows)), bounds=(None, None)).status == 0:
            best = value
    return best


def test_bounds_hold_the_optimum_of_all_subsets():
    """Above two dimensions and two classes: random, integer, repeated, opposite and zero embeddings."""
    rng = np.random.default_rng(4)
    useful, tight = 0, 0
    for trial in range(24):
        n, m, d = int(rng.integers(3, 7)), int(rng.integers(2, 4)), int(rng.integers(2, 4))
        if (m, d) == (2, 2):
            m = 3
        integers = trial % 2
        inputs = rng.integers(-1, 2, size=(n, d)) if integers else rng.normal(size=(n, d))
        outputs = rng.integers(-1, 2, size=(m, d)) if integers else rng.normal(size=(m, d))
        problem = memory(inputs, outputs, rng.integers(m, size=n), rng.dirichlet(np.ones(n)))
        low, high, direction, exact = analytics.accuracy_optimum(problem)
        optimum = best_by_subsets(problem)
        assert low <= optimum + 1e-12
        assert optimum <= high + 1e-12
        # the bound itself: what is returned is lifted to the accuracy found, which would hide one that is too small
        assert optimum <= accuracy._charged(coordinates(problem), problem.frequencies) + 1e-12
        assert error(problem, direction) == pytest.approx(1 - low, abs=1e-12)
        if exact:
            assert low == high == pytest.approx(optimum, abs=1e-12)
        useful += high < 1 - 1e-9 and optimum < 1 - 1e-9
        tight += abs(low - optimum) < 1e-12
    assert useful >= 5  # the upper bound says more than 1
    assert tight >= 22  # and the heuristic finds the optimum nearly always


def test_a_class_without_tokens_and_a_token_at_zero():
    problem = memory([[1, 0], [0.6, 0.8]], np.eye(2), [0, 0], [0.6, 0.4])
    assert analytics.minimise(problem).separable
    assert analytics.accuracy_optimum(problem)[:2] == (1.0, 1.0)
    zero = memory([[1, 0], [0, 0], [0, 1]], np.eye(2), [0, 1, 1], [0.5, 0.2, 0.3])
    assert analytics.accuracy_optimum(zero).lower == pytest.approx(0.8)
    answer = analytics.minimise(zero)
    assert (answer.separable, answer.weakly_separable) == (False, True)
    assert answer.loss == pytest.approx(0.2 * np.log(2), rel=1e-12)  # a token at zero costs log 2 for ever
    everything = memory(np.zeros((2, 2)), np.eye(2), [0, 1], [0.5, 0.5])
    assert analytics.accuracy_optimum(everything).lower == 0.0
    assert analytics.minimise(everything).loss == pytest.approx(np.log(2), rel=1e-14)


@pytest.mark.parametrize("opposite", [False, True])
def test_tokens_that_contradict_each_other(opposite):
    """The same token under two classes, or opposite tokens under one: a coin, and nothing better."""
    e = np.array([0.6, 0.8])
    problem = memory([e, -e if opposite else e], np.eye(2), [0, 0 if opposite else 1], [0.7, 0.3])
    assert not analytics.separability(problem).weak
    answer = analytics.minimise(problem)
    assert answer.loss == pytest.approx(-(0.7 * np.log(0.7) + 0.3 * np.log(0.3)), rel=1e-14)
    assert margins(problem, answer.weights)[0] == pytest.approx(np.log(7 / 3), rel=1e-12)
    assert analytics.accuracy_optimum(problem).lower == pytest.approx(0.7)


def test_repeated_tokens_count_as_one():
    rng = np.random.default_rng(2)
    inputs = rng.normal(size=(8, 3))
    targets, p = rng.integers(3, size=8), rng.dirichlet(np.ones(8))
    outputs = rng.normal(size=(3, 3))
    once = memory(inputs, outputs, targets, p)
    twice = memory(np.vstack([inputs, inputs]), outputs, np.r_[targets, targets], np.r_[0.3 * p, 0.7 * p])
    a, b = analytics.minimise(once), analytics.minimise(twice)
    assert a.separable == b.separable
    assert a.loss == pytest.approx(b.loss, rel=1e-12, abs=1e-15)
    assert analytics.accuracy_optimum(once).lower == pytest.approx(analytics.accuracy_optimum(twice).lower, abs=1e-12)


@pytest.mark.parametrize("size", [1e-6, 1e6])
def test_scale_of_the_embeddings_changes_no_decision(size):
    rng = np.random.default_rng(6)
    for separable in (True, False):
        inputs, outputs = rng.normal(size=(12, 3)), rng.normal(size=(3, 3))
        planted = rng.normal(size=(3, 3))
        targets = (inputs @ planted.T @ outputs.T).argmax(axis=1) if separable else rng.integers(3, size=12)
        plain = memory(inputs, outputs, targets, np.full(12, 1 / 12))
        scaled = memory(size * inputs, outputs, targets, np.full(12, 1 / 12))
        assert analytics.separability(plain).strict == analytics.separability(scaled).strict == separable
        assert analytics.minimise(scaled).loss == pytest.approx(analytics.minimise(plain).loss, rel=1e-9)
        if separable:
            small, large = analytics.hard_margin(plain), analytics.hard_margin(scaled)
            assert large.margin == pytest.approx(size * small.margin, rel=1e-9)


def test_the_sweep_of_many_tokens_counts_as_the_bounds_do():
    rng = np.random.default_rng(8)
    angles = rng.uniform(0, 2 * np.pi, 5000)
    problem = memory(np.c_[np.cos(angles), np.sin(angles)], np.eye(2), np.arange(5000) % 2, np.full(5000, 1 / 5000))
    answer = analytics.accuracy_optimum(problem)
    assert error(problem, answer.direction) == pytest.approx(1 - answer.lower, abs=1e-12)
    trials = rng.normal(size=(400, 2))
    signed = problem.inputs * np.where(problem.targets == 0, 1, -1)[:, None]
    assert ((trials @ signed.T) > 0).mean(axis=1).max() <= answer.lower + 1e-12
