"""Figure 5 of Cabannes, Simsek, Bietti 2024: the sharpness along gradient descent, with and without a minimiser."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from . import landscape
from .cabannes2024_fig5_drawing import draw
from .definition import Definition, Numbers
from .finding import Finding, judged
from .request import Request

if TYPE_CHECKING:
    from ...analytics import TwoCycle
    from ...dynamics import AssociativeMemory

Array = NDArray[np.float64]

# seed, number of tokens, start in the plane
PANELS = ((39, 3, (-5.0, -5.0)), (9, 30, (-5.0, 5.0)))
RATES = (10.0, 1.0)
LAST_STEP = 34
WINDOW = ((-10.0, 10.0), (-10.0, 10.0))
PUBLISHED_POINTS, POINTS = 100, 161

LONG_RATES = np.linspace(4.0, 40.0, 181)  # what descent does in the end, by learning rate
CYCLE_RATES = np.linspace(6.0, 40.0, 69)
LONG_RUN, LAST_STATES = 3000, 40
FALL = (5, 100_000)  # steps between which the sharpness of the separable problem falls


def compute(request: Request) -> Numbers:
    """Return loss, 0-1 loss and sharpness over the plane and along descent, and what descent does in the end.

    As published: grids of 100 x 100 points, ties to the first class, nothing solved for. Otherwise the minimiser, the
    cycle of period two at rate 10, and where descent ends by learning rate.
    """
    from ...dynamics import cabannes2024

    as_published = request.as_published
    memories = {seed: cabannes2024.circle_memory(seed, count) for seed, count, _ in PANELS}
    arrays: dict[str, Any] = {"learning_rate": np.array(RATES), "step": np.arange(LAST_STEP + 1)}
    for seed, _, start in PANELS:
        arrays |= _plane(memories[seed], seed, as_published)
        arrays |= _descents(memories[seed], seed, start, as_published)
    parameters: dict[str, Any] = {
        "panels": [{"seed": seed, "tokens": count, "start": start} for seed, count, start in PANELS],
        "learning_rates": RATES,
        "steps": LAST_STEP,
        "window": WINDOW,
        "points": PUBLISHED_POINTS if as_published else POINTS,
    }
    digests = {f"seed {seed}": memory.digest for seed, memory in memories.items()}
    if as_published:
        return Numbers(arrays, parameters, digests)
    arrays |= _ends(memories[9], PANELS[1][2], request)
    return Numbers(arrays, parameters, digests, _findings(memories, arrays))


def _plane(memory: AssociativeMemory, seed: int, as_published: bool) -> dict[str, Any]:
    x, y, points = landscape.grid(*WINDOW, PUBLISHED_POINTS if as_published else POINTS)
    loss = landscape.loss(memory, points)
    arrays = {
        "gamma_1": x,
        "gamma_2": y,
        f"loss_{seed}": loss / memory.n_tokens if as_published else loss,
        f"sharpness_{seed}": landscape.sharpness(memory, points),
    }
    if as_published:
        arrays[f"error_{seed}"] = landscape.error_rate(memory, points, first_index=True)
    else:
        arrays[f"edges_{seed}"], arrays[f"sector_error_{seed}"] = landscape.sectors(memory)
    return arrays


def _descents(
    memory: AssociativeMemory, seed: int, start: tuple[float, float], as_published: bool
) -> dict[str, Any]:  # fmt: skip
    from ...dynamics import GradientDescent, simulate

    accuracy = "accuracy_first_index" if as_published else "accuracy"
    initial = landscape.weights(memory, np.array(start))
    runs = [
        simulate(memory, GradientDescent(rate), steps=LAST_STEP, initial=initial,
                 observe=("loss", accuracy, "weights", "sharpness"))
        for rate in RATES
    ]  # fmt: skip
    difference = memory.outputs[0] - memory.outputs[1]
    return {
        f"run_loss_{seed}": np.stack([run["loss"] for run in runs]),
        f"run_error_{seed}": 1.0 - np.stack([run[accuracy] for run in runs]),
        f"run_gamma_{seed}": np.stack([difference @ run["weights"] for run in runs]),
        f"run_sharpness_{seed}": np.stack([run["sharpness"] for run in runs]),
    }


def _ends(memory: AssociativeMemory, start: tuple[float, float], request: Request) -> dict[str, Any]:
    """Return minimiser, cycle at rate 10, cycles by rate, and the losses of long runs' last states by rate."""
    from ...analytics import minimise, minimiser_stability, two_cycle
    from ...dynamics import GradientDescent, at, simulate

    difference = memory.outputs[0] - memory.outputs[1]
    local = minimiser_stability(memory, RATES[0])
    minimum = minimise(memory)
    cycle = two_cycle(memory, RATES[0])
    rates = np.concatenate([[local.critical_rate * 1.0001], CYCLE_RATES[local.critical_rate * 1.0001 < CYCLE_RATES]])
    cycles, last = [], []
    initial = landscape.weights(memory, np.array(start))
    with request.bar(len(rates) + len(LONG_RATES), "what descent ends in") as bar:
        for rate in rates:
            cycles.append(two_cycle(memory, float(rate)))
            bar.update(1)
        for rate in LONG_RATES:
            run = simulate(memory, GradientDescent(float(rate)), steps=LONG_RUN, observe=("loss",), initial=initial,
                           save=at(range(LONG_RUN - LAST_STATES + 1, LONG_RUN + 1)))  # fmt: skip
            last.append(run["loss"][-LAST_STATES:])
            bar.update(1)
    return {
        "minimiser": difference @ np.asarray(minimum.weights),
        "minimum": np.array([minimum.loss, local.sharpness, local.critical_rate]),
        "cycle": difference @ cycle.weights,
        "cycle_loss": cycle.loss,
        "cycle_sharpness": cycle.sharpness,
        "cycle_shown": np.array([cycle.closure, cycle.multiplier, cycle.separation]),
        "cycles_rate": rates,
        "cycles_loss": np.array([_ordered(each) for each in cycles]),
        "cycles_multiplier": np.array([each.multiplier for each in cycles]),
        "end_rate": LONG_RATES,
        "end_loss": np.array(last),
    }


def _ordered(cycle: TwoCycle) -> list[float]:
    return sorted(cycle.loss.tolist())


def _first_unstable(memory: AssociativeMemory, rates: Array, multipliers: Array) -> float:
    """Return the first rate at which the cycle's multiplier passes 1, between the given ones."""
    from scipy.optimize import brentq

    from ...analytics import two_cycle

    after = int(np.argmax(multipliers > 1.0))
    return float(
        brentq(lambda rate: two_cycle(memory, rate).multiplier - 1.0, rates[after - 1], rates[after], xtol=1e-9)
    )


def _findings(memories: dict[int, AssociativeMemory], arrays: dict[str, Any]) -> tuple[Finding, ...]:
    from ...dynamics import GradientDescent, at, simulate

    fast, slow = RATES
    sharpness, critical = arrays["minimum"][1:]
    closure, multiplier, _ = arrays["cycle_shown"]
    apart = min(float(np.linalg.norm(arrays["run_gamma_9"][0, -1] - point)) for point in arrays["cycle"])
    end = arrays["end_loss"][int(np.argmin(np.abs(arrays["end_rate"] - fast)))]
    away = float(max(np.abs(end[:, None] - arrays["cycle_loss"]).min(axis=1)))
    ends_there = multiplier < 1.0 and closure <= 1e-12 and away < 1e-12
    lost = _first_unstable(memories[9], arrays["cycles_rate"], arrays["cycles_multiplier"])
    run = simulate(memories[39], GradientDescent(slow), steps=FALL[1], observe=("sharpness",), save=at(FALL),
                   initial=landscape.weights(memories[39], np.array(PANELS[0][2])))  # fmt: skip
    late, peak = float(run["sharpness"][-1]), float(arrays["run_sharpness_39"][1].max())
    ratio = sharpness * slow / 2.0
    return (
        Finding(
            "The minimum at which descent of rate 1 ends has a sharpness greater than 2/eta (sharpness over 2/eta, for "
            "which the text of the paper says more than 1)",
            ratio, ratio, ratio, "exact minimiser, seed 9", judged(ratio, ratio, at_least=1.0),
        ),
        Finding(
            f"At rate 10, beyond 2/H* = {critical:.4g}, descent ends in a stable cycle of period two (modulus of the "
            f"largest eigenvalue of two steps; the run is {apart:.1e} from the cycle at step {LAST_STEP})",
            multiplier, multiplier, multiplier,
            f"cycle solved for, closure {closure:.0e} <= 1e-12; the losses of a run's last {LAST_STATES} of {LONG_RUN} "
            "states are the cycle's",
            "supported" if ends_there else "refuted",
        ),
        Finding(
            "This cycle is stable at every rate from 2/H* to twice 2/H* (rate at which its multiplier first passes 1, "
            "over 2/H*)",
            lost / critical, lost / critical, lost / critical,
            f"cycles solved for at {len(arrays['cycles_rate'])} rates up to 40, the passage by root finding",
            judged(lost / critical, lost / critical, at_least=2.0),
        ),
        Finding(
            f"Where the tokens are separable the sharpness goes to zero: at rate 1 it falls more than a thousandfold "
            f"from its peak by step {FALL[1]} (its value there over the peak)",
            late / peak, late / peak, late / peak, "one deterministic run, seed 39",
            judged(late / peak, late / peak, at_most=1e-3),
        ),
    )  # fmt: skip


FIGURES = (
    Definition(
        "cabannes2024.fig5",
        "Sharpness along gradient descent: separable tokens, a minimum, a cycle of period two",
        5.5,
        compute,
        draw,
        quirks=(
            "the loss on the grid is divided by the number of tokens, 100 x 100 points",
            "a tie counts for the first class",
            "axes of the sharpness have no numbers, and neither minimiser nor 2/eta is shown",
            "the first row, with more tokens than dimensions, is called over-parameterised; it is separable",
            "gamma is drawn as (u_1 - u_2)^T W, the negative of eq. (21)",
        ),
        caption=(
            "Descent at $\\eta = 10$ (blue) and $\\eta = 1$ (red) over level lines of the loss (left) and of the "
            "sharpness (middle), and the sharpness by step (right). Separable tokens: the slow run crosses the sharp "
            "region near $W = 0$ and the fast one jumps over it; then the sharpness goes to zero. Tokens that are not: "
            "at $\\eta = 1$ descent converges to the minimiser (cross), of sharpness $H_* < 2/\\eta$; at $\\eta = 10$, "
            "where $H_* > 2/\\eta$, it ends in the cycle of period two (diamonds) that Newton's method finds without "
            "simulation. Below, the losses of the last states of long runs (dots) leave the minimum at "
            "$\\eta = 2/H_*$ and follow the cycle (line) for as long as that is stable."
        ),
    ),
)
