"""Noisy labels as tokens, and noisy inputs of batches."""

from __future__ import annotations

import numpy as np
import pytest

import traindyn as td
from traindyn.dynamics.draws import random_stream
from traindyn.dynamics.noisy_inputs import NoisyInputDraws

MEMORY = td.AssociativeMemory.random(5, 3, 4, "gaussian", "zipf", rng=1, output_embedding="gaussian")
START = np.random.default_rng(2).standard_normal((4, 4))


def test_noisy_labels_give_the_loss_of_soft_labels() -> None:
    noisy = MEMORY.with_label_noise(0.3)
    soft = np.full((5, 3), 0.15)
    soft[np.arange(5), MEMORY.targets] = 0.7
    scores = MEMORY.inputs @ START.T @ MEMORY.outputs.T
    logs = scores - np.log(np.exp(scores).sum(axis=1, keepdims=True))
    loss, slope = noisy.loss_and_gradient(START)
    assert loss == pytest.approx(-MEMORY.frequencies @ (soft * logs).sum(axis=1), rel=1e-14)
    pushes = MEMORY.frequencies[:, None] * (np.exp(logs) - soft)
    np.testing.assert_allclose(slope, MEMORY.outputs.T @ pushes.T @ MEMORY.inputs, rtol=0, atol=1e-15)


def test_pairs_come_with_the_true_labels_first() -> None:
    noisy = MEMORY.with_label_noise(0.3)
    assert noisy.n_tokens == 15
    np.testing.assert_array_equal(noisy.targets[:5], MEMORY.targets)
    np.testing.assert_allclose(noisy.frequencies.reshape(3, 5).sum(axis=0), MEMORY.frequencies, rtol=1e-15)
    np.testing.assert_allclose(noisy.frequencies[:5], 0.7 * MEMORY.frequencies, rtol=1e-15)
    for x in range(5):  # every class once with every token
        assert sorted(noisy.targets[x::5]) == [0, 1, 2]
        assert (noisy.inputs[x::5] == MEMORY.inputs[x]).all()


def test_all_true_margins_are_positive_where_accuracy_is_one_minus_the_noise() -> None:
    noisy = td.AssociativeMemory.two_tokens().with_label_noise(0.2)
    run = td.simulate(noisy, td.StochasticGradientDescent(3.0, 4), steps=400, rng=1)
    perfect = (run["margin"][:, :2] > 0.0).all(axis=1)
    assert 0 < perfect.sum() < perfect.size
    np.testing.assert_array_equal(run["accuracy"] > 0.8 - 1e-12, perfect)


def test_no_label_noise_is_the_memory_itself_and_shares_are_checked() -> None:
    assert MEMORY.with_label_noise(0.0) is MEMORY
    for share in (-0.1, 1.0, float("nan"), "0.1"):
        with pytest.raises(td.TraindynError, match="share must be a finite number >= 0 and < 1"):
            MEMORY.with_label_noise(share)  # type: ignore[arg-type]


def descended(memory: td.AssociativeMemory, rule: td.StochasticGradientDescent, steps: int, seed: int) -> np.ndarray:
    """The rule sample by sample, with the numbers that the run draws."""
    draws = NoisyInputDraws(memory.frequencies, random_stream(seed), rule.batch_size, memory.dim, "float64")
    tokens, noise = draws.take_samples(steps)
    weights = START.copy()
    for step in range(steps):
        total = np.zeros_like(weights)
        for sample, x in enumerate(tokens[step]):
            point = memory.inputs[x] + rule.input_noise * noise[step].reshape(rule.batch_size, -1)[sample]
            scores = memory.outputs @ weights @ point
            mass = np.exp(scores - scores.max())
            mass /= mass.sum()
            total += np.outer(mass @ memory.outputs - memory.outputs[memory.targets[x]], point)
        weights = weights - rule.rate(step) / rule.batch_size * total
    return weights


@pytest.mark.parametrize("batch_size", [1, 3])
def test_noisy_inputs_move_as_the_rule_says(batch_size: int) -> None:
    rule = td.StochasticGradientDescent(td.schedules.step_decay(0.5, every=10, factor=0.5), batch_size, 0.3)
    run = td.simulate(MEMORY, rule, steps=30, initial=START, rng=7)
    np.testing.assert_allclose(run.final, descended(MEMORY, rule, 30, 7), rtol=0, atol=1e-13)
    scores = MEMORY.scores(run.final)
    own = scores[np.arange(5), MEMORY.targets]
    scores[np.arange(5), MEMORY.targets] = -np.inf
    np.testing.assert_allclose(run["margin"][-1], own - scores.max(axis=1), rtol=0, atol=1e-12)
    assert run["loss"][-1] == pytest.approx(MEMORY.loss_and_gradient(run.final)[0], rel=1e-12)
    single = td.simulate(MEMORY, rule, steps=30, initial=START, rng=7, dtype="float32")
    np.testing.assert_allclose(single.final, run.final, rtol=0, atol=1e-4)


def test_the_tokens_are_those_of_the_rule_without_noise() -> None:
    plain = td.simulate(MEMORY, td.StochasticGradientDescent(0.5, 4), steps=50, rng=3)
    noisy = td.simulate(MEMORY, td.StochasticGradientDescent(0.5, 4, 1e-200), steps=50, rng=3)
    np.testing.assert_allclose(noisy["margin"], plain["margin"], rtol=0, atol=1e-12)


def test_the_noise_is_fresh_normal_and_independent_of_the_tokens() -> None:
    draws = NoisyInputDraws(np.array([0.5, 0.5]), random_stream(5), 2, 3, "float64")
    tokens, noise = draws.take_samples(20_000)
    count = noise.shape[0]
    assert np.unique(noise).size == noise.size
    assert np.abs(noise.mean(axis=0)).max() < 4.5 / np.sqrt(count)
    assert np.abs(noise.T @ noise / count - np.eye(6)).max() < 5 * np.sqrt(2 / count)
    # the same words would make a rising function of the token's own uniform number
    assert np.abs((tokens - 0.5).T @ noise / count).max() < 4.5 * 0.5 / np.sqrt(count)


def test_noisy_inputs_go_on_and_stop() -> None:
    rule = td.StochasticGradientDescent(1.0, 2, 0.2)
    whole = td.simulate(MEMORY, rule, steps=40, rng=4)
    half = td.simulate(MEMORY, rule, steps=17, rng=4)
    joined = td.simulate(MEMORY, rule, steps=40, resume=half)
    np.testing.assert_array_equal(joined["margin"], whole["margin"])
    np.testing.assert_array_equal(joined.final, whole.final)
    first = int(np.argmax(whole["loss"] < 0.9))
    ended = td.simulate(MEMORY, rule, steps=40, rng=4, stop=td.when("loss", "<", 0.9))
    assert ended.step[-1] == first
    assert ended.status.name == "THRESHOLD_REACHED"
    np.testing.assert_array_equal(td.simulate(MEMORY, rule, steps=40, resume=ended).final, whole.final)


def test_ties_are_told_as_the_first_class() -> None:
    run = td.simulate(MEMORY, td.StochasticGradientDescent(1.0, 2, 0.2), steps=0, observe=("accuracy_first_index",))
    assert run["accuracy_first_index"][0] == pytest.approx(MEMORY.frequencies[MEMORY.targets == 0].sum())


def test_noisy_inputs_that_run_away_are_told() -> None:
    wide = td.AssociativeMemory(1e200 * MEMORY.inputs, MEMORY.outputs, MEMORY.targets, MEMORY.frequencies)
    run = td.simulate(wide, td.StochasticGradientDescent(1.0, 2, 0.2), steps=5, rng=4)
    assert run.status.name == "NOT_FINITE"


def test_what_noisy_inputs_refuse() -> None:
    with pytest.raises(td.TraindynError, match="input_noise must be a finite number >= 0"):
        td.StochasticGradientDescent(1.0, 2, -0.1)
    rule = td.StochasticGradientDescent(1.0, 2, 0.1)
    with pytest.raises(td.TraindynError, match="leaves the span of the tokens"):
        td.simulate(MEMORY, rule, steps=1, form="particles")
    with pytest.raises(td.TraindynError, match="without input noise"):
        td.simulate(MEMORY, rule, steps=1, estimate_error=True)


def test_digests_tell_the_noise_and_leave_the_rest_alone() -> None:
    plain, noisy = td.StochasticGradientDescent(1.0, 2), td.StochasticGradientDescent(1.0, 2, 0.1)
    assert plain.digest != noisy.digest
    assert plain.digest == td.StochasticGradientDescent(1.0, 2, 0.0).digest
