"""The picture of the experiment on two correlated tokens: spikes, one step, thresholds, rates, and late training."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from ..figures import style

if TYPE_CHECKING:
    from ..figures.definition import Numbers

DASHED, DOTTED = (0, (4, 2)), (0, (1, 1.5))
GREEN = "#009E73"


def draw(numbers: Numbers, as_published: bool) -> Any:
    """Return six panels: early training above, late training below."""
    figure = style.canvas(6.8, 4.3)
    (trace, first, threshold), (rates, tilt, exponent) = figure.subplots(2, 3)
    _traces(trace, numbers)
    _first_step(first, numbers)
    _thresholds(threshold, numbers)
    _rates(rates, numbers)
    _tilts(tilt, numbers)
    _exponents(exponent, numbers)
    for letter, axes in zip("abcdef", (trace, first, threshold, rates, tilt, exponent), strict=True):
        axes.set_title(f"({letter})", loc="left", fontsize=9, pad=3)
        style.open_frame(axes)
    return figure


def _traces(axes: Any, numbers: Numbers) -> None:
    step, rates = numbers["trace_step"], numbers["shown_rates"]
    correlation = float(numbers.parameters["shown"][0])
    for rate, loss, colour in zip(rates, numbers["trace_loss"], (style.SLOW, GREEN, style.FAST), strict=True):
        axes.plot(step[1:], loss[1:], color=colour, linewidth=1.2, label=f"{rate:g}")
        law = 1.0 / ((1.0 - correlation) * rate * step[1:])
        axes.plot(step[1:], law, color=colour, linewidth=0.9, linestyle=DOTTED)
    axes.axhline(math.log(2.0), color=style.SOFT, linewidth=0.6)
    axes.set(xscale="log", yscale="log", xlim=(1, step[-1]), ylim=(1e-5, 1e2), xlabel="step $t$",
             ylabel=r"loss $\mathcal{L}(W_t)$")  # fmt: skip
    axes.legend(title=r"rate $\eta$", loc="lower left", fontsize=7.5, title_fontsize=8, borderpad=0.1)


def _first_step(axes: Any, numbers: Numbers) -> None:
    loss, law, printed = numbers["first_loss"], numbers["first_law"], numbers["first_printed"]
    shown = slice(None, None, max(1, loss.size // 1000))
    fails = loss < printed
    gap = loss - law
    for where, mark, colour, label in (
        (~fails, ".", style.FAST, "printed bound holds"), (fails, "x", style.FAILS, "printed bound fails"),
    ):  # fmt: skip
        axes.plot(law[shown][where[shown]], gap[shown][where[shown]], mark, color=colour, markersize=2.2, alpha=0.6,
                  markeredgewidth=0.5, label=label)  # fmt: skip
    for level in (0.0, math.log(2.0)):
        axes.axhline(level, color=style.INK, linewidth=0.7)
    axes.text(3e-4, math.log(2.0) + 0.012, r"$\log 2$", fontsize=7.5, va="bottom")
    axes.set(xscale="log", xlim=(2e-4, 2e3), ylim=(-0.03, 0.98), xlabel=r"$K(\alpha p_1 - p_2)\,p_2$",
             ylabel=r"$\mathcal{L}(W_1) - K(\alpha p_1 - p_2)\,p_2$")  # fmt: skip
    axes.legend(loc="upper right", fontsize=7, borderpad=0.0, handletextpad=0.1, markerscale=2.0, labelspacing=0.2)


def _thresholds(axes: Any, numbers: Numbers) -> None:
    ratio = numbers["threshold_ratio"]
    rises = (numbers["threshold_spike_count"] > 0).mean(axis=(0, 1))
    zigzags = (numbers["threshold_turns"] >= 2).mean(axis=(0, 1))
    axes.plot(ratio, rises, "o-", color=style.FAST, markersize=2.8, linewidth=1.1, label="loss rises")
    axes.plot(ratio, zigzags, "D-", color=style.SLOW, markersize=2.5, linewidth=1.1, label="tilt zigzags")
    axes.axvline(1.0, color=style.INK, linewidth=0.7, linestyle=DASHED)
    axes.set(xscale="log", ylim=(-0.03, 1.03), xlabel=r"$\eta\,\lambda_{\max}(0)/2$", ylabel="share of pairs of tokens")
    axes.set_xticks((0.5, 1, 2, 5, 10, 20, 50), labels=["0.5", "1", "2", "5", "10", "20", "50"])
    axes.minorticks_off()
    axes.legend(loc="lower right", fontsize=7.5, borderpad=0.1)


def _rates(axes: Any, numbers: Numbers) -> None:
    rate = numbers["slice_learning_rate"]
    settle, rise = numbers["slice_steps_to_settle"], numbers["slice_last_rise"]
    spikes = numbers["slice_spike_count"] > 0
    axes.plot(rate, settle, color=style.SLOW, linewidth=1.2, label="steps to settle")
    axes.plot(rate, np.where(spikes, rise, math.nan), color=style.FAST, linewidth=1.2, label="last rise of the loss")
    axes.set(xscale="log", yscale="log", xlim=(rate[0], rate[-1]), ylim=(0.8, 1e3), xlabel=r"learning rate $\eta$",
             ylabel="step")  # fmt: skip
    axes.legend(loc="upper right", fontsize=7.5, borderpad=0.1)


def _tilts(axes: Any, numbers: Numbers) -> None:
    time = numbers["long_time"]
    colours = (style.SLOW, style.BOUND, GREEN, style.FAST)
    for correlation, distance, colour in zip(numbers["long_correlation"], numbers["long_offset"], colours, strict=True):
        seen = distance > 1e-6
        label = rf"${correlation:g}$"
        axes.plot(time[seen], distance[seen], color=colour, linewidth=1.2, label=label)
        last = np.flatnonzero(seen)[-1]
        exponent = min(1.0, (1.0 + correlation) / (1.0 - correlation))
        span = time[last] * np.array([1e-4, 1.0])
        axes.plot(span, 1.6 * distance[last] * (span / time[last]) ** -exponent, color=colour, linewidth=0.8,
                  linestyle=DASHED)  # fmt: skip
    axes.set(xscale="log", yscale="log", xlim=(1e-1, time[-1]), ylim=(1e-6, 30.0), xlabel="time $t$",
             ylabel=r"$|\gamma_1 - \frac{1}{2}\log(p_1/p_2)|$")  # fmt: skip
    axes.legend(title=r"$\alpha$", loc="lower left", fontsize=7.5, title_fontsize=8, borderpad=0.1, labelspacing=0.3)


def _exponents(axes: Any, numbers: Numbers) -> None:
    line = np.linspace(-1.0, 1.0, 401)[:-1]
    axes.plot(line, np.minimum(1.0, (1.0 + line) / (1.0 - line)), color=style.INK, linewidth=0.9)
    axes.axhline(1.0, color=style.FAILS, linewidth=0.8, linestyle=DASHED, zorder=0)
    axes.text(-0.98, 1.02, "Theorem 4 as printed", color=style.FAILS, fontsize=7.5, va="bottom")
    for column, (frequent, mark) in enumerate(zip(numbers["frequent"], "osD^", strict=True)):
        axes.plot(numbers["flow_correlation"], -numbers["flow_exponent"][:, column], mark, color=style.FAST,
                  markersize=3.0, markerfacecolor="none", markeredgewidth=0.7, label=f"{frequent:g}")  # fmt: skip
    axes.set(xlim=(-1, 1), ylim=(0, 1.12), xlabel=r"correlation $\alpha$", ylabel="exponent of the tilt")
    axes.legend(title="$p_1$", loc="lower right", fontsize=7.5, title_fontsize=8, borderpad=0.1, handletextpad=0.1)
