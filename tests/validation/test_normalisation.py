"""The experiment on normalisation: its measures on runs made by hand, its rules of decision, and a small whole one."""

from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np
import pytest

from traindyn.validation.experiments import normalisation as experiment
from traindyn.validation.experiments import normalisation_runs as runs
from traindyn.validation.experiments.normalisation_findings import findings, slopes
from traindyn.validation.figures import Request


class Run(dict):
    """Columns of a run, with the problem and the rule that it claims."""

    def __init__(self, problem, rate=1.0, **columns):
        super().__init__({name: np.asarray(column, float) for name, column in columns.items()})
        self.problem, self.rule = problem, SimpleNamespace(learning_rate=rate)
        self.step = np.arange(len(next(iter(self.values()))))


def two(normalisation="unit", gain=2.0):
    return runs.normalised(runs.pair(0.8, 0.75, 1), normalisation, gain, 1)


def test_pairs_and_crowds_are_as_named():
    memory = runs.pair(0.8, 0.75, 1)
    np.testing.assert_allclose(memory.input_gram, [[1.0, 0.8], [0.8, 1.0]], atol=1e-14)
    np.testing.assert_allclose(memory.output_gram, np.eye(2), atol=1e-14)
    np.testing.assert_allclose(memory.frequencies, [0.75, 0.25])
    problem, rule = runs.growth_run("SGD 20, 5", 1.0, 0)
    assert (problem.n_tokens, problem.dim, rule.batch_size) == (20, 5, 1)
    assert type(runs.growth_run("GD 5, 10", 1.0, 0)[1]).__name__ == "GradientDescent"
    starts = [runs.pair_run(kind, 1.0, 0.8, 0.75, 1.0, 4)[0].start for kind in ("none", "unit", "layer")]
    np.testing.assert_array_equal(starts[0], starts[1])
    np.testing.assert_array_equal(starts[0], starts[2])


def test_arrival_counts_from_the_last_step_that_is_away():
    problem = two()
    floor = math.log1p(math.exp(-2.0 * math.sqrt(2.0)))
    assert runs.floor_of(problem) == pytest.approx(floor, rel=1e-12)
    above = np.array([1.0, 0.001, 0.5, 0.0101, 0.0099, 0.0])
    assert runs.arrival(Run(problem, loss=floor + above)) == 4.0
    assert math.isnan(runs.arrival(Run(problem, loss=floor + above[:4])))
    assert runs.floor_excess(Run(problem, loss=floor * np.array([9.0, 1.5]))) == pytest.approx(0.5)
    assert math.isnan(runs.floor_excess(Run(two("none"), loss=[1.0])))
    assert runs.floor_of(two("none")) == 0.0
    layer = two("layer")
    apart = layer.memory.outputs[0] - layer.memory.outputs[1]
    bound = 2.0 * np.linalg.norm(apart - apart.mean())
    assert runs.floor_of(layer) == pytest.approx(math.log1p(math.exp(-bound)), rel=1e-12)


def test_shares_of_bounds():
    run = Run(two(), loss=[2.0, math.log1p(math.exp(2.0 * math.sqrt(2.0)))], smallest_margin=[0.0, math.sqrt(2.0)])
    assert runs.peak_share(run) == pytest.approx(1.0)
    assert runs.margin_share(run) == pytest.approx(0.5)
    layer = two("layer")
    apart = layer.memory.outputs[0] - layer.memory.outputs[1]
    run = Run(layer, loss=[0.1], smallest_margin=[2.0 * np.linalg.norm(apart - apart.mean())])
    assert runs.margin_share(run) == pytest.approx(1.0)
    assert runs.margin_share(Run(two("none"), smallest_margin=[1.0])) != 1.0


def test_slopes_and_exponents_of_known_laws():
    t = np.arange(3001.0)
    run = Run(two(), smallest_margin=2.0 * np.log1p(t), weight_norm=3.0 * (t + 1e-9) ** 0.25, loss=1.0 / (1.0 + t))
    assert runs.late_slope(run) == pytest.approx(2.0, rel=1e-2)
    assert runs.norm_exponent(run) == pytest.approx(0.25, rel=1e-6)
    assert runs.late_rises(run) == 0.0
    wave = Run(two(), loss=1.0 + 0.1 * (t % 2))
    assert runs.late_rises(wave) == pytest.approx(0.5, abs=0.01)
    rates = np.array([1.0, 10.0, 100.0])
    np.testing.assert_allclose(
        slopes(rates, np.array([rates**2, [1.0, np.nan, 100.0], [0.0, 5.0, 5.0]])), [2, 1, 0], atol=1e-12
    )
    assert slopes(rates, np.array([[1.0, np.nan, 0.0]])).size == 0


def test_constants_of_a_trained_gain_and_of_w():
    """eta t L is 1 - 1/M with a trained gain and 1/margin^2 without: here N (1 - 1/M) by orthonormal inputs."""
    trained, _ = runs.gain_run("gain", 5, 0.5, 0)
    assert trained.trained_gain
    run = Run(trained, rate=0.5, loss=[2.0, 1.0, 0.8])
    assert runs.loss_constant(run) == pytest.approx(1.0)
    assert runs.loss_per_time(run) == pytest.approx(0.8)
    plain, _ = runs.gain_run("weights", 5, 0.5, 0)
    from traindyn.analytics import hard_margin

    assert plain.normalisation == "none"
    loss = 1.0 / hard_margin(plain.memory).margin ** 2
    assert runs.loss_constant(Run(plain, rate=0.5, loss=[9.0, 9.0, loss])) == pytest.approx(1.0)


@pytest.fixture(scope="module")
def numbers():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(experiment, "_steps", lambda quick: {"pair": 600, "crowd": 600, "growth": 2000, "gain": 2000})
        yield experiment.normalisation(Request(quick=True))


def named(found, words):
    return next(finding for finding in found if words in finding.statement)


def test_what_a_small_run_already_shows(numbers):
    for words, outcome in [
        ("prevents loss spikes", "refuted"), ("neither does", "refuted"), ("shrunk", "supported"),
        ("in proportion to the rate (exponent 0.9 to 1.1 from", "supported"), ("No loss exceeds", "supported"),
        ("Batch normalisation", "supported"), ("|W|^2 grows", "supported"),
    ]:  # fmt: skip
        assert named(numbers.findings, words).outcome == outcome, named(numbers.findings, words)


def test_findings_follow_the_numbers(numbers):
    """Each doctored measure turns the outcome of its sentence."""
    rates = numbers.arrays["pair.axis.learning_rate"]
    shape = numbers.arrays["pair.spike_height"].shape
    quiet = np.zeros(shape) + 1e-9 * rates[:, None]
    for name, value, words, outcome in [
        ("pair.spike_height", quiet, "prevents loss spikes", "open"),  # four seeds that agree say no more
        ("pair.spike_height", np.broadcast_to(rates[:, None] ** 0.5, shape), "Without normalisation the h", "refuted"),
        ("pair.spike_height", np.broadcast_to(rates[:, None], shape), "stops growing", "refuted"),
        ("pair.last_norm", np.broadcast_to(rates[:, None], shape), "final |W|", "supported"),
        ("pair.arrival", np.broadcast_to(rates[:, None] ** 2, shape), "large rates are slow", "refuted"),
        ("pair.arrival", np.broadcast_to(rates[:, None], shape), "large rates are slow", "supported"),
        ("pair.peak_share", 1.01, "No loss exceeds", "refuted"), ("pair.margin_share", 0.9, "their bound", "refuted"),
        ("crowd.floor_excess", 0.1, "reaches the floor", "refuted"),
        ("crowd.late_slope", 0.5, "Log growth stops", "refuted"),
        ("crowd.late_slope", 1.0, "go on as log t", "supported"), ("growth_identity", 0.1, "|W|^2", "refuted"),
        ("growth.norm_exponent", 0.25, "comes to rest, also", "refuted"),
        ("growth.norm_exponent", 0.25, "batches of one", "supported"),
        ("crowd.norm_exponent", 0.1, "of descent grows", "refuted"), ("shrunk", 0.9, "shrunk", "refuted"),
        ("crowd.floor_excess", 1e-4, "stays more", "refuted"),
        ("pair_batch_slope", [0.1] + 19 * [1e-8], "Batch normalisation", "supported"),  # two entries of W e alike
        ("pair_batch_slope", 0.1, "Batch normalisation", "refuted"),
        ("gain.loss_constant", 1.0, "1 - 1/M", "supported"), ("gain.loss_constant", 1.1, "1 - 1/M", "refuted"),
        ("gain.late_slope", 0.0, "log growth back", "refuted"), ("gain.loss_per_time", 1.0, "N times", "refuted"),
    ]:  # fmt: skip
        changed = np.broadcast_to(value, numbers.arrays[name].shape).copy()
        found = findings({**numbers.arrays, name: changed})
        assert named(found, words).outcome == outcome, (name, named(found, words))


def test_runs_that_share_a_seed_count_once(numbers):
    """Spikes in all runs of half of the seeds: as little is known of the share as of a coin thrown once a seed."""
    shape = numbers.arrays["pair.spike_height"].shape
    halves = np.broadcast_to(np.where(np.arange(shape[-1]) % 2 == 0, 1.0, 1e-6), shape)
    found = named(findings({**numbers.arrays, "pair.spike_height": halves}), "prevents loss spikes")
    assert found.high - found.low >= 0.5


def test_the_picture_can_be_drawn(numbers):
    pytest.importorskip("matplotlib")
    assert len(experiment.draw(numbers, False).axes) == 6
