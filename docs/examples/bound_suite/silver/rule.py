"""A rule of one's own: gradient descent with the silver step sizes of Altschuler and Parrilo (2023)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

SILVER_RATIO = 1.0 + math.sqrt(2.0)


def silver_step(step: int) -> float:
    """Return 1 + rho^(v - 1) where 2^v is the largest power of two that divides step + 1.

    >>> [round(silver_step(step), 3) for step in range(7)]
    [1.414, 2.0, 1.414, 3.414, 1.414, 2.0, 1.414]
    """
    power = ((step + 1) & -(step + 1)).bit_length() - 1
    return 1.0 + SILVER_RATIO ** (power - 1)


@dataclass(frozen=True)
class SilverDescent:
    """Steps of silver length, in units of 1 / smoothness."""

    smoothness: float

    def rate(self, step: int) -> float:
        """Return the learning rate of a step; `simulate` adds them up to the time."""
        return silver_step(step) / self.smoothness

    def init(self, weights: NDArray[np.float64]) -> Mapping[str, NDArray[np.float64]]:
        """Return the memory of a run: none."""
        return {}

    def step(
        self,
        weights: NDArray[np.float64],
        gradient: NDArray[np.float64],
        memory: Mapping[str, NDArray[np.float64]],
        step: int,
    ) -> tuple[NDArray[np.float64], Mapping[str, NDArray[np.float64]]]:
        """Return the weights after the step."""
        return weights - self.rate(step) * gradient, memory
