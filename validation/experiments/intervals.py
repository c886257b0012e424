"""Intervals of estimates: shares of runs, and statistics of a sample of seeds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...errors import InputError

Interval = tuple[float, float, float]


def proportion(successes: int, trials: int, confidence: float = 0.95) -> Interval:
    r"""Return a share with its exact binomial interval.

    The interval of Clopper and Pearson: every share p under which both tails
    $P(K\le k)$ and $P(K\ge k)$ are at least $(1-\text{confidence})/2$.

    Parameters
    ----------
    successes, trials : k of n runs
    confidence : the least probability with which the interval covers the true share, in (0, 1)

    Returns
    -------
    value, low, high

    Raises
    ------
    InputError : not 0 <= successes <= trials with trials >= 1, or a confidence outside (0, 1).

    Source: Clopper and Pearson, Biometrika 26 (1934).

    >>> [round(number, 4) for number in proportion(7, 10)]
    [0.7, 0.3475, 0.9333]
    """
    from scipy.special import betaincinv

    if not 0 <= successes <= trials or trials < 1:
        raise InputError("a share needs 0 <= successes <= trials and trials >= 1", f"{successes} of {trials}")
    tail = _tail(confidence)
    low = 0.0 if successes == 0 else float(betaincinv(successes, trials - successes + 1, tail))
    high = 1.0 if successes == trials else float(betaincinv(successes + 1, trials - successes, 1.0 - tail))
    return successes / trials, low, high


def bootstrap(
    sample: ArrayLike,
    statistic: Callable[..., Any] = np.mean,
    *,
    confidence: float = 0.95,
    draws: int = 4000,
    rng: int = 0,
) -> Interval:
    """Return a statistic of a sample with its bootstrap interval (percentiles of resampled statistics).

    Parameters
    ----------
    sample : shape (n,) or (n, k); rows are independent, such as one row a seed, and are drawn with replacement, so
        that what is paired stays paired
    statistic : a function with an argument ``axis``: (n,) -> number, vectorised; for rows (n, k), along the n
    confidence : of the interval, in (0, 1)
    draws, rng : number of resamples, and the seed of their indices

    Returns
    -------
    value, low, high; the interval is widened to hold the value where the percentiles do not.

    Raises
    ------
    InputError : a sample of fewer than two rows or with NaN; a confidence outside (0, 1).

    Cost: n times `draws` numbers, at most 2^22 of them in memory at a time.

    Source: Efron and Tibshirani, An Introduction to the Bootstrap (1993), chapter 13.

    >>> value, low, high = bootstrap(np.arange(101.0))
    >>> value, low < 46 < 54 < high
    (50.0, True)
    """
    rows = np.asarray(sample, dtype=np.float64)
    if rows.ndim not in (1, 2) or len(rows) < 2 or np.isnan(rows).any():
        raise InputError("a bootstrap needs at least two rows without NaN", f"shape {rows.shape}")
    tail = _tail(confidence)
    random = np.random.default_rng(rng)
    at_once = max(1, 2**22 // rows.size)
    resampled: list[NDArray[np.float64]] = []
    for first in range(0, draws, at_once):
        chosen = random.integers(len(rows), size=(min(at_once, draws - first), len(rows)))
        resampled.append(np.asarray(statistic(rows[chosen], axis=1), dtype=np.float64))
    statistics = np.concatenate(resampled)
    value = float(statistic(rows, axis=0))
    low, high = (float(bound) for bound in np.quantile(statistics, (tail, 1.0 - tail)))
    return value, min(low, value), max(high, value)


def share_by_seed(hits: ArrayLike, among: ArrayLike | bool = True) -> Interval:
    """Return the share of runs in which something is so, with its 95 % bootstrap interval over the seeds.

    For runs that are not independent: settings share the draws of a seed, so that whole seeds are resampled. An
    interval of Clopper and Pearson over the runs would take them for independent. Where all seeds agree, it is that of
    the seeds.

    Parameters
    ----------
    hits, among : (..., n_seeds) flags; the runs in which it is so, and those that count

    Returns
    -------
    value, low, high

    Raises
    ------
    InputError : fewer than two seeds, or no run that counts.

    >>> same = np.tile([True, False, False, True], (50, 1))  # four seeds, and fifty settings that all agree
    >>> value, low, high = share_by_seed(same)
    >>> value, low, high, proportion(100, 200)[1] > 0.4
    (0.5, 0.0, 1.0, True)
    """
    counted = np.broadcast_to(np.asarray(among, dtype=np.bool_), np.shape(hits))
    if not counted.any():
        raise InputError("a share needs at least one run that counts", f"shape {counted.shape}")
    settings = tuple(range(counted.ndim - 1))
    rows = np.stack([(np.asarray(hits) & counted).sum(axis=settings), counted.sum(axis=settings)], axis=1)
    value, low, high = bootstrap(rows, ratio)
    if low < high:
        return value, low, high
    # resampling what never varies tells no width, whatever the number of seeds
    seeds = int((rows[:, 1] > 0).sum())
    return proportion(round(value * seeds), seeds)


def ratio(rows: NDArray[np.float64], axis: int) -> NDArray[np.float64]:
    """Return the sum of the first column over that of the second, for `bootstrap`; 0 where the second is 0.

    >>> float(ratio(np.array([[1.0, 2.0], [2.0, 2.0]]), axis=0))
    0.75
    """
    total, count = np.moveaxis(rows.sum(axis=axis), -1, 0)
    return np.asarray(total / np.maximum(count, 1.0))


def _tail(confidence: float) -> float:
    if not 0.0 < confidence < 1.0:
        raise InputError("a confidence must lie in (0, 1)", confidence)
    return (1.0 - confidence) / 2.0
