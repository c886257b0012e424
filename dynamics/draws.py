"""The random numbers of a rule: one sequential stream, the same in every form of the state and for every slicing."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from .embeddings import zero_sum_basis
from .one_thread import one_thread
from .stochastic import GradientNoise, StochasticGradientDescent, StochasticGradientFlow

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .associative_memory import AssociativeMemory

_BYTES_PER_SLICE = 2**22


class Draws:
    """Token weights and additive noise for slices of steps; this one draws nothing.

    `take(k)` returns the token weights (k, N), or (1, N) if constant, and the noise (k, rank_E, rank_U), or (0, ..).
    `rewind(used)` gives back the steps that the last `take` drew beyond those that were used.
    """

    numbers_per_step = 0

    def __init__(
        self, frequencies: NDArray[np.float64], generator: np.random.Generator | None = None, dtype: str = "float64"
    ) -> None:
        self._generator = generator
        self._weights = frequencies.reshape(1, -1)
        self._nothing = np.zeros((0, 0, 0), dtype)
        self._nothing.flags.writeable = False
        self._before: Any = None
        self._taken = 0

    @property
    def largest_slice(self) -> int:
        """How many steps may be drawn at once."""
        return max(1, _BYTES_PER_SLICE // (8 * self.numbers_per_step)) if self.numbers_per_step else 2**62

    def take(self, count: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return token weights and noise of the next `count` steps."""
        if self.numbers_per_step == 0 or self._generator is None or count == 0:
            return self._weights, self._nothing
        self._before, self._taken = self._generator.bit_generator.state, count
        return self._draw(count)

    def take_tokens(self, count: int) -> NDArray[np.int64]:
        """Return the tokens (k, B) of the batches of the next `count` steps, of a rule that draws batches."""
        raise NotImplementedError

    def rewind(self, used: int) -> None:
        """Put the stream where it is after `used` of the steps last taken."""
        if self._before is not None and used < self._taken and self._generator is not None:
            self._generator.bit_generator.state = self._before
            if used:
                self._draw(used)
        self._before = None

    def _draw(self, count: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        return self._weights, self._nothing


class BatchDraws(Draws):
    """The share of each token in a batch drawn with replacement."""

    def __init__(
        self, frequencies: NDArray[np.float64], generator: np.random.Generator, batch_size: int, dtype: str
    ) -> None:
        super().__init__(frequencies, generator, dtype)
        self._batch_size = batch_size
        cumulative = np.cumsum(frequencies)
        self._cumulative = cumulative / cumulative[-1]
        self.numbers_per_step = batch_size + frequencies.size

    def take_tokens(self, count: int) -> NDArray[np.int64]:
        """Return the tokens (k, B) of the batches of the next `count` steps."""
        assert self._generator is not None
        self._before, self._taken = self._generator.bit_generator.state, count
        tokens = self._tokens(count)
        tokens.flags.writeable = False
        return tokens

    def _tokens(self, count: int) -> NDArray[np.int64]:
        assert self._generator is not None
        return np.searchsorted(self._cumulative, self._generator.random((count, self._batch_size)), side="right")

    def _draw(self, count: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        n_tokens = self._weights.shape[1]
        tokens = self._tokens(count) + n_tokens * np.arange(count)[:, None]
        shares = np.bincount(tokens.ravel(), minlength=count * n_tokens).reshape(count, n_tokens) / self._batch_size
        shares.flags.writeable = False
        return shares, self._nothing


class CovarianceDraws(Draws):
    """Token weights whose gradient has the mean and the noise of `GradientNoise` over one step of length dt.

    p - sqrt(eta / (B dt)) q with q_x = sqrt(p_x) xi_x - p_x sum_z sqrt(p_z) xi_z: dt times its gradient is
    dt gbar - sqrt(dt eta / B) sum_x sqrt(p_x) xi_x (g_x - gbar).
    """

    def __init__(
        self,
        frequencies: NDArray[np.float64],
        generator: np.random.Generator,
        noise: GradientNoise,
        dt: float,
        dtype: str,
    ) -> None:
        super().__init__(frequencies, generator, dtype)
        self._scale = math.sqrt(noise.learning_rate / (noise.batch_size * dt))
        self._roots = np.sqrt(frequencies)
        self.numbers_per_step = 3 * frequencies.size

    def _draw(self, count: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        assert self._generator is not None
        noise = self._generator.standard_normal((count, self._roots.size)) * self._roots
        # cumsum adds each row in order, whatever the number of rows; sum may not
        common = np.cumsum(noise, axis=1)[:, -1]
        weights = self._weights - self._scale * (noise - common[:, None] * self._weights)
        weights.flags.writeable = False
        return weights, self._nothing


class SpanDraws(Draws):
    """Standard normal coordinates (rank_E, rank_U) of the noise in orthonormal bases of the gradient span."""

    def __init__(
        self, frequencies: NDArray[np.float64], generator: np.random.Generator, ranks: tuple[int, int], dtype: str
    ) -> None:
        super().__init__(frequencies, generator, dtype)
        self._ranks, self._dtype = ranks, dtype
        self.numbers_per_step = ranks[0] * ranks[1]

    def _draw(self, count: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        assert self._generator is not None
        noise = self._generator.standard_normal((count, *self._ranks)).astype(self._dtype, copy=False)
        noise.flags.writeable = False
        return self._weights, noise


class Span:
    """Orthonormal bases of the gradient span, the same in dual coefficients, and the way back from scores.

    With E = P diag(s) Q^T and H^T U = R diag(l) T^T, where the columns of H sum to zero, the noise on W^T is Q Z T^T;
    in dual coefficients A, where W^T = E^T A U, it is (P / s) Z (H R / l)^T. The same factors are pseudo-inverses:
    E^+ = Q (P / s)^T.

    Attributes: weight_left Q (d, a), dual_left P / s (N, a), weight_right T^T (b, d), dual_right (b, M), ranks (a, b);
    condition, the product of the two ratios of the largest to the smallest singular value that counts.
    """

    def __init__(self, problem: AssociativeMemory) -> None:
        with one_thread(problem.n_tokens, problem.n_classes, problem.dim):
            self.weight_left, self.dual_left, inputs_condition = _basis(problem.inputs)
            # differences by a basis, so that centring leaves no rounding error that looks like one more dimension
            contrasts = zero_sum_basis(problem.n_classes)
            weight_right, dual_right, outputs_condition = _basis(contrasts.T @ problem.outputs)
            self.weight_right = np.ascontiguousarray(weight_right.T)
            self.dual_right = np.ascontiguousarray((contrasts @ dual_right).T)
        self.ranks = self.weight_left.shape[1], self.weight_right.shape[0]
        self.condition = inputs_condition * outputs_condition

    def weights_of(self, changes: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the change of W (d, d) within the span that changes the scores by `changes` (N, M).

        Only differences between classes count: a number added to a row of `changes` drops out.
        """
        coordinates = self.dual_left.T @ changes @ self.dual_right.T
        return np.asarray((self.weight_left @ coordinates @ self.weight_right).T)


def _basis(rows: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64], float]:
    left, values, right = np.linalg.svd(rows, full_matrices=False)
    rank = int((values > values[0] * max(rows.shape) * np.finfo(float).eps).sum()) if values[0] > 0.0 else 0
    condition = float(values[0] / values[rank - 1]) if rank else 1.0
    return np.ascontiguousarray(right[:rank].T), np.ascontiguousarray(left[:, :rank] / values[:rank]), condition


def draws_of(
    rule: Any, frequencies: NDArray[np.float64], generator: np.random.Generator | None, span: Span | None, dtype: str
) -> Draws:
    """Return the stream that a rule needs."""
    if generator is None:
        return Draws(frequencies, None, dtype)
    if isinstance(rule, StochasticGradientDescent):
        return BatchDraws(frequencies, generator, rule.batch_size, dtype)
    if isinstance(rule, StochasticGradientFlow) and isinstance(rule.noise, GradientNoise):
        return CovarianceDraws(frequencies, generator, rule.noise, rule.dt, dtype)
    if span is not None:
        return SpanDraws(frequencies, generator, span.ranks, dtype)
    return Draws(frequencies, None, dtype)
