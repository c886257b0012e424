"""The enclosure of gradient descent margins: against its own definition in many digits, and against the dynamics."""

import math

import mpmath
import numpy as np
import pytest
from mpmath import mpf

from traindyn.analytics import descent_margin_bounds, descent_margin_floor, flow_margin, printed_margin_bound_holds
from traindyn.errors import InputError

ULP_OUT = 4  # the stated outward rounding
ULP_OWN = 2  # what the evaluation itself may lose (measured 1.6)


def settings(count, seed):
    """Return (steps, rate, initial, wrong): moderate, whole ranges, large rates from very negative margins, seams."""
    rng = np.random.default_rng(seed)
    t = np.floor(10 ** rng.uniform(0, 300, count))
    k = 10 ** rng.uniform(-300, 300, count)
    start = rng.uniform(-700, 700, count)
    wrong = np.where(np.arange(count) % 3 == 0, np.floor(10 ** rng.uniform(0, 6, count)), 1.0)
    third = count // 3
    t[:third] = np.floor(10 ** rng.uniform(0, 6, third))
    k[:third] = 10 ** rng.uniform(-6, 6, third)
    start[:third] = np.where(np.arange(third) % 2, 0.0, rng.uniform(-20, 20, third))
    last = slice(count - third, count)
    t[last] = np.floor(10 ** rng.uniform(0, 4, third))
    k[last] = wrong[last] * 10 ** rng.uniform(0, 3, third)
    start[last] = -rng.uniform(0, 700, third)
    seams = [
        (5, 2, 0, 1), (5, 2 * (1 - 1e-12), -300, 1), (5, 3, 0, 1), (5, 3 * (1 + 1e-12), 0, 1), (5, 3.0001, -5, 1),
        (2, 2, -700, 1), (8521, 413597.4210133462, -295.74378339316337, 1351),
        (1e300, 1e300, 0, 1), (1e300, 1e300, 700, 1), (1e300, 1e-300, 0, 1), (1, 1e-300, 700, 1), (7, 714, -700, 1),
        (3, 714e6, -700, 1e6), (2, 2e6, -700, 1e6), (9, 1e6, 0, 1e6), (1e16, 12, -3, 4), (2, 705, -700, 1),
    ]  # fmt: skip
    tail = np.array(seams, dtype=float).T
    return tuple(np.concatenate(pair) for pair in zip((t, k, start, wrong), tail, strict=True))


def coefficients(k, start, a):
    """Return (m_1, b_-, b_+) of the enclosure by its definition: bisection for the maximum of phi."""
    first = start + k / (a + mpmath.exp(start))
    pull = k / (a + mpmath.exp(first))

    def psi(z):
        return (mpmath.expm1(z) - z) / z**2 if z > mpf("1e-30") else mpf(1) / 2 + z / 6

    def slope(z):
        return (mpmath.exp(z) * (z - 2) + z + 2) / z**3 if z > mpf("1e-20") else mpf(1) / 6 + z / 12

    end = pull * mpmath.exp(first) * psi(pull)
    if k <= 3 * a:
        return first, min(k / 2, end), k / 2
    low, high = mpf(0), pull
    if pull + psi(pull) / slope(pull) > k / a:
        for _ in range(90):
            middle = (low + high) / 2
            low, high = (middle, high) if middle + psi(middle) / slope(middle) < k / a else (low, middle)
        return first, min(k / 2, end), (k - a * low) * psi(low)
    return first, min(k / 2, end), max(k / 2, end)


def excess(margin, first, slope, target):
    """Return e^m + slope (m - m_1) - e^{m_1} - target, or -1 to the left of m_1 (the root is to its right)."""
    moved = margin - first
    return mpmath.exp(first) * mpmath.expm1(moved) + slope * moved - target if moved > 0 else mpf(-1)


def test_bounds_are_the_enclosure_rounded_outwards_by_four_units():
    t, k, start, a = settings(360, seed=3)
    lower, upper = descent_margin_bounds(t, k, start, a)
    assert np.isfinite(lower).all()
    assert np.isfinite(upper).all()
    for i in range(len(t)):
        with mpmath.workdps(80 + int(abs(start[i]) / 2)):
            exact_k, exact_start, exact_a = mpf(float(k[i])), mpf(float(start[i])), mpf(float(a[i]))
            first, least, most = coefficients(exact_k, exact_start, exact_a)
            target = exact_k * (mpf(float(t[i])) - 1)
            size = max(abs(start[i]), abs(lower[i]), abs(upper[i]))
            ulp = mpf(float(np.spacing(size)))
            where = (t[i], k[i], start[i], a[i])
            if first > 3000:  # frozen: no step moves the margin by an ulp
                assert lower[i] <= first <= upper[i], where
                continue
            inner, outer = (ULP_OUT - ULP_OWN) * ulp, (ULP_OUT + ULP_OWN) * ulp
            if target == 0:
                assert lower[i] + inner <= first <= lower[i] + outer, where
                continue
            low, high = mpf(float(lower[i])), mpf(float(upper[i]))
            assert excess(low + inner, first, exact_a - least, target) <= 0, where
            assert excess(low + outer, first, exact_a - least, target) >= 0, where
            assert excess(high - outer, first, exact_a - most, target) <= 0, where
            assert excess(high - inner, first, exact_a - most, target) >= 0, where


def run(k, start, a, steps):
    """Return the margins of every step by the scalar map (28)."""
    margins = [start]
    for _ in range(steps):
        m = margins[-1]
        margins.append(m + (k / (a + math.exp(m)) if m < 709 else k * math.exp(-m)))
    return np.array(margins)


@pytest.mark.parametrize("seed", range(4))
def test_the_dynamics_stay_inside_at_every_step(seed):
    rng = np.random.default_rng(seed)
    for _ in range(25):
        k, a = 10 ** rng.uniform(-4, 4), float(np.floor(10 ** rng.uniform(0, 3)))
        start = rng.uniform(-15, 10) if rng.random() < 0.7 else 0.0
        margins = run(k, start, a, 600)
        t = np.arange(601)
        lower, upper = descent_margin_bounds(t, k, start, a)
        # each step rounds to half an ulp of m; the map is not expanding beyond its first steps
        slack = 2 * np.spacing(np.maximum(np.abs(margins), abs(start))) * (1 + t)
        assert (margins >= lower - slack).all(), (k, start, a)
        assert (margins <= upper + slack).all(), (k, start, a)
        assert lower[0] == upper[0] == start


def test_the_dynamics_in_forty_digits_need_no_allowance():
    rng = np.random.default_rng(9)
    with mpmath.workdps(40):
        for _ in range(12):
            k, a, start = 10 ** rng.uniform(-3, 3), float(rng.integers(1, 20)), float(rng.uniform(-8, 4))
            lower, upper = descent_margin_bounds(np.arange(201), k, start, a)
            m = mpf(start)
            for t in range(201):
                assert lower[t] <= m <= upper[t], (k, a, start, t)
                m += mpf(k) / (mpf(a) + mpmath.exp(m))


def test_the_bounds_are_tight_as_documented():
    t = np.unique(np.floor(np.geomspace(1, 1e6, 300)))
    for k in (1e-3, 0.1, 1.0, 2.0, 3.0, 10.0):
        lower, upper = descent_margin_bounds(t, k)
        assert (upper - lower <= np.log(2 + k * t) / t + 16 * np.spacing(upper)).all(), k


def test_large_steps_freeze_the_margin():
    lower, upper = descent_margin_bounds([0, 1, 5], 1e300)
    assert lower[0] == upper[0] == 0.0
    assert lower[1] <= 5e299 <= upper[1]
    assert upper[2] <= 5e299 * (1 + 1e-15)


def test_descent_dominates_the_flow_and_the_elementary_floors():
    # (3.1) for variable rates too, and 1 + k t/2, 0.7311 (1 + k t)
    rng = np.random.default_rng(5)
    for _ in range(30):
        rates = 10 ** rng.uniform(-3, 2, size=200)
        a = float(rng.integers(1, 30))
        start = rng.uniform(-5, 5)
        m, total = start, 0.0
        for rate in rates:
            m, total = m + rate / (a + math.exp(m)), total + rate
            assert m >= float(flow_margin(total, start, a)) - 1e-12
    for k in (1e-3, 0.5, 2.5, 40.0):
        margins = run(k, 0.0, 1.0, 500)
        assert (margins >= descent_margin_floor(np.arange(501), k) - 1e-12).all()


def test_the_elementary_floors_are_sharp():
    # 1/2: m_1 = k/2, so (e^{m_1} - 1)/k -> 1/2 as k -> 0; 0.7311 is attained by the flow at margin 1
    k = 1e-6
    assert math.expm1(run(k, 0.0, 1.0, 1)[1]) / k == pytest.approx(0.5, rel=1e-6)
    t = round(math.e / 1e-5)
    margins = run(1e-5, 0.0, 1.0, t)
    assert math.exp(margins[-1]) / (1 + 1e-5 * t) == pytest.approx(math.e / (math.e + 1), rel=1e-5)


def test_threshold_of_the_printed_logarithm():
    assert printed_margin_bound_holds(2.512862417252340)
    assert not printed_margin_bound_holds(2.5128624172523)
    t = np.arange(20001)
    assert (run(2.51287, 0.0, 1.0, 20000) >= np.log1p(2.51287 * t)).all()
    assert run(2.5128, 0.0, 1.0, 1)[1] < math.log1p(2.5128)


@pytest.mark.parametrize(
    ("rate", "least", "at", "largest", "largest_at", "first"),
    [(0.001, "-.3132", 2718, "1.07936", 14037, 4892), (0.1, "-.3048", 27, "1.07214", 146, 52),
     (1.0, "-.2211", 2, "1.01580", 33, 13), (1.5, "-.1663", 1, "1.00104", 162, 60)],
)  # fmt: skip
def test_table_of_failures_of_the_printed_bounds(rate, least, at, largest, largest_at, first):
    """Errata (3.3), to the last printed digit."""
    margins = run(rate, 0.0, 1.0, 30000)
    t = np.arange(30001)
    gap = margins - np.log1p(rate * t)
    assert f"{gap.min():.4f}".replace("0.", ".") == least
    assert int(np.argmin(gap)) == at
    scaled = rate * t * np.log1p(np.exp(-margins))
    assert f"{scaled.max():.5f}" == largest
    assert int(np.argmax(scaled)) == largest_at
    assert int(np.argmax(scaled > 1)) == first


@pytest.mark.parametrize(("rate", "least"), [(1.9, "-.1147"), (2.0, "-.0986")])
def test_table_of_failures_near_the_threshold(rate, least):
    margins = run(rate, 0.0, 1.0, 100_000)
    t = np.arange(100_001)
    gap = margins - np.log1p(rate * t)
    assert f"{gap.min():.4f}".replace("0.", ".") == least
    assert int(np.argmin(gap)) == 1
    assert (rate * t * np.log1p(np.exp(-margins))).max() < 1


@pytest.mark.parametrize(
    ("arguments", "law"),
    [((1.5, 1.0), "whole"), ((-1, 1.0), "at least 0"), ((1, 0.0), "positive"), ((1, np.nan), "finite"),
     ((1, 1.0, 701.0), r"\[-700, 700\]"), ((1, 1.0, 0.0, 0), "at least 1")],
)  # fmt: skip
def test_bad_input_names_the_law(arguments, law):
    with pytest.raises(InputError, match=law):
        descent_margin_bounds(*arguments)
