"""The cells of the experiment on two correlated tokens, and what is measured of a run."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ...dynamics import Trajectory

    Floats = NDArray[np.float64]

LEAST_OFFSET = 1e-6  # of the tilt: below, the flow's tolerance of 1e-10 shows in exponents
LATE = 0.5  # part of the saved points of a run that counts as late


def flow(correlation: float, frequent: float) -> tuple[Any, Any]:
    """Return two tokens of these numbers under gradient flow."""
    from ...dynamics import AssociativeMemory, GradientFlow

    return AssociativeMemory.two_tokens(correlation, (frequent, 1.0 - frequent)), GradientFlow()


def descent(correlation: float, frequent: float, learning_rate: float) -> tuple[Any, Any]:
    """Return two tokens of these numbers under gradient descent."""
    from ...dynamics import AssociativeMemory, GradientDescent

    return AssociativeMemory.two_tokens(correlation, (frequent, 1.0 - frequent)), GradientDescent(learning_rate)


def threshold(correlation: float, frequent: float, ratio: float) -> tuple[Any, Any]:
    """Return descent at `ratio` times the rate 2 / lambda_max(0)."""
    from ... import analytics

    return descent(correlation, frequent, ratio * analytics.no_spike_rate(correlation, (frequent, 1.0 - frequent)))


def first_step(setting: tuple[float, float, float, float]) -> tuple[Any, Any]:
    """Return descent of (correlation, p_1, rate, c), where the outputs lie at a distance of sqrt(c)."""
    from ...dynamics import AssociativeMemory, GradientDescent

    correlation, frequent, rate, distance = setting
    plain = AssociativeMemory.two_tokens(correlation, (frequent, 1.0 - frequent))
    outputs = math.sqrt(distance / 2.0) * np.eye(2)
    return AssociativeMemory(plain.inputs, outputs, plain.targets, plain.frequencies), GradientDescent(rate)


def _numbers(run: Trajectory) -> tuple[float, tuple[float, float]]:
    """Return (correlation, frequencies) of a run's problem."""
    frequencies = run.problem.frequencies
    return float(run.problem.inputs[0] @ run.problem.inputs[1]), (float(frequencies[0]), float(frequencies[1]))


def _modes(run: Trajectory) -> tuple[Floats, Floats]:
    """Return tilt and mean margin at the saved points."""
    from ... import analytics

    tilt, mean = analytics.modes_from_margins(run["margin"])
    return np.asarray(tilt), np.asarray(mean)


def offset(run: Trajectory) -> Floats:
    """Return tilt - log(p_1/p_2)/2 at the saved points."""
    from ... import analytics

    return np.asarray(_modes(run)[0] - analytics.limiting_tilt(_numbers(run)[1]))


def growth(run: Trajectory) -> Floats:
    """Return c_t / c_0 at the saved points but the first, which tends to sqrt(p_1 p_2); time is eta t for descent."""
    from ... import analytics

    _, mean = _modes(run)
    return np.asarray(analytics.growth_constant(run.time[1:], mean[1:], _numbers(run)[0]))


def final_growth(run: Trajectory) -> float:
    """Last c_t / c_0 over sqrt(p_1 p_2)."""
    from ... import analytics

    return float(growth(run)[-1] / analytics.growth_constant_limit(_numbers(run)[1]))


def least_growth(run: Trajectory) -> float:
    """Least c_t / c_0 over p_2, at any saved time."""
    return float(growth(run).min() / _numbers(run)[1][1])


def largest_growth(run: Trajectory) -> float:
    """Largest c_t / c_0 over 1/2, at any saved time."""
    return float(growth(run).max() * 2.0)


def final_offset(run: Trajectory) -> float:
    """Last distance of the tilt from its limit."""
    return float(abs(offset(run)[-1]))


def final_constant(run: Trajectory) -> float:
    """Last t L over its limit 1 / (1 - corr); eta t L for descent."""
    return float(run.time[-1] * run["loss"][-1] * (1.0 - _numbers(run)[0]))


def exponent(run: Trajectory) -> float:
    """Slope of log |tilt - limit| against log t over the last decade in which the distance exceeds 1e-6."""
    distance, time = np.abs(offset(run)), run.time
    seen = np.flatnonzero(distance > LEAST_OFFSET)
    if not seen.size or time[seen[-1]] < 1e3:
        return math.nan
    last = time[seen[-1]]
    decade = (time >= last / 10.0) & (time <= last) & (distance > LEAST_OFFSET)
    return float(np.polyfit(np.log(time[decade]), np.log(distance[decade]), 1)[0]) if decade.sum() > 2 else math.nan


def offset_constant(run: Trajectory) -> float:
    """t (tilt - limit) over its limit, at the last time at which the distance exceeds 1e-6; NaN for corr <= 0."""
    from ... import analytics

    correlation, pair = _numbers(run)
    distance = offset(run)
    seen = np.flatnonzero(np.abs(distance) > LEAST_OFFSET)
    if correlation <= 1e-12 or not seen.size:
        return math.nan
    return float(run.time[seen[-1]] * distance[seen[-1]] / analytics.alignment_constant(correlation, pair))


def bound_slack(run: Trajectory) -> float:
    """Least distance of the tilt and of the mean margin from their proved bounds, negative outside."""
    from ... import analytics

    correlation, pair = _numbers(run)
    rate = float(run.rule.learning_rate)
    tilt, mean = _modes(run)
    low, high = analytics.descent_tilt_bounds(correlation, pair, rate)
    below = analytics.descent_mean_margin_lower(run.step, correlation, pair, rate)
    return float(min((tilt - low).min(), (high - tilt).min(), (mean - below).min()))


def printed_tilt_slack(run: Trajectory) -> float:
    """Least distance of |tilt - limit| from the printed bound eta (1 - corr) p_1 + p_1 / (2 p_2), negative above it."""
    correlation, (frequent, rare) = _numbers(run)
    bound = float(run.rule.learning_rate) * (1.0 - correlation) * frequent + frequent / (2.0 * rare)
    return float((bound - np.abs(offset(run))).min())


def turns(run: Trajectory) -> float:
    """Number of times that the tilt turns round."""
    moved = np.diff(_modes(run)[0])
    moved = moved[np.abs(moved) > 1e-12]
    return float((np.sign(moved[1:]) != np.sign(moved[:-1])).sum())


FLOW = (final_growth, least_growth, largest_growth, final_offset, exponent, offset_constant, final_constant)
DESCENT = (final_growth, final_offset, bound_slack, printed_tilt_slack, final_constant)
