"""The experiment on correlations: structures, the perceptron limit, measures and sentences, at a tiny size."""

import itertools

import numpy as np
import pytest

import traindyn as td
from traindyn.analytics import hard_margin
from traindyn.validation.experiments import correlation_structures as structures
from traindyn.validation.experiments import correlations as experiment
from traindyn.validation.figures import Request

CHOSEN = (("equicorrelated", -0.14), ("equicorrelated", 0.5), ("block", 0.9), ("clustered", 0.9))


@pytest.fixture(scope="module")
def numbers():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(experiment, "STRUCTURES", CHOSEN)
        patch.setattr(experiment, "QUICK_SEEDS", 2)
        patch.setattr(experiment, "STEPS", 400)
        patch.setattr(experiment, "CLOSED", experiment.CLOSED[:12])
        yield experiment.correlations(Request(quick=True))


@pytest.mark.parametrize("structure", structures.STRUCTURES)
def test_inputs_are_unit_vectors_with_the_named_correlations(structure):
    memory = structures.memory_of(*structure, "orthonormal", "zipf", 3)
    gram = memory.input_gram
    np.testing.assert_allclose(np.diag(gram), 1.0, atol=1e-12)
    assert memory.frequencies.sum() == pytest.approx(1.0)
    assert sorted(1.0 / memory.frequencies) == pytest.approx(sorted(np.arange(1, 9) * (1.0 / np.arange(1, 9)).sum()))
    family, parameter = structure
    off = gram[0, 1], gram[0, 2], gram[3, 7]
    expected = {
        "equicorrelated": (parameter,) * 3,
        "block": (parameter, 0.0, 0.0),
        "Toeplitz": (parameter, parameter**2, parameter**4),
    }
    if family in expected:
        np.testing.assert_allclose(off, expected[family], atol=1e-12)


def test_power_law_inputs_crowd_as_the_exponent_grows():
    generator = np.random.default_rng(0)
    sizes = [np.abs(structures.power_law(400, 16, b, generator)).mean(axis=0) for b in (0.0, 1.0, 2.0)]
    assert sizes[0][0] / sizes[0][15] == pytest.approx(1.0, abs=0.15)
    # variances k^-b: the first axis is 16^(b/2) times as wide as the last
    assert sizes[1][0] / sizes[1][15] == pytest.approx(4.0, rel=0.25)
    assert sizes[2][0] / sizes[2][15] == pytest.approx(16.0, rel=0.25)


@pytest.mark.parametrize(("alpha", "p"), [(0.95, 0.99), (0.9, 0.9), (0.99, 0.7), (0.3, 0.6)])
def test_the_perceptron_limit_of_two_tokens_is_the_limit_of_descent(alpha, p):
    memory = td.AssociativeMemory.two_tokens(alpha, (p, 1.0 - p))
    accuracy = td.simulate(memory, td.GradientDescent(1e5), steps=200)["accuracy"]
    assert structures.perceptron_steps(memory) == (accuracy < 1.0).sum()


def test_the_perceptron_limit_ends_where_asked():
    memory = td.AssociativeMemory.two_tokens(0.95, (0.99, 0.01))
    assert np.isnan(structures.perceptron_steps(memory, most=10))


def test_late_measures_of_a_flow():
    memory = structures.memory_of("equicorrelated", 0.5, "orthonormal", "zipf", 0)
    run = td.simulate(
        memory, td.GradientFlow(), time=1e12, save=td.logarithmic(200), observe=("loss", "margin", "scores", "weights")
    )
    assert experiment.loss_exponent(run) == pytest.approx(-1.0, abs=1e-3)
    assert experiment.margin_slope(run) == pytest.approx(1.0, abs=1e-3)
    assert experiment.flow_constant(run) == pytest.approx(1.0, abs=1e-3)
    direction = hard_margin(memory).direction
    cosine = np.sum(run.final * direction) / np.linalg.norm(run.final)
    assert experiment.misalignment(run) == pytest.approx(1.0 - cosine, rel=1e-9)
    assert experiment.profile_error(run) < 0.02
    # early the profile is far from the multipliers: the measure can see it
    early = td.simulate(memory, td.GradientFlow(), time=1.0, observe=("loss", "margin", "scores"))
    assert experiment.profile_error(early) > 1.0


def test_turns_count_the_reversals_of_margins():
    memory = td.AssociativeMemory.two_tokens(0.95, (0.75, 0.25))
    run = td.simulate(memory, td.GradientDescent(10.0), steps=200)
    by_hand = 0
    for token in range(2):
        moves = np.diff(run["margin"][:, token])
        by_hand += sum(a * b < 0 for a, b in itertools.pairwise(moves))
    assert experiment.turns(run) == by_hand / 2 > 3


def test_sentences_are_decided_and_the_picture_is_drawn(numbers):
    outcomes = {finding.statement: finding.outcome for finding in numbers.findings}
    assert len(outcomes) == len(numbers.findings) >= 14

    def outcome(start):
        (found,) = (value for statement, value in outcomes.items() if statement.startswith(start))
        return found

    for start in ("Every structure: the loss", "Equal correlations: 1/margin^2", "Proposition 5", "Correlations <= 0",
                  "Equal correlations, equal", "At the largest rate the first step raises"):  # fmt: skip
        assert outcome(start) == "supported", start
    # at 1.5 / sharpness pairs and clusters of correlation 0.9 spike: the law of two tokens does not survive
    assert outcome("As for two tokens, there is no spike below") == "refuted"
    # settings share seeds: no share of runs has an interval for independent ones
    shares = [finding.basis for finding in numbers.findings if finding.basis.startswith("share of")]
    assert len(shares) >= 5
    assert all("95 % bootstrap over 2 seeds" in basis for basis in shares)
    assert numbers["constant_solved"].shape == numbers["constant_closed"].shape == (12,)
    experiment.FIGURES[0].draw(numbers, False).canvas.draw()
