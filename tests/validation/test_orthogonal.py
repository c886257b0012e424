"""The experiment on orthogonal inputs: its measures on runs whose answers are known, and its rules of decision."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from traindyn.dynamics import GradientDescent, simulate
from traindyn.validation.experiments import orthogonal as experiment
from traindyn.validation.figures import Request


def run_at(rate: float, steps: int = 60, norms: str = "unit", frequencies: str = "uniform"):
    """Descent of 8 tokens with a = rate where norms and frequencies are equal."""
    memory = experiment.memory_of(8, norms, frequencies, "axes", seed=3)
    return simulate(memory, GradientDescent(4.0 * rate), steps=steps)


def by_hand(rate: float, steps: int) -> list[float]:
    """m' = m + a / (1 + e^m) from 0."""
    margins = [0.0]
    for _ in range(steps):
        margins.append(margins[-1] + rate / (1.0 + math.exp(margins[-1])))
    return margins


@pytest.mark.parametrize("norms", ["unit", "spread"])
@pytest.mark.parametrize("outputs", ["axes", "random"])
def test_every_token_moves_alone_at_its_rate(norms, outputs):
    memory = experiment.memory_of(8, norms, "zipf", outputs, seed=1)
    run = simulate(memory, GradientDescent(3.0), steps=40)
    for token, pull in enumerate(experiment.pulls(memory)):
        np.testing.assert_allclose(run["margin"][:, token], by_hand(3.0 * pull, 40), rtol=0, atol=1e-12)


def test_inputs_and_outputs_are_as_named():
    memory = experiment.memory_of(8, "spread", "zipf", "random", seed=2)
    lengths = np.sqrt(np.diag(memory.input_gram))
    assert lengths.min() >= 0.5
    assert lengths.max() <= 2.0
    assert np.ptp(lengths) > 0.3
    assert np.linalg.norm(memory.outputs[0] - memory.outputs[1]) == pytest.approx(1.5)
    assert abs(memory.outputs[0] @ memory.outputs[1]) > 0.01


# the thresholds of the printed bound: a = 2.5 fails at t = 1 only, 2.52 never
@pytest.mark.parametrize(("rate", "false"), [(0.5, 8), (2.0, 8), (2.5, 8), (2.52, 0), (3.0, 0)])
def test_where_the_printed_bound_fails(rate, false):
    run = run_at(rate)
    assert experiment.printed_false(run) == false
    assert experiment.half_slack(run) >= 0.0
    assert experiment.enclosure_slack(run) >= -1e-12
    assert experiment.true_to_two(run) == experiment.false_from_three(run) == 0.0
    below, above = experiment.largest_false(run), experiment.smallest_true(run)
    assert (below, above) == (pytest.approx(rate), math.inf) if false else (0.0, pytest.approx(rate))


def test_laws_that_are_not_the_run_s_are_noticed():
    """Margins of another rate lie outside the enclosure, and a bound that is too high is undercut."""
    run, other = run_at(1.0), run_at(1.2)
    swapped = replace(run, columns={"loss": run["loss"], "accuracy": run["accuracy"], "margin": other["margin"]})
    assert experiment.enclosure_slack(swapped) < -0.05
    reverse = replace(run, columns={"loss": run["loss"][::-1], "accuracy": run["accuracy"], "margin": run["margin"]})
    assert experiment.falls(run) == 0.0
    assert experiment.falls(reverse) == 60.0


def test_order_of_learning():
    assert experiment._inversions(np.array([1.0, 2.0, 3.0]), np.array([3.0, 2.0, 1.0])) == 0.0
    assert experiment._inversions(np.array([1.0, 2.0, 3.0]), np.array([3.0, 1.0, 2.0])) == pytest.approx(1 / 3)
    # equal steps and equal keys decide nothing; a token that is never learned comes last
    assert experiment._inversions(np.array([1.0, 1.0, math.inf]), np.array([1.0, 2.0, 2.0])) == 1.0
    assert experiment._inversions(np.array([5.0, 5.0]), np.array([1.0, 2.0])) == 0.0
    run = run_at(0.5, 400, "spread", "zipf")
    assert experiment.inversions_by_pull(run) == 0.0
    assert experiment.inversions_by_frequency(run) > 0.0


@pytest.fixture(scope="module")
def numbers():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(experiment, "STEPS", 20_000)
        yield experiment.orthogonal(Request(quick=True))


def test_quick_answers(numbers):
    outcomes = {finding.statement: finding.outcome for finding in numbers.findings}
    refuted = {statement for statement, outcome in outcomes.items() if outcome == "refuted"}
    assert {"supported", "refuted"} == set(outcomes.values())
    assert {statement.split(",")[0] for statement in refuted} == {
        "The printed loss bound", "From t = 1000 on the loss falls as t to the power -1 +- 0.01", "Of norms in [0.5",
    }  # fmt: skip


def test_findings_follow_the_numbers(numbers):
    """Each doctored array turns the outcome of its sentence."""
    for name, value, word in [
        ("flow_error", 1e-9, "closed form"), ("enclosure_slack", -1e-6, "two proved bounds"),
        ("half_slack", -1e-6, "a t/2"), ("true_to_two", 1.0, "a <= 2"), ("false_from_three", 1.0, "a >= 3"),
        ("largest_false", 2.6, "turns from"), ("smallest_true", 2.4, "turns from"),
        ("largest_constant", 1.08, "corrected loss bound"), ("falls", 1.0, "only rise"),
        ("loss_slope", -1.1, "[0.1, 3]"),
        ("final_constant", 1.1, "overshoots"), ("inversions_by_pull", 0.1, "|e_x|^2"),
    ]:  # fmt: skip
        changed = {**numbers.arrays, name: np.full_like(numbers.arrays[name], value)}
        for before, after in zip(numbers.findings, experiment.findings(changed, 1, 1), strict=True):
            if word in before.statement:
                assert (before.outcome, after.outcome) == ("supported", "refuted"), (name, after)


def test_the_picture_can_be_drawn(numbers):
    pytest.importorskip("matplotlib")
    assert len(experiment.draw(numbers, False).axes) == 3
