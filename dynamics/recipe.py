"""Recipes: problems and rules from the values of a cell, without a function of your own."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import InputError, unknown_name
from .associative_memory import AssociativeMemory
from .descent import GradientDescent
from .schedules import stable_digest
from .two_token_columns import MOST_RATE

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .grid import Cells


class Recipe:
    r"""Make the problem and the rule of a cell by two constructors, each with the arguments that it takes.

    ``Recipe(P, R, **fixed)(**cell)`` is ``(P(...), R(...))``: every fixed value and every value of the cell goes to the
    constructor that has an argument of that name; a value of the cell comes before a fixed one. A recipe can be sent to
    other processes, has a name and a digest for stores and files, and a sweep of ``AssociativeMemory.two_tokens`` under
    `GradientDescent` runs from whole columns of numbers, without an object for each cell.

    Arguments:
        problem: a constructor of problems, such as ``td.AssociativeMemory.two_tokens``.
        rule: a constructor of rules, such as ``td.GradientDescent``.
        fixed: values that all cells share.

    Raises: InputError for a name that neither constructor takes or that both take.

    >>> from traindyn.dynamics import AssociativeMemory, GradientDescent, Recipe
    >>> recipe = Recipe(AssociativeMemory.two_tokens, GradientDescent, frequencies=(0.6, 0.4))
    >>> recipe(correlation=0.5, learning_rate=2.0)[1]
    GradientDescent(learning_rate=2.0, momentum=0.0)
    >>> recipe
    Recipe(AssociativeMemory.two_tokens, GradientDescent, frequencies=(0.6, 0.4))
    """

    def __init__(self, problem: Callable[..., Any], rule: Callable[..., Any], **fixed: Any) -> None:
        self.problem, self.rule = problem, rule
        self.fixed: Mapping[str, Any] = MappingProxyType(dict(fixed))
        self._of_problem, self._of_rule = _arguments("problem", problem), _arguments("rule", rule)
        self._both = self._of_problem & self._of_rule
        self.check(fixed)

    @property
    def known(self) -> frozenset[str]:
        """The names of the values that it takes."""
        return (self._of_problem | self._of_rule) - self._both

    def check(self, names: Any) -> None:
        """Raise InputError for a name that belongs to no constructor, or to both."""
        for name in names:
            if name in self._both:
                raise InputError(
                    f"{_name(self.problem)} and {_name(self.rule)} both take {name!r}", None,
                    "write a function build(**cell) that returns (problem, rule)",
                )  # fmt: skip
            if name not in self.known:
                raise unknown_name(f"argument of {_name(self.problem)} or {_name(self.rule)}", name, self.known)

    def __call__(self, **cell: Any) -> tuple[Any, Any]:
        """Return (problem, rule)."""
        given = {**self.fixed, **cell}
        of_problem = {name: value for name, value in given.items() if name in self._of_problem}
        of_rule = {name: value for name, value in given.items() if name in self._of_rule}
        if len(of_problem) + len(of_rule) != len(given):
            self.check(given)
        return self.problem(**of_problem), self.rule(**of_rule)

    @property
    def digest(self) -> str:
        """SHA-256 of the constructors' names and the fixed values."""
        places = [f"{one.__module__}.{one.__qualname__}" for one in (self.problem, self.rule)]
        return stable_digest(["Recipe", *places, dict(self.fixed)])

    def __eq__(self, other: object) -> bool:
        return self.digest == other.digest if isinstance(other, Recipe) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.digest)

    def __repr__(self) -> str:
        fixed = "".join(f", {name}={value!r}" for name, value in sorted(self.fixed.items()))
        return f"Recipe({_name(self.problem)}, {_name(self.rule)}{fixed})"

    def __reduce__(self) -> tuple[Any, ...]:
        return _remade, (self.problem, self.rule, dict(self.fixed))

    def columns(self, cells: Cells) -> dict[str, NDArray[Any]] | None:
        """Return the cells as columns for the two-token kernel; None for other problems, rules and values.

        Columns: correlation (n,), frequencies (n, 2), learning_rate (n,) and momentum (n,), or one row for all cells,
        and served (n,), which is False where the constructors would refuse the values, where there is momentum, and
        where a rate may overflow.
        """
        if self.problem != AssociativeMemory.two_tokens or self.rule is not GradientDescent:
            return None
        axes = {name for name, *_ in cells.axes}
        if not axes <= self.known:
            return None
        columns: dict[str, NDArray[Any]] = {}
        served = np.ones(cells.count, np.bool_)
        for name, (default, law) in _TWO_TOKEN_LAWS.items():
            on_axis = name in axes
            values = cells.numbers(name) if on_axis else _number(self.fixed.get(name, default))
            if values is None or values.shape[1:] != ((2,) if name == "frequencies" else ()):
                return None
            lawful = law(values)
            if name == "frequencies":
                values = _normalised(values, lawful)
            if not lawful.all():
                served &= cells.spread(name, lawful) if on_axis else False
            columns[name] = cells.spread(name, values) if on_axis and len(values) > 1 else values
        return {**columns, "served": served}


def _remade(problem: Callable[..., Any], rule: Callable[..., Any], fixed: dict[str, Any]) -> Recipe:
    return Recipe(problem, rule, **fixed)


def _name(constructor: Any) -> str:
    return str(getattr(constructor, "__qualname__", constructor))


def _arguments(kind: str, constructor: Any) -> frozenset[str]:
    try:
        parameters = inspect.signature(constructor).parameters.values()
    except (TypeError, ValueError):
        raise InputError(
            f"a recipe's {kind} must be a constructor", repr(constructor),
            "such as td.AssociativeMemory.two_tokens and td.GradientDescent, without calling them",
        ) from None  # fmt: skip
    named = {one.name for one in parameters if one.kind in (one.POSITIONAL_OR_KEYWORD, one.KEYWORD_ONLY)}
    if any(one.kind is one.VAR_KEYWORD for one in parameters):
        raise InputError(
            f"a recipe's {kind} must name its arguments", f"{_name(constructor)} takes **keywords",
            "write a function build(**cell) that returns (problem, rule)",
        )  # fmt: skip
    return frozenset(named)


def _number(value: Any) -> NDArray[np.float64] | None:
    """Return a number as (1,), a pair as (1, 2); None for anything else."""
    try:
        if isinstance(value, (str, bytes, bool)) or value is None or callable(value):
            return None
        return np.asarray(value, dtype=np.float64)[None]
    except (TypeError, ValueError):
        return None


def _frequencies_law(values: NDArray[np.float64]) -> NDArray[np.bool_]:
    lawful: NDArray[np.bool_] = (values.min(axis=1) > 0.0) & (np.abs(values.sum(axis=1) - 1.0) <= 1e-9)
    return lawful


def _normalised(values: NDArray[np.float64], lawful: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Divide by the sum where it is not 1, as the memory does; a sum of two numbers is rounded once."""
    total = values.sum(axis=1, keepdims=True)
    normalised = values.copy()
    np.divide(values, total, out=normalised, where=(total != 1.0) & lawful[:, None])
    return normalised


_Law = Callable[["NDArray[np.float64]"], "NDArray[np.bool_]"]
# argument -> its default and what the constructors ask of it
_TWO_TOKEN_LAWS: dict[str, tuple[Any, _Law]] = {
    "correlation": (0.95, lambda values: np.abs(values) <= 1.0),
    "frequencies": ((0.75, 0.25), _frequencies_law),
    "learning_rate": (None, lambda values: (values > 0.0) & (values <= MOST_RATE)),
    # cells with momentum, lawful or not, are built as objects
    "momentum": (0.0, lambda values: values == 0.0),
}
