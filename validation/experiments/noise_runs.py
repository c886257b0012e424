"""Runs of the experiment on noise: which problems and rules, and what is measured of each run."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from ...dynamics import AssociativeMemory, Measure, Trajectory

Floats = NDArray[np.float64]

FREQUENCIES = (0.75, 0.25)
SUBSTEPS = 8
"""Steps of the stochastic flow for one step of descent."""

N_TOKENS, DIM = 10, 16
"""Tokens and classes of the larger memory, and its dimension."""

RISE = 1e-12


def tokens(correlation: float) -> AssociativeMemory:
    """Return the two tokens."""
    from ...dynamics import AssociativeMemory

    return AssociativeMemory.two_tokens(correlation, FREQUENCIES)


def descent(correlation: float, learning_rate: float) -> tuple[Any, Any]:
    """Full batch."""
    from ...dynamics import GradientDescent

    return tokens(correlation), GradientDescent(learning_rate)


def batches(correlation: float, learning_rate: float, batch_size: int, seed: int) -> tuple[Any, Any]:
    """Minibatches."""
    from ...dynamics import StochasticGradientDescent

    return tokens(correlation), StochasticGradientDescent(learning_rate, batch_size)


def gradient_noise(correlation: float, learning_rate: float, batch_size: int, seed: int) -> tuple[Any, Any]:
    """Stochastic flow with the covariance of minibatches."""
    from ...dynamics import GradientNoise, StochasticGradientFlow

    noise = GradientNoise(batch_size, learning_rate)
    return tokens(correlation), StochasticGradientFlow(noise, learning_rate / SUBSTEPS)


def constant_noise(correlation: float, learning_rate: float, batch_size: int, seed: int) -> tuple[Any, Any]:
    """Stochastic flow whose noise keeps for ever the size that it has at the start, the same in every direction."""
    from ...analytics import gradient_noise_covariance
    from ...dynamics import StochasticGradientFlow

    memory = tokens(correlation)
    variance = float(np.trace(gradient_noise_covariance(memory, memory.initial_weights())))
    ranks = memory.gradient_span.ranks
    sigma = math.sqrt(learning_rate / batch_size * variance / (ranks[0] * ranks[1]))
    return memory, StochasticGradientFlow(sigma, learning_rate / SUBSTEPS)


def wrong_labels(
    correlation: float, label_noise: float, learning_rate: float, batch_size: int, seed: int
) -> tuple[Any, Any]:
    """Minibatches of tokens with noisy labels."""
    from ...dynamics import StochasticGradientDescent

    return tokens(correlation).with_label_noise(label_noise), StochasticGradientDescent(learning_rate, batch_size)


def larger(label_noise: float, learning_rate: float, batch_size: int, seed: int) -> tuple[Any, Any]:
    """Minibatches of a random memory with as many classes as tokens and noisy labels."""
    from ...dynamics import AssociativeMemory, StochasticGradientDescent

    memory = AssociativeMemory.random(N_TOKENS, N_TOKENS, DIM, rng=seed)
    return memory.with_label_noise(label_noise), StochasticGradientDescent(learning_rate, batch_size)


def noisy_inputs(correlation: float, input_noise: float, batch_size: int, seed: int) -> tuple[Any, Any]:
    """Minibatches of tokens with noisy inputs."""
    from ...dynamics import StochasticGradientDescent

    return tokens(correlation), StochasticGradientDescent(1.0, batch_size, input_noise)


def _clean(run: Trajectory) -> Floats:
    """Return the margins of the true labels: those of the first two tokens, (steps, 2)."""
    return np.asarray(run["margin"][:, :2])


def _tilt(run: Trajectory) -> Floats:
    """Return gamma_1 minus its limit without noise."""
    margins, p = _clean(run), run.problem.frequencies
    return np.asarray((margins[:, 0] - margins[:, 1]) / 2.0 - 0.5 * math.log(p[0] / p[1]))


def _late(values: Floats) -> Floats:
    """Return the second half of a run."""
    return values[len(values) // 2 :]


def settled(run: Trajectory) -> float:
    """T_settle = 1 + the last step with a wrong token; where that lies in the last tenth, the length of the run.

    The length is a lower bound then; the median over runs of which more than half settle does not depend on it.
    """
    wrong = np.flatnonzero((_clean(run) <= 0.0).any(axis=1))
    last = int(wrong[-1]) + 1 if wrong.size else 0
    return float(run.step[last if last <= 0.9 * run.step[-1] else -1])


def last_rise(run: Trajectory) -> float:
    """T_osc = 1 + the last step after which the loss is higher."""
    loss = run["loss"]
    rises = np.flatnonzero(np.diff(loss) > RISE * loss[:-1])
    return float(run.step[rises[-1]]) + 1.0 if rises.size else 0.0


def peak(run: Trajectory) -> float:
    """Largest loss."""
    return float(run["loss"].max())


def loss_constant(run: Trajectory) -> float:
    """K = eta t L at the end."""
    return float(run.time[-1] * run["loss"][-1])


def tilt_deviation(run: Trajectory) -> float:
    """Standard deviation of gamma_1 over the second half."""
    return float(_late(_tilt(run)).std())


def mean_margin(run: Trajectory) -> float:
    """Mean of gamma_2, the mean of both margins, over the second half."""
    return float(_late(_clean(run)).mean())


def mean_probability(run: Trajectory) -> float:
    """Mean over both tokens and the second half of the probability that the model gives to the true label."""
    return float((1.0 / (1.0 + np.exp(-_late(_clean(run))))).mean())


def late_loss(run: Trajectory) -> float:
    """Mean loss over the second half."""
    return float(_late(run["loss"]).mean())


def wrong_share(run: Trajectory) -> float:
    """Share of the steps of the second half with a wrong token."""
    return float((_late(_clean(run)) <= 0.0).any(axis=1).mean())


def frequent_margin(run: Trajectory) -> float:
    """Mean margin of the frequent token over the second half."""
    return float(_late(_clean(run))[:, 0].mean())


def rare_margin(run: Trajectory) -> float:
    """Mean margin of the rare token over the second half."""
    return float(_late(_clean(run))[:, 1].mean())


def class_margin(run: Trajectory) -> float:
    """Mean over tokens, wrong classes and the second half of the margin of the true class, of the larger memory."""
    return float(-_late(run["margin"][:, N_TOKENS:]).mean())


@dataclass(frozen=True)
class Swing:
    """Root mean square of gamma_1 minus its limit over the steps [first, 2 first)."""

    first: int

    def __call__(self, run: Trajectory) -> float:
        """Return it for a run of which every step is saved."""
        return float(np.sqrt(np.mean(_tilt(run)[self.first : 2 * self.first] ** 2)))


def swings(steps: int) -> tuple[Measure, ...]:
    """Return the swings over windows that double, up to the end of the run.

    >>> [measure.name for measure in swings(200)]
    ['swing_16', 'swing_32', 'swing_64']
    """
    from ...dynamics import Measure

    firsts = [2**k for k in range(4, 40) if 2 ** (k + 1) <= steps]
    return tuple(Measure(f"swing_{first}", ("margin",), Swing(first)) for first in firsts)


@dataclass(frozen=True)
class Size:
    """How much is run."""

    seeds: int
    correlations: tuple[float, ...]
    rates: tuple[float, ...]
    batches: tuple[int, ...]
    steps: int
    flow_rates: tuple[float, ...]
    flow_batches: tuple[int, ...]
    flow_seeds: int
    flow_steps: int
    label_noises: tuple[float, ...]
    rest_rates: tuple[float, ...]
    rest_seeds: int
    rest_steps: int
    larger_noises: tuple[float, ...]
    larger_batches: tuple[int, ...]
    larger_seeds: int
    larger_steps: int
    input_noises: tuple[float, ...]
    input_seeds: int
    input_steps: int


FULL = Size(
    seeds=100, correlations=(0.5, 0.95), rates=(0.3, 1.0, 3.0, 10.0), batches=(1, 4, 16, 64), steps=2**15,
    flow_rates=(0.1, 0.3, 1.0, 3.0), flow_batches=(1, 4, 16), flow_seeds=100, flow_steps=4000,
    label_noises=(0.01, 0.05, 0.1, 0.2), rest_rates=(0.3, 1.0, 3.0), rest_seeds=20, rest_steps=40_000,
    larger_noises=(0.05, 0.2), larger_batches=(4, 16, 64), larger_seeds=20, larger_steps=40_000,
    input_noises=(0.1, 0.14, 0.17, 0.2, 0.25, 0.3, 0.4), input_seeds=20, input_steps=20_000,
)  # fmt: skip

QUICK = Size(
    seeds=20, correlations=(0.95,), rates=(1.0, 3.0, 10.0), batches=(1, 16, 64), steps=2**13,
    flow_rates=(0.1, 1.0), flow_batches=(1,), flow_seeds=20, flow_steps=2000,
    label_noises=(0.05, 0.2), rest_rates=(1.0, 3.0), rest_seeds=6, rest_steps=8000,
    larger_noises=(0.2,), larger_batches=(64,), larger_seeds=3, larger_steps=8000,
    input_noises=(0.14, 0.2, 0.3), input_seeds=4, input_steps=8000,
)  # fmt: skip
