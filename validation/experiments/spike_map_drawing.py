"""The picture of the spike map: peaks, settling, where the laws hold, and where spikes begin."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from ..figures import style

if TYPE_CHECKING:
    from ..figures.definition import Numbers

EXACT, RIGHT, SILENT = "#0072B2", "#a9cfe6", "#e9e9e6"  # proved and exact; right without proof; no law
WRONG = "YlOrRd"
MAP = "viridis"
DASHED, DOTTED = (0, (4, 2)), (0, (1, 1.5))


def draw(numbers: Numbers, as_published: bool) -> Any:
    """Return six panels: three maps of a slice, shares of exact cells, the onset, and peaks by rate."""
    figure = style.canvas(6.8, 4.7)
    (peak, settle, exact), (share, onset, trace) = figure.subplots(2, 3)
    _peaks(figure, peak, numbers)
    _settling(figure, settle, numbers)
    _exactness(figure, exact, numbers)
    _shares(share, numbers)
    _onsets(figure, onset, numbers)
    _traces(trace, numbers)
    for letter, axes in zip("abcdef", (peak, settle, exact, share, onset, trace), strict=True):
        axes.set_title(f"({letter})", loc="left", fontsize=9, pad=3)
    return figure


def _map(figure: Any, axes: Any, numbers: Numbers, values: Any, norm: Any, cmap: Any, label: str, ticks: Any) -> Any:
    """Draw a map over (rate, correlation) with a colour bar; values that are NaN stay white."""
    rate, correlation = numbers["slice_learning_rate"], numbers["slice_correlation"]
    mesh = axes.pcolormesh(rate, correlation, np.ma.masked_invalid(values), norm=norm, cmap=cmap, rasterized=True)
    axes.set(xscale="log", xlabel=r"learning rate $\eta$", ylabel=r"correlation $\alpha$", ylim=(0, correlation[-1]))
    bar = figure.colorbar(mesh, ax=axes, location="top", shrink=0.78, aspect=22, pad=0.02, anchor=(1.0, 0.0))
    bar.set_label(label, fontsize=8, labelpad=2)
    bar.set_ticks(ticks, labels=[f"{tick:g}" for tick in ticks])
    bar.ax.tick_params(labelsize=7, pad=1, length=2)
    bar.minorticks_off()
    bar.outline.set_linewidth(0.4)
    return mesh


def _thresholds(axes: Any, numbers: Numbers, colour: str) -> None:
    correlation = numbers["slice_correlation"]
    axes.plot(numbers["slice_certificate"], correlation, color=colour, linewidth=1.1, linestyle=DASHED)
    first = numbers["slice_first_step"]
    shown = np.isfinite(first)
    axes.plot(first[shown], correlation[shown], color=colour, linewidth=1.1)


def _peaks(figure: Any, axes: Any, numbers: Numbers) -> None:
    from matplotlib.colors import LogNorm

    peak = np.where(numbers["slice_spike_count"] > 0, numbers["slice_peak_loss"], math.nan)
    _map(figure, axes, numbers, peak, LogNorm(math.log(2.0), 1000.0), MAP, "peak loss", (1, 10, 100, 1000))
    _thresholds(axes, numbers, style.INK)
    rate = numbers["slice_learning_rate"]
    axes.set_xlim(rate[0], rate[-1])
    axes.text(3.4, 0.06, r"$2/\lambda_{\max}(0)$", fontsize=7.5, rotation=90, va="bottom", ha="right")
    axes.text(30.0, 0.08, "no spike", fontsize=8, color=style.SOFT)
    axes.text(14.0, 0.6, "first step", fontsize=7.5, rotation=-72, va="center", ha="right")


def _settling(figure: Any, axes: Any, numbers: Numbers) -> None:
    from matplotlib.colors import LogNorm

    steps = numbers["slice_steps_to_settle"]
    _map(figure, axes, numbers, steps, LogNorm(1.0, 1000.0), MAP, "steps to settle", (1, 10, 100, 1000))
    frequent = float(numbers.parameters["slice_frequent"])
    rare = 1.0 - frequent
    for whole in range(int((frequent - rare) / (2.0 * rare)) + 1):  # x = whole
        level = rare * (1.0 + 2.0 * whole) / frequent
        if level < 1.0:
            axes.axhline(level, color="white", linewidth=0.7, linestyle=DOTTED)
            axes.text(7.5e3, level + 0.01, rf"$x = {whole}$", color="white", fontsize=7, ha="right", va="bottom")


def _exactness(figure: Any, axes: Any, numbers: Numbers) -> None:
    from matplotlib.colors import ListedColormap, LogNorm

    law, exact = numbers["slice_duration"], numbers["slice_exact"]
    regime = np.nan_to_num(numbers["slice_regime"], nan=-math.inf)
    rate, correlation = numbers["slice_learning_rate"], numbers["slice_correlation"]
    kinds = np.where(np.isnan(law), 0.0, np.where(exact & (regime >= 1.0), 2.0, np.where(exact, 1.0, math.nan)))
    # a law that fails in the peak or above log 2 alone is off by less than a step
    late = np.where(np.isnan(law) | exact, math.nan, numbers["slice_steps_to_settle"] - law - 1.0)
    late = np.where(np.isfinite(late), np.maximum(np.abs(late), 0.5), late)
    _map(figure, axes, numbers, late, LogNorm(0.5, 1000.0), WRONG, "steps too late", (1, 10, 100, 1000))
    axes.pcolormesh(rate, correlation, np.ma.masked_invalid(kinds), cmap=ListedColormap([SILENT, RIGHT, EXACT]),
                    vmin=-0.5, vmax=2.5, rasterized=True)  # fmt: skip
    naive = np.nan_to_num(numbers["slice_naive"], nan=0.0)
    axes.contour(rate, correlation, naive, levels=[1.0], colors=style.INK, linewidths=0.9, linestyles=[DOTTED])
    axes.text(1.3, 0.03, "no law", fontsize=7.5, color=style.SOFT, va="bottom")
    axes.text(7e3, 0.27, "proved", fontsize=7.5, color="white", ha="right", va="center")
    axes.text(40.0, 0.27, "right", fontsize=7.5, color=style.INK, ha="center", va="center")


def _shares(axes: Any, numbers: Numbers) -> None:
    edges = numbers["curve_edges"]
    middle = np.sqrt(edges[1:] * edges[:-1])
    looks = (("regime", "regime of the law", EXACT, "-", "o"), ("naive", "naive regime", style.FAILS, DASHED, "D"))
    for name, label, colour, line, mark in looks:
        cells, right = numbers[f"curve_{name}_cells"], numbers[f"curve_{name}_exact"]
        shown = cells >= 20
        axes.plot(middle[shown], right[shown] / cells[shown], color=colour, linestyle=line, marker=mark, markersize=2.8,
                  linewidth=1.1, label=label)  # fmt: skip
    axes.axvline(1.0, color=style.SOFT, linewidth=0.6)
    axes.set(xscale="log", ylim=(0, 1.04), xlabel="condition over what it needs", ylabel="share of exact cells")
    axes.legend(loc="lower right", fontsize=7.5, borderpad=0.1)
    style.open_frame(axes)


def _onsets(figure: Any, axes: Any, numbers: Numbers) -> None:
    from matplotlib.colors import LogNorm

    frequent, correlation = numbers["onset_frequent"], numbers["onset_correlation"]
    rate, first = numbers["onset_rate"], numbers["onset_first_step"]
    ratio = np.where(np.isfinite(rate), rate / numbers["onset_certificate"], math.nan)
    mesh = axes.pcolormesh(frequent, correlation, np.ma.masked_invalid(ratio), norm=LogNorm(1.0, 30.0), cmap="cividis",
                           rasterized=True)  # fmt: skip
    step = numbers["onset_rates"][1] / numbers["onset_rates"][0]
    earlier = np.isfinite(rate) & (rate < first / step)
    hatched = axes.contourf(frequent, correlation, earlier.astype(float), levels=[0.5, 1.5], colors="none",
                            hatches=["////"])  # fmt: skip
    hatched.set(edgecolor="white", linewidth=0.0)
    line = np.linspace(0.5, frequent[-1], 100)
    axes.plot(line, (1.0 - line) / line, color=style.INK, linewidth=1.1, linestyle=DASHED)
    axes.text(0.515, 0.5, r"$\alpha p_1 < p_2$", fontsize=8, va="center")
    axes.set(xlabel="frequency $p_1$", ylabel=r"correlation $\alpha$", xlim=(frequent[0], frequent[-1]),
             ylim=(correlation[0], correlation[-1]))  # fmt: skip
    bar = figure.colorbar(mesh, cax=axes.inset_axes((0.06, 0.16, 0.38, 0.05)), orientation="horizontal")
    bar.set_label("onset / certificate", fontsize=7.5, labelpad=1)
    bar.set_ticks((1, 3, 10, 30), labels=["1", "3", "10", "30"])
    bar.ax.tick_params(labelsize=7, pad=1, length=2)
    bar.minorticks_off()
    bar.outline.set_linewidth(0.4)


def _traces(axes: Any, numbers: Numbers) -> None:
    rate = numbers["trace_learning_rate"]
    colours = (style.SLOW, style.FAST, "#009E73")
    for row, ((correlation, frequent), colour) in enumerate(zip(numbers["trace_pairs"], colours, strict=True)):
        peak = numbers["trace_peak"][row]
        axes.plot(rate, peak, "o", color=colour, markersize=1.6, label=f"({correlation:g}, {frequent:g})")
        axes.plot(rate, numbers["trace_law"][row], color=colour, linewidth=0.8)
        axes.plot(rate, numbers["trace_bound"][row], color=colour, linewidth=0.8, linestyle=DASHED, alpha=0.6)
    axes.set(xscale="log", yscale="log", xlim=(rate[0], rate[-1]), ylim=(0.4, 3e4), xlabel=r"learning rate $\eta$",
             ylabel="peak loss")  # fmt: skip
    axes.legend(title=r"$(\alpha, p_1)$", loc="upper left", fontsize=7.5, title_fontsize=7.5, borderpad=0.1,
                handletextpad=0.2, markerscale=2.0)  # fmt: skip
    style.open_frame(axes)
