"""What a figure is: a name, the numbers behind it, and a drawing of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Numbers:
    """What a figure shows: arrays by name, the parameters that gave them, and the digests of the problems."""

    arrays: Mapping[str, NDArray[Any]]
    parameters: Mapping[str, Any]
    problems: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Definition:
    """A figure that can be drawn.

    `compute(as_published)` returns the numbers, `draw(numbers, as_published)` a matplotlib figure. `quirks` names what
    the published picture does and the corrected one does not; `seconds` is the cost once everything is compiled.
    A module of this package that ends with ``FIGURES = (Definition(...), ...)`` adds its figures to the list.
    """

    name: str
    title: str
    seconds: float
    compute: Callable[[bool], Numbers]
    draw: Callable[[Numbers, bool], Any]
    quirks: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.name:24}  {self.title}  (about {self.seconds:g} s)"


@dataclass(frozen=True)
class FigureFiles:
    """The files that `figure` wrote, and the numbers that it drew."""

    name: str
    picture: Path
    vector: Path
    data: Path
    provenance: Path
    numbers: Numbers = field(repr=False)

    @property
    def paths(self) -> tuple[Path, ...]:
        """Return the four files: PNG, SVG, NPZ, JSON."""
        return self.picture, self.vector, self.data, self.provenance

    def __getitem__(self, name: str) -> NDArray[Any]:
        """Return an array of the figure by name."""
        return np.asarray(self.numbers.arrays[name])

    def __str__(self) -> str:
        return ", ".join(str(path) for path in self.paths)
