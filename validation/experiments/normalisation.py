"""Experiment: what a normalisation of the hidden vectors does to spikes, margins, the loss and the size of W."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..figures import Definition, Numbers, Request
from . import normalisation_runs as runs
from .normalisation_drawing import draw
from .normalisation_findings import findings

GAINS = (1.0, 3.0, 10.0)
SETTINGS = ("GD 5, 10", "GD 20, 5", "SGD 5, 10", "SGD 20, 5")


def grids(request: Request) -> dict[str, Any]:
    """Return the axes of the four sweeps and their steps."""
    quick = request.quick
    seeds = tuple(range(request.rng, request.rng + (4 if quick else 10)))
    return {
        "pair": {
            "normalisation": ("none", "unit", "layer"),
            "gain": GAINS,
            "correlation": (0.5, 0.95) if quick else (0.0, 0.5, 0.8, 0.9, 0.95),
            "first_frequency": (0.75,) if quick else (0.5, 0.6, 0.75, 0.9, 0.95),
            "learning_rate": tuple(np.logspace(-1, 3, 5 if quick else 9).tolist()),
            "seed": seeds[:5],
        },
        "crowd": {
            "normalisation": ("none", "unit", "layer", "batch"),
            "gain": GAINS[:2] if quick else GAINS,
            "dim": (3, 10) if quick else (3, 5, 10),
            "learning_rate": (1.0, 10.0) if quick else (1.0, 3.0, 10.0, 30.0, 100.0),
            "seed": seeds,
        },
        "growth": {"setting": SETTINGS, "learning_rate": (1.0, 10.0), "seed": seeds},
        "gain": {"trained": ("gain", "weights"), "n_tokens": (2, 5), "learning_rate": (0.1, 1.0), "seed": seeds},
    }


def normalisation(request: Request | None = None) -> Numbers:
    r"""Return what normalising W e_x changes: spikes, final margins, the floor of the loss, the growth of W.

    Four sweeps of `NormalisedMemory` from random starts, the same for every normalisation: two correlated tokens (the
    spikes), five tokens and classes in 3, 5 and 10 dimensions (floors and margins), long runs of descent and of
    stochastic descent (the growth of W), and a trained gain.

    Parameters
    ----------
    request : the full size by default; quick: fewer correlations, rates, gains and seeds, and fewer steps

    Returns
    -------
    `Numbers`: the measures of all cells by sweep ("pair.spike_height", ...), trajectories for the picture, findings.

    Raises
    ------
    What `Request.sweep` raises.

    Cost: 14000 runs of 1e4 to 3e5 steps, about 5 CPU minutes; quick: 600 runs of 3000 to 3e4 steps, about 10 s.

    Source: the review of Cabannes, Simsek, Bietti 2024, open question 2.

    >>> problem, rule = runs.pair_run("unit", 3.0, 0.95, 0.75, learning_rate=10.0, seed=0)
    >>> problem.normalisation, rule.learning_rate
    ('unit', 10.0)
    """
    from ...dynamics import logarithmic

    request = request or Request()
    axes, steps = grids(request), _steps(request.quick)
    arrays: dict[str, Any] = {}
    own = {
        "pair": runs.measures(runs.peak_share, runs.arrival, runs.margin_share, runs.last_norm, runs.floor_excess),
        "crowd": runs.measures(
            runs.floor_excess, runs.floor_value, runs.last_loss, runs.late_slope, runs.norm_exponent, runs.late_rises
        ),
        "growth": runs.measures(runs.norm_exponent, runs.last_loss),
        "gain": runs.measures(runs.loss_constant, runs.loss_per_time, runs.late_slope),
    }
    named = {"pair": ("spike_height", "steps_to_settle"), "crowd": ("spike_height", "final_accuracy")}
    builds: dict[str, Callable[..., tuple[Any, Any]]]
    builds = {"pair": runs.pair_run, "crowd": runs.crowd_run, "growth": runs.growth_run, "gain": runs.gain_run}
    for name, grid in axes.items():
        measure = (*named.get(name, ()), *own[name])
        more = {} if name in named else {"save": logarithmic(400)}
        cube = request.sweep(name, builds[name], grid=grid, measure=measure, steps=steps[name], **more)
        names = [one if isinstance(one, str) else one.name for one in measure]
        arrays |= {f"{name}.{one}": cube[one] for one in names}
        arrays |= {f"{name}.axis.{axis}": np.array(values) for axis, values in grid.items()}
    arrays |= _courses(request) | _identities()
    parameters = {name: {axis: list(values) for axis, values in grid.items()} for name, grid in axes.items()}
    shown = runs.normalised(runs.pair(0.95, 0.75, request.rng), "unit", 3.0, request.rng)
    return Numbers(arrays, {"steps": steps, **parameters}, {"the picture's pair": shown.digest}, findings(arrays))


def _steps(quick: bool) -> dict[str, int]:
    if quick:
        return {"pair": 3000, "crowd": 10_000, "growth": 30_000, "gain": 30_000}
    return {"pair": 10_000, "crowd": 30_000, "growth": 300_000, "gain": 100_000}


def _courses(request: Request) -> dict[str, Any]:
    """Return the losses of one pair under each normalisation, and the growth of W, for the picture."""
    from ...dynamics import GradientDescent, logarithmic, simulate

    seed, rate, gain = request.rng, GradientDescent(10.0), 3.0
    memory = runs.pair(0.95, 0.75, seed)
    problems = {
        "none": runs.normalised(memory, "none", gain, seed),
        "unit": runs.normalised(memory, "unit", gain, seed),
        "layer": runs.normalised(memory, "layer", gain, seed),
        "trained gain": runs.normalised(memory, "unit", gain, seed, trained_gain=True),
    }
    arrays: dict[str, Any] = {}
    for name, problem in problems.items():
        run = simulate(problem, rate, steps=10_000, save=logarithmic(300), observe=("loss",))
        arrays |= {f"course.{name}": run["loss"], "course.step": run.step}
        arrays[f"course.floor.{name}"] = np.array(runs.floor_of(problem))
    steps = _steps(request.quick)["growth"]
    for setting in SETTINGS:
        problem, rule = runs.growth_run(setting, 10.0, seed)
        run = simulate(problem, rule, steps=steps, save=logarithmic(300), observe=("weight_norm",), rng=seed)
        arrays |= {f"norm.{setting}": run["weight_norm"], "norm.step": run.step}
    return arrays


def _identities() -> dict[str, Any]:
    """Return how far |W|^2 is from growing by the square of each step, and two facts about correlated pairs.

    The growth is exact where the gradient is orthogonal to W; epsilon is what is left. For 20 pairs: the gradient of
    "batch" over that of "unit" at the start with a tiny epsilon, and the shortest hidden vector before the steepest
    rise of the loss over that at the start, at a small rate.
    """
    from ...dynamics import GradientDescent, simulate

    apart = []
    for kind in ("unit", "layer", "batch"):
        problem, _ = runs.crowd_run(kind, 3.0, 5, 10.0, 0)
        run = simulate(problem, GradientDescent(10.0), steps=300, observe=("weight_norm", "gradient_norm"))
        squares = run["weight_norm"] ** 2
        grown = squares[:-1] + (10.0 * run["gradient_norm"][:-1]) ** 2
        apart.append(np.abs(squares[1:] / grown - 1.0).max())
    slopes, shrunk = [], []
    for seed in range(20):
        memory = runs.pair(0.95, 0.75, seed)
        slope = {}
        for kind in ("unit", "batch"):
            problem = runs.normalised(memory, kind, 3.0, seed, epsilon=1e-12)
            slope[kind] = np.linalg.norm(problem.loss_and_gradient(problem.start)[1])
        slopes.append(slope["batch"] / slope["unit"])
        problem = runs.normalised(memory, "unit", 1.0, seed)
        run = simulate(problem, GradientDescent(0.1), steps=1000, observe=("loss", "hidden_norm"))
        shortest = run["hidden_norm"].min(axis=1)
        shrunk.append(shortest[np.argmax(np.diff(run["loss"]))] / shortest[0])
    return {
        "growth_identity": np.array(apart), "pair_batch_slope": np.array(slopes), "shrunk": np.array(shrunk)
    }  # fmt: skip


FIGURES = (
    Definition(
        "cabannes2024.review.normalisation",
        "Normalised hidden vectors: bounded spikes, a floor of the loss, and a W that grows",
        300.0,
        normalisation,
        draw,
        caption=(
            "Above: the highest spike of two tokens by learning rate (correlation 0.95, $p_1 = 3/4$; median and "
            "range of the seeds) and by correlation, heights below 0.005 drawn there; one pair's losses, with the "
            "floors dotted. Without a normalisation spikes grow with $\\eta$; with one their height saturates, but "
            "they also come where $W$ alone has none. Below: steps to come within 1 % of the floor (dotted $g = 1$, "
            "solid $g = 3$): large rates inflate $|W|$ in the first steps and are slow. $|W|$ rests where tokens are "
            "fewer than dimensions, and the loss comes to its floor; where they are more, $|W|$ goes on growing and "
            "the loss stays above."
        ),
        published=False,
        quick_seconds=10.0,
        question=(
            "What does a normalisation of the hidden vectors $W e_x$ change: spikes, oscillations, the growth of the "
            "margins, the final loss, the size of $W$?"
        ),
        hypothesis=(
            "Scores are bounded, $|m| \\leq g |u_f - u_j|$, so margins stop growing and the loss has a floor above "
            "0, the sum of one convex problem for each token. The gradient is orthogonal to $W$, so $|W|$ only "
            "grows, as $t^{1/4}$ where noise goes on, and the effective rate $\\eta/|W|^2$ falls: normalisation "
            "should prevent spikes."
        ),
        method=(
            "Four sweeps from random starts that are the same for every normalisation: unit length (the paper's "
            "code), layer (mean subtracted), batch (statistics over tokens) and none, at gains 1, 3 and 10. Two "
            "tokens in ten dimensions over correlation, frequency and nine rates from 0.1 to 1000; five tokens and "
            "classes in 3, 5 and 10 dimensions; runs of $3 \\cdot 10^5$ steps of descent and of stochastic descent "
            "with single tokens for the growth of $|W|$; a trained gain against $W$ alone. A spike is a rise of the "
            "loss by more than 0.01 above its least value before. The floor is computed with a certificate "
            "(`normalised_loss_floor`). For batch normalisation the floor of unit is no bound, and only compares."
        ),
    ),
)
