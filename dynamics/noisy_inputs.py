"""The weights in motion along batches whose inputs carry fresh noise."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from ..kernels.cpu.descent_arguments import Record
from ..kernels.cpu.descent_record import NOT_FINITE
from ..kernels.cpu.descent_record import STOPPED as STOP_CODE
from .descent_work import memory_of, rows_of, sizes_of
from .draws import BatchDraws
from .memory_weights import WeightSystem
from .system import REACHED_END, STOPPED, Event

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .associative_memory import AssociativeMemory
    from .recorder import Recorder

# the noise comes from a Philox stream of its own: the words of the run's key name the tokens
_NOISE_KEY = np.array([0, 0x9E3779B97F4A7C15], np.uint64)


class NoisyInputDraws(BatchDraws):
    """The tokens of each batch, and a standard normal vector with each of them."""

    def __init__(
        self, frequencies: NDArray[np.float64], stream: np.random.Generator, batch_size: int, dim: int, dtype: str
    ) -> None:
        super().__init__(frequencies, stream, batch_size, dtype)
        self._noise_key = self._key ^ _NOISE_KEY
        self._width = batch_size * dim
        self.numbers_per_step = batch_size + self._width

    def take_samples(self, count: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Return the tokens (k, B) and the noise (k, B d) of the next `count` steps."""
        from ..kernels.cpu.random import fill_normals

        tokens = self.take_tokens(count)
        noise = np.empty((count, self._width))
        fill_normals(self._noise_key, self._first, noise)
        noise.flags.writeable = False
        return tokens, noise


class NoisyInputSystem(WeightSystem):
    """The weights (d, d) under `StochasticGradientDescent` with `input_noise`; tokens are judged without noise."""

    def __init__(
        self,
        problem: AssociativeMemory,
        rule: Any,
        initial: NDArray[np.float64] | None,
        dtype: str,
        generator: np.random.Generator | None,
    ) -> None:
        from ..kernels.cpu.noisy_inputs import noisy_input_slice

        super().__init__(problem, rule, initial, dtype, generator)
        assert generator is not None
        n_tokens, n_classes, dim = problem.n_tokens, problem.n_classes, problem.dim
        self._samples = NoisyInputDraws(problem.frequencies, generator, rule.batch_size, dim, dtype)
        self.largest_slice = self._samples.largest_slice
        sizes = sizes_of(n_tokens, n_classes, dim, False)
        rows = rows_of(n_tokens, 0, sizes.tile)
        self._slice: Callable[..., tuple[int, int, int]] = noisy_input_slice
        self._before = self._transposed, memory_of(problem, sizes, dtype, False)
        self._spread = float(rule.input_noise)
        shapes = (rule.batch_size, dim), (rule.batch_size, dim), (rule.batch_size, n_classes), (n_tokens, dim)
        self._after = (*(np.empty(shape, dtype) for shape in (*shapes, (n_tokens, n_classes))), rows)

    def _picks_rows(self, rule: Any) -> bool:
        return False

    def advance(self, end: int, rates: NDArray[np.float64], recorder: Recorder) -> Event:
        """Move to step `end` in one compiled call; the state at `end` is looked at, if it is due, but not moved."""
        record = Record(
            recorder.steps, recorder.scalars, recorder.margins,
            recorder.stop_column, recorder.stop_relation, recorder.stop_threshold,
        )  # fmt: skip
        tokens, noise = self._samples.take_samples(end - self.step)
        reached, recorder.next_row, code = self._slice(
            *self._before, tokens, noise, self._spread, rates, *self._after, record, recorder.next_row, self.step, end
        )
        self._samples.rewind(reached - self.step)
        self.step = reached
        if code == NOT_FINITE:
            return Event(not_finite=self.array_name)
        return STOPPED if code == STOP_CODE else REACHED_END
