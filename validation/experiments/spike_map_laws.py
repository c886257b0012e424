"""What the laws of loss spikes say for every cell of a grid, and how a simulated cell compares with them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ...errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from ..figures.request import Request

    Floats = NDArray[np.float64]
    Flags = NDArray[np.bool_]

ROUNDING = 1e-12  # relative, of a loss: the lower end of the law is approached from above like e^-20
MEASURES = (
    "peak_loss", "spike_height", "spike_duration", "spike_count", "steps_above_initial", "steps_to_accuracy",
    "steps_to_settle", "last_rise", "final_loss",
)  # fmt: skip
STEPS = 4000
NAIVE = 20.0  # what K p_2 and K p_1 (1 - corr^2) must reach in the naive regime


@dataclass(frozen=True)
class Laws:
    """The laws of `analytics.spike_duration` on arrays of one shape, NaN where correlation * p_1 <= p_2.

    duration: steps misclassified; above: steps with a loss above log 2; low, high: of the peak loss; regime: its
    condition over what it needs, so that the laws are proved from 1 on; naive: the same of the naive regime;
    bound: of the peak loss, for every rate.
    """

    duration: Floats
    above: Floats
    low: Floats
    high: Floats
    regime: Floats
    naive: Floats
    bound: Floats

    @property
    def interferes(self) -> Flags:
        """Where correlation * p_1 > p_2, so that there is a law."""
        return np.isfinite(self.duration)

    @property
    def in_regime(self) -> Flags:
        """Where the laws are proved."""
        return self.interferes & (np.nan_to_num(self.regime) >= 1.0)

    @property
    def in_naive_regime(self) -> Flags:
        """Where the naive regime would have them hold."""
        return self.interferes & (np.nan_to_num(self.naive) >= 1.0)


def laws(correlation: Any, frequent: Any, rate: Any) -> Laws:
    """Return the laws at arrays that broadcast: correlations in [0, 1), frequencies of the first token, rates.

    Cost: some 15 us an element.

    >>> float(laws(0.95, 0.99, 1e4).duration), bool(laws(0.95, 0.99, 1e4).in_regime)
    (47.0, True)
    """
    from ... import analytics

    arrays = np.broadcast_arrays(*(np.asarray(array, dtype=np.float64) for array in (correlation, frequent, rate)))
    columns = np.full((7, arrays[0].size), math.nan)
    for cell, (alpha, first, eta) in enumerate(zip(*(array.ravel().tolist() for array in arrays), strict=True)):
        pair = (first, 1.0 - first)
        columns[6, cell] = analytics.spike_height_bound(alpha, pair, eta)
        try:
            law = analytics.spike_duration(alpha, pair, eta)
        except InputError:  # no interference
            continue
        columns[:6, cell] = (
            law.misclassified, law.above_initial, law.peak_lower, law.peak_upper, law.regime / law.needed,
            law.naive_regime / NAIVE,
        )  # fmt: skip
    return Laws(*columns.reshape(7, *arrays[0].shape))


def thresholds(correlation: Any, frequent: Any) -> tuple[Floats, Floats]:
    """Return 2 / lambda_max(0) and the rate from which on the first step raises the loss (infinity: at none).

    >>> certificate, first_step = thresholds(0.5, 0.9)
    >>> round(float(certificate), 3), round(float(first_step), 3)
    (4.314, 19.801)
    """
    from ... import analytics

    arrays = np.broadcast_arrays(np.asarray(correlation, dtype=np.float64), np.asarray(frequent, dtype=np.float64))
    certificate, first_step = np.empty(arrays[0].size), np.full(arrays[0].size, math.inf)
    for cell, (alpha, first) in enumerate(zip(*(array.ravel().tolist() for array in arrays), strict=True)):
        pair = (first, 1.0 - first)
        certificate[cell] = analytics.no_spike_rate(alpha, pair)
        try:
            first_step[cell] = analytics.first_step_threshold(alpha, pair)
        except InputError:
            continue
    shape = arrays[0].shape
    return certificate.reshape(shape), first_step.reshape(shape)


@dataclass(frozen=True)
class Comparison:
    """Where the simulation agrees with each law: flags of the cells' shape, False where there is no law."""

    duration: Flags  # misclassified for exactly that many steps, and never after
    above: Flags
    peak: Flags

    @property
    def all(self) -> Flags:
        """Where all three hold."""
        return self.duration & self.above & self.peak


def compare(law: Laws, measured: Mapping[str, Floats]) -> Comparison:
    """Return where measures, as `sweep` names them, agree with the laws.

    The misclassified steps are 1, ..., ceil(x) if and only if the first perfect step and the step of settling are both
    ceil(x) + 1.
    """
    settled = law.duration + 1.0
    first = measured["steps_to_accuracy"] == settled
    peak = measured["peak_loss"]
    inside = (peak >= law.low * (1.0 - ROUNDING)) & (peak <= law.high * (1.0 + ROUNDING))
    return Comparison(
        duration=first & (measured["steps_to_settle"] == settled),
        above=measured["steps_above_initial"] == law.above,
        peak=inside,
    )


def recipe(**fixed: Any) -> Any:
    """Return what makes the cells: two tokens under gradient descent from W = 0."""
    from ...dynamics import AssociativeMemory, GradientDescent, Recipe

    return Recipe(AssociativeMemory.two_tokens, GradientDescent, **fixed)


def pairs(frequent: Sequence[float] | Floats) -> list[tuple[float, float]]:
    """Return (p_1, 1 - p_1) for each p_1."""
    return [(float(first), 1.0 - float(first)) for first in frequent]


@dataclass(frozen=True)
class Map:
    """A simulated grid (correlation, p_1, rate) with the laws and thresholds of its cells."""

    correlation: Floats
    frequent: Floats
    rate: Floats
    measured: Mapping[str, Floats]
    law: Laws
    certificate: Floats  # (n_correlation, n_frequent)
    first_step: Floats

    @classmethod
    def of(cls, request: Request, name: str, correlation: Floats, frequent: Any, rate: Floats) -> Map:
        """Run the sweep of this name and work out its laws."""
        axes = {"correlation": correlation.tolist(), "frequencies": pairs(frequent), "learning_rate": rate.tolist()}
        cube = request.sweep(name, recipe(), grid=axes, measure=MEASURES, steps=STEPS)
        first = np.asarray(frequent, dtype=np.float64)
        mesh = np.meshgrid(correlation, first, rate, indexing="ij")
        measured = {measure: np.asarray(cube[measure]) for measure in MEASURES}
        return cls(correlation, first, rate, measured, laws(*mesh),
                   *thresholds(correlation[:, None], first[None, :]))  # fmt: skip

    @property
    def agrees(self) -> Comparison:
        """Where the simulation agrees with each law."""
        return compare(self.law, self.measured)

    @property
    def spikes(self) -> Flags:
        """Where the loss rises at some step."""
        return self.measured["spike_count"] > 0
