"""What the numbers of the experiment on normalisation say."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..figures import Finding, judged
from .intervals import bootstrap, share_by_seed

Arrays = dict[str, Any]
Floats = NDArray[np.float64]

SPIKE = 0.01
"""Height from which on a rise of the loss counts as a spike."""


def findings(a: Arrays) -> tuple[Finding, ...]:
    """Return the sentences that the numbers decide, from the measures of all cells (`normalisation`)."""
    return (*_spikes(a), *_rates(a), *_floors(a), *_growth(a), *_gains(a))


def _exact(statement: str, value: Any, basis: str, at_least: float = -math.inf, at_most: float = math.inf) -> Finding:
    number = float(value)
    return Finding(statement, number, number, number, basis, judged(number, number, at_least=at_least, at_most=at_most))


def _estimated(
    statement: str, interval: tuple[float, float, float], basis: str, at_least: float = -math.inf,
    at_most: float = math.inf,
) -> Finding:  # fmt: skip
    value, low, high = interval
    return Finding(statement, value, low, high, basis, judged(low, high, at_least=at_least, at_most=at_most))


def strong(a: Arrays, name: str) -> Floats:
    """Return a measure of the pairs of correlation 0.95 and frequencies 3/4, 1/4: (normalisation, gain, rate, seed)."""
    share = int(np.argmin(np.abs(a["pair.axis.first_frequency"] - 0.75)))
    return np.asarray(a[f"pair.{name}"][:, :, -1, share])


def slopes(rates: Floats, values: Floats) -> Floats:
    """Return the least-squares exponent in the rate of each row of values (rows, rates), over its positive entries."""
    found = []
    for row in values:
        kept = np.isfinite(row) & (row > 0.0)
        if kept.sum() >= 2:
            found.append(np.polyfit(np.log(rates[kept]), np.log(row[kept]), 1)[0])
    return np.array(found)


def _by_seed(rates: Floats, values: Floats) -> Floats:
    """Return the mean exponent of each seed, of values (..., rates, seeds)."""
    per_seed = [slopes(rates, values[..., seed].reshape(-1, rates.size)) for seed in range(values.shape[-1])]
    return np.array([each.mean() for each in per_seed if each.size])


def _spikes(a: Arrays) -> tuple[Finding, ...]:
    rates, height = a["pair.axis.learning_rate"], strong(a, "spike_height")
    large, seeds = rates >= 9.99, height.shape[-1]
    where = "pairs of correlation 0.95 and p = (3/4, 1/4)"
    spiking = height[1:] > SPIKE
    resting = height[0] <= SPIKE
    tens, last = int(np.argmin(np.abs(rates - 10.0))), rates.size - 1
    pairs = height[1:, 1:][..., [tens, last], :].mean(axis=(0, 1)).T

    def ratio(rows: Floats, axis: int) -> Any:
        means = np.mean(rows, axis=axis)
        return means[..., 1] / means[..., 0]

    return (
        _estimated("Normalisation prevents loss spikes (in more than 95 % of the runs)",
                   share_by_seed(~spiking),
                   f"share without a spike, unit and layer, all gains and rates, {where}; 95 % over {seeds} seeds",
                   at_least=0.95),
        _estimated("Where W alone does not spike, neither does the unit normalisation (in more than 95 % of the runs)",
                   share_by_seed(~spiking[0], resting) if resting.any() else (0, 0, 1),
                   f"share without a spike of the {int(resting.sum())} runs, {where}; 95 % over {seeds} "
                   "seeds",
                   at_least=0.95),
        _estimated("Before such a spike a hidden vector has shrunk to less than half of its length",
                   bootstrap(a["shrunk"], np.median), "median over 20 seeds, 95 % bootstrap", at_most=0.5),
        _estimated("Without normalisation the height grows in proportion to the rate (exponent 0.9 to 1.1 from 10 on)",
                   bootstrap(_by_seed(rates[large], height[0, 1:][:, large])),
                   f"exponent, gains 3 and up, 95 % bootstrap over {seeds} seeds", at_least=0.9, at_most=1.1),
        _estimated("With it the height stops growing: at the largest rate it is within 10 % of that at 10",
                   bootstrap(pairs, ratio), f"ratio of mean heights, gains 3 and up, 95 % bootstrap over {seeds} seeds",
                   at_least=0.9, at_most=1.1),
        _exact("No loss exceeds log(1 + (M - 1) exp(g max |u_i - u_j|))", a["pair.peak_share"].max(),
               f"largest share of it in {a['pair.peak_share'][1:].size} runs", at_most=1.0),
    )  # fmt: skip


def _rates(a: Arrays) -> tuple[Finding, ...]:
    rates = a["pair.axis.learning_rate"]
    large, very = rates >= 9.99, rates >= 99.9
    gains = int((a["pair.axis.gain"] <= 3.0).sum())
    norm, arrival = strong(a, "last_norm")[1:], strong(a, "arrival")[1:, :gains]
    reached = strong(a, "margin_share")[1:, :gains, :][:, :, (rates >= 0.99) & (rates < 30.0)]
    basis = f"exponent, 95 % bootstrap over {norm.shape[-1]} seeds"
    return (
        _estimated("From rate 100 on the final |W| grows in proportion to the rate (exponent 0.9 to 1.1)",
                   bootstrap(_by_seed(rates[very], norm[:, :, very])), basis, at_least=0.9, at_most=1.1),
        _estimated("So large rates are slow: from 10 on the steps to come within 1 % of the floor grow with the rate "
                   "(exponent 0.8 to 1.2)",
                   bootstrap(_by_seed(rates[large], arrival[:, :, large])), f"{basis}, gains 1 and 3, runs that arrive",
                   at_least=0.8, at_most=1.2),
        _exact("At gains 1 and 3 and rates 1 to 30 final margins come within 1 % of their bound g |u_1 - u_2|",
               reached.min(), f"smallest share of the bound in {reached.size} runs", at_least=0.99),
    )  # fmt: skip


def _floors(a: Arrays) -> tuple[Finding, ...]:
    gains, dims = a["crowd.axis.gain"], a["crowd.axis.dim"]
    excess = a["crowd.floor_excess"][1:3, gains <= 3.0]
    free, tight = excess[:, :, dims > 5], excess[:, :, dims < 5]
    slope = a["crowd.late_slope"][:, gains <= 3.0][:, :, dims > 5][:, :, :, a["crowd.axis.learning_rate"] <= 10.0]
    runs = f"unit and layer, gains 1 and 3; 95 % over {excess.shape[-1]} seeds"
    plain = np.mean(slope[0], axis=(0, 1, 2))
    return (
        _estimated("With more dimensions than tokens descent reaches the floor of the loss (to 0.1 %, in 95 % of runs)",
                   share_by_seed(free <= 1e-3), f"share of {free.size} runs, d = 10, {runs}",
                   at_least=0.95),
        _estimated("With fewer dimensions than tokens it stays more than 1 % above that floor (in 95 % of runs)",
                   share_by_seed(tight > 0.01), f"share of {tight.size} runs, d = 3, {runs}",
                   at_least=0.95),
        _exact("Log growth stops: at d = 10 margins grow by less than 0.01 per unit of log t over the last decade",
               np.abs(slope[1:3]).max(),
               f"largest slope in {slope[1:3].size} runs, unit and layer, gains 1 and 3, rates to 10", at_most=0.01),
        _estimated("Without normalisation margins go on as log t (slope 0.9 to 1.1)", bootstrap(plain),
                   f"mean slope, gains 1 and 3, rates to 10, 95 % bootstrap over {plain.size} seeds",
                   at_least=0.9, at_most=1.1),
        _estimated("Batch normalisation of two tokens leaves nothing to learn: its gradient vanishes with epsilon",
                   bootstrap(a["pair_batch_slope"], np.median),
                   "gradient at the start over that of unit, epsilon = 1e-12, median over "
                   f"{a['pair_batch_slope'].size} seeds, 95 % bootstrap", at_most=1e-3),
    )  # fmt: skip


def _growth(a: Arrays) -> tuple[Finding, ...]:
    exponent = a["growth.norm_exponent"]
    settings = a["growth.axis.setting"].tolist()
    gains, dims = a["crowd.axis.gain"], a["crowd.axis.dim"]
    crowded = a["crowd.norm_exponent"][1, gains <= 3.0][:, dims < 5].mean(axis=(0, 1, 2))
    rises = a["crowd.late_rises"][1, gains <= 3.0][:, dims < 5]
    quarter = {"at_least": 0.23, "at_most": 0.27}
    still = np.concatenate([exponent[settings.index(name)].ravel() for name in ("GD 5, 10", "SGD 5, 10")])
    noisy = exponent[settings.index("SGD 20, 5")].mean(axis=0)
    basis = f"mean exponent, 95 % bootstrap over {noisy.size} seeds"
    return (
        _exact("|W|^2 grows at each step by the square of that step, and never falls", a["growth_identity"].max(),
               "largest relative deviation in 300 steps of unit, layer and batch", at_most=1e-5),
        _exact("With more dimensions than tokens |W| comes to rest, also under single-token noise", still.max(),
               f"largest exponent of |W| over the last decade in {still.size} runs", at_most=0.02),
        _estimated("With 5 tokens in 3 dimensions |W| of descent grows as t to the power 1/4 (0.23 to 0.27)",
                   bootstrap(crowded), f"mean exponent, gains 1 and 3, 95 % bootstrap over {crowded.size} seeds",
                   **quarter),
        _estimated("With 20 tokens in 5 dimensions and batches of one |W| grows as t to the power 1/4 (0.23 to 0.27)",
                   bootstrap(noisy), basis, **quarter),
        _estimated("With 5 tokens in 3 dimensions descent comes to rest (in 95 % of runs the loss no longer rises)",
                   share_by_seed(rises == 0.0),
                   f"share of runs without a rise in the last tenth, gains 1 and 3; 95 % over "
                   f"{rises.shape[-1]} seeds",
                   at_least=0.95),
    )  # fmt: skip


def _gains(a: Arrays) -> tuple[Finding, ...]:
    share, slope = a["gain.loss_constant"][0], a["gain.late_slope"][0].mean(axis=(0, 1))
    speed = a["gain.loss_per_time"][1] / a["gain.loss_per_time"][0]
    faster = speed.mean(axis=1)
    return (
        _estimated("A trained gain brings log growth back (slope of the margins 0.9 to 1.1)", bootstrap(slope),
                   f"mean slope, 95 % bootstrap over {slope.size} seeds", at_least=0.9, at_most=1.1),
        _estimated("Its loss follows eta t L -> 1 - 1/M, whatever the inputs and frequencies (to 2 %)",
                   bootstrap(share.mean(axis=(0, 1))), f"eta t L (1 - 1/M)^-1, 95 % bootstrap over {slope.size} seeds",
                   at_least=0.98, at_most=1.02),
        _estimated("With as many classes as tokens it is at least N times as fast as W without normalisation",
                   bootstrap(np.log(faster[-1] / a["gain.axis.n_tokens"][-1])),
                   f"log of (ratio of losses / N), N = {a['gain.axis.n_tokens'][-1]}, 95 % bootstrap", at_least=0.0),
    )  # fmt: skip
