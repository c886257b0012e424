"""Where a share of successes passes one half, by logistic fits, and how such places move with the size of a problem."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...errors import InputError

Floats = NDArray[np.float64]

_RIDGE = 1e-3  # on the slope in units of the abscissae's spread: finite where no share lies strictly between 0 and 1
_STEPS = 60


@dataclass(frozen=True)
class Crossing:
    """Where fitted shares pass one half, with resampled copies.

    Attributes
    ----------
    centre : the abscissa at which the share is one half
    slope : of the log odds there, per unit of the abscissa
    resampled : (draws,) centres of resampled counts
    """

    centre: float
    slope: float
    resampled: Floats

    @property
    def error(self) -> float:
        """Standard deviation of the resampled centres."""
        return float(np.std(self.resampled))

    def interval(self, confidence: float = 0.95) -> tuple[float, float, float]:
        """Return the centre with the percentiles of the resampled ones."""
        low, high = percentiles(self.resampled, confidence)
        return self.centre, min(low, self.centre), max(high, self.centre)


def crossing(x: ArrayLike, successes: ArrayLike, trials: ArrayLike, *, draws: int = 2000, rng: int = 0) -> Crossing:
    r"""Return where the share of successes passes one half: $P(x) = 1/(1 + e^{-s(x - c)})$.

    Maximum likelihood with a weak ridge on s, so that counts that jump from none to all have a fit too. Resampling
    runs draws each place's runs anew, with replacement: a binomial number at the observed share.

    Parameters
    ----------
    x : (k,) abscissae, at least two different ones
    successes, trials : (k,) counts
    draws, rng : number of resampled fits, and their seed

    Raises
    ------
    InputError : shares that never pass one half on the abscissae given.

    Cost: `draws` times k, 60 Newton steps of two unknowns at most.

    >>> found = crossing([1, 2, 3, 4], [0, 10, 90, 100], [100, 100, 100, 100])
    >>> round(found.centre, 6), found.interval()[1] < 2.5 < found.interval()[2]
    (2.5, True)
    """
    places = np.asarray(x, dtype=np.float64)
    hits, runs = (np.asarray(counts, dtype=np.float64) for counts in (successes, trials))
    shares = hits / runs
    if not shares.min() <= 0.5 <= shares.max() or np.ptp(places) == 0.0:
        raise InputError("shares must pass one half between the first and the last place", shares.tolist())
    drawn = np.random.default_rng(rng).binomial(runs.astype(int), shares, size=(draws, places.size))
    middle, spread = places.mean(), places.std()
    rows = np.concatenate([hits[None], drawn])
    level, slope = _logistic((places - middle) / spread, rows, runs)
    centres = middle - spread * level / slope
    return Crossing(float(centres[0]), float(slope[0] / spread), centres[1:])


def _logistic(x: Floats, hits: Floats, runs: Floats) -> tuple[Floats, Floats]:
    """Return level and slope of the log odds for each row of counts, (B,) each: damped Newton, ridge on the slope."""
    level = np.zeros(len(hits))
    slope = np.ones(len(hits))
    for _ in range(_STEPS):
        share = 0.5 * (1.0 + np.tanh(0.5 * (level[:, None] + slope[:, None] * x)))
        error = hits - runs * share
        weight = runs * share * (1.0 - share) + 1e-12
        first, second = error.sum(axis=1), (error * x).sum(axis=1) - _RIDGE * slope
        a, b, c = weight.sum(axis=1), (weight * x).sum(axis=1), (weight * x * x).sum(axis=1) + _RIDGE
        determinant = a * c - b * b
        up, across = (c * first - b * second) / determinant, (a * second - b * first) / determinant
        length = np.minimum(1.0, 2.0 / np.maximum(np.hypot(up, across), 1e-300))
        level, slope = level + length * up, slope + length * across
        if max(np.abs(up).max(), np.abs(across).max()) < 1e-10:
            break
    return level, slope


def trend(sizes: ArrayLike, crossings: list[Crossing]) -> tuple[Floats, Floats]:
    """Return the weighted least-squares slope of the centres against log size, (1,), and of resampled ones, (draws,).

    Weights are the inverse variances of the centres.

    >>> exact = [Crossing(np.log(3.0 * n**0.5), 1.0, np.log(3.0 * n**0.5) + np.array([0.1, -0.1])) for n in (10, 20)]
    >>> trend([10, 20], exact)[0].round(12).tolist()
    [0.5]
    """
    x = np.log(np.asarray(sizes, dtype=np.float64))
    weight = np.array([max(one.error, 1e-6) for one in crossings]) ** -2.0
    weight = weight / weight.sum()
    centred = x - weight @ x
    rows = np.array([[one.centre for one in crossings], *zip(*(one.resampled for one in crossings), strict=True)])
    slopes = rows @ (weight * centred) / (weight @ centred**2)
    return slopes[:1], slopes[1:]


def scatter(offsets: ArrayLike, crossings: list[Crossing]) -> tuple[Floats, Floats]:
    """Return the standard deviation of (centre - offset) over the sizes, (1,), and of resampled centres, (draws,).

    With ``offset = log f(N)`` and centres of log d, it is zero where the transitions of all sizes lie at one value of
    d / f(N): the criterion of a collapse.

    >>> same = [Crossing(c, 1.0, np.array([c, c])) for c in (1.0, 2.0)]
    >>> scatter([0.0, 1.0], same)[0].tolist(), scatter([0.0, 0.0], same)[0].tolist()
    ([0.0], [0.5])
    """
    rows = np.array([[one.centre for one in crossings], *zip(*(one.resampled for one in crossings), strict=True)])
    spread = np.std(rows - np.asarray(offsets, dtype=np.float64), axis=1)
    return spread[:1], spread[1:]


def percentiles(sample: Floats, confidence: float = 0.95) -> tuple[float, float]:
    """Return the two percentiles that hold the middle of a sample.

    >>> [round(bound, 9) for bound in percentiles(np.arange(101.0), 0.9)]
    [5.0, 95.0]
    """
    tail = (1.0 - confidence) / 2.0
    low, high = (float(bound) for bound in np.quantile(sample, (tail, 1.0 - tail)))
    return low, high
