"""Experiment: the spike map of two tokens under momentum and under Adam, beside that of plain descent."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from ..figures import style
from ..figures.definition import Definition, Numbers
from ..figures.finding import Finding
from ..figures.request import Request
from .spike_map_findings import counted, most_of, spread
from .spike_map_laws import recipe

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from ...dynamics import AssociativeMemory

    Floats = NDArray[np.float64]
    Flags = NDArray[np.bool_]

MEASURES = ("peak_loss", "spike_count", "steps_to_settle", "last_rise", "final_loss")
FREQUENCIES = (0.85, 1.0 - 0.85)
MOMENTUM = 0.9
STEPS = 1000
RULES = (
    ("plain", "gradient descent"), ("momentum", r"heavy ball, $\beta = 0.9$"), ("adam", "Adam"),
    ("turned", "Adam, inputs turned"),
)  # fmt: skip


def rotated(correlation: float, turn: float) -> AssociativeMemory:
    """Return two tokens of that correlation whose inputs are turned by an angle: the same margins, another basis of W.

    >>> rotated(0.5, 0.3).input_gram.round(12).tolist()
    [[1.0, 0.5], [0.5, 1.0]]
    """
    from ...dynamics import AssociativeMemory

    plain = AssociativeMemory.two_tokens(correlation, FREQUENCIES)
    turned = np.array([[math.cos(turn), math.sin(turn)], [-math.sin(turn), math.cos(turn)]])
    return AssociativeMemory(plain.inputs @ turned, plain.outputs, plain.targets, plain.frequencies)


def adam_cell(correlation: float, learning_rate: float, turn: float) -> tuple[Any, Any]:
    """Return Adam with a first step as long as that of plain descent at this rate.

    From W = 0 Adam moves every entry of W by its own rate, whatever the gradient.
    """
    from ...dynamics import Adam
    from ...kernels import softmax_gradient

    memory = rotated(correlation, turn)
    _, gradient = softmax_gradient(np.zeros((2, 2)), memory.inputs, memory.outputs, memory.targets, memory.frequencies)
    moved = np.count_nonzero(np.abs(gradient) > 1e-12)
    return memory, Adam(learning_rate * float(np.linalg.norm(gradient)) / math.sqrt(moved))


def spike_map_optimisers(request: Request = Request()) -> Numbers:  # noqa: B008  (frozen)
    """Compare the loss spikes of two correlated tokens under plain descent, heavy ball and Adam.

    All start at W = 0 with frequencies (0.85, 0.15). They are matched by an effective rate eta: heavy ball with
    momentum 0.9 has the rate (1 - 0.9) eta, so that a constant gradient moves it as fast; Adam has the rate with which
    its first step is as long as plain descent's. Adam depends on the basis of W, so it runs in two bases: the first
    input on an axis, and both inputs turned by 1/2 radian.

    Parameters
    ----------
    request : size (`quick`), stores, executor and seed

    Returns
    -------
    Numbers
        Arrays ``plain_*``, ``momentum_*``, ``adam_*`` and ``turned_*`` (Adam in the other basis) of shape
        (n_correlation, n_rate), one a measure; the axes ``correlation`` and ``learning_rate``.

    Raises
    ------
    FileError : a store of another experiment. KeyboardInterrupt : interrupted; what is done is kept in the stores.

    Cost: 50 x 46 cells of 1000 steps a rule, Adam's one by one: 11 s of CPU time; 2 s when quick.

    Source: review of Cabannes, Simsek, Bietti 2024, section 4 (extra); their discussion of adaptive optimisers.

    >>> numbers = spike_map_optimisers(Request(quick=True))
    >>> numbers["momentum_peak_loss"].shape == numbers["adam_peak_loss"].shape
    True
    """
    shape = (12, 13) if request.quick else (50, 46)
    axes = {"correlation": np.linspace(0.0, 0.98, shape[0]).tolist(),
            "learning_rate": np.logspace(0, 3, shape[1]).tolist()}  # fmt: skip
    rate = np.asarray(axes["learning_rate"])
    slower = axes | {"learning_rate": (rate * (1.0 - MOMENTUM)).tolist()}
    plain = recipe(frequencies=FREQUENCIES)
    heavy = recipe(frequencies=FREQUENCIES, momentum=MOMENTUM)
    how: dict[str, Any] = {"measure": MEASURES, "steps": STEPS}
    cubes = {
        "plain": request.sweep("plain", plain, grid=axes, **how),
        "momentum": request.sweep("momentum", heavy, grid=slower, **how),
        "adam": request.sweep("adam", adam_cell, grid=axes | {"turn": [0.0]}, **how),
        "turned": request.sweep("turned", adam_cell, grid=axes | {"turn": [0.5]}, **how),
    }
    measured = {
        rule: {name: np.asarray(cube[name]).reshape(shape) for name in MEASURES} for rule, cube in cubes.items()
    }
    arrays = {f"{rule}_{name}": values for rule, table in measured.items() for name, values in table.items()}
    axis = {"correlation": np.asarray(axes["correlation"]), "learning_rate": rate}
    parameters = {"frequencies": list(FREQUENCIES), "momentum": MOMENTUM, "steps": STEPS, "shape": list(shape)}
    return Numbers(axis | arrays, parameters, {}, _findings(measured))


def _onset(spikes: Flags) -> NDArray[np.int64]:
    """Return for each correlation the number of the least rate that spikes; the number of rates where none does."""
    first: NDArray[np.int64] = np.where(spikes.any(axis=1), spikes.argmax(axis=1), spikes.shape[1])
    return first


def _findings(measured: Mapping[str, Mapping[str, Floats]]) -> tuple[Finding, ...]:
    plain, adam, turned = measured["plain"], measured["adam"], measured["turned"]
    spikes = plain["spike_count"] > 0
    high = plain["peak_loss"] > 2.0 * math.log(2.0)  # where the peak is a spike, not the start
    found: list[Finding] = []
    rules = (("heavy ball", measured["momentum"]), ("Adam", adam), ("Adam with turned inputs", turned))
    for name, other in rules:
        own = other["spike_count"] > 0
        settled = spikes & np.isfinite(plain["steps_to_settle"]) & np.isfinite(other["steps_to_settle"])
        first, of_plain = _onset(own), _onset(spikes)
        found += [
            spread(
                f"At the same effective rate, {name} has lower peaks than plain descent",
                (other["peak_loss"] / plain["peak_loss"])[high], "ratios of peaks, where plain descent's is high",
                at_most=1.0,
            ),
            most_of(
                f"At most correlations, {name} spikes first at a higher effective rate than plain descent",
                first > of_plain, of_plain < spikes.shape[1], "correlations at which plain descent spikes",
            ),
            most_of(
                f"Mostly, {name} settles no later than plain descent where that spikes",
                other["steps_to_settle"] <= plain["steps_to_settle"], settled, "cells that spike and settle",
            ),
            most_of(
                f"Mostly, the loss under {name} rises for the last time no later than under plain descent",
                other["last_rise"] <= plain["last_rise"], spikes & own, "cells in which both spike",
            ),
            counted(
                f"Every run of {name} that spikes is perfect again, for good, within {STEPS} steps",
                (own & np.isfinite(other["steps_to_settle"])).sum(), own.sum(), "runs that spike",
            ),
        ]  # fmt: skip
    both = (adam["peak_loss"] > 2.0 * math.log(2.0)) & (turned["peak_loss"] > 2.0 * math.log(2.0))
    apart = np.abs(np.log(adam["peak_loss"] / turned["peak_loss"]))[both]
    found.append(
        spread(
            "Adam's peak depends on the basis of W by at most 10 %",
            np.exp(apart),
            "ratios of peaks, large over small, in two bases",
            at_most=1.1,
        )
    )
    rates = spikes.shape[1]
    found.extend(
        counted(
            f"{name.capitalize()} never raises the loss of uncorrelated tokens",
            (other["spike_count"][0] == 0).sum(),
            rates,
            "rates",
        )
        for name, other in (("plain descent", plain), *rules)
    )
    return tuple(found)


def draw(numbers: Numbers, as_published: bool) -> Any:
    """Return the maps of the peak loss (above) and of the steps to settle (below) of the three rules."""
    from matplotlib.colors import LogNorm

    figure = style.canvas(6.8, 3.5)
    panels = figure.subplots(2, 4, sharex=True, sharey=True)
    rate, correlation = numbers["learning_rate"], numbers["correlation"]
    plain = (numbers["plain_spike_count"] > 0).astype(float)
    rows = (
        ("peak_loss", "peak loss", LogNorm(math.log(2.0), 300.0), (1, 10, 100)),
        ("steps_to_settle", "steps to settle", LogNorm(1.0, 300.0), (1, 10, 100)),
    )
    for row, (measure, label, norm, ticks) in zip(panels, rows, strict=True):
        for axes, (rule, title) in zip(row, RULES, strict=True):
            values = numbers[f"{rule}_{measure}"]
            if measure == "peak_loss":
                values = np.where(numbers[f"{rule}_spike_count"] > 0, values, math.nan)
            mesh = axes.pcolormesh(rate, correlation, np.ma.masked_invalid(values), norm=norm, cmap="viridis",
                                   rasterized=True)  # fmt: skip
            if rule != "plain":
                axes.contour(rate, correlation, plain, levels=[0.5], colors=style.FAILS, linewidths=0.9)
            if measure == "peak_loss":
                axes.set_title(title, fontsize=9)
        bar = figure.colorbar(mesh, ax=row, aspect=16, pad=0.015)
        bar.set_label(label, fontsize=8.5)
        bar.set_ticks(ticks, labels=[str(tick) for tick in ticks])
        bar.minorticks_off()
        bar.outline.set_linewidth(0.4)
        row[0].set_ylabel(r"correlation $\alpha$")
    panels[0, 0].text(1.3, 0.1, "never rises", fontsize=8, color=style.SOFT)
    panels[0, 2].text(35.0, 0.13, "onset of\nplain descent", fontsize=7.5, color=style.FAILS, ha="right", va="center")
    for axes in panels[1]:
        axes.set(xscale="log", xlabel=r"effective rate $\eta$", xlim=(rate[0], rate[-1]))
    return figure


FIGURES = (
    Definition(
        "cabannes2024.review.spike_map_optimisers",
        "Map of the loss spikes of two tokens under momentum and Adam",
        11.0,
        spike_map_optimisers,
        draw,
        published=False,
        quick_seconds=2.0,
        caption=(
            "Frequencies $(0.85, 0.15)$, from $W = 0$, matched by the speed under a constant gradient (heavy "
            "ball) or by the length of the first step (Adam). Above: peak loss; white: the loss never rises; "
            "darkest: it rises, but never above $\\log 2$. Below: steps until the accuracy is 1 for good. "
            "Momentum makes spikes lower and longer, and lets the loss oscillate at rates at which plain descent "
            "(onset: red line) is still monotone. Adam's map depends on the basis of $W$: the same tokens, with "
            "inputs turned by 1/2 radian, in the last column: there even uncorrelated tokens spike."
        ),
        question="Do the loss spikes of correlated tokens survive momentum and Adam, at a matched effective rate?",
        hypothesis=(
            "Both average gradients, so that at the same effective rate spikes are lower and begin at higher "
            "rates, and the tokens settle no later than under plain descent."
        ),
        method=(
            "Two tokens on a grid of 50 correlations and 46 effective rates $\\eta$, 1000 steps: gradient descent "
            "at $\\eta$; heavy ball with $\\beta = 0.9$ at $0.1\\eta$; Adam (0.9, 0.999) at the rate that makes "
            "its first step as long as plain descent's, in two bases of $W$. Peaks, settling and the last rise of "
            "the loss are compared cell by cell."
        ),
    ),
)
