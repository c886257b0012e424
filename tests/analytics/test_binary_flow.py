"""The flow margin against 60-digit arithmetic, at the seams of the ranges and in their insides."""

import mpmath
import numpy as np
import pytest
from mpmath import mpf

from traindyn.analytics import flow_correction_factor, flow_displacement, flow_margin, flow_margin_correction
from traindyn.errors import InputError


def points(count, seed):
    """Return (elapsed, initial, wrong_classes): log-uniform in the whole ranges, then around the seams."""
    rng = np.random.default_rng(seed)
    x = 10 ** rng.uniform(-300, 300, count)
    start = rng.uniform(-700, 700, count)
    wrong = np.ones(count)
    wrong[::5] = np.floor(10 ** rng.uniform(0, 6, len(wrong[::5])))
    half = count // 2
    x[:half] = 10 ** rng.uniform(-3, 6, half)
    start[: count // 4] = rng.uniform(-40, 40, count // 4)
    start[: count // 8] = 0.0
    seams = [
        (1e-300, 0, 1), (1e300, 0, 1), (1e300, -700, 1), (1e300, 700, 1), (1e-5, -700, 1), (700, -700, 1),
        (710, -700, 1),
        (1400, -700, 1), (2000, -690, 1), (36, -1, 1), (36.5, -40, 1), (1, 36, 1), (1, 36.05, 1), (1, 37, 1), (1, 0, 1),
        (np.e, 0, 1), (1e15, 0, 1), (1e16, 0, 1), (745, 0, 1), (1e-17, 0.5, 1), (1e305, 300, 1e6), (3, 3, 999),
        (2.0**52, 1e-300, 1), (709.78, 0, 1), (1e-300, -700, 1e6),
    ]  # fmt: skip
    tail = np.array(seams, dtype=float).T
    return tuple(np.concatenate(pair) for pair in zip((x, start, wrong), tail, strict=True))


def residual(displacement, x, start, wrong):
    return mpmath.exp(mpf(start)) * mpmath.expm1(displacement) + mpf(wrong) * displacement - mpf(x)


def test_displacement_is_exact_to_one_unit_in_the_last_place():
    # the left side increases in d, so the root lies within 1 ulp iff the residual changes sign there
    x, start, wrong = points(600, seed=1)
    d = flow_displacement(x, start, wrong)
    checked = 0
    with mpmath.workdps(60):
        for i in range(len(x)):
            if d[i] < 1e-300:
                continue
            ulp = mpf(float(np.spacing(d[i])))
            middle = mpf(float(d[i]))
            assert residual(middle - ulp, x[i], start[i], wrong[i]) < 0, (x[i], start[i], wrong[i])
            assert residual(middle + ulp, x[i], start[i], wrong[i]) > 0, (x[i], start[i], wrong[i])
            checked += 1
    assert checked > 500


def test_margin_is_exact_to_one_unit_of_the_larger_of_start_and_displacement():
    x, start, wrong = points(600, seed=2)
    d, m = flow_displacement(x, start, wrong), flow_margin(x, start, wrong)
    with mpmath.workdps(60):
        for i in range(len(x)):
            ulp = mpf(float(np.spacing(max(abs(start[i]), abs(d[i]), 1e-290))))
            moved = mpf(float(m[i])) - mpf(start[i])
            assert residual(moved - ulp, x[i], start[i], wrong[i]) <= 0, (x[i], start[i], wrong[i])
            assert residual(moved + ulp, x[i], start[i], wrong[i]) >= 0, (x[i], start[i], wrong[i])


def test_margin_beyond_the_stated_ranges_stays_sensible():
    assert flow_margin(1e300, 5e5) == 5e5
    assert flow_margin(1e-300, -5e5) == -5e5
    assert flow_margin(2e6, -1e6) == pytest.approx(float(flow_margin(1e6 - 1.0)), rel=1e-15)  # m + e^m = 1e6
    assert flow_displacement(0.0, 3.0) == 0.0


def test_shapes_follow_numpy_and_nothing_is_modified():
    x = np.array([[1.0], [2.0]])
    start = np.array([0.0, 1.0, 2.0])
    kept = x.copy()
    assert flow_margin(x, start).shape == (2, 3)
    assert np.ndim(flow_margin(1.0)) == 0
    assert np.array_equal(x, kept)
    assert flow_margin([]).shape == (0,)


@pytest.mark.parametrize(
    ("arguments", "law"),
    [((-1.0,), "negative"), ((np.nan,), "finite"), ((1.0, np.inf), "finite"), ((1.0, 0.0, 0), "at least 1"),
     (("a",), "real numbers")],
)  # fmt: skip
def test_bad_input_names_the_law(arguments, law):
    with pytest.raises(InputError, match=law):
        flow_margin(*arguments)


def test_flow_is_a_semigroup():
    m = flow_margin(3.0, flow_margin(2.0, -1.5, 4), 4)
    assert m == pytest.approx(float(flow_margin(5.0, -1.5, 4)), rel=1e-15)


def test_correction_stays_in_its_sharp_range_and_attains_its_ends():
    y = np.concatenate([1 + np.geomspace(1e-16, 1, 400), np.geomspace(2, 1e300, 4000)])
    h = flow_margin_correction(y)
    assert (h >= 0).all()
    assert h.max() <= 0.31326168751822286
    assert float(flow_margin_correction(1 + np.e)) == pytest.approx(np.log1p(1 / np.e), rel=1e-15)
    factor = flow_correction_factor(y)
    assert factor.min() >= 0.5 - 1e-15
    fine = flow_correction_factor(np.linspace(23.0, 23.3, 3001))
    assert fine.max() == pytest.approx(1.0237150809438473, rel=1e-12)
    assert factor.max() <= 1.0237150809438473 * (1 + 1e-14)


@pytest.mark.parametrize("y", [1.0 + 1e-12, 1.0 + 0.9e-9, 1.0 + 1.1e-9, 1.001, 2.0, 23.153, 1e9, 1e250])
def test_correction_factor_against_high_precision(y):
    with mpmath.workdps(320):
        exact = mpf(y)
        m = exact - mpmath.lambertw(mpmath.exp(exact)) if y < 1e4 else mpmath.log(exact)
        for _ in range(8):
            m -= (mpmath.exp(m) + m - exact) / (mpmath.exp(m) + 1)
        wanted = (mpmath.log(exact) - m) * exact / mpmath.log(exact)
    # y - 1 loses digits of y near 1 only through y itself: the quotient is smooth there
    assert float(flow_correction_factor(y)) == pytest.approx(float(mpmath.re(wanted)), rel=2e-14)


def test_correction_refuses_arguments_below_one():
    with pytest.raises(InputError, match="at least 1"):
        flow_margin_correction(0.1)
