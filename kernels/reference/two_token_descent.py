"""Gradient descent of two correlated tokens, one setting at a time, and what is measured on the way."""

from __future__ import annotations

import math


def two_token_descent(
    learning_rate: float, correlation: float, frequent: float, rare: float, squared_distance: float,
    first: float, second: float, steps: int,
) -> tuple[float, ...]:  # fmt: skip
    """Return the twelve measures of one run from the margins (first, second), equations (17) and (5), step by step.

    .. code-block:: text

        m_1 <- m_1 + rate c (p_1/(1 + e^m_1) - corr p_2/(1 + e^m_2))
        m_2 <- m_2 + rate c (p_2/(1 + e^m_2) - corr p_1/(1 + e^m_1))
        L   =  p_1 log(1 + e^-m_1) + p_2 log(1 + e^-m_2)

    In order: steps_to_accuracy, steps_to_settle, peak_loss, peak_step, spike_height, spike_duration, final_loss,
    final_accuracy, smallest_margin, spike_count, steps_above_initial, last_rise; defined in
    `traindyn.dynamics.measures`. No run ends before its last step.
    """
    steps_to_accuracy = math.nan
    last_imperfect = -1
    peak_loss, peak_step = -math.inf, 0
    smallest_margin = math.inf
    least_loss = math.inf  # of the steps before
    spike_height, spike_duration = 0.0, 0.0
    start, highest_start = 0, -1  # where the current spike starts, and the highest
    loss, accuracy = 0.0, 0.0
    initial = before = math.inf  # the loss at the start, and at the step before
    spike_count = steps_above_initial = last_rise = 0
    inside = False
    for step in range(steps + 1):
        if step > 0:
            pull = learning_rate * squared_distance * frequent / (1.0 + _exp(first))
            push = learning_rate * squared_distance * rare / (1.0 + _exp(second))
            first, second = first + (pull - correlation * push), second + (push - correlation * pull)
        loss = frequent * _softplus(-first) + rare * _softplus(-second)
        accuracy = _accuracy(first > 0.0, second > 0.0, frequent, rare)
        smallest_margin = min(smallest_margin, first, second)
        if accuracy < 1.0:
            last_imperfect = step
        elif math.isnan(steps_to_accuracy):
            steps_to_accuracy = float(step)
        if loss > peak_loss:
            peak_loss, peak_step = loss, step
        if loss > least_loss * (1.0 + 1e-12):
            if not inside:
                start = step
                spike_count += 1
            inside = True
            if loss - least_loss > spike_height:
                spike_height, highest_start = loss - least_loss, start
            if start == highest_start:
                spike_duration = float(step + 1 - start)
        else:
            inside = False
        if step == 0:
            initial = loss
        if loss > initial * (1.0 + 1e-12):
            steps_above_initial += 1
        if loss > before * (1.0 + 1e-12):
            last_rise = step
        before = loss
        least_loss = min(least_loss, loss)
    steps_to_settle = math.nan if last_imperfect == steps else float(last_imperfect + 1)
    if inside and start == highest_start:
        spike_duration = math.nan
    return (
        steps_to_accuracy, steps_to_settle, peak_loss, float(peak_step), spike_height, spike_duration,
        loss, accuracy, smallest_margin, float(spike_count), float(steps_above_initial), float(last_rise),
    )  # fmt: skip


def _exp(x: float) -> float:
    """Return e^x, infinite where it is too large for a float."""
    return math.exp(x) if x < 709.0 else math.inf


def _softplus(x: float) -> float:
    """Return log(1 + e^x)."""
    return max(x, 0.0) + math.log1p(math.exp(-abs(x)))


def _accuracy(first_right: bool, second_right: bool, frequent: float, rare: float) -> float:
    """Return 1 minus the frequencies of the wrong tokens: exactly 1 if and only if none is, 0 if both are."""
    if first_right and second_right:
        return 1.0
    if not first_right and not second_right:
        return 0.0
    return min(max(1.0 - (rare if first_right else frequent), 0.0), 1.0 - 2.0**-53)
