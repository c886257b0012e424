"""Axes of a picture: maps from values to positions, and the ticks a reader expects."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Kind = Literal["linear", "log", "symlog"]


@dataclass(frozen=True)
class Axis:
    """A map from values to [0, 1].

    `kind` "symlog" is ``asinh(value / unit)``: linear within `unit`, logarithmic outside, and signed.
    `whole` keeps the ticks of a linear axis on whole numbers.

    >>> Axis("log", 1.0, 100.0).position(np.array([10.0])).tolist()
    [0.5]
    """

    kind: Kind
    low: float
    high: float
    unit: float = 1.0
    whole: bool = False

    def position(self, values: Array) -> Array:
        """Return the positions of the values, shape as given; values off the axis are not clipped."""
        start, end = self._transform(np.array([self.low, self.high]))
        span = end - start
        with np.errstate(divide="ignore", invalid="ignore"):
            moved = self._transform(np.asarray(values, dtype=float))
            return (moved - start) / span if span > 0 else np.full_like(moved, 0.5)

    def _transform(self, values: Array) -> Array:
        if self.kind == "log":
            with np.errstate(divide="ignore", invalid="ignore"):
                return np.where(values > 0, np.log10(np.abs(values)), np.nan)
        if self.kind == "symlog":
            return np.arcsinh(values / self.unit)
        return values

    def ticks(self, most: int = 6) -> list[tuple[float, str]]:
        """Return at most about `most` tick values with their labels (plain text; ``10^k`` for a power of ten)."""
        if self.kind == "log":
            return _log_ticks(self.low, self.high, most)
        if self.kind == "symlog":
            return _symlog_ticks(self.low, self.high, self.unit, most)
        return _linear_ticks(self.low, self.high, most, self.whole)


def spanning(values: Array, kind: Kind, margin: float = 0.06) -> Axis:
    """Return an axis of this kind that holds all finite values with a margin on either side (as fraction)."""
    finite = values[np.isfinite(values)]
    if kind == "log":
        finite = finite[finite > 0]
        if finite.size == 0:
            return Axis("linear", 0.0, 1.0)
        low, high = math.log10(finite.min()), math.log10(finite.max())
        pad = max((high - low) * margin, 1e-3 if high > low else 0.5)
        return Axis("log", 10.0 ** max(low - pad, -307.0), 10.0 ** min(high + pad, 308.0))
    if finite.size == 0:
        return Axis("linear", 0.0, 1.0)
    low, high = float(finite.min()), float(finite.max())
    size = max(abs(low), abs(high))
    if high / 2 - low / 2 <= 1e-7 * size:  # equal to the eye: do not blow up rounding errors
        return Axis("linear", low - 0.5 * (size or 1.0), high + 0.5 * (size or 1.0))
    half = (high / 2 - low / 2) * margin * 2
    return Axis("linear", low - half, high + half, whole=bool((finite == np.rint(finite)).all()))


def signed(values: Array, unit: float) -> Axis:
    """Return a signed logarithmic axis that holds the values and zero."""
    finite = values[np.isfinite(values)]
    low = min(float(finite.min(initial=0.0)), -2 * unit)
    high = max(float(finite.max(initial=0.0)), 2 * unit)
    return Axis("symlog", low * (2.0 if low < -unit else 1.0), high * (2.0 if high > unit else 1.0), unit)


def is_wide(values: Array, factor: float = 300.0) -> bool:
    """Return whether positive values span so much that a logarithmic axis shows them better."""
    finite = values[np.isfinite(values)]
    if finite.size < 2 or finite.min() <= 0:
        return False
    return float(finite.max()) / float(finite.min()) > factor


def _linear_ticks(low: float, high: float, most: int, whole: bool = False) -> list[tuple[float, str]]:
    span = high - low
    if not (math.isfinite(span) and span > 0):
        return [(low, f"{low:.4g}")]
    raw = span / most
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= raw * 0.999)
    step = max(step, 1.0) if whole else step
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    size = max(abs(low), abs(high))
    digits = max(0, -math.floor(math.log10(step) + 1e-9))
    if last - first > 4 * most:  # the span is below the resolution of the values
        return [(low, f"{low:.6g}"), (high, f"{high:.6g}")]
    if size >= 1e5 or size < 1e-3 or digits > 6:
        return [(k * step, _scientific(k * step)) for k in range(first, last + 1)]
    return [(k * step, f"{k * step:.{digits}f}") for k in range(first, last + 1)]


def _scientific(value: float) -> str:
    if value == 0:
        return "0"
    mantissa, exponent = f"{value:.3e}".split("e")
    mantissa = mantissa.rstrip("0").rstrip(".")
    power = f"10^{int(exponent)}"
    return power if mantissa == "1" else f"{mantissa}×{power}"


def _log_ticks(low: float, high: float, most: int) -> list[tuple[float, str]]:
    start, end = math.log10(low), math.log10(high)
    first, last = math.ceil(start - 1e-9), math.floor(end + 1e-9)
    if last - first >= 1:
        step = max(1, math.ceil((last - first + 1) / most))
        first += -first % step
        return [(10.0**k, _power(k)) for k in range(first, last + 1, step)]
    return [tick for tick in _linear_ticks(low, high, most) if tick[0] > 0]


def _power(exponent: int) -> str:
    return {0: "1", 1: "10", 2: "100"}.get(exponent, f"10^{exponent}")


def _symlog_ticks(low: float, high: float, unit: float, most: int) -> list[tuple[float, str]]:
    ticks = [(0.0, "0")]
    top = max(abs(low), abs(high))
    first, last = math.ceil(math.log10(unit) + 0.3), math.floor(math.log10(top) + 1e-9)
    step = max(1, math.ceil((last - first + 1) / max(1, most // 2)))
    for k in range(last, first - 1, -step):
        for sign in (1, -1):
            if low <= sign * 10.0**k <= high:
                ticks.append((sign * 10.0**k, ("−" if sign < 0 else "") + _power(k)))
    return sorted(ticks)
