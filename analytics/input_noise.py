"""The loss of two classes whose inputs carry Gaussian noise, and where it is least."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..errors import InputError
from .arguments import finite
from .protocol import Memory

Array = npt.NDArray[np.float64]

# the density underflows at the ends: losses of the order of 1e-200 come from beyond thirty deviations
_NODES, _REACH = 8001, 38.0
_LEAST, _TINY = 1e-270, 1e-300
_LEFT = 1e-5  # of the gradient, over the loss


@dataclass(frozen=True, eq=False)
class NoisyInputMinimum:
    """The least loss under input noise and where it is."""

    weights: Array
    """The minimiser without a component along u_0 + u_1, shape (d, d)."""
    loss: float
    """The loss there, over tokens and noise."""
    margins: Array
    """Margins of the tokens without noise, shape (N,): a negative one is a token that the minimum gets wrong."""
    gradient_norm: float
    """Largest entry of the gradient that is left, over the loss."""


def noisy_input_minimum(memory: Memory, input_noise: float) -> NoisyInputMinimum:
    r"""Return the minimum of the cross entropy of two classes when every input is e_x + s xi, xi standard normal.

    With u = u_0 - u_1, gamma = W^T u and signs y_x = +1 for class 0 and -1 for class 1 the margin of a noisy token is
    normal with mean y_x <gamma, e_x> and deviation s |gamma|, so that

    .. math:: L_s(\gamma) = \sum_x p(x)\, E_z \log\bigl(1 + e^{-y_x \langle\gamma, e_x\rangle - s|\gamma| z}\bigr),
              \qquad z \sim N(0, 1),

    which is convex and has a minimiser for every s > 0, also for separable memories. Two tokens of one norm, of
    frequencies p_1 >= p_2 and correlation alpha are two Gaussian classes: for p_1 = p_2 the margins are exactly
    (1 - alpha)/s^2, else close to (1 - alpha)/s^2 +- log(p_1/p_2), so that the rare one is given up where s^2 exceeds
    about (1 - alpha)/log(p_1/p_2).

    Parameters
    ----------
    memory
        N tokens of M = 2 classes in d dimensions.
    input_noise
        s > 0.

    Returns
    -------
    `NoisyInputMinimum`.

    Raises
    ------
    InputError
        For another number of classes, s <= 0, or an s so small that the loss is below the range of float64.

    Source: the review of cabannes2024, open question on noise; the gradient by Stein's lemma. Cost: 8001 N
    exponentials an evaluation, some tens of evaluations.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> memory = SimpleNamespace(
    ...     inputs=np.eye(2), outputs=np.eye(2), targets=np.array([0, 1]), frequencies=np.array([0.5, 0.5]))
    >>> noisy_input_minimum(memory, 0.5).margins.round(4)
    array([4., 4.])
    """
    from scipy.optimize import minimize

    inputs, outputs = np.asarray(memory.inputs, np.float64), np.asarray(memory.outputs, np.float64)
    if len(outputs) != 2:
        raise InputError("the loss under input noise is a simple integral for two classes", f"{len(outputs)} classes")
    if not float(finite("input_noise", input_noise)) > 0.0:
        raise InputError("input_noise must be positive and finite", input_noise, "without noise: minimise")
    signed = np.where(np.asarray(memory.targets) == 0, 1.0, -1.0)[:, None] * inputs
    frequencies = np.asarray(memory.frequencies, np.float64)
    nodes = np.linspace(-_REACH, _REACH, _NODES)
    masses = np.exp(-0.5 * nodes**2)
    masses /= masses.sum()

    scale = 1.0 / float(np.hypot(1.0, input_noise))  # much noise makes the loss steep

    def loss_and_gradient(scaled: Array) -> tuple[float, Array]:
        gamma = scale * scaled
        margins = (signed @ gamma)[:, None] + input_noise * float(np.linalg.norm(gamma)) * nodes
        shrunk = np.exp(-np.abs(margins))
        losses = np.log1p(shrunk) + np.maximum(-margins, 0.0)
        wrong = np.where(margins > 0.0, shrunk, 1.0) / (1.0 + shrunk)
        pull, curvature = frequencies * (wrong @ masses), (wrong * (1.0 - wrong)) @ masses
        slope = input_noise**2 * float(frequencies @ curvature) * gamma - pull @ signed
        # the logarithm, for the loss itself is exponentially small where there is little noise
        loss = max(float(frequencies @ (losses @ masses)), _TINY)
        return float(np.log(loss)), np.asarray(scale * slope / loss)

    found = minimize(loss_and_gradient, np.zeros(inputs.shape[1]), jac=True, method="BFGS", options={"gtol": 1e-10})
    gamma, left = scale * np.asarray(found.x), float(np.abs(found.jac).max()) / scale
    if not (found.fun > np.log(_LEAST) and scale * left < _LEFT * (1.0 + float(np.abs(signed).max()))):
        raise InputError(
            "the loss under input noise must be within the range of float64", f"input_noise={input_noise!r}",
            "pass more noise; without noise: hard_margin, minimise",
        )  # fmt: skip
    difference = outputs[0] - outputs[1]
    weights = np.outer(difference, gamma) / float(difference @ difference)
    return NoisyInputMinimum(weights, float(np.exp(found.fun)), signed @ gamma, left)
