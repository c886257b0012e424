"""Rows of scores in vectors against 40-digit arithmetic: every length about the vectors, every place of the target."""

from __future__ import annotations

import math

import mpmath
import numpy as np
import pytest

from traindyn.kernels.cpu import rows
from traindyn.kernels.cpu.simd import LANES32, LANES64

LANES = {"float64": LANES64, "float32": LANES32}
LENGTHS = {"float64": (1000, 4099), "float32": (1000, 70_000)}
ALL = [(dtype, length) for dtype, lanes in LANES.items() for length in range(1, 2 * lanes + 2)]
LONG = [(dtype, length) for dtype, lengths in LENGTHS.items() for length in lengths]


def exact(row, target):
    """The loss, softmax - onehot, and the softmax."""
    with mpmath.workdps(40):
        weights = [mpmath.exp(mpmath.mpf(float(score)) - mpmath.mpf(float(row[target]))) for score in row]
        wrong = mpmath.fsum(weights[:target] + weights[target + 1 :])
        softmax = [weight / (1 + wrong) for weight in weights]
        residual = [*softmax[:target], -wrong / (1 + wrong), *softmax[target + 1 :]]
        return mpmath.log1p(wrong), residual, softmax


def budget(row):
    """Relative error allowed: differences of scores are rounded before the exponential, whose own error is 2 ulp.

    Sums of float32 lanes have at most RUN terms before they go on in float64, and a few more across the lanes.
    """
    finite = row.astype(np.float64)
    return (12 + rows.RUN + finite.max() - finite.min()) * np.finfo(row.dtype).eps


def check(row, target, frequency=0.3):
    tolerance, tiny = budget(row), float(np.finfo(row.dtype).smallest_subnormal)
    loss, residual, probabilities = exact(row, target)
    margin = float(row[target]) - max((float(s) for z, s in enumerate(row) if z != target), default=-math.inf)
    out = np.full(len(row) + 3, 7.0, row.dtype)  # three more that must stay
    found, found_margin = rows.residual_row(row, target, frequency, out[: len(row)])
    assert abs(found - loss) <= tolerance * loss + len(row) * tiny
    assert found_margin == margin == rows.margin_row(row, target)
    assert abs(rows.loss_row(row, target)[0] - loss) <= tolerance * loss + len(row) * tiny
    assert rows.loss_row(row, target)[1] == margin
    for label, want in enumerate(residual):
        assert abs(float(out[label]) - frequency * want) <= tolerance * abs(frequency * want) + len(row) * tiny, label
    softmax = np.full_like(out, 7.0)
    rows.softmax_row(row, softmax[: len(row)])
    for label, want in enumerate(probabilities):
        assert abs(float(softmax[label]) - want) <= tolerance * want + 2 * tiny, label
    assert (out[len(row) :] == 7.0).all()
    assert (softmax[len(row) :] == 7.0).all()
    same = row.copy()
    assert rows.residual_row(same, target, frequency, same) == (found, found_margin)
    np.testing.assert_array_equal(same, out[: len(row)])


@pytest.mark.parametrize(("dtype", "length"), ALL)
def test_every_place_of_the_target_in_every_length(dtype, length):
    rng = np.random.default_rng(length)
    row = (3 * rng.normal(size=length)).astype(dtype)
    for target in range(length):
        check(row, target)
        high, low = row.copy(), row.copy()
        high[target], low[target] = 30.0, -30.0  # the largest by far, and the smallest: its own exponential shows
        check(high, target)
        check(low, target)


@pytest.mark.parametrize(("dtype", "length"), LONG)
@pytest.mark.parametrize("place", ["first", "middle", "last"])
def test_long_rows(dtype, length, place):
    rng = np.random.default_rng(length)
    target = {"first": 0, "middle": length // 2, "last": length - 1}[place]
    row = rng.normal(size=length).astype(dtype)
    loss, residual = _long_double(row, target)
    out = np.empty_like(row)
    found, _ = rows.residual_row(row, target, 1.0, out)
    assert abs(found - loss) <= budget(row) * loss
    assert abs(rows.loss_row(row, target)[0] - loss) <= budget(row) * loss
    assert (abs(out - residual) <= budget(row) * abs(residual)).all()


def _long_double(row, target):
    wide = row.astype(np.longdouble)
    weights = np.exp(wide - wide[target])
    weights[target] = 0
    wrong = weights.sum()
    residual = weights / (1 + wrong)
    residual[target] = -wrong / (1 + wrong)
    return np.log1p(wrong), residual


def test_sums_of_float32_do_not_lose_small_terms():
    """2^17 equal scores: summed one lane after the other in float32 their weights would stop to count."""
    row = np.zeros(2**17 + 1, np.float32)
    assert rows.loss_row(row, 5)[0] == pytest.approx(math.log(2**17 + 1), rel=1e-7)
    small = np.full(2**17 + 1, -17.0, np.float32)
    small[7] = 0.0  # one large weight in a lane with thousands of small ones
    want = math.log1p(1.0 * math.exp(17.0) + 2**17 - 1)
    assert rows.loss_row(small, 5)[0] == pytest.approx(want, rel=1e-7)


@pytest.mark.parametrize("gap", [50.0, 300.0, 690.0, 705.0, 709.0, 740.0, 744.5, 800.0])
@pytest.mark.parametrize("length", [2, LANES64, LANES64 + 1, 2 * LANES64 + 3])
def test_losses_down_to_the_smallest_number(gap, length):
    row = np.linspace(-1.0, 0.0, length)
    for target in {0, length // 2, length - 1}:
        learned = row.copy()
        learned[target] = gap
        check(learned, target)
        learned[target] = -gap
        check(learned, target)


@pytest.mark.parametrize("gap", [50.0, 79.9, 80.1, 87.0, 95.0, 103.0, 200.0])
def test_residuals_of_float32_down_to_the_smallest_number(gap):
    row = np.linspace(-1.0, 0.0, 2 * LANES32 + 3).astype(np.float32)
    for target in (0, LANES32, len(row) - 1):
        learned = row.copy()
        learned[target] = gap
        check(learned, target, frequency=1.0)


@pytest.mark.parametrize("dtype", LANES)
def test_ties(dtype):
    for length in (2, 3, LANES[dtype] + 2):
        row = np.full(length, 0.5, dtype)
        for target in range(length):
            check(row, target)
            assert rows.margin_row(row, target) == 0.0


@pytest.mark.parametrize("dtype", LANES)
def test_one_class_is_always_right(dtype):
    for score in (-3.0, 0.0, 1e30):
        row, out = np.array([score], dtype), np.array([9.0], dtype)
        assert rows.residual_row(row, 0, 0.4, out) == (0.0, math.inf)
        assert out[0] == 0.0
        assert rows.loss_row(row, 0) == (0.0, math.inf)
        assert rows.margin_row(row, 0) == math.inf
        rows.softmax_row(row, out)
        assert out[0] == 1.0


@pytest.mark.parametrize("dtype", LANES)
def test_a_nan_at_any_place_is_seen(dtype):
    for length in (1, 2, LANES[dtype], LANES[dtype] + 1, 2 * LANES[dtype] + 1):
        for place in range(length):
            for target in {0, length // 2, length - 1}:
                row = np.arange(length, dtype=dtype)
                row[place] = np.nan
                out = np.zeros_like(row)
                assert np.isnan(rows.residual_row(row, target, 0.3, out)).all()
                assert np.isnan(rows.loss_row(row, target)).all()
                assert math.isnan(rows.margin_row(row, target))
                rows.softmax_row(row, out)
                assert np.isnan(out).all()


@pytest.mark.parametrize("dtype", LANES)
def test_infinite_scores(dtype):
    for length in (2, LANES[dtype] + 1, 2 * LANES[dtype] + 1):
        for place in range(length):
            target = (place + 1) % length
            never = np.zeros(length, dtype)
            never[place] = -np.inf  # a class that cannot be: as if it were not there
            loss, _ = rows.loss_row(never, target)
            assert loss == pytest.approx(math.log(length - 1), rel=4 * float(np.finfo(dtype).eps), abs=0)
            out = np.full_like(never, np.nan)
            rows.residual_row(never, target, 1.0, out)
            assert out[place] == 0.0
            assert np.isfinite(out).all()
            assert rows.margin_row(never, target) == (math.inf if length == 2 else 0.0)
            certain = np.zeros(length, dtype)
            certain[place] = np.inf
            assert not math.isfinite(rows.loss_row(certain, target)[0])  # never a number that looks like a loss
            assert rows.margin_row(certain, target) == -math.inf


@pytest.mark.parametrize("dtype", LANES)
def test_rows_are_scaled_to_their_end_and_no_further(dtype):
    for length in range(2 * LANES[dtype] + 2):
        data = np.arange(1, length + 4, dtype=dtype)
        rows.scale_row(data[:length], 0.5)
        want = np.arange(1, length + 4, dtype=dtype)
        want[:length] /= 2
        np.testing.assert_array_equal(data, want)
