"""The pictures of Figure 4: landscapes with their best sectors, and stochastic descent that leaves one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from . import style

if TYPE_CHECKING:
    from .definition import Numbers

BEST = style.FAST
MINIMISER = style.SLOW


def draw(numbers: Numbers, as_published: bool) -> Any:
    """Return four landscapes, and trajectory and traces of stochastic descent."""
    return _published(numbers) if as_published else _corrected(numbers)


def shades() -> Any:
    """Return the colours of the 0-1 loss from 0 (dark) to 1 (white), light enough for lines."""
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("error", ["#5b95c0", "#a3c6de", "#dde9f1", "#ffffff"])


def shade_sectors(axes: Any, edges: Any, errors: Any, window: Any, best: str | None = BEST) -> None:
    """Shade each sector of the plane by its 0-1 loss, and draw the edges of the one with the least in a colour."""
    from matplotlib.collections import PolyCollection

    reach = 3.0 * float(np.abs(np.asarray(window)).max())
    rays = reach * np.stack([np.cos(edges), np.sin(edges)], axis=-1)
    # a sector wider than a quarter turn is cut in two, so that its far side stays outside the window
    middle = 0.5 * (edges[1:] + edges[:-1])
    between = 2.0 * reach * np.stack([np.cos(middle), np.sin(middle)], axis=-1)
    polygons = [np.array([[0.0, 0.0], rays[k], between[k], rays[k + 1]]) for k in range(len(errors))]
    colours = shades()(np.asarray(errors))
    axes.add_collection(PolyCollection(polygons, facecolors=colours, edgecolors=colours, linewidths=0.3, zorder=0))
    least = int(np.argmin(errors))
    if best is not None:
        for ray in rays[least], rays[least + 1]:
            axes.plot([0.0, ray[0]], [0.0, ray[1]], color=best, linewidth=1.3, zorder=2)
    axes.set(xlim=window[0], ylim=window[1])


def _corrected(numbers: Numbers) -> Any:
    figure = style.canvas(6.8, 4.9)
    above, below = figure.subfigures(2, 1, height_ratios=(1.0, 1.15))
    panels = above.subplots(1, 4)
    for axes, panel in zip(panels, numbers.parameters["panels"], strict=True):
        _landscape(axes, numbers, panel["seed"], panel["window"])
        _title(axes, numbers, panel["seed"], panel["tokens"])
    panels[0].set_ylabel(r"$\gamma_2$")
    from matplotlib.cm import ScalarMappable

    bar = above.colorbar(ScalarMappable(cmap=shades()), ax=panels, fraction=0.03, pad=0.01, aspect=18)
    bar.set_label(r"0-1 loss $\mathcal{L}_{01}$")
    bar.outline.set_linewidth(0.4)
    lower = below.subplot_mosaic([["plane", "loss"], ["plane", "error"]], width_ratios=(1.0, 1.5))
    _trajectories(lower["plane"], numbers)
    _traces(lower["loss"], lower["error"], numbers)
    return figure


def _landscape(axes: Any, numbers: Numbers, seed: int, window: Any, levels: int = 20) -> None:
    shade_sectors(axes, numbers[f"edges_{seed}"], numbers[f"sector_error_{seed}"], window)
    axes.contour(
        numbers[f"gamma_1_{seed}"], numbers[f"gamma_2_{seed}"], numbers[f"loss_{seed}"], levels=levels,
        colors=style.INK, linewidths=0.4, alpha=0.75,
    )  # fmt: skip
    gamma = numbers[f"minimiser_{seed}"]
    if np.isnan(gamma).any():
        end = 0.62 * window[0][1] * numbers[f"direction_{seed}"]
        arrow = {"arrowstyle": "-|>", "color": MINIMISER, "lw": 1.6, "shrinkA": 0, "shrinkB": 0}
        axes.annotate("", end, (0, 0), arrowprops=arrow, zorder=5)
    else:
        axes.plot(*gamma, "o", color=MINIMISER, markersize=5, markeredgecolor="white", markeredgewidth=0.6, zorder=6)
    axes.plot(0, 0, "+", color=style.INK, markersize=4, markeredgewidth=0.7, zorder=4)
    axes.set_xlabel(r"$\gamma_1$")


def _title(axes: Any, numbers: Numbers, seed: int, count: int) -> None:
    error, least, excess = numbers[f"errors_{seed}"]
    wrong = int((numbers[f"margin_{seed}"] <= 0.0).sum())
    if np.isnan(numbers[f"minimiser_{seed}"]).any():
        told = "separable: no minimiser,\nmax-margin direction"
    else:
        told = rf"$\mathcal{{L}}_{{01}}={error:.3f}$, least ${least:.3f}$" + f"\n{wrong} wrong, excess {excess:.3f}"
    axes.set_title(f"$N={count}$, seed {seed}\n{told}", fontsize=8, linespacing=1.25)


def _trajectories(axes: Any, numbers: Numbers) -> None:
    from matplotlib.lines import Line2D

    _landscape(axes, numbers, 11, ((-2.0, 8.5), (-2.0, 4.5)), levels=40)
    path = numbers["descent_gamma"]
    for run in path[1:]:
        axes.plot(*run.T, color=style.SOFT, linewidth=0.3, alpha=0.5, zorder=3, rasterized=True)
    axes.plot(*path[0].T, color=style.INK, linewidth=1.0, zorder=4)
    axes.plot(*path[0, 0], "s", color=style.INK, markersize=4, zorder=5)
    axes.set_ylabel(r"$\gamma_2$")
    marks = [
        Line2D([], [], color=MINIMISER, marker="o", linestyle="", markersize=5, label=r"minimiser of $\mathcal{L}$"),
        Line2D([], [], color=BEST, linewidth=1.3, label=r"edges of the sector of least $\mathcal{L}_{01}$"),
        Line2D([], [], color=style.INK, marker="s", linestyle="-", markersize=4, label="runs from the same start"),
    ]
    axes.legend(handles=marks, loc="lower right", frameon=True, framealpha=0.9, edgecolor="none", fontsize=7.5)
    count = numbers.parameters["descent"]["tokens"]
    axes.set_title(f"$N={count}$, seed 11: stochastic descent", fontsize=8)


def _traces(above: Any, below: Any, numbers: Numbers) -> None:
    error, least, _ = numbers["errors_11"]
    for axes, name, colour in ((above, "descent_loss", style.INK), (below, "descent_error", style.SLOW)):
        step = np.arange(numbers[name].shape[1])
        low, high = np.quantile(numbers[name], (0.1, 0.9), axis=0)
        axes.fill_between(step, low, high, color=colour, alpha=0.25, linewidth=0)
        axes.plot(step, numbers[name].mean(axis=0), color=colour, linewidth=1.3)
        axes.set_xlim(0, step[-1])
        style.open_frame(axes)
    smallest = numbers.parameters["descent"]["least_loss"]
    above.axhline(smallest, color=MINIMISER, linewidth=0.8, linestyle=(0, (4, 2)), zorder=0)
    above.text(990, smallest - 0.02, f"minimum {smallest:.3f}", color=MINIMISER, fontsize=8, ha="right", va="top")
    above.set(ylabel=r"$\mathcal{L}(W_t)$", ylim=(0.4, 1.65), xticklabels=[])
    above.set_title(f"mean and 10 to 90 % of {len(numbers['descent_loss'])} runs", fontsize=8)
    below.axhline(error, color=MINIMISER, linewidth=0.8, linestyle=(0, (4, 2)), zorder=0)
    below.text(45, error + 0.02, f"at the minimiser {error:.3f}", color=MINIMISER, fontsize=8, va="bottom")
    below.axhline(least, color=BEST, linewidth=0.8, linestyle=(0, (4, 2)), zorder=0)
    below.text(990, least - 0.02, f"least of all {least:.3f}", color=BEST, fontsize=8, ha="right", va="top")
    below.set(ylim=(0, 0.88), xlabel="step $t$", ylabel=r"$\mathcal{L}_{01}(W_t)$")
    for axes, name in ((above, "cross entropy"), (below, "0-1 loss")):
        axes.text(0.99, 0.97, name, transform=axes.transAxes, ha="right", va="top", fontsize=9)


def _published(numbers: Numbers) -> Any:
    figure = style.canvas(5.4, 2.5)
    panels = figure.subplots(2, 3)
    for axes, panel in zip((*panels[0], panels[1, 0]), numbers.parameters["panels"], strict=True):
        seed = panel["seed"]
        _published_landscape(axes, numbers, seed, 20, "solid", 20, 0.75)
        if seed != 39:
            axes.scatter(*numbers[f"minimiser_{seed}"], c="r", s=10, zorder=5)
        axes.set_title(rf"$N={panel['tokens']}, \mathcal{{E}}={numbers[f'errors_{seed}'][2]}$")
    plane, traces = panels[1, 1:]
    _published_landscape(plane, numbers, 11, 10, "dashed", None, 0.5)
    plane.plot(*numbers["descent_gamma"][0].T, color="C1", linewidth=1, label=r"$\eta=0.1$")
    plane.scatter(*numbers["minimiser_11"], c="r", s=10, zorder=5)
    plane.legend(loc="lower right", fontsize=6, frameon=True)
    plane.set(yticks=[], title="SGD trajectory")
    traces.plot(numbers["descent_loss"][0] / 2, color="C1", linewidth=1, label=r"$\mathcal{L}(W_t) / 2$")
    traces.plot(numbers["descent_error"][0], color="C1", linewidth=1, linestyle="--", label=r"$\mathcal{L}_{01}(W_t)$")
    traces.legend(loc="upper right", fontsize=6, frameon=True)
    traces.set_title(r"$t\to \mathcal{L}(W_t)$")
    return figure


def _published_landscape(
    axes: Any, numbers: Numbers, seed: int, levels: int, lines: str, filled: int | None, alpha: float
) -> None:
    x, y = numbers[f"gamma_1_{seed}"], numbers[f"gamma_2_{seed}"]
    axes.contour(x, y, numbers[f"loss_{seed}"], levels=levels, colors="k", linewidths=0.5, linestyles=lines)
    axes.contourf(x, y, numbers[f"error_{seed}"], levels=filled, cmap="Blues_r", alpha=alpha).set_rasterized(True)
