"""Each rule against its equation in plain NumPy, and the laws of the random ones."""

from __future__ import annotations

import math
import pickle
from typing import Any

import numpy as np
import pytest

from traindyn.dynamics import (
    Adam,
    AdamW,
    AssociativeMemory,
    GradientDescent,
    GradientFlow,
    GradientNoise,
    Status,
    StochasticGradientDescent,
    StochasticGradientFlow,
    schedules,
    simulate,
)
from traindyn.dynamics.draws import BatchDraws, CovarianceDraws, random_stream
from traindyn.errors import InputError

MEMORY = AssociativeMemory.random(6, 3, 4, "gaussian", "zipf", rng=1, output_embedding="gaussian")
START = np.random.default_rng(2).standard_normal((4, 4))


def gradient(memory: AssociativeMemory, weights: np.ndarray, token_weights: np.ndarray | None = None) -> np.ndarray:
    """The gradient as equation (9) prints it, token by token."""
    total = np.zeros_like(weights)
    shares = memory.frequencies if token_weights is None else token_weights
    for x in range(memory.n_tokens):
        scores = memory.outputs @ weights @ memory.inputs[x]
        probabilities = np.exp(scores - scores.max())
        probabilities /= probabilities.sum()
        expected = probabilities @ memory.outputs - memory.outputs[memory.targets[x]]
        total += shares[x] * np.outer(expected, memory.inputs[x])
    return total


def test_the_reference_gradient_is_a_gradient() -> None:
    loss, found = MEMORY.loss_and_gradient(START)
    np.testing.assert_allclose(found, gradient(MEMORY, START), rtol=0, atol=1e-15)
    direction = np.random.default_rng(3).standard_normal((4, 4))
    ahead, behind = (MEMORY.loss_and_gradient(START + sign * 1e-5 * direction)[0] for sign in (1, -1))
    assert abs((ahead - behind) / 2e-5 - (found * direction).sum()) < 1e-9
    assert loss > 0


@pytest.mark.parametrize("form", ["weights", "particles"])
def test_descent_with_momentum(form: str) -> None:
    rule = GradientDescent(schedules.step_decay(2.0, every=10, factor=0.5), momentum=0.8)
    weights, velocity = START.copy(), np.zeros((4, 4))
    for step in range(50):
        velocity = 0.8 * velocity + gradient(MEMORY, weights)
        weights = weights - 2.0 * 0.5 ** (step // 10) * velocity
    run = simulate(MEMORY, rule, steps=50, initial=START, form=form)
    np.testing.assert_allclose(run.final, weights, rtol=0, atol=1e-13)
    assert run.time[-1] == 10 * (2.0 + 1.0 + 0.5 + 0.25 + 0.125)


@pytest.mark.parametrize("rule", [Adam(0.05), AdamW(0.05, weight_decay=0.1), Adam(0.02, 0.5, 0.9, 1e-3)], ids=str)
def test_adam(rule: Adam) -> None:
    weights = START.copy()
    first, second = np.zeros((4, 4)), np.zeros((4, 4))
    decay = rule.weight_decay if isinstance(rule, AdamW) else 0.0
    for step in range(1, 61):
        slope = gradient(MEMORY, weights)
        first = rule.first_decay * first + (1 - rule.first_decay) * slope
        second = rule.second_decay * second + (1 - rule.second_decay) * slope**2
        mean, square = first / (1 - rule.first_decay**step), second / (1 - rule.second_decay**step)
        weights = weights - rule.rate(step) * (mean / (np.sqrt(square) + rule.epsilon) + decay * weights)
    run = simulate(MEMORY, rule, steps=60, initial=START)
    np.testing.assert_allclose(run.final, weights, rtol=0, atol=1e-12)


def test_adam_has_no_particles() -> None:
    with pytest.raises(InputError, match="entry by entry"):
        simulate(MEMORY, Adam(0.1), steps=1, form="particles")


def test_flow_is_the_limit_of_small_steps() -> None:
    flow = simulate(MEMORY, GradientFlow(), time=2.0, initial=START)
    gaps = []
    for steps in (200, 400):
        run = simulate(MEMORY, GradientDescent(2.0 / steps), steps=steps, initial=START)
        gaps.append(np.abs(run.final - flow.final).max())
    assert 1.9 < gaps[0] / gaps[1] < 2.1  # Euler's method has order one


def test_no_noise_is_descent() -> None:
    descent = simulate(MEMORY, GradientDescent(0.25), steps=40, initial=START)
    flow = simulate(MEMORY, StochasticGradientFlow(0.0, 0.25), steps=40, initial=START)
    np.testing.assert_array_equal(flow.final, descent.final)
    np.testing.assert_array_equal(flow.time, descent.time)
    np.testing.assert_array_equal(simulate(MEMORY, StochasticGradientFlow(0.0, 0.25), time=10.0, initial=START).final,
                                  descent.final)  # fmt: skip


def test_batches_are_unbiased_with_the_variance_of_a_multinomial() -> None:
    draws = BatchDraws(MEMORY.frequencies, random_stream(0), 5, "float64")
    shares, _ = draws.take(40_000)
    p = MEMORY.frequencies
    assert (np.abs(shares.sum(axis=1) - 1.0) < 1e-15).all()
    assert np.abs(shares.mean(axis=0) - p).max() < 4.5 * np.sqrt(p.max() / 5 / 40_000)
    covariance = np.cov(shares.T)
    expected = (np.diag(p) - np.outer(p, p)) / 5
    # the standard error of a covariance entry is below sqrt(2 v v / n) for these light tails
    assert np.abs(covariance - expected).max() < 6 * np.sqrt(2 / 40_000) * expected.max()


def test_one_step_of_batches_has_the_mean_gradient() -> None:
    steps = [
        simulate(MEMORY, StochasticGradientDescent(1.0, 2), steps=1, initial=START, rng=seed, observe=()).final - START
        for seed in range(3000)
    ]
    mean, spread = np.mean(steps, axis=0), np.std(steps, axis=0)
    slope = gradient(MEMORY, START)
    assert (np.abs(mean + slope) < 4.5 * spread / math.sqrt(3000)).all()


def test_batch_step_follows_the_drawn_tokens() -> None:
    rule = StochasticGradientDescent(0.7, 4)
    generator = np.random.default_rng(9)
    key = np.random.default_rng(9).integers(0, 2**64, 2, dtype=np.uint64)
    weights = START.copy()
    for step in range(3):
        row = np.random.Generator(np.random.Philox(key=key, counter=[0, step, 0, 0])).random(4)
        tokens = np.searchsorted(np.cumsum(MEMORY.frequencies), row, side="right")
        weights = weights - 0.7 * gradient(MEMORY, weights, np.bincount(tokens, minlength=6) / 4)
    run = simulate(MEMORY, rule, steps=3, initial=START, rng=generator)
    np.testing.assert_allclose(run.final, weights, rtol=0, atol=1e-14)
    # the caller's generator is left as it was
    assert generator.random() == np.random.default_rng(9).random()


def test_gradient_noise_has_the_covariance_of_the_gradients() -> None:
    noise, dt = GradientNoise(batch_size=3, learning_rate=0.4), 0.1
    draws = CovarianceDraws(MEMORY.frequencies, random_stream(1), noise, dt, "float64")
    count = 60_000
    token_weights, _ = draws.take(count)
    units = np.eye(6)
    gradients = np.stack([gradient(MEMORY, START, unit).ravel() for unit in units])
    mean = MEMORY.frequencies @ gradients
    kicks = -dt * (token_weights @ gradients - mean)
    expected = dt * 0.4 / 3 * (gradients.T @ (MEMORY.frequencies[:, None] * gradients) - np.outer(mean, mean))
    found = kicks.T @ kicks / count
    assert np.abs(kicks.mean(axis=0)).max() < 5 * np.sqrt(expected.diagonal().max() / count)
    assert np.abs(found - expected).max() < 6 * np.sqrt(2 / count) * expected.diagonal().max()


def test_isotropic_noise_has_unit_variance_on_the_span() -> None:
    memory = AssociativeMemory.random(2, 3, 4, "gaussian", rng=1)
    sigma, dt = 0.5, 0.1
    plain = simulate(memory, GradientDescent(dt), steps=1, observe=()).final
    kicks = np.stack([
        (simulate(memory, StochasticGradientFlow(sigma, dt), steps=1, observe=(), rng=seed).final - plain).ravel()
        for seed in range(4000)
    ])  # fmt: skip
    differences = memory.outputs[1:] - memory.outputs[0]
    projection = np.kron(np.linalg.pinv(differences) @ differences, np.linalg.pinv(memory.inputs) @ memory.inputs)
    found = kicks.T @ kicks / 4000 / (sigma**2 * dt)
    assert np.abs(found - projection).max() < 6 * np.sqrt(2 / 4000)
    assert abs(np.trace(found) - 4.0) < 6 * np.sqrt(2 * 4 / 4000)  # rank 2 of the inputs times 2 of the differences


@pytest.mark.parametrize("rule", [Adam(1e308), Adam(lambda step: 0.1 if step < 3 else 1e308)], ids=["first", "later"])
def test_a_run_that_nobody_watches_ends_where_a_watched_one_does(rule: Any) -> None:
    watched, unseen = (simulate(MEMORY, rule, steps=9, initial=START, observe=seen) for seen in ("loss", ()))
    assert watched.status is unseen.status is Status.NOT_FINITE
    assert watched.message == unseen.message
    # a step that is not finite is not saved
    assert watched.step.tolist() == unseen.step.tolist()
    assert watched.time.tolist() == unseen.time.tolist()


BAD: dict[str, Any] = {
    "rate zero": (lambda: GradientDescent(0.0), "learning_rate must be a finite number > 0; got 0.0"),
    "rate negative": (lambda: GradientDescent(-1.0), "learning_rate > 0 or a schedule"),
    "rate nan": (lambda: Adam(math.nan), "learning_rate"),
    "rate infinite": (lambda: AdamW(math.inf), "learning_rate"),
    "rate word": (lambda: GradientDescent("fast"), "learning_rate"),  # type: ignore[arg-type]
    "momentum one": (lambda: GradientDescent(1.0, momentum=1.0), "momentum must be a finite number >= 0 and < 1"),
    "momentum negative": (lambda: GradientDescent(1.0, momentum=-0.1), "momentum"),
    "batch zero": (lambda: StochasticGradientDescent(1.0, 0), "batch_size must be an integer >= 1"),
    "batch not whole": (lambda: StochasticGradientDescent(1.0, 2.5), "batch_size must be an integer"),  # type: ignore[arg-type]
    "noise": (lambda: StochasticGradientFlow(-1.0, 0.1), "GradientNoise"),
    "dt": (lambda: StochasticGradientFlow(1.0, 0.0), "dt must be a finite number > 0"),
    "gradient noise": (lambda: GradientNoise(0, 0.1), "batch_size"),
    "decay": (lambda: Adam(0.1, first_decay=1.0), "first_decay"),
    "epsilon": (lambda: Adam(0.1, epsilon=0.0), "epsilon"),
    "weight decay": (lambda: AdamW(0.1, weight_decay=-1.0), "weight_decay"),
    "rtol": (lambda: GradientFlow(rtol=1e-20), "rtol"),
    "warm-up": (lambda: schedules.linear_warmup(1.0, 0), "steps must be an integer >= 1"),
    "cosine": (lambda: schedules.cosine(-1.0, 10), "rate must be"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_rules_are_told(name: str) -> None:
    make, message = BAD[name]
    with pytest.raises(InputError, match=message):
        make()


@pytest.mark.parametrize(("value", "told"), [(-1.0, "-1.0"), (math.nan, "nan"), (math.inf, "inf"), ("x", "x")])
def test_bad_rates_of_a_schedule_name_the_step(value: Any, told: str) -> None:
    rule = GradientDescent(lambda step: 1.0 if step < 7 else value)
    with pytest.raises(InputError, match=f"{told}.* at step 7"):
        simulate(MEMORY, rule, steps=20)


def test_schedules_pickle_and_have_stable_digests() -> None:
    rules = [
        schedules.constant(1.0), schedules.cosine(1.0, 10, 0.1), schedules.step_decay(1.0, 3),
        schedules.linear_warmup(1.0, 4, then=schedules.inverse_time(1.0, 2.0, 0.5)),
    ]  # fmt: skip
    digests = set()
    for schedule in rules:
        rule = GradientDescent(schedule)
        copy = pickle.loads(pickle.dumps(rule))
        assert copy == rule
        assert copy.digest == rule.digest
        digests.add(rule.digest)
    assert len(digests) == len(rules)
    assert GradientDescent(1.0).digest == GradientDescent(1).digest
    assert Adam(0.1).digest != AdamW(0.1, weight_decay=0.0).digest


def test_zero_rates_of_a_schedule_are_allowed() -> None:
    run = simulate(MEMORY, GradientDescent(lambda step: 0.0), steps=3, initial=START)
    np.testing.assert_array_equal(run.final, START)
