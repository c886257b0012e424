"""Figure 4 of Cabannes, Simsek, Bietti 2024: the minimiser of the cross entropy forgets more than it must."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from . import landscape
from .cabannes2024_fig4_drawing import draw
from .definition import Definition, Numbers
from .finding import Finding, judged
from .request import Request

if TYPE_CHECKING:
    from ...analytics import Memory
    from ...dynamics import AssociativeMemory

Array = NDArray[np.float64]

# seed, number of tokens, window of gamma_1 and gamma_2
PANELS = (
    (39, 3, ((-10.0, 10.0), (-10.0, 10.0))),
    (81, 3, ((-2.0, 2.0), (-2.0, 2.0))),
    (7, 30, ((-5.0, 5.0), (-5.0, 5.0))),
    (9, 30, ((-1.0, 0.5), (-0.5, 1.5))),
)
PUBLISHED_POINTS, POINTS = 100, 201

SEED, TOKENS, EXPONENT = 11, 10, 2.0
WINDOW = ((-10.0, 10.0), (-10.0, 10.0))
START = (7.5, 2.5)
RATE, BATCH = 0.1, 10
LAST_STEP, RUNS = 999, 100  # the authors look at 1000 states of one run
PATHS = 12  # runs whose way through the plane is kept


class Forgetting(NamedTuple):
    """What the minimiser of the cross entropy answers wrongly, and what the best W answers wrongly."""

    gamma: Array | None
    """The minimiser in the plane, shape (2,); None for a separable problem."""
    direction: Array
    """Unit vector: inside the best sector, the max-margin direction of a separable problem."""
    loss: float
    """Least cross entropy."""
    margins: Array
    """Margins at the minimiser, shape (N,); those of `direction` for a separable problem."""
    error: float
    """0-1 loss of the minimiser."""
    least_error: float
    """Least 0-1 loss of any W."""
    sharpness: float
    """Largest eigenvalue of the Hessian at the minimiser; 0 for a separable problem."""

    @property
    def excess(self) -> float:
        """0-1 loss of the minimiser above the least one."""
        return self.error - self.least_error


def forgetting(memory: Memory) -> Forgetting:
    """Return what a two-class memory in the plane forgets at the minimiser of the cross entropy, exactly.

    Cost: a millisecond. Source: Section 5.1, Figure 4.

    >>> from traindyn.dynamics import cabannes2024
    >>> answer = forgetting(cabannes2024.circle_memory(seed=81, n_tokens=3))
    >>> answer.gamma.round(6), round(answer.excess, 6)
    (array([ 0.632166, -1.14932 ]), 0.272727)
    """
    from ...analytics import accuracy_optimum, minimise

    difference = memory.outputs[0] - memory.outputs[1]
    signed = memory.inputs * np.where(memory.targets == 0, 1.0, -1.0)[:, None]
    answer, best = minimise(memory), accuracy_optimum(memory)
    least = 1.0 - best.lower
    if answer.separable:
        direction = difference @ np.asarray(answer.direction)
        direction = direction / np.linalg.norm(direction)
        return Forgetting(None, direction, 0.0, signed @ direction, 0.0, least, 0.0)
    gamma = np.asarray(difference @ np.asarray(answer.weights))
    direction = difference @ best.direction
    margins = signed @ gamma
    error = math.fsum(memory.frequencies[margins <= 0.0])
    sharpness = float(landscape.sharpness(memory, gamma))
    return Forgetting(gamma, direction / np.linalg.norm(direction), answer.loss, margins, error, least, sharpness)


def on_grid(loss: Array, error: Array, points: Array) -> tuple[Array, float, float]:
    """Return minimiser, 0-1 loss there and least 0-1 loss as the authors find them, on a grid.

    The least 0-1 loss leaves out the cells with |gamma_1| < 1 or |gamma_2| < 1.
    """
    where = np.unravel_index(np.argmin(loss), loss.shape)
    seen = np.where((np.abs(points) < 1.0).any(axis=-1), 1.0, error)
    return points[where], float(error[where]), float(seen.min())


def compute(request: Request) -> Numbers:
    """Return the four landscapes with what their minimisers forget, and stochastic descent on a fifth problem.

    As published: everything on grids of 100 x 100 points, ties to the first class, one run. Otherwise exact minimisers
    and best sectors, and 100 runs.
    """
    from ...dynamics import cabannes2024

    as_published = request.as_published
    memories = [cabannes2024.circle_memory(seed, count) for seed, count, _ in PANELS]
    stochastic = cabannes2024.circle_memory(SEED, TOKENS, EXPONENT)
    arrays: dict[str, Any] = {"seed": np.array([panel[0] for panel in PANELS])}
    answers = []
    for (seed, _, window), memory in zip((*PANELS, (SEED, TOKENS, WINDOW)), (*memories, stochastic), strict=True):
        answers.append(_landscape(memory, window, as_published, seed, arrays))
    with request.bar(1 if as_published else RUNS, "stochastic descent") as bar:
        arrays |= _descents(stochastic, as_published, request.rng, bar)
    parameters = {
        "panels": [{"seed": seed, "tokens": count, "window": window} for seed, count, window in PANELS],
        "descent": {"seed": SEED, "tokens": TOKENS, "exponent": EXPONENT, "start": START, "learning_rate": RATE,
                    "batch_size": BATCH, "runs": len(arrays["descent_loss"]), "least_loss": answers[-1].loss},
        "points": PUBLISHED_POINTS if as_published else POINTS,
        "rng": request.rng,
    }  # fmt: skip
    digests = {
        f"seed {m}": memory.digest for m, memory in zip((*arrays["seed"], SEED), (*memories, stochastic), strict=True)
    }
    findings = () if as_published else _findings(answers, arrays)
    return Numbers(arrays, parameters, digests, findings)


def _landscape(
    memory: AssociativeMemory, window: tuple[tuple[float, float], tuple[float, float]], as_published: bool, seed: int,
    arrays: dict[str, Any],
) -> Forgetting:  # fmt: skip
    """Put what a panel shows into the arrays, under names that end in its seed."""
    x, y, points = landscape.grid(*window, PUBLISHED_POINTS if as_published else POINTS)
    loss = landscape.loss(memory, points)
    arrays[f"gamma_1_{seed}"], arrays[f"gamma_2_{seed}"] = x, y
    arrays[f"loss_{seed}"] = loss / memory.n_tokens if as_published else loss
    answer = forgetting(memory)
    if as_published:
        error = landscape.error_rate(memory, points, first_index=True)
        gamma, at_minimiser, least = on_grid(loss, error, points)
        arrays[f"error_{seed}"] = error
        arrays[f"minimiser_{seed}"] = gamma
        arrays[f"errors_{seed}"] = np.array([at_minimiser, least, int(100 * (at_minimiser - least)) / 100])
        return answer
    arrays[f"edges_{seed}"], arrays[f"sector_error_{seed}"] = landscape.sectors(memory)
    arrays[f"minimiser_{seed}"] = np.full(2, np.nan) if answer.gamma is None else answer.gamma
    arrays[f"direction_{seed}"] = answer.direction
    arrays[f"errors_{seed}"] = np.array([answer.error, answer.least_error, answer.excess])
    arrays[f"margin_{seed}"] = answer.margins
    return answer


def _descents(memory: AssociativeMemory, as_published: bool, rng: int, bar: Any) -> dict[str, Any]:
    """Return losses, 0-1 losses and places of runs of stochastic descent, one row a run."""
    from ...dynamics import StochasticGradientDescent, simulate

    accuracy = "accuracy_first_index" if as_published else "accuracy"
    runs = []
    for key in range(1 if as_published else RUNS):
        runs.append(
            simulate(
                memory,
                StochasticGradientDescent(learning_rate=RATE, batch_size=BATCH),
                steps=LAST_STEP,
                observe=("loss", accuracy, *(("weights",) if key < PATHS else ())),
                initial=landscape.weights(memory, np.array(START)),
                rng=np.random.default_rng(np.random.SeedSequence(rng, spawn_key=(key,))),
            )
        )
        bar.update(1)
    difference = memory.outputs[0] - memory.outputs[1]
    return {
        "descent_loss": np.stack([run["loss"] for run in runs]),
        "descent_error": 1.0 - np.stack([run[accuracy] for run in runs]),
        "descent_gamma": np.stack([difference @ run["weights"] for run in runs[:PATHS]]),
    }


def _findings(answers: list[Forgetting], arrays: dict[str, Any]) -> tuple[Finding, ...]:
    from ...dynamics import cabannes2024
    from ..experiments.intervals import proportion

    stuck = [answer for answer in answers if answer.gamma is not None]
    excess = min(answer.excess for answer in stuck)
    kept, lost = answers[1].margins[0], answers[3].margins[0]
    three = forgetting(cabannes2024.forgetful_memory("B")).margins[0]
    error, least = arrays["descent_error"], answers[-1].least_error
    passed = (error <= least + 1e-12).any(axis=1)
    left = passed & (error[:, -1] > least + 1e-12)
    share = proportion(int(left.sum()), len(left))
    return (
        Finding(
            f"The minimiser of the cross entropy makes more errors than the best W in all {len(stuck)} problems shown "
            "that are not separable (least excess 0-1 loss)",
            excess, excess, excess, "exact minimisers and sectors", judged(excess, excess, at_least=1e-9),
        ),
        Finding(
            "In the published example with three tokens the minimiser forgets the most frequent one (its margin, which "
            "would have to be negative)",
            kept, kept, kept, "exact minimiser, seed 81", judged(kept, kept, at_most=0.0),
        ),
        Finding(
            "There are three tokens of which the minimiser forgets the most frequent one (its margin, for unit "
            "embeddings at 180, 210 and 330 degrees and frequencies 0.40, 0.35, 0.25)",
            three, three, three, "exact minimiser", judged(three, three, at_most=0.0),
        ),
        Finding(
            "In the published example of seed 9, with thirty tokens, the minimiser forgets the most frequent one (its "
            "margin)",
            lost, lost, lost, "exact minimiser, seed 9", judged(lost, lost, at_most=0.0),
        ),
        Finding(
            "Most runs of stochastic descent reach the least 0-1 loss and have left it by step 999 (share of runs)",
            *share, f"95 % interval over {len(left)} runs", judged(*share[1:], at_least=0.5),
        ),
    )  # fmt: skip


FIGURES = (
    Definition(
        "cabannes2024.fig4",
        "Forgetting: the minimiser of the cross entropy against the least 0-1 loss, N > d",
        2.5,
        compute,
        draw,
        quirks=(
            "minimiser, 0-1 loss there and least 0-1 loss are those of a grid of 100 x 100 points",
            "the least 0-1 loss leaves out cells with |gamma_1| < 1 or |gamma_2| < 1",
            "the excess risk of the titles is cut off after two decimals",
            "the loss of the landscapes is divided by the number of tokens, that of the traces by 2",
            "a tie counts for the first class",
            "one run of stochastic descent; its batches cannot be those of the authors",
            "gamma is drawn as (u_1 - u_2)^T W, the negative of eq. (21)",
        ),
        caption=(
            "Level lines of the cross entropy over the plane in which $W$ lives, shaded by the 0-1 loss (dark: few "
            "errors); the blue sector has the least 0-1 loss of all, the red dot minimises the cross entropy. Three "
            "tokens can be separable, so that the loss falls for ever along the max-margin direction (seed 39); where "
            "they are not, the dot lies outside the best sector. In the paper's example of three tokens the most "
            "frequent token is kept; with seed 9 it is forgotten. Below, stochastic descent passes through the best "
            "sector and leaves it, while the cross entropy goes on falling."
        ),
    ),
)
