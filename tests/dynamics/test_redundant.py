"""More tokens than dimensions, or more classes: the forms still agree in scores and final weights, without a drift."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest

from traindyn.dynamics import (
    AssociativeMemory,
    GradientDescent,
    StochasticGradientDescent,
    StochasticGradientFlow,
    logarithmic,
    simulate,
)
from traindyn.dynamics.forms import choose_form, is_redundant
from traindyn.kernels import sharpness

# the contract, and the same number of rounding units in single precision
AGREEMENT = {"float64": 1e-12, "float32": 5.4e-4}


@cache
def mixed(n_tokens: int, n_classes: int, dim: int, seed: int = 0) -> AssociativeMemory:
    """Return a memory with random labels, which no W separates."""
    rng = np.random.default_rng(seed)
    inputs, outputs = rng.normal(size=(n_tokens, dim)), rng.normal(size=(n_classes, dim))
    frequencies = rng.random(n_tokens) + 0.2
    return AssociativeMemory(inputs, outputs, rng.integers(0, n_classes, n_tokens), frequencies / frequencies.sum())


def rate_below(memory: AssociativeMemory, share: float) -> float:
    start = memory.initial_weights()
    top = sharpness(start, memory.inputs, memory.outputs, memory.targets, memory.frequencies)
    return share * 2.0 / float(top)


def disagreement(
    memory: AssociativeMemory, rule: Any, steps: int, dtype: str, form: str | None, **options: Any
) -> float:
    """Return by how much a form departs from the weights: scores and scores of the final weights, of the largest."""
    options = {"steps": steps, "dtype": dtype, "observe": ("scores", "margin"), "save": logarithmic(9), **options}
    run, reference = (simulate(memory, rule, form=name, **options) for name in (form, "weights"))
    largest = float(np.abs(reference["scores"]).max())
    gaps = [np.abs(run[name] - reference[name]).max() for name in ("scores", "margin")]
    apart = run.final.astype(np.float64) - reference.final
    gaps.append(np.abs(memory.scores(apart)).max())
    return float(max(gaps)) / largest


def forms_of(memory: AssociativeMemory) -> tuple[str | None, ...]:
    return (None, "particles", "margins") if memory.n_classes == 2 else (None, "particles")


@pytest.mark.parametrize("dtype", AGREEMENT)
@pytest.mark.parametrize("sizes", [(20, 2, 3), (20, 3, 3), (20, 9, 3), (3, 9, 4), (60, 2, 5)], ids=str)
def test_forms_agree_where_nothing_separates(sizes: tuple[int, int, int], dtype: str) -> None:
    memory = mixed(*sizes)
    rule = GradientDescent(rate_below(memory, 0.9))
    for form in forms_of(memory):
        assert disagreement(memory, rule, 10_000, dtype, form) <= AGREEMENT[dtype]


@pytest.mark.parametrize("dtype", AGREEMENT)
@pytest.mark.parametrize("name", ["momentum", "batches", "noise"])
@pytest.mark.parametrize("classes", [2, 3])
def test_forms_agree_under_every_rule(name: str, classes: int, dtype: str) -> None:
    memory = mixed(20, classes, 3)
    rate = rate_below(memory, 0.5)
    rule: Any = {
        "momentum": GradientDescent(0.2 * rate, momentum=0.8),
        "batches": StochasticGradientDescent(rate, 4),
        "noise": StochasticGradientFlow(0.05, rate),
    }[name]
    initial = np.random.default_rng(1).normal(size=(3, 3))
    for form in forms_of(memory):
        assert disagreement(memory, rule, 10_000, dtype, form, initial=initial, rng=3) <= AGREEMENT[dtype]


@pytest.mark.parametrize("form", ["margins", "particles"])
def test_the_error_does_not_grow_with_time(form: str) -> None:
    memory = mixed(20, 2, 3)
    assert disagreement(memory, GradientDescent(rate_below(memory, 0.9)), 200_000, "float64", form) <= 1e-13


def test_the_sharpness_at_the_end_is_that_of_the_scores() -> None:
    memory = mixed(20, 2, 3)
    rule = GradientDescent(rate_below(memory, 0.9))
    seen = [
        simulate(memory, rule, steps=10_000, save=logarithmic(3), observe=("sharpness", "weights"), form=form)
        for form in ("margins", "particles", "weights")
    ]
    for run in seen[:2]:
        np.testing.assert_allclose(run["sharpness"], seen[2]["sharpness"], rtol=1e-11)
        np.testing.assert_allclose(run["weights"], seen[2]["weights"], rtol=0, atol=1e-12)


@pytest.mark.parametrize("closeness", [1e-6, 1e-10])
@pytest.mark.parametrize("targets", [(0, 1), (0, 0)], ids=["apart", "together"])
def test_nearly_parallel_tokens(closeness: float, targets: tuple[int, int]) -> None:
    inputs = [[1.0, 0.0, 0.0], [1.0 - closeness, np.sqrt(closeness * (2.0 - closeness)), 0.0], [0.0, 0.3, 1.0]]
    memory = AssociativeMemory(inputs, np.eye(3)[:2], [*targets, 1], [0.4, 0.35, 0.25])
    rule = GradientDescent(rate_below(memory, 0.9))
    for form in forms_of(memory):
        assert disagreement(memory, rule, 10_000, "float64", form) <= 1e-12


@pytest.mark.parametrize("classes", [2, 3])
def test_duplicates_zeros_and_equal_outputs(classes: int) -> None:
    inputs = [[1.0, 2.0], [1.0, 2.0], [0.0, 0.0], [0.5, 1.0], [1.0, -1.0]]
    outputs = [[1.0, 0.5], [0.25, -1.0], [0.25, -1.0]][:classes]
    memory = AssociativeMemory(inputs, outputs, [0, 1, 0, 1, 1], [0.3, 0.25, 0.15, 0.2, 0.1])
    for form in forms_of(memory):
        assert disagreement(memory, GradientDescent(rate_below(memory, 0.9)), 10_000, "float64", form) <= 1e-12
    still = AssociativeMemory(inputs, [outputs[0]] * classes, [0, 1, 0, 1, 1], memory.frequencies)
    for name in forms_of(memory):
        run = simulate(still, GradientDescent(1.0), steps=1000, form=name, observe="scores", initial=np.eye(2))
        # a thousand sums of increments that are zero but for rounding
        np.testing.assert_allclose(run.final, np.eye(2), rtol=0, atol=1e-13)
        np.testing.assert_allclose(run["scores"][-1], run["scores"][0], rtol=0, atol=1e-13)


def test_an_independent_token_keeps_the_exact_sum() -> None:
    """Where dual coefficients are unique and do not cancel, W has no component that only rounding made."""
    closeness = 1e-10
    inputs = [[1.0, 0.0], [1.0 - closeness, np.sqrt(closeness * (2.0 - closeness))]]
    memory = AssociativeMemory(inputs, np.eye(2), [0, 0], [0.5, 0.5])
    finals = [simulate(memory, GradientDescent(0.5), steps=1000, form=form).final for form in ("margins", "weights")]
    assert np.abs(finals[0] - finals[1]).max() < 1e-14 * np.abs(finals[1]).max()


def test_the_automatic_choice_minds_redundancy() -> None:
    rule = GradientDescent(1.0)
    assert not is_redundant(3, 4, 3)
    assert is_redundant(4, 2, 3)
    assert is_redundant(2, 5, 3)
    assert choose_form(mixed(20, 2, 3), rule, None) == "margins"
    assert choose_form(mixed(20, 3, 3), rule, None) == "weights"
    flat = mixed(20, 2, 3).inputs * [1.0, 1.0, 1e-4]
    memory = AssociativeMemory(flat, np.eye(3)[:2], mixed(20, 2, 3).targets, mixed(20, 2, 3).frequencies)
    assert choose_form(memory, rule, None) == "weights"


@pytest.mark.parametrize("form", ["margins", "particles", "weights"])
def test_resuming_after_the_sum_cancels_changes_no_bit(form: str) -> None:
    memory, initial = mixed(20, 2, 3), np.random.default_rng(1).normal(size=(3, 3))
    rule = GradientDescent(rate_below(memory, 0.5), momentum=0.3)
    whole = simulate(memory, rule, steps=4000, form=form, initial=initial, observe=("scores", "weights"))
    run = simulate(memory, rule, steps=2500, form=form, initial=initial, observe=("scores", "weights"))
    run = simulate(memory, rule, steps=4000, resume=run)
    np.testing.assert_array_equal(run.final, whole.final)
    for name in whole:
        np.testing.assert_array_equal(run[name], whole[name])
