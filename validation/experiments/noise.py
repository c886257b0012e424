"""What noise does to the transient, the oscillation and the growth of margins: batches, labels, inputs, and flows."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..figures.definition import Definition, Numbers
from ..figures.request import Request
from . import noise_runs as runs
from .noise_drawing import draw
from .noise_findings import findings
from .noise_theory import giving_up, rest, swing_law

SHOWN_BATCH = 16
"""Samples in a batch of the runs whose margins are drawn."""


def noise(request: Request | None = None) -> Numbers:
    r"""Return what minibatches, noisy labels and noisy inputs do to two tokens, and to a larger memory.

    Full batches, minibatches and two stochastic flows are compared in settling step, loss spike, last rise of the
    loss, constant $\eta t L$ and swing of $\gamma_1 = (m_1 - m_2)/2$; memories with noisy labels and noisy inputs are
    compared at rest with the minimum and the linear theory around it.

    Parameters
    ----------
    request : the full size by default (100 seeds for what has no rest, 20 for what rests); quick: fewer cells and seeds

    Returns
    -------
    `Numbers`: one array for each measure and sweep, what theory predicts of it, and the findings.

    Raises
    ------
    What `Request.sweep` raises.

    Cost: about 4 minutes of one core, once compiled; quick: about 5 s.

    Source: open question of the review on noise; Cabannes, Simsek, Bietti 2024, equations (6), (7).

    >>> round(swing_law(0.5, batch_size=16, first=1024), 5)  # of gamma_1, over the steps 1024 to 2047
    0.01008
    """
    request = request or Request()
    size = runs.QUICK if request.quick else runs.FULL
    arrays: dict[str, Any] = {"frequencies": np.array(runs.FREQUENCIES)}
    arrays |= _transient(request, size)
    arrays |= _flows(request, size)
    arrays |= _resting(request, size)
    arrays |= _larger(request, size)
    arrays |= _inputs(request, size)
    parameters = {
        "frequencies": list(runs.FREQUENCIES), "substeps": runs.SUBSTEPS, "larger_tokens": runs.N_TOKENS,
        "larger_dim": runs.DIM, "shown_batch": SHOWN_BATCH, **vars(size),
    }  # fmt: skip
    parameters = {name: list(value) if isinstance(value, tuple) else value for name, value in parameters.items()}
    problems = {f"two tokens, correlation {alpha:g}": runs.tokens(alpha).digest for alpha in size.correlations}
    return Numbers(arrays, parameters, problems, findings(arrays))


def _seeds(request: Request, count: int) -> tuple[int, ...]:
    return tuple(range(request.rng, request.rng + count))


def _transient(request: Request, size: runs.Size) -> dict[str, Any]:
    """Return minibatches and full batches without other noise, and when the flow settles."""
    from ...dynamics import GradientFlow, simulate, when

    windows = runs.swings(size.steps)
    measures: tuple[Any, ...] = (runs.settled, runs.last_rise, runs.peak, runs.loss_constant, *windows)
    grid: dict[str, Any] = {"correlation": size.correlations, "learning_rate": size.rates}
    drawn = {**grid, "batch_size": size.batches, "seed": _seeds(request, size.seeds)}
    small = request.sweep("batches", runs.batches, grid=drawn, measure=measures, steps=size.steps)
    full = request.sweep("descent", runs.descent, grid=grid, measure=measures, steps=size.steps)
    flows = [
        simulate(runs.tokens(alpha), GradientFlow(), time=1e4, stop=when("accuracy", ">=", 1.0))
        for alpha in size.correlations
    ]
    firsts = [window.evaluate.first for window in windows]  # type: ignore[attr-defined]
    found = {name: np.array(axis) for name, axis in {**grid, "batch_size": size.batches, "window": firsts}.items()}
    for name in ("settled", "last_rise", "peak", "loss_constant"):
        found |= {name: small[name], f"full_{name}": full[name]}
    names = [window.name for window in windows]
    law = [[[swing_law(alpha, batch, first) for batch in size.batches] for alpha in size.correlations]
           for first in firsts]  # fmt: skip
    return found | {
        "steps": np.array(size.steps),
        "swing": np.stack([small[name] for name in names]),
        "full_swing": np.stack([full[name] for name in names]),
        "swing_law": np.array(law),
        "flow_settled": np.array([flow.time[-1] for flow in flows]),
    }


def _flows(request: Request, size: runs.Size) -> dict[str, Any]:
    """Return two stochastic flows beside the minibatches that they imitate."""
    grid: dict[str, Any] = {
        "correlation": size.correlations[-1:], "learning_rate": size.flow_rates, "batch_size": size.flow_batches,
        "seed": _seeds(request, size.flow_seeds),
    }  # fmt: skip
    measures, fine = (runs.settled, runs.peak), size.flow_steps * runs.SUBSTEPS
    imitated = request.sweep("imitated", runs.batches, grid=grid, measure=measures, steps=size.flow_steps)
    matched = request.sweep("gradient_noise", runs.gradient_noise, grid=grid, measure=measures, steps=fine)
    constant = request.sweep("constant_noise", runs.constant_noise, grid=grid, measure=measures, steps=fine)
    return {
        "flow_rates": np.array(size.flow_rates),
        "flow_batches": np.array(size.flow_batches),
        "imitated_settled": imitated["settled"][0],
        "matched_settled": matched["settled"][0] / runs.SUBSTEPS,
        "constant_settled": constant["settled"][0] / runs.SUBSTEPS,
        "imitated_peak": imitated["peak"][0],
        "matched_peak": matched["peak"][0],
    }


def _resting(request: Request, size: runs.Size) -> dict[str, Any]:
    """Return two tokens with noisy labels at rest, with what theory says of them, and runs to be drawn."""
    from ...analytics import label_noise_loss, label_noise_margin
    from ...dynamics import GradientFlow, StochasticGradientDescent, logarithmic, simulate

    axes = size.correlations, size.label_noises, size.rest_rates, size.batches
    grid = dict(zip(("correlation", "label_noise", "learning_rate", "batch_size"), axes, strict=True))
    cube = request.sweep(
        "labels", runs.wrong_labels, grid={**grid, "seed": _seeds(request, size.rest_seeds)},
        measure=(runs.tilt_deviation, runs.mean_margin, runs.mean_probability, runs.late_loss, runs.wrong_share),
        steps=size.rest_steps,
    )  # fmt: skip
    shape = tuple(len(axis) for axis in axes)
    theory = np.empty((4, *shape))
    for place in np.ndindex(shape):
        alpha, rho, rate, batch = (axis[k] for axis, k in zip(axes, place, strict=True))
        still = rest(runs.tokens(alpha), rho, rate, batch)
        theory[(slice(None), *place)] = still.deviation, still.excess, still.relaxation, still.lift
    memory, traces, flows = runs.tokens(size.correlations[-1]), [], []
    save, rate = logarithmic(120), 1.0
    for rho in (0.0, *size.label_noises):
        noisy, rule = memory.with_label_noise(rho), StochasticGradientDescent(rate, SHOWN_BATCH)
        trace = simulate(noisy, rule, steps=size.rest_steps, save=save, rng=request.rng)
        flow = simulate(noisy, GradientFlow(), time=rate * size.rest_steps, save=save)
        traces.append(trace["margin"][:, :2].mean(axis=1))
        flows.append(flow["margin"][:, :2].mean(axis=1))
    return {
        "label_noise": np.array(size.label_noises),
        "rest_rates": np.array(size.rest_rates),
        "rest_steps": np.array(size.rest_steps),
        "rest_margin": np.array([label_noise_margin(rho) for rho in size.label_noises]),
        "rest_loss": np.array([label_noise_loss(rho) for rho in size.label_noises]),
        "deviation_law": theory[0], "excess_law": theory[1], "relaxation": theory[2], "lift_law": theory[3],
        "tilt_deviation": cube["tilt_deviation"], "mean_margin": cube["mean_margin"], "late_loss": cube["late_loss"],
        "wrong_share": cube["wrong_share"], "mean_probability": cube["mean_probability"],
        "trace_step": trace.step, "trace": np.stack(traces), "trace_time": flow.time, "trace_flow": np.stack(flows),
    }  # fmt: skip


def _larger(request: Request, size: runs.Size) -> dict[str, Any]:
    """Return the larger memory with noisy labels at rest."""
    from ...analytics import label_noise_loss, label_noise_margin
    from ...dynamics import AssociativeMemory

    rate, seeds = 3.0, _seeds(request, size.larger_seeds)
    grid = {"label_noise": size.larger_noises, "learning_rate": (rate,), "batch_size": size.larger_batches}
    cube = request.sweep(
        "larger", runs.larger, grid={**grid, "seed": seeds}, measure=(runs.class_margin, runs.late_loss),
        steps=size.larger_steps,
    )  # fmt: skip
    laws = np.empty((len(size.larger_noises), len(size.larger_batches), len(seeds)))
    with request.bar(laws.size, "linear theory") as bar:
        for i, j, k in np.ndindex(laws.shape):
            memory = AssociativeMemory.random(runs.N_TOKENS, runs.N_TOKENS, runs.DIM, rng=seeds[k])
            laws[i, j, k] = rest(memory, size.larger_noises[i], rate, size.larger_batches[j]).excess
            bar.update(1)
    return {
        "larger_noise": np.array(size.larger_noises),
        "larger_batches": np.array(size.larger_batches),
        "larger_margin": cube["class_margin"][:, 0],
        "larger_loss": cube["late_loss"][:, 0],
        "larger_margin_law": np.array([label_noise_margin(rho, runs.N_TOKENS) for rho in size.larger_noises]),
        "larger_loss_law": np.array([label_noise_loss(rho, runs.N_TOKENS) for rho in size.larger_noises]),
        "larger_excess_law": laws,
    }


def _inputs(request: Request, size: runs.Size) -> dict[str, Any]:
    """Return the most correlated tokens with noisy inputs at rest."""
    from ...analytics import noisy_input_minimum

    alpha = size.correlations[-1]
    grid = {
        "correlation": (alpha,), "input_noise": size.input_noises, "batch_size": (SHOWN_BATCH,),
        "seed": _seeds(request, size.input_seeds),
    }  # fmt: skip
    cube = request.sweep(
        "inputs", runs.noisy_inputs, grid=grid, measure=(runs.frequent_margin, runs.rare_margin, runs.wrong_share),
        steps=size.input_steps,
    )  # fmt: skip
    curve = np.linspace(min(size.input_noises), max(size.input_noises), 40)
    memory = runs.tokens(alpha)
    return {
        "input_noise": np.array(size.input_noises),
        "input_margins": np.stack([cube["frequent_margin"][0, :, 0], cube["rare_margin"][0, :, 0]]),
        "input_margins_law": np.array([noisy_input_minimum(memory, s).margins for s in size.input_noises]).T,
        "input_wrong": cube["wrong_share"][0, :, 0],
        "input_curve": curve,
        "input_curve_law": np.array([noisy_input_minimum(memory, float(s)).margins for s in curve]).T,
        "giving_up": np.array(giving_up(alpha)),
        "giving_up_guess": np.array(math.sqrt((1.0 - alpha) / math.log(runs.FREQUENCIES[0] / runs.FREQUENCIES[1]))),
    }


FIGURES = (
    Definition(
        "cabannes2024.review.noise",
        "Noise: minibatches, wrong labels, noisy inputs and stochastic flows",
        215.0,
        noise,
        draw,
        caption=(
            "Two tokens with $p = (3/4, 1/4)$, of correlation 0.95 but for (e). (a, b) Small batches delay settling "
            "(medians and quartiles over seeds) and raise the loss spike; dashed: full batch. (c) Without label "
            "noise the swing of $\\gamma_1$ decays as $1/\\sqrt{Bt}$ and not as $1/t$, the same at every rate; "
            "dashed: the law, which has no free parameter. (d) Noise in the labels stops the growth of the margins "
            "at $\\log((1-\\rho)/\\rho)$ (bars); solid: one run with $B = 16$, dashed: the flow. (e) There the "
            "swing is $\\sqrt{\\eta/2B}$ times $\\sqrt{1+\\alpha}$ for small rates, whatever the noise (colours as "
            "in d); ticks: the linear theory with its next order in $\\eta$. (f) Noise in the inputs stops the "
            "margins too, and beyond the dotted line the rare token is given up; dashed: the minimum of the noisy "
            "loss."
        ),
        published=False,
        quick_seconds=5.0,
        question=(
            "Does noise (minibatches, wrong labels, noisy inputs) change when two correlated tokens are learned, "
            "the spike of the loss, or how far the margins swing and grow?"
        ),
        hypothesis=(
            "Noise changes the settling step by less than a quarter and smooths the loss spike away. The swing of "
            "$\\gamma_1 - \\bar\\gamma$ scales as $\\sqrt{\\eta/B}$. Noise in the labels makes the minimum finite, "
            "and the margins stop at $\\log\\frac{(1-\\rho)(M-1)}{\\rho}$. A stochastic flow with the covariance of "
            "the minibatches behaves as they do."
        ),
        method=(
            "Two tokens, $p = (3/4, 1/4)$, correlations 0.5 and 0.95, rates 0.3 to 10, batches of 1, 4, 16, 64 and "
            "full, 100 seeds, $2^{15}$ steps; stochastic flows by Euler-Maruyama with eight steps for one of "
            "descent. Wrong labels are drawn with every sample: the pairs of a token and a label are the tokens of "
            "an ordinary memory. Around its minimum the covariance $S$ of minibatch descent solves $HS + SH - \\eta "
            "HSH = (\\eta/B)\\,C$ with the covariance $C$ of a sample's gradient, which there is the Hessian $H$; "
            "means and deviations are those of the second half of 40000 steps, 20 seeds. Noisy inputs are $e_x + "
            "s\\xi$ with a fresh normal $\\xi$ for every sample; a run is judged on the tokens themselves. The "
            "larger memory has ten random tokens in 16 dimensions and ten classes. A run has settled if its last "
            "mistake lies before the last tenth; else it counts with its length. Medians, means and slopes carry "
            "bootstrap intervals over seeds, shares exact binomial ones."
        ),
    ),
)
