"""Curvature of the cross entropy: norm and rank of the Hessian, rates that can never raise the loss."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ..errors import InputError
from .protocol import Memory

Array = npt.NDArray[np.float64]


def two_token_sharpness(correlation: float, frequencies: npt.ArrayLike, squared_distance: float = 2.0) -> float:
    r"""Return the largest eigenvalue of the Hessian at W = 0 for two unit tokens of two classes.

    .. math:: \lambda = \frac{c}{8}\left(1 + \sqrt{1 - 4 p_1 p_2 (1-\alpha^2)}\right), \qquad c = |u_1-u_2|^2.

    `correlation` in [-1, 1]; `frequencies` (p_1, p_2), positive with sum one; `squared_distance` c > 0. The Hessian is
    largest at W = 0 for two classes, so gradient descent with eta <= 2/lambda never raises the loss.
    Source: equation (26); spec section 1.4. Cost: O(1).

    >>> round(two_token_sharpness(0.95, (0.75, 0.25)), 6)
    0.490686
    """
    if not -1.0 <= correlation <= 1.0:
        raise InputError("correlation must lie in [-1, 1]", correlation)
    p = np.asarray(frequencies, dtype=np.float64)
    if p.shape != (2,) or not np.all(p > 0.0) or abs(float(p.sum()) - 1.0) > 1e-9:
        raise InputError("frequencies must be two positive numbers with sum 1", frequencies)
    # 1 - 4 p1 p2 (1 - a^2) = (p1 - p2)^2 + 4 p1 p2 a^2, which does not cancel
    root = np.hypot(p[0] - p[1], 2.0 * np.sqrt(p[0] * p[1]) * correlation)
    return float(squared_distance / 8.0 * (1.0 + root))


def largest_second_moment(memory: Memory) -> float:
    r"""Return the largest eigenvalue of :math:`\sum_x p(x) e_x e_x^\top`, from the smaller of the two Gram matrices.

    Cost: O(N d min(N, d)).

    >>> import numpy as np
    >>> from types import SimpleNamespace
    >>> memory = SimpleNamespace(
    ...     inputs=np.eye(2), outputs=np.eye(2), targets=np.array([0, 1]), frequencies=np.array([0.6, 0.4]))
    >>> round(largest_second_moment(memory), 12)
    0.6
    """
    scaled = np.sqrt(memory.frequencies)[:, None] * memory.inputs
    gram = scaled @ scaled.T if scaled.shape[0] < scaled.shape[1] else scaled.T @ scaled
    return float(np.linalg.eigvalsh(gram)[-1])


def squared_diameter(outputs: npt.ArrayLike) -> float:
    r"""Return :math:`D^2 = \max_{i,j} |u_i-u_j|^2` of outputs of shape (M, d). Cost: O(M^2 d).

    >>> squared_diameter([[1.0, 0.0], [0.0, 1.0], [0.5, 0.5]])
    2.0
    """
    values = np.asarray(outputs, dtype=np.float64)
    return max(float(np.max(np.sum((values - row) ** 2, axis=1))) for row in values)


def hessian_norm_bound(memory: Memory) -> float:
    r"""Return the bound on the sharpness that holds at every W, :math:`\|H(W)\| \le \frac{D^2}{4}\lambda_{max}`.

    D is the diameter of the outputs and lambda_max that of :math:`\sum p(x) e_x e_x^\top`. Attained at W = 0 for two
    classes. Source: errata, section 7 (NEW). Proof: Popoviciu, the variance of a variable in an interval of length D
    is at most D^2/4. Cost: O(M^2 d + N d min(N, d)).

    >>> import numpy as np
    >>> from types import SimpleNamespace
    >>> memory = SimpleNamespace(
    ...     inputs=np.eye(2), outputs=np.eye(2), targets=np.array([0, 1]), frequencies=np.array([0.6, 0.4]))
    >>> round(hessian_norm_bound(memory), 12)
    0.3
    """
    return squared_diameter(memory.outputs) / 4.0 * largest_second_moment(memory)


def descent_rate(memory: Memory) -> float:
    r"""Return the largest rate for which descent provably never raises the loss from any start, 8 / (D^2 lambda_max).

    Source: errata, section 7 (NEW) and S5.2. Proof: descent lemma, eta <= 2 / sup ||H||. Infinite when the Hessian is
    zero everywhere. Cost: as `hessian_norm_bound`.

    >>> import numpy as np
    >>> from types import SimpleNamespace
    >>> memory = SimpleNamespace(
    ...     inputs=np.eye(2), outputs=np.eye(2), targets=np.array([0, 1]), frequencies=np.array([0.5, 0.5]))
    >>> round(descent_rate(memory), 12)
    8.0
    """
    bound = hessian_norm_bound(memory)
    return 2.0 / bound if bound > 0.0 else float("inf")


def hessian_rank(memory: Memory) -> int:
    r"""Return the rank of the Hessian, the same at every W: :math:`rank(e_x) \cdot rank(u_i-u_j)`.

    Source: errata, section 7 (NEW), H1. Proof: the softmax has full support, and the range of a sum of positive
    semi-definite matrices is the sum of the ranges. Cost: two SVDs.

    >>> import numpy as np
    >>> from types import SimpleNamespace
    >>> memory = SimpleNamespace(
    ...     inputs=np.eye(2), outputs=np.eye(3)[:, :2], targets=np.array([0, 1]), frequencies=np.array([0.5, 0.5]))
    >>> hessian_rank(memory)
    4
    """
    differences = memory.outputs[1:] - memory.outputs[:1]
    ranks = [int(np.linalg.matrix_rank(part)) if part.size else 0 for part in (memory.inputs, differences)]
    return ranks[0] * ranks[1]
