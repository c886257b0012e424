"""Experiment: the map of loss spikes of two correlated tokens, and the laws of their height and duration."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..figures.definition import Definition, Numbers
from ..figures.request import Request
from .spike_map_drawing import draw
from .spike_map_findings import of_recovery, of_the_laws, of_the_naive_regime, of_the_onset
from .spike_map_laws import MEASURES, STEPS, Map, compare, laws, pairs, recipe, thresholds

FREQUENT = (0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95, 0.98, 0.99, 0.998)
SLICE_FREQUENT = 0.85  # of the pictures
TRACES = ((0.95, 0.75), (0.95, 0.9), (0.5, 0.75))  # (correlation, p_1) of the peaks that are drawn


@dataclass(frozen=True)
class Size:
    """How many values the axes of each sweep have, and how many settings are drawn."""

    grid: tuple[int, int]  # correlations, rates
    frequent: tuple[float, ...]
    wide: tuple[int, int, int]  # correlations, frequencies, rates
    slice: tuple[int, int]
    onset: tuple[int, int, int]
    traces: int
    drawn: int


FULL = Size((34, 41), FREQUENT, (100, 25, 61), (200, 200), (96, 97, 160), 121, 40_000)
QUICK = Size((12, 21), FREQUENT[::3], (24, 9, 21), (60, 60), (20, 17, 80), 41, 10_000)


def drawn_cell(setting: tuple[float, float, float]) -> tuple[Any, Any]:
    """Return the problem and the rule of (correlation, p_1, rate)."""
    from ...dynamics import AssociativeMemory, GradientDescent

    correlation, frequent, rate = setting
    return AssociativeMemory.two_tokens(correlation, (frequent, 1.0 - frequent)), GradientDescent(rate)


def spike_map(request: Request = Request()) -> Numbers:  # noqa: B008  (frozen)
    r"""Map the loss spikes of two correlated tokens and compare them with the laws of their height and duration.

    The tokens have unit inputs of correlation alpha, frequencies p_1 >= p_2, orthonormal outputs; gradient descent
    starts at W = 0 with rate eta, and K = eta c / 2 = eta. With x = (alpha p_1 - p_2) / (2 p_2) and its distance
    delta to the next integer, the laws are

    .. code-block:: text

        steps misclassified  = ceil(x)
        steps with L > log 2 = ceil( (alpha p_1 - p_2 - y/K) / (2 p_2) ),   y = log(2^(1/p_2) - 1)
        0 <= peak loss - K (alpha p_1 - p_2) p_2 <= log 2

    in the regime K p_2 delta >= h, K (p_1 (1 - alpha^2) - 2 alpha p_2 delta) >= h, h = max(20, log 4K).

    Parameters
    ----------
    request : size (`quick`), stores, executor and seed

    Returns
    -------
    Numbers
        Arrays by prefix: ``grid_*`` every measure on 34 correlations x 13 frequencies x 41 rates (axes ``correlation``,
        ``frequent``, ``learning_rate``), with the laws beside them; ``slice_*`` a finer map at p_1 = 0.85; ``curve_*``
        the share of exact cells by how far inside of a regime they lie; ``onset_*`` the smallest rate that spikes;
        ``trace_*`` peak losses by rate. Findings say where each law holds.

    Raises
    ------
    FileError : a store of another experiment. KeyboardInterrupt : interrupted; what is done is kept in the stores.

    Cost: 1.7 million runs in full, 16 s of CPU time; 3 s when quick.

    Source: review of Cabannes, Simsek, Bietti 2024, next check N1; Proposition 5; the laws of
    `traindyn.analytics.spike_duration`.

    >>> numbers = spike_map(Request(quick=True))
    >>> print(numbers.findings[0].outcome, numbers.findings[0].number)
    supported 1
    """
    size = QUICK if request.quick else FULL
    grid = Map.of(request, "grid", np.linspace(0.0, 0.99, size.grid[0]), size.frequent,
                  np.logspace(-1, 3, size.grid[1]))  # fmt: skip
    wide = Map.of(request, "wide", np.linspace(0.01, 0.999, size.wide[0]), np.linspace(0.55, 0.99, size.wide[1]),
                  np.logspace(1, 5, size.wide[2]))  # fmt: skip
    fine = Map.of(request, "slice", np.linspace(0.0, 0.995, size.slice[0]), (SLICE_FREQUENT,),
                  np.logspace(0, 4, size.slice[1]))  # fmt: skip
    onset = _onset(request, size)
    settings = _settings(size.drawn, request.rng)
    drawn = request.sweep("drawn", drawn_cell, grid={"setting": settings}, measure=MEASURES, steps=STEPS)
    law = laws(*np.array(settings).T)
    kept = compare(law, {name: drawn[name] for name in MEASURES}).all
    arrays: dict[str, Any] = {
        "correlation": grid.correlation, "frequent": grid.frequent, "learning_rate": grid.rate,
        **{f"grid_{name}": grid.measured[name] for name in MEASURES},
        **{f"grid_law_{name}": getattr(grid.law, name) for name in ("duration", "above", "low", "regime", "naive")},
        "grid_exact": grid.agrees.all,
        "slice_correlation": fine.correlation, "slice_learning_rate": fine.rate,
        **{f"slice_{name}": fine.measured[name][:, 0] for name in ("peak_loss", "spike_count", "steps_to_settle")},
        **{f"slice_{name}": getattr(fine.law, name)[:, 0] for name in ("duration", "regime", "naive")},
        "slice_exact": fine.agrees.all[:, 0],
        "slice_certificate": fine.certificate[:, 0], "slice_first_step": fine.first_step[:, 0],
        **_curves(wide), **onset, **_traces(request, size.traces),
    }  # fmt: skip
    findings = (
        *of_the_laws(grid, wide, law, kept), *of_the_naive_regime(grid, wide), *of_the_onset(grid, onset),
        *of_recovery(grid),
    )  # fmt: skip
    parameters = {
        "steps": STEPS, "correlations": len(grid.correlation), "frequencies": list(size.frequent),
        "learning_rates": len(grid.rate), "drawn": size.drawn, "slice_frequent": SLICE_FREQUENT, "seed": request.rng,
    }  # fmt: skip
    return Numbers(arrays, parameters, {}, findings)


def _settings(count: int, seed: int) -> list[tuple[float, float, float]]:
    """Return random (correlation, p_1, rate) of interfering tokens, rates log-uniform in [10, 1e6]."""
    generator = np.random.default_rng([seed, 1])
    rare = 10.0 ** generator.uniform(-2.5, math.log10(0.49), count)
    least = rare / (1.0 - rare)
    correlation = least + (1.0 - least) * generator.uniform(0.0, 1.0, count)
    rate = 10.0 ** generator.uniform(1.0, 6.0, count)
    return list(zip(correlation.tolist(), (1.0 - rare).tolist(), rate.tolist(), strict=True))


def _onset(request: Request, size: Size) -> dict[str, Any]:
    """Return the smallest rate of a fine axis at which the loss rises at some step, with what bounds it."""
    n_correlation, n_frequent, n_rates = size.onset
    correlation, frequent = np.linspace(0.05, 0.995, n_correlation), np.linspace(0.5, 0.98, n_frequent)
    rate = np.geomspace(3.9, 1000.0, n_rates)
    axes = {"correlation": correlation.tolist(), "frequencies": pairs(frequent), "learning_rate": rate.tolist()}
    spikes = request.sweep("onset", recipe(), grid=axes, measure="spike_count", steps=STEPS).values > 0
    certificate, first_step = thresholds(correlation[:, None], frequent[None, :])
    first = np.where(spikes.any(axis=2), spikes.argmax(axis=2), -1)
    # between two spiking rates, does some rate not spike?
    last = n_rates - 1 - spikes[:, :, ::-1].argmax(axis=2)
    gaps = np.where(first >= 0, last - first + 1 - spikes.sum(axis=2), 0)
    return {
        "onset_correlation": correlation, "onset_frequent": frequent, "onset_rates": rate,
        "onset_rate": np.where(first >= 0, rate[first], math.inf), "onset_certificate": certificate,
        "onset_first_step": first_step, "onset_gaps": gaps,
    }  # fmt: skip


def _curves(wide: Map) -> dict[str, Any]:
    """Return the share of cells in which all laws hold, by how far inside of either regime they lie."""
    edges = np.logspace(-2, 3, 26)
    exact = wide.agrees.all
    curves: dict[str, Any] = {"curve_edges": edges}
    for name in ("regime", "naive"):
        inside = np.where(wide.law.interferes, getattr(wide.law, name), math.nan)
        cells = np.histogram(inside[inside > 0], edges)[0]
        right = np.histogram(inside[exact & (inside > 0)], edges)[0]
        curves[f"curve_{name}_cells"], curves[f"curve_{name}_exact"] = cells, right
    return curves


def _traces(request: Request, rates: int) -> dict[str, Any]:
    """Return the peak loss by rate for a few pairs of tokens, and the laws beside it."""
    rate = np.logspace(-0.5, 5, rates)
    peaks, lows, bounds, regimes = [], [], [], []
    for number, (correlation, frequent) in enumerate(TRACES):
        fixed = recipe(correlation=correlation, frequencies=(frequent, 1.0 - frequent))
        cube = request.sweep(
            f"trace{number}", fixed, grid={"learning_rate": rate.tolist()}, measure="peak_loss", steps=STEPS
        )
        law = laws(correlation, frequent, rate)
        peaks.append(cube.values)
        lows.append(law.low)
        bounds.append(law.bound)
        regimes.append(law.regime)
    return {
        "trace_learning_rate": rate, "trace_peak": np.array(peaks), "trace_law": np.array(lows),
        "trace_bound": np.array(bounds), "trace_regime": np.array(regimes), "trace_pairs": np.array(TRACES),
    }  # fmt: skip


FIGURES = (
    Definition(
        "cabannes2024.review.spike_map",
        "Map of the loss spikes of two tokens, and where the laws of their height and duration hold",
        16.0,
        spike_map,
        draw,
        published=False,
        quick_seconds=5.0,
        caption=(
            "Two tokens of correlation $\\alpha$, $p_1 = 0.85$, from $W = 0$. (a) Peak loss; white: the loss "
            "never rises. Spikes begin far above $2/\\lambda_{\\max}(0)$ (dashed), and over most of the map at "
            "the rate at which the first step raises the loss (solid). (b) Steps until the accuracy is 1 for "
            "good: at large rates plateaus at $\\lceil x\\rceil + 1$, whatever the rate. (c) Where the laws hold: "
            "proved (and exact in every cell), right beyond that, or wrong by some steps, also at the largest "
            "rates of the naive regime (right of the dotted line). (d) Share of exact cells by how far inside of "
            "each regime they lie. (e) Smallest rate that spikes, over $2/\\lambda_{\\max}(0)$; hatched: a later "
            "step spikes at a lower rate than the first. (f) Peak loss (points), law (solid), bound for every "
            "rate (dashed)."
        ),
        question=(
            "At which learning rates does the loss of two correlated tokens spike, how high, for how long, and "
            "where do simple laws of height and duration hold?"
        ),
        hypothesis=(
            "With $x = (\\alpha p_1 - p_2)/(2 p_2)$ and $K = \\eta c/2$, exactly $\\lceil x\\rceil$ steps are "
            "misclassified at any large rate, the peak is $K(\\alpha p_1 - p_2)p_2$ up to $\\log 2$, and spikes "
            "begin where $\\eta\\,\\lambda_{\\max}(0) = 2$."
        ),
        method=(
            "Gradient descent from $W = 0$ for 4000 steps on a grid of 34 correlations, 13 frequencies and 41 "
            "rates, on a wider one with rates to $10^5$, and in random settings. Counts of steps are compared "
            "with the laws as integers, peaks to rounding, inside the proved regime, inside the naive one, and "
            "outside of both. The onset of spikes is the smallest of 160 rates at which the loss rises at any "
            "step."
        ),
    ),
)
