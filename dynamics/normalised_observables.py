"""What can be seen of a memory with a normalisation: functions of a `State`."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from . import observables

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .problem import State


def weight_norm(state: State) -> float:
    """Frobenius norm of W, without the gain."""
    return float(np.linalg.norm(state.problem.matrix_and_gain(state.weights)[0]))


def gain(state: State) -> float:
    """The gain, trained or not."""
    return float(state.problem.matrix_and_gain(state.weights)[1])


def rate_factor(state: State) -> float:
    """1/|W|^2: the direction W/|W| moves as at |W| = 1 with the learning rate times this; infinite at W = 0."""
    squared = weight_norm(state) ** 2
    return 1.0 / squared if squared > 0.0 else math.inf


def hidden_norm(state: State) -> NDArray[np.float64]:
    """(N,): the length of W e_x."""
    matrix, _ = state.problem.matrix_and_gain(state.weights)
    return np.asarray(np.linalg.norm(state.problem.memory.inputs @ matrix.T, axis=1))


def normalised(state: State) -> NDArray[np.float64]:
    """(N, d): the normalised hidden vectors, without the gain."""
    return state.problem.normalised(state.weights)  # type: ignore[no-any-return]


def gradient(state: State) -> NDArray[np.float64]:
    """The gradient of the loss, in the shape of the weights."""
    return state.problem.loss_and_gradient(state.weights)[1]  # type: ignore[no-any-return]


def gradient_norm(state: State) -> float:
    """Frobenius norm of the gradient."""
    return float(np.linalg.norm(gradient(state)))


def radial_share(state: State) -> float:
    """<W, gradient by W> / (|W| |gradient by W|), 0 where the gradient is."""
    matrix, _ = state.problem.matrix_and_gain(state.weights)
    slope, _ = state.problem.matrix_and_gain(gradient(state))
    sizes = float(np.linalg.norm(matrix) * np.linalg.norm(slope))
    return float(np.sum(matrix * slope)) / sizes if sizes > 0.0 else 0.0


NORMALISED_OBSERVABLES: Mapping[str, Callable[[State], Any]] = {
    function.__name__: function
    for function in (
        observables.loss, observables.accuracy, observables.accuracy_first_index, observables.margin,
        observables.smallest_margin, observables.scores, observables.margins, observables.probabilities,
        observables.weights, weight_norm, gain, rate_factor, hidden_norm, normalised, gradient, gradient_norm,
        radial_share,
    )
}  # fmt: skip
