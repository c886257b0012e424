r"""Where minibatch descent comes to rest around a minimum: a linear theory, and an exact law for one token.

Around a minimum with Hessian H, descent of rate eta along gradients averaged over B samples of covariance C is

    w <- w - eta (H w + noise),   Cov(noise) = C / B,

and its covariance S comes to solve  H S + S H - eta H S H = (eta / B) C.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from ..errors import InputError
from .arguments import at_least, finite
from .protocol import Memory

Array = npt.NDArray[np.float64]

_NOTHING = 1e-10
_ROUNDED = 1e-8  # of the largest eigenvalue
_POINTS, _DEPTH = 20_001, 45.0


def gradient_noise_covariance(memory: Memory, weights: npt.ArrayLike) -> Array:
    r"""Return the covariance of the gradient of one sample, at given weights.

    .. math:: C = \sum_x p(x) g_x g_x^\top - \bar g \bar g^\top, \quad
              g_x = \mathrm{vec}\sum_z (P_{xz} - 1_{z=f(x)})\, u_z e_x^\top, \quad \bar g = \sum_x p(x) g_x

    A batch of B has C/B. Where the softmax is the law of the labels (the minimum of a memory with label noise and
    independent embeddings) C is the Hessian: the information equality.

    Parameters
    ----------
    memory
        N tokens, M classes, d dimensions.
    weights
        W, shape (d, d); vec reads it row by row.

    Returns
    -------
    Shape (d^2, d^2).

    Raises
    ------
    InputError
        For weights of another shape.

    Source: equations (6) and (9). Cost: O(N d^4).

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> memory = SimpleNamespace(
    ...     inputs=np.eye(2), outputs=np.eye(2), targets=np.array([0, 1]), frequencies=np.array([0.5, 0.5]))
    >>> float(np.trace(gradient_noise_covariance(memory, np.zeros((2, 2)))))
    0.25
    """
    inputs, outputs = np.asarray(memory.inputs, np.float64), np.asarray(memory.outputs, np.float64)
    dim, matrix = inputs.shape[1], finite("weights", weights)
    if matrix.shape != (dim, dim):
        raise InputError(f"weights must have shape ({dim}, {dim})", matrix.shape)
    scores = inputs @ matrix.T @ outputs.T
    mass = np.exp(scores - scores.max(axis=1, keepdims=True))
    mass /= mass.sum(axis=1, keepdims=True)
    mass[np.arange(len(inputs)), memory.targets] -= 1.0
    each = ((mass @ outputs)[:, :, None] * inputs[:, None, :]).reshape(len(inputs), -1)
    each -= memory.frequencies @ each
    return np.asarray((each.T * memory.frequencies) @ each)


def stationary_covariance(
    hessian: npt.ArrayLike, noise_covariance: npt.ArrayLike, learning_rate: float, batch_size: int = 1
) -> Array:
    r"""Return the stationary covariance of minibatch descent around a minimum, in the linear theory.

    .. math:: H S + S H - \eta H S H = \frac{\eta}{B} C, \qquad
              S_{ij} = \frac{\eta}{B} \frac{C_{ij}}{\lambda_i + \lambda_j - \eta\lambda_i\lambda_j}

    in the eigenvectors of H. For C = H (label noise, independent embeddings) it is
    :math:`\frac{\eta}{B}(2 - \eta H)^{-1}` on the range of H: for small rates :math:`\frac{\eta}{2B}`, the same in
    every direction, whatever the noise, the frequencies and the correlations. What is linearised is the gradient: the
    relative error is of the order of the variance of a score, eta |u|^2 |e|^2 / B.

    Parameters
    ----------
    hessian
        H, shape (n, n), symmetric and positive semi-definite.
    noise_covariance
        C, shape (n, n), within the range of H.
    learning_rate
        eta in (0, 2/lambda_max): beyond, descent leaves the minimum even without noise.
    batch_size
        B >= 1.

    Returns
    -------
    S, shape (n, n), zero outside of the range of H.

    Raises
    ------
    InputError
        Outside of these ranges, and for noise outside of the range of H, which diffuses for ever.

    Source: the review of cabannes2024, open question on noise. Cost: O(n^3).

    Examples
    --------
    >>> stationary_covariance(np.diag([0.5, 0.0]), np.diag([0.5, 0.0]), learning_rate=1.0, batch_size=4).round(6)
    array([[0.166667, 0.      ],
           [0.      , 0.      ]])
    """
    curvature, noise = finite("hessian", hessian), finite("noise_covariance", noise_covariance)
    if curvature.ndim != 2 or curvature.shape[0] != curvature.shape[1] or noise.shape != curvature.shape:
        raise InputError(
            "hessian and noise_covariance must be square and of one shape", f"{curvature.shape} and {noise.shape}"
        )
    values, axes = np.linalg.eigh(curvature) if curvature.size else (np.zeros(1), np.zeros((1, 1)))
    asymmetry = float(np.abs(curvature - curvature.T).max(initial=0.0))
    if not values[-1] > 0.0 or values[0] < -_ROUNDED * values[-1] or asymmetry > _ROUNDED * values[-1]:
        raise InputError(
            "hessian must be symmetric, positive semi-definite and not zero",
            f"eigenvalues {values[0]:.3g} to {values[-1]:.3g}, asymmetry {asymmetry:.3g}",
        )  # fmt: skip
    learning_rate = float(finite("learning_rate", learning_rate))
    batch = float(at_least("batch_size", batch_size, 1))
    if not 0.0 < learning_rate * values[-1] < 2.0:
        raise InputError(
            "learning_rate must lie between 0 and 2 / (largest eigenvalue of the hessian)", learning_rate,
            f"pass less than {2.0 / values[-1]:.6g}",
        )  # fmt: skip
    kept = values > _NOTHING * values[-1]
    rotated = axes.T @ noise @ axes
    if np.abs(np.diag(rotated)[~kept]).sum() > math.sqrt(_NOTHING) * np.trace(noise):
        raise InputError(
            "noise_covariance must lie within the range of the hessian", None,
            "along flat directions the weights diffuse and have no stationary covariance",
        )  # fmt: skip
    values, axes, rotated = values[kept], axes[:, kept], rotated[np.ix_(kept, kept)]
    pairs = values[:, None] + values - learning_rate * values[:, None] * values
    return np.asarray(axes @ (learning_rate / batch * rotated / pairs) @ axes.T)


def label_noise_equilibrium(
    label_noise: float, step: float, batch_size: int = 1, frequency: float = 1.0
) -> tuple[float, float]:
    r"""Return mean and standard deviation of a token's margin, at rest under the noise of its labels and of batches.

    Two classes, inputs orthogonal. With q = 1 - rho, s the sigmoid of the margin m and a = eta c the stochastic flow

    .. math:: dm = -a\,p\,(s - q)\,d\tau + a\sqrt{p D / B}\,d\beta, \quad D = q(1-q) + (1-p)(s-q)^2

    (tau counts steps) has the stationary density :math:`\frac1D \exp(-\frac{2B}{a}\int\frac{s-q}{D}dm)`, of which the
    moments are integrated here. At p = 1 the sigmoid has the law Beta(q/T, (1-q)/T) with T = a q (1-q)/(2B), so

    .. math:: E\,m = \psi(q/T) - \psi((1-q)/T), \qquad \mathrm{Var}\,m = \psi_1(q/T) + \psi_1((1-q)/T)
              = \frac{a}{2B} + O\Big(\frac{a^2}{B^2}\Big).

    Minibatch descent follows this flow to relative corrections of order a.

    Parameters
    ----------
    label_noise
        rho in (0, 1).
    step
        a = eta c > 0, with c = |e_x|^2 |u_1 - u_2|^2.
    batch_size
        B >= 1.
    frequency
        p(x) in (0, 1].

    Returns
    -------
    (mean, standard deviation), to a relative 1e-8 for a/B up to 100.

    Raises
    ------
    InputError
        Outside of these ranges.

    Source: the review of cabannes2024, open question on noise. Proof: zero flux; for p = 1 the density is that of the
    logit of a Beta variable. Cost: about 2 ms.

    Examples
    --------
    >>> mean, deviation = label_noise_equilibrium(0.2, step=0.5)
    >>> round(mean, 6), round(deviation, 6)
    (1.464406, 0.522105)
    """
    from scipy.integrate import cumulative_simpson

    label_noise, step, batch, frequency = (
        float(finite(name, value))
        for name, value in (
            ("label_noise", label_noise), ("step", step), ("batch_size", batch_size), ("frequency", frequency)
        )
    )  # fmt: skip
    q = 1.0 - label_noise
    if not 0.0 < q < 1.0:
        raise InputError("label_noise must lie strictly between 0 and 1", label_noise)
    if not (step > 0.0 and batch >= 1.0 and 0.0 < frequency <= 1.0):
        raise InputError("step > 0, batch_size >= 1 and frequency in (0, 1]", (step, batch_size, frequency))
    heat = step / (2.0 * batch)
    centre, own, other = math.log(q / (1.0 - q)), q * (1.0 - q), 1.0 - frequency
    # the density is log-concave or nearly so, with exponential tails of these rates
    width = _DEPTH * heat
    below = centre - (width * (own + other * q * q) / q + math.sqrt(4.0 * width))
    above = centre + (width * (own + other * (1.0 - q) ** 2) / (1.0 - q) + math.sqrt(4.0 * width))
    margin = np.linspace(below, above, _POINTS)
    away = 0.5 * (1.0 + np.tanh(0.5 * margin)) - q
    diffusion = own + other * away**2
    exponent = -cumulative_simpson(away / diffusion, x=margin, initial=0.0) / heat - np.log(diffusion)
    density = np.exp(exponent - exponent.max())
    mean = float(density @ margin / density.sum())
    return mean, math.sqrt(float(density @ (margin - mean) ** 2 / density.sum()))
