"""The first step of descent from W = 0 on any memory: its margins, and whether it raises the loss."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from .protocol import Memory

Array = npt.NDArray[np.float64]


def first_step_margins(memory: Memory) -> Array:
    r"""Return the margins after one step of descent from W = 0, per unit of the learning rate, shape (N, M).

    .. math:: \frac{m_y(x)}{\eta} = \sum_z p(z)\,\langle e_x, e_z\rangle\,
              \langle u_{f(x)} - u_y,\; u_{f(z)} - \bar u\rangle

    zero at the target. One class a token and outputs of equal correlation, K = eta |u_1 - u_2|^2 / 2:
    :math:`m_y(x) = K\,(p(x)|e_x|^2 - p(y)\langle e_x, e_y\rangle)`. So token x is answered after one step, at every
    rate, if and only if no other token y has :math:`p(y)\langle e_x, e_y\rangle \ge p(x)|e_x|^2`; never a question
    where correlations are <= 0, as for two tokens.

    `memory`: a problem. Source: NEW; Proposition 5 and Section 4.2 are N = M = 2. Proof: the softmax at
    W = 0 is uniform. Cost: O(N^2 (d + M) + N M d).

    >>> import numpy as np
    >>> from types import SimpleNamespace
    >>> inputs = np.array([[1.0, 0.0], [0.6, 0.8]])
    >>> memory = SimpleNamespace(
    ...     inputs=inputs, outputs=np.eye(2), targets=np.array([0, 1]), frequencies=np.array([0.75, 0.25]))
    >>> first_step_margins(memory).round(3).tolist()  # p_1 - alpha p_2 and p_2 - alpha p_1
    [[0.0, 0.6], [-0.2, 0.0]]
    """
    inputs = np.asarray(memory.inputs, dtype=np.float64)
    centred = np.asarray(memory.outputs, dtype=np.float64)
    centred = centred - centred.mean(axis=0)
    pull = (inputs @ inputs.T) * np.asarray(memory.frequencies, dtype=np.float64)
    scores = pull @ (centred[memory.targets] @ centred.T)
    return np.asarray(scores[np.arange(len(scores)), memory.targets][:, None] - scores)


def first_step_interference(memory: Memory) -> float:
    r"""Return S, the slope of the loss after one step of descent from W = 0 against the learning rate, for large rates.

    .. math:: S = \sum_x p(x) \max_y \Big(-\frac{m_y(x)}{\eta}\Big)_+, \qquad
              0 < L(W_1) - \eta S \le \log M

    at every rate: at a large rate the first step raises the loss if and only if S > 0. One class a token, orthonormal
    outputs: :math:`S = \sum_x p(x) \max_y (p(y)\langle e_x, e_y\rangle - p(x)|e_x|^2)_+`, which is
    (alpha p_1 - p_2)_+ p_2 for two unit tokens (Proposition 5, with its error).

    `memory`: a problem. Source: NEW; Proposition 5 is N = M = 2. Proof: a token's loss is
    :math:`\log(1 + \sum_y e^{-m_y})`, which exceeds :math:`\max_y(-m_y)_+` by at most log M.
    Cost: as `first_step_margins`.

    >>> import numpy as np
    >>> from types import SimpleNamespace
    >>> inputs = np.array([[1.0, 0.0], [0.6, 0.8]])
    >>> memory = SimpleNamespace(
    ...     inputs=inputs, outputs=np.eye(2), targets=np.array([0, 1]), frequencies=np.array([0.75, 0.25]))
    >>> round(first_step_interference(memory), 12)  # (0.6 0.75 - 0.25) 0.25
    0.05
    """
    worst = np.max(-first_step_margins(memory), axis=1)  # at least 0, the target's own entry
    return float(np.asarray(memory.frequencies, dtype=np.float64) @ worst)
