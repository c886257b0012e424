"""Intervals of shares and of samples: known values, coverage, and wrong calls."""

import numpy as np
import pytest

from traindyn.errors import InputError
from traindyn.validation.experiments.intervals import bootstrap, proportion, share_by_seed
from traindyn.validation.figures import Finding, judged


@pytest.mark.parametrize(
    ("successes", "trials", "low", "high"),
    [  # R: binom.test
        (0, 20, 0.0, 0.1684335),
        (20, 20, 0.8315665, 1.0),
        (5, 20, 0.08657147, 0.4910459),
        (50, 100, 0.3983211, 0.6016789),
    ],
)
def test_shares_have_the_interval_of_clopper_and_pearson(successes, trials, low, high):
    value, below, above = proportion(successes, trials)
    assert value == successes / trials
    np.testing.assert_allclose([below, above], [low, high], atol=5e-7)


def test_both_tails_have_the_probability_that_is_left():
    from scipy.stats import binom

    _, low, high = proportion(3, 11, confidence=0.9)
    assert binom.sf(2, 11, low) == pytest.approx(0.05, rel=1e-9)
    assert binom.cdf(3, 11, high) == pytest.approx(0.05, rel=1e-9)


def test_a_bootstrap_of_a_mean_is_its_normal_interval():
    sample = np.random.default_rng(1).normal(size=400)
    value, low, high = bootstrap(sample, draws=4000)
    half = 1.959964 * sample.std() / np.sqrt(sample.size)
    assert value == sample.mean()
    # a quantile of 4000 resamples is off by about 2.4 % of the half width (one standard deviation): four of them
    np.testing.assert_allclose([low, high], [value - half, value + half], atol=0.1 * half)


def test_a_bootstrap_keeps_pairs_and_repeats_itself():
    before = np.random.default_rng(2).normal(size=50)
    pairs = np.stack([before, before + 1.0], axis=1)

    def difference(rows, axis):
        means = rows.mean(axis=axis)
        return means[..., 1] - means[..., 0]

    answer = bootstrap(pairs, difference)
    np.testing.assert_allclose(answer, 1.0, rtol=1e-12)  # unpaired rows would give an interval of width 0.5
    assert answer == bootstrap(pairs, difference)
    assert bootstrap(before, rng=1) != bootstrap(before, rng=2)


def test_slices_of_the_resamples_change_nothing():
    sample = np.random.default_rng(3).normal(size=2**20)  # four resamples at a time
    value, low, high = bootstrap(sample, np.max, draws=9)
    assert value == sample.max()
    assert low <= high == value


@pytest.mark.parametrize(
    ("call", "law"),
    [
        (lambda: proportion(3, 2), "a share needs"),
        (lambda: proportion(0, 0), "a share needs"),
        (lambda: proportion(1, 2, confidence=1.0), "confidence"),
        (lambda: bootstrap([1.0]), "two rows"),
        (lambda: bootstrap([1.0, np.nan]), "without NaN"),
        (lambda: Finding("a", 0.5, 0.6, 0.7, "b", "open"), "in its interval"),
        (lambda: Finding("a", np.nan, 0.6, 0.7, "b", "open"), "in its interval"),
        (lambda: Finding(" ", 0.5, 0.5, 0.5, "b", "open"), "a statement and a basis"),
        (lambda: Finding("a", 0.5, 0.5, 0.5, "b", "suported"), "did you mean 'supported'"),
    ],
)
def test_wrong_calls_are_answered(call, law):
    with pytest.raises(InputError, match=law):
        call()


def test_runs_of_one_seed_are_resampled_together():
    rng = np.random.default_rng(0)
    by_seed = rng.random(40) < 0.7
    alike = np.broadcast_to(by_seed, (3, 5, 40))  # fifteen settings that share the draw of the seed
    value, low, high = share_by_seed(alike)
    _, one_low, one_high = proportion(int(by_seed.sum()), 40)
    _, wrong_low, wrong_high = proportion(15 * int(by_seed.sum()), 600)
    assert value == by_seed.mean()
    assert (low, high) == share_by_seed(by_seed)[1:]
    assert high - low > 0.8 * (one_high - one_low) > 2.0 * (wrong_high - wrong_low)


def test_seeds_that_all_agree_leave_the_doubt_of_so_many_seeds():
    among = np.ones((50, 8), dtype=bool)
    among[:, 5:] = False  # five seeds count
    assert share_by_seed(np.ones((50, 8), dtype=bool), among) == proportion(5, 5)
    assert share_by_seed(np.zeros((50, 8), dtype=bool), among) == proportion(0, 5)


def test_runs_that_do_not_count_are_left_out():
    hits, among = np.ones((4, 10), dtype=bool), np.zeros((4, 10), dtype=bool)
    hits[1:], among[:2, 2:] = False, True
    assert share_by_seed(hits, among)[0] == 0.5
    assert share_by_seed(hits, among[:1])[0] == 0.25
    with pytest.raises(InputError, match="at least one run that counts"):
        share_by_seed(hits, np.zeros((4, 10)))


def test_outcomes_follow_from_the_interval():
    assert judged(0.5, 0.6, at_least=0.5) == "supported"
    assert judged(0.4, 0.6, at_least=0.5) == "open"
    assert judged(0.3, 0.4, at_least=0.5) == "refuted"
    assert judged(0.3, 0.4, at_most=0.5) == "supported"
    assert judged(0.6, 0.7, at_least=0.0, at_most=0.5) == "refuted"
    assert judged(0.4, 0.7, at_least=0.0, at_most=0.5) == "open"


def test_a_finding_tells_its_numbers():
    assert Finding("a", 4211, 4211, 4211, "exact", "supported").number == "4211"
    assert Finding("a", -0.0, -0.0, 0.0, "exact", "supported").number == "0"
    assert Finding("a", 0.5, 0.5 - 1e-12, 0.5 + 3e-12, "gap", "supported").number == "0.5 +- 3e-12"
    assert Finding("a", 0.123456, 0.1, np.inf, "b", "open").number == "0.1235 [0.1, inf]"
    assert Finding("a", 0.5, 0.1, np.inf, "b", "open").record()["high"] == "inf"
