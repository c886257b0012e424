"""Numbers of the specification, section 1.1: when the printed bounds of Theorem 2 fail, to the last printed digit."""

import math

import numpy as np
import pytest

from traindyn.analytics import flow_correction_factor, flow_margin

STEPS = 20000


def run(rate):
    """Return the margins of the steps 1 .. 20000 of (28) from margin 0."""
    margin, margins = 0.0, []
    for _ in range(STEPS):
        margin += rate / (1.0 + math.exp(margin))
        margins.append(margin)
    return np.array(margins)


T = np.arange(1, STEPS + 1)


@pytest.mark.parametrize("rate", [0.01, 0.1, 0.5, 1.0, 2.0])
def test_printed_margin_bound_fails_at_every_step(rate):
    assert (run(rate) < np.log1p(rate * T)).all()


def test_printed_margin_bound_fails_only_at_the_first_step_and_then_never():
    assert np.flatnonzero(run(2.5) < np.log1p(2.5 * T)).tolist() == [0]
    assert (run(3.0) >= np.log1p(3.0 * T)).all()
    assert (run(10.0) >= np.log1p(10.0 * T)).all()


@pytest.mark.parametrize(("rate", "first", "largest"), [(0.1, 52, "1.072"), (1.0, 13, "1.016"), (0.01, None, "1.079")])
def test_printed_loss_bound_fails_from_a_step_on(rate, first, largest):
    ratio = np.log1p(np.exp(-run(rate))) * rate * T
    assert f"{ratio.max():.3f}" == largest
    if first is not None:
        assert (ratio[first - 1 :] > 1).all()
        assert (ratio[: first - 1] <= 1).all()


@pytest.mark.parametrize("rate", [2.0, 5.0])
def test_printed_loss_bound_holds_for_large_rates(rate):
    assert (np.log1p(np.exp(-run(rate))) * rate * T <= 1).all()


def test_limit_of_the_scaled_loss():
    assert np.log1p(np.exp(-run(1.0)))[-1] * STEPS == pytest.approx(1.0, abs=1e-3)


def test_correction_factor_on_the_range_of_the_specification():
    factor = flow_correction_factor(1 + np.geomspace(2e-3, 1e8, 20001))
    assert f"{factor.min():.3f}" == "0.501"
    assert f"{factor.max():.3f}" == "1.024"


def test_margin_where_the_product_logarithm_cancels():
    assert f"{float(flow_margin(1e17)):.2f}" == "39.14"
