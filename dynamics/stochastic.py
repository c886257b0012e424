"""Random rules: minibatches, and gradient flow with noise by Euler-Maruyama."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

from .numbers import integer, real
from .schedules import LearningRate, checked_learning_rate, rate_at, stable_digest


@dataclass(frozen=True)
class StochasticGradientDescent:
    r"""Descend the gradient averaged over a random batch, $W \leftarrow W - \frac{\eta_t}{B} \sum_b \nabla \ell_b$.

    ell_b is the loss of token x_b; the tokens are drawn independently from the frequencies, with replacement. With
    input noise the embedding of a sample is $e_{x_b} + s \xi_b$, where xi_b has standard normal entries and is drawn
    anew for every sample; what is observed (loss, accuracy, margins) is that of the tokens without noise. For noisy
    labels see `AssociativeMemory.with_label_noise`.

    Arguments:
        learning_rate: eta > 0, or a schedule step -> eta_t >= 0.
        batch_size: B >= 1.
        input_noise: s >= 0. With s > 0 the weights are the only form of the state.

    Raises: InputError. Source: Cabannes, Simsek, Bietti 2024, equation (7).

    >>> StochasticGradientDescent(learning_rate=1.0, batch_size=4).batch_size
    4
    """

    learning_rate: LearningRate
    batch_size: int
    input_noise: float = 0.0

    stochastic: ClassVar[bool] = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "learning_rate", checked_learning_rate(self.learning_rate))
        object.__setattr__(self, "batch_size", integer("batch_size", self.batch_size, minimum=1))
        object.__setattr__(self, "input_noise", real("input_noise", self.input_noise, least=0.0))

    def rate(self, step: int) -> float:
        """Return eta_t."""
        return rate_at(self.learning_rate, step)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the rule and its schedule."""
        noise = [self.input_noise] if self.input_noise else []
        return stable_digest(["StochasticGradientDescent", self.learning_rate, self.batch_size, *noise])


@dataclass(frozen=True)
class GradientNoise:
    r"""The noise that a minibatch would make, as the diffusion of a stochastic gradient flow.

    $$\mathrm{Cov}\ \mathrm{per\ unit\ time} = \frac{\eta}{B} (\sum_x p(x) g_x g_x^T - \bar g \bar g^T), \quad
    g_x = \nabla \ell(W; x, f(x)), \quad \bar g = \sum_x p(x) g_x.$$

    It is drawn as sum_x sqrt(p(x)) xi_x (g_x - gbar) with independent standard normal xi_x: the covariance of that
    is sum_x p(x) (g_x - gbar)(g_x - gbar)^T, which is the bracket since the p(x) sum to 1. As a sum over the g_x
    it only changes the weights of the tokens, so it costs nothing beyond the N draws and works in every form.

    Arguments:
        batch_size: B >= 1.
        learning_rate: eta > 0, of the descent whose noise is imitated.

    >>> GradientNoise(batch_size=8, learning_rate=0.1).batch_size
    8
    """

    batch_size: int
    learning_rate: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "batch_size", integer("batch_size", self.batch_size, minimum=1))
        object.__setattr__(self, "learning_rate", real("learning_rate", self.learning_rate, above=0.0))


@dataclass(frozen=True)
class StochasticGradientFlow:
    r"""Gradient flow with noise, by Euler-Maruyama: $W \leftarrow W - \nabla L(W) dt + \sqrt{dt}\, \sigma Z$.

    Z has independent standard normal entries, projected on the span of the gradients: $\Pi_U Z \Pi_E$, where
    $\Pi_E$ projects on the span of the inputs and $\Pi_U$ on that of the differences of outputs.

    Arguments:
        noise: sigma >= 0, or `GradientNoise(batch_size, learning_rate)` for the gradients' own covariance.
        dt: the time step, > 0.

    Raises: InputError. Source: Cabannes, Simsek, Bietti 2024, equation (6).

    >>> StochasticGradientFlow(noise=0.1, dt=0.01)
    StochasticGradientFlow(noise=0.1, dt=0.01)
    """

    noise: float | GradientNoise
    dt: float

    stochastic: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if not isinstance(self.noise, GradientNoise):
            cure = "pass noise >= 0 or GradientNoise(batch_size, learning_rate)"
            object.__setattr__(self, "noise", real("noise", self.noise, least=0.0, cure=cure))
        object.__setattr__(self, "dt", real("dt", self.dt, above=0.0))

    @property
    def learning_rate(self) -> float:
        """dt, which is the learning rate of the drift."""
        return self.dt

    def rate(self, step: int) -> float:
        """Return dt."""
        return self.dt

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the rule."""
        noise = self.noise
        parts = [noise.batch_size, noise.learning_rate] if isinstance(noise, GradientNoise) else noise
        return stable_digest(["StochasticGradientFlow", parts, self.dt])
