"""The picture of the experiment on correlations: spikes by structure, the first step, and the laws of the end."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..figures import style
from ..figures.definition import Numbers

LOOKS = {
    "sphere": ("#1d2329", "-"), "clustered": ("#D55E00", "-"), "equicorrelated": ("#0072B2", "-"),
    "power law": ("#CC79A7", "-"), "block": ("#009E73", "-"), "Toeplitz": ("#E69F00", "-"),
}  # fmt: skip
"""Colours of the families (Okabe and Ito); the parameter sets the dashes."""
DASHES = ("-", (0, (4, 1.5)), (0, (1, 1)), (0, (5, 1, 1, 1)))


def draw(numbers: Numbers, as_published: bool) -> Any:
    """Return the share of runs with spikes (left), the first step and the imperfect steps, and the end of the flow."""
    figure = style.canvas(6.8, 4.4)
    panels = figure.subplot_mosaic(
        [["map", "first", "limit"], ["map", "constant", "angle"]], width_ratios=(1.0, 1.15, 1.15)
    )
    _map(panels["map"], numbers)
    _first(panels["first"], numbers)
    _limit(panels["limit"], numbers)
    _constants(panels["constant"], numbers)
    _angles(panels["angle"], numbers)
    for letter, (name, axes) in zip("abcde", panels.items(), strict=True):
        title = f"({letter})" if name != "map" else f"({letter})  share of runs with a spike"
        axes.set_title(title, loc="left", fontsize=8.5)
        if name != "map":
            style.open_frame(axes)
    return figure


def _families(numbers: Numbers) -> list[tuple[int, str, str, Any]]:
    """Return place, name, colour and dashes of each structure."""
    seen: dict[str, int] = {}
    found = []
    for place, name in enumerate(numbers.parameters["structures"]):
        family = name.rsplit(" ", 1)[0]
        nth = seen[family] = seen.get(family, -1) + 1
        found.append((place, name, LOOKS[family][0], DASHES[nth % len(DASHES)]))
    return found


def _map(axes: Any, numbers: Numbers) -> None:
    """Draw the share of the runs with a spike, by structure and rate (Zipf frequencies, orthonormal outputs)."""
    column = numbers.parameters["outputs"].index("orthonormal"), numbers.parameters["frequencies"].index("zipf")
    share = (numbers["spike_count"] > 0.0).mean(axis=-1)[:, column[0], column[1]]
    rates, names = numbers.parameters["rates"], numbers.parameters["structures"]
    axes.imshow(share, cmap="Oranges", vmin=0.0, vmax=1.9, aspect="auto")
    for row, line in enumerate(share):
        for place, value in enumerate(line):
            if value > 0.0:
                text = "1" if value == 1.0 else f"{value:.1f}"[1:] if value < 0.95 else ".9"
                axes.text(place, row, text, ha="center", va="center", fontsize=6.5, color=style.INK)
    axes.set_yticks(range(len(names)), [name.replace("-", "\N{MINUS SIGN}") for name in names], fontsize=7.5)
    axes.set_xticks(range(len(rates)), [f"{rate:g}".removeprefix("0") for rate in rates], fontsize=6.5)
    axes.tick_params(length=0)
    axes.set_xlabel("rate, in units of\n1/sharpness at $W = 0$")
    axes.spines[:].set_visible(False)


def _first(axes: Any, numbers: Numbers) -> None:
    """Draw L(W_1) - eta S against eta S: the law puts it between 0 and log N."""
    n = numbers.parameters["n_tokens"]
    slope, excess = numbers["interference"], numbers["first_loss_excess"]
    memory_rates = numbers["learning_rate"]
    x = memory_rates * slope
    shown = x > 1e-3
    for place, _, colour, _ in _families(numbers):
        axes.plot(
            x[place][shown[place]], excess[place][shown[place]], ".", color=colour, markersize=2.0, rasterized=True
        )
    for level in (0.0, np.log(n)):
        axes.axhline(level, color=style.INK, linewidth=0.8, linestyle=(0, (4, 2)))
    axes.text(1e4, np.log(n) - 0.06, r"$\log N$", fontsize=8, va="top", ha="right")
    axes.set(xscale="log", xlabel=r"$\eta S$, the law of the first step", ylabel=r"$\mathcal{L}(W_1) - \eta S$",
             ylim=(-0.1, 1.08 * np.log(n)))  # fmt: skip


def _limit(axes: Any, numbers: Numbers) -> None:
    """Draw the imperfect steps at the largest rate against the perceptron limit."""
    last = int(np.argmax(numbers.parameters["rates"]))
    measured, law = numbers["imperfect"][..., last, :], numbers["imperfect_limit"][..., last, :]
    for place, _, colour, _ in _families(numbers):
        axes.plot(law[place].ravel(), measured[place].ravel(), "o", color=colour, markersize=2.6, alpha=0.5,
                  markeredgewidth=0)  # fmt: skip
    ends = [0.9, 1.15 * np.nanmax(measured)]
    axes.plot(ends, ends, color=style.SOFT, linewidth=0.7, zorder=0)
    axes.set(xscale="log", yscale="log", xlim=ends, ylim=ends, xlabel="imperfect steps, perceptron limit",
             ylabel="at the largest rate")  # fmt: skip
    ticks = [tick for tick in (1, 2, 5, 10, 20, 50, 100) if tick < ends[1]]
    for set_ticks in (axes.set_xticks, axes.set_yticks):
        set_ticks(ticks, [str(tick) for tick in ticks])
    axes.minorticks_off()


def _constants(axes: Any, numbers: Numbers) -> None:
    time = numbers["time"]
    for place, _, colour, dashes in _families(numbers):
        axes.plot(time[1:], numbers["constant"][place, 1:], color=colour, linestyle=dashes, linewidth=0.9)
    axes.axhline(1.0, color=style.SOFT, linewidth=0.6, zorder=0)
    axes.set(xscale="log", xlim=(1.0, time[-1]), ylim=(0, None), xlabel="time $t$ (flow)",
             ylabel=r"$t\,\mathcal{L}(W_t)\,\gamma^2$")  # fmt: skip
    _decades(axes)


def _angles(axes: Any, numbers: Numbers) -> None:
    time = numbers["time"]
    for place, name, colour, dashes in _families(numbers):
        axes.plot(time[1:], numbers["misaligned"][place, 1:], color=colour, linestyle=dashes, linewidth=0.9,
                  label=name.rsplit(" ", 1)[0] if dashes == "-" else None)  # fmt: skip
    axes.legend(fontsize=6.5, ncols=2, handlelength=1.0, columnspacing=0.7, labelspacing=0.2, borderaxespad=0.0,
                loc="lower left")  # fmt: skip
    axes.set(xscale="log", yscale="log", xlim=(1.0, time[-1]), ylim=(2e-6, 1.0), xlabel="time $t$ (flow)",
             ylabel=r"$1 - \cos(W_t, W_\infty)$")  # fmt: skip
    _decades(axes)


def _decades(axes: Any) -> None:
    axes.set_xticks([1.0, 1e4, 1e8, 1e12])
    axes.minorticks_off()
