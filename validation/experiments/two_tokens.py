"""Experiment: two correlated tokens, from the spike of the first steps to the logarithmic growth of the last."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..figures.definition import Definition, Numbers
from ..figures.request import Request
from .spike_map_laws import pairs, recipe, thresholds
from .two_tokens_drawing import draw
from .two_tokens_findings import findings
from .two_tokens_runs import DESCENT, FLOW, descent, first_step, flow, growth, offset, threshold, turns

MEASURES = ("spike_count", "steps_to_accuracy", "steps_to_settle", "last_rise", "peak_loss", "final_loss")
STEPS = 10_000
LONG_STEPS = 10**6
LONG_TIME = 1e10
FREQUENT = (0.55, 0.75, 0.9, 0.99)
RATES = (0.1, 1.0, 10.0, 100.0)
SHOWN = (0.95, 0.75)  # (correlation, p_1) of the trajectories that are drawn
SHOWN_RATES = (1.0, 10.0, 100.0)
SHOWN_FLOWS = (-0.8, -0.5, 0.2, 0.95)
POINTS = 300  # saved of a long run, log-spaced


def two_tokens(request: Request = Request()) -> Numbers:  # noqa: B008  (frozen)
    """Run two correlated tokens under flow and descent, and compare them with Proposition 5 and Theorem 4.

    Parameters
    ----------
    request : size (`quick`), stores, executor and seed

    Returns
    -------
    Numbers
        Arrays by prefix: ``grid_*`` named measures of descent by (correlation, p_1, rate); ``first_*`` the loss after
        one step in random settings, with |u_1 - u_2|^2 from 0.01 to 100; ``flow_*`` and ``descent_*`` what Theorem 4
        says, to time 1e10 and step 1e6; ``threshold_*`` whether the loss rises and how often the tilt turns, by the
        rate over 2 / lambda_max(0); ``trace_*`` and ``long_*`` the trajectories that are drawn.

    Raises
    ------
    FileError : a store of another experiment. KeyboardInterrupt : interrupted; what is done is kept in the stores.

    Cost: 23,000 runs of 1e4 steps, 60 flows, 112 runs of 1e6 steps, 4,000 of 500: 12 s of CPU time; 3 s when quick.

    Source: review of Cabannes, Simsek, Bietti 2024, first experiment E2; Proposition 5, Theorem 4 and their errata.

    >>> numbers = two_tokens(Request(quick=True))
    >>> print(numbers.findings[0].outcome, numbers.findings[0].number)
    supported 1
    """
    quick = request.quick
    arrays: dict[str, Any] = {}
    arrays |= _grid(request, *((16, 5, 17) if quick else (43, 13, 41)))
    arrays |= _first(request, 300 if quick else 4000)
    arrays |= _theorem(request, quick)
    arrays |= _threshold(request, *((8, 4, 13) if quick else (20, 8, 25)))
    arrays |= _trajectories()
    parameters = {
        "steps": STEPS, "long_steps": LONG_STEPS, "long_time": LONG_TIME, "rates": list(RATES),
        "shown": list(SHOWN), "shown_rates": list(SHOWN_RATES), "seed": request.rng,
    }  # fmt: skip
    return Numbers(arrays, parameters, {}, findings(arrays))


def _grid(request: Request, n_correlations: int, n_frequencies: int, n_rates: int) -> dict[str, Any]:
    """Return named measures on a grid of correlations, frequencies and rates."""
    correlation = np.linspace(-0.9, 0.99, n_correlations)
    frequent = np.linspace(0.5, 0.98, n_frequencies)
    rate = np.logspace(-1, 3, n_rates)
    axes = {"correlation": correlation.tolist(), "frequencies": pairs(frequent), "learning_rate": rate.tolist()}
    cube = request.sweep("grid", recipe(), grid=axes, measure=MEASURES, steps=STEPS)
    fixed = recipe(correlation=SHOWN[0], frequencies=(SHOWN[1], 1.0 - SHOWN[1]))
    fine = np.logspace(-1, 3, 161)
    slice_ = request.sweep("slice", fixed, grid={"learning_rate": fine.tolist()}, measure=MEASURES, steps=STEPS)
    dense = np.geomspace(2.0, 20.0, 2001)
    spikes = request.sweep("shown", fixed, grid={"learning_rate": dense.tolist()}, measure="spike_count", steps=STEPS)
    certificate, _ = thresholds(*SHOWN)
    return {
        "grid_steps": np.array(STEPS), "shown_certificate": certificate,
        "shown_onset": dense[spikes.values > 0][0],
        "grid_correlation": correlation, "grid_frequent": frequent, "grid_learning_rate": rate,
        **{f"grid_{name}": cube[name] for name in MEASURES},
        "slice_learning_rate": fine, **{f"slice_{name}": slice_[name] for name in MEASURES},
    }  # fmt: skip


def _first(request: Request, count: int) -> dict[str, Any]:
    """Return the loss after one step in random settings with alpha p_1 > p_2."""
    generator = np.random.default_rng([request.rng, 2])
    rare = 10.0 ** generator.uniform(-2.0, math.log10(0.49), count)
    least = rare / (1.0 - rare)
    correlation = least + (1.0 - least) * generator.uniform(0.01, 0.99, count)
    rate, distance = 10.0 ** generator.uniform(-1.0, 3.0, count), 10.0 ** generator.uniform(-2.0, 2.0, count)
    settings = list(zip(*(x.tolist() for x in (correlation, 1.0 - rare, rate, distance)), strict=True))
    cube = request.sweep("first", first_step, grid={"setting": settings}, measure="final_loss", steps=1)
    pull = (correlation * (1.0 - rare) - rare) * rare
    return {
        "first_loss": cube.values, "first_law": 0.5 * rate * distance * pull, "first_printed": rate * pull,
        "first_distance": distance,
    }  # fmt: skip


def _theorem(request: Request, quick: bool) -> dict[str, Any]:
    """Return what Theorem 4 speaks of, for flows and for long descents."""
    from ...dynamics import logarithmic

    every = (-0.8, -0.65, -0.5, -0.4, -0.3, -0.2, -0.1, 0.0, 0.1, 0.2, 0.35, 0.5, 0.65, 0.8, 0.95)
    some = (-0.5, -0.2, 0.0, 0.2, 0.5, 0.8, 0.95)
    correlation = every[::2] if quick else every
    descended = some[::3] if quick else some
    flows = request.sweep(
        "flow", flow, grid={"correlation": correlation, "frequent": FREQUENT}, measure=FLOW, time=LONG_TIME
    )
    runs = request.sweep(
        "descent", descent, grid={"correlation": descended, "frequent": FREQUENT, "learning_rate": RATES},
        measure=DESCENT, steps=LONG_STEPS, save=logarithmic(POINTS),
    )  # fmt: skip
    return {
        "flow_correlation": np.array(correlation), "frequent": np.array(FREQUENT), "rate": np.array(RATES),
        "descent_correlation": np.array(descended),
        **{f"flow_{measure.__name__}": flows[measure.__name__] for measure in FLOW},
        **{f"descent_{measure.__name__}": runs[measure.__name__] for measure in DESCENT},
    }  # fmt: skip


def _threshold(request: Request, n_correlations: int, n_frequencies: int, n_ratios: int) -> dict[str, Any]:
    """Return whether the loss rises, and how often the tilt turns, at multiples of 2 / lambda_max(0)."""
    ratio = np.geomspace(0.5, 50.0, n_ratios)
    axes = {
        "correlation": np.linspace(0.05, 0.99, n_correlations).tolist(),
        "frequent": np.linspace(0.5, 0.98, n_frequencies).tolist(), "ratio": ratio.tolist(),
    }  # fmt: skip
    cube = request.sweep("threshold", threshold, grid=axes, measure=("spike_count", turns), steps=500)
    return {
        "threshold_ratio": ratio, "threshold_spike_count": cube["spike_count"], "threshold_turns": cube["turns"],
    }  # fmt: skip


def _trajectories() -> dict[str, Any]:
    """Return the losses of a few descents, and the growth and the tilt of a few flows."""
    from ...dynamics import logarithmic, simulate

    runs = [simulate(*descent(*SHOWN, rate), steps=STEPS, save=logarithmic(600)) for rate in SHOWN_RATES]
    flows = [simulate(*flow(correlation, 0.9), time=LONG_TIME) for correlation in SHOWN_FLOWS]
    return {
        "trace_step": runs[0].step, "trace_loss": np.stack([run["loss"] for run in runs]),
        "long_time": flows[0].time[1:], "long_growth": np.stack([growth(run) for run in flows]),
        "long_offset": np.stack([np.abs(offset(run)[1:]) for run in flows]),
        "long_correlation": np.array(SHOWN_FLOWS), "shown_rates": np.array(SHOWN_RATES),
    }  # fmt: skip


FIGURES = (
    Definition(
        "cabannes2024.review.two_tokens",
        "Two correlated tokens: spikes, recovery, and the constants of late training",
        12.0,
        two_tokens,
        draw,
        published=False,
        quick_seconds=4.0,
        caption=(
            "(a) Two tokens, $\\alpha = 0.95$, $p_1 = 0.75$: at large rates the loss spikes, then falls onto "
            "$1/((1-\\alpha)\\eta t)$ (dotted). (b) Loss after one step minus $K(\\alpha p_1-p_2)p_2$, $K=\\eta "
            "c/2$, in random settings: between 0 and $\\log 2$ (lines); crosses: the printed bound, with $\\eta$ "
            "for $K$, fails. (c) Share of pairs of tokens whose loss rises, and whose tilt zigzags, by the rate "
            "over $2/\\lambda_{\\max}(0)$. (d) As in (a), steps to settle and the last rise of the loss by rate. (e) "
            "Distance of the tilt from $\\frac{1}{2}\\log(p_1/p_2)$ under flow; dashed: the exponents. (f) The "
            "exponents; line: $\\min(1, (1+\\alpha)/(1-\\alpha))$, points: measured at time $10^{10}$ or where "
            "the distance is $10^{-6}$."
        ),
        question=(
            "Do two correlated tokens always recover from their loss spikes, and do Proposition 5, Theorem 4 and "
            "the stability threshold $2/\\lambda_{\\max}(0)$ say what happens?"
        ),
        hypothesis=(
            "The first step costs at least $\\eta(\\alpha p_1-p_2)p_2$; accuracy always recovers; $e^{\\gamma_2}$ "
            "grows like $(1-\\alpha)c\\sqrt{p_1p_2}\\,\\eta t$ and $\\gamma_1$ tends to "
            "$\\frac{1}{2}\\log(p_1/p_2)$ like $1/t$; $\\eta = 2/\\lambda_{\\max}(0)$ separates monotone from "
            "oscillating; a larger rate oscillates longer, and is then faster."
        ),
        method=(
            "Descent on a grid of 43 correlations, 13 frequencies and 41 rates for $10^4$ steps; one step in 4000 "
            "random settings with $c = |u_1-u_2|^2$ from 0.01 to 100; 60 flows to $t = 10^{10}$, 112 descents of "
            "$10^6$ steps; and 160 pairs of tokens at 25 multiples of $2/\\lambda_{\\max}(0)$."
        ),
    ),
)
