"""Deterministic rules: gradient flow, and gradient descent with momentum."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .numbers import real
from .schedules import LearningRate, checked_learning_rate, rate_at, stable_digest


@dataclass(frozen=True)
class GradientFlow:
    r"""Move down the gradient in continuous time: $dW = -\nabla L(W) dt$.

    Arguments:
        rtol: relative tolerance of the integration, in [1e-13, 1e-2).

    Raises: InputError. Source: Cabannes, Simsek, Bietti 2024, equation (4).

    >>> GradientFlow()
    GradientFlow(rtol=1e-10)
    """

    rtol: float = 1e-10

    def __post_init__(self) -> None:
        object.__setattr__(self, "rtol", real("rtol", self.rtol, least=1e-13, below=1e-2))

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the rule."""
        return stable_digest(["GradientFlow", self.rtol])


@dataclass(frozen=True)
class GradientDescent:
    r"""Move by whole steps: $V \leftarrow \beta V + \nabla L(W)$, $W \leftarrow W - \eta_t V$.

    Arguments:
        learning_rate: eta > 0, or a schedule step -> eta_t >= 0.
        momentum: beta in [0, 1), Polyak's heavy ball.

    Raises: InputError. Source: Cabannes, Simsek, Bietti 2024, equation (5).

    >>> GradientDescent(learning_rate=10.0)
    GradientDescent(learning_rate=10.0, momentum=0.0)
    """

    learning_rate: LearningRate
    momentum: float = 0.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "learning_rate", checked_learning_rate(self.learning_rate))
        object.__setattr__(self, "momentum", real("momentum", self.momentum, least=0.0, below=1.0))

    def rate(self, step: int) -> float:
        """Return eta_t."""
        return rate_at(self.learning_rate, step)

    def init(self, weights: NDArray[Any]) -> dict[str, NDArray[Any]]:
        """Return the memory of a run that starts at `weights`: the velocity, zero."""
        return {"velocity": np.zeros_like(weights)}

    def step(
        self, weights: NDArray[Any], gradient: NDArray[Any], memory: Mapping[str, NDArray[Any]], step: int
    ) -> tuple[NDArray[Any], dict[str, NDArray[Any]]]:
        """Return the next weights and memory: the equation as printed, for problems of your own."""
        velocity = self.momentum * memory["velocity"] + gradient
        return weights - self.rate(step) * velocity, {"velocity": velocity}

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the rule and its schedule."""
        return stable_digest(["GradientDescent", self.learning_rate, self.momentum])
