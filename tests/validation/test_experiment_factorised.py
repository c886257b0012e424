"""The experiment on factorised W: its problems and measures by hand, and its findings."""

from __future__ import annotations

import math
import pickle
from types import SimpleNamespace

import numpy as np
import pytest

from traindyn.analytics import hard_margin
from traindyn.dynamics import AssociativeMemory, BlockMemory, FactorisedMemory, GradientDescent, simulate
from traindyn.validation.experiments import factorised, factorised_storage
from traindyn.validation.experiments import factorised_runs as runs
from traindyn.validation.experiments.factorised_findings import sampled, share
from traindyn.validation.figures import Request


class Saved(dict):
    """Columns of a run, with its steps."""

    def __init__(self, step, **columns):
        super().__init__({name: np.array(values, dtype=float) for name, values in columns.items()})
        self.step = np.array(step)


def test_height_is_the_rise_above_the_least_before():
    assert runs.height(np.array([1.0, 0.5, 0.7, 0.9, 0.4, 0.6])) == pytest.approx(0.4)
    assert runs.height(np.array([3.0, 2.0, 1.0])) <= 0.0


def test_rises_are_found_between_saved_steps():
    values = np.zeros((4, runs.DIM))
    values[:, 0] = 0.0, 2.0, 4.0, 8.0
    for mode in range(1, runs.MODES + 1):
        values[:, mode] = values[:, 0] / 2.0**mode
    run = Saved([0, 10, 20, 40], singular_values=values)
    assert runs.first_risen(run) == pytest.approx(15.0)
    assert math.isnan(runs.overlap(run))  # the fourth value never rises
    run = Saved([0, 10, 20, 40], singular_values=16.0 * values)
    assert runs.overlap(run) == pytest.approx(0.5)


def test_the_matched_run_is_w_itself_at_the_rates_of_the_factors():
    rate = 2.0
    problem, rule = runs.interfering(0.95, 0.75, 2, 0.3, "gaussian", rate, seed=3)
    run = simulate(problem, rule, steps=80, observe=("loss", "rate_gain"))
    memory, weights, losses = problem.memory, problem.product(problem.start), []
    left, right = problem.start
    for _ in range(81):
        losses.append(memory.loss_and_gradient(weights)[0])
        gradient = memory.loss_and_gradient(left @ right.T)[1]
        by_left, by_right = gradient @ right, gradient.T @ left
        matched = rate * ((by_left**2).sum() + (by_right**2).sum()) / (gradient**2).sum()
        weights = weights - matched * memory.loss_and_gradient(weights)[1]
        left, right = left - rate * by_left, right - rate * by_right
    expected = runs.height(np.array(losses))
    assert expected > 0.1
    assert runs.matched_spike(run) == pytest.approx(expected, rel=1e-9)


def test_lost_runs_have_no_other_measure():
    lost = simulate(*runs.interfering(0.95, 0.75, 2, 0.3, "gaussian", 30.0, seed=0), steps=2000, observe="loss")
    assert runs.is_lost(lost) == 1.0
    assert math.isnan(runs.spike(lost))
    assert math.isnan(runs.matched_spike(lost))
    kept = simulate(*runs.interfering(0.95, 0.75, runs.FULL, 0.3, "gaussian", 30.0, seed=0), steps=2000)
    assert runs.is_lost(kept) == 0.0
    assert runs.spike(kept) > 1.0


def test_shares_of_margins_are_one_for_the_best():
    memory = runs.random_classes(4, seed=2)
    best = hard_margin(memory)
    weights = best.weights
    run = simulate(BlockMemory(memory, 1), GradientDescent(1.0), steps=0, initial=300.0 * weights[None])
    assert runs.frobenius_share(run) == pytest.approx(1.0, rel=1e-9)
    frobenius, nuclear, bound = runs.best_margins(memory)
    assert frobenius == best.margin
    assert runs.nuclear_share(run) == pytest.approx(1.0 / (np.linalg.norm(weights, "nuc") * bound), rel=1e-9)
    assert runs.nuclear_share(run) < nuclear / bound <= 1.0


def test_rank_one_answers_at_most_two_classes():
    """The scores of rank one are h_x k_y: positive h ask for the largest k, negative ones for the smallest."""
    memory = AssociativeMemory.random(6, 6, 4, rng=1, output_embedding="sphere")
    rng = np.random.default_rng(0)
    most = 0
    for _ in range(300):
        start = rng.normal(size=(2, 4, 1))
        run = simulate(FactorisedMemory(memory, 1), GradientDescent(1.0), steps=0, initial=1e-2 * start)
        most = max(most, int(runs.classes_right(run)))
    assert most == 2


def test_couplings_are_the_pushes_of_a_step():
    memory = AssociativeMemory.random(5, 5, 8, rng=4, output_embedding="sphere")
    cross, own = [], []
    for token in range(5):
        for other in range(5):
            pushes = [
                (memory.inputs[token, part] @ memory.inputs[other, part])
                * (memory.outputs[token, part] @ memory.outputs[other, part])
                for part in (slice(0, 4), slice(4, 8))
            ]
            (own if token == other else cross).append(sum(pushes))
    assert runs.own_coupling(memory, 2) == pytest.approx(np.mean(own))
    assert runs.cross_coupling(memory, 2) == pytest.approx(np.sqrt(np.mean(np.square(cross))) / np.mean(own))
    problem, rule = runs.in_blocks(4, 16, 16, 0.9, 0.0, 3.0, seed=1)
    assert rule.learning_rate * runs.own_coupling(problem.memory, 4) == pytest.approx(3.0)
    parts = problem.memory.inputs.reshape(16, 4, 4)
    np.testing.assert_allclose((parts[5, 1] ** 2).sum(), 0.9, rtol=1e-12)
    np.testing.assert_allclose(np.linalg.norm(problem.memory.outputs, axis=1), 1.0, rtol=1e-12)
    pair = runs.in_blocks(2, 2, runs.DIM, 0.0, 0.95, 3.0, seed=1)[0].memory
    np.testing.assert_allclose(pair.input_gram, [[1.0, 0.95], [0.95, 1.0]], rtol=0, atol=1e-12)


def test_cells_can_be_sent_and_are_drawn_by_their_seed():
    first, again, other = (runs.interfering(0.5, 0.75, 2, 0.1, "balanced", 1.0, seed) for seed in (0, 0, 1))
    assert pickle.loads(pickle.dumps(first))[0] == again[0] != other[0]
    schedule = runs.followed(4, 4, 0.1, "balanced", 0)[1].learning_rate
    assert pickle.loads(pickle.dumps(schedule)) == schedule
    assert schedule(100) == pytest.approx(0.1 * math.exp(3.0) / 4.0)
    assert runs.Replayed((1.0, 2.0))(7) == 2.0


def test_half_is_where_the_share_crosses():
    assert factorised_storage._half([8, 16, 32], np.array([1.0, 1.0, 0.0])) == pytest.approx(16 * math.sqrt(2))
    assert math.isnan(factorised_storage._half([8, 16], np.array([1.0, 0.6])))
    assert math.isnan(factorised_storage._half([8, 16], np.array([0.4, 0.2])))


def test_findings_say_what_their_intervals_allow():
    assert sampled("s", np.full(5, 2.0), at_least=1.0).outcome == "supported"
    assert sampled("s", [0.0, 2.0, 0.5], at_least=1.0).outcome == "open"
    assert share("s", 9, 10, "b", at_least=0.5).outcome == "supported"
    assert share("s", 3, 4, "b", at_least=0.5).outcome == "open"
    assert share("s", 3, 4, "b", at_least=1.0, exact=True).outcome == "refuted"


def test_blocks_and_directions_in_the_small_size():
    arrays, told = factorised_storage.blocks(Request(quick=True))
    assert [finding.outcome for finding in told[1:3]] == ["open", "supported"]
    assert arrays["block_settle"].shape == (4, 2, 10)
    arrays, told = factorised_storage.directions(Request(quick=True))
    assert [finding.outcome for finding in told[:4]] == ["supported"] * 4
    assert arrays["direction"].shape == (2, 3, 3, 6)


@pytest.mark.slow
def test_the_small_size_as_a_whole():
    numbers = factorised.factorised(Request(quick=True))
    outcomes = {finding.statement.split(" ")[0]: finding.outcome for finding in numbers.findings}
    assert len(numbers.findings) == 26
    assert outcomes["W"] == "supported"
    (definition,) = factorised.FIGURES
    assert definition.is_experiment
    assert len(definition.draw(numbers, False).axes) == 7
    assert isinstance(numbers.parameters, dict)
    assert SimpleNamespace(**numbers.parameters).quick
