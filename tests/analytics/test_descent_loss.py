"""Loss constants and bounds: sharp, and violated by the printed constant where the errata say so."""

import math

import mpmath
import numpy as np
import pytest

from traindyn.analytics import descent_loss_bound, descent_loss_constant, unit_constant_rate
from traindyn.errors import InputError


def losses(rates, weights, steps, a=1.0):
    """Return the losses of the steps of independent margins with the given rates and weights."""
    m = np.zeros(len(rates))
    out = []
    for _ in range(steps + 1):
        out.append(float(weights @ np.log1p(a * np.exp(-m))))
        m = m + rates / (a + np.exp(m))
    return np.array(out)


@pytest.mark.parametrize(
    ("classes", "printed"),
    [(2, "1.0794"), (3, "1.2450"), (5, "1.5576"), (10, "2.1598"), (100, "5.786"), (1000, "12.15")],
)
def test_constants_of_the_errata(classes, printed):
    digits = len(printed.split(".")[1])
    assert f"{descent_loss_constant(classes):.{digits}f}" == printed


@pytest.mark.parametrize("classes", [2, 7, 10**6])
def test_constant_against_high_precision(classes):
    with mpmath.workdps(40):
        a = mpmath.mpf(classes - 1)

        def value(m):
            return mpmath.log1p(a * mpmath.exp(-m)) * (mpmath.expm1(m) / a + m)

        start = max(np.linspace(0.5, 25, 500), key=lambda m: float(value(mpmath.mpf(m))))
        peak = mpmath.findroot(lambda m: mpmath.diff(value, m), mpmath.mpf(start))
        assert descent_loss_constant(classes) == pytest.approx(float(value(peak)), rel=1e-14)


def test_peak_of_the_binary_constant():
    m = np.linspace(2.4, 2.65, 2501)
    value = np.log1p(np.exp(-m)) * (np.exp(m) + m - 1)
    best = m[np.argmax(value)]
    assert f"{best:.3f}" == "2.526"
    assert f"{math.exp(best) + best - 1:.2f}" == "14.03"


def test_bound_holds_and_the_printed_one_fails():
    loss = losses(np.array([1.0, 1.0]), np.array([0.5, 0.5]), 200)  # N = 2, p = 1/2, orthonormal, rate 1
    t = np.arange(201)
    assert (loss <= descent_loss_bound(t, 1.0, [1.0, 1.0])).all()
    assert round(loss[33], 6) == 0.030782
    assert loss[33] > 1 / 33
    assert f"{33 * loss[33]:.4f}" == "1.0158"


@pytest.mark.parametrize("classes", [2, 3, 12])
def test_bound_is_sharp_for_small_rates_and_holds_for_all(classes):
    a = classes - 1.0
    rng = np.random.default_rng(classes)
    for _ in range(12):
        rate = 10 ** rng.uniform(-2.5, 2)
        norms = rng.uniform(0.3, 3, size=3)
        p = rng.dirichlet(np.ones(3)) * 0.97 + 0.01
        gap = rng.uniform(0.5, 4)
        k = rate * classes * p * norms * gap / 2
        loss = losses(k, p, 1500, a)
        bound = descent_loss_bound(np.arange(1501), rate, norms, classes, gap)
        assert (loss <= bound * (1 + 1e-13)).all()
    loss = losses(np.array([1e-3 * a]), np.array([1.0]), 60_000, a)  # one token: equality in the limit k -> 0
    bound = descent_loss_bound(np.arange(60_001), 1e-3 * a / classes, [1.0], classes)
    worst = (loss[1:] / bound[1:])[bound[1:] < math.log(classes)].max()
    assert 0.999 < worst <= 1


def test_constant_one_fails_late_below_its_rate_only():
    p, norms = np.array([0.7, 0.3]), np.array([1.0, 1.0])
    critical = unit_constant_rate(p, norms)
    assert critical * 2 == pytest.approx((2 / 2) * (1 / 0.7 + 1 / 0.3), rel=1e-15)
    for factor, fails in ((0.8, True), (1.25, False)):
        rate = factor * critical
        loss = losses(rate * 2 * p, p, 30_000)
        ratio = loss[20_000:] * rate * np.arange(20_000, 30_001) / np.sum(1 / (2 * norms))
        assert (ratio > 1).all() == fails
        assert (ratio < 1).all() != fails


def test_constant_one_holds_from_rate_two_on():
    for k in (2.0, 3.0, 50.0):
        scaled = losses(np.array([k]), np.array([1.0]), 20_000) * k * np.arange(20_001)
        assert scaled.max() <= 1


@pytest.mark.parametrize("classes", [1, 2.5, True])
def test_bad_class_counts_are_refused(classes):
    with pytest.raises(InputError, match="n_classes"):
        descent_loss_constant(classes)
