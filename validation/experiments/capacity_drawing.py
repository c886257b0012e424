"""The picture of the experiment on capacity: Cover's law, the transition of N classes, and what descent stores."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..figures import style
from ..figures.definition import Numbers
from .intervals import proportion

MARKS = ("o", "s", "^", "D", "v")


def draw(numbers: Numbers, as_published: bool) -> Any:
    """Return two classes (left), one class a token (middle), and what is stored below capacity (right)."""
    figure = style.canvas(6.8, 4.5)
    panels = figure.subplots(2, 3)
    _cover(panels[0, 0], numbers)
    _slow(panels[1, 0], numbers)
    _transitions(panels[0, 1], numbers)
    _half_way(panels[1, 1], numbers)
    _stored(panels[0, 2], numbers)
    _groups(panels[1, 2], numbers)
    for axes, letter in zip(panels.ravel(), "abcdef", strict=True):
        style.open_frame(axes)
        axes.set_title(f"({letter})", loc="left", fontsize=8.5)
    return figure


def _colours(count: int) -> Any:
    from matplotlib import colormaps

    return colormaps["cividis"](np.linspace(0.0, 0.85, count))


def _shares(axes: Any, x: Any, hits: Any, runs: int, **look: Any) -> None:
    """Draw shares with their exact binomial intervals."""
    bounds = np.array([proportion(int(k), runs) for k in hits])
    error = np.abs(bounds[:, 1:] - bounds[:, :1]).T
    axes.errorbar(x, bounds[:, 0], error, linestyle="none", markersize=3.2, linewidth=0.7, **look)


def _cover(axes: Any, numbers: Numbers) -> None:
    dims, runs = numbers.parameters["binary_dims"], numbers.parameters["binary_seeds"]
    for dim, colour, mark in zip(dims, _colours(len(dims)), MARKS, strict=False):
        x = numbers[f"binary_tokens_{dim}"] / dim
        axes.plot(x, numbers[f"binary_law_{dim}"], color=colour, linewidth=1.0)
        hits = numbers[f"binary_separable_{dim}"].sum(axis=1)
        _shares(axes, x, hits, runs, color=colour, marker=mark, label=f"$d = {dim}$")
    axes.axvline(2.0, color=style.SOFT, linewidth=0.6, linestyle=(0, (1, 2)), zorder=0)
    axes.legend(loc="upper right", fontsize=7.5, handlelength=1.0)
    axes.set(xlabel="tokens per dimension $N/d$", ylabel="separable, two classes", ylim=(-0.03, 1.05))


def _slow(axes: Any, numbers: Numbers) -> None:
    """Draw the share of the separable problems that descent has solved by t, over all dimensions."""
    steps, dims = numbers.parameters["steps"], numbers.parameters["binary_dims"]
    times = [steps // 100, steps // 10, steps]
    for time, colour, mark in zip(times, _colours(3)[::-1], MARKS, strict=False):
        table: dict[float, list[int]] = {}
        for dim in dims:
            storable, learned = numbers[f"binary_separable_{dim}"], numbers[f"binary_learned_at_{dim}"]
            for ratio, yes, at in zip(numbers[f"binary_tokens_{dim}"] / dim, storable, learned, strict=True):
                counts = table.setdefault(round(float(ratio), 6), [0, 0])
                counts[0] += int((at[yes] <= time).sum())
                counts[1] += int(yes.sum())
        known = sorted((ratio, *proportion(*counts)) for ratio, counts in table.items() if counts[1] >= 20)
        x, value, low, high = np.array(known).T
        axes.fill_between(x, low, high, color=colour, alpha=0.18, linewidth=0)
        label = f"$t = 10^{{{np.log10(time):.0f}}}$"
        axes.plot(x, value, color=colour, marker=mark, markersize=3, linewidth=1.0, label=label)
    axes.legend(loc="lower left", fontsize=7.5, handlelength=1.4)
    axes.set(xlabel="tokens per dimension $N/d$", ylabel="of these, solved by descent", ylim=(-0.03, 1.05))


def _transitions(axes: Any, numbers: Numbers) -> None:
    sizes = numbers.parameters["separable_sizes"]
    rows = zip(sizes, _colours(len(sizes)), MARKS, numbers["half_dim"][:, 0], numbers["half_slope"], strict=False)
    for n, colour, mark, half, slope in rows:
        dims, solved = numbers[f"dims_{n}"], numbers[f"separable_{n}"]
        fine = np.geomspace(dims[0], dims[-1], 200)
        axes.plot(fine**2 / n, 1 / (1 + np.exp(-slope * np.log(fine / half))), color=colour, linewidth=0.9)
        hits, runs = solved.sum(axis=1), solved.shape[1]
        _shares(axes, dims**2 / n, hits, runs, color=colour, marker=mark)
        axes.text(half**2 / n, 1.06, str(n), color=colour, fontsize=7.5, ha="center")
    axes.text(0.02, 1.06, "$N =$", fontsize=7.5)
    axes.set(xlabel="$d^2/N$", ylabel="separable, $N$ classes", xlim=(0, None), ylim=(-0.03, 1.12))
    axes.set_yticks(np.linspace(0, 1, 6))


def _half_way(axes: Any, numbers: Numbers) -> None:
    n = np.array(numbers.parameters["separable_sizes"], dtype=float)
    value, low, high = (numbers["half_dim"] ** 2 / n[:, None]).T
    gain, offset = numbers["logarithm_law"]
    fine = np.geomspace(n[0], n[-1], 100)
    shown = f"${gain:.2f}\\,\\log N {'-' if offset < 0 else '+'} {abs(offset):.2f}$"
    axes.plot(fine, gain * np.log(fine) + offset, color=style.FAST, linewidth=1.1, label=shown)
    line = value[0] * fine / n[0]
    flat = np.full_like(fine, value[0])
    axes.plot(fine, flat, color=style.SLOW, linewidth=1.0, linestyle=(0, (4, 2)), label="$d^2 \\propto N$")
    seen = line <= 1.05 * value.max()
    axes.plot(fine[seen], line[seen], color=style.SOFT, linewidth=1.0, linestyle=(0, (1, 1.5)), label="$d \\propto N$")
    axes.errorbar(n, value, [value - low, high - value], color=style.INK, marker="o", markersize=3.5, linestyle="none",
                  linewidth=0.8)  # fmt: skip
    axes.legend(loc="upper left", fontsize=7.5, handlelength=1.6, borderaxespad=0.0)
    axes.set(xscale="log", xlabel="tokens $N$", ylabel="$d^2/N$ at the half-way point", ylim=(0, 1.5 * value.max()))
    axes.set_xticks(n, [f"{size:.0f}" for size in n])
    axes.minorticks_off()


def _stored(axes: Any, numbers: Numbers) -> None:
    """Draw the number of tokens that descent stores against d, for the largest N."""
    n = max(numbers.parameters["descent_sizes"])
    dims, counts = numbers[f"descent_dims_{n}"], numbers[f"stored_{n}"]  # dims, frequencies, rates, seeds
    looks = ((0, 0, style.FAST, "o", "uniform, slow"), (0, 1, style.FAST, "s", "uniform, fast"),
             (1, 0, style.SLOW, "o", "Zipf, slow"), (1, 1, style.SLOW, "s", "Zipf, fast"))  # fmt: skip
    for column, rate, colour, mark, label in looks:
        sample = counts[:, column, rate]
        low, high = np.quantile(sample, (0.1, 0.9), axis=1)
        axes.fill_between(dims, low, high, color=colour, alpha=0.1, linewidth=0)
        face = colour if mark == "o" else "white"
        axes.plot(dims, sample.mean(axis=1), color=colour, marker=mark, markersize=3.2, markerfacecolor=face,
                  linewidth=1.0, label=label)  # fmt: skip
    axes.axhline(n, color=style.SOFT, linewidth=0.7)
    axes.text(dims[0], 0.97 * n, f"all {n}", color=style.SOFT, fontsize=7.5, va="top")
    first = float(counts[0, 0, 0].mean())
    axes.plot(dims, first * (dims / dims[0]) ** 2, color=style.SOFT, linewidth=0.9, linestyle=(0, (4, 2)),
              label="$\\propto d^2$")  # fmt: skip
    axes.legend(loc="lower right", fontsize=7, handlelength=1.4, borderaxespad=0.0, labelspacing=0.25)
    axes.set(xscale="log", yscale="log", xlabel="dimension $d$", ylabel=f"stored of $N = {n}$", ylim=(None, 1.4 * n))
    axes.set_xticks(dims[:: max(1, len(dims) // 4)], [str(d) for d in dims[:: max(1, len(dims) // 4)]])
    low = float(np.quantile(counts, 0.1, axis=-1).min())
    ticks = [tick for tick in (1, 2, 5, 10, 20, 50) if low / 2 < tick < n]
    axes.set_yticks(ticks, [str(tick) for tick in ticks])
    axes.minorticks_off()


def _groups(axes: Any, numbers: Numbers) -> None:
    """Draw the shares stored by fifths of the tokens, over the problems that cannot be stored whole."""
    groups = numbers.parameters["groups"]
    place = np.arange(groups)
    for column, (name, colour) in enumerate((("uniform", style.FAST), ("Zipf", style.SLOW))):
        rows = []
        for n in numbers.parameters["descent_sizes"]:
            share = numbers[f"group_stored_{n}"][:, column, 0]
            dims, known = numbers[f"descent_dims_{n}"], numbers[f"dims_{n}"].tolist()
            yes = numbers[f"separable_{n}"][[known.index(d) for d in dims], : share.shape[1]]
            rows.append(share[~yes])
        sample = np.concatenate(rows)
        error = 1.96 * sample.std(axis=0) / np.sqrt(len(sample))
        axes.bar(place + 0.4 * (column - 0.5), sample.mean(axis=0), 0.38, yerr=error, color=colour, label=name,
                 error_kw={"linewidth": 0.7})  # fmt: skip
    axes.legend(loc="upper right", fontsize=7.5, handlelength=1.0)
    axes.set_xticks(place, ["most", *[""] * (groups - 2), "least"])
    axes.set(xlabel="fifths of the tokens by frequency", ylabel="share stored below capacity", ylim=(0, 1.0))
