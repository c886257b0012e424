"""The pictures of Figure 5: trajectories over loss and sharpness, sharpness by step, and what descent ends in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from . import style
from .cabannes2024_fig4_drawing import shade_sectors

if TYPE_CHECKING:
    from .definition import Numbers

COLOURS = (style.FAST, style.SLOW)
MINIMISER = style.INK
LEVELS = (0.02, 0.05, 0.1, 0.3)


def draw(numbers: Numbers, as_published: bool) -> Any:
    """Return a row of three panels for each problem; the corrected version has what descent ends in below."""
    return _published(numbers) if as_published else _corrected(numbers)


def _corrected(numbers: Numbers) -> Any:
    figure = style.canvas(6.8, 6.6)
    grid = figure.add_gridspec(3, 3, height_ratios=(1.0, 1.0, 0.95), width_ratios=(1.0, 1.0, 1.15))
    for row, panel in enumerate(numbers.parameters["panels"]):
        seed = panel["seed"]
        left, middle, right = (figure.add_subplot(grid[row, column]) for column in range(3))
        _losses(left, numbers, seed)
        _map(middle, numbers, seed)
        _series(right, numbers, seed)
        word = "separable" if seed == 39 else "not separable"
        left.set_ylabel(f"$N={panel['tokens']}$, {word}\n" + r"$\gamma_2$")
        if row == 0:
            left.set_title(r"loss $\mathcal{L}$")
            middle.set_title(r"sharpness $\Vert\nabla^2\mathcal{L}\Vert$")
            right.set_title("sharpness by step")
        else:
            for axes in (left, middle):
                axes.set_xlabel(r"$\gamma_1$")
            right.set_xlabel("step $t$")
    _ends(figure.add_subplot(grid[2, :]), numbers)
    return figure


def _paths(axes: Any, numbers: Numbers, seed: int) -> None:
    for path, colour in zip(numbers[f"run_gamma_{seed}"], COLOURS, strict=True):
        axes.plot(*path.T, color=colour, linewidth=0.9, marker="o", markersize=1.6, zorder=4)
    axes.plot(*numbers[f"run_gamma_{seed}"][0, 0], "s", color=style.INK, markersize=4, zorder=6)
    if seed == 9:
        axes.plot(*numbers["minimiser"], "X", color=MINIMISER, markersize=6, markeredgecolor="white", zorder=7,
                  markeredgewidth=0.6)  # fmt: skip
        axes.plot(*numbers["cycle"].T, "D", color=style.FAST, markersize=4.5, markeredgecolor="white", zorder=7,
                  linestyle="", markeredgewidth=0.7)  # fmt: skip
    low, high = numbers.parameters["window"]
    axes.set(xlim=low, ylim=high, xticks=(-10, -5, 0, 5, 10), yticks=(-10, -5, 0, 5, 10))


def _losses(axes: Any, numbers: Numbers, seed: int) -> None:
    shade_sectors(axes, numbers[f"edges_{seed}"], numbers[f"sector_error_{seed}"], numbers.parameters["window"], None)
    axes.contour(numbers["gamma_1"], numbers["gamma_2"], numbers[f"loss_{seed}"], levels=12, colors=style.INK,
                 linewidths=0.4, alpha=0.7)  # fmt: skip
    _paths(axes, numbers, seed)


def _map(axes: Any, numbers: Numbers, seed: int) -> None:
    from matplotlib.colors import LinearSegmentedColormap

    x, y, values = numbers["gamma_1"], numbers["gamma_2"], numbers[f"sharpness_{seed}"]
    colours = LinearSegmentedColormap.from_list("sharpness", ["#ffffff", "#e9dff0", "#b9a3cf", "#8466ab"])
    axes.pcolormesh(x, y, values, cmap=colours, vmin=0.0, vmax=0.36, shading="gouraud", rasterized=True)
    lines = axes.contour(x, y, values, levels=LEVELS, colors=style.INK, linewidths=0.4, alpha=0.8)
    axes.clabel(lines, levels=LEVELS[:3], fmt="%g", fontsize=6.5)
    level = 2.0 / numbers["learning_rate"][0]
    axes.contour(x, y, values, levels=[level], colors=[style.FAST], linewidths=1.2)
    _paths(axes, numbers, seed)


def _series(axes: Any, numbers: Numbers, seed: int) -> None:
    rates = numbers["learning_rate"]
    for values, colour, rate in zip(numbers[f"run_sharpness_{seed}"], COLOURS, rates, strict=True):
        axes.plot(numbers["step"], values, color=colour, linewidth=1.1, marker="o", markersize=2.0,
                  label=rf"$\eta={rate:g}$")  # fmt: skip
    last = numbers["step"][-1]
    note = {"fontsize": 8, "ha": "right"}
    level = 2.0 / rates[0]
    axes.axhline(level, color=style.FAST, linewidth=1.0, linestyle=(0, (4, 2)), zorder=0)
    if seed == 9:
        sharpness = numbers["minimum"][1]
        axes.axhline(sharpness, color=MINIMISER, linewidth=0.8, linestyle=(0, (1, 1.5)), zorder=0)
        axes.text(last, sharpness + 0.006, rf"$H_*={sharpness:.3f}$", color=MINIMISER, va="bottom", **note)
        axes.plot([last + 1.2] * 2, numbers["cycle_sharpness"], "D", color=style.FAST, markersize=4, clip_on=False,
                  markeredgecolor="white", markeredgewidth=0.5, linestyle="")  # fmt: skip
        axes.text(last, level + 0.005, r"$2/\eta$ for $\eta=10$", color=style.FAST, va="bottom", **note)
    else:
        axes.text(last, level + 0.005, r"$2/\eta$ for $\eta=10$", color=style.FAST, va="bottom", **note)
        axes.legend(loc="upper right", bbox_to_anchor=(1.0, 1.04))
    axes.set(xlim=(-0.6, last + 1.2), ylim=(0.0, 0.37))
    style.open_frame(axes)


def _ends(axes: Any, numbers: Numbers) -> None:
    rates, losses = numbers["end_rate"], numbers["end_loss"]
    least, _, critical = numbers["minimum"]
    axes.plot(np.repeat(rates, losses.shape[1]), losses.ravel(), ".", color=style.SOFT, markersize=2.2,
              markeredgewidth=0, rasterized=True, label="last states of long runs")  # fmt: skip
    x, stable = numbers["cycles_rate"], numbers["cycles_multiplier"] < 1.0
    for side in range(2):
        values = numbers["cycles_loss"][:, side]
        first = side == 0
        axes.plot(x, np.where(stable, values, np.nan), color=style.FAST, linewidth=1.6, zorder=3,
                  label="cycle of period two, stable" if first else None)  # fmt: skip
        axes.plot(x, values, color=style.FAST, linewidth=0.9, linestyle=(0, (3, 2)), zorder=2,
                  label="the same, unstable" if first else None)  # fmt: skip
    for low, high, line in ((rates[0], critical, "solid"), (critical, rates[-1], (0, (1, 1.5)))):
        axes.plot([low, high], [least] * 2, color=MINIMISER, linewidth=1.1, linestyle=line,
                  label="minimum, stable to the left of $2/H_*$" if low < critical else None)  # fmt: skip
    axes.axvline(critical, color=style.INK, linewidth=0.7, zorder=0)
    axes.text(critical + 0.25, 7.6, rf"$2/H_*={critical:.3f}$", fontsize=8.5, va="top")
    axes.plot([numbers["learning_rate"][0]] * 2, numbers["cycle_loss"], "D", color=style.FAST, markersize=4.5,
              markeredgecolor="white", markeredgewidth=0.7, zorder=5)  # fmt: skip
    axes.set(xlim=(rates[0], rates[-1]), ylim=(0.0, 7.8), xlabel=r"learning rate $\eta$")
    axes.set_ylabel(r"$\mathcal{L}$, not separable")
    axes.legend(loc="upper left", bbox_to_anchor=(0.075, 0.9), fontsize=8)
    style.open_frame(axes)


def _published(numbers: Numbers) -> Any:
    figure = style.canvas(5.6, 2.8)
    panels = figure.subplots(2, 3)
    x, y = numbers["gamma_1"], numbers["gamma_2"]
    colours = (style.PUBLISHED_FAST, style.PUBLISHED_SLOW)
    for row, panel in zip(panels, numbers.parameters["panels"], strict=True):
        seed = panel["seed"]
        row[0].contour(x, y, numbers[f"loss_{seed}"], levels=10, colors="k", linewidths=0.5, linestyles="--")
        row[0].contourf(x, y, numbers[f"error_{seed}"], levels=20, cmap="Blues_r", alpha=0.5).set_rasterized(True)
        sharpness = numbers[f"sharpness_{seed}"]
        row[1].contour(x, y, sharpness, levels=5, colors="k", linewidths=0.5, linestyles="--")
        row[1].contourf(x, y, sharpness, levels=30, cmap="Blues", alpha=0.5).set_rasterized(True)
        for axes in row[:2]:
            for path, colour in zip(numbers[f"run_gamma_{seed}"], colours, strict=True):
                axes.plot(*path.T, color=colour, linewidth=1)
        for values, colour in zip(numbers[f"run_sharpness_{seed}"], colours, strict=True):
            row[2].plot(values, color=colour, linewidth=1)
        for axes, title in zip(row, ("Losses", "Sharpness", r"$t\to \|\nabla^2\mathcal{L}(W_t)\|_{*}$"), strict=True):
            axes.set(yticks=[])
            axes.set_title(title, fontsize=10)
        for axes in row[:2]:
            axes.set(xlim=(x[0], x[-1]), ylim=(y[0], y[-1]))
    return figure
