"""The experiment on noise: its measures on runs made by hand, its theory, and its answers in a tiny size."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import traindyn as td
from traindyn.validation.experiments import noise_runs as runs
from traindyn.validation.experiments.noise import noise
from traindyn.validation.experiments.noise_drawing import draw
from traindyn.validation.experiments.noise_findings import findings
from traindyn.validation.experiments.noise_theory import giving_up, minimum, rest
from traindyn.validation.figures import Request

TINY = runs.Size(
    seeds=12, correlations=(0.5, 0.95), rates=(1.0, 3.0, 10.0), batches=(1, 64), steps=2**11,
    flow_rates=(0.3, 3.0), flow_batches=(1,), flow_seeds=10, flow_steps=1000,
    label_noises=(0.1, 0.2), rest_rates=(1.0, 3.0), rest_seeds=3, rest_steps=6000,
    larger_noises=(0.2,), larger_batches=(64,), larger_seeds=2, larger_steps=4000,
    input_noises=(0.17, 0.3), input_seeds=3, input_steps=4000,
)  # fmt: skip


class Run(dict[str, Any]):
    """Enough of a trajectory for the measures."""

    def __init__(self, margins: Any, **more: Any) -> None:
        super().__init__(margin=np.asarray(margins, dtype=float), **{k: np.asarray(v) for k, v in more.items()})
        self.step = np.arange(len(self["margin"]))
        self.time = 0.5 * self.step
        self.problem = SimpleNamespace(frequencies=np.array([0.6, 0.3, 0.06, 0.04]))


def test_measures_mean_what_they_say() -> None:
    steps = np.arange(101)
    margins = np.stack([0.1 * steps - 0.35, np.full(101, 2.0), -steps, -steps], axis=1)
    loss = np.where(steps == 7, 3.0, 1.0 / (1 + steps))
    run: Any = Run(margins, loss=loss)
    assert runs.settled(run) == 4.0
    assert runs.last_rise(run) == 7.0
    assert runs.peak(run) == 3.0
    assert runs.loss_constant(run) == pytest.approx(50.0 / 101)
    assert runs.frequent_margin(run) == pytest.approx(0.1 * 75 - 0.35)
    assert runs.rare_margin(run) == 2.0
    assert runs.tilt_deviation(run) == pytest.approx((0.05 * steps[50:]).std())
    window = (0.1 * np.arange(16, 32) - 0.35 - 2.0) / 2 - 0.5 * math.log(2.0)
    assert runs.Swing(16)(run) == pytest.approx(np.sqrt((window**2).mean()))
    wrong: Any = Run(np.where(steps[:, None] == 95, -1.0, margins + 1.0))
    assert runs.settled(wrong) == 100.0
    assert runs.wrong_share(wrong) == pytest.approx(1 / 51)


def test_a_class_margin_counts_the_wrong_classes_of_the_larger_memory() -> None:
    memory, _ = runs.larger(0.2, 3.0, 4, 0)
    start = minimum(td.AssociativeMemory.random(runs.N_TOKENS, runs.N_TOKENS, runs.DIM, rng=0), 0.2)
    run = td.simulate(memory, td.GradientDescent(0.1), steps=3, initial=start)
    assert runs.class_margin(run) == pytest.approx(td.analytics.label_noise_margin(0.2, runs.N_TOKENS), abs=1e-9)


def test_both_stochastic_flows_start_with_noise_of_one_size() -> None:
    moved = []
    for build in (runs.gradient_noise, runs.constant_noise):
        ends = []
        for seed in range(800):
            problem, rule = build(0.5, 0.8, 4, seed)
            ends.append(td.simulate(problem, rule, steps=1, rng=seed, observe=()).final)
        moved.append(np.var(ends, axis=0).sum())
    # the squares of one or two normal numbers: the variance over 800 is known to 5 %
    assert moved[0] == pytest.approx(moved[1], rel=0.2)


def test_the_linear_theory_knows_its_first_order() -> None:
    memory, rate, batch = runs.tokens(0.95), 1e-4, 8
    still = rest(memory, 0.1, rate, batch)
    assert still.deviation == pytest.approx(math.sqrt(1.95 * rate / (2 * batch)), rel=1e-4)
    assert still.lift == pytest.approx(0.4 * rate / batch, rel=1e-4)
    trace = 2.0 * 0.1 * 0.9  # of the Hessian: c rho (1 - rho) sum p |e|^2
    assert still.excess == pytest.approx(rate * trace / (4 * batch), rel=1e-4)
    lost = giving_up(0.95)
    assert td.analytics.noisy_input_minimum(memory, 1.01 * lost).margins[1] < 0.0
    assert td.analytics.noisy_input_minimum(memory, 0.99 * lost).margins[1] > 0.0


@pytest.fixture(scope="module")
def answer() -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runs, "QUICK", TINY)
        return noise(Request(quick=True))


def outcomes(arrays: Any) -> dict[str, str]:
    return {finding.statement: finding.outcome for finding in findings(arrays)}


def outcome(arrays: Any, words: str) -> str:
    (found,) = [value for statement, value in outcomes(arrays).items() if words in statement]
    return found


def test_what_a_tiny_run_already_tells(answer: Any) -> None:
    arrays = answer.arrays
    assert outcome(arrays, "single samples delay settling") == "refuted"
    assert outcome(arrays, "smooth away the loss spike") == "refuted"
    assert outcome(arrays, "square root of the learning rate") == "refuted"
    assert outcome(arrays, "mean probability of the true label") == "supported"
    assert outcome(arrays, "that of the linear theory") == "supported"
    assert outcome(arrays, "noisy inputs the margins rest") == "supported"
    assert outcome(arrays, "rare token is given up") == "supported"
    assert len(answer.findings) == len(outcomes(arrays))


def test_answers_follow_the_numbers(answer: Any) -> None:
    arrays = dict(answer.arrays)
    for name, factor, words in (
        ("tilt_deviation", 1.2, "that of the linear theory"),
        ("mean_probability", 1.05, "mean probability of the true label"),
        ("input_margins", 1.2, "noisy inputs the margins rest"),
        ("mean_margin", 1.1, "stops the margins"),
    ):
        assert outcome(arrays | {name: factor * arrays[name]}, words) == "refuted"
    rates = arrays["learning_rate"][:, None, None] * np.ones_like(arrays["swing"])
    grown = arrays | {"swing": np.sqrt(rates)}
    assert outcome(grown, "square root of the learning rate") == "supported"
    calm = arrays | {"settled": 0.0 * arrays["settled"] + arrays["full_settled"][..., None, None]}
    assert outcome(calm, "single samples delay settling") == "supported"


def test_the_picture_has_six_panels(answer: Any) -> None:
    figure = draw(answer, False)
    assert [axes.get_xlabel() for axes in figure.axes][2:4] == ["step $t$", "step $t$"]
    assert len(figure.axes) == 6
