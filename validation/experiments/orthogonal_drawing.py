"""The picture of the experiment on orthogonal inputs: margins, losses, and the order of learning."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..figures import style
from ..figures.definition import Numbers


def draw(numbers: Numbers, as_published: bool) -> Any:
    """Return the gap to the printed bound, the constant of the loss, and the steps until a token is learned."""
    figure = style.canvas(6.8, 2.5)
    left, middle, right = figure.subplots(1, 3, width_ratios=(1.2, 1.0, 1.0))
    _gaps(left, numbers)
    _constants(middle, numbers)
    _order(right, numbers)
    for axes in (left, middle, right):
        style.open_frame(axes)
    return figure


def _colours(count: int) -> Any:
    from matplotlib import colormaps

    return colormaps["cividis"](np.linspace(0.0, 0.9, count))


def _gaps(axes: Any, numbers: Numbers) -> None:
    step, rates = numbers["step"], numbers["rate"]
    axes.axhspan(-0.4, 0.0, color=style.FAILS, alpha=0.1, linewidth=0)
    axes.axhline(0.0, color=style.FAILS, linewidth=0.8)
    for rate, gap, colour in zip(rates, numbers["gap"], _colours(rates.size), strict=True):
        axes.plot(step[1:], gap[1:], color=colour, linewidth=1.2, label=f"{rate:.3g}")
    axes.text(1.2e5, -0.385, "printed bound fails", color=style.FAILS, fontsize=8, ha="right", va="bottom")
    axes.legend(title=r"$a = \eta c_x$", ncols=2, fontsize=7, title_fontsize=8, loc="upper left", columnspacing=0.9)
    axes.set(xscale="log", xlim=(1, 1.3e5), ylim=(-0.4, 0.7), xlabel="step $t$", ylabel=r"$m_t - \log(1 + a t)$")


def _constants(axes: Any, numbers: Numbers) -> None:
    step, rates, sharp = numbers["step"], numbers["rate"], float(numbers["loss_constant"])
    axes.axhline(1.0, color=style.SOFT, linewidth=0.7)
    axes.axhline(sharp, color=style.FAILS, linewidth=0.8, linestyle=(0, (4, 2)))
    axes.text(3e-3, sharp + 0.005, f"{sharp:.4f}", color=style.FAILS, fontsize=8, va="bottom")
    for rate, constant, colour in zip(rates, numbers["constant"], _colours(rates.size), strict=True):
        axes.plot(rate * step[1:], constant[1:], color=colour, linewidth=1.2)
    axes.set(
        xscale="log", xlim=(2e-3, 4e6), ylim=(0, 1.25), xlabel="$a t$",
        ylabel=r"$\eta t\,\mathcal{L}(W_t)$ over its limit",
    )  # fmt: skip


def _order(axes: Any, numbers: Numbers) -> None:
    learned, pull, share = numbers["learned"], numbers["pull"], numbers["frequency"]
    pull, share = pull / pull.max(), share / share.max()
    axes.plot(pull, learned, "o", color=style.FAST, markersize=4.5, label=r"by $p(x)\,|e_x|^2$")
    axes.plot(share, learned, "D", color=style.SLOW, markersize=4, markerfacecolor="white", label="by $p(x)$")
    line = np.array([min(pull.min(), share.min()), 1.0])
    axes.plot(line, learned[pull.argmin()] * pull.min() / line, color=style.SOFT, linewidth=0.6, zorder=0)
    axes.legend(loc="lower left", handletextpad=0.3, borderpad=0.1)
    axes.set(xscale="log", yscale="log", xlabel="share of the largest", ylabel="step of margin 1")
    axes.xaxis.set_minor_formatter("")
    ticks = [tick for tick in (10, 20, 50, 100, 200, 500, 1000) if learned.min() / 1.5 <= tick <= learned.max() * 1.5]
    axes.set_yticks(ticks, [str(tick) for tick in ticks])
    axes.yaxis.set_minor_formatter("")
