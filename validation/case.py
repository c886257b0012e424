"""Cases of a claim, the families that generate them, and what evaluating one yields.

A *case* is one concrete situation: a problem, a rule, a number of steps. A *family* turns a few named
parameters into a case, so that a search can vary them and a witness can be rebuilt from them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError, unknown_name

if TYPE_CHECKING:
    import mpmath

Scale = Literal["linear", "log", "logit", "integer", "log-integer"]
Array = NDArray[np.float64]


@dataclass(frozen=True)
class Case:
    """One instance of the situation that a claim speaks of.

    `parameters` is what a search varied: the family of the claim rebuilds the case from it. A case made of a
    user's own objects has none.
    """

    parameters: Mapping[str, Any] = field(default_factory=dict)
    problem: Any = None
    rule: Any = None
    steps: int | None = None
    time: float | None = None
    initial: NDArray[np.float64] | None = None

    def __str__(self) -> str:
        if self.parameters:
            return ", ".join(f"{name}={_short(value)}" for name, value in self.parameters.items())
        shown = {"problem": self.problem, "rule": self.rule, "steps": self.steps, "time": self.time}
        return ", ".join(f"{name}={value!r}" for name, value in shown.items() if value is not None)


def _short(value: Any) -> str:
    return f"{value:.10g}" if isinstance(value, float) else str(value)


@dataclass(frozen=True)
class Parameter:
    """A closed interval of values and the scale on which it is searched.

    >>> round(Parameter("learning_rate", 1e-2, 1e2, "log").value(0.5), 12)
    1.0
    >>> Parameter("n_tokens", 2, 9, "integer").value(1.0)
    9
    """

    name: str
    low: float
    high: float
    scale: Scale = "linear"

    def __post_init__(self) -> None:
        if not self.low <= self.high:
            raise InputError(f"parameter {self.name}: low must not exceed high", (self.low, self.high))
        if self.scale in ("log", "log-integer") and self.low <= 0:
            raise InputError(f"parameter {self.name}: a log scale needs low > 0", self.low)
        if self.scale == "logit" and not 0 < self.low <= self.high < 1:
            raise InputError(f"parameter {self.name}: a logit scale needs 0 < low <= high < 1", (self.low, self.high))

    def value(self, position: float) -> float | int:
        """Return the value at a position in [0, 1]; the ends of the interval are hit exactly."""
        if position <= 0.0:
            return self._typed(self.low)
        if position >= 1.0:
            return self._typed(self.high)
        if self.scale in ("log", "log-integer"):
            raw = math.exp(math.log(self.low) + position * (math.log(self.high) - math.log(self.low)))
        elif self.scale == "logit":
            low, high = (math.log(end) - math.log1p(-end) for end in (self.low, self.high))
            raw = 1.0 / (1.0 + math.exp(-(low + position * (high - low))))
        elif self.scale == "integer":
            raw = math.floor(self.low + position * (self.high - self.low + 1))
        else:
            raw = self.low + position * (self.high - self.low)
        return self._typed(min(max(raw, self.low), self.high))

    def _typed(self, raw: float) -> float | int:
        return round(raw) if self.scale in ("integer", "log-integer") else float(raw)


@dataclass(frozen=True)
class Family:
    """Named parameters and the function that builds a case from their values.

    `show` holds the values whose picture a report draws; `corners` are values that every search tries first.
    """

    parameters: tuple[Parameter, ...]
    build: Callable[..., Case]
    show: Mapping[str, Any] | None = None
    corners: tuple[Mapping[str, Any], ...] = ()

    def case(self, values: Mapping[str, Any]) -> Case:
        """Return the case with these parameter values; values left out are taken from `show`, then mid-scale."""
        names = [parameter.name for parameter in self.parameters]
        known = set(names) | {name for corner in (*self.corners, self.show or {}) for name in corner}
        for name in values:
            if name not in known:
                raise unknown_name("parameter", name, known)
        full = {p.name: (self.show or {}).get(p.name, p.value(0.5)) for p in self.parameters} | dict(values)
        built = self.build(**full)
        return Case(full, built.problem, built.rule, built.steps, built.time, built.initial)

    def at(self, positions: Array) -> Case:
        """Return the case at a point of the unit cube."""
        return self.case({p.name: p.value(float(x)) for p, x in zip(self.parameters, positions, strict=True)})

    def vertices(self, limit: int, rng: np.random.Generator) -> Iterator[Array]:
        """Yield vertices of the unit cube: all of them where they are few, else a random choice."""
        dimension = len(self.parameters)
        total = 2**dimension
        chosen = range(total) if total <= limit else sorted(rng.choice(total, size=limit, replace=False).tolist())
        for index in chosen:
            yield np.array([(index >> bit) & 1 for bit in range(dimension)], dtype=float)


@dataclass(frozen=True)
class Evidence:
    """Quantity and bound of a claim along an axis, with the error budget of their difference.

    All arrays have shape (n,); `error` is absolute. `value_scale` is the size against which a slack counts as
    small when the search ranks cases; by default the larger of the two magnitudes.
    """

    axis: Array
    quantity: Array
    bound: Array
    error: Array | float = 0.0
    axis_name: str = "step t"
    axis_scale: Literal["linear", "log"] = "linear"
    value_scale: Array | float | None = None

    def __post_init__(self) -> None:
        for name in ("axis", "quantity", "bound"):
            object.__setattr__(self, name, np.atleast_1d(np.asarray(getattr(self, name), dtype=float)))
        shape = self.quantity.shape
        object.__setattr__(self, "error", np.broadcast_to(np.asarray(self.error, dtype=float), shape))
        if self.axis.shape != shape or self.bound.shape != shape or self.quantity.ndim != 1:
            raise InputError(
                "axis, quantity and bound of an Evidence must be arrays of one shape (n,)",
                (self.axis.shape, shape, self.bound.shape),
            )

    def slack(self, relation: str) -> Array:
        """Return the signed slack; negative means that the relation fails at that point."""
        if relation in (">=", ">"):
            return self.quantity - self.bound
        if relation in ("<=", "<"):
            return self.bound - self.quantity
        return -np.abs(self.quantity - self.bound)

    def scale(self) -> Array:
        """Return the positive size of the values at each point, for ranking slacks."""
        if self.value_scale is not None:
            return np.broadcast_to(np.asarray(self.value_scale, dtype=float), self.quantity.shape)
        size = np.maximum(np.abs(self.quantity), np.abs(self.bound))
        return np.where(np.isfinite(size) & (size > 0), size, 1.0)


@dataclass(frozen=True)
class Exact:
    """One point of an evidence evaluated again in high precision; `error` is the estimate of its own error."""

    quantity: mpmath.mpf
    bound: mpmath.mpf
    error: mpmath.mpf
    method: str

    def slack(self, relation: str) -> mpmath.mpf:
        """Return the signed slack; negative means that the relation fails."""
        if relation in (">=", ">"):
            return self.quantity - self.bound
        if relation in ("<=", "<"):
            return self.bound - self.quantity
        return -abs(self.quantity - self.bound)
