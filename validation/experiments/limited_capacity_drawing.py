"""The picture of the experiment on limited capacity: four examples, shares, means, ranks, and training."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..figures import Numbers, style
from .intervals import proportion
from .limited_capacity_findings import FAR, PILOT, ZERO

EXPONENT_COLOURS = ("#d9a72e", "#d55e00", "#0072b2", "#0b2545")  # uniform is light, steep is dark
EXPONENT_MARKS = ("o", "s", "D", "^")
SHOWN = 1.0  # exponent of the panel on training
EXAMPLES = "ABCD"


def draw(numbers: Numbers, as_published: bool) -> Any:
    """Return the figure; there is no published version."""
    figure = style.canvas(6.8, 6.2)
    above, below = figure.subfigures(2, 1, height_ratios=(1.0, 2.7))
    for index, axes in enumerate(above.subplots(1, 4)):
        _example(axes, numbers, index)
    (left, right), (ranks, training) = below.subplots(2, 2)
    _by_count(left, numbers, "share", "problems with an excess risk")
    _by_count(right, numbers, "mean", "mean excess risk")
    _ranks(ranks, numbers)
    _training(training, numbers)
    return figure


def _example(axes: Any, numbers: Numbers, index: int) -> None:
    """Draw three tokens, and the lines on which the minimiser and the best classifier divide the plane."""
    inputs, targets = numbers["example_inputs"][index], numbers["example_targets"][index]
    frequencies = numbers["example_frequencies"][index]
    axes.add_patch(_circle())
    for name, colour, dashes in (("minimiser", style.SLOW, "solid"), ("optimum", style.FAST, (0, (3, 1.5)))):
        gamma = numbers[f"example_{name}"][index]
        unit = gamma / np.linalg.norm(gamma)
        ends = 1.25 * np.array([[-unit[1], unit[0]], [unit[1], -unit[0]]])
        axes.plot(ends[:, 0], ends[:, 1], color=colour, linewidth=1.3, linestyle=dashes)
        arrow = {"arrowstyle": "-|>", "color": colour, "lw": 1.0, "shrinkA": 0}
        axes.annotate("", 0.55 * unit, (0, 0), arrowprops=arrow)
    for token, (point, target, frequency) in enumerate(zip(inputs, targets, frequencies, strict=True)):
        face = style.INK if target == 0 else "white"
        axes.scatter(*point, s=420 * frequency, facecolor=face, edgecolor=style.INK, linewidth=0.8, zorder=3)
        ink = "white" if target == 0 else style.INK
        axes.text(*point, str(token + 1), color=ink, ha="center", va="center", fontsize=8, zorder=4)
    error, least = numbers["example_error"][index]
    axes.set_title(
        f"{EXAMPLES[index]}: $p$ = {', '.join(f'{p:.2g}'.lstrip('0') for p in frequencies)}\n"
        f"$\\mathcal{{L}}_{{01}}$ {error:.2f}, could be {least:.2f}",
        fontsize=8.5,
    )
    axes.set(xlim=(-1.4, 1.4), ylim=(-1.3, 1.1), aspect="equal")
    axes.axis("off")


def _circle() -> Any:
    from matplotlib.patches import Circle

    return Circle((0, 0), 1.0, fill=False, edgecolor=style.SOFT, linewidth=0.5, linestyle=(0, (1, 2)))


def _by_count(axes: Any, numbers: Numbers, name: str, label: str) -> None:
    """Draw a share or mean by number of tokens, one line an exponent, with its interval."""
    count = numbers["count"].astype(float)
    for j, exponent in enumerate(numbers["exponent"]):
        value = numbers[name][:, j]
        reach = np.abs(np.stack([numbers[f"{name}_low"][:, j], numbers[f"{name}_high"][:, j]]) - value)
        axes.errorbar(
            count * 1.03 ** (j - 1.5), value, reach, color=EXPONENT_COLOURS[j], marker=EXPONENT_MARKS[j],
            markersize=3.5, linewidth=1.1, elinewidth=0.9, label=f"$a = {exponent:g}$",
        )  # fmt: skip
    if name == "share":
        axes.plot(
            list(PILOT), list(PILOT.values()), "o", markersize=8, markerfacecolor="none", markeredgecolor=style.INK,
            markeredgewidth=0.7, label="pilot, $a = 1$", zorder=5,
        )  # fmt: skip
        axes.set_ylim(0, 1.03)
        axes.legend(loc="lower right", labelspacing=0.25)
    else:
        axes.set_ylim(0, None)
    axes.set(xscale="log", xlabel="tokens $N$", ylabel=label, xticks=count)
    axes.set_xticks([], minor=True)
    axes.set_xticklabels([f"{n:.0f}" for n in count])
    style.open_frame(axes)


BINS = ((1, 1), (2, 2), (3, 5), (6, 10), (11, 20), (21, 30))


def _ranks(axes: Any, numbers: Numbers) -> None:
    """Draw how often tokens are forgotten by bins of ranks, for 30 tokens, with the interval of a single token."""
    row = int(np.flatnonzero(numbers["count"] == 30)[0])
    problems = numbers["excess"].shape[-1]
    top = 0.5
    for j, exponent in enumerate(numbers["exponent"]):
        lost = [numbers["forgotten"][row, j, first - 1 : last].mean() for first, last in BINS]
        bars = np.array([proportion(round(count), problems) for count in lost])
        top = max(top, float(bars[:, 2].max()))
        axes.errorbar(
            np.arange(len(BINS)) + 0.07 * (j - 1.5), bars[:, 0], np.abs(bars[:, 1:] - bars[:, :1]).T, linewidth=1.1,
            color=EXPONENT_COLOURS[j], marker=EXPONENT_MARKS[j], markersize=3.5, elinewidth=0.9,
            label=f"$a = {exponent:g}$",
        )  # fmt: skip
    axes.axhline(0.5, color=style.SOFT, linewidth=0.6, linestyle=(0, (1, 2)))
    axes.text(0.0, 0.51, "a coin", ha="center", va="bottom", fontsize=8, color=style.SOFT)
    names = [str(first) if first == last else f"{first}-{last}" for first, last in BINS]
    axes.set_xticks(range(len(BINS)), labels=names)
    axes.set(xlabel="rank of the token, $N = 30$", ylabel="share forgotten", ylim=(-0.01, 1.08 * top))
    style.open_frame(axes)


def _training(axes: Any, numbers: Numbers) -> None:
    """Draw how often a run passes the best classifier where the minimiser is another, at one exponent."""
    column = int(np.flatnonzero(numbers["exponent"] == SHOWN)[0])
    count = numbers["count"].astype(float)
    styles = (
        (FAR, 0, style.INK, "o", "solid", "descent, from far"),
        (FAR, 1, style.SLOW, "s", "solid", "stochastic, from far"),
        (ZERO, 0, style.INK, "o", (0, (3, 2)), "descent, from 0"),
        (ZERO, 1, style.SLOW, "s", (0, (3, 2)), "stochastic, from 0"),
    )
    for k, (start, rule, colour, mark, dashes, label) in enumerate(styles):
        value = numbers["passing"][start, :, column, rule]
        low, high = numbers["passing_low"][start, :, column, rule], numbers["passing_high"][start, :, column, rule]
        bars = axes.errorbar(
            count * 1.035 ** (k - 1.5), value, np.abs(np.stack([low, high]) - value), color=colour, marker=mark,
            markersize=3.5, linewidth=1.1, linestyle=dashes, elinewidth=0.8, label=label,
            markerfacecolor=colour if start == FAR else "white",
        )  # fmt: skip
        bars[0].set_zorder(3)
    axes.plot(count, numbers["at_start"][:, column], color=style.SOFT, linewidth=0.8, linestyle=(0, (1, 1.5)))
    begins = "share that begins there"
    axes.plot([], [], color=style.SOFT, linewidth=0.8, linestyle=(0, (1, 1.5)), label=begins)
    axes.set(xscale="log", xlabel="tokens $N$", ylabel=f"runs that pass the best, $a = {SHOWN:g}$", ylim=(-0.02, 1.48))
    axes.set_xticks(count, labels=[f"{n:.0f}" for n in count])
    axes.set_xticks([], minor=True)
    axes.set_yticks([0.0, 0.2, 0.4, 0.6, 0.8, 1.0])
    axes.legend(loc="upper center", ncols=2, labelspacing=0.25, columnspacing=1.0, handlelength=1.8, fontsize=7.5)
    style.open_frame(axes)
