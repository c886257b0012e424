"""What happens on the way with a factorised W: plateaus, spikes, lost runs, and W at the matched rate."""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np

from ..figures import Finding, Request, judged
from . import factorised_runs as runs
from .factorised_findings import sampled, seeds_of, share
from .intervals import bootstrap

SMALL, MIDDLE = 1e-3, 1e-1
CORRELATIONS = (0.0, 0.25, 0.5, 0.65, 0.8, 0.9, 0.95)
STRONG = 0.95
SAFE = 10.0  # a rate at which W itself spikes and recovers
RANKS = (1, 2, 8)


def rising(request: Request) -> tuple[dict[str, Any], list[Finding]]:
    """Singular values of W for orthonormal tokens, from starts of many scales."""
    from ...dynamics import logarithmic, simulate

    scales = [1e-4, SMALL, 1e-2, MIDDLE, runs.DIM**-0.5][1 if request.quick else 0 :]
    seeds, rate, steps = seeds_of(request, 6, 20), 0.5, 8000
    cube = request.sweep(
        "rising", runs.orthonormal,
        grid={"rank": [runs.DIM], "scale": scales, "start": ["gaussian", "balanced"], "learning_rate": [rate],
              "seed": seeds},
        measure=(runs.first_risen, runs.overlap), steps=steps, observe=("loss", "singular_values"),
        save=logarithmic(300),
    )  # fmt: skip
    first, overlap = cube["first_risen"][0, :, :, 0], cube["overlap"][0, :, :, 0]
    observed: dict[str, Any] = {"observe": ("loss", "singular_values"), "steps": steps, "save": logarithmic(300)}
    factors = simulate(*runs.orthonormal(runs.DIM, SMALL, "balanced", rate, seeds[0]), **observed)
    whole = simulate(*runs.orthonormal(runs.FULL, SMALL, "balanced", rate, seeds[0]), **observed)
    small = scales.index(SMALL)
    slope = np.log1p(rate * np.linalg.norm(whole.problem.memory.loss_and_gradient(np.zeros((8, 8)))[1], 2))
    below = [place for place, scale in enumerate(scales) if scale <= 1e-2]
    logs = -np.log([scales[place] for place in below])
    law = np.polyfit(logs, first[below, 1], 1)[0] * slope
    whole_overlap = runs.overlap(whole)
    kept = ~np.isnan(overlap[small]).any(axis=0)
    value, low, high = bootstrap(overlap[small, 1, kept])
    ratio = bootstrap(np.log(overlap[small, 1, kept] / overlap[small, 0, kept]))
    told = [
        Finding(
            f"From a start of scale {SMALL:g} the singular values of $W = AB^\\top$ rise one after another: when one "
            f"reaches {runs.RISEN:g}, the next is below a quarter of it (geometric mean over the first {runs.MODES})",
            value, low, high, f"95 % bootstrap interval over {kept.sum()} seeds, balanced starts",
            judged(low, high, at_most=0.25),
        ),
        Finding(
            "So do those of W itself, from zero and under the same rate", whole_overlap, whole_overlap, whole_overlap,
            "one run; W from zero draws nothing, and a rotation of orthonormal tokens changes nothing",
            judged(whole_overlap, whole_overlap, at_most=0.25),
        ),
        sampled(
            "The plateau before the first rise grows like log(1/scale) / log(1 + eta s), s the largest singular value "
            "of the gradient at W = 0 (measured slope over predicted)", law, at_least=0.97, at_most=1.03,
        ),
        Finding(
            "A balanced start sharpens these steps a little (overlap over that of the Gaussian start of the same W)",
            math.exp(ratio[0]), math.exp(ratio[1]), math.exp(ratio[2]),
            f"geometric mean, 95 % bootstrap interval over {kept.sum()} seeds",
            judged(math.exp(ratio[1]), math.exp(ratio[2]), at_most=1.0),
        ),
    ]  # fmt: skip
    arrays = {
        "scale": np.array(scales), "overlap": overlap, "overlap_whole": np.array(whole_overlap), "first_risen": first,
        "rising_step": factors.step, "rising_values": factors["singular_values"], "rising_loss": factors["loss"],
        "whole_step": whole.step, "whole_values": whole["singular_values"], "whole_loss": whole["loss"],
    }  # fmt: skip
    return arrays, told


def spikes(request: Request) -> tuple[dict[str, Any], list[Finding]]:
    """Spikes and lost runs of two tokens by correlation, frequency, rank, scale, start and rate."""
    from ...dynamics import Status

    quick = request.quick
    rates = np.geomspace(0.3, 30.0, 10 if quick else 25).tolist()
    correlations = (0.0, 0.5, 0.8, STRONG) if quick else CORRELATIONS
    scales, seeds = [SMALL, MIDDLE, runs.DIM**-0.5], seeds_of(request, 3, 10)
    options: dict[str, Any] = {"measure": (runs.is_lost, runs.spike), "steps": 2000, "observe": ("loss",)}
    cube = request.sweep(
        "spikes", runs.interfering,
        grid={"correlation": correlations, "frequency": [0.75, 0.9], "rank": RANKS, "scale": scales,
              "start": ["gaussian", "balanced"], "seed": seeds, "learning_rate": rates}, **options,
    )  # fmt: skip
    whole = request.sweep(
        "spikes_whole", runs.interfering,
        grid={"correlation": correlations, "frequency": [0.75, 0.9], "rank": [runs.FULL], "scale": [1.0],
              "start": ["gaussian"], "seed": [0], "learning_rate": rates}, **options,
    )  # fmt: skip
    # correlation, frequency, rank, scale, start, seed, rate
    lost = cube["is_lost"] > 0.0
    overflown = lost & (cube.status == Status.NOT_FINITE)
    spiked = np.nan_to_num(cube["spike"]) > runs.SPIKE
    whole_lost = whole["is_lost"][:, :, 0, 0, 0, 0] > 0.0
    whole_spiked = np.nan_to_num(whole["spike"][:, :, 0, 0, 0, 0]) > runs.SPIKE
    # a run that is never lost counts as lost one step of the grid beyond its end
    beyond = rates[-1] * rates[-1] / rates[-2]
    critical = np.where(lost.any(axis=6), np.array(rates)[lost.argmax(axis=6)], beyond)
    arrays = {
        "spike_correlation": np.array(correlations), "spike_rate": np.array(rates), "spike_scale": np.array(scales),
        "spike_rank": np.array(RANKS), "lost": lost.mean(axis=5), "spiked": spiked.mean(axis=5),
        "whole_spiked": whole_spiked, "whole_lost": whole_lost, "critical": critical,
    }  # fmt: skip
    strong, half = correlations.index(STRONG), correlations.index(0.5)
    at = int(np.searchsorted(rates, SAFE * (1 - 1e-9)))
    each, basis = len(RANKS) * len(seeds), f"ranks {RANKS} times {len(seeds)} seeds, Gaussian starts, $p_1 = 0.75$"
    everywhere = lost[strong, 0, :, :, 0, :, at].all(axis=1)
    recovered, alone = (spiked[place, 0, :, :, 0].any(axis=(1, 3)) for place in (strong, 0))  # rank, seed
    level = np.log(critical)
    ratio = functools.partial(_ratio, step=rates[1] / rates[0])
    first = np.log([rates[row.argmax()] if row.any() else beyond for row in whole_spiked[:, 0]])
    told = [
        share(
            f"W itself recovers from every spike (learning rates {rates[0]:g} to {rates[-1]:g}, correlations "
            f"{correlations[0]:g} to {correlations[-1]:g}): no run is lost", int((~whole_lost).sum()), whole_lost.size,
            "cells of a grid, each run once: W from zero draws nothing", exact=True, at_least=1.0,
        ),
        share(
            f"Factors do not: with correlation {STRONG:g} and rate {rates[at]:.3g} most runs are lost for ever, at "
            "every scale of the start", int(everywhere.sum()), each, basis, at_least=0.5,
        ),
        share(
            "Lost runs are lost for ever: both factors grow until they overflow", int(overflown.sum()),
            int(lost.sum()), "all lost runs of the grid, within 2000 steps", exact=True, at_least=1.0,
        ),
        ratio(
            f"At correlation {STRONG:g} they are lost at rates eta at which W itself does not even spike yet (least "
            "rate lost over least rate at which W spikes)", level[strong, 0, :, :, 0] - first[strong], at_most=1.0,
        ),
        ratio(
            f"The least rate at which a run is lost falls with the correlation (at {STRONG:g} over at 0.5)",
            (level[strong] - level[half])[0, :, :, 0], at_most=1.0,
        ),
        ratio(
            "It falls with the imbalance of the frequencies ($p_1 = 0.9$ over $p_1 = 0.75$, at correlation "
            f"{STRONG:g})", (level[strong, 1] - level[strong, 0])[:, :, 0], at_most=1.0,
        ),
        ratio(
            "Whether the factors start balanced hardly matters for the rate at which they are lost (balanced over "
            f"Gaussian start, same W, correlation {STRONG:g}: within a factor 3/2)",
            level[strong, 0, :, :, 1] - level[strong, 0, :, :, 0],
            at_least=2 / 3, at_most=1.5,
        ),
        share(
            f"The spike of correlated tokens persists below that rate: at correlation {STRONG:g} some rate of the grid "
            "gives a spike from which the run recovers, at some scale", int(recovered.sum()), each, basis,
            at_least=0.5,
        ),
        share(
            "Spikes no longer need correlation: orthogonal tokens, whose loss falls at every step of W itself, spike "
            f"at some rate up to {rates[-1]:g} and some scale", int(alone.sum()), each, basis, at_least=0.1,
        ),
    ]  # fmt: skip
    return arrays, told


def _ratio(
    statement: str, logs: Any, *, step: float, at_least: float = 0.0, at_most: float = math.inf
) -> Finding:  # fmt: skip
    """Return the finding about a geometric mean of ratios of rates, given their logarithms (rank, scale, seed)."""
    each = logs.mean(axis=1).reshape(-1)  # starts of several scales share their draws
    value, low, high = (math.exp(number) for number in bootstrap(each))
    low, high = low / step, high * step  # a least rate of the grid is known to within one step of it
    basis = (
        f"geometric mean, 95 % bootstrap interval over {each.size} starts, averaged over {logs.shape[1]} scales, "
        f"widened by a step of the grid of rates, {step:.3g}"
    )
    return Finding(statement, value, low, high, basis, judged(low, high, at_least=at_least, at_most=at_most))


def matched(request: Request) -> tuple[dict[str, Any], list[Finding]]:
    """Spikes of the factors beside those of W moved at the matched rate of each step."""
    correlations = [0.0, 0.5, STRONG] if request.quick else [0.0, 0.5, 0.8, STRONG]
    rates = np.geomspace(0.5, 10.0, 6 if request.quick else 12).tolist()
    seeds = seeds_of(request, 4, 12)
    cube = request.sweep(
        "matched", runs.interfering,
        grid={"correlation": correlations, "frequency": [0.75], "rank": RANKS, "scale": [MIDDLE, runs.DIM**-0.5],
              "start": ["gaussian"], "learning_rate": rates, "seed": seeds},
        measure=(runs.spike, runs.matched_spike), steps=1000, observe=("loss", "rate_gain"),
    )  # fmt: skip
    own, twin = (np.moveaxis(cube[name][:, 0, :, :, 0], -1, 1) for name in ("spike", "matched_spike"))
    own, twin = (array.reshape(len(correlations), len(seeds), -1) for array in (own, twin))
    kept = ~np.isnan(own)
    shares = np.stack([((array > runs.SPIKE) & kept).sum(axis=2) / kept.sum(axis=2) for array in (own, twin)])
    correlated = shares[:, 1:].mean(axis=1)  # a seed: over the correlations > 0
    told = [
        sampled(
            "Among correlated runs that are not lost, W itself, moved from the same W at the matched rate of every "
            "step, spikes more often than the factors do (difference of the shares)",
            correlated[1] - correlated[0], at_least=0.0,
        ),
        sampled(
            "Among orthogonal ones the factors spike and W itself at the matched rate does not (difference)",
            shares[1, 0] - shares[0, 0], at_most=0.0,
        ),
    ]  # fmt: skip
    return {"matched_correlation": np.array(correlations), "matched_share": shares}, told
