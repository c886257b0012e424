"""Which observables a run records: resolving names, calling functions, storing rows, and minding the memory."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import InputError, SizeError, TraindynError, unknown_name
from .failing import failure
from .memory_guard import free_memory

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .problem import State
    from .sharpness_search import SharpnessSearch

_ALWAYS_ALLOWED = 2**26  # bytes: below, the free memory is not even asked for


def known_observables(problem: Any) -> Mapping[str, Callable[[State], Any]]:
    """Return the observables that a problem declares, with ``loss`` and ``weights`` for one that does not."""
    declared = getattr(problem, "observables", {})
    return {"loss": _plain_loss, "weights": _plain_weights, **declared}


def resolve(problem: Any, observe: Any) -> dict[str, Callable[[State], Any]]:
    """Return name -> function for what a user asked to observe: names, mappings, or a mixture of both."""
    known = known_observables(problem)
    if observe is None:
        default = getattr(problem, "default_observables", None)
        return {name: known[name] for name in default or known}
    chosen: dict[str, Callable[[State], Any]] = {}
    for item in (observe,) if isinstance(observe, (str, Mapping)) else _listed(observe):
        if isinstance(item, str):
            if item not in known:
                raise unknown_name("observable", item, known)
            chosen[item] = known[item]
        elif isinstance(item, Mapping):
            for name, function in item.items():
                if not callable(function):
                    raise InputError("an observable of your own is a function of a State", f"{name}: {function!r}")
                chosen[str(name)] = function
        else:
            raise InputError(
                "observe takes names and mappings of a name to a function", repr(item), 'such as ("loss", {"x": f})'
            )
    return chosen


def _listed(observe: Any) -> Iterable[Any]:
    if not isinstance(observe, Iterable):
        raise InputError("observe takes names and mappings of a name to a function", repr(observe))
    return observe


def _plain_loss(state: State) -> float:
    return float(state.problem.loss_and_gradient(state.weights)[0])


def _plain_weights(state: State) -> Any:
    return state.weights


def evaluate(name: str, function: Callable[[State], Any], state: State) -> NDArray[Any]:
    """Return an observable's value as an array of numbers; what it raises comes back as `RunFailed`."""
    place = f"at step {state.step}" if state.step is not None else f"at time {state.time:.6g}"
    try:
        returned = function(state)
    except TraindynError:
        raise
    except Exception as error:
        raise failure(f"the observable {name!r}", place, error) from error
    try:
        value = np.asarray(returned)
    except (ValueError, TypeError):
        value = np.empty(0, dtype=object)
    if value.dtype.kind not in "biufc":
        raise InputError(
            f"the observable {name!r} must return a number or an array of numbers",
            f"{type(returned).__name__} {place}", "return a float or a NumPy array",
        )  # fmt: skip
    return value


class Table:
    """Rows of the observables that Python evaluates, allocated once their shapes are known."""

    def __init__(self, functions: Mapping[str, Callable[[State], Any]], search: SharpnessSearch) -> None:
        self.functions = functions
        self.search = search
        self.columns: dict[str, NDArray[Any]] = {}
        self.row = 0

    def look(self, state: State) -> dict[str, NDArray[Any]]:
        """Return the values at a state."""
        return {name: evaluate(name, function, state) for name, function in self.functions.items()}

    def allocate(self, first: Mapping[str, NDArray[Any]], rows: int) -> None:
        """Make room for `rows` rows shaped like the first one."""
        self.columns = {name: np.empty((rows, *value.shape), value.dtype) for name, value in first.items()}

    def write(self, values: Mapping[str, NDArray[Any]]) -> None:
        """Append a row."""
        for name, value in values.items():
            column = self.columns[name]
            if value.shape != column.shape[1:]:
                raise InputError(
                    "an observable must keep its shape",
                    f"{name}: {column.shape[1:]} at the start, {value.shape} at row {self.row}",
                )
            column[self.row] = value
        self.row += 1

    def record(self, state: State) -> None:
        """Append the row of a saved state."""
        self.write(self.look(state))
        self.search.saved(state)


def check_memory(rows: float, numbers: Mapping[str, int], state_bytes: float) -> None:
    """Raise SizeError if the rows to save and the state need more than half of the free memory."""
    each = {name: 8.0 * max(size, 1) * rows for name, size in numbers.items()}
    needed = sum(each.values()) + 16.0 * rows + state_bytes
    if needed < _ALWAYS_ALLOWED:
        return
    free = free_memory()
    if free is None or needed <= 0.5 * free:
        return
    largest = max(each, key=lambda name: each[name], default="")
    share = f", {each[largest] / 2**30:.3g} GiB of it for {largest!r}" if largest else ""
    if state_bytes > 0.5 * needed:
        raise SizeError(
            f"the state would need {needed / 2**30:.3g} GiB, more than half of the {free / 2**30:.3g} GiB that are "
            'free; pass form="weights", whose state grows with the dimension and not with the square of the tokens, '
            "and less in save= and observe="
        )
    raise SizeError(
        f"the run would need {needed / 2**30:.3g} GiB{share}, more than half of the {free / 2**30:.3g} GiB that are "
        f"free; save fewer of its {rows:.0f} points (save=logarithmic(200), save=every(k)) or observe less (observe=)"
    )


def size_of(shape: tuple[int, ...]) -> int:
    """Return the number of entries."""
    return math.prod(shape)
