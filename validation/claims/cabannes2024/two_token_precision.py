"""Two correlated tokens in 50 digits: descent and flow of the two margins, for the claims' exact evaluations."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Sequence
from typing import Any

import mpmath
from mpmath import mpf

from ...case import Case, Exact
from ...precision import DIGITS, evaluate_twice, extrapolated_flow
from .two_token_cases import numbers


def exact_numbers(case: Case) -> tuple[Any, Any, Any, Any]:
    """Return (correlation, p_1, p_2, c) as mpf; the frequencies sum to one exactly."""
    correlation, (_, rare), distance = numbers(case)
    return mpf(correlation), 1 - mpf(rare), mpf(rare), mpf(distance)


def exact_start(case: Case) -> list[Any]:
    """Return the initial margins as mpf."""
    if case.initial is None:
        return [mpf(0), mpf(0)]
    problem = case.problem
    gap = [mpf(float(a)) - mpf(float(b)) for a, b in zip(problem.outputs[0], problem.outputs[1], strict=True)]
    result = []
    for sign, row in zip((1, -1), problem.inputs, strict=True):
        image = [mpmath.fdot([mpf(float(w)) for w in line], [mpf(float(e)) for e in row]) for line in case.initial]
        result.append(sign * mpmath.fdot(gap, image))
    return result


def exact_velocity(case: Case) -> Callable[[Sequence[Any]], list[Any]]:
    """Return margins -> dm/dt in the current precision: equation (31), from the definition of the loss."""
    correlation, frequent, rare, distance = exact_numbers(case)

    def velocity(margins: Sequence[Any]) -> list[Any]:
        pull, counter = frequent / (1 + mpmath.exp(margins[0])), rare / (1 + mpmath.exp(margins[1]))
        return [distance * (pull - correlation * counter), distance * (counter - correlation * pull)]

    return velocity


def exact_descent(case: Case, step: int) -> tuple[Any, Any]:
    """Return (tilt, mean margin) after a number of steps, in the current precision."""
    velocity, margins = exact_velocity(case), exact_start(case)
    rate = mpf(float(case.rule.learning_rate))
    for _ in range(step):
        margins = [m + rate * v for m, v in zip(margins, velocity(margins), strict=True)]
    return (margins[0] - margins[1]) / 2, (margins[0] + margins[1]) / 2


def twice_descent(case: Case, step: int, compare: Callable[[Any, Any], tuple[Any, Any]]) -> Exact:
    """Return compare(tilt, mean margin) = (quantity, bound) after a number of steps, with 50 and with 70 digits."""
    return evaluate_twice(lambda: compare(*exact_descent(case, step)), "gradient descent of the two margins")


MOST_INTERVALS = 300  # about two seconds


def exact_flow(case: Case, time: float, order: int = 8) -> tuple[Any, Any, Any] | None:
    """Return (tilt, mean margin, error) of the flow at a time, by extrapolation in log time with two orders.

    From W_0 = 0 there are closed forms at equal frequencies and at the correlations -1 and 1, where one mode rests.
    None where the integration would take too long, at correlations close to 1. The
    intervals resolve the fastest rate in log time, (1 + correlation)/(1 - correlation), or c t where that is less.
    """
    correlation, frequent, rare, distance = exact_numbers(case)
    if not any(exact_start(case)):
        if correlation == 1:
            return _exact_lone_tilt(frequent, rare, distance * mpf(time)), mpf(0), mpf(10) ** -45
        if frequent == rare or correlation == -1:
            return mpf(0), exact_line_root((1 - correlation) * distance * mpf(time) / 2, mpf(1)), mpf(10) ** -45
    velocity, unit = exact_velocity(case), 1 / distance

    def slope(log_time: Any, margins: Sequence[Any]) -> list[Any]:
        clock = unit * mpmath.exp(log_time)
        return [clock * v for v in velocity(margins)]

    end = mpmath.log1p(mpf(time) / unit)
    gap = max(1.0 - float(correlation), 1e-300)
    fastest = min((1.0 + float(correlation)) / gap, float(distance) * time)
    intervals = max(4, math.ceil(float(end) * max(1.5, fastest / 2)))
    if intervals > MOST_INTERVALS:
        return None
    margins, error = extrapolated_flow(slope, exact_start(case), 0, end, intervals, order)
    return (margins[0] - margins[1]) / 2, (margins[0] + margins[1]) / 2, error


def twice_flow(
    case: Case, times: Sequence[float], compare: Callable[[Sequence[tuple[Any, Any]]], tuple[Any, Any]]
) -> Exact | None:
    """Return compare([(tilt, mean margin), ...]) at some times; the error comes from two orders of the integration.

    None where the integration would take too long, or where compare divides by zero: the statement is empty there.
    """
    with contextlib.suppress(ZeroDivisionError):
        return _twice_flow(case, times, compare)
    return None


def _twice_flow(
    case: Case, times: Sequence[float], compare: Callable[[Sequence[tuple[Any, Any]]], tuple[Any, Any]]
) -> Exact | None:
    with mpmath.workdps(DIGITS[0]):
        states, error = [], mpf(10) ** -45
        for time in times:
            found = exact_flow(case, time)
            if found is None:
                return None
            tilt, mean, gap = found
            states.append((tilt, mean))
            error = max(error, gap)
        quantity, bound = (mpf(value) for value in compare(states))
        total = mpf(0)
        for number, (tilt, mean) in enumerate(states):
            for shift in ((error, 0), (0, error)):
                moved = [*states]
                moved[number] = (tilt + shift[0], mean + shift[1])
                changed = compare(moved)
                total += abs((mpf(changed[0]) - mpf(changed[1])) - (quantity - bound))
        total += mpf(10) ** (-DIGITS[0] + 4) * (abs(quantity) + abs(bound))
        return Exact(quantity, bound, total, "flow by extrapolated midpoint steps of orders 14 and 16 in log time "
        "(closed form at p_1 = p_2 and at correlations -1, 1), 50 digits")


def _exact_lone_tilt(frequent: Any, rare: Any, elapsed: Any) -> Any:
    """Return the tilt of the flow at correlation 1 and c t = elapsed, where the mean margin rests at 0.

    dg/d(ct) = (p_1 - p_2 e^g)/(1 + e^g), so p_2 g + w = p_1 p_2 c t with e^{-w} = (p_1 - p_2 e^g)/(p_1 - p_2).
    """
    difference, total = frequent - rare, frequent * rare * elapsed

    def tilt(w: Any) -> Any:
        return mpmath.log1p(-difference * mpmath.expm1(-w) / rare)

    w = mpf(0)
    for _ in range(200):
        decay = difference * mpmath.exp(-w)
        step = (total - w - rare * tilt(w)) / (1 + rare * decay / (frequent - decay))
        w += step
        if abs(step) <= abs(w) * mpf(10) ** (-mpmath.mp.dps + 3):
            break
    return tilt(w)


def exact_line_root(total: Any, slope: Any) -> Any:
    """Return the root of expm1(g) + Q g = x in the current precision, by Newton's method from above."""
    if total == 0:
        return mpf(0)
    root = min(mpmath.log1p(total), total / (1 + slope))
    for _ in range(200):
        step = (mpmath.expm1(root) + slope * root - total) / (mpmath.exp(root) + slope)
        root -= step
        if abs(step) <= abs(root) * mpf(10) ** (-mpmath.mp.dps + 3):
            break
    return root
