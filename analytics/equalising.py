"""Memories whose max-margin solution has all margins equal: the loss constant in closed form."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ..errors import InputError
from .protocol import Memory

Array = npt.NDArray[np.float64]


class EqualMargins(NamedTuple):
    """The least W whose margins are all 1, and whether it is the max-margin solution."""

    squared_norm: float
    """|W|_F^2; equal to 1/gamma^2 where `optimal`, else larger."""
    multipliers: Array
    """Shape (N, M), zero at the targets: W = sum of multiplier (u_f - u_y) e_x^T."""
    optimal: bool
    """Whether no multiplier is negative, so that W is the hard-margin solution."""


def equal_margins(memory: Memory) -> EqualMargins:
    r"""Return the least W with all margins equal to 1, and whether it is the max-margin solution.

    .. math:: |W|^2 = \mathrm{tr}(S^\top G_E^{-1} S\, \bar G_U^+), \qquad
              \lambda_{xy} = -(G_E^{-1} S\, \bar G_U^+)_{xy}, \qquad S_{xy} = 1[y = f(x)] - 1/M,

    G_E the Gram matrix of the inputs, and of the centred outputs with a bar. It is the hard-margin solution, with
    1/gamma^2 = |W|^2 = sum of lambda, if and only if all lambda >= 0. One class a token and orthonormal outputs:
    1/gamma^2 = tr G^{-1} - 1^T G^{-1} 1 / N wherever (G^{-1})_{xy} <= (G^{-1} 1)_x / N for all x != y: equal
    correlations are examples, and with rho >= 0 pairs and rho^{|i-j|}. Where all lambda > 0, gradient descent ends with
    p(x) e^{-m_y(x)} proportional to lambda_xy (Soudry et al. 2018), slowly where some are small.

    `memory`: independent inputs, affinely independent outputs; else raises `InputError`. Source: NEW. Proof: the least
    W with given margins lies in the span of the (u_f - u_y) e_x^T, where its coefficients are the lambda; feasible
    with lambda >= 0 and all margins active it meets the optimality conditions of the hard margin (and those lambda are
    the only ones). Cost: O(N^3 + M^3 + N M (N + M)).

    >>> import numpy as np
    >>> from types import SimpleNamespace
    >>> inputs = np.linalg.cholesky([[1.0, 0.5, 0.0], [0.5, 1.0, 0.0], [0.0, 0.0, 1.0]])
    >>> memory = SimpleNamespace(inputs=inputs, outputs=np.eye(3), targets=np.arange(3), frequencies=np.ones(3) / 3)
    >>> answer = equal_margins(memory)
    >>> round(answer.squared_norm, 12), answer.optimal  # tr G^-1 = 11/3 and 1^T G^-1 1 / 3 = 7/9
    (2.888888888889, True)
    """
    inputs = np.asarray(memory.inputs, dtype=np.float64)
    outputs = np.asarray(memory.outputs, dtype=np.float64)
    centred = outputs - outputs.mean(axis=0)
    n, m = len(inputs), len(outputs)
    if np.linalg.matrix_rank(inputs) < n or np.linalg.matrix_rank(centred) < m - 1:
        raise InputError(
            "equal margins need independent inputs and affinely independent outputs",
            f"ranks {np.linalg.matrix_rank(inputs)} of {n} and {np.linalg.matrix_rank(centred)} of {m - 1}",
            "use hard_margin",
        )  # fmt: skip
    scores = np.full((n, m), -1.0 / m)
    scores[np.arange(n), memory.targets] += 1.0
    left, right = np.linalg.pinv(inputs), np.linalg.pinv(centred)
    weights = left @ scores @ right.T  # the transpose of W, (d, d)
    multipliers = -left.T @ weights @ right
    own = np.arange(n), np.asarray(memory.targets)
    multipliers[own] = 0.0
    smallest = -1e-12 * float(np.abs(multipliers).max())
    return EqualMargins(float(np.sum(weights**2)), multipliers, bool(multipliers.min() >= smallest))


def equicorrelated_loss_constant(
    n_tokens: int, n_classes: int, input_correlation: float = 0.0, output_correlation: float = 0.0
) -> float:
    r"""Return :math:`1/\gamma^2 = N (1 - 1/M) / ((1-\alpha)(1-\beta))`, the limit of eta t L(W_t).

    Unit inputs of equal correlation alpha, unit outputs of equal correlation beta, N/M tokens in every class. N = M = 2
    is `two_token_loss_constant`, alpha = beta = 0 `orthonormal_loss_constant`: correlation slows learning by the factor
    (1 - alpha)(1 - beta), and negative correlation speeds it up.

    `n_tokens` N a multiple of `n_classes` M >= 2; alpha in [-1/(N-1), 1), beta in [-1/(M-1), 1).
    Raises `InputError` outside. Source: NEW. Proof: the least W with scores S has
    :math:`|W|^2 = \mathrm{tr}(G_E^+ S G_U^+ S^\top)`. The hard margin is a convex problem and invariant under the
    permutations of tokens that map classes to classes, so the mean of a solution over them is one, and has the form
    S = a Y + b 1 1^T, Y the one-hot targets, with margins a = 1. For b = -1/M all rows and columns of S sum to zero,
    where both Gram matrices act as 1 - alpha and 1 - beta; any other b adds a component along 1 1^T, orthogonal to it
    in this norm. And :math:`|Y - 1/M|^2 = N(1 - 1/M)`. Cost: O(1).

    >>> equicorrelated_loss_constant(8, 8, 0.5), equicorrelated_loss_constant(2, 2, 0.5)
    (14.0, 2.0)
    """
    if n_classes < 2 or n_tokens < n_classes or n_tokens % n_classes:
        raise InputError(
            "n_tokens must be a multiple of n_classes >= 2", (n_tokens, n_classes),
            "use asymptotic_loss_constant for classes of different sizes",
        )  # fmt: skip
    for name, value, count in (
        ("input_correlation", input_correlation, n_tokens),
        ("output_correlation", output_correlation, n_classes),
    ):
        if not -1.0 / (count - 1) - 1e-15 <= value < 1.0:
            raise InputError(f"{name} must lie in [-1/{count - 1}, 1): at 1 nothing is separable", value)
    return n_tokens * (1.0 - 1.0 / n_classes) / ((1.0 - input_correlation) * (1.0 - output_correlation))
