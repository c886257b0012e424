"""What can be seen of an associative memory: functions of a `State`, as the equations say.

The descent loops record loss, accuracies and margins themselves; these functions serve everything else, and are what
the loops are tested against.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .associative_memory import AssociativeMemory
    from .problem import State


def class_margins(scores: NDArray[Any], targets: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return (N, M): the target's score minus that of each class, equation (13); 0 for the target itself."""
    wide: NDArray[Any] = np.asarray(scores, dtype=np.longdouble if scores.dtype == np.longdouble else np.float64)
    right: NDArray[Any] = wide[np.arange(targets.size), targets]
    margins: NDArray[np.float64] = right[:, None] - wide
    return margins


def token_margins(margins: NDArray[Any], targets: NDArray[np.int64]) -> NDArray[Any]:
    """Return (N,): the least of the class margins of each token over the wrong classes, equation (22)."""
    margins = margins.copy()
    margins[np.arange(targets.size), targets] = np.inf
    return margins.min(axis=1)  # type: ignore[no-any-return]


def token_losses(margins: NDArray[Any], targets: NDArray[np.int64]) -> NDArray[Any]:
    """Return (N,): log sum_y exp(-margin to y), without cancellation when the loss is small."""
    relative = -margins
    relative[np.arange(targets.size), targets] = -np.inf
    top = np.maximum(relative.max(axis=1), 0.0)
    wrong = np.exp(relative - top[:, None]).sum(axis=1)
    losses: NDArray[Any] = np.where(top == 0.0, np.log1p(wrong), top + np.log(wrong + np.exp(-top)))
    return losses


def residuals(scores: NDArray[Any], targets: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return (N, M): softmax minus one-hot; the target's entry is minus the sum of the others."""
    relative = scores - scores.max(axis=1, keepdims=True)
    exponentials = np.exp(relative)
    probabilities = exponentials / exponentials.sum(axis=1, keepdims=True)
    rows = np.arange(targets.size)
    probabilities[rows, targets] = 0.0
    probabilities[rows, targets] = -probabilities.sum(axis=1)
    return probabilities  # type: ignore[no-any-return]


def weighted_accuracy(right: NDArray[np.bool_], frequencies: NDArray[np.float64]) -> float:
    """Return 1 minus the frequencies of the wrong tokens: exactly 1 if and only if none is, exactly 0 if all are."""
    if right.all():
        return 1.0
    if not right.any():
        return 0.0
    return float(min(max(1.0 - frequencies[~right].sum(), 0.0), 1.0 - 2.0**-53))


def loss(state: State) -> float:
    """Frequency-weighted cross entropy, equation (2)."""
    memory = state.problem
    return float(memory.frequencies @ token_losses(state.class_margins, memory.targets))


def accuracy(state: State) -> float:
    """Frequency-weighted share of the tokens with a positive margin; ties are wrong."""
    return weighted_accuracy(token_margins(state.class_margins, state.problem.targets) > 0.0, state.problem.frequencies)


def accuracy_first_index(state: State) -> float:
    """The same with the papers' tie rule: the first of the best classes is the answer."""
    right = np.argmax(state.scores, axis=1) == state.problem.targets
    return weighted_accuracy(right, state.problem.frequencies)


def margin(state: State) -> NDArray[np.float64]:
    """(N,): score of the target minus the best other score, equation (22)."""
    return token_margins(state.class_margins, state.problem.targets)


def smallest_margin(state: State) -> float:
    """The least margin over the tokens."""
    return float(margin(state).min())


def scores(state: State) -> NDArray[Any]:
    """(N, M): outputs[y] @ W @ inputs[x]."""
    return state.scores


def margins(state: State) -> NDArray[np.float64]:
    """(N, M): score of the target minus that of each class, equation (13)."""
    return state.class_margins.copy()


def probabilities(state: State) -> NDArray[np.float64]:
    """(N, M): the softmax of the scores, equation (8)."""
    exponentials = np.exp(state.scores - state.scores.max(axis=1, keepdims=True))
    return exponentials / exponentials.sum(axis=1, keepdims=True)  # type: ignore[no-any-return]


def weights(state: State) -> NDArray[Any]:
    """(d, d): W."""
    return state.weights


def gradient(state: State) -> NDArray[np.float64]:
    """(d, d): the gradient of the loss, equation (9)."""
    return gradient_of_scores(state.problem, state.scores)


def gradient_norm(state: State) -> float:
    """Frobenius norm of the gradient."""
    return float(np.linalg.norm(gradient(state)))


def weight_norm(state: State) -> float:
    """Frobenius norm of W."""
    return float(np.linalg.norm(state.weights))


def sharpness(state: State) -> float:
    """Largest eigenvalue of the Hessian of the loss, equation (26), to a residual of at most 1e-8 of it.

    The search starts with the eigenvector of the last saved state: another choice of saved states changes the value
    within that residual.
    """
    return float(state.top_eigenpair.value)


def sharpness_residual(state: State) -> float:
    """Norm of H v - sharpness v: an eigenvalue lies within this distance of the sharpness."""
    return float(state.top_eigenpair.residual)


def gradient_of_scores(memory: AssociativeMemory, current: NDArray[Any]) -> NDArray[np.float64]:
    """Return U^T (diag(p) (softmax(S) - Y))^T E, (d, d)."""
    weighted = memory.frequencies[:, None] * residuals(current, memory.targets)
    return memory.outputs.T @ weighted.T @ memory.inputs


MEMORY_OBSERVABLES: Mapping[str, Callable[[State], Any]] = {
    function.__name__: function
    for function in (
        loss, accuracy, accuracy_first_index, margin, smallest_margin, scores, margins, probabilities,
        weights, weight_norm, gradient, gradient_norm, sharpness, sharpness_residual,
    )
}  # fmt: skip
