"""A problem of one's own: a quadratic bowl. Its two methods are all that `simulate` needs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from traindyn.dynamics import State


@dataclass(frozen=True, eq=False)
class Quadratic:
    """Loss 1/2 sum_i curvature_i w_i^2, from `start`; both have shape (n,)."""

    curvature: NDArray[np.float64]
    start: NDArray[np.float64]

    @property
    def smoothness(self) -> float:
        """The largest curvature L."""
        return float(self.curvature.max())

    def initial_weights(self) -> NDArray[np.float64]:
        """Return the start."""
        return self.start

    def loss_and_gradient(self, weights: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        """Return the loss and its gradient."""
        gradient = self.curvature * weights
        return 0.5 * float(weights @ gradient), gradient


def distance(state: State) -> float:
    """An observable of one's own: the distance to the minimum."""
    return float(np.linalg.norm(state.weights))
