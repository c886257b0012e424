"""What theory says of the runs of the experiment on noise."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from .noise_runs import FREQUENCIES, tokens

if TYPE_CHECKING:
    from ...dynamics import AssociativeMemory

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Rest:
    """Minibatch descent at rest around the minimum of a memory with noisy labels, in the linear theory.

    Attributes: for two tokens the deviation of gamma_1 and the lift of the mean margin above that of the minimum (for
    others 0); the loss above that of the minimum, and the longest relaxation time in steps.

    At rest the mean step is zero, so that with independent inputs the mean sigmoid of each margin m is 1 - rho,
    whatever the rate and the batch. To second order in the swing this lifts m by (1/2 - rho) Var(m).
    """

    deviation: float
    lift: float
    excess: float
    relaxation: float


def minimum(memory: AssociativeMemory, label_noise: float) -> Floats:
    """Return the W with the softmax of the labels on every token, for independent inputs and outputs.

    >>> from traindyn.analytics import label_noise_margin
    >>> memory = tokens(0.95)
    >>> scores = memory.scores(minimum(memory, 0.1))
    >>> bool(abs(scores[0, 0] - scores[0, 1] - label_noise_margin(0.1)) < 1e-9)
    True
    """
    from ...analytics import label_noise_margin

    scores = np.zeros((memory.n_tokens, memory.n_classes))
    scores[np.arange(memory.n_tokens), memory.targets] = label_noise_margin(label_noise, memory.n_classes)
    return np.asarray(np.linalg.pinv(memory.outputs) @ scores.T @ np.linalg.pinv(memory.inputs).T)


def rest(memory: AssociativeMemory, label_noise: float, learning_rate: float, batch_size: int) -> Rest:
    """Return how the minibatches of a memory, given without its label noise, come to rest."""
    from ...analytics import gradient_noise_covariance, stationary_covariance
    from ...kernels import hessian

    noisy, weights = memory.with_label_noise(label_noise), minimum(memory, label_noise)
    curvature = hessian(weights, noisy.inputs, noisy.outputs, noisy.targets, noisy.frequencies)
    noise = gradient_noise_covariance(noisy, weights)
    covariance = stationary_covariance(curvature, noise, learning_rate, batch_size)
    values = np.linalg.eigvalsh(curvature)
    slowest = values[values > 1e-10 * values[-1]][0]
    deviation = raised = 0.0
    if memory.n_tokens == 2:
        # m_x = +-(u_1 - u_2)^T W e_x, gamma_1 = (m_1 - m_2) / 2
        contrast = memory.outputs[0] - memory.outputs[1]
        modes = np.array([np.outer(contrast, point).ravel() for point in memory.inputs])
        mode = modes.sum(axis=0) / 2.0
        deviation = math.sqrt(mode @ covariance @ mode)
        raised = (0.5 - label_noise) * float(np.mean([mode @ covariance @ mode for mode in modes]))
    return Rest(
        deviation, raised, 0.5 * float(np.trace(curvature @ covariance)), float(1.0 / (learning_rate * slowest))
    )


def swing_law(correlation: float, batch_size: int, first: int) -> float:
    """Return the root mean square of gamma_1 minus its limit over the steps [first, 2 first), by the law."""
    from ...analytics import minibatch_tilt_spread

    steps = np.arange(first, 2 * first)
    return float(np.sqrt(np.mean(minibatch_tilt_spread(correlation, FREQUENCIES, batch_size, steps) ** 2)))


def giving_up(correlation: float) -> float:
    """Return the input noise at which the minimum of the noisy loss has margin zero on the rare token."""
    from scipy.optimize import brentq

    from ...analytics import noisy_input_minimum

    memory = tokens(correlation)
    guess = math.sqrt((1.0 - correlation) / math.log(FREQUENCIES[0] / FREQUENCIES[1]))
    return float(
        brentq(lambda noise: noisy_input_minimum(memory, noise).margins[1], 0.7 * guess, 1.4 * guess, xtol=1e-6)
    )
