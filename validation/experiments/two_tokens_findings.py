"""What the experiment on two correlated tokens says: each sentence with its numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from ..figures.finding import Finding
from .spike_map_findings import bounded, counted, most_of

ROUNDING = 1e-12
SEPARATED = (-1.0 / 3.0, 0.2)  # between, the two rates of the tilt are too close to be told apart in any run
MODERATE = 10.0  # the largest rate of which a run of 1e6 steps shows the limit


def findings(a: Mapping[str, Any]) -> tuple[Finding, ...]:
    """Return the sentences that the arrays of the experiment decide."""
    return (*_of_spikes(a), *_of_the_first_step(a), *_of_the_threshold(a), *_of_the_flow(a), *_of_descent(a),
            *_of_rates(a))  # fmt: skip


def _of_spikes(a: Mapping[str, Any]) -> tuple[Finding, ...]:
    spikes, settled = a["grid_spike_count"] > 0, np.isfinite(a["grid_steps_to_settle"])
    without = a["grid_correlation"] <= 0.0
    at_once = (a["grid_steps_to_accuracy"] == 1) & (a["grid_steps_to_settle"] == 1) & ~spikes
    return (
        counted("Every run whose loss spikes is perfect again, for good, within 10^4 steps", (spikes & settled).sum(),
                spikes.sum(), "runs that spike"),
        counted("Without correlation, or with a negative one, one step is enough and the loss never rises",
                at_once[without].sum(), at_once[without].size, "runs with alpha <= 0"),
    )  # fmt: skip


def _of_the_first_step(a: Mapping[str, Any]) -> tuple[Finding, ...]:
    loss, law, printed = a["first_loss"], a["first_law"], a["first_printed"]
    room = ROUNDING * (1.0 + law)
    enclosed = (loss >= law - room) & (loss <= law + math.log(2.0) + room)
    holds = loss >= printed * (1.0 - ROUNDING)
    wide = a["first_distance"] >= 2.0
    return (
        counted("After one step 0 < L - K (alpha p_1 - p_2) p_2 <= log 2, K = eta c/2", enclosed.sum(), loss.size,
                "random settings"),
        counted("Proposition 5 as printed, L >= eta (alpha p_1 - p_2) p_2, holds for c >= 2", holds[wide].sum(),
                wide.sum(), "random settings"),
        counted("Proposition 5 as printed holds for c < 2", holds[~wide].sum(), (~wide).sum(), "random settings"),
    )  # fmt: skip


def _of_the_threshold(a: Mapping[str, Any]) -> tuple[Finding, ...]:
    below = a["threshold_ratio"] <= 1.0
    rises, zigzags = a["threshold_spike_count"] > 0, a["threshold_turns"] >= 2
    certificate, onset = float(a["shown_certificate"]), float(a["shown_onset"])
    return (
        counted("At rates up to 2/lambda_max(0) the loss never rises", (~rises[..., below]).sum(),
                rises[..., below].size, "runs"),
        counted("At rates above 2/lambda_max(0) the loss rises at some step", rises[..., ~below].sum(),
                rises[..., ~below].size, "runs"),
        bounded(f"For alpha = 0.95, p_1 = 0.75 spikes begin at 2/lambda_max(0) = {certificate:.3f}, to 1 %", onset,
                "least of 2001 rates from 2 to 20 that spikes", at_least=0.99 * certificate,
                at_most=1.01 * certificate),
        counted("At rates up to 2/lambda_max(0) the tilt turns at most once", (~zigzags[..., below]).sum(),
                zigzags[..., below].size, "runs"),
        counted("At rates above 2/lambda_max(0) the tilt zigzags", zigzags[..., ~below].sum(),
                zigzags[..., ~below].size, "runs"),
    )  # fmt: skip


def _of_the_flow(a: Mapping[str, Any]) -> tuple[Finding, ...]:
    correlation = np.broadcast_to(a["flow_correlation"][:, None], a["flow_exponent"].shape)
    cells = f"of {correlation.size} flows"
    apart = (correlation <= SEPARATED[0]) | (correlation >= SEPARATED[1])
    exponent = np.minimum(1.0, (1.0 + correlation) / (1.0 - correlation))
    negative = correlation <= SEPARATED[0]
    positive = correlation >= SEPARATED[1]
    late = correlation >= -0.5
    later = f"of {int(late.sum())} flows"
    return (
        bounded("Flow: p_2 <= c_t/c_0 at every time", float(a["flow_least_growth"].min()),
                f"least c_t/(c_0 p_2) {cells}", at_least=1.0 - 1e-6),
        bounded("Flow: c_t/c_0 <= 1/2 at every time", float(a["flow_largest_growth"].max()),
                f"largest 2 c_t/c_0 {cells}", at_most=1.0 + 1e-6),
        counted("Flow: the printed 2 p_2 <= c_t/c_0 holds at every time", (a["flow_least_growth"] >= 2.0).sum(),
                correlation.size, "flows"),
        bounded("Flow: c_t/c_0 is sqrt(p_1 p_2) to 10^-4 at t = 10^10, for alpha >= -1/2",
                float(np.abs(a["flow_final_growth"] - 1.0)[late].max()), f"largest relative gap {later}", at_most=1e-4),
        bounded("Flow: t L is 1/(1 - alpha) to 10^-4 at t = 10^10, for alpha >= -1/2",
                float(np.abs(a["flow_final_constant"] - 1.0)[late].max()), f"largest relative gap {later}",
                at_most=1e-4),
        bounded("Flow: the tilt approaches its limit with the exponent min(1, (1 + alpha)/(1 - alpha)), to 0.02",
                float(np.abs(a["flow_exponent"] + exponent)[apart].max()),
                f"largest gap of {int(apart.sum())} flows with alpha <= -1/3 or >= 0.2", at_most=0.02),
        bounded("Flow: for alpha <= -1/3 the tilt approaches its limit as fast as 1/t, as Theorem 4 says, to 0.02",
                float(-a["flow_exponent"][negative].max()), f"least exponent of {int(negative.sum())} flows",
                at_least=0.98),
        bounded("Flow: for alpha >= 0.2 the constant of 1/t is the predicted one, to 1 %",
                float(np.abs(a["flow_offset_constant"] - 1.0)[positive].max()),
                f"largest relative gap of {int(positive.sum())} flows", at_most=0.01),
    )  # fmt: skip


def _of_descent(a: Mapping[str, Any]) -> tuple[Finding, ...]:
    slow = np.broadcast_to(a["rate"] <= MODERATE, a["descent_final_growth"].shape)
    late = slow & (a["descent_correlation"] > 0.0)[:, None, None]
    growth, tilt = np.abs(a["descent_final_growth"] - 1.0), a["descent_final_offset"]
    fast = ~slow
    return (
        bounded("Descent: tilt and mean margin stay within the proved bounds at every rate",
                float(a["descent_bound_slack"].min()), f"least slack of {tilt.size} runs", at_least=-1e-9),
        counted("Descent: the printed |gamma_1 - limit| <= eta (1 - alpha) p_1 + p_1/(2 p_2) holds",
                (a["descent_printed_tilt_slack"] >= -1e-9).sum(), tilt.size, "runs"),
        bounded("Descent at rates up to 10, alpha > 0: the last c_t/c_0 is sqrt(p_1 p_2) to 5 %",
                float(growth[late].max()), f"largest relative gap of {int(late.sum())} runs", at_most=0.05),
        bounded("Descent at rates up to 10, alpha > 0: the last tilt is its limit to 0.05",
                float(tilt[late].max()), f"largest distance of {int(late.sum())} runs", at_most=0.05),
        bounded("Descent at rate 100: the last c_t/c_0 is sqrt(p_1 p_2) to a factor of 2",
                float(a["descent_final_growth"][fast].max()), f"largest ratio of {int(fast.sum())} runs", at_most=2.0),
        bounded("Descent at rate 100: the last tilt is its limit to 0.05", float(tilt[fast].max()),
                f"largest distance of {int(fast.sum())} runs", at_most=0.05),
    )  # fmt: skip


def _of_rates(a: Mapping[str, Any]) -> tuple[Finding, ...]:
    rate, rise, loss = a["grid_learning_rate"], a["grid_last_rise"], a["grid_final_loss"]
    spikes = a["grid_spike_count"] > 0
    both = spikes[..., 1:] & spikes[..., :-1]
    positive = np.broadcast_to((a["grid_correlation"] > 0.0)[:, None, None], both.shape)
    settle = a["grid_steps_to_settle"]
    seen = np.isfinite(settle[..., 1:]) & np.isfinite(settle[..., :-1]) & positive & (settle[..., :-1] > 1)
    constant = a["grid_steps"] * rate * (1.0 - a["grid_correlation"][:, None, None]) * loss
    times = rate * rise
    alike = int((rise[..., 1:] == rise[..., :-1])[both].sum())
    spiking, attracted = "pairs of neighbouring rates that both spike", "pairs of neighbouring rates with alpha > 0"
    return (
        most_of("Mostly, a larger rate oscillates for more steps", rise[..., 1:] > rise[..., :-1], both,
                f"{spiking} (for as many in {alike})"),
        most_of("Mostly, a larger rate oscillates for more time eta t", times[..., 1:] > times[..., :-1], both,
                spiking),
        most_of("Mostly, a larger rate settles in no more steps", settle[..., 1:] <= settle[..., :-1], seen, attracted),
        most_of("Mostly, a larger rate ends with a lower loss", loss[..., 1:] < loss[..., :-1], positive, attracted),
        most_of("Mostly, eta t L of a run that spiked is within 10 % of 1/(1 - alpha) after 10^4 steps",
                np.abs(constant - 1.0) <= 0.1, spikes, "runs that spike"),
    )  # fmt: skip
