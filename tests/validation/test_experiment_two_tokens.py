"""The experiment on two correlated tokens: numbers of the specification, each measure by hand, and the findings."""

from __future__ import annotations

import math

import numpy as np
import pytest

import traindyn as td
from traindyn import analytics
from traindyn.validation.experiments import two_tokens as experiment
from traindyn.validation.experiments import two_tokens_runs as runs
from traindyn.validation.figures import Request


@pytest.fixture(scope="module")
def numbers():
    return experiment.two_tokens(Request(quick=True))


@pytest.mark.parametrize(("rate", "loss"), [(1.0, 0.5898), (10.0, 1.16314), (100.0, 11.5625)])
def test_first_steps_of_the_specification(rate, loss):
    digits = len(str(loss).split(".")[1])
    for distance in (2.0, 0.5, 32.0):  # only K = rate c / 2 counts
        problem, rule = runs.first_step((0.95, 0.75, 2.0 * rate / distance, distance))
        assert abs(td.simulate(problem, rule, steps=1)["loss"][1] - loss) <= 10.0**-digits


def test_tilts_of_the_specification():
    # errata of Theorem 4: how far the tilt goes, and when
    for frequent, rate, largest, step in ((0.75, 10.0, 5.76, 5), (0.9, 50.0, 37.9, 1)):
        run = td.simulate(*runs.descent(0.95, frequent, rate), steps=2000)
        distance = np.abs(runs.offset(run))
        assert distance.argmax() == step
        assert abs(distance.max() - largest) <= 10.0 ** -len(str(largest).split(".")[1])
        printed = rate * 0.05 * frequent + frequent / (2.0 * (1.0 - frequent))
        assert runs.printed_tilt_slack(run) == pytest.approx(printed - distance.max(), rel=1e-9)
        assert runs.bound_slack(run) >= 0.0


def test_losses_of_the_specification_at_ten_thousand_steps():
    for rate, loss in ((10.0, 2.0e-4), (1.0, 2.03e-3)):
        run = td.simulate(*runs.descent(0.95, 0.75, rate), steps=10_000, save=td.at([]))
        assert run["loss"][-1] == pytest.approx(loss, rel=3e-3)
        assert runs.final_constant(run) == pytest.approx(1.0, abs=0.02)


def test_flow_of_the_specification():
    run = td.simulate(*runs.flow(-0.5, 0.75), time=1e10)
    assert runs.exponent(run) == pytest.approx(-1.0 / 3.0, abs=1e-4)
    middle = np.interp(math.log(1e4), np.log(run.time[1:]), runs.offset(run)[1:])
    assert abs(middle + 0.0213) <= 1e-4
    for frequent in (0.5, 0.75, 0.95):
        for correlation in (-0.5, 0.0, 0.95):
            run = td.simulate(*runs.flow(correlation, frequent), time=1e10)
            assert runs.growth(run)[-1] == pytest.approx(math.sqrt(frequent * (1.0 - frequent)), rel=1e-5)


class Saved(dict):
    """A run that nobody made: times, margins and losses."""

    def __init__(self, problem, rule, time, margins, loss=None):
        super().__init__(margin=np.asarray(margins, dtype=float), loss=np.asarray(loss if loss is not None else time))
        self.problem, self.rule = problem, rule
        self.time = np.asarray(time, dtype=float)
        self.step = np.arange(self.time.size)


def with_modes(tilt, mean, time, correlation=0.5, frequent=0.9):
    tilt, mean, _ = np.broadcast_arrays(np.asarray(tilt, dtype=float), np.asarray(mean, dtype=float), time)
    return Saved(*runs.descent(correlation, frequent, 2.0), time, np.stack([mean + tilt, mean - tilt], axis=1))


def test_exponents_and_constants_by_hand():
    time = np.geomspace(1.0, 1e8, 161)
    limit = analytics.limiting_tilt((0.9, 0.1))
    for power in (0.3, 0.7):
        assert runs.exponent(with_modes(limit - time**-power, 5.0, time)) == pytest.approx(-power, rel=1e-9)
    # a constant of 2 over the known one, seen until the distance is 1e-6
    constant = 2.0 * analytics.alignment_constant(0.5, (0.9, 0.1))
    run = with_modes(limit + constant / time, 5.0, time)
    assert runs.offset_constant(run) == pytest.approx(2.0, rel=1e-9)
    assert runs.exponent(run) == pytest.approx(-1.0, rel=1e-9)
    assert runs.final_offset(run) == pytest.approx(constant / 1e8, rel=1e-5)
    assert math.isnan(runs.offset_constant(with_modes(limit + 1.0 / time, 5.0, time, correlation=-0.5)))
    assert math.isnan(runs.exponent(with_modes(limit, 5.0, time)))  # it stands at its limit
    # only the last decade counts
    bent = np.where(time < 1e6, time**-0.2, 1e6**0.3 * time**-0.5)
    assert runs.exponent(with_modes(limit + bent, 5.0, time)) == pytest.approx(-0.5, rel=1e-9)


def test_growth_by_hand():
    # e^g + g - 1 = share c_0 t with c_0 = (1 - 0.5) 2 = 1
    mean = np.linspace(0.0, 20.0, 50)
    time = (np.expm1(mean) + mean) / 0.25
    run = with_modes(0.0, mean, time)
    np.testing.assert_allclose(runs.growth(run), 0.25, rtol=1e-12)
    assert runs.final_growth(run) == pytest.approx(0.25 / 0.3, rel=1e-12)
    assert runs.least_growth(run) == pytest.approx(2.5, rel=1e-12)
    assert runs.largest_growth(run) == pytest.approx(0.5, rel=1e-12)


def test_turns_by_hand():
    assert runs.turns(with_modes([0.0, 1.0, 2.0, 2.0, 3.0], 0.0, np.arange(5.0))) == 0.0  # a stand is no turn
    assert runs.turns(with_modes([0.0, 1.0, 0.5, 0.4, 0.6], 0.0, np.arange(5.0))) == 2.0
    assert runs.turns(with_modes([0.0, 1.0, 1.0 + 1e-13, 1.0], 0.0, np.arange(4.0))) == 0.0  # nor is rounding


def test_the_threshold_is_that_of_the_sharpness():
    problem, rule = runs.threshold(0.95, 0.75, 1.0)
    sharpness = td.simulate(problem, rule, steps=0, observe=("sharpness",))["sharpness"][0]
    assert rule.learning_rate == pytest.approx(2.0 / sharpness, rel=1e-12)
    assert rule.learning_rate == pytest.approx(4.076, abs=5e-4)
    assert runs.threshold(0.95, 0.75, 3.0)[1].learning_rate == pytest.approx(3.0 * rule.learning_rate)


def test_first_losses_obey_their_law(numbers):
    gap = numbers["first_loss"] - numbers["first_law"]
    assert gap.min() >= -1e-12 * numbers["first_law"].max()
    assert gap.max() <= math.log(2.0)
    assert (numbers["first_distance"] < 2.0).any()
    assert (numbers["first_loss"] < numbers["first_printed"]).any()


def test_findings_of_the_small_size(numbers):
    told = {finding.statement: finding for finding in numbers.findings}
    assert len(told) == len(numbers.findings)
    refuted = [text for text, finding in told.items() if finding.outcome == "refuted"]
    for start in (
        "Proposition 5 as printed holds for c < 2", "At rates above 2/lambda_max(0) the loss rises",
        "For alpha = 0.95, p_1 = 0.75 spikes begin at 2/lambda_max(0)", "Flow: the printed 2 p_2",
        "Flow: for alpha <= -1/3 the tilt approaches its limit as fast as 1/t",
        "Descent: the printed |gamma_1 - limit|", "Descent at rate 100: the last tilt",
        "Mostly, a larger rate oscillates for more steps",
    ):  # fmt: skip
        assert any(text.startswith(start) for text in refuted), start
    for start in (
        "Every run whose loss spikes", "Without correlation", "After one step",
        "At rates up to 2/lambda_max(0) the loss never rises",
        "Flow: p_2 <= c_t/c_0", "Flow: c_t/c_0 <= 1/2", "Flow: c_t/c_0 is sqrt", "Flow: the tilt approaches",
        "Flow: for alpha >= 0.2 the constant", "Descent: tilt and mean margin", "Mostly, a larger rate settles",
    ):  # fmt: skip
        assert not any(text.startswith(start) for text in refuted), start
        assert any(text.startswith(start) for text in told), start


def test_a_basis_counts_the_flows_that_were_looked_at(numbers):
    late = int((numbers["flow_correlation"] >= -0.5).sum()) * len(numbers["frequent"])
    told = [finding.basis for finding in numbers.findings if finding.statement.endswith("for alpha >= -1/2")]
    assert told == [f"largest relative gap of {late} flows"] * 2


def test_the_onset_of_the_shown_pair(numbers):
    assert float(numbers["shown_certificate"]) == pytest.approx(4.076, abs=5e-4)
    assert 5.4 < float(numbers["shown_onset"]) < 5.5
    loss = td.simulate(*runs.descent(0.95, 0.75, float(numbers["shown_onset"])), steps=200)["loss"]
    assert (np.diff(loss) > 0).any()
    loss = td.simulate(*runs.descent(0.95, 0.75, 0.99 * float(numbers["shown_onset"])), steps=2000)["loss"]
    assert (np.diff(loss) <= 0).all()


def test_the_picture(numbers, tmp_path):
    figure = experiment.FIGURES[0].draw(numbers, False)
    figure.savefig(tmp_path / "two.png", dpi=40)
    assert len(figure.axes) == 6
