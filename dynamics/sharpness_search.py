"""The largest Hessian eigenvalue along a run: one search a state, begun with the eigenvector of the last saved state.

Only saved states hand their eigenvector on, so that what a stop condition looks at between them changes no bit, and a
resumed run goes on with the bits of the uninterrupted one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..kernels import Eigenpair
    from .problem import State

_TOLERANCE = 1e-8
_START, _BEFORE = "sharpness.start", "sharpness.before"


class SharpnessSearch:
    """What the searches of one run share: the latest result, and the eigenvectors of the last two saved states."""

    def __init__(self) -> None:
        self._latest: tuple[NDArray[np.float64], Eigenpair] | None = None
        self._start: NDArray[np.float64] | None = None
        self._before: NDArray[np.float64] | None = None

    @classmethod
    def restored(cls, arrays: Mapping[str, NDArray[Any]], last_row_goes: bool) -> SharpnessSearch:
        """Return the search of a run that goes on, without its last row if only its end made it a saved one."""
        search = cls()
        search._before = arrays.get(_BEFORE)
        search._start = search._before if last_row_goes else arrays.get(_START)
        return search

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return what `restored` needs, by name."""
        kept = {_START: self._start, _BEFORE: self._before}
        return {name: vector for name, vector in kept.items() if vector is not None}

    def at(self, problem: Any, weights: NDArray[Any]) -> Eigenpair:
        """Return the eigenpair of a memory at some weights, in float64; several that ask at one state share a search.

        Raises: TraindynError where the residual stays above 1e-8 of the value.
        """
        current = np.asarray(weights, dtype=np.float64)
        if self._latest is None or not np.array_equal(self._latest[0], current):
            self._latest = current, self._found(problem, current)
        return self._latest[1]

    def saved(self, state: State) -> None:
        """Begin the next searches with the eigenvector of a saved state, if anything asked for it."""
        from ..kernels.cpu.eigenvalue import DENSE_SIZE

        pair: Eigenpair | None = vars(state).get("top_eigenpair")
        if pair is not None and pair.vector.size > DENSE_SIZE and pair.vector is not self._start:
            self._before, self._start = self._start, pair.vector

    def _found(self, memory: Any, current: NDArray[np.float64]) -> Eigenpair:
        from ..kernels import largest_eigenvalue
        from ..kernels.cpu.eigenvalue import DENSE_SIZE
        from ..kernels.functions import not_converged

        pair = largest_eigenvalue(
            current, memory.inputs, memory.outputs, memory.targets, memory.frequencies,
            start=self._start, tolerance=_TOLERANCE,
        )  # fmt: skip
        converged = pair.residual <= _TOLERANCE * pair.value or current.size <= DENSE_SIZE
        if not converged or math.isnan(pair.value):
            raise not_converged()
        pair.vector.flags.writeable = False
        return pair
