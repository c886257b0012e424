"""What can be seen of a memory whose W has a structure: functions of a `State`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from . import observables
from .one_thread import one_thread

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .problem import State


def product(state: State) -> NDArray[np.float64]:
    """(d, d): W."""
    return state.problem.product(state.weights)  # type: ignore[no-any-return]


def singular_values(state: State) -> NDArray[np.float64]:
    """(d,): of W, the largest first."""
    with one_thread(state.problem.dim, state.problem.dim):
        return np.asarray(np.linalg.svd(product(state), compute_uv=False), dtype=np.float64)


def product_norm(state: State) -> float:
    """Frobenius norm of W."""
    return float(np.linalg.norm(product(state)))


def nuclear_norm(state: State) -> float:
    """Sum of the singular values of W."""
    return float(singular_values(state).sum())


def gradient(state: State) -> NDArray[np.float64]:
    """The gradient of the loss, in the shape of the weights."""
    return state.problem.loss_and_gradient(state.weights)[1]  # type: ignore[no-any-return]


def gradient_norm(state: State) -> float:
    """Frobenius norm of the gradient."""
    return float(np.linalg.norm(gradient(state)))


def balance(state: State) -> NDArray[np.float64]:
    """(k, r, r): A^T A - B^T B of each block, which gradient flow conserves."""
    factors = np.asarray(state.weights, dtype=np.float64)
    left, right = factors.reshape(2, state.problem.blocks, -1, factors.shape[2])
    return left.transpose(0, 2, 1) @ left - right.transpose(0, 2, 1) @ right


def imbalance(state: State) -> float:
    """Frobenius norm of the balance."""
    return float(np.linalg.norm(balance(state)))


def rate_gain(state: State) -> float:
    """Squared norm of the gradient by the factors, in units of that by W within its blocks; 1 where that is zero."""
    weights = np.asarray(state.weights, dtype=np.float64)
    whole = state.problem.loss_and_full_gradient(weights)[1]
    squared = float(np.sum(whole**2))
    return float(np.sum(state.problem.loss_and_gradient(weights)[1] ** 2)) / squared if squared > 0.0 else 1.0


STRUCTURED_OBSERVABLES: Mapping[str, Callable[[State], Any]] = {
    function.__name__: function
    for function in (
        observables.loss, observables.accuracy, observables.accuracy_first_index, observables.margin,
        observables.smallest_margin, observables.scores, observables.margins, observables.probabilities,
        observables.weights, observables.weight_norm, product, singular_values, product_norm, nuclear_norm,
        gradient, gradient_norm,
    )
}  # fmt: skip
"""Of every memory with a structure."""

FACTORISED_OBSERVABLES: Mapping[str, Callable[[State], Any]] = {
    **STRUCTURED_OBSERVABLES,
    **{function.__name__: function for function in (balance, imbalance, rate_gain)},
}
"""Of a memory with two factors."""
