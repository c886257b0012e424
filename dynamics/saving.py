"""Which steps, or times, of a run are kept: always the start and the end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..errors import InputError
from .numbers import finite_array, integer, real

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

# ratio of the last to the first saved time of a flow: thirteen decades end at 1e10 where they begin at 1e-3
_FIRST_TIME = 1e-3


@dataclass(frozen=True)
class Every:
    """Multiples of an interval."""

    interval: float

    def steps(self, last: int) -> NDArray[np.int64]:
        """Return the saved steps of a run of `last` steps."""
        interval = integer("every(k) of a rule that moves in steps: k", _whole(self.interval), minimum=1)
        steps = np.arange(0, last + 1, interval, dtype=np.int64)
        return steps if steps[-1] == last else np.append(steps, last)

    def times(self, last: float) -> NDArray[np.float64]:
        """Return the saved times of a flow until `last`."""
        times = self.interval * np.arange(0.0, np.floor(last / self.interval) + 1.0)
        return _with_ends(times[times < last], last)

    def count(self, last: float) -> float:
        """Return how many points are saved, without making them."""
        return last / self.interval + 2.0


@dataclass(frozen=True)
class Logarithmic:
    """Points evenly spread on a logarithmic axis."""

    number: int

    def steps(self, last: int) -> NDArray[np.int64]:
        """Return at most `number` distinct steps: 0, then log-spaced from 1 to `last`."""
        if last == 0:
            return np.zeros(1, dtype=np.int64)
        spaced = np.rint(np.geomspace(1.0, last, max(self.number - 1, 1))).astype(np.int64)
        spaced[-1] = last
        return np.unique(np.concatenate([[0], spaced]))

    def times(self, last: float) -> NDArray[np.float64]:
        """Return `number` times: 0, then log-spaced to `last` from 1e-3, or from a thousandth of `last` if less."""
        first = min(_FIRST_TIME, 1e-3 * last)
        return _with_ends(np.geomspace(first, last, max(self.number - 1, 1)), last) if last > 0.0 else np.zeros(1)

    def count(self, last: float) -> float:
        """Return how many points are saved, without making them."""
        return float(self.number)


@dataclass(frozen=True, eq=False)
class At:
    """Given points."""

    points: NDArray[np.float64]

    def steps(self, last: int) -> NDArray[np.int64]:
        """Return the given steps, with the start and the end."""
        if (self.points != np.floor(self.points)).any():
            wrong = self.points[self.points != np.floor(self.points)][0]
            raise InputError("at(...) of a rule that moves in steps takes whole numbers", wrong)
        self._check(last, f"steps={last}")
        return np.unique(np.concatenate([[0], self.points.astype(np.int64), [last]]))

    def times(self, last: float) -> NDArray[np.float64]:
        """Return the given times, with the start and the end."""
        self._check(last, f"time={last:g}")
        return _with_ends(np.unique(self.points), last)

    def _check(self, last: float, end: str) -> None:
        beyond = self.points[self.points > last]
        if beyond.size:
            raise InputError("at(...) takes points until the end of the run", f"{beyond[0]:g} with {end}",
                             "leave it out or run longer; a resumed run takes a new save=")  # fmt: skip

    def count(self, last: float) -> float:
        """Return how many points are saved."""
        return float(self.points.size + 2)


Grid = Every | Logarithmic | At


def every(interval: float) -> Every:
    """Save every `interval` steps (a whole number), or at the multiples of a time for a flow; and the end.

    >>> every(10).steps(25)
    array([ 0, 10, 20, 25])
    """
    return Every(real("interval", interval, above=0.0))


def logarithmic(number: int) -> Logarithmic:
    """Save at most `number` points, log-spaced: step 0, then from 1 to the end; the start and the end included.

    >>> logarithmic(4).steps(100)
    array([  0,   1,  10, 100])
    """
    return Logarithmic(integer("number", number, minimum=2))


def at(points: ArrayLike) -> At:
    """Save at the given steps or times; and at the start and the end.

    >>> at([3, 5]).steps(10)
    array([ 0,  3,  5, 10])
    """
    array = finite_array("points", points, dimensions=1, shape="(n,)")
    if array.size and array.min() < 0.0:
        raise InputError("saved points must be >= 0", array.min())
    return At(array)


def _with_ends(times: NDArray[np.float64], last: float) -> NDArray[np.float64]:
    inner = times[(times > 0.0) & (times < last)]
    return np.concatenate([[0.0], inner, [last] if last > 0.0 else []])


def _whole(value: float) -> float | int:
    return int(value) if value == int(value) else value
