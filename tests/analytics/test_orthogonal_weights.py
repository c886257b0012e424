"""Equation (14) with the sign of each token's class."""

import numpy as np
import pytest

from traindyn.analytics import binary_weights
from traindyn.errors import InputError


def problem(seed, n_tokens=3, dim=5):
    rng = np.random.default_rng(seed)
    inputs = np.linalg.qr(rng.normal(size=(dim, dim)))[0][:n_tokens] * rng.uniform(0.5, 2, size=(n_tokens, 1))
    outputs = rng.normal(size=(2, dim))
    targets = np.array([0, 1, 0])[:n_tokens]
    return inputs, outputs, targets, rng.dirichlet(np.ones(n_tokens)), rng.normal(size=(dim, dim))


def descend(inputs, outputs, targets, p, weights, rate, steps):
    for _ in range(steps):
        scores = inputs @ weights.T @ outputs.T
        soft = np.exp(scores - scores.max(axis=1, keepdims=True))
        soft /= soft.sum(axis=1, keepdims=True)
        soft[np.arange(len(targets)), targets] -= 1
        weights = weights - rate * outputs.T @ soft.T @ (p[:, None] * inputs)
    return weights


@pytest.mark.parametrize("seed", range(4))
def test_weights_after_descent_are_rebuilt_from_their_margins(seed):
    inputs, outputs, targets, p, start = problem(seed)
    weights = descend(inputs, outputs, targets, p, start, 0.7, 50)
    scores = inputs @ weights.T @ outputs.T
    rows = np.arange(len(targets))
    margins = scores[rows, targets] - scores[rows, 1 - targets]
    rebuilt = binary_weights(margins, inputs, outputs, targets, start)
    assert np.abs(rebuilt - weights).max() < 1e-13
    # the printed sign: u_1 - u_2 for every token
    printed = binary_weights(margins, inputs, outputs, np.zeros_like(targets), start)
    assert np.abs(printed - weights).max() > 0.1


def test_margins_of_the_weights_are_the_given_ones():
    inputs, outputs, targets, _, start = problem(7)
    margins = np.array([-2.0, 3.0, 0.5])
    for initial in (None, start):
        weights = binary_weights(margins, inputs, outputs, targets, initial)
        scores = inputs @ weights.T @ outputs.T
        rows = np.arange(3)
        assert scores[rows, targets] - scores[rows, 1 - targets] == pytest.approx(margins, abs=1e-13)


@pytest.mark.parametrize(
    ("change", "law"),
    [({"inputs": [[1.0, 0.0], [1.0, 1.0]]}, "orthogonal"), ({"outputs": [[1.0, 0.0], [1.0, 0.0]]}, "differ"),
     ({"targets": [0, 2]}, "0 or 1"), ({"margins": [1.0]}, "agree"), ({"initial": [1.0]}, "initial")],
)  # fmt: skip
def test_bad_input_names_the_law(change, law):
    good = {"margins": [1.0, 2.0], "inputs": np.eye(2), "outputs": np.eye(2), "targets": [0, 1]}
    with pytest.raises(InputError, match=law):
        binary_weights(**{**good, **change})
