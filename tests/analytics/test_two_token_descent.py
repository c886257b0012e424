"""Descent bounds of two tokens against plain loops of the raw gradient in W and of the margins."""

import math

import numpy as np
import pytest

from traindyn import analytics


def run(correlation, frequent, rate, steps, squared_distance=2.0):
    """(tilt, mean margin) along gradient descent, from equation (17) written out; arrays of systems run together."""
    correlation, frequent, rate = (np.asarray(x, dtype=float) for x in (correlation, frequent, rate))
    first = second = np.zeros(np.broadcast(correlation, frequent, rate).shape)
    trace = [(first, second)]
    step = rate * squared_distance
    with np.errstate(over="ignore"):
        for _ in range(steps):
            pull, counter = frequent / (1 + np.exp(first)), (1 - frequent) / (1 + np.exp(second))
            first = first + step * (pull - correlation * counter)
            second = second + step * (counter - correlation * pull)
            trace.append((first, second))
    array = np.array(trace)
    return 0.5 * (array[:, 0] - array[:, 1]), 0.5 * (array[:, 0] + array[:, 1])


def raw_run(correlation, frequencies, rate, steps, squared_distance):
    """The same from the gradient in W, in dimension 4."""
    rng = np.random.default_rng(0)
    basis = np.linalg.qr(rng.normal(size=(4, 4)))[0]
    inputs = np.stack([basis[0], correlation * basis[0] + math.sqrt(1 - correlation**2) * basis[1]])
    outputs = 0.5 * math.sqrt(squared_distance) * np.stack([basis[2], -basis[2]])
    weights, trace = np.zeros((4, 4)), []
    for _ in range(steps + 1):
        scores = inputs @ weights.T @ outputs.T
        trace.append([scores[0, 0] - scores[0, 1], scores[1, 1] - scores[1, 0]])
        odds = np.exp(scores - scores.max(axis=1, keepdims=True))
        pull = odds / odds.sum(axis=1, keepdims=True) - np.eye(2)
        weights = weights - rate * outputs.T @ pull.T @ (np.asarray(frequencies)[:, None] * inputs)
    array = np.array(trace)
    return 0.5 * (array[:, 0] - array[:, 1]), 0.5 * (array[:, 0] + array[:, 1])


def test_the_loop_of_margins_is_the_loop_of_weights():
    for arguments in ((0.6, 0.8, 3.0, 2.0), (-0.5, 0.7, 0.4, 0.5), (0.95, 0.75, 10.0, 7.0)):
        correlation, frequent, rate, distance = arguments
        expected = raw_run(correlation, (frequent, 1 - frequent), rate, 60, distance)
        np.testing.assert_allclose(run(correlation, frequent, rate, 60, distance), expected, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("distance", [0.02, 2.0, 30.0])
def test_bounds_hold_on_random_runs(distance):
    rng = np.random.default_rng(int(distance * 100))
    n, steps = 400, 1000
    correlation = np.where(rng.random(n) < 0.7, rng.uniform(-0.99, 0.999, n), 1 - 10 ** rng.uniform(-6, -2, n))
    rare = 10 ** rng.uniform(-4, math.log10(0.5), n)
    scale = 10 ** rng.uniform(-6, 6, n)
    tilt, mean = run(correlation, 1 - rare, 2 * scale / distance, steps, distance)
    saved = np.unique(np.geomspace(1, steps, 30).astype(int))
    for j in range(n):
        pair, rate = (1 - rare[j], rare[j]), 2 * scale[j] / distance
        tolerance = 1e-13 * steps * max(1.0, abs(tilt[:, j]).max())
        lower, upper = analytics.descent_tilt_bounds(correlation[j], pair, rate, distance)
        assert tilt[:, j].min() >= lower - tolerance
        assert tilt[:, j].max() <= upper + tolerance
        radius = analytics.descent_tilt_radius(correlation[j], pair, rate, distance)
        assert abs(tilt[:, j] - analytics.limiting_tilt(pair)).max() <= radius + tolerance
        least = analytics.descent_mean_margin_lower(saved, correlation[j], pair, rate, distance)
        assert (mean[saved, j] >= least * (1 - 1e-11) - 1e-300).all()


def test_bounds_are_nearly_attained():
    # tightness of the errata: max gamma_1 / G_plus = 0.99992, -min gamma_1 / G_minus = 0.996
    tilt, _ = run(0.0, 0.5, 1e5, 1)
    assert tilt[1] == 0.0
    tilt, _ = run(0.999, 0.9999, 1e5, 400)
    assert tilt.max() / analytics.descent_tilt_bounds(0.999, (0.9999, 0.0001), 1e5)[1] > 0.49
    grid = run(np.array([0.9, 0.99, 0.999])[:, None, None], np.array([0.6, 0.9, 0.98])[:, None], 1e5, 200)[0]
    best = max(
        grid[:, i, j].max() / analytics.descent_tilt_bounds(a, (p, 1 - p), 1e5)[1]
        for i, a in enumerate((0.9, 0.99, 0.999))
        for j, p in enumerate((0.6, 0.9, 0.98))
    )
    assert best > 0.8


def test_leading_constant_of_the_lower_bound_is_exact():
    _, mean = run(0.5, 0.9, 3.0, 20000)
    least = analytics.descent_mean_margin_lower(20000, 0.5, (0.9, 0.1), 3.0)
    assert 0 <= mean[-1] - least < 3e-3
    _, mean = run(0.5, 0.5, 1e-3, 20000)
    assert 0 <= mean[-1] - analytics.descent_mean_margin_lower(20000, 0.5, (0.5, 0.5), 1e-3) < 1e-3


def test_lower_bounds_solve_their_equations():
    # eta c_0 = 4 x 1; r = 3, s = .3: e^g + 2 r g = 1 + eta c_0 s t late, e^g + g = 1 + eta c_0 p_2 t early
    for steps, slope, total in ((10**6, 6.0, 1.2e6), (1, 1.0, 0.4)):
        least = float(analytics.descent_mean_margin_lower(steps, 0.5, (0.9, 0.1), 4.0))
        assert math.expm1(least) + slope * least == pytest.approx(total, rel=1e-13)


def test_numbers_of_errata_and_spec():
    # T4.13: corr .9, p1 .9, eta 100: 74.9 at t = 1 against the printed 13.5; T4.14: max 76.0, printed gamma_max 23.6
    tilt, _ = run(0.9, 0.9, 100.0, 2000)
    limit = analytics.limiting_tilt((0.9, 0.1))
    assert (round(abs(tilt[1] - limit), 1), 100 * 0.1 * 0.9 + 0.9 / 0.2) == (74.9, pytest.approx(13.5))
    assert (round(tilt.max(), 1), round(limit + 4.5 + 200 * 0.1 * 0.9, 1)) == (76.0, 23.6)
    # T4.14: corr .8, p1 .55, K 50: the tilt falls to -10.79, the printed gamma_min is -8.90
    tilt, _ = run(0.8, 0.55, 50.0, 2000)
    assert (round(tilt.min(), 2), round(0.5 * math.log(11 / 9) - 100 * 0.2 * 0.45, 2)) == (-10.79, -8.90)
    assert tilt.min() >= analytics.descent_tilt_bounds(0.8, (0.55, 0.45), 50.0)[0]
    # E8 of the spec: sup |gamma_1 - limit|, printed (with c for K), corrected with (1 + corr)
    for (correlation, frequent, rate), (seen, printed, corrected) in {
        (0.95, 0.75, 10.0): (5.76, 1.875, 16.1),
        (0.95, 0.9, 50.0): (37.9, 6.75, 92.3),
    }.items():
        tilt, _ = run(correlation, frequent, rate, 2000)
        offset = abs(tilt - analytics.limiting_tilt((frequent, 1 - frequent)))
        assert float(f"{offset.max():.3g}") == seen
        rest = frequent / (2 * (1 - frequent))
        assert rate * (1 - correlation) * frequent + rest == pytest.approx(printed)
        assert rate * (1 + correlation) * frequent + rest == pytest.approx(corrected, abs=0.051)
        assert offset.max() <= analytics.descent_tilt_radius(correlation, (frequent, 1 - frequent), rate)
        if rate == 10.0:
            assert int(offset.argmax()) == 5
    # T4.15: K = 100, corr -.5, p1 .7: the offset has not moved after 1e5 steps
    tilt, _ = run(-0.5, 0.7, 100.0, 100000)
    assert round(tilt[-1] - analytics.limiting_tilt((0.7, 0.3)), 3) == 9.576
    # E9: the main-text version is undercut early: 62 of the first 5000 steps, by up to 0.05
    _, mean = run(0.95, 0.75, 1.0, 5000)
    steps = np.arange(1, 5001)
    short = np.log(0.25 * 0.05 * 2 * steps + 1) - mean[1:]
    assert int((short > 0).sum()) == 62
    assert 0.04 < short.max() < 0.055
    # T4.12: the appendix's own bound is true
    assert (mean[1:] >= np.log(0.05 * 2 * 0.25 * steps / 2 + 1)).all()


def test_descent_has_the_exponents_of_the_flow():
    # (5.5): slopes per decade -.3334 at corr -.5, -1.0002 at corr .5
    for correlation, slope in ((-0.5, -0.3334), (0.5, -1.0002)):
        tilt, _ = run(correlation, 0.7, 1.0, 300000)
        offset = abs(tilt - analytics.limiting_tilt((0.7, 0.3)))
        assert math.log10(offset[300000] / offset[30000]) == pytest.approx(slope, abs=3e-3)


def test_bounds_stay_finite_at_the_ends_of_their_range():
    for correlation in (-1 + 1e-12, 1 - 1e-12):
        for rare in (1e-12, 0.5):
            for rate in (1e-6, 1e6):
                lower, upper = analytics.descent_tilt_bounds(correlation, (1 - rare, rare), rate)
                assert lower <= 0 <= upper < 3e6
                least = analytics.descent_mean_margin_lower([0, 1, 1e300], correlation, (1 - rare, rare), rate)
                assert np.isfinite(least).all()
                assert least[0] == 0.0


def test_loss_constants_of_the_spec():
    # eta t L -> 2/((1 - corr) c) = 20; at t = 1e4: 2.0e-4 for eta = 10, 2.03e-3 for eta = 1
    for rate, printed in ((10.0, "2.0e-04"), (1.0, "2.03e-03")):
        tilt, mean = run(0.95, 0.75, rate, 10000)
        loss = 0.75 * np.log1p(np.exp(-mean[-1] - tilt[-1])) + 0.25 * np.log1p(np.exp(tilt[-1] - mean[-1]))
        digits = len(printed.split("e")[0]) - 2
        assert f"{loss:.{digits}e}" == printed
        assert rate * 1e4 * loss == pytest.approx(analytics.loss_constant(0.95), rel=0.03)
