"""Adam and AdamW: steps scaled weight by weight."""

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
class Adam:
    r"""Divide the averaged gradient by the root of its averaged square, entry by entry.

    $$M \leftarrow \beta_1 M + (1-\beta_1) G, \quad R \leftarrow \beta_2 R + (1-\beta_2) G^2, \quad
    W \leftarrow W - \eta_t \frac{M / (1-\beta_1^{t+1})}{\sqrt{R / (1-\beta_2^{t+1})} + \epsilon}.$$

    The division depends on the basis of the weights, so the rule has no particle form.

    Arguments:
        learning_rate: eta > 0, or a schedule step -> eta_t >= 0.
        first_decay, second_decay: beta_1 and beta_2, in [0, 1).
        epsilon: > 0.

    Raises: InputError. Source: Kingma, Ba 2015, algorithm 1.

    >>> Adam(learning_rate=0.1).second_decay
    0.999
    """

    learning_rate: LearningRate
    first_decay: float = 0.9
    second_decay: float = 0.999
    epsilon: float = 1e-8

    def __post_init__(self) -> None:
        object.__setattr__(self, "learning_rate", checked_learning_rate(self.learning_rate))
        for name in ("first_decay", "second_decay"):
            object.__setattr__(self, name, real(name, getattr(self, name), least=0.0, below=1.0))
        object.__setattr__(self, "epsilon", real("epsilon", self.epsilon, above=0.0))

    @property
    def decay(self) -> float:
        """The decoupled weight decay: none."""
        return 0.0

    def rate(self, step: int) -> float:
        """Return eta_t."""
        return rate_at(self.learning_rate, step)

    def init(self, weights: NDArray[Any]) -> dict[str, NDArray[Any]]:
        """Return the memory of a run that starts at `weights`: both moments, zero."""
        return {"first_moment": np.zeros_like(weights), "second_moment": np.zeros_like(weights)}

    def step(
        self, weights: NDArray[Any], gradient: NDArray[Any], memory: Mapping[str, NDArray[Any]], step: int
    ) -> tuple[NDArray[Any], dict[str, NDArray[Any]]]:
        """Return the next weights and memory: the equation as printed, for problems of your own."""
        first = self.first_decay * memory["first_moment"] + (1.0 - self.first_decay) * gradient
        second = self.second_decay * memory["second_moment"] + (1.0 - self.second_decay) * gradient**2
        scaled = (first / (1.0 - self.first_decay ** (step + 1))) / (
            np.sqrt(second / (1.0 - self.second_decay ** (step + 1))) + self.epsilon
        )
        moved = weights - self.rate(step) * (scaled + self.decay * weights)
        return moved, {"first_moment": first, "second_moment": second}

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the rule and its schedule."""
        parts = [self.learning_rate, self.first_decay, self.second_decay, self.epsilon, self.decay]
        return stable_digest([type(self).__name__, *parts])


@dataclass(frozen=True)
class AdamW(Adam):
    r"""Adam with decoupled weight decay: $- \eta_t \lambda W$ is added to each step.

    Arguments: those of `Adam`, and
        weight_decay: lambda >= 0.

    Source: Loshchilov, Hutter 2019, algorithm 2.

    >>> AdamW(learning_rate=0.1).weight_decay
    0.01
    """

    weight_decay: float = 0.01

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "weight_decay", real("weight_decay", self.weight_decay, least=0.0))

    @property
    def decay(self) -> float:
        """The decoupled weight decay."""
        return self.weight_decay
