"""The experiment on capacity: its cells, its certificates, its measures and its sentences, at a tiny size."""

import numpy as np
import pytest

import traindyn as td
from traindyn.analytics import cover_probability, separability
from traindyn.kernels import sharpness
from traindyn.validation.experiments import capacity as experiment
from traindyn.validation.experiments import capacity_answers
from traindyn.validation.figures import Request

TINY = experiment.Size(
    steps=300,
    binary={3: (1.0, 2.0, 4.0)},
    binary_seeds=24,
    separable={10: (range(3, 7), 20), 20: (range(5, 9), 20)},
    descent={10: ((3, 4, 5), 3)},
    optimum_seeds={10: 2},
)


@pytest.fixture(scope="module")
def numbers():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(experiment, "QUICK", TINY)
        yield experiment.capacity(Request(quick=True))


def test_the_initial_sharpness_is_that_of_the_hessian():
    for memory in (experiment.memory_of(7, 7, 4, 1, "zipf"), experiment.memory_of(9, 2, 3, 0)):
        exact = sharpness(
            np.zeros((memory.dim,) * 2), memory.inputs, memory.outputs, memory.targets, memory.frequencies
        )
        assert experiment.initial_sharpness(memory) == pytest.approx(exact, rel=1e-12)


def test_seeds_are_paired_over_frequencies_and_rates():
    slow, fast = experiment.identity(10, 4, 5), experiment.identity(10, 4, 5, "zipf", 3.0)
    assert np.array_equal(slow[0].inputs, fast[0].inputs)
    assert np.array_equal(slow[0].outputs, fast[0].outputs)
    assert not np.array_equal(slow[0].frequencies, fast[0].frequencies)
    assert not np.array_equal(slow[0].inputs, experiment.identity(10, 4, 6)[0].inputs)
    assert fast[1].learning_rate * experiment.initial_sharpness(fast[0]) == pytest.approx(3.0)


def test_separability_counts_are_those_of_certificates(numbers):
    for place, dim in enumerate(numbers["dims_10"]):
        for seed in range(4):
            memory, _ = experiment.identity(10, int(dim), seed)
            assert numbers["separable_10"][place, seed] == separability(memory).strict
    law = numbers["binary_law_3"]
    assert law.tolist() == [cover_probability(int(n), 3) for n in numbers["binary_tokens_3"]]
    assert numbers["binary_separable_3"][0].all()  # N = d is always separable
    # descent answers none that has no certificate
    solved = ~np.isnan(numbers["binary_learned_at_3"])
    assert not np.any(solved & ~numbers["binary_separable_3"])


def test_measures_of_a_run():
    memory = experiment.memory_of(10, 10, 4, 0, "zipf")
    run = td.simulate(memory, td.GradientDescent(5.0), steps=500, observe=("accuracy", "margin"))
    right = run["margin"][-1] > 0.0
    assert experiment.stored(run) == right.sum()
    assert [experiment.group_stored(run, g) for g in range(5)] == [right[2 * g : 2 * g + 2].mean() for g in range(5)]
    assert experiment.group_margin(run, 4) == pytest.approx(run["margin"][-1, 8:].mean())
    assert experiment.best_accuracy(run) == run["accuracy"].max()
    assert np.isnan(experiment.learned_at(run)) == (run["accuracy"].max() < 1.0)
    easy = td.simulate(*experiment.binary(5, 5, 0), steps=500, observe=("accuracy", "margin"))
    first = int(experiment.learned_at(easy))
    assert easy["accuracy"][first] == 1.0 > easy["accuracy"][first - 1]


def test_findings_carry_intervals_and_the_picture_is_drawn(numbers):
    assert len(numbers.findings) >= 12
    for finding in numbers.findings:
        assert finding.low <= finding.value <= finding.high
    first = numbers.findings[0]
    assert first.statement.startswith("Two classes")
    assert first.outcome == "supported"
    experiment.FIGURES[0].draw(numbers, False).canvas.draw()


def sizes_with(half):
    """Return arrays in which the transition of each size N lies at d = half(N), 400 seeds, sharp."""
    arrays = {}
    for n in (10, 40, 160):
        dims = np.arange(max(2, int(half(n)) - 3), int(half(n)) + 5)
        share = 1.0 / (1.0 + np.exp(-40.0 * np.log(dims / half(n))))
        arrays[f"dims_{n}"] = dims
        arrays[f"separable_{n}"] = np.arange(400)[None] < np.round(400 * share)[:, None]
    return arrays


@pytest.mark.parametrize(
    ("half", "power", "logarithm", "collapse"),
    [
        (lambda n: 1.4 * n**0.5, "supported", "supported", "supported"),
        (lambda n: 0.6 * n, "refuted", "refuted", "refuted"),
        (lambda n: (0.8 * n * np.log(n)) ** 0.5, "refuted", "refuted", "supported"),
    ],
)
def test_planted_transitions_decide_the_sentences(half, power, logarithm, collapse):
    derived = {}
    found = capacity_answers._scaling(sizes_with(half), {"separable_sizes": [10, 40, 160]}, derived)
    by_start = {finding.statement[:30]: finding.outcome for finding in found}
    assert by_start["The half-way dimension grows a"] == power
    assert by_start["The half-way d^2/N does not de"] == logarithm
    better = [finding for finding in found if "in d^2 / N than in d / N" in finding.statement]
    assert better[0].outcome == collapse
    np.testing.assert_allclose(derived["half_dim"][:, 0], [half(n) for n in (10, 40, 160)], rtol=0.01)


def test_few_seeds_support_no_equality():
    """An interval that holds 0 and much else leaves "does not depend" and "as often" open."""
    arrays = sizes_with(lambda n: 1.4 * n**0.5)
    few = {name: array[:, ::100] if name.startswith("separable") else array for name, array in arrays.items()}
    outcomes = {
        finding.statement[:30]: finding.outcome
        for finding in capacity_answers._scaling(few, {"separable_sizes": [10, 40, 160]}, {})
    }
    assert outcomes["The half-way d^2/N does not de"] == "open"
    generator = np.random.default_rng(0)
    for seeds, outcome in ((6, "open"), (2000, "supported")):
        alike = {
            "group_stored_10": generator.integers(0, 3, (1, 2, 2, seeds, 5)) / 2.0,
            "learned_at_10": np.full((1, 2, 2, seeds), np.nan),
            "separable_10": np.zeros((1, seeds), dtype=bool), "dims_10": np.array([3]),
            "descent_dims_10": np.array([3]),
        }  # fmt: skip
        assert capacity_answers._forgotten(alike, {"descent_sizes": [10]})[1].outcome == outcome
