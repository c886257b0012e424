"""The grid of a sweep: named axes, their product, and the pieces of it that go to workers."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from .schedules import stable_digest

_MOST_CELLS = 2**48

Values: TypeAlias = "tuple[Any, ...] | NDArray[Any]"


@dataclass(frozen=True, eq=False)
class Cells:
    """A contiguous range of cells, with no more of each axis than the range uses: what a worker is sent.

    The value of an axis in cell f is ``values[f // block - first // block]``, counted modulo the length of the axis.
    """

    first: int
    count: int
    axes: tuple[tuple[str, Values, int, int], ...]  # name, values used, block, length of the axis

    def __iter__(self) -> Iterator[dict[str, Any]]:
        axes = [
            (name, values.tolist() if isinstance(values, np.ndarray) else values, block, self.first // block, length)
            for name, values, block, length in self.axes
        ]
        for cell in range(self.first, self.first + self.count):
            yield {name: values[(cell // block - start) % length] for name, values, block, start, length in axes}

    def numbers(self, name: str) -> NDArray[np.float64] | None:
        """Return the values used of an axis, (k,), or (k, m) of tuples of m numbers; None if it holds other things."""
        return next(_numbers(values) for axis, values, *_ in self.axes if axis == name)

    def spread(self, name: str, array: NDArray[Any]) -> NDArray[Any]:
        """Return one row a cell from one row a used value of an axis."""
        block = next(block for axis, _, block, _ in self.axes if axis == name)
        return _spread(array, self.first, self.count, block)


@dataclass(frozen=True, eq=False)
class Grid:
    """The product of named axes; the last one varies fastest.

    >>> grid = Grid.of({"a": [1, 2], "b": [0.5, 1.5, 2.5]})
    >>> grid.shape, grid.size, list(grid.cells(2, 4))
    ((2, 3), 6, [{'a': 1, 'b': 2.5}, {'a': 2, 'b': 0.5}])
    """

    axes: Mapping[str, tuple[Any, ...]]

    @classmethod
    def of(cls, axes: Any) -> Grid:
        """Return the checked grid.

        Raises: InputError naming the axis, the law and the entry that breaks it.
        """
        if isinstance(axes, Grid):
            return axes
        if not isinstance(axes, Mapping) or not axes:
            raise InputError(
                "grid must map names to sequences of values", repr(axes), 'such as {"learning_rate": [0.1, 1.0]}'
            )
        checked = {_checked_name(name): _checked_axis(name, values) for name, values in axes.items()}
        grid = cls(checked)
        if grid.size > _MOST_CELLS:
            raise InputError("a grid has at most 2^48 cells", f"shape {grid.shape}")
        return grid

    @cached_property
    def shape(self) -> tuple[int, ...]:
        """The number of values of each axis."""
        return tuple(len(values) for values in self.axes.values())

    @property
    def size(self) -> int:
        """The number of cells."""
        return math.prod(self.shape)

    @cached_property
    def _blocks(self) -> tuple[int, ...]:
        return tuple(math.prod(self.shape[place + 1 :]) for place in range(len(self.shape)))

    def cells(self, first: int, stop: int) -> Cells:
        """Return the cells first <= f < stop."""
        axes = []
        for name, block, length in zip(self.axes, self._blocks, self.shape, strict=True):
            values = self._packed[name]
            low, used = first // block % length, min((stop - 1) // block - first // block + 1, length)
            wrapped = values[: max(0, low + used - length)]
            kept = values[low : low + used]
            if len(wrapped):
                kept = np.concatenate([kept, wrapped]) if isinstance(kept, np.ndarray) else (*kept, *wrapped)
            axes.append((name, kept, block, length))
        return Cells(first, stop - first, tuple(axes))

    def cell(self, index: int) -> dict[str, Any]:
        """Return the values of one cell, by its number in the order of the grid."""
        return next(iter(self.cells(index, index + 1)))

    @cached_property
    def _packed(self) -> dict[str, Values]:
        """The axes, those of floats only and of integers only as arrays."""
        packed = {name: _plain_array(values) for name, values in self.axes.items()}
        return {name: values if (array := packed[name]) is None else array for name, values in self.axes.items()}

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the names and the values, in their order."""
        return stable_digest([[name, values] for name, values in self._packed.items()])


def _checked_name(name: Any) -> str:
    if not isinstance(name, str) or not name.isidentifier():
        raise InputError("an axis is named like an argument of build", repr(name), "a name without blanks")
    return name


def _checked_axis(name: str, values: Any) -> tuple[Any, ...]:
    if isinstance(values, (str, bytes, Mapping)) or not (
        isinstance(values, (Sequence, np.ndarray, range)) or hasattr(values, "__array__")
    ):
        raise InputError(f"the axis {name!r} must be a sequence of values", repr(values), f"pass [{values!r}]")
    array = values if isinstance(values, np.ndarray) else None
    if array is None and hasattr(values, "__array__"):
        array = np.asarray(values)  # a pandas or xarray column, a tensor
    if array is not None:
        if array.ndim not in (1, 2):
            raise InputError(f"the axis {name!r} must have one dimension, or rows that are tuples", array.shape)
        if array.ndim == 1 and array.dtype == np.float64 and np.isfinite(array).all():
            distinct = np.unique(array)
            if array.size and distinct.size == array.size:
                return tuple(array.tolist())
        listed = array.tolist()
    else:
        listed = list(values)
    checked = tuple(_checked_value(name, place, value) for place, value in enumerate(listed))
    if not checked:
        raise InputError(f"the axis {name!r} must not be empty", None, "give it one value, or leave it out")
    if len(set(checked)) < len(checked):
        seen: dict[Any, int] = {}
        for place, value in enumerate(checked):
            if value in seen:
                raise InputError(
                    f"the axis {name!r} must not repeat a value", f"{value!r} at places {seen[value]} and {place}",
                    "two cells with the same values would be two names for one run",
                )  # fmt: skip
            seen[value] = place
    return checked


def _checked_value(name: str, place: int, value: Any) -> Any:
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, (list, tuple)):
        return tuple(_checked_value(name, place, item) for item in value)
    if isinstance(value, float) and not math.isfinite(value):
        raise InputError(f"the axis {name!r} must hold finite numbers", f"{name}[{place}] = {value}", "leave it out")
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise InputError(
        f"the axis {name!r} must hold numbers, texts, or tuples of them",
        f"{name}[{place}] = {value!r} of type {type(value).__name__}",
        "put a name for it on the axis, and let build make the object from the name",
    )


def _spread(array: NDArray[Any], first: int, count: int, block: int) -> NDArray[Any]:
    """Return the values of `count` cells from values in cyclic order: each one `block` times, the first one less."""
    runs = (first + count - 1) // block - first // block + 1
    cycle = array if runs <= len(array) else np.concatenate([array] * (-(-runs // len(array))))
    cycle = cycle[:runs]
    if block == 1:
        return np.ascontiguousarray(cycle)
    times = np.full(runs, block)
    times[0] -= first % block
    times[-1] -= times.sum() - count
    return np.repeat(cycle, times, axis=0)


def _plain_array(values: tuple[Any, ...]) -> NDArray[Any] | None:
    """Return values of one type, all int or all float, as an array."""
    kinds = set(map(type, values))
    if kinds == {float}:
        return np.array(values)
    if kinds == {int} and min(values) >= -(2**63) and max(values) < 2**63:
        return np.array(values, np.int64)
    return None


def _numbers(values: Values) -> NDArray[np.float64] | None:
    """Return numbers as (n,), tuples of k numbers each as (n, k); None for anything else."""
    if isinstance(values, np.ndarray):
        return values.astype(np.float64, copy=False)
    if all(type(value) in (int, float) for value in values):
        return np.array(values, dtype=np.float64)
    widths = {len(value) if isinstance(value, tuple) else -1 for value in values}
    if len(widths) == 1 and -1 not in widths and all(type(x) in (int, float) for value in values for x in value):
        return np.array(values, dtype=np.float64)
    return None
