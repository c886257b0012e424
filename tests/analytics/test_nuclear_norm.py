"""The max margin in nuclear norm: known answers, the certificate, and scaling."""

from __future__ import annotations

import numpy as np
import pytest

from traindyn.analytics import hard_margin, nuclear_margin
from traindyn.dynamics import AssociativeMemory
from traindyn.errors import InputError


def least_margin(memory, weights):
    scores = memory.scores(weights)
    gaps = scores[np.arange(memory.n_tokens), memory.targets][:, None] - scores
    gaps[np.arange(memory.n_tokens), memory.targets] = np.inf
    return gaps.min()


def test_two_classes_have_the_frobenius_answer():
    """All pairs share the direction u_1 - u_2, so that the best W has rank one in either norm."""
    for seed in range(5):
        memory = AssociativeMemory.random(4, 2, 5, rng=seed, output_embedding="sphere")
        exact, found = hard_margin(memory), nuclear_margin(memory)
        assert found.gap < 1e-9
        assert found.margin == pytest.approx(exact.margin, rel=1e-9)
        np.testing.assert_allclose(found.weights, exact.weights, rtol=0, atol=1e-8 / exact.margin)


def test_orthonormal_classes_have_a_closed_form():
    """W = sum_x Pi(u_x) e_x^T has M - 1 singular values 1 and margins 1; equal multipliers 1/M prove it the best."""
    for count in (2, 3, 5):
        memory = AssociativeMemory(np.eye(count), np.eye(count), np.arange(count), np.full(count, 1 / count))
        found = nuclear_margin(memory, tolerance=1e-6)
        assert found.margin <= 1.0 / (count - 1) * (1 + 1e-12) <= found.upper_margin * (1 + 2e-12)
        assert found.gap < 1e-6


@pytest.mark.parametrize("seed", range(3))
def test_encloses_the_answer(seed):
    memory = AssociativeMemory.random(5, 5, 5, rng=seed, output_embedding="sphere")
    found = nuclear_margin(memory)
    assert found.gap < 2e-3
    assert least_margin(memory, found.weights) == pytest.approx(1.0, rel=1e-12)
    assert np.linalg.norm(found.weights, "nuc") == pytest.approx(1.0 / found.margin, rel=1e-12)
    assert found.upper_margin == pytest.approx(found.margin * (1 + found.gap), rel=1e-12)
    frobenius = hard_margin(memory)
    # the Frobenius answer is feasible, and worse in nuclear norm; no W of any kind beats the bound
    assert 1.0 / np.linalg.norm(frobenius.weights, "nuc") < found.margin
    rng = np.random.default_rng(seed)
    for _ in range(200):
        weights = found.weights + 0.3 * rng.normal(size=(5, 5))
        assert least_margin(memory, weights) / np.linalg.norm(weights, "nuc") <= found.upper_margin
    doubled = AssociativeMemory(2.0 * memory.inputs, memory.outputs, memory.targets, memory.frequencies)
    assert nuclear_margin(doubled).margin == pytest.approx(2.0 * found.margin, rel=2e-3)


def test_one_round_is_the_hard_margin_and_more_are_better():
    memory = AssociativeMemory.random(5, 5, 5, rng=1, output_embedding="sphere")
    first, later = (nuclear_margin(memory, max_rounds=rounds) for rounds in (1, 100))
    np.testing.assert_allclose(first.weights, hard_margin(memory).weights, rtol=0, atol=1e-9)
    assert (first.rounds, later.rounds) == (1, 100)
    assert later.margin > first.margin
    assert later.upper_margin < first.upper_margin


def test_more_rounds_are_never_worse():
    """In some rounds of this problem the new W is worse than the one before."""
    memory = AssociativeMemory.random(5, 5, 5, rng=3, output_embedding="sphere")
    answers = [nuclear_margin(memory, max_rounds=rounds) for rounds in range(1, 40)]
    assert (np.diff([answer.margin for answer in answers]) >= 0.0).all()
    assert (np.diff([answer.upper_margin for answer in answers]) <= 0.0).all()


def test_needs_a_separable_problem():
    memory = AssociativeMemory([[1.0], [1.0]], [[1.0], [0.0]], [0, 1], [0.5, 0.5])
    with pytest.raises(InputError, match="nuclear_margin needs a separable problem"):
        nuclear_margin(memory)
    with pytest.raises(ValueError, match="tolerance"):
        nuclear_margin(AssociativeMemory.two_tokens(), tolerance=0.0)


@pytest.mark.parametrize("rounds", [0, -2, 1.5, True, "many"])
def test_needs_a_round(rounds):
    memory = AssociativeMemory.random(3, 3, 4, rng=0)
    with pytest.raises(InputError, match="max_rounds must be an integer >= 1"):
        nuclear_margin(memory, max_rounds=rounds)
