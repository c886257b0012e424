"""The constant behind the logarithm: printed digits of the errata, long runs, and high precision."""

import math

import mpmath
import numpy as np
import pytest

from traindyn.analytics import descent_constant, descent_margin_asymptote
from traindyn.errors import InputError


def margin_after(k, start, a, steps):
    m = start
    for _ in range(steps):
        m += k / (a + math.exp(m))
    return m


@pytest.mark.parametrize(
    ("rate", "printed"),
    [(0.1, {10**4: ".97124", 10**5: ".96661"}), (1.0, {10**4: ".71168", 10**5: ".71148"}),
     (5.0, {10**4: "3.58283", 10**5: "3.58234"})],
)  # fmt: skip
def test_residuals_of_the_errata(rate, printed):
    for steps, digits in printed.items():
        m = margin_after(rate, 0.0, 1.0, steps)
        residual = math.exp(m) - rate * steps - (rate / 2 - 1) * math.log(rate * steps)
        assert f"{residual:.5f}".removeprefix("0") == digits


@pytest.mark.parametrize(("rate", "partial"), [(1.0, "0.711452"), (5.0, "3.582268")])
def test_formula_summed_to_three_hundred_thousand_steps(rate, partial):
    # the errata print the partial sum; its tail is (k/6 - a/2)/t
    found = descent_constant(rate)
    tail = (rate / 6 - 0.5) / 3e5
    assert f"{found.value - tail:.6f}" == partial


@pytest.mark.parametrize(("rate", "start", "wrong"), [(1.0, 0.0, 1), (5.0, 2.0, 1), (0.2, -3.0, 1), (30.0, -2.0, 9)])
def test_constant_against_the_series_in_forty_digits(rate, start, wrong):
    found = descent_constant(rate, start, wrong)
    with mpmath.workdps(40):
        k, m, a = mpmath.mpf(rate), mpmath.mpf(start), mpmath.mpf(wrong)
        total = mpmath.exp(m) - (k / 2 - a) * m
        steps = 3000
        partial = []
        for t in range(steps):
            z = k / (a + mpmath.exp(m))
            total += z * ((k - a * z) * (mpmath.expm1(z) - z) / z**2 - k / 2)
            m += z
            if t + 1 in (steps // 2, steps):
                partial.append(total)
        # tail (k/6 - a/2)/t + O(log t/t^2): one Richardson step leaves O(log t/t^2)
        extrapolated = 2 * partial[1] - partial[0]
    assert found.value == pytest.approx(float(extrapolated), abs=40 * (rate + wrong) * 9 / steps**2 * 8)
    assert found.error < 1e-9 * max(1.0, abs(found.value))


def test_stopping_later_gives_the_same_constant(monkeypatch):
    from traindyn.analytics import descent_asymptotics

    coarse = [descent_constant(k, m, a) for k, m, a in ((1.0, 0.0, 1), (7.0, -4.0, 3), (0.3, 2.0, 1))]
    monkeypatch.setattr(descent_asymptotics, "_SMALL", 0.002)
    fine = [descent_constant(k, m, a) for k, m, a in ((1.0, 0.0, 1), (7.0, -4.0, 3), (0.3, 2.0, 1))]
    for a, b in zip(coarse, fine, strict=True):
        assert abs(a.value - b.value) <= a.error + b.error
        assert a.error < 1e-12 * max(1.0, abs(a.value))


@pytest.mark.parametrize(("rate", "start", "wrong"), [(1.0, 0.0, 1), (4.0, 1.0, 1), (2.0, 0.0, 4), (0.3, -1.0, 2)])
def test_asymptote_error_falls_as_log_over_square(rate, start, wrong):
    errors = {}
    for steps in (10**3, 10**4, 10**5):
        m = margin_after(rate, start, wrong, steps)
        errors[steps] = abs(m - float(descent_margin_asymptote(steps, rate, start, wrong)))
        assert errors[steps] <= 3 * (1 + wrong / rate) ** 2 * math.log(steps) / steps**2 + 1e-12
    assert errors[10**4] < errors[10**3] / 50


def test_bad_input_names_the_law():
    with pytest.raises(InputError, match="1e-4"):
        descent_constant(1e-6)
    with pytest.raises(InputError, match="overflows"):
        descent_constant(1e4)
    with pytest.raises(InputError, match="larger t"):
        descent_margin_asymptote(1, 0.5, -20.0, 50)
    with pytest.raises(InputError, match="rate > 0"):
        descent_constant(-1.0)
    assert np.ndim(descent_margin_asymptote(10, 1.0)) == 0
