"""Half-way points of shares and their scaling: planted answers are recovered, with honest intervals."""

import numpy as np
import pytest

from traindyn.errors import InputError
from traindyn.validation.experiments.thresholds import Crossing, crossing, percentiles, scatter, trend


def test_planted_centre_and_slope_are_recovered():
    x = np.linspace(0.0, 2.0, 9)
    runs = np.full(9, 100_000)
    hits = np.round(runs / (1.0 + np.exp(-7.0 * (x - 0.83))))
    found = crossing(x, hits, runs)
    assert found.centre == pytest.approx(0.83, abs=1e-4)
    assert found.slope == pytest.approx(7.0, rel=2e-3)


def test_intervals_cover_the_truth_about_as_often_as_they_say():
    rng = np.random.default_rng(0)
    x, truth = np.arange(6.0), 2.3
    share = 1.0 / (1.0 + np.exp(-2.0 * (x - truth)))
    covered = 0
    for trial in range(60):
        hits = rng.binomial(50, share)
        _, low, high = crossing(x, hits, np.full(6, 50), draws=400, rng=trial).interval()
        covered += low <= truth <= high
    assert 51 <= covered <= 60  # 57 expected; below 51 has probability 1 % at a coverage of 95 %


def test_a_jump_from_none_to_all_lies_in_between():
    found = crossing([1.0, 2.0, 3.0, 4.0], [0, 0, 20, 20], [20] * 4, draws=50)
    assert found.centre == pytest.approx(2.5, abs=1e-6)
    assert np.isfinite(found.slope)
    assert found.slope > 5.0


@pytest.mark.parametrize("hits", [[0, 1, 4], [6, 8, 10]])
def test_shares_on_one_side_of_one_half_are_refused(hits):
    with pytest.raises(InputError, match="one half"):
        crossing([1, 2, 3], hits, [10, 10, 10])


def planted(sizes, centres, errors):
    rng = np.random.default_rng(1)
    return [Crossing(c, 1.0, c + e * rng.standard_normal(500)) for c, e in zip(centres, errors, strict=True)]


def test_the_trend_weighs_by_error_and_resamples():
    sizes = np.array([10, 20, 40, 80])
    centres = np.log(2.0 * sizes**0.7)
    centres[2] += 0.3  # an outlier with a wide error hardly counts
    slope, resampled = trend(sizes, planted(sizes, centres, (0.01, 0.01, 1.0, 0.01)))
    assert slope[0] == pytest.approx(0.7, abs=1e-3)
    low, high = percentiles(resampled)
    assert low < 0.7 < high
    assert high - low == pytest.approx(2 * 1.96 * 0.01 / np.sqrt(np.log(8) ** 2 * 14 / 27), rel=0.15)


def test_scatter_vanishes_on_the_right_axis_alone():
    sizes = np.array([10.0, 20.0, 40.0])
    same = planted(sizes, np.log(1.3 * np.sqrt(sizes)), (1e-9,) * 3)
    assert scatter(0.5 * np.log(sizes), same)[0][0] < 1e-12
    assert scatter(np.log(sizes), same)[0][0] == pytest.approx(0.5 * np.log(2) * np.sqrt(2 / 3))
