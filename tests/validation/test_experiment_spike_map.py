"""The experiment on the spike map: the pilot's tables, the laws cell by cell, and what every picture rests on."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

import traindyn as td
from traindyn import analytics
from traindyn.kernels.sweeps import two_token_descent
from traindyn.validation.experiments import spike_map as experiment
from traindyn.validation.experiments import spike_map_laws as laws
from traindyn.validation.experiments import spike_map_optimisers as optimisers
from traindyn.validation.experiments.spike_map_findings import bounded, counted, most_of, spread
from traindyn.validation.figures import Request

REQUEST = Request(quick=True)
PILOT_RATES = np.array([0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0])
PEAKS = {  # (correlation, p_1): peak loss at the pilot's rates; spec 4.2, N1
    (0.5, 0.75): (0.693, 0.693, 0.693, 0.693, 0.943, 3.125, 9.375),
    (0.95, 0.75): (0.693, 0.693, 0.693, 1.349, 8.329, 26.07, 34.69),
    (0.95, 0.9): (0.693, 0.693, 0.693, 0.755, 2.265, 7.55, 22.65),
    (0.95, 0.99): (0.693, 0.693, 0.693, 0.693, 0.693, 0.931, 2.792),
}
LAST_WRONG = {(0.95, 0.75): (173, 51, 17, 14, 10, 10, 1), (0.95, 0.99): (None, None, 1078, 323, 105, 47, 47)}


@pytest.fixture(scope="module")
def numbers():
    return experiment.spike_map(REQUEST)


@pytest.fixture(scope="module")
def cells():
    """A map of the pilot's pairs and rates, by way of the experiment's own sweep."""
    frequent = (0.75, 0.9, 0.99)
    return laws.Map.of(REQUEST, "pilot", np.array([0.5, 0.95]), frequent, PILOT_RATES)


@pytest.mark.parametrize(("pair", "peaks"), PEAKS.items())
def test_peaks_of_the_pilot(cells, pair, peaks):
    place = ([0.5, 0.95].index(pair[0]), [0.75, 0.9, 0.99].index(pair[1]))
    for simulated, printed in zip(cells.measured["peak_loss"][place], peaks, strict=True):
        digits = len(str(printed).split(".")[1])
        assert abs(simulated - printed) <= 10.0**-digits  # one unit of the last printed digit


@pytest.mark.parametrize(("pair", "wrong"), LAST_WRONG.items())
def test_last_wrong_steps_of_the_pilot(cells, pair, wrong):
    settled = cells.measured["steps_to_settle"][1, [0.75, 0.9, 0.99].index(pair[1])]
    for simulated, printed in zip(settled, wrong, strict=True):
        if printed is None:
            assert math.isnan(simulated) or simulated > 2999
        else:
            assert simulated == printed + 1


@pytest.mark.parametrize(
    ("pair", "onset"),
    [((0.5, 0.9), 19.80), ((0.9, 0.9), 9.77), ((0.9, 0.99), 78.9), ((0.99, 0.7), 4.67), ((0.9, 0.6), 5.64),
     ((0.3, 0.95), 59.0)],
)  # fmt: skip
def test_first_rises_of_the_errata(pair, onset):
    # the errata scan to some 0.3 %
    rate = np.geomspace(0.98 * onset, 1.02 * onset, 401)
    fixed = laws.recipe(correlation=pair[0], frequencies=(pair[1], 1.0 - pair[1]))
    spikes = td.sweep(fixed, {"learning_rate": rate.tolist()}, "spike_count", steps=500).values > 0
    assert rate[spikes.argmax()] == pytest.approx(onset, rel=4e-3)
    assert not spikes[0]
    assert spikes[-1]
    _, first = laws.thresholds(*pair)
    assert (rate[spikes.argmax()] < 0.99 * first) == (pair == (0.9, 0.6))


def test_the_counterexample_to_the_naive_regime():
    law = laws.laws(0.9, 0.6, 1e4)
    values = two_token_descent(1e4, 0.9, (0.6, 0.4), steps=200, measures=laws.MEASURES)[0]
    measured = dict(zip(laws.MEASURES, values, strict=True))
    assert (float(law.duration), round(float(law.low))) == (1.0, 560)
    assert measured["steps_to_settle"] == 8.0
    assert measured["peak_loss"] == pytest.approx(2880.0, rel=1e-3)
    assert law.in_naive_regime
    assert not law.in_regime
    assert not laws.compare(law, measured).all


def test_what_agrees_with_the_laws():
    """A run that does what the law says agrees; one step or a little of the peak more, and it does not."""
    law = laws.laws(0.95, 0.99, 1e4)
    right = {"steps_to_accuracy": 48.0, "steps_to_settle": 48.0, "steps_above_initial": 47.0,
             "peak_loss": float(law.low)}  # fmt: skip
    assert laws.compare(law, right).all
    for name, wrong, kept in (
        ("steps_to_accuracy", 47.0, "above"), ("steps_to_settle", 49.0, "peak"), ("steps_to_settle", math.nan, "peak"),
        ("steps_above_initial", 46.0, "duration"), ("peak_loss", 1.001 * float(law.high), "duration"),
        ("peak_loss", 0.999 * float(law.low), "above"),
    ):  # fmt: skip
        agrees = laws.compare(law, right | {name: wrong})
        assert not agrees.all
        assert getattr(agrees, kept)
    nothing = laws.laws(0.1, 0.75, 1e4)  # no interference, no law
    assert not nothing.interferes
    assert not laws.compare(nothing, right | {"peak_loss": 0.0}).all


def test_laws_are_those_of_analytics():
    correlation, frequent, rate = np.array([0.95, 0.2, 0.9]), np.array([0.99, 0.75, 0.6]), 3e3
    table = laws.laws(correlation, frequent, rate)
    assert table.interferes.tolist() == [True, False, True]
    for cell in (0, 2):
        pair = (float(frequent[cell]), 1.0 - float(frequent[cell]))
        law = analytics.spike_duration(float(correlation[cell]), pair, rate)
        assert table.in_regime[cell] == law.applies
        assert (table.duration[cell], table.above[cell]) == (law.misclassified, law.above_initial)
        assert (table.low[cell], table.high[cell]) == (law.peak_lower, law.peak_upper)
        assert table.in_naive_regime[cell] == (law.naive_regime >= 20.0)


SETTINGS = np.random.default_rng(0).uniform((0.1, 0.5, -1.0), (0.95, 0.99, 2.0), (200, 3))  # alpha, p_1, log10 rate
COUNTS = [laws.MEASURES.index(name) for name in ("spike_count", "steps_to_accuracy", "steps_above_initial")]


def measured(correlation, frequencies, rate, distance=2.0):
    return two_token_descent(
        rate, correlation, frequencies, steps=60, measures=laws.MEASURES, squared_distance=distance
    )  # fmt: skip


def test_distance_and_rate_enter_through_their_product():
    correlation, frequent, rate = SETTINGS[:, 0], SETTINGS[:, 1], 10.0 ** SETTINGS[:, 2]
    pair = np.stack([frequent, 1.0 - frequent], axis=1)
    plain = measured(correlation, pair, rate)
    # powers of two scale without rounding: the same bits
    assert np.array_equal(measured(correlation, pair, rate / 4.0, 8.0), plain, equal_nan=True)
    assert np.array_equal(measured(correlation, pair, rate * 16.0, 0.125), plain, equal_nan=True)
    assert not np.array_equal(measured(correlation, pair, rate, 8.0), plain, equal_nan=True)


def test_exchanged_tokens_spike_alike():
    correlation, frequent, rate = SETTINGS[:, 0], SETTINGS[:, 1], 10.0 ** SETTINGS[:, 2]
    pair = np.stack([frequent, 1.0 - frequent], axis=1)
    plain, exchanged = measured(correlation, pair, rate), measured(correlation, pair[:, ::-1], rate)
    np.testing.assert_array_equal(exchanged[:, COUNTS], plain[:, COUNTS])
    np.testing.assert_allclose(exchanged[:, 0], plain[:, 0], rtol=1e-9)  # peak loss; chaos of 60 steps
    assert not np.array_equal(measured(correlation, pair, 1.01 * rate)[:, 0], plain[:, 0])


def test_findings_of_the_small_size(numbers):
    told = {finding.statement: finding for finding in numbers.findings}
    assert len(told) == len(numbers.findings)
    outcomes = [finding.outcome for finding in numbers.findings]
    assert outcomes[:6] == ["supported"] * 6  # the laws in their regime, the bound everywhere
    assert told["At rates up to 2/lambda_max(0) the loss never rises"].outcome == "supported"
    for start in ("The naive regime", "Above 2/lambda_max(0)", "Where alpha p_1 > p_2, spikes begin", "After 4000"):
        assert next(found for text, found in told.items() if text.startswith(start)).outcome == "refuted", start


def test_the_shares_that_are_drawn_count_cells(numbers):
    for name in ("regime", "naive"):
        cells, exact = numbers[f"curve_{name}_cells"], numbers[f"curve_{name}_exact"]
        assert (exact <= cells).all()
        assert cells.sum() > 1000
    inside = numbers["curve_edges"][:-1] >= 1.0
    assert (numbers["curve_regime_exact"] == numbers["curve_regime_cells"])[inside].all()
    assert (numbers["curve_naive_exact"] < numbers["curve_naive_cells"])[inside].all()


def test_the_onset_lies_between_what_is_proved(numbers):
    rate, first, certificate = (numbers[f"onset_{name}"] for name in ("rate", "first_step", "certificate"))
    ratio = numbers["onset_rates"][1] / numbers["onset_rates"][0]
    seen = np.isfinite(rate)
    assert (rate[seen] > certificate[seen]).all()
    assert (rate[seen] <= ratio * first[seen]).all()
    assert seen[first <= numbers["onset_rates"][-1]].all()


def test_the_onset_of_a_pair_with_a_window():
    """At alpha = 0.6966, p_1 = 0.59 a few rates spike, larger ones do not, and still larger ones do."""
    size = dataclasses.replace(experiment.QUICK, onset=(20, 17, 80))
    found = experiment._onset(REQUEST, size)
    assert found["onset_gaps"].max() > 0
    row, column = np.argwhere(found["onset_gaps"] > 0)[0]
    pair = (found["onset_frequent"][column], 1.0 - found["onset_frequent"][column])
    counts = two_token_descent(
        found["onset_rates"], found["onset_correlation"][row], pair, steps=4000, measures="spike_count"
    )
    spikes = counts[:, 0] > 0
    first, last = np.flatnonzero(spikes)[[0, -1]]
    assert (~spikes[first:last]).sum() == found["onset_gaps"][row, column]
    assert found["onset_rate"][row, column] == found["onset_rates"][first]


def test_random_settings_interfere_and_follow_the_seed():
    settings = np.array(experiment._settings(500, 3))
    assert (settings[:, 0] * settings[:, 1] > 1.0 - settings[:, 1]).all()
    assert (settings[:, 0] < 1.0).all()
    assert settings.tolist() == np.array(experiment._settings(500, 3)).tolist()
    assert settings.tolist() != np.array(experiment._settings(500, 4)).tolist()


def test_rules_of_the_findings():
    assert counted("x", 3, 3, "cells").outcome == "supported"
    assert counted("x", 2, 3, "cells").outcome == "refuted"
    assert counted("x", 0, 0, "cells").outcome == "open"
    assert bounded("x", 1.0, "b", at_most=1.0).outcome == "supported"
    assert bounded("x", 1.1, "b", at_most=1.0).outcome == "refuted"
    half = np.array([True, False])
    assert most_of("x", half, np.array([False, True]), "cells").value == 0.0
    assert most_of("x", half, np.array([False, False]), "cells").outcome == "open"
    rows = np.arange(50)
    for so, outcome in ((30, "open"), (45, "supported"), (5, "refuted")):  # 30 of 50 is the luck of a grid
        found = most_of("x", rows < so, True, "correlations")
        assert (found.value, found.outcome) == (so / 50, outcome)
        cells = np.broadcast_to((rows < so)[:, None], (50, 400))  # alike along a row: no more is known than of 50
        assert most_of("x", cells, True, "cells").low == found.low
    found = spread("x", np.arange(101.0), "cells", at_most=94.0)
    assert (found.low, found.value, found.high, found.outcome) == (5.0, 50.0, 95.0, "refuted")
    assert spread("x", np.arange(101.0), "cells", at_most=95.0).outcome == "supported"


def test_turned_inputs_change_the_basis_alone():
    for rate, alike in ((5.0, True), (200.0, True)):
        runs = [
            td.simulate(optimisers.rotated(0.9, turn), td.GradientDescent(rate), steps=20)["loss"] for turn in (0, 0.5)
        ]
        assert np.allclose(*runs, rtol=1e-6) == alike
    runs = [td.simulate(*optimisers.adam_cell(0.9, 50.0, turn), steps=5)["loss"] for turn in (0.0, 0.5)]
    assert abs(runs[0][1] / runs[1][1] - 1.0) > 0.1


@pytest.mark.parametrize("turn", [0.0, 0.5])
def test_adam_takes_a_first_step_as_long_as_plain_descent(turn):
    for correlation in (0.0, 0.6, 0.95):
        problem, rule = optimisers.adam_cell(correlation, 7.0, turn)
        length = np.linalg.norm(td.simulate(problem, rule, steps=1).final)
        plain = np.linalg.norm(td.simulate(problem, td.GradientDescent(7.0), steps=1).final)
        assert length == pytest.approx(plain, rel=1e-6)  # epsilon of Adam


def test_findings_and_pictures_of_the_optimisers(tmp_path):
    numbers = optimisers.spike_map_optimisers(REQUEST)
    told = {finding.statement: finding.outcome for finding in numbers.findings}
    assert told["At the same effective rate, heavy ball has lower peaks than plain descent"] == "supported"
    assert told["Adam's peak depends on the basis of W by at most 10 %"] == "refuted"
    assert told["Plain descent never raises the loss of uncorrelated tokens"] == "supported"
    assert told["Adam with turned inputs never raises the loss of uncorrelated tokens"] == "refuted"
    plain = two_token_descent(numbers["learning_rate"], numbers["correlation"][-1], optimisers.FREQUENCIES,
                              steps=optimisers.STEPS, measures="peak_loss")[:, 0]  # fmt: skip
    np.testing.assert_allclose(numbers["plain_peak_loss"][-1], plain, rtol=1e-12)
    figure = optimisers.draw(numbers, False)
    figure.savefig(tmp_path / "map.png", dpi=40)
    assert len(figure.axes) == 10


def test_the_picture(numbers, tmp_path):
    figure = experiment.FIGURES[0].draw(numbers, False)
    figure.savefig(tmp_path / "map.png", dpi=40)
    assert len(figure.axes) == 6 + 3
