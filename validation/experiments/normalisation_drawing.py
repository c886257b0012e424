"""The picture of the experiment on normalisation: spikes and losses above, rates, the growth of W and floors below."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..figures import style
from ..figures.definition import Numbers
from .normalisation_findings import strong

COLOURS = {"none": style.SOFT, "unit": style.FAST, "layer": style.SLOW, "batch": "#009E73", "trained gain": "#CC79A7"}
KINDS = ("none", "unit", "layer")


def draw(numbers: Numbers, as_published: bool) -> Any:
    """Return six panels: spikes by rate and by correlation, losses; arrival by rate, |W| by step, gaps to the floor."""
    figure = style.canvas(6.8, 4.5)
    panels = figure.subplots(2, 3)
    for panel, fill in zip(
        panels.ravel(), (_heights, _correlations, _courses, _arrivals, _norms, _floors), strict=True
    ):
        fill(panel, numbers)
        style.open_frame(panel)
    return figure


def _heights(axes: Any, numbers: Numbers) -> None:
    rates, gains = numbers["pair.axis.learning_rate"], numbers["pair.axis.gain"]
    height = np.maximum(strong(dict(numbers.arrays), "spike_height"), 5e-3)
    for kind, name in enumerate(KINDS):
        for gain, line in ((1, "-"), (2, (0, (4, 1.5)))):
            values = height[kind, gain]
            axes.plot(
                rates, np.median(values, axis=1), color=COLOURS[name], linewidth=1.3, linestyle=line,
                label=f"{name}, $g = {gains[gain]:g}$",
            )  # fmt: skip
            axes.fill_between(rates, values.min(axis=1), values.max(axis=1), color=COLOURS[name], alpha=0.13, lw=0)
    axes.set(xscale="log", yscale="log", ylim=(5e-3, 3e6), xlabel=r"learning rate $\eta$", ylabel="height of the spike")
    axes.legend(loc="upper left", fontsize=7, labelspacing=0.25, ncols=1, handlelength=1.9, borderpad=0.1)


def _correlations(axes: Any, numbers: Numbers) -> None:
    rates, shares = numbers["pair.axis.learning_rate"], numbers["pair.axis.first_frequency"]
    at = int(np.argmin(np.abs(np.log(rates / 10.0))))
    height = np.maximum(np.median(numbers["pair.spike_height"][:, 1, :, :, at], axis=-1), 5e-3)
    chosen = [int(np.argmin(np.abs(shares - share))) for share in (0.5, 0.75, 0.95)]
    for place, marker in zip(dict.fromkeys(chosen), "o^s", strict=False):
        for kind, name in ((0, "none"), (1, "unit")):
            axes.plot(
                numbers["pair.axis.correlation"], height[kind, :, place], color=COLOURS[name], marker=marker,
                markersize=3.5, linewidth=1.0, label=f"{name}, $p_1 = {shares[place]:g}$",
            )  # fmt: skip
    axes.set(yscale="log", ylim=(4e-3, 3e4), xlabel=r"correlation $\alpha$", ylabel=r"height at $\eta = 10$, $g = 3$")
    axes.legend(loc="upper left", fontsize=7, labelspacing=0.25, borderpad=0.1)


def _courses(axes: Any, numbers: Numbers) -> None:
    step = numbers["course.step"] + 1
    for name in ("none", "unit", "layer", "trained gain"):
        axes.plot(step, numbers[f"course.{name}"], color=COLOURS[name], linewidth=1.2, label=name)
        floor = float(numbers[f"course.floor.{name}"])
        if name in ("unit", "layer"):
            axes.axhline(floor, color=COLOURS[name], linewidth=0.8, linestyle=(0, (1, 1.5)))
    axes.set(xscale="log", yscale="log", xlabel="step $t + 1$", ylabel=r"loss, $\eta = 10$, $g = 3$")
    axes.set(ylim=(None, 1e3))
    axes.legend(loc="upper right", fontsize=7, labelspacing=0.25, borderpad=0.1)


def _arrivals(axes: Any, numbers: Numbers) -> None:
    rates = numbers["pair.axis.learning_rate"]
    arrival = strong(dict(numbers.arrays), "arrival")
    for kind, name in enumerate(KINDS):
        for gain, line in ((0, (0, (1, 1.2))), (1, "-")):
            values = arrival[kind, gain]
            shown = np.where(np.isfinite(values).all(axis=1), np.median(values, axis=1), np.nan)
            axes.plot(
                rates, shown, color=COLOURS[name], linestyle=line, linewidth=1.2, marker="o", markersize=2.5,
                label=name if gain == 1 else None,
            )  # fmt: skip
    guide = rates[rates >= 31.0]
    axes.plot(guide, 1.2 * guide, color=style.INK, linewidth=0.6)
    axes.text(guide[-1], 0.45 * guide[-1], r"$\propto \eta$", fontsize=8, ha="right", va="top", color=style.INK)
    axes.set(xscale="log", yscale="log", xlabel=r"learning rate $\eta$", ylabel="steps to 1 % of the way")


def _norms(axes: Any, numbers: Numbers) -> None:
    step = numbers["norm.step"][1:]
    looks = {
        "GD 5, 10": (style.FAST, "-"), "SGD 5, 10": (style.FAST, (0, (4, 1.5))), "GD 20, 5": (style.SLOW, "-"),
        "SGD 20, 5": (style.SLOW, (0, (4, 1.5))),
    }  # fmt: skip
    for setting, (colour, line) in looks.items():
        rule, tokens, dim = setting.replace(",", "").split()
        label = rf"{rule}, $N = {tokens}$, $d = {dim}$"
        axes.plot(step, numbers[f"norm.{setting}"][1:], color=colour, linestyle=line, linewidth=1.2, label=label)
    late = step[step >= step[-1] / 1000]
    start = 1.8 * float(np.interp(late[0], step, numbers["norm.SGD 20, 5"][1:]))
    axes.plot(late, start * (late / late[0]) ** 0.25, color=style.INK, linewidth=0.7)
    middle = late.size // 2
    axes.text(late[middle], 1.5 * start * (late[middle] / late[0]) ** 0.25, "$t^{1/4}$", fontsize=8, color=style.INK)
    top = max(float(numbers[f"norm.{setting}"].max()) for setting in looks)
    axes.set(xscale="log", yscale="log", ylim=(None, 60.0 * top), xlabel="step $t$", ylabel=r"$|W_t|$, $\eta = 10$")
    axes.legend(loc="upper left", fontsize=7, labelspacing=0.25, borderpad=0.1)


def _floors(axes: Any, numbers: Numbers) -> None:
    kinds, dims = ("unit", "layer", "batch"), numbers["crowd.axis.dim"]
    moderate = numbers["crowd.axis.learning_rate"] <= 10.0
    gains = numbers["crowd.axis.gain"] <= 3.0
    excess = numbers["crowd.floor_excess"][1:, gains][:, :, :, moderate]
    jitter = np.random.default_rng(0)
    for kind, name in enumerate(kinds):
        for place in range(dims.size):
            values = np.maximum(excess[kind, :, place].ravel(), 1e-8)
            at = place + 0.26 * (kind - 1) + jitter.uniform(-0.08, 0.08, values.size)
            label = name if place == 0 else None
            axes.plot(at, values, "o", color=COLOURS[name], markersize=2.0, alpha=0.6, markeredgewidth=0, label=label)
    axes.set(yscale="log", ylim=(5e-9, 1e4), xlabel="dimension $d$ ($N = 5$)", ylabel="loss above the floor, relative")
    axes.set_xticks(range(dims.size), [str(dim) for dim in dims])
    axes.legend(loc="upper right", fontsize=7, labelspacing=0.25, borderpad=0.1, handletextpad=0.1, ncols=3,
                columnspacing=0.6)  # fmt: skip
