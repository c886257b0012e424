"""The cells of the experiment on normalisation, and what is measured of their runs."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ...dynamics import AssociativeMemory, Measure, NormalisedMemory, Trajectory

    Floats = NDArray[np.float64]

NEAR = 0.01
"""Share of the way from the first loss down to the floor that a run may be short of, to have arrived."""

TOKENS = 5
TWO_TOKEN_DIM = 10


def pair(correlation: float, first_frequency: float, seed: int) -> AssociativeMemory:
    """Return two tokens of a correlation and two orthonormal outputs in random directions of ten dimensions.

    >>> round(float(pair(0.95, 0.75, seed=0).input_gram[0, 1]), 12)
    0.95
    """
    from ...dynamics import AssociativeMemory

    generator = np.random.default_rng([seed, 2])
    across, along = (np.linalg.qr(generator.normal(size=(TWO_TOKEN_DIM, TWO_TOKEN_DIM)))[0] for _ in range(2))
    inputs = [across[0], correlation * across[0] + math.sqrt(1.0 - correlation**2) * across[1]]
    return AssociativeMemory(inputs, along[:2], [0, 1], [first_frequency, 1.0 - first_frequency])


def crowd(n_tokens: int, dim: int, seed: int) -> AssociativeMemory:
    """Return random unit inputs, five classes in turn, Zipf frequencies."""
    from ...dynamics import AssociativeMemory

    return AssociativeMemory.random(n_tokens, TOKENS, dim, frequencies="zipf", rng=np.random.SeedSequence([seed, dim]))


def normalised(memory: AssociativeMemory, normalisation: str, gain: float, seed: int, **more: Any) -> NormalisedMemory:
    """Return the memory with a normalisation, from a start that depends on the seed alone."""
    from ...dynamics import NormalisedMemory

    return NormalisedMemory(memory, normalisation, gain, rng=np.random.SeedSequence([seed, 3]), **more)


def pair_run(
    normalisation: str, gain: float, correlation: float, first_frequency: float, learning_rate: float, seed: int
) -> tuple[Any, Any]:
    """Return the problem and the rule of a cell with two tokens."""
    from ...dynamics import GradientDescent

    memory = pair(correlation, first_frequency, seed)
    return normalised(memory, normalisation, gain, seed), GradientDescent(learning_rate)


def crowd_run(normalisation: str, gain: float, dim: int, learning_rate: float, seed: int) -> tuple[Any, Any]:
    """Return the problem and the rule of a cell with five tokens and five classes."""
    from ...dynamics import GradientDescent

    return normalised(crowd(TOKENS, dim, seed), normalisation, gain, seed), GradientDescent(learning_rate)


def growth_run(setting: str, learning_rate: float, seed: int) -> tuple[Any, Any]:
    """Return the problem and the rule of a cell of the growth of W: "GD 5, 10" has 5 tokens in 10 dimensions."""
    from ...dynamics import GradientDescent, StochasticGradientDescent

    name, n_tokens, dim = setting.replace(",", "").split()
    problem = normalised(crowd(int(n_tokens), int(dim), seed), "unit", 3.0, seed)
    return problem, GradientDescent(learning_rate) if name == "GD" else StochasticGradientDescent(learning_rate, 1)


def gain_run(trained: str, n_tokens: int, learning_rate: float, seed: int) -> tuple[Any, Any]:
    """Return the problem and the rule of a cell with as many classes as tokens: a trained gain, or W alone."""
    from ...dynamics import AssociativeMemory, GradientDescent

    memory = AssociativeMemory.random(n_tokens, n_tokens, 10, frequencies="zipf", rng=np.random.SeedSequence([seed, 4]))
    if trained == "gain":
        return normalised(memory, "unit", 1.0, seed, trained_gain=True), GradientDescent(learning_rate)
    return normalised(memory, "none", 1.0, seed), GradientDescent(learning_rate)


def floor_of(problem: NormalisedMemory) -> float:
    """Return the least loss that the lengths of the normalised vectors allow: 0 without a normalisation.

    For "batch", whose vectors have length 1 on average only, it is the floor of "unit", which no more than compares.
    """
    from ...analytics import normalised_loss_floor

    if problem.normalisation == "none":
        return 0.0
    return float(normalised_loss_floor(problem.memory, problem.gain, problem.normalisation == "layer").value)


def largest_loss(problem: NormalisedMemory) -> float:
    """Return an upper bound on the loss, log(1 + (M - 1) exp(g D)), D the largest distance of two outputs."""
    outputs = problem.memory.outputs
    if problem.normalisation == "layer":
        outputs = outputs - outputs.mean(axis=1, keepdims=True)
    reach = problem.gain * np.linalg.norm(outputs[:, None] - outputs[None], axis=2).max()
    return float(np.log1p((len(outputs) - 1) * np.exp(reach)))


def peak_share(run: Trajectory) -> float:
    """Largest loss over its upper bound; 0 without a normalisation."""
    return 0.0 if run.problem.normalisation == "none" else float(run["loss"].max() / largest_loss(run.problem))


def arrival(run: Trajectory) -> float:
    """Step from which on the loss stays within 1 % of the way from its start to its floor; NaN if it does not."""
    floor = floor_of(run.problem)
    away = np.flatnonzero(run["loss"] - floor > NEAR * (run["loss"][0] - floor))
    if not away.size:
        return 0.0
    return float(run.step[away[-1] + 1]) if away[-1] + 1 < run.step.size else math.nan


def floor_excess(run: Trajectory) -> float:
    """Last loss over its floor, minus 1; NaN without a normalisation."""
    floor = floor_of(run.problem)
    return float(run["loss"][-1] / floor - 1.0) if floor > 0.0 else math.nan


def floor_value(run: Trajectory) -> float:
    """The floor itself."""
    return floor_of(run.problem)


def last_loss(run: Trajectory) -> float:
    """Last loss."""
    return float(run["loss"][-1])


def margin_share(run: Trajectory) -> float:
    """Smallest margin of two tokens at the end over its bound g |u_1 - u_2|; NaN without a normalisation."""
    if run.problem.normalisation == "none":
        return math.nan
    apart = run.problem.memory.outputs[0] - run.problem.memory.outputs[1]
    if run.problem.normalisation == "layer":
        apart = apart - apart.mean()
    return float(run["smallest_margin"][-1] / (run.problem.gain * np.linalg.norm(apart)))


def late_slope(run: Trajectory) -> float:
    """Growth of the smallest margin per unit of log t over the last decade of steps."""
    first = int(np.searchsorted(run.step, run.step[-1] / 10))
    rise = run["smallest_margin"][-1] - run["smallest_margin"][first]
    return float(rise / np.log(run.step[-1] / run.step[first]))


def norm_exponent(run: Trajectory) -> float:
    """Least-squares exponent of |W| in t over the last decade of steps."""
    first = int(np.searchsorted(run.step, run.step[-1] / 10))
    chosen = np.unique(np.searchsorted(run.step, np.geomspace(run.step[first], run.step[-1], 50)))
    return float(np.polyfit(np.log(run.step[chosen]), np.log(run["weight_norm"][chosen]), 1)[0])


def last_norm(run: Trajectory) -> float:
    """|W| at the end."""
    return float(run["weight_norm"][-1])


def late_rises(run: Trajectory) -> float:
    """Share of the steps of the last tenth at which the loss rose."""
    loss = run["loss"][-run.step.size // 10 :]
    return float(np.mean(np.diff(loss) > 1e-12 * loss[:-1]))


def loss_constant(run: Trajectory) -> float:
    """eta t L at the end over what a direction of fixed margin gives: 1 - 1/M for a trained gain, else 1/margin^2.

    With n at its best, a trained gain g has margins g sqrt(M / (M - 1)), and dg/dt = -dL/dg gives the first; the second
    is the law of a separable problem, with the hard margin of W.
    """
    from ...analytics import hard_margin

    limit = 1.0 - 1.0 / run.problem.n_classes
    if not run.problem.trained_gain:
        limit = hard_margin(run.problem.memory).margin ** -2
    return float(run.rule.learning_rate * run.step[-1] * run["loss"][-1] / limit)


def loss_per_time(run: Trajectory) -> float:
    """eta t L at the end."""
    return float(run.rule.learning_rate * run.step[-1] * run["loss"][-1])


def measures(*functions: Any) -> tuple[Measure, ...]:
    """Return the functions as measures that see what they need, at every step."""
    from ...dynamics import Measure

    seen = ("loss", "smallest_margin", "weight_norm")
    return tuple(Measure(function.__name__, seen, function) for function in functions)
