"""What the experiment on noise answers: sentences decided by the numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..figures.finding import Finding, judged
from .intervals import Interval, bootstrap, proportion

Floats = NDArray[np.float64]
Arrays = Mapping[str, Any]

GENTLE = 1.0 / 16.0
"""Largest eta / B at which the linear theory is held to its word."""

OUTGROWN = 0.05
"""The loss has reached its constant where eta t L differs from the limit by less than this share."""


def findings(a: Arrays) -> tuple[Finding, ...]:
    """Return the sentences that the arrays of the experiment decide."""
    return (*_settling(a), *_spikes(a), *_swings(a), *_labels(a), *_flows(a), *_inputs(a), *_larger(a))


def _geometric(rows: Floats, axis: int = 0) -> Any:
    """Return, of positive rows (seeds, cells), the geometric mean over the cells of the medians over the seeds."""
    return np.exp(np.log(np.median(rows, axis=axis)).mean(axis=-1))


def _root_mean_square(rows: Floats, axis: int = 0) -> Any:
    return np.sqrt(np.mean(rows**2, axis=axis))


def _found(
    statement: str, interval: Interval, basis: str, at_least: float = -math.inf, at_most: float = math.inf
) -> Finding:
    value, low, high = interval
    return Finding(statement, value, low, high, basis, judged(low, high, at_least=at_least, at_most=at_most))


def _settling(a: Arrays) -> tuple[Finding, ...]:
    correlation, batches, seeds = float(a["correlation"][-1]), a["batch_size"], a["settled"].shape[-1]
    ratios = a["settled"] / a["full_settled"][..., None, None]
    one, many = (ratios[-1, :, place].T for place in (0, -1))
    basis = f"median settling step over that of the full batch, geometric mean of the rates, 95 % over {seeds} seeds"
    flow = a["learning_rate"][:, None] * a["settled"][-1, :, 0] / a["flow_settled"][-1]
    steady = a["learning_rate"] <= 1.0
    return (
        _found(f"At correlation {correlation:g} single samples delay settling by no more than a quarter",
               bootstrap(one, _geometric), basis, at_most=1.25),
        _found(f"Batches of {batches[-1]} change the settling step by no more than a quarter",
               bootstrap(many, _geometric), basis, 0.75, 1.25),
        _found(f"At rates up to 1 and correlation {correlation:g} single samples settle within 1.25 times the flow's "
               "time", bootstrap(flow[steady].T, _geometric),
               f"median of eta T_settle over the time of the flow, 95 % over {seeds} seeds", at_most=1.25),
    )  # fmt: skip


def _spikes(a: Arrays) -> tuple[Finding, ...]:
    alpha, (often, rarely) = float(a["correlation"][-1]), a["frequencies"]
    rates, seeds = a["learning_rate"], a["peak"].shape[-1]
    start = math.log(2.0)
    fast, single = float(rates[-1]), a["peak"][-1, :, 0]
    spike = a["full_peak"][-1, -1] - start
    calm = np.flatnonzero(a["full_peak"][-1] <= start * (1.0 + 1e-12))[-1]
    thrown = (single[-1] - often * (2.0 * alpha - 1.0) * fast)[:, None]
    over = int((single[calm] > start).sum())
    return (
        _found(f"Single samples smooth away the loss spike of rate {fast:g}", bootstrap((single[-1] - start) / spike),
               f"mean height above log 2 over that of the full batch, 95 % over {seeds} seeds", at_most=0.5),
        _found(f"They make one at rate {rates[calm]:g}, where the full batch has none, in most runs",
               proportion(over, seeds), f"share of {seeds} seeds with a loss above log 2, 95 % Clopper-Pearson",
               at_least=0.5),
        _found(f"At rate {fast:g} that spike is p_1 (2 alpha - 1) eta, the frequent token overthrown by one rare "
               "sample, within log 2", bootstrap(thrown[:, 0], np.median),
               f"median difference, 95 % over {seeds} seeds; p_2 = {rarely:g}", -start, start),
    )  # fmt: skip


def _outgrown(a: Arrays) -> NDArray[np.bool_]:
    """Return the cells (correlation, rate, batch) whose loss has reached its constant, 2/(c (1 - alpha)) with c = 2."""
    limit = 1.0 / (1.0 - a["correlation"])
    return np.asarray(np.abs(a["loss_constant"].mean(axis=-1) / limit[:, None, None] - 1.0) < OUTGROWN)


def _exponents(a: Arrays, log_axis: Floats, swing: Floats, axis: int) -> Interval:
    """Return the mean exponent of the swing (..., seed) along an axis of cells, with its interval over the seeds."""
    moved = np.moveaxis(swing, axis, 0)
    rows = np.moveaxis(moved.reshape(moved.shape[0], -1, moved.shape[-1]), -1, 0)  # (seeds, axis, cells)
    centred = log_axis - log_axis.mean()
    weights = centred / (centred @ centred)

    def mean_slope(flat: Floats, axis: int = 0) -> Any:
        squares = np.mean(flat**2, axis=axis)
        logs = 0.5 * np.log(squares.reshape(*squares.shape[:-1], *rows.shape[1:]))
        return np.einsum("...ij,i->...j", logs, weights).mean(axis=-1)

    return bootstrap(rows.reshape(len(rows), -1), mean_slope)


def _swings(a: Arrays) -> tuple[Finding, ...]:
    seeds, rates, batches = a["swing"].shape[-1], a["learning_rate"], a["batch_size"]
    used = _outgrown(a)
    late = a["swing"][-1] / a["swing_law"][-1][:, None, :, None]
    pooled = bootstrap(late[used].T, lambda rows, axis: np.exp(np.log(_root_mean_square(rows, axis)).mean(axis=-1)))
    whole = used.all(axis=(0, 2))
    basis = f"exponent of the root mean square over seeds, mean of the cells, 95 % over {seeds} seeds"
    constant = a["loss_constant"] / a["full_loss_constant"][..., None, None]
    last, steps, alpha = a["last_rise"][-1], int(a["steps"]), float(a["correlation"][-1])
    still = [int((last[:, place] > 0.5 * steps).sum()) for place in (0, -1)]
    calm = int((last[:, -1] < 0.1 * steps).sum())
    count = int(last[:, 0].size)
    windows = slice(-5, None)
    return (
        _found("Without noise in the labels the swing of gamma_1 is a / (2 sqrt(p_1 p_2 B (2a-1) t)), "
               "a = (1+alpha)/(1-alpha), within 5 %", pooled,
               f"measured over law in the last window, geometric mean of {int(used.sum())} cells that have outgrown "
               f"their first steps, 95 % over {seeds} seeds", 0.95, 1.05),
        _found("That swing grows like the square root of the learning rate",
               _exponents(a, np.log(rates[whole]), a["swing"][-1][:, whole], 1), basis, 0.4, 0.6),
        _found("It falls like one over the square root of the batch size",
               _exponents(a, np.log(batches), a["swing"][-1][:, whole], 2), basis, -0.6, -0.4),
        _found("It falls like one over t, as without noise",
               _exponents(a, np.log(a["window"][windows]), a["swing"][windows][:, :, whole], 0), basis, -1.1, -0.9),
        _found("Minibatches leave the constant eta t L of the loss as it is, within 2 %",
               bootstrap(constant[used].T, lambda rows, axis: rows.mean(axis=axis).mean(axis=-1)),
               f"over that of the full batch at t = {steps}, mean of the same cells, 95 % over {seeds} seeds",
               0.98, 1.02),
        _found(f"At correlation {alpha:g} the loss of single samples still rises now and then in the second half of "
               "the run", proportion(still[0], count),
               f"share of {count} runs to t = {steps}, 95 % Clopper-Pearson", at_least=0.5),
        _found(f"With batches of {batches[-1]} the last rise lies in the first tenth of the run",
               proportion(calm, count), f"share of {count} runs to t = {steps}, 95 % Clopper-Pearson", at_least=0.5),
    )  # fmt: skip


def _labels(a: Arrays) -> tuple[Finding, ...]:
    seeds = a["mean_margin"].shape[-1]
    ratio = a["rest_rates"][:, None] / a["batch_size"]
    rested = 8.0 * a["relaxation"] < 0.5 * a["rest_steps"]
    gentle = rested & (ratio <= GENTLE)
    shift = a["mean_margin"] - a["rest_margin"][:, None, None, None]
    relative = 1.0 + shift / a["rest_margin"][:, None, None, None]
    rising = rested & (ratio <= 0.25)
    law = a["lift_law"][rising]
    certain = a["mean_probability"] / (1.0 - a["label_noise"][:, None, None, None])
    amplitude = a["tilt_deviation"] / a["deviation_law"][..., None]
    # gamma_1 is the fast mode: it has no memory of the start
    quiet = np.broadcast_to(ratio <= GENTLE, a["deviation_law"].shape)
    excess = (a["late_loss"] - a["rest_loss"][:, None, None, None]) / a["excess_law"][..., None]
    alpha, scaled = a["correlation"][:, None, None, None, None], a["tilt_deviation"]
    logs = np.log(np.broadcast_to(ratio, a["deviation_law"].shape)[quiet])
    centred = (logs - logs.mean()) / ((logs - logs.mean()) @ (logs - logs.mean()))
    unit = np.log(scaled / np.sqrt(1.0 + alpha))[quiet]
    over = f"95 % over {seeds} seeds"
    loud = a["wrong_share"][-1, -1, -1, 0]

    def mean(rows: Floats, axis: int) -> Any:
        return rows.mean(axis=axis).mean(axis=-1)

    return (
        _found("Noise in the labels stops the margins at log((1-rho)/rho), within 2 %",
               bootstrap(relative[gentle].T, mean),
               f"mean margin at rest over it, {int(gentle.sum())} cells with eta/B <= 1/16, {over}", 0.98, 1.02),
        _found("However wide the swings, the mean probability of the true label stays 1 - rho, within 1 %",
               bootstrap(certain[rested].T, mean),
               f"measured over 1 - rho, {int(rested.sum())} cells with eta/B up to {ratio.max():g}, {over}",
               0.99, 1.01),
        _found("The swings lift the margins above that of the minimum by (1/2 - rho) Var(m), within 20 %",
               bootstrap(shift[rising].T, lambda rows, axis: rows.mean(axis=axis) @ law / (law @ law)),
               f"slope of measured on predicted lift, {int(rising.sum())} cells with eta/B <= 1/4, {over}", 0.8, 1.2),
        _found("The swing of gamma_1 is that of the linear theory, (eta/B) (2 - eta H)^-1, within 5 %",
               bootstrap(amplitude[quiet].T, mean),
               f"measured over theory, mean of {int(quiet.sum())} cells with eta/B <= 1/16, {over}", 0.95, 1.05),
        _found("It scales like the square root of eta/B", bootstrap(unit.T, lambda rows, axis: rows.mean(axis=axis)
               @ centred), f"exponent, all correlations and noises, cells with eta/B <= 1/16, {over}", 0.45, 0.55),
        _found("The loss at rest is above its minimum by half the trace of H times the covariance, within 10 %",
               bootstrap(excess[gentle].T, mean), f"measured over theory, same cells, {over}", 0.9, 1.1),
        _found(f"With rho = {a['label_noise'][-1]:g}, eta = {a['rest_rates'][-1]:g}, B = {a['batch_size'][0]} a token "
               "is wrong at more than a tenth of the steps, for ever", bootstrap(loud),
               f"share of the steps of the second half, {over}", at_least=0.1),
    )  # fmt: skip


def _ratio_of_medians(rows: Floats, axis: int = 0) -> Any:
    """Return, of rows (seeds, 2 x cells), the geometric mean over the cells of the ratios of their medians."""
    upper, lower = np.split(np.median(rows, axis=axis), 2, axis=-1)
    return np.exp((np.log(upper) - np.log(lower)).mean(axis=-1))


def _flows(a: Arrays) -> tuple[Finding, ...]:
    seeds, rates = a["matched_settled"].shape[-1], a["flow_rates"]
    slow = rates <= 0.3

    def compared(name: str, rows: Any, batches: Any = slice(None)) -> Interval:
        cells = [a[f"{kind}_settled"][rows][:, batches].reshape(-1, seeds) for kind in (name, "imitated")]
        return bootstrap(np.concatenate(cells).T, _ratio_of_medians)

    basis = f"ratio of the median settling times, geometric mean of the cells, 95 % over {seeds} seeds"
    return (
        _found("A stochastic flow with the covariance of the batches settles as they do, within 10 %, at rates up to "
               "0.3", compared("matched", slow), basis, 0.9, 1.1),
        _found(f"It does so at rate {rates[-1]:g} too", compared("matched", slice(-1, None)), basis, 0.9, 1.1),
        _found("Noise that keeps its first size, equal in all directions, settles as single samples do, within 10 %, "
               "at rates up to 0.3", compared("constant", slow, slice(0, 1)),
               f"{basis}; a run that does not settle counts with its length", 0.9, 1.1),
    )  # fmt: skip


def _inputs(a: Arrays) -> tuple[Finding, ...]:
    seeds = a["input_margins"].shape[-1]
    gap = np.abs(a["input_margins"].mean(axis=-1) - a["input_margins_law"])
    spread = a["input_margins"].std(axis=-1, ddof=1) / math.sqrt(seeds)
    size = np.abs(a["input_margins_law"]).max(axis=0)
    worst = np.unravel_index(int(np.argmax(gap / size)), gap.shape)
    error, slack = float((gap / size)[worst]), float(2.0 * (spread / size)[worst])
    rare = a["input_margins"][1].mean(axis=-1)
    held, lost = a["input_noise"][rare > 0.0].max(), a["input_noise"][rare <= 0.0].min()
    exact, guess = float(a["giving_up"]), float(a["giving_up_guess"])
    return (
        _found("With noisy inputs the margins rest where the noisy loss is least, within 5 %",
               (error, max(0.0, error - slack), error + slack),
               f"largest difference over the larger margin, two standard errors over {seeds} seeds", at_most=0.05),
        Finding("The rare token is given up where the minimum gives it up", exact, min(exact, held), max(exact, lost),
                "computed noise s; largest simulated s that keeps it, smallest that does not",
                "supported" if held < exact <= lost else "refuted"),
        _found("That is at s = sqrt((1 - alpha)/log(p_1/p_2)), within 5 %", (exact / guess,) * 3,
               "computed minimum over the formula", 0.95, 1.05),
    )  # fmt: skip


def _larger(a: Arrays) -> tuple[Finding, ...]:
    seeds, count = a["larger_margin"].shape[-1], a["larger_margin"].shape[1]
    relative = a["larger_margin"][:, -1] / a["larger_margin_law"][:, None]
    excess = (a["larger_loss"] - a["larger_loss_law"][:, None, None]) / a["larger_excess_law"]
    means = excess[:, count // 2 :].reshape(-1, seeds)
    return (
        _found("Ten random tokens and classes: the margins stop at log((1-rho)(M-1)/rho), within 2 %",
               bootstrap(relative.T, lambda rows, axis: rows.mean(axis=axis).mean(axis=-1)),
               f"mean class margin at rest over it, B = {a['larger_batches'][-1]}, 95 % over {seeds} memories",
               0.98, 1.02),
        _found("and the loss rests above its minimum as the linear theory says, within 10 %",
               bootstrap(means.T, lambda rows, axis: rows.mean(axis=axis).mean(axis=-1)),
               f"measured over theory, B >= {a['larger_batches'][count // 2]}, 95 % over {seeds} memories", 0.9, 1.1),
    )  # fmt: skip
