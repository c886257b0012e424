"""What the spike map says: each sentence with the cells in which it is right."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..figures.finding import Finding, Outcome, judged
from .intervals import proportion, share_by_seed
from .spike_map_laws import ROUNDING, STEPS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from .spike_map_laws import Laws, Map

    Flags = NDArray[np.bool_]


def counted(statement: str, right: Any, cells: Any, place: str) -> Finding:
    """Return the share of cells in which a statement is right: supported where it is right in all of them."""
    right, cells = int(right), int(cells)
    share = right / cells if cells else 0.0
    outcome: Outcome = "open" if cells == 0 else "supported" if right == cells else "refuted"
    return Finding(statement, share, share, share, f"right in {right} of {cells} {place}", outcome)


def bounded(statement: str, value: float, basis: str, **limits: float) -> Finding:
    """Return an exact number, and whether it lies within the limits that the statement names."""
    return Finding(statement, value, value, value, basis, judged(value, value, **limits))


def most_of(statement: str, right: Any, among: Any, place: str) -> Finding:
    """Return in which share of cells something is so: supported where more than half is certain, not this grid's luck.

    Cells next to each other are alike, so that the interval is from resampling the correlations, the first axis.
    """
    counted = np.broadcast_to(among, np.shape(right))
    cells, so = int(counted.sum()), int((right & counted).sum())
    if not cells:
        return Finding(statement, 0.0, 0.0, 1.0, f"no {place}", "open")
    value, low, high = share_by_seed(np.moveaxis(right, 0, -1), np.moveaxis(counted, 0, -1))
    basis = f"{so} of {cells} {place}; 95 % bootstrap over {len(counted)} correlations"
    return Finding(statement, value, low, high, basis, judged(low, high, at_least=0.5))


def spread(statement: str, values: Any, place: str, **limits: float) -> Finding:
    """Return the median of many numbers with the range of the middle 90 %: supported where all of that is so."""
    low, value, high = (float(x) for x in np.quantile(values, (0.05, 0.5, 0.95)))
    basis = f"median of {values.size} {place}; the interval holds 90 % of them"
    outcome: Outcome = "supported" if judged(low, high, **limits) == "supported" else "refuted"
    return Finding(statement, value, low, high, basis, outcome)


def of_the_laws(grid: Map, wide: Map, law: Laws, kept: Flags) -> tuple[Finding, ...]:
    """Return whether the laws hold in their regime, on both grids and in random settings (`law`, `kept`)."""
    inside = law.in_regime
    share, low, high = proportion(int((kept & inside).sum()), int(inside.sum()))

    def both(statement: str, flags: Callable[[Map], Flags]) -> Finding:
        right = [int((flags(one) & one.law.in_regime).sum()) for one in (grid, wide)]
        cells = [int(one.law.in_regime.sum()) for one in (grid, wide)]
        return counted(
            statement, sum(right), sum(cells), f"cells of the regime ({cells[0]} of the grid, {cells[1]} of a wide one)"
        )

    return (
        both("In the regime, exactly ceil(x) steps are misclassified, whatever the rate",
             lambda one: one.agrees.duration),
        both("In the regime, L > log 2 for exactly the number of steps that the law says",
             lambda one: one.agrees.above),
        both("In the regime, the peak lies between K (alpha p_1 - p_2) p_2 and that plus log 2",
             lambda one: one.agrees.peak),
        both("In the regime there is at most one spike, which lasts as long as L > log 2", _one_spike),
        Finding(
            "The three laws together hold in at least 99.9 % of random settings in the regime", share, low, high,
            f"exact binomial 95 % interval over {int(inside.sum())} random settings", judged(low, high, at_least=0.999),
        ),
        counted(
            "At every rate, the peak is at most log 2 + p_2 log(p_1/p_2) + K (1 + alpha) p_1 p_2",
            sum(int((one.measured["peak_loss"] <= one.law.bound * (1.0 + ROUNDING)).sum()) for one in (grid, wide)),
            grid.spikes.size + wide.spikes.size, "cells",
        ),
    )  # fmt: skip


def _one_spike(one: Map) -> Flags:
    """Return where there is at most one spike, and it lasts as long as the loss is above that of the start."""
    measured = one.measured
    alike: Flags = measured["spike_duration"] == measured["steps_above_initial"]
    return (measured["spike_count"] <= 1.0) & alike


def of_the_naive_regime(grid: Map, wide: Map) -> tuple[Finding, ...]:
    """Return whether the naive regime is enough, by how much the laws fail in it, and where."""
    naive = [one.law.in_naive_regime for one in (grid, wide)]
    right = sum(int((one.agrees.all & where).sum()) for one, where in zip((grid, wide), naive, strict=True))
    cells = sum(int(where.sum()) for where in naive)
    late = high = alike = 0.0
    for one, where in zip((grid, wide), naive, strict=True):
        late = max(late, np.nanmax((one.measured["steps_to_settle"] - one.law.duration - 1.0)[where], initial=0.0))
        high = max(high, np.nanmax((one.measured["peak_loss"] / one.law.high)[where], initial=0.0))
        alike += int((one.agrees.all == (one.law.regime > 0.0))[where].sum())
    return (
        counted(
            "The naive regime, K p_2 >= 20 and K p_1 (1 - alpha^2) >= 20, is enough for the laws", right,
            cells, "cells of the naive regime",
        ),
        bounded(
            "In the naive regime the tokens settle at most one step later than the law says", late,
            f"largest delay in steps over {cells} cells", at_most=1.0,
        ),
        bounded(
            "In the naive regime the peak is at most twice the law's", high, f"largest ratio over {cells} cells",
            at_most=2.0,
        ),
        bounded(
            "In 99 % of the naive regime, the laws hold if and only if p_1 (1 - alpha^2) > 2 alpha p_2 delta",
            alike / max(cells, 1), f"share of {cells} cells", at_least=0.99,
        ),
    )  # fmt: skip


def of_the_onset(grid: Map, onset: Mapping[str, Any]) -> tuple[Finding, ...]:
    """Return where spikes begin, against 2 / lambda_max(0) and the first step."""
    below = grid.rate <= grid.certificate[:, :, None]
    spikes = grid.spikes
    first, rate = onset["onset_first_step"], onset["onset_rate"]
    ratio = onset["onset_rates"][1] / onset["onset_rates"][0]
    seen = (first < onset["onset_rates"][-1]) & np.isfinite(rate)
    earlier = seen & (rate < first / ratio)
    tokens = np.broadcast_arrays(onset["onset_correlation"][:, None], onset["onset_frequent"][None, :])
    weakest, most = float(tokens[0][earlier].min(initial=1.0)), float(tokens[1][earlier].max(initial=0.5))
    apart = ~np.isfinite(first)
    return (
        counted(
            "At rates up to 2/lambda_max(0) the loss never rises", (below & ~spikes).sum(), below.sum(), "cells below"
        ),
        counted(
            "Above 2/lambda_max(0) the loss rises at some step", (~below & spikes).sum(), (~below).sum(), "cells above"
        ),
        counted(
            "Where alpha p_1 > p_2, spikes begin at the rate at which the first step raises the loss",
            (seen & ~earlier).sum(), seen.sum(), f"pairs of tokens (the grid of rates resolves {ratio - 1:.1%})",
        ),
        bounded(
            "Spikes that begin at a lower rate than the first step's need alpha >= 0.6", weakest,
            f"least alpha of {int(earlier.sum())} pairs of tokens", at_least=0.6,
        ),
        bounded(
            "Spikes that begin at a lower rate than the first step's need p_1 <= 0.75", most,
            f"largest p_1 of {int(earlier.sum())} pairs of tokens", at_most=0.75,
        ),
        counted(
            "Where alpha p_1 <= p_2, the loss never rises at any rate up to 1000", (apart & ~np.isfinite(rate)).sum(),
            apart.sum(), "pairs of tokens",
        ),
        counted(
            "Rates above one that spikes spike too", (onset["onset_gaps"] == 0).sum(), first.size, "pairs of tokens"
        ),
    )  # fmt: skip


def of_recovery(grid: Map) -> tuple[Finding, ...]:
    """Return whether runs recover from their spikes."""
    spikes = grid.spikes
    settled = np.isfinite(grid.measured["steps_to_settle"])
    constant = STEPS * grid.rate * grid.measured["final_loss"] * (1.0 - grid.correlation[:, None, None])
    near = np.abs(constant - 1.0) <= 0.05
    return (
        counted(
            f"Every run that spikes is perfect again, for good, within {STEPS} steps", (spikes & settled).sum(),
            spikes.sum(), "runs that spike",
        ),
        counted(
            f"After {STEPS} steps a run that spiked has eta t L within 5 % of its limit 1/(1 - alpha)",
            (spikes & near).sum(), spikes.sum(), "runs that spike",
        ),
    )  # fmt: skip
