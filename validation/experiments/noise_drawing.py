"""The picture of the experiment on noise: settling, spikes, swings; labels, their swings, inputs."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..figures import style
from ..figures.definition import Numbers

DASHED = (0, (4, 2))
DOTTED = (0, (1, 1.5))


def draw(numbers: Numbers, as_published: bool) -> Any:
    """Return six panels: what batches do above, what labels and inputs do below."""
    figure = style.canvas(6.8, 4.6)
    panels = figure.subplots(2, 3)
    parts = (_settling, _spikes, _swings, _growth, _amplitude, _inputs)
    for letter, axes, part in zip("abcdef", panels.ravel(), parts, strict=True):
        part(axes, numbers)
        style.open_frame(axes)
        axes.text(-0.2, 1.04, letter, transform=axes.transAxes, fontweight="bold", va="bottom")
    return figure


def _colours(count: int) -> NDArray[np.float64]:
    from matplotlib import colormaps

    return np.asarray(colormaps["cividis"](np.linspace(0.0, 0.88, count)))


def _batch_axis(axes: Any, batches: NDArray[Any]) -> None:
    axes.set_xscale("log")
    axes.set_xticks(batches, [str(batch) for batch in batches])
    axes.xaxis.set_minor_formatter("")
    axes.tick_params(axis="x", which="minor", length=0)
    axes.set(xlim=(batches[0] / 1.6, batches[-1] * 1.6), xlabel="batch size $B$")


def _spread(sample: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return the medians over the last axis, and how far the quartiles lie below and above."""
    low, middle, high = np.quantile(sample, (0.25, 0.5, 0.75), axis=-1)
    return middle, np.stack([middle - low, high - middle])


def _settling(axes: Any, numbers: Numbers) -> None:
    rates, batches = numbers["learning_rate"], numbers["batch_size"]
    axes.axhline(1.0, color=style.SOFT, linewidth=0.8)
    for k, (rate, colour) in enumerate(zip(rates, _colours(rates.size), strict=True)):
        middle, bars = _spread(numbers["settled"][-1, k] / numbers["full_settled"][-1, k])
        at = batches * 1.09 ** (k - (rates.size - 1) / 2.0)
        axes.errorbar(at, middle, bars, color=colour, marker="o", markersize=3.5, linewidth=1.1, elinewidth=0.7,
                      label=f"{rate:g}")  # fmt: skip
    _batch_axis(axes, batches)
    axes.legend(title=r"$\eta$", ncols=2, fontsize=7, title_fontsize=8, columnspacing=0.9, loc="upper right")
    axes.set(ylim=(0.0, None), ylabel=r"$T_{\rm settle}$ over full batch")


def _spikes(axes: Any, numbers: Numbers) -> None:
    rates, batches, start = numbers["learning_rate"], numbers["batch_size"], math.log(2.0)
    often, alpha = float(numbers["frequencies"][0]), float(numbers["correlation"][-1])
    for k, colour in enumerate(_colours(rates.size)):
        middle, bars = _spread(numbers["peak"][-1, k])
        at = batches * 1.09 ** (k - (rates.size - 1) / 2.0)
        axes.errorbar(at, middle, bars, color=colour, marker="o", markersize=3.5, linewidth=1.1, elinewidth=0.7)
        axes.axhline(numbers["full_peak"][-1, k], color=colour, linewidth=0.8, linestyle=DASHED)
    throw = often * (2.0 * alpha - 1.0) * float(rates[-1])
    axes.plot([batches[0]], [throw], "_", color=style.FAILS, markersize=16, markeredgewidth=1.6, zorder=5)
    axes.annotate(r"$p_1(2\alpha-1)\eta$", (batches[0] * 1.5, throw), color=style.FAILS, fontsize=8, va="center",
                  xytext=(3, 3), textcoords="offset points")  # fmt: skip
    top = float(numbers["full_peak"][-1, -1])
    axes.text(batches[-1] * 1.5, start * 0.92, r"$\log 2$", color=style.SOFT, fontsize=8, ha="right", va="top")
    axes.text(batches[-1] * 1.5, top * 0.94, "full batch", color=_colours(rates.size)[-1] * 0.8, fontsize=8, ha="right",
              va="top")  # fmt: skip
    _batch_axis(axes, batches)
    axes.set(yscale="log", ylim=(0.5, 12.0), ylabel="largest loss")
    axes.set_yticks([0.5, 1, 2, 5, 10], ["0.5", "1", "2", "5", "10"])
    axes.yaxis.set_minor_formatter("")


def _swings(axes: Any, numbers: Numbers) -> None:
    first, batches, rates = numbers["window"], numbers["batch_size"], numbers["learning_rate"]
    at, shown = first * math.sqrt(2.0), rates.size - 2
    swing = np.sqrt((numbers["swing"][:, -1] ** 2).mean(axis=-1))
    for k, colour in enumerate(_colours(batches.size)):
        axes.plot(at, numbers["swing_law"][:, -1, k], color=colour, linewidth=0.9, linestyle=DASHED)
        for j, mark in ((shown - 1, "o"), (shown, "x")):
            axes.plot(at, swing[:, j, k], mark, color=colour, markersize=3.2, markeredgewidth=0.9,
                      label=f"$B = {batches[k]}$" if mark == "o" else None)  # fmt: skip
    full = np.abs(numbers["full_swing"][:, -1, shown - 1])
    axes.plot(at, full, color=style.FAILS, linewidth=1.1)
    axes.text(at[-1], full[-1], "full\nbatch ", color=style.FAILS, fontsize=8, ha="right", va="top", linespacing=0.9)
    rules = rf"$\bullet$ $\eta = {rates[shown - 1]:g}$" + "\n" + rf"$\times$ $\eta = {rates[shown]:g}$"
    axes.text(0.98, 0.99, rules, transform=axes.transAxes, fontsize=8, ha="right", va="top")
    axes.legend(fontsize=7, loc="lower left", handletextpad=0.1, borderpad=0.1, labelspacing=0.3)
    axes.set(xscale="log", yscale="log", ylim=(full[-1] / 4.0, None), xlabel="step $t$",
             ylabel=r"swing of $\gamma_1 - \bar\gamma$")  # fmt: skip


def _growth(axes: Any, numbers: Numbers) -> None:
    step, noises, tops = numbers["trace_step"], numbers["label_noise"], numbers["rest_margin"]
    colours = _colours(noises.size + 1)
    for k, (rho, colour) in enumerate(zip((0.0, *noises), colours, strict=True)):
        axes.plot(
            numbers["trace_time"][1:], numbers["trace_flow"][k][1:], color=colour, linewidth=0.8, linestyle=DASHED
        )
        axes.plot(step[1:], numbers["trace"][k][1:], color=colour, linewidth=1.1, label=f"{rho:g}")
    for top, colour in zip(tops, colours[1:], strict=True):
        axes.plot([step[-1] * 1.1, step[-1] * 3.0], [top, top], color=colour, linewidth=2.2)
    axes.legend(title=r"label noise $\rho$", fontsize=7, title_fontsize=8, loc="upper left", labelspacing=0.25)
    axes.set(
        xscale="log", xlim=(1, step[-1] * 3.0), ylim=(0, None), xlabel="step $t$", ylabel="mean margin $\\gamma_2$"
    )


def _amplitude(axes: Any, numbers: Numbers) -> None:
    noises, rates, batches = numbers["label_noise"], numbers["rest_rates"], numbers["batch_size"]
    ratio = rates[:, None] / batches
    marks = ("o", "^", "s", "D")
    axis = np.array([ratio.min() / 1.5, ratio.max() * 1.5])
    axes.plot(axis, np.sqrt(axis / 2.0), color=style.INK, linewidth=0.9, linestyle=DASHED)
    for i, alpha in enumerate(numbers["correlation"]):
        for k, colour in enumerate(_colours(noises.size + 1)[1:]):
            scaled = numbers["tilt_deviation"][i, k].mean(axis=-1) / math.sqrt(1.0 + alpha)
            law = numbers["deviation_law"][i, k] / math.sqrt(1.0 + alpha)
            axes.plot(ratio.ravel(), law.ravel(), "_", color=colour, markersize=7, markeredgewidth=0.8)
            axes.plot(ratio.ravel(), scaled.ravel(), marks[i], color=colour, markersize=3.2, markerfacecolor="none",
                      markeredgewidth=0.8, label=rf"$\alpha = {alpha:g}$" if k == 0 else None)  # fmt: skip
    axes.text(
        0.97, 0.06, r"$\sqrt{\eta/2B}$, no free" + "\nparameter", transform=axes.transAxes, fontsize=8, ha="right"
    )
    axes.legend(fontsize=7, loc="upper left", handletextpad=0.1)
    axes.set(xscale="log", yscale="log", xlim=tuple(axis), xlabel=r"$\eta/B$",
             ylabel=r"std of $\gamma_1$ over $\sqrt{1+\alpha}$")  # fmt: skip


def _inputs(axes: Any, numbers: Numbers) -> None:
    axes.axhline(0.0, color=style.SOFT, linewidth=0.8)
    for k, (colour, name) in enumerate(((style.FAST, "frequent token"), (style.SLOW, "rare token"))):
        axes.plot(numbers["input_curve"], numbers["input_curve_law"][k], color=colour, linewidth=0.9, linestyle=DASHED)
        margins = numbers["input_margins"][k]
        axes.errorbar(numbers["input_noise"], margins.mean(axis=-1), margins.std(axis=-1), fmt="o", color=colour,
                      markersize=3.5, elinewidth=0.7, label=name)  # fmt: skip
    where = float(numbers["giving_up"])
    axes.axvline(where, color=style.SOFT, linewidth=0.7, linestyle=DOTTED)
    axes.text(where * 1.03, 0.62, "given up", transform=axes.get_xaxis_transform(), fontsize=8, color=style.SOFT)
    axes.legend(fontsize=7.5, loc="upper right", handletextpad=0.2)
    axes.set(xlabel="input noise $s$", ylabel="margin at rest")
