"""The picture of the experiment on factorised and block-diagonal W."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..figures import style
from ..figures.definition import Numbers


def draw(numbers: Numbers, as_published: bool) -> Any:
    """Return six panels: singular values twice, lost runs, margins, stored associations, blocks."""
    figure = style.canvas(6.8, 4.5)
    top, bottom = figure.subplots(2, 3)
    _values(top[0], numbers["rising_step"], numbers["rising_values"], "(a) factors, scale $10^{-3}$")
    _values(top[1], numbers["whole_step"], numbers["whole_values"], "(b) $W$ itself")
    _lost(figure, top[2], numbers)
    _margins(bottom[0], numbers)
    _stored(bottom[1], numbers)
    _blocks(bottom[2], numbers)
    for axes in (*top[:2], *bottom):
        style.open_frame(axes)
    return figure


def _colours(count: int) -> Any:
    from matplotlib import colormaps

    return colormaps["cividis"](np.linspace(0.0, 0.88, count))


def _values(axes: Any, step: Any, values: Any, title: str) -> None:
    modes = min(values.shape[1], 7)
    for mode, colour in zip(range(modes), _colours(modes), strict=True):
        axes.plot(step[1:], values[1:, mode], color=colour, linewidth=1.2)
    axes.set(xscale="log", xlim=(1, step[-1]), ylim=(0, None), xlabel="step $t$", title=title)
    axes.set_ylabel("singular values of $W$")


def _lost(figure: Any, axes: Any, numbers: Numbers) -> None:
    rates, correlations, ranks = numbers["spike_rate"], numbers["spike_correlation"], numbers["spike_rank"]
    places = np.arange(correlations.size)
    lost = numbers["lost"][:, 0, -1, :, 0].mean(axis=1)  # largest rank, Gaussian start; over the scales
    image = axes.pcolormesh(
        rates, places, lost, cmap="Blues", vmin=0.0, vmax=1.3, shading="nearest", rasterized=True
    )  # fmt: skip
    critical = np.median(numbers["critical"][:, 0, :, :, 0].reshape(correlations.size, ranks.size, -1), axis=2)
    critical = np.where(critical > rates[-1], np.nan, critical)
    for place, mark in zip(range(ranks.size), "^Dv", strict=True):
        axes.plot(
            critical[:, place], places, mark + "-", color=style.INK, markersize=3, linewidth=0.7,
            label=f"{ranks[place]}",
        )  # fmt: skip
    first = [rates[row.argmax()] if row.any() else np.nan for row in numbers["whole_spiked"][:, 0]]
    axes.plot(first, places, "s--", color=style.SLOW, markersize=3.5, linewidth=1.0)
    axes.set(xscale="log", xlabel=r"learning rate $\eta$", ylabel=r"correlation $\alpha$", title="(c) lost runs")
    axes.set_yticks(places, [f"{value:g}" for value in correlations])
    axes.text(
        0.97, 0.03, "$W$ itself\nspikes", color=style.SLOW, fontsize=7.5, ha="right", va="bottom",
        transform=axes.transAxes, linespacing=1.0,
    )  # fmt: skip
    axes.legend(
        title="half are lost,\nrank", fontsize=7.5, title_fontsize=7.5, loc="lower left", labelspacing=0.2,
        borderpad=0.1,
    )  # fmt: skip
    bar = figure.colorbar(image, ax=axes, label="share lost", ticks=(0, 0.5, 1))
    bar.ax.set_ylim(0.0, 1.0)


def _margins(axes: Any, numbers: Numbers) -> None:
    whole, factors, scales = numbers["direction_whole"], numbers["direction"], numbers["direction_scale"]
    axes.plot(*whole, "s", color=style.SLOW, markersize=3.5, alpha=0.7, label="$W$ itself")
    names = ("$10^{-3}$", "$10^{-1}$", r"$1/\sqrt{d}$")
    for place, colour in zip(range(scales.size), _colours(scales.size), strict=True):
        axes.plot(*factors[:, 2, place], "o", color=colour, markersize=3.5, alpha=0.85, label=names[place])
    axes.set(xlabel="share of the Frobenius margin", ylabel="share of the nuclear margin", title="(d) margins reached")
    axes.set_ylim(min(0.72, axes.get_ylim()[0]), 1.01)
    axes.legend(
        fontsize=7.5, loc="lower right", handletextpad=0.1, labelspacing=0.2, bbox_to_anchor=(0.95, 0.0), borderpad=0.1
    )


def _stored(axes: Any, numbers: Numbers) -> None:
    tokens, share, ranks = numbers["stored_tokens"], numbers["stored_share"].mean(axis=2), numbers["stored_rank"]
    for place, colour in zip(range(ranks.size - 1), _colours(ranks.size - 1), strict=True):
        axes.plot(tokens, share[:, place], "o-", color=colour, markersize=3, linewidth=1.1, label=f"{ranks[place]}")
    axes.plot(tokens, share[:, -1], "s--", color=style.SLOW, markersize=3, linewidth=1.0, label="$W$")
    axes.set(xlabel="tokens $N = M$", ylabel="share stored", ylim=(0, 1.5), title="(e) capacity, $d = 16$")
    axes.set_yticks([0.0, 0.5, 1.0])
    axes.legend(
        title="rank", fontsize=7.5, title_fontsize=8, loc="upper right", ncols=3, columnspacing=0.8, labelspacing=0.2,
        handletextpad=0.4,
    )  # fmt: skip


def _blocks(axes: Any, numbers: Numbers) -> None:
    blocks, settle, last = numbers["block_count"], numbers["block_settle"], float(numbers["block_steps"])
    axes.axhline(last, color=style.SOFT, linewidth=0.6, linestyle=(0, (1, 2)))
    axes.text(blocks[0], last * 1.15, "end of the runs", color=style.SOFT, fontsize=7, va="bottom")
    marks = (("o", "-", style.FAST, "random"), ("D", "--", style.SLOW, "9/10 in one\nblock of 4"))
    for place, (mark, line, colour, label) in enumerate(marks):
        low, middle, high = np.quantile(np.minimum(settle[:, place], last), (0.25, 0.5, 0.75), axis=1)
        learned = middle < last
        axes.plot(blocks, middle, line, color=colour, linewidth=1.1)
        axes.plot(blocks[~learned], middle[~learned], mark, color=colour, markersize=4.5, markerfacecolor="white")
        axes.errorbar(
            blocks[learned], middle[learned], (np.stack([middle - low, high - middle]))[:, learned], fmt=mark,
            color=colour, markersize=4, linewidth=1.0, capsize=2, label=label,
        )  # fmt: skip
    axes.set(xscale="log", yscale="log", xlabel="blocks $k$", ylabel="steps until learned", title="(f) blocks of $W$")
    axes.set(xlim=(0.85, blocks[-1] * 1.15), ylim=(3, 3 * last))
    axes.set_xticks(blocks, [str(count) for count in blocks])
    axes.minorticks_off()
    axes.legend(fontsize=7.5, loc="lower right", title="embeddings", title_fontsize=7.5)
