"""The picture of the experiment on limited capacity: four examples, shares, means, ranks, and training."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..figures import Numbers, style
from .limited_capacity_findings import FAR, PILOT, ZERO

EXPONENT_COLOURS = ("#d9a72e", "#d55e00", "#0072b2", "#0b2545")  # uniform is light, steep is dark
EXPONENT_MARKS = ("o", "s", "D", "^")
SHOWN = 1.0  # exponent of the panel on training
EXAMPLES = "ABCD"


def draw(numbers: Numbers, as_published: bool) -> Any:
    """Return the figure; there is no published version."""
    figure = style.canvas(6.8, 7.2)
    above, below = figure.subfigures(2, 1, height_ratios=(1.0, 2.9))
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


def _ranks(axes: Any, numbers: Numbers) -> None:
    """Draw how often the token of each rank is forgotten, for 30 tokens."""
    row = int(np.flatnonzero(numbers["count"] == 30)[0])
    problems = numbers["excess"].shape[-1]
    for j, exponent in enumerate(numbers["exponent"]):
        share = numbers["forgotten"][row, j, :30] / problems
        axes.plot(
            np.arange(1, 31), share, color=EXPONENT_COLOURS[j], marker=EXPONENT_MARKS[j], markersize=2.8, linewidth=0.8,
            label=f"$a = {exponent:g}$",
        )  # fmt: skip
    axes.axhline(0.5, color=style.SOFT, linewidth=0.6, linestyle=(0, (1, 2)))
    axes.text(30, 0.505, "a coin", ha="right", va="bottom", fontsize=8, color=style.SOFT)
    axes.set(xscale="log", xlabel="rank of the token, $N = 30$", ylabel="share forgotten", ylim=(-0.01, 0.56))
    axes.set_xticks([1, 2, 3, 5, 10, 20, 30], labels=["1", "2", "3", "5", "10", "20", "30"])
    axes.set_xticks([], minor=True)
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
    last = float(numbers["at_start"][-1, column])
    axes.text(count[-1], last + 0.02, "begins there", ha="right", fontsize=8, color=style.SOFT)
    axes.set(xscale="log", xlabel="tokens $N$", ylabel=f"runs that pass the best, $a = {SHOWN:g}$", ylim=(0, 1.03))
    axes.set_xticks(count, labels=[f"{n:.0f}" for n in count])
    axes.set_xticks([], minor=True)
    axes.legend(loc="best", labelspacing=0.25, fontsize=8)
    style.open_frame(axes)
