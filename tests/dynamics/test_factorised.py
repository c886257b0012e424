"""Factorised and block-diagonal W: gradients, laws of their dynamics, and the compiled loop against Python."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest

from traindyn import kernels
from traindyn.dynamics import (
    Adam,
    AdamW,
    AssociativeMemory,
    BlockMemory,
    FactorisedMemory,
    GradientDescent,
    GradientNoise,
    Recipe,
    Status,
    StochasticGradientDescent,
    StochasticGradientFlow,
    at,
    every,
    schedules,
    simulate,
    sweep,
    when,
)
from traindyn.dynamics.draws import draws_of, random_stream
from traindyn.errors import InputError

MEMORY = AssociativeMemory.random(6, 4, 8, frequencies="zipf", rng=3)
PROBLEMS = {
    "factors": FactorisedMemory(MEMORY, 3, rng=1),
    "balanced": FactorisedMemory(MEMORY, 3, balanced=True, rng=1),
    "factors in blocks": FactorisedMemory(MEMORY, 2, blocks=2, rng=1),
    "redundant": FactorisedMemory(MEMORY, 11, scale=0.1, rng=1),
    "blocks": BlockMemory(MEMORY, 4),
    "whole": BlockMemory(MEMORY, 1),
}
RULES = [
    GradientDescent(schedules.cosine(0.7, steps=30)),
    GradientDescent(0.3, momentum=0.9),
    Adam(0.05),
    AdamW(0.05, weight_decay=0.1),
]


class InPython:
    """The problem without its compiled loop."""

    def __init__(self, problem: Any) -> None:
        self._problem = problem

    def __getattr__(self, name: str) -> Any:
        if name == "system" or name.startswith("__"):
            raise AttributeError(name)
        return getattr(self._problem, name)


def exact_loss(left: np.ndarray, right: np.ndarray) -> np.longdouble:
    """The cross entropy of W = A B^T in extended precision."""
    scores = MEMORY.inputs @ right @ left.T @ MEMORY.outputs.T
    largest = scores.max(axis=1)
    totals = largest + np.log(np.exp(scores - largest[:, None]).sum(axis=1))
    return MEMORY.frequencies @ (totals - scores[np.arange(6), MEMORY.targets])


def test_gradient_is_the_slope_in_extended_precision():
    if np.finfo(np.longdouble).eps > 2e-19:
        pytest.skip("no extended precision here")
    factors = np.random.default_rng(0).normal(size=(2, 8, 3)).astype(np.longdouble)
    arrays = MEMORY.inputs, MEMORY.outputs, MEMORY.targets, MEMORY.frequencies
    loss, *gradient = kernels.factorised_gradient(*factors.astype(float), *arrays)
    factors = factors.astype(float).astype(np.longdouble)
    assert loss == pytest.approx(float(exact_loss(*factors)), rel=1e-14)
    length = np.longdouble(1e-6)
    for place in np.ndindex(2, 8, 3):
        ahead, behind = factors.copy(), factors.copy()
        ahead[place] += length
        behind[place] -= length
        slope = (exact_loss(*ahead) - exact_loss(*behind)) / (2 * length)
        # the third derivative times 1e-12, and 1e-19 of the loss over 1e-6
        assert gradient[place[0]][place[1:]] == pytest.approx(float(slope), abs=1e-11)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: type(rule).__name__ + str(getattr(rule, "momentum", "")))
@pytest.mark.parametrize("name", PROBLEMS)
def test_compiled_equals_python(name, rule):
    problem = PROBLEMS[name]
    observe = ["loss", "accuracy", "accuracy_first_index", "margin", "smallest_margin"]
    observe += ["rate_gain", "imbalance"] if isinstance(problem, FactorisedMemory) else []
    ours = simulate(problem, rule, steps=40, observe=observe)
    python = simulate(InPython(problem), rule, steps=40, observe=observe)
    # 40 stable steps of numbers of order ten; Adam divides by small roots
    for seen in observe:
        np.testing.assert_allclose(ours[seen], python[seen], rtol=1e-11, atol=1e-11, err_msg=seen)
    assert ours.final.shape == problem.initial_weights().shape
    np.testing.assert_allclose(ours.final, python.final, rtol=0, atol=1e-12)


def test_single_precision():
    problem = PROBLEMS["factors in blocks"]
    rough = simulate(problem, GradientDescent(0.5), steps=50, dtype="float32", observe=("loss", "rate_gain"))
    fine = simulate(problem, GradientDescent(0.5), steps=50, observe=("loss", "rate_gain"))
    assert rough.final.dtype == np.float32
    assert rough["loss"][-1] != fine["loss"][-1]
    for name in fine:
        np.testing.assert_allclose(rough[name], fine[name], rtol=1e-4)


def test_one_block_is_the_memory_and_blocks_are_its_masked_gradient():
    whole = simulate(BlockMemory(MEMORY, 1), GradientDescent(2.0), steps=60)
    plain = simulate(MEMORY, GradientDescent(2.0), steps=60, form="weights")
    np.testing.assert_allclose(whole.final[0], plain.final, rtol=0, atol=1e-13)
    np.testing.assert_allclose(whole["margin"], plain["margin"], rtol=0, atol=1e-12)
    weights = np.zeros((8, 8))
    mask = np.kron(np.eye(4), np.ones((2, 2)))
    for _ in range(60):
        weights = weights - 2.0 * mask * MEMORY.loss_and_gradient(weights)[1]
    blocks = BlockMemory(MEMORY, 4)
    run = simulate(blocks, GradientDescent(2.0), steps=60)
    np.testing.assert_allclose(blocks.product(run.final), weights, rtol=0, atol=1e-13)


def test_a_step_is_the_preconditioned_step_of_the_product():
    problem, rate = PROBLEMS["factors"], 0.3
    left, right = problem.initial_weights()
    gradient = MEMORY.loss_and_gradient(left @ right.T)[1]
    run = simulate(problem, GradientDescent(rate), steps=1)
    first = -(gradient @ right @ right.T + left @ left.T @ gradient)
    second = gradient @ right @ left.T @ gradient
    np.testing.assert_allclose(
        problem.product(run.final), left @ right.T + rate * first + rate**2 * second, rtol=0, atol=1e-15
    )


def test_orthogonal_rotation_of_the_factors_changes_nothing():
    problem = PROBLEMS["factors"]
    turn = np.linalg.qr(np.random.default_rng(5).normal(size=(3, 3)))[0]
    options = {"steps": 60, "observe": ("loss", "margin", "singular_values", "imbalance")}
    plain = simulate(problem, GradientDescent(1.0), **options)
    turned = simulate(problem, GradientDescent(1.0), initial=problem.start @ turn, **options)
    assert np.abs(turned.final - plain.final).max() > 0.1
    np.testing.assert_allclose(turned.final, plain.final @ turn, rtol=0, atol=1e-12)
    for name in plain:
        np.testing.assert_allclose(turned[name], plain[name], rtol=0, atol=1e-12)


def test_balance_moves_by_the_square_of_the_rate():
    problem = PROBLEMS["factors"]
    left, right = problem.initial_weights()
    gradient = MEMORY.loss_and_gradient(left @ right.T)[1]
    run = simulate(problem, GradientDescent(0.3), steps=1, observe=("balance",))
    moved = 0.09 * ((gradient @ right).T @ (gradient @ right) - (gradient.T @ left).T @ (gradient.T @ left))
    np.testing.assert_allclose(run["balance"][1, 0] - run["balance"][0, 0], moved, rtol=0, atol=1e-15)
    # over a fixed time the drift is then of first order, and none is left of gradient flow
    drifts = []
    for rate in (0.02, 0.01, 0.005):
        run = simulate(problem, GradientDescent(rate), steps=round(4.0 / rate), observe=("balance",), save=at([]))
        drifts.append(np.linalg.norm(run["balance"][-1] - run["balance"][0]))
    assert drifts[0] / drifts[1] == pytest.approx(2.0, abs=0.05)
    assert drifts[1] / drifts[2] == pytest.approx(2.0, abs=0.03)


def test_rate_gain_matches_the_descent_of_the_loss():
    problem, tiny = PROBLEMS["factors"], 1e-6
    run = simulate(problem, GradientDescent(tiny), steps=1, observe=("loss", "rate_gain"))
    whole = MEMORY.loss_and_gradient(problem.product(problem.start))
    moved = MEMORY.loss_and_gradient(problem.product(problem.start) - tiny * run["rate_gain"][0] * whole[1])
    assert run["loss"][1] - run["loss"][0] == pytest.approx(moved[0] - whole[0], rel=1e-5)


def test_balanced_start_has_the_product_of_the_gaussian_one():
    for rank, blocks in ((3, 1), (11, 1), (2, 2), (5, 4)):
        gaussian = FactorisedMemory(MEMORY, rank, 0.2, False, blocks, rng=4)
        balanced = FactorisedMemory(MEMORY, rank, 0.2, True, blocks, rng=4)
        np.testing.assert_allclose(
            balanced.product(balanced.start), gaussian.product(gaussian.start), rtol=0, atol=1e-15
        )
        observe = {"observe": ("imbalance",), "steps": 0}
        assert simulate(balanced, GradientDescent(1.0), **observe)["imbalance"][0] < 1e-14
        assert simulate(gaussian, GradientDescent(1.0), **observe)["imbalance"][0] > 1e-2
    assert np.std(FactorisedMemory(MEMORY, 200, rng=0).start) == pytest.approx(8**-0.5, rel=0.05)


@pytest.mark.parametrize(
    "rule",
    [*RULES, StochasticGradientDescent(0.5, batch_size=2), StochasticGradientFlow(GradientNoise(4, 0.1), dt=0.1)],
    ids=lambda rule: type(rule).__name__,
)
def test_resumed_and_sliced_runs_equal_the_whole_to_the_bit(rule):
    problem = PROBLEMS["factors"]
    observe = ("loss", "rate_gain", "imbalance")
    whole = simulate(problem, rule, steps=90, observe=observe, save=every(7), rng=2)
    half = simulate(problem, rule, steps=40, observe=observe, save=every(7), rng=2)
    resumed = simulate(problem, rule, steps=90, resume=half)
    unseen = simulate(problem, rule, steps=90, observe=("loss",), save=at([]), rng=2)
    for name in whole:
        np.testing.assert_array_equal(resumed[name], whole[name])
    np.testing.assert_array_equal(resumed.final, whole.final)
    np.testing.assert_array_equal(unseen.final, whole.final)


def test_a_batch_is_a_step_with_its_shares():
    problem, rule = PROBLEMS["factors"], StochasticGradientDescent(0.5, batch_size=3)
    run = simulate(problem, rule, steps=1, rng=9, observe=("loss", "rate_gain"))
    shares = draws_of(rule, MEMORY.frequencies, random_stream(9), None, "float64").take(1)[0][0]
    assert shares.max() >= 1 / 3
    assert (shares == 0.0).any()
    left, right = problem.start
    scores = MEMORY.scores(left @ right.T)
    softmax = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    residual = shares[:, None] * (softmax - np.eye(4)[MEMORY.targets])
    gradient = MEMORY.outputs.T @ residual.T @ MEMORY.inputs
    np.testing.assert_allclose(run.final[0], left - 0.5 * gradient @ right, rtol=0, atol=1e-15)
    # what is observed is of the population, not of the batch
    same = simulate(problem, GradientDescent(0.5), steps=0, observe=("loss", "rate_gain"))
    assert run["rate_gain"][0] == same["rate_gain"][0]


def test_stop_and_failure():
    problem = PROBLEMS["factors"]
    gains = simulate(problem, GradientDescent(1.0), steps=100, observe=("rate_gain",))["rate_gain"]
    run = simulate(problem, GradientDescent(1.0), steps=100, observe=("loss",), stop=when("rate_gain", ">", 5.0))
    assert run.status is Status.THRESHOLD_REACHED
    assert run.step[-1] == np.argmax(gains > 5.0) > 0
    lost = simulate(problem, GradientDescent(1e3), steps=500)
    assert lost.status is Status.NOT_FINITE
    assert np.isfinite(lost["loss"]).all()


def test_a_start_with_infinite_scores_is_refused():
    start = np.full((2, 8, 3), 1e200)
    with pytest.raises(InputError, match="starts where everything is finite"):
        simulate(PROBLEMS["factors"], GradientDescent(1.0), steps=5, initial=start, observe="loss")


def test_ties_are_answered_by_the_first_class():
    run = simulate(BlockMemory(MEMORY, 1), GradientDescent(1.0), steps=0, observe=("accuracy_first_index", "accuracy"))
    assert run["accuracy"][0] == 0.0
    assert run["accuracy_first_index"][0] == pytest.approx(MEMORY.frequencies[MEMORY.targets == 0].sum())


@pytest.mark.parametrize("name", PROBLEMS)
def test_equality_and_pickles(name):
    problem = PROBLEMS[name]
    copy = pickle.loads(pickle.dumps(problem))
    assert copy == problem
    assert hash(copy) == hash(problem)
    assert problem.digest[:8] in repr(problem)
    assert problem.initial_weights() is not problem.initial_weights()
    others = [other for key, other in PROBLEMS.items() if key != name]
    assert problem not in [*others, MEMORY, 1]


def test_digest_tells_starts_and_structures_apart():
    digests = {
        FactorisedMemory(memory, rank, scale, balanced, blocks, rng).digest
        for memory in (MEMORY, AssociativeMemory.random(6, 4, 8, rng=3))
        for rank in (1, 2)
        for scale in (0.1, 0.2)
        for balanced in (False, True)
        for blocks in (1, 2)
        for rng in (0, 1)
    }
    assert len(digests) == 64
    problem = PROBLEMS["factors"]
    with pytest.raises(ValueError, match="read-only"):
        problem.start[0, 0, 0] = 1.0
    with pytest.raises(AttributeError):
        problem.rank = 2


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"memory": 1, "rank": 2}, "memory must be an AssociativeMemory"),
        ({"rank": 0}, "rank must be an integer >= 1"),
        ({"rank": 2, "scale": 0.0}, "scale must be a finite number > 0"),
        ({"rank": 2, "scale": 1e200}, "within the range of float64"),
        ({"rank": 2, "balanced": "yes"}, "balanced must be True or False"),
        ({"rank": 2, "blocks": 3}, "one of 1, 2, 4, 8"),
    ],
)
def test_bad_arguments(arguments, said):
    with pytest.raises(InputError, match=said):
        FactorisedMemory(**({"memory": MEMORY} | arguments))


def test_what_cannot_be_moved():
    problem = PROBLEMS["factors"]
    with pytest.raises(InputError, match="moves in weights only"):
        simulate(problem, GradientDescent(1.0), steps=1, form="particles")
    with pytest.raises(InputError, match="additive noise is defined for W"):
        simulate(problem, StochasticGradientFlow(0.1, dt=0.1), steps=1)
    for structured in PROBLEMS.values():
        with pytest.raises(InputError, match="input noise is defined for an AssociativeMemory"):
            simulate(structured, StochasticGradientDescent(1.0, 2, input_noise=0.1), steps=1)
    with pytest.raises(InputError, match=r"initial must have shape \(2, 8, 3\)"):
        simulate(problem, GradientDescent(1.0), steps=1, initial=np.zeros((2, 8, 2)))
    with pytest.raises(InputError, match="must have shape"):
        kernels.factorised_gradient(
            np.ones((8, 3)), np.ones((8, 2)), MEMORY.inputs, MEMORY.outputs, [0] * 6, [1 / 6] * 6
        )


def test_sweeps_by_a_recipe_and_goes_on_from_a_store(tmp_path):
    recipe = Recipe(FactorisedMemory, GradientDescent, memory=MEMORY, scale=0.1)
    assert pickle.loads(pickle.dumps(recipe)) == recipe
    grid = {"rank": [1, 2], "rng": [0, 1], "learning_rate": [0.5, 1.0]}
    cube = sweep(recipe, grid, ("final_loss", "steps_to_accuracy"), steps=50, store=tmp_path / "cells.db")
    again = sweep(recipe, grid, ("final_loss", "steps_to_accuracy"), steps=50, store=tmp_path / "cells.db")
    np.testing.assert_array_equal(again.values, cube.values)
    alone = simulate(FactorisedMemory(MEMORY, 2, 0.1, rng=1), GradientDescent(1.0), steps=50)
    assert cube["final_loss"][1, 1, 1] == alone["loss"][-1]


def test_observables_of_the_product():
    problem = PROBLEMS["factors in blocks"]
    names = ("product", "singular_values", "product_norm", "nuclear_norm", "balance", "imbalance", "gradient_norm")
    run = simulate(problem, GradientDescent(0.5), steps=3, observe=names)
    left, right = run.final
    product = np.zeros((8, 8))
    for rows in (slice(0, 4), slice(4, 8)):
        product[rows, rows] = left[rows] @ right[rows].T
    np.testing.assert_allclose(run["product"][-1], product, rtol=0, atol=1e-15)
    values = np.linalg.svd(product)[1]
    np.testing.assert_allclose(run["singular_values"][-1], values, rtol=0, atol=1e-14)
    assert run["nuclear_norm"][-1] == pytest.approx(values.sum())
    assert run["product_norm"][-1] == pytest.approx(np.sqrt((values**2).sum()))
    assert run["balance"].shape == (4, 2, 2, 2)
    np.testing.assert_allclose(run["balance"][-1, 1], left[4:].T @ left[4:] - right[4:].T @ right[4:], atol=1e-15)
    assert run["imbalance"][-1] == pytest.approx(np.linalg.norm(run["balance"][-1]))
