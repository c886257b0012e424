"""What a problem and a rule must offer, so that your own run through `simulate` beside the package's.

A problem needs ``initial_weights()`` and ``loss_and_gradient(weights)``; a rule needs ``init(weights)`` and
``step(weights, gradient, memory, step)``. Such pairs move on a plain path, one Python call a step. A problem that
also offers ``system(...)`` brings its own, faster forms of the state (see `system`); the package's problems do.

>>> import numpy as np
>>> from traindyn.dynamics import GradientDescent, simulate
>>> class Bowl:
...     observables = {"loss": lambda state: 0.5 * np.sum(state.weights**2)}
...     def initial_weights(self):
...         return np.ones(3)
...     def loss_and_gradient(self, weights):
...         return 0.5 * np.sum(weights**2), weights
>>> run = simulate(Bowl(), GradientDescent(learning_rate=0.5), steps=2)
>>> run["loss"].tolist()
[1.5, 0.375, 0.09375]
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, runtime_checkable

from numpy.typing import NDArray

from .sharpness_search import SharpnessSearch

if TYPE_CHECKING:
    from ..kernels import Eigenpair
    from .system import Moving

__all__ = ["Problem", "Rule", "State"]


class State:
    """What an observable sees of a run at one step; the arrays are computed on first use and are copies.

    Attributes: problem, step (None for a flow), time, weights, and scores where the problem has scores.
    """

    def __init__(
        self, problem: Any, moving: Moving, step: int | None, time: float, search: SharpnessSearch | None = None
    ) -> None:
        self.problem = problem
        self.step = step
        self.time = time
        self._moving = moving
        self._search = SharpnessSearch() if search is None else search

    @cached_property
    def weights(self) -> NDArray[Any]:
        """The weights, in the shape of ``problem.initial_weights()``."""
        return self._moving.weights()

    @cached_property
    def scores(self) -> NDArray[Any]:
        """(N, M): the score of each class on each token."""
        return self._moving.scores()

    @cached_property
    def class_margins(self) -> NDArray[Any]:
        """(N, M): score of the target minus that of each class, from the state itself where it holds differences."""
        from .observables import class_margins

        exact = getattr(self._moving, "margins_to", None)
        return exact() if exact is not None else class_margins(self.scores, self.problem.targets)

    @cached_property
    def top_eigenpair(self) -> Eigenpair:
        """Of the Hessian of a memory: value, vector (d, d), residual and products; one search for all who ask."""
        return self._search.at(self.problem, self.weights)


Observable: TypeAlias = Callable[[State], Any]


@runtime_checkable
class Problem(Protocol):
    """What is learned.

    Optional attributes: ``observables`` (a mapping of names to functions of a `State`; ``loss`` is given where it
    is missing), ``default_observables`` (names), ``digest`` (a string of the content, for resuming from a file).
    """

    def initial_weights(self) -> NDArray[Any]:
        """Return the weights at step 0, an array of any shape."""
        ...

    def loss_and_gradient(self, weights: NDArray[Any]) -> tuple[float, NDArray[Any]]:
        """Return the loss and its gradient, an array of the shape of the weights."""
        ...


@runtime_checkable
class Rule(Protocol):
    """How it moves. Optional: ``rate(step)`` or ``learning_rate``, which make the time; ``digest``."""

    def init(self, weights: NDArray[Any]) -> Mapping[str, NDArray[Any]]:
        """Return the memory of a run that starts at `weights`: named arrays."""
        ...

    def step(
        self, weights: NDArray[Any], gradient: NDArray[Any], memory: Mapping[str, NDArray[Any]], step: int
    ) -> tuple[NDArray[Any], Mapping[str, NDArray[Any]]]:
        """Return the weights and the memory after step `step`, as new arrays."""
        ...
