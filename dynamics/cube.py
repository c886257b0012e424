"""What a sweep returns: the measures and the status of every cell of the grid, with its axes."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import InputError, unknown_name
from .cells import CODES, STATUSES
from .status import Status

if TYPE_CHECKING:
    import os

    from numpy.typing import NDArray

_UNDONE = CODES[Status.INTERRUPTED]


@dataclass(frozen=True, eq=False, repr=False)
class Cube:
    """The result of `sweep`: ``cube["peak_loss"]`` is an array of the grid's shape, as is ``cube.status``.

    Attributes:
        axes: name -> the values of an axis, in the order of the dimensions.
        measures: the names of the measures.
        provenance: what defines the sweep, the versions and the CPU, as in the header of a store.

    The arrays are read-only. A value is NaN where its event was never reached; the status says how the run ended.

    >>> from traindyn.dynamics import AssociativeMemory, GradientDescent, Recipe, sweep
    >>> cube = sweep(Recipe(AssociativeMemory.two_tokens, GradientDescent), measure="steps_to_accuracy", steps=1000,
    ...              grid={"correlation": [0.0, 0.9], "learning_rate": [0.1, 1.0, 10.0]})
    >>> cube
    Cube (correlation 2, learning_rate 3): 6 cells, all THRESHOLD_REACHED
      steps_to_accuracy 1 .. 262
    >>> cube.select(correlation=0.9).values
    array([262.,  26.,   2.])
    """

    axes: Mapping[str, tuple[Any, ...]]
    measures: tuple[str, ...]
    table: NDArray[np.float64]  # (n, k), in the order of the grid
    codes: NDArray[np.int8]  # (n,), places in `Status`
    failures: Mapping[int, str]  # by the cell's number
    provenance: Mapping[str, Any]

    def __post_init__(self) -> None:
        for array in (self.table, self.codes):
            array.flags.writeable = False
        object.__setattr__(self, "axes", MappingProxyType(dict(self.axes)))

    @property
    def shape(self) -> tuple[int, ...]:
        """The number of values of each axis."""
        return tuple(len(values) for values in self.axes.values())

    @property
    def size(self) -> int:
        """The number of cells."""
        return math.prod(self.shape)

    @property
    def values(self) -> NDArray[np.float64]:
        """The first measure: floats in the grid's shape, NaN where it was never reached."""
        return self[self.measures[0]]

    def __getitem__(self, name: str) -> NDArray[np.float64]:
        if name not in self.measures:
            raise unknown_name("measure of this sweep", name, self.measures)
        column: NDArray[np.float64] = self.table[:, self.measures.index(name)].reshape(self.shape)
        column.flags.writeable = False
        return column

    @cached_property
    def status(self) -> NDArray[np.object_]:
        """The `Status` of every cell, in the grid's shape; INTERRUPTED where it was not run yet."""
        sentences = np.empty(len(STATUSES), dtype=object)
        sentences[:] = STATUSES
        array: NDArray[np.object_] = sentences[self.codes].reshape(self.shape)
        array.flags.writeable = False
        return array

    @property
    def counts(self) -> dict[Status, int]:
        """How many cells ended with which status."""
        numbers = np.bincount(self.codes, minlength=len(STATUSES)).tolist()
        return {status: number for status, number in zip(STATUSES, numbers, strict=True) if number}

    @property
    def missing(self) -> int:
        """How many cells were not run yet."""
        return int(np.count_nonzero(self.codes == _UNDONE))

    @property
    def errors(self) -> dict[tuple[int, ...], str]:
        """What went wrong in the cells that failed, by their index in the arrays."""
        return {
            tuple(int(i) for i in np.unravel_index(number, self.shape)): text
            for number, text in sorted(self.failures.items())
        }

    def cell(self, *index: int) -> dict[str, Any]:
        """Return the values of the axes at an index of the arrays.

        >>> import numpy as np
        >>> Cube({"rate": (0.1, 1.0)}, ("x",), np.zeros((2, 1)), np.zeros(2, np.int8), {}, {}).cell(1)
        {'rate': 1.0}
        """
        if len(index) != len(self.axes):
            raise InputError(f"an index of this cube has {len(self.axes)} numbers", index)
        return {name: values[place] for (name, values), place in zip(self.axes.items(), index, strict=True)}

    def select(self, **chosen: Any) -> Cube:
        """Return the cells where axes have the values given: a value drops its axis, a list of values keeps it.

        A number stands for the value within 1e-9 of itself.

        Raises: InputError naming the nearest values.

        >>> import numpy as np
        >>> cube = Cube({"rate": (0.1, 1.0)}, ("x",), np.array([[3.0], [4.0]]), np.zeros(2, np.int8), {}, {})
        >>> cube.select(rate=1.0).values, cube.select(rate=[0.1]).axes
        (array(4.), mappingproxy({'rate': (0.1,)}))
        """
        places: list[list[int]] = []
        axes: dict[str, tuple[Any, ...]] = {}
        for name in chosen:
            if name not in self.axes:
                raise unknown_name("axis of this sweep", name, self.axes)
        for name, values in self.axes.items():
            if name not in chosen:
                places.append(list(range(len(values))))
                axes[name] = values
            elif isinstance(chosen[name], (list, np.ndarray)):
                known = {value: place for place, value in enumerate(values)}
                places.append([_place(name, values, value, known) for value in chosen[name]])
                axes[name] = tuple(values[place] for place in places[-1])
            else:
                places.append([_place(name, values, chosen[name])])
        kept = np.arange(self.size).reshape(self.shape)[np.ix_(*places)].ravel()
        new = {int(old): place for place, old in enumerate(kept) if int(old) in self.failures} if self.failures else {}
        failures = {place: self.failures[old] for old, place in new.items()}
        selected = {name: value for name, value in chosen.items() if name not in axes}
        provenance = {**self.provenance, "selected": {**self.provenance.get("selected", {}), **selected}}
        return Cube(axes, self.measures, self.table[kept], self.codes[kept], failures, provenance)

    def __repr__(self) -> str:
        named = ", ".join(f"{name} {len(values)}" for name, values in self.axes.items())
        counts = self.counts
        if len(counts) == 1:
            told = f"all {next(iter(counts)).name}"
        else:
            told = ", ".join(f"{number} {status.name}" for status, number in counts.items())
        lines = [f"Cube ({named}): {self.size} cells, {told}"]
        for column, name in enumerate(self.measures):
            found = self.table[:, column]
            found = found[~np.isnan(found)]
            never = self.size - found.size
            span = f"{found.min():.6g} .. {found.max():.6g}" if found.size else "no value"
            lines.append(f"  {name} {span}" + (f", {never} cells without" if never and found.size else ""))
        if self.failures:
            number = min(self.failures)
            index = tuple(int(i) for i in np.unravel_index(number, self.shape))
            lines.append(f"  first failure, at {self.cell(*index)}: {self.failures[number]}")
        if self.missing:
            lines.append(f"  {self.missing} cells were not run; run the same sweep with its store to go on")
        return "\n".join(lines)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Cube:
        """Read the cube of a store, also while the sweep that fills it runs.

        Cells that were not done yet have the status INTERRUPTED.

        Raises: FileError for a file that is foreign, damaged, or of another version.
        """
        from .cube_export import loaded

        return loaded(path)

    def to_xarray(self) -> Any:
        """Return an ``xarray.Dataset``: a variable a measure, the status as a number, labelled axes, the provenance.

        Raises: MissingLibraryError where xarray is not installed.
        """
        from .cube_export import to_xarray

        return to_xarray(self)

    def to_pandas(self) -> Any:
        """Return a ``pandas.DataFrame`` with a row a cell: the axes, the measures, the status.

        Raises: MissingLibraryError where pandas is not installed.
        """
        from .cube_export import to_pandas

        return to_pandas(self)

    def to_zarr(self, path: str | os.PathLike[str]) -> None:
        """Write the dataset of `to_xarray` to a zarr store, whole or not at all.

        Raises: FileError where the path exists; MissingLibraryError where zarr is not installed.
        """
        from .cube_export import to_zarr

        to_zarr(self, path)


def _place(name: str, values: tuple[Any, ...], value: Any, known: Mapping[Any, int] | None = None) -> int:
    if isinstance(value, np.generic):
        value = value.item()
    if known is not None and isinstance(value, Hashable) and value in known:
        return known[value]
    if value in values:
        return values.index(value)
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        close = [
            place for place, one in enumerate(values)
            if isinstance(one, (int, float)) and math.isclose(one, value, rel_tol=1e-9, abs_tol=1e-300)
        ]  # fmt: skip
        if len(close) == 1:
            return close[0]
        numbers = [one for one in values if isinstance(one, (int, float))]
        near = sorted(numbers, key=lambda one: abs(one - value))[:3]
        raise InputError(f"the axis {name!r} has no such value", repr(value), f"the nearest are {near}")
    shown = ", ".join(map(repr, values[:8])) + (", ..." if len(values) > 8 else "")
    raise InputError(f"the axis {name!r} has no such value", repr(value), f"it has {shown}")
