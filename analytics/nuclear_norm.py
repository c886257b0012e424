"""The max margin in nuclear norm: where gradient descent on two factors of W is thought to go."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import numpy.typing as npt

from ..errors import InputError
from .arguments import positive
from .least_distance import _hard_margin
from .pairs import coordinates
from .protocol import Memory

Array = npt.NDArray[np.float64]

_SHRINK = 0.97  # of the smoothing, a round: slower rounds end with a smaller gap
_FIRST = 0.3  # smoothing in units of the largest singular value


@dataclass(frozen=True, eq=False)
class NuclearMargin:
    """The max-margin solution of a separable problem in nuclear norm, enclosed by a dual bound."""

    weights: Array
    """W of shape (d, d) with all margins >= 1, whose nuclear norm is within `gap` of the least."""
    margin: float
    """1 / ||W||_*: the least margin of W scaled to unit nuclear norm, attained by W."""
    upper_margin: float
    """No matrix of unit nuclear norm has a larger least margin than this, by weak duality."""
    gap: float
    """upper_margin / margin - 1."""
    rounds: int
    """Weighted hard-margin problems solved."""


def nuclear_margin(memory: Memory, *, tolerance: float = 1e-4, max_rounds: int = 400) -> NuclearMargin:
    r"""Return the max-margin solution in nuclear norm, with a certified gap.

    .. math:: \min \|W\|_* \quad \text{with} \quad \langle (u_{f(x)}-u_y) e_x^\top, W\rangle \ge 1, \qquad
              \text{dual: } \max \textstyle\sum \lambda \text{ with } \|\sum \lambda (u_f - u_y) e^\top\|_{op} \le 1,
              \ \lambda \ge 0.

    Iteratively reweighted least squares: each round minimises tr(W^T P^-1 W), a hard-margin problem in the outputs
    U P^(1/2), and sets P = (W W^T + eps^2)^(1/2) with a slowly falling eps. The best W of all rounds and the best
    dual bound, from the multipliers scaled to operator norm one, enclose the answer whatever the iteration did.

    Arguments: `memory` as for `hard_margin`; `tolerance` > 0 of the relative gap at which to stop; `max_rounds` >= 1.

    Returns: `NuclearMargin`; look at its gap, which may exceed the tolerance.

    Raises: InputError when the problem is not separable. Cost: up to `max_rounds` times `hard_margin`.

    Source: Srebro, Rennie, Jaakkola 2004 (the norm); Mohan, Fazel 2012 (the iteration).

    >>> from types import SimpleNamespace
    >>> import numpy as np
    >>> memory = SimpleNamespace(
    ...     inputs=np.eye(2), outputs=np.eye(2), targets=np.array([0, 1]), frequencies=np.array([0.5, 0.5]))
    >>> answer = nuclear_margin(memory)
    >>> round(answer.margin, 9), answer.gap < 1e-9
    (1.0, True)
    """
    limit = float(positive("tolerance", tolerance))
    if not isinstance(max_rounds, (int, np.integer)) or isinstance(max_rounds, bool) or max_rounds < 1:
        raise InputError("max_rounds must be an integer >= 1", repr(max_rounds))
    inputs, outputs = np.asarray(memory.inputs, dtype=float), np.asarray(memory.outputs, dtype=float)
    targets = np.asarray(memory.targets)
    metric = np.eye(outputs.shape[1])
    best, least, upper, smoothing = metric, np.inf, np.inf, 0.0
    for rounds in range(1, max_rounds + 1):
        root = _root(metric)
        weighted = SimpleNamespace(
            inputs=inputs, outputs=outputs @ root, targets=targets, frequencies=memory.frequencies
        )
        solved = _hard_margin(coordinates(weighted))
        if solved is None:
            if rounds == 1:
                raise InputError(
                    "nuclear_margin needs a separable problem", "one without a W of positive margins",
                    "see separability(memory)",
                )  # fmt: skip
            break  # the metric has become too flat for the solver: the bounds so far stand
        weights = root @ solved.weights
        size = float(np.linalg.norm(weights, "nuc")) / _least_margin(weights, inputs, outputs, targets)
        if size < least:
            least, best = size, weights * (size / float(np.linalg.norm(weights, "nuc")))
        multipliers = solved.multipliers
        pulls = -multipliers
        pulls[np.arange(len(targets)), targets] += multipliers.sum(axis=1)
        upper = min(upper, float(np.linalg.norm(outputs.T @ pulls.T @ inputs, 2) / multipliers.sum()))
        if upper * least - 1.0 <= limit:
            break
        values, axes = np.linalg.eigh(weights @ weights.T)
        smoothing = smoothing * _SHRINK if rounds > 1 else _FIRST * float(np.sqrt(values[-1]))
        metric = (axes * np.sqrt(np.maximum(values, 0.0) + smoothing**2)) @ axes.T
    return NuclearMargin(best, 1.0 / least, upper, max(upper * least - 1.0, 0.0), rounds)


def _root(metric: Array) -> Array:
    values, axes = np.linalg.eigh(metric)
    return np.asarray((axes * np.sqrt(np.maximum(values, 0.0))) @ axes.T)


def _least_margin(weights: Array, inputs: Array, outputs: Array, targets: npt.NDArray[np.int64]) -> float:
    scores = inputs @ weights.T @ outputs.T
    gaps = scores[np.arange(len(targets)), targets][:, None] - scores
    gaps[np.arange(len(targets)), targets] = np.inf
    return float(gaps.min())
