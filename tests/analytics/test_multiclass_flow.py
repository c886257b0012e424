"""The exact multi-class flow against 50-digit roots, against LSODA, and against its closed forms."""

import mpmath
import numpy as np
import pytest
from scipy.integrate import solve_ivp

from traindyn import analytics
from traindyn.errors import InputError


def exact_scores(elapsed, initial):
    """Root of elapsed = int_0^s A ds' in 60 digits, the integral by its polynomial's coefficients."""
    with mpmath.workdps(60):
        odds = [mpmath.exp(mpmath.mpf(float(w))) for w in initial[1:]]
        first, time = mpmath.mpf(float(initial[0])), mpmath.mpf(float(elapsed))

        def clock(log_s):
            s = mpmath.exp(log_s)
            coefficients = [mpmath.mpf(1)]
            for a in odds:
                shifted = [mpmath.mpf(0), *[c * s * a for c in coefficients]]
                coefficients = [x + y for x, y in zip([*coefficients, mpmath.mpf(0)], shifted, strict=True)]
            integral = s * sum(c / (k + 1) for k, c in enumerate(coefficients))
            return mpmath.exp(first) * integral + sum(mpmath.log1p(s * a) for a in odds)

        low, high = mpmath.mpf(-3000), mpmath.mpf(3000)
        for _ in range(25):
            middle = (low + high) / 2
            low, high = (low, middle) if clock(middle) > time else (middle, high)
        for _ in range(12):  # Newton on the logarithm of the clock, kept inside the bracket
            s, value = mpmath.exp(low), clock(low)
            slope = s * (mpmath.exp(first) * mpmath.fprod(1 + s * a for a in odds) + sum(a / (1 + s * a) for a in odds))
            low = min(max(low - mpmath.log(value / time) * value / slope, low - 1), low + 1)
        assert abs(clock(low) / time - 1) < mpmath.mpf(10) ** -45
        falls = [mpmath.log1p(mpmath.exp(low) * a) for a in odds]
        return [first + sum(falls), *[mpmath.mpf(float(w)) - f for w, f in zip(initial[1:], falls, strict=True)]]


def ulps(values, exact):
    return max(
        float(abs(mpmath.mpf(float(v)) - e)) / float(np.spacing(max(1.0, abs(float(e)))))
        for v, e in zip(values, exact, strict=True)
    )


@pytest.mark.parametrize("scale", [1.0, 30.0, 700.0])
def test_scores_are_within_4_ulp_of_60_digits(scale):
    rng = np.random.default_rng(int(scale))
    for _ in range(12):
        initial = rng.uniform(-scale, scale, int(rng.choice([2, 3, 5, 9])))
        elapsed = 10.0 ** (rng.uniform(-20, 300) if rng.random() < 0.5 else rng.uniform(-3, 6))
        assert ulps(analytics.multiclass_flow(elapsed, initial), exact_scores(elapsed, initial)) <= 4.0


@pytest.mark.parametrize(
    ("elapsed", "initial"),
    [
        (1e300, [-690.0, 0.0]),  # the target's score is the small difference of two numbers near 690
        (1e300, [-700.0, 700.0, -700.0]),
        (1e-300, [700.0, -700.0]),
        (1e-17, [0.0, 0.0]),
        (1.0, [-700.0, 700.0]),
        (1400.0, [-700.0, 700.0]),
        (1e300, [700.0, 700.0]),
    ],
)
def test_corners_of_the_box(elapsed, initial):
    assert ulps(analytics.multiclass_flow(elapsed, initial), exact_scores(elapsed, initial)) <= 4.0


def test_many_classes_cross_the_change_of_quadrature():
    rng = np.random.default_rng(3)
    for n_classes in (48, 49, 120):
        initial = rng.normal(size=n_classes) * 3.0
        for elapsed in (30.0, 1e9):
            assert ulps(analytics.multiclass_flow(elapsed, initial), exact_scores(elapsed, initial)) <= 4.0


def test_thousands_of_classes_agree_with_the_tied_closed_form():
    times = np.logspace(-10, 300, 25)
    scores = analytics.multiclass_flow(times, np.zeros(3000))
    margin = scores[:, 0] - scores[:, 1]
    np.testing.assert_allclose(margin, analytics.tied_flow_margin(times, 3000), rtol=2e-15, atol=2e-15)


@pytest.mark.parametrize("n_classes", [2, 3, 5, 10, 40])
@pytest.mark.parametrize("equal_norms", [True, False])
def test_lsoda(n_classes, equal_norms):
    rng = np.random.default_rng(n_classes)
    initial = rng.normal(size=n_classes) * 2.0
    norms = np.ones(n_classes) if equal_norms else rng.uniform(0.3, 3.0, n_classes)

    def slope(_, w):
        q = np.exp(w - w.max())
        q /= q.sum()
        q[0] -= 1.0
        return -norms * q

    times = np.array([0.1, 1.0, 10.0, 300.0])
    run = solve_ivp(slope, (0.0, 300.0), initial, method="LSODA", t_eval=times, rtol=1e-11, atol=1e-12)
    scores = analytics.multiclass_flow(times, initial, None if equal_norms else norms)
    np.testing.assert_allclose(scores, run.y.T, atol=2e-9)


def test_unequal_norms_continue_equal_ones():
    initial = [0.3, -0.7, 1.1]
    near = analytics.multiclass_flow([0.5, 1e6], initial, [1.0, 1.0 + 1e-9, 1.0])
    np.testing.assert_allclose(near, analytics.multiclass_flow([0.5, 1e6], initial), atol=1e-8)
    # one class of norm n moves like a unit one with clock n when all norms scale together
    scaled = analytics.multiclass_flow([0.5, 1e6], initial, [2.0, 2.0, 2.0])
    np.testing.assert_allclose(scaled, analytics.multiclass_flow([1.0, 2e6], initial), rtol=1e-12, atol=1e-12)


def test_two_classes_are_the_binary_flow():
    times = np.logspace(-12, 300, 60)
    for start in (0.0, 5.0):
        scores = analytics.multiclass_flow(times, [start, start])
        margin = scores[:, 0] - scores[:, 1]
        np.testing.assert_allclose(margin, analytics.flow_margin(2.0 * times), rtol=2e-15, atol=2e-15)


def test_invariants_are_conserved_and_break_with_the_wrong_norms():
    norms = np.array([1.0, 2.0, 0.5, 1.5])
    scores = analytics.multiclass_flow(np.logspace(-2, 4, 20), [0.2, 0.5, -0.5, 0.1], norms)
    kept = analytics.flow_invariants(scores, norms)
    np.testing.assert_allclose(kept, np.tile(kept[0], (20, 1)), rtol=1e-10, atol=1e-10)
    printed = analytics.flow_invariants(scores)  # errata T3.3: the paper's form needs equal norms
    assert np.ptp(printed[:, 0]) > 0.1


def test_tied_margin_matches_wright_omega_and_has_no_seam():
    for n_classes in (2, 3, 10, 1000):
        a = n_classes - 1
        for elapsed in (1e-300, 1e-8, 0.3, 5.0, 1e4, 1e30, 1e300):
            with mpmath.workdps(50):
                x = mpmath.mpf(n_classes) * mpmath.mpf(elapsed)
                value = float(analytics.tied_flow_margin(elapsed, n_classes))
                root = mpmath.mpf(value)
                for _ in range(6):
                    root -= (mpmath.expm1(root) + a * root - x) / (mpmath.exp(root) + a)
                assert abs(value / root - 1) < 9e-16
    from scipy.special import wrightomega

    level = (1.0 + 3 * 50.0) / 2 - np.log(2.0)
    assert float(analytics.tied_flow_margin(50.0, 3)) == pytest.approx(np.log(2 * wrightomega(level)), rel=1e-14)


@pytest.mark.parametrize(
    ("elapsed", "initial"),
    [(-1.0, [0.0, 0.0]), (np.inf, [0.0, 0.0]), (1.0, [0.0]), (1.0, [[0.0] * 2]), (1.0, [701.0, 0]), (1.0, [np.nan, 0])],
)
def test_bad_input_is_refused(elapsed, initial):
    with pytest.raises(InputError):
        analytics.multiclass_flow(elapsed, initial)


def test_norms_must_be_positive():
    with pytest.raises(InputError):
        analytics.multiclass_flow(1.0, [0.0, 0.0], [1.0, 0.0])
