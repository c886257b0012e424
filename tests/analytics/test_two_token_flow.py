"""Flow bounds of two tokens against integrations of the raw flow, the orbit, and mpmath."""

import math

import mpmath
import numpy as np
import pytest
from scipy.integrate import solve_ivp

from traindyn import analytics
from traindyn.analytics.exponential_line import exponential_line_root
from traindyn.analytics.two_token_flow import _forced_response


def raw_flow(correlation, frequencies, squared_distance, times):
    """(tilt, mean margin) at increasing times: equation (31) integrated in log time from t0 = 1e-9."""
    start = 1e-9

    def slope(log_time, margins):
        pull = np.asarray(frequencies) / (1.0 + np.exp(margins))
        return math.exp(log_time) * squared_distance * (pull - correlation * pull[::-1])

    first = slope(math.log(start), np.zeros(2))  # the first step is linear to 1e-18
    solution = solve_ivp(
        slope, (math.log(start), math.log(times[-1])), first, "Radau", np.log(times), rtol=1e-11, atol=1e-18
    )
    return 0.5 * (solution.y[0] - solution.y[1]), 0.5 * (solution.y[0] + solution.y[1])


CASES = [
    (-0.8, (0.7, 0.3), 2.0), (-0.2, (0.9, 0.1), 0.5), (0.0, (0.75, 0.25), 2.0), (0.5, (0.9, 0.1), 2.0),
    (0.95, (0.75, 0.25), 2.0), (0.99, (0.5, 0.5), 3.0), (0.3, (0.999, 0.001), 1.0), (-0.95, (0.51, 0.49), 2.0),
]  # fmt: skip
TIMES = np.logspace(-6, 10, 33)


@pytest.mark.parametrize(("correlation", "frequencies", "distance"), CASES)
def test_bounds_enclose_the_flow(correlation, frequencies, distance):
    tilt, mean = raw_flow(correlation, frequencies, distance, TIMES)
    tolerance = 1e-9 * np.maximum(mean, 1e-9) + 1e-13  # ten times the integrator's
    lower, upper = analytics.flow_mean_margin_bounds(TIMES, correlation, frequencies, distance)
    assert (lower <= mean + tolerance).all()
    assert (mean <= upper + tolerance).all()
    ratio = analytics.growth_constant(TIMES, mean, correlation, distance)
    low, high = analytics.growth_constant_bounds(TIMES, correlation, frequencies, distance)
    assert (low <= ratio * (1 + 1e-7)).all()
    assert (ratio <= high * (1 + 1e-7)).all()
    assert abs(ratio[-1] / analytics.growth_constant_limit(frequencies) - 1) < 1e-4 + 10 * abs(
        tilt[-1] - analytics.limiting_tilt(frequencies)
    )
    bottom, top = analytics.flow_tilt_bounds(correlation, frequencies)
    assert (tilt >= bottom - 1e-10).all()
    assert (tilt <= top + 1e-10).all()
    deviation = tilt - analytics.limiting_tilt(frequencies)
    below, above = analytics.flow_tilt_envelope(mean, correlation, frequencies)
    assert (below <= deviation + 1e-9).all()
    assert (deviation <= above + 1e-9).all()


@pytest.mark.parametrize(("correlation", "frequencies", "distance"), CASES)
def test_orbit_agrees_with_the_raw_flow(correlation, frequencies, distance):
    tilt, mean = raw_flow(correlation, frequencies, distance, TIMES)
    deviation, time = analytics.flow_orbit(mean, correlation, frequencies, distance)
    np.testing.assert_allclose(time[4:], TIMES[4:], rtol=1e-6)  # a margin error of 1e-9 is a time error of 1e-9
    np.testing.assert_allclose(deviation, tilt - analytics.limiting_tilt(frequencies), rtol=1e-7, atol=1e-9)


def test_bounds_coincide_with_the_flow_at_equal_frequencies():
    times = np.logspace(-10, 290, 61)
    lower, upper = analytics.flow_mean_margin_bounds(times, 0.3, (0.5, 0.5), 2.0)
    np.testing.assert_allclose(lower, upper, rtol=4e-15)
    np.testing.assert_allclose(lower, analytics.flow_margin(0.7 * times), rtol=4e-15)


def test_bounds_solve_their_equations():
    # a stronger slope than 2r - 1 may hold in every run one tries, so the equations themselves are pinned
    frequencies, ratio = (0.9, 0.1), 3.0
    for time in (1e-3, 10.0, 1e6):
        lower, upper = analytics.flow_mean_margin_bounds(time, 0.5, frequencies)
        assert math.expm1(lower) + (2 * ratio - 1) * lower == pytest.approx(0.3 * time, rel=1e-13)
        assert math.expm1(upper) + upper == pytest.approx(0.5 * time, rel=1e-13)


def test_uncorrelated_flow_solves_the_orbit():
    times = np.logspace(-3, 200, 40)
    tilt, mean = analytics.uncorrelated_flow(times, (0.7, 0.3))
    deviation, time = analytics.flow_orbit(mean, 0.0, (0.7, 0.3))
    np.testing.assert_allclose(time[5:], times[5:], rtol=1e-8)
    np.testing.assert_allclose(deviation[:10], tilt[:10] - analytics.limiting_tilt((0.7, 0.3)), rtol=1e-7, atol=1e-9)


def test_orbit_slope_is_the_ratio_of_the_speeds():
    tilt, mean, frequencies = 0.9, 1.3, (0.8, 0.2)
    across, along = analytics.mode_velocity(tilt, mean, -0.4, frequencies, 3.0)
    offset = tilt - analytics.limiting_tilt(frequencies)
    slope = analytics.orbit_slope(np.sinh(offset), mean, -0.4, frequencies)
    assert slope == pytest.approx(np.cosh(offset) * across / along, rel=1e-13)


@pytest.mark.parametrize("total", [1e-300, 1e-17, 1e-3, 0.7, 5.0, 700.0, 1e17, 1e300])
@pytest.mark.parametrize("slope", [0.0, 1e-3, 1.0, 37.0, 1e7])
def test_exponential_line_root_against_50_digits(total, slope):
    root = float(exponential_line_root(total, slope))
    with mpmath.workdps(50):
        exact = mpmath.mpf(root)
        for _ in range(8):
            exact -= (mpmath.expm1(exact) + mpmath.mpf(slope) * exact - mpmath.mpf(total)) / (
                mpmath.exp(exact) + mpmath.mpf(slope)
            )
        assert abs(root / exact - 1) < 5e-16


@pytest.mark.parametrize(
    ("correlation", "rare", "mean"),
    [
        (0.5, 0.1, 3.0), (-0.8, 0.3, 20.0), (0.99, 0.25, 1e-3), (0.9999, 0.02, 58.0), (-0.999, 1e-12, 30.0),
        (0.0, 1e-6, 100.0), (0.3, 0.5, 300.0),
    ],
)  # fmt: skip
def test_envelope_integral_against_mpmath(correlation, rare, mean):
    growth, stiffness = 0.5 / math.sqrt(rare * (1 - rare)), (1 + correlation) / (1 - correlation)
    with mpmath.workdps(60):
        top = mpmath.log(mpmath.exp(mpmath.mpf(mean)) + growth)

        def integrand(depth):
            power = stiffness * (mpmath.log(mpmath.exp(mpmath.mpf(mean) - depth) + growth) - top)
            return mpmath.exp(power) / (1 + mpmath.exp(mpmath.mpf(mean) - depth))

        panel = min(1.0, 2.0 / stiffness)
        edges = [k * panel for k in range(200) if k * panel < mean] + [mean]
        if edges[-1] - edges[-2] > panel:
            edges = edges[:-1] + list(np.arange(edges[-2] + 1.0, mean)) + [mean]
        exact = stiffness * mpmath.quad(integrand, edges, method="gauss-legendre")
        assert abs(_forced_response(mean, growth, stiffness) / exact - 1) < 1e-12


def test_bounds_stay_finite_at_the_ends_of_their_range():
    times = np.array([0.0, 1e-300, 1.0, 1e300])
    for correlation in (-1 + 1e-12, 0.0, 1 - 1e-12):
        for rare in (1e-12, 0.5):
            frequencies = (1 - rare, rare)
            lower, upper = analytics.flow_mean_margin_bounds(times, correlation, frequencies)
            assert np.isfinite(lower).all()
            assert (lower <= upper).all()
            assert lower[0] == upper[0] == 0.0
            below, above = analytics.flow_tilt_envelope(lower, correlation, frequencies)
            assert np.isfinite(below).all()
            assert (below <= above).all()


def _flow_margin(total):
    """Root of e^m + m = total, by the contraction m = log(total - m)."""
    margin = mpmath.log(total)
    for _ in range(10):
        margin = mpmath.log(total - margin)
    return margin


def at_time(correlation, frequencies, time, squared_distance=2.0):
    """Deviation of the tilt at a time, by inverting the orbit's time."""
    grid = np.linspace(*np.log([max(time * 1e-7, 1.5), time * 2.0]), 400)
    deviation, times = analytics.flow_orbit(grid, correlation, frequencies, squared_distance)
    return float(np.interp(math.log(time), np.log(times), deviation))


def test_numbers_of_the_errata_alignment():
    # T4.5: slow alignment at negative correlation, log t / t at zero
    assert round(at_time(-0.8, (0.7, 0.3), 1e6), 4) == -0.0879
    tilt, _ = analytics.uncorrelated_flow([1e4, 1e8], (0.7, 0.3))
    gaps = np.array([1e4, 1e8]) * (tilt - analytics.limiting_tilt((0.7, 0.3)))
    assert [float(f"{gap:.3g}") for gap in gaps] == [3.37, 7.75]
    # at t = 1e16 the errata print 21.1, a difference of doubles; in 40 digits the number is 16.5, as the orbit has it
    with mpmath.workdps(40):
        first, second = (_flow_margin(1 + 2 * mpmath.mpf(p) * 10**16) for p in ("0.7", "0.3"))
        exact = float(10**16 * ((first - second) / 2 - mpmath.log(mpmath.mpf(7) / 3) / 2))
    assert round(exact, 1) == 16.5
    deviation, time = analytics.flow_orbit(math.log(1e16), 0.0, (0.7, 0.3))
    slope = analytics.alignment_constant(0.0, (0.7, 0.3))
    assert float(time * deviation) - exact == pytest.approx(slope * math.log(time / 1e16), abs=1e-3)
    # T4.7: the printed envelope fails at t = 1e4
    printed = analytics.limiting_tilt((0.7, 0.3)) + 0.4 / math.sqrt(0.21) * 1.05 / (2 * 0.3 * 1e4 + 1)
    assert (round(float(tilt[0]), 7), round(printed, 7)) == (0.4239855, 0.4238017)
    # (5.2): limits of t (tilt - limit)
    for correlation, frequencies, predicted in ((0.5, (0.9, 0.1), 6.6667), (0.2, (0.7, 0.3), 1.7857)):
        assert round(analytics.alignment_constant(correlation, frequencies), 4) == predicted
        deviation, time = analytics.flow_orbit(200.0, correlation, frequencies)
        assert float(time * deviation) == pytest.approx(predicted, rel=1e-4)
    # T4.6: the ratio to C(gamma_2) tends to (1 + corr)/(2 corr)
    for correlation, ratio in ((0.5, 1.5), (0.2, 3.0)):
        deviation, _ = analytics.flow_orbit(60.0, correlation, (0.7, 0.3))
        measured = math.sinh(deviation) / float(analytics.turning_level(60.0, (0.7, 0.3)))
        assert measured == pytest.approx(ratio, rel=1e-6)
    # slopes of (5.2)
    for correlation, slope in ((-0.8, -0.1111), (-0.5, -0.3333), (-1 / 3, -0.5)):
        deviation, time = analytics.flow_orbit([200.0, 230.0], correlation, (0.7, 0.3))
        measured = math.log(deviation[1] / deviation[0]) / math.log(time[1] / time[0])
        assert round(measured, 4) == slope == round(-analytics.alignment_exponent(correlation), 4)


@pytest.mark.parametrize(("frequent", "root"), [(0.55, -0.2304), (0.7, -0.2268), (0.9, -0.2091), (0.99, -0.1707)])
def test_correlation_at_which_the_slow_mode_vanishes(frequent, root):
    def slow(correlation):
        return float(analytics.flow_orbit(120.0, correlation, (frequent, 1 - frequent))[0])

    assert slow(root - 0.00006) < 0 < slow(root + 0.00006)


@pytest.mark.parametrize(("frequent", "limit"), [(0.75, 0.43301), (0.95, 0.21794), (0.5, 0.5)])
def test_growth_constants_of_the_spec(frequent, limit):
    assert round(analytics.growth_constant_limit((frequent, 1 - frequent)), 5) == limit
    for correlation in (-0.5, -0.2, 0.0, 0.5, 0.95):
        deviation, time = analytics.flow_orbit(200.0, correlation, (frequent, 1 - frequent))
        assert abs(deviation) < 1e-20
        assert float(analytics.growth_constant(time, 200.0, correlation)) == pytest.approx(limit, abs=5e-6)


def test_local_exponents_of_the_spec():
    # E7, p1 = .75: mean slopes over t = 1e8 to 1e10, and the deviation at t = 1e4
    for correlation, slope in ((-0.5, -0.3333), (-0.2, -0.6635), (0.0, -0.9456), (0.5, -1.0), (0.95, -1.0)):
        grid = np.linspace(1.0, 30.0, 4000)
        deviation, time = analytics.flow_orbit(grid, correlation, (0.75, 0.25))
        at = np.interp(np.log([1e4, 1e8, 1e10]), np.log(time), np.log(np.abs(deviation)))
        assert round((at[2] - at[1]) / math.log(100.0), 4) == pytest.approx(slope, abs=1e-12 if slope > -0.99 else 1e-3)
        if correlation == -0.5:
            assert round(math.exp(at[0]), 4) == 0.0213
