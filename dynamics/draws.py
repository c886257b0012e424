"""The random numbers of a rule: a function of the key, the step and the index, and of nothing else.

The numbers of step t are made from NumPy's Philox generator with the run's key and the counter (0, t, 0, 0), so they
are the same in every form of the state, for every slicing of the steps, on every number of threads, and after a
resume. The numbers are filled in by compiled code (`kernels.cpu.random`).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import InputError
from .embeddings import zero_sum_basis
from .numbers import Seed, integer
from .one_thread import one_thread
from .restarting import generator_from
from .stochastic import GradientNoise, StochasticGradientDescent, StochasticGradientFlow

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .associative_memory import AssociativeMemory

_BYTES_PER_SLICE = 2**22


def random_stream(rng: Seed) -> np.random.Generator:
    """Return the stream of a run at step 0: a Philox generator whose key comes from the seed.

    From a whole number >= 0 or a SeedSequence the key is what NumPy's ``Philox(seed)`` takes; from a Generator, its
    next two words (it is copied, not moved).
    """
    if isinstance(rng, np.random.Generator):
        key = generator_from(rng).integers(0, 2**64, 2, dtype=np.uint64)
    else:
        seed = rng if isinstance(rng, np.random.SeedSequence) else integer("rng", rng, minimum=0)
        key = np.random.Philox(seed).state["state"]["key"]
    return np.random.Generator(np.random.Philox(key=key))


class Draws:
    """Token weights and additive noise for slices of steps; this one draws nothing.

    `take(k)` returns the token weights (k, N), or (1, N) if constant, and the noise (k, rank_E, rank_U), or (0, ..).
    `rewind(used)` gives back the steps that the last `take` took beyond those that were used, and writes the step
    that comes next into the counter of the run's stream.
    """

    numbers_per_step = 0

    def __init__(
        self, frequencies: NDArray[np.float64], stream: np.random.Generator | None = None, dtype: str = "float64"
    ) -> None:
        self._stream = stream
        self._weights = frequencies.reshape(1, -1)
        self._nothing = np.zeros((0, 0, 0), dtype)
        self._nothing.flags.writeable = False
        self._key, self._next = _position(stream)
        self._first = self._next

    @property
    def largest_slice(self) -> int:
        """How many steps may be drawn at once."""
        return max(1, _BYTES_PER_SLICE // (8 * self.numbers_per_step)) if self.numbers_per_step else 2**62

    def take(self, count: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return token weights and noise of the next `count` steps."""
        self._claim(count)
        return self._draw(count) if count and self.numbers_per_step else (self._weights, self._nothing)

    def take_tokens(self, count: int) -> NDArray[np.int64]:
        """Return the tokens (k, B) of the batches of the next `count` steps, of a rule that draws batches."""
        raise NotImplementedError

    def rewind(self, used: int) -> None:
        """Go to the step that comes after `used` of the steps last taken."""
        self._next = self._first + used
        if self._stream is not None and self.numbers_per_step:
            bits = self._stream.bit_generator
            state: dict[str, Any] = {**bits.state, "buffer_pos": 4}
            state["state"] = {"key": self._key, "counter": np.array([0, self._next, 0, 0], np.uint64)}
            bits.state = state

    def _claim(self, count: int) -> None:
        self._first, self._next = self._next, self._next + count

    def _draw(self, count: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        return self._weights, self._nothing

    def _normals(self, count: int, width: int) -> NDArray[np.float64]:
        from ..kernels.cpu.random import fill_normals

        normals = np.empty((count, width))
        fill_normals(self._key, self._first, normals)
        return normals


def _position(stream: np.random.Generator | None) -> tuple[NDArray[np.uint64], int]:
    """Return the key of a stream and the step that comes next."""
    if stream is None:
        return np.zeros(2, np.uint64), 0
    state = stream.bit_generator.state
    if state["bit_generator"] != "Philox":
        raise InputError(
            "random numbers are those of a Philox stream", state["bit_generator"],
            "a run of an earlier version cannot go on; start again, or afresh with initial=run.final",
        )  # fmt: skip
    return state["state"]["key"].copy(), int(state["state"]["counter"][1])


class BatchDraws(Draws):
    """The share of each token in a batch drawn with replacement."""

    def __init__(
        self, frequencies: NDArray[np.float64], stream: np.random.Generator, batch_size: int, dtype: str
    ) -> None:
        super().__init__(frequencies, stream, dtype)
        from ..kernels.cpu.random import guide_of

        self._batch_size = batch_size
        cumulative = np.cumsum(frequencies)
        self._cumulative = cumulative / cumulative[-1]
        self._guide = guide_of(self._cumulative)
        self.numbers_per_step = batch_size + frequencies.size

    def take_tokens(self, count: int) -> NDArray[np.int64]:
        """Return the tokens (k, B) of the batches of the next `count` steps."""
        self._claim(count)
        tokens = self._tokens(count)
        tokens.flags.writeable = False
        return tokens

    def _tokens(self, count: int) -> NDArray[np.int64]:
        from ..kernels.cpu.random import fill_tokens

        tokens = np.empty((count, self._batch_size), np.int64)
        fill_tokens(self._key, self._first, self._cumulative, self._guide, tokens)
        return tokens

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
        stream: np.random.Generator,
        noise: GradientNoise,
        dt: float,
        dtype: str,
    ) -> None:
        super().__init__(frequencies, stream, dtype)
        self._scale = math.sqrt(noise.learning_rate / (noise.batch_size * dt))
        self._roots = np.sqrt(frequencies)
        self.numbers_per_step = 3 * frequencies.size

    def _draw(self, count: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        noise = self._normals(count, self._roots.size) * self._roots
        # cumsum adds each row in order, whatever the number of rows; sum may not
        common = np.cumsum(noise, axis=1)[:, -1]
        weights = self._weights - self._scale * (noise - common[:, None] * self._weights)
        weights.flags.writeable = False
        return weights, self._nothing


class SpanDraws(Draws):
    """Standard normal coordinates (rank_E, rank_U) of the noise in orthonormal bases of the gradient span."""

    def __init__(
        self, frequencies: NDArray[np.float64], stream: np.random.Generator, ranks: tuple[int, int], dtype: str
    ) -> None:
        super().__init__(frequencies, stream, dtype)
        self._ranks, self._dtype = ranks, dtype
        self.numbers_per_step = ranks[0] * ranks[1]

    def _draw(self, count: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        noise = self._normals(count, self.numbers_per_step).reshape(count, *self._ranks)
        noise = noise.astype(self._dtype, copy=False)
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
    rule: Any, frequencies: NDArray[np.float64], stream: np.random.Generator | None, span: Span | None, dtype: str
) -> Draws:
    """Return the draws that a rule needs."""
    if stream is None:
        return Draws(frequencies, None, dtype)
    if isinstance(rule, StochasticGradientDescent):
        return BatchDraws(frequencies, stream, rule.batch_size, dtype)
    if isinstance(rule, StochasticGradientFlow) and isinstance(rule.noise, GradientNoise):
        return CovarianceDraws(frequencies, stream, rule.noise, rule.dt, dtype)
    if span is not None:
        return SpanDraws(frequencies, stream, span.ranks, dtype)
    return Draws(frequencies, None, dtype)
