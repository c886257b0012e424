"""Figure 6 of Cabannes, Simsek, Bietti 2024: margins and losses of five random associations in dimension 3, 5, 10."""

from __future__ import annotations

from typing import Any

import numpy as np

from . import style
from .definition import Definition, Numbers
from .finding import Finding, judged
from .request import Request

DIMS = (3, 5, 10)
RATES = (3.0, 10.0, 20.0)
PUBLISHED_LAST, SHOWN = 99, 30  # the authors run 100 steps and plot the first 30 states
LAST = 10**6
TOKENS = ("#0b2545", "#1f5a8c", "#4a90b8", "#d9902f", "#f2c14e")  # dark is frequent
RATE_COLOURS = ("#8ccf9a", "#3f9660", "#0f4a2a")  # dark is fast; not the colours of tokens
MEASURES = ("steps_to_accuracy", "steps_to_settle", "peak_loss", "peak_step")


def compute(request: Request) -> Numbers:
    """Return margins and losses of the nine runs, when each settles, and the law of the loss.

    As published: steps 0 to 99. Corrected: all steps to 1000 and then 60 a decade up to 10^6, the hard
    margin ghat of each problem (quadratic programming), which proves that a separating W exists, and eta t L ghat^2,
    which tends to 1.
    """
    from ...analytics import hard_margin
    from ...dynamics import GradientDescent, at, cabannes2024, every, simulate

    memories = [cabannes2024.figure6_memory(dim) for dim in DIMS]
    last = PUBLISHED_LAST if request.as_published else LAST
    saved = np.unique(np.r_[np.arange(1001), np.geomspace(1000, LAST, 181).round().astype(int)])
    save = every(1) if request.as_published else at(saved)
    runs = [[simulate(m, GradientDescent(rate), steps=last, save=save) for rate in RATES] for m in memories]
    arrays: dict[str, Any] = {
        "dim": np.array(DIMS), "learning_rate": np.array(RATES), "step": np.asarray(runs[0][0].step),
        "margin": np.array([[run["margin"] for run in row] for row in runs]),
        "loss": np.array([[run["loss"] for run in row] for row in runs]),
    }  # fmt: skip
    parameters: dict[str, Any] = {"seed": 43, "last_step": last, "frequencies": memories[0].frequencies.tolist()}
    digests = {f"dimension {dim}": memory.digest for dim, memory in zip(DIMS, memories, strict=True)}
    if request.as_published:
        return Numbers(arrays, parameters, digests)
    cube = request.sweep("settling", _build, grid={"dim": DIMS, "learning_rate": RATES}, measure=MEASURES, steps=LAST)
    answers = [hard_margin(memory) for memory in memories]
    ghat = np.array([answer.margin for answer in answers])
    arrays |= {name: cube[name] for name in MEASURES} | {
        "hard_margin": ghat,
        "hard_margin_gap": np.array([answer.gap for answer in answers]),
        "loss_ratio": arrays["loss"] * arrays["learning_rate"][:, None] * arrays["step"] * (ghat**2)[:, None, None],
    }
    return Numbers(arrays, parameters, digests, _findings(arrays))


def _build(dim: int, learning_rate: float) -> tuple[Any, Any]:
    from ...dynamics import GradientDescent, cabannes2024

    return cabannes2024.figure6_memory(int(dim)), GradientDescent(learning_rate)


def _findings(arrays: dict[str, Any]) -> tuple[Finding, ...]:
    ghat, settled = float(arrays["hard_margin"][0]), float(arrays["steps_to_settle"][0, -1])
    off = np.abs(arrays["loss_ratio"][:, :, -1] - 1.0)
    slowest = float(np.nanmax(arrays["steps_to_settle"][0]))
    late = bool(np.isnan(arrays["steps_to_settle"]).any())
    return (
        Finding(
            "In dimension 3 five tokens exceed the capacity: no W answers all of them (the caption of the paper)",
            ghat, ghat, ghat * (1.0 + float(arrays["hard_margin_gap"][0])),
            "least margin of the best W of norm 1, with its duality gap; a positive one refutes",
            judged(ghat, ghat, at_most=0.0),
        ),
        Finding(
            "In dimension 3 every learning rate reaches perfect accuracy for good, the largest one first, at this step",
            settled, settled, settled, f"exact count; the slowest of the three rates needs {slowest:.0f}",
            "supported" if not late and settled == arrays["steps_to_settle"][0].min() else "refuted",
        ),
        Finding(
            "The loss follows 1/(ghat^2 eta t) in all nine runs, to 5 % at the last step",
            float(off.max()), float(off.max()), float(off.max()), f"largest relative deviation at t = {LAST}",
            judged(float(off.max()), float(off.max()), at_most=0.05),
        ),
    )  # fmt: skip


def draw(numbers: Numbers, as_published: bool) -> Any:
    """Return the panels: one row a dimension, one column a learning rate, and the losses in the last column."""
    return _published(numbers) if as_published else _corrected(numbers)


def _published(numbers: Numbers) -> Any:
    figure = style.canvas(6.8, 3.6)
    panels = figure.subplots(len(DIMS), len(RATES) + 1, sharex=True)
    steps = slice(0, SHOWN)
    for row, dim in enumerate(DIMS):
        for column, rate in enumerate(RATES):
            axes = panels[row, column]
            for token in range(5):
                axes.plot(numbers["step"][steps], numbers["margin"][row, column, steps, token], label=str(token + 1))
            axes.set(title=rf"$d={dim}$, $\eta={rate:g}$", yticks=(0, 2))
            panels[row, -1].plot(numbers["step"][steps], numbers["loss"][row, column, steps], label=rf"$\eta={rate:g}$")
        panels[row, -1].set(title=rf"$d={dim}$, loss")
    panels[0, 0].legend(fontsize=6, ncols=2, loc="upper left", handlelength=0.9, columnspacing=0.6, labelspacing=0.1)
    panels[0, -1].legend(fontsize=6, loc="upper right", handlelength=0.9, labelspacing=0.1)
    for axes in panels[-1]:
        axes.set_xlabel("epoch")
    return figure


def _corrected(numbers: Numbers) -> Any:
    figure = style.canvas(6.8, 5.2)
    panels = figure.subplots(len(DIMS), len(RATES) + 1, width_ratios=(1, 1, 1, 1.15))
    for row, dim in enumerate(DIMS):
        for column, rate in enumerate(RATES):
            _margins(panels[row, column], numbers, row, column)
            if row == 0:
                panels[row, column].set_title(rf"$\eta = {rate:g}$")
            panels[row, column].tick_params(labelleft=column == 0, labelbottom=row == len(DIMS) - 1)
        panels[row, 0].set_ylabel(rf"$d = {dim}$" + "\n" + r"margin $m_t(x)$")
        _losses(panels[row, -1], numbers, row)
        panels[row, -1].tick_params(labelbottom=row == len(DIMS) - 1)
    panels[0, -1].set_title(r"loss $\mathcal{L}(W_t)$")
    for axes in panels[-1]:
        axes.set_xlabel("step $t$")
    _legend(figure)
    return figure


def _margins(axes: Any, numbers: Numbers, row: int, column: int) -> None:
    """Draw the margin of every token by step, and the step from which on all are right."""
    from matplotlib.ticker import NullFormatter

    step, margin = numbers["step"][1:], numbers["margin"][row, column, 1:]
    limits = {3: (-12.5, 12.5), 5: (-6.5, 12.5), 10: (-2.5, 12.5)}[DIMS[row]]
    settled = float(numbers["steps_to_settle"][row, column])
    axes.axhline(0.0, color=style.SOFT, linewidth=0.6)
    axes.axvline(settled, color=style.SOFT, linewidth=0.8, linestyle=(0, (1, 1.5)))
    for token in reversed(range(5)):
        axes.plot(step, margin[:, token], color=TOKENS[token], linewidth=1.1)
    axes.set(xscale="log", xlim=(1, LAST), ylim=limits, xticks=(1, 100, 10_000, 1_000_000))
    axes.xaxis.set_minor_formatter(NullFormatter())
    early = settled < 1000
    place = (120.0, 0.4) if settled < 10 and limits[0] > -3 else (settled * (1.25 if early else 0.8), 0.93 * limits[0])
    axes.text(
        *place, f"all right\nfrom {settled:.0f} on", ha="left" if early else "right", va="bottom", fontsize=7.5,
        color=style.SOFT,
    )  # fmt: skip
    leaving = float(margin[-1, 0])
    if leaving > 2 * limits[1]:
        axes.text(0.9 * LAST, 0.97 * limits[1], f"$x = 1$: to {leaving:.0f}", va="top", ha="right", fontsize=7.5)
    style.open_frame(axes)


def _losses(axes: Any, numbers: Numbers, row: int) -> None:
    """Draw the losses by step with their asymptotes 1/(ghat^2 eta t)."""
    step, ghat = numbers["step"][1:], float(numbers["hard_margin"][row])
    for column, colour in enumerate(RATE_COLOURS):
        axes.plot(step, numbers["loss"][row, column, 1:], color=colour, linewidth=1.1)
        axes.plot(step, 1.0 / (ghat**2 * RATES[column] * step), color=colour, linewidth=0.7, linestyle=(0, (4, 2)))
    ratio = numbers["loss_ratio"][row, :, -1]
    axes.set(xscale="log", yscale="log", xlim=(1, LAST), xticks=(1, 100, 10_000, 1_000_000))
    axes.set_ylim(0.5 * float(numbers["loss"][row].min()), 8.0)
    axes.text(
        0.04, 0.05, rf"$1/\hat{{g}}^2 = {1 / ghat**2:.4g}$" + "\n" + r"$\eta t\mathcal{L}\hat{g}^2$ at the end:"
        + "\n" + ", ".join(f"{value:.3f}" for value in ratio),
        transform=axes.transAxes, fontsize=7, va="bottom", linespacing=1.35,
    )  # fmt: skip
    style.open_frame(axes)


def _legend(figure: Any) -> None:
    from matplotlib.lines import Line2D

    tokens = [Line2D([], [], color=colour, label=f"$x = {token + 1}$") for token, colour in enumerate(TOKENS)]
    rates = [
        Line2D([], [], color=colour, label=rf"$\eta = {rate:g}$")
        for colour, rate in zip(RATE_COLOURS, RATES, strict=True)
    ]
    law = Line2D([], [], color=style.SOFT, linewidth=0.7, linestyle=(0, (4, 2)), label=r"$1/(\hat{g}^2\eta t)$")
    figure.legend(handles=[*tokens, *rates, law], loc="outside lower center", ncols=9, fontsize=8, columnspacing=1.0)


FIGURES = (
    Definition(
        "cabannes2024.fig6",
        "Margins and losses of five random associations in dimension 3, 5 and 10",
        6.0,
        compute,
        draw,
        quirks=(
            "only the first 30 steps are shown, in which dimension 3 looks as if it could not store five tokens; "
            "the problem is separable, and descent reaches it later",
            "linear steps and no limit to compare with",
            "matplotlib's ten colours, which say nothing about how frequent a token is",
        ),
        caption=(
            "Margins of five tokens (dark: frequent) and losses of nine runs from $W=0$. Larger rates learn faster and "
            "swing more, most of all in small dimension, where embeddings interfere. Dimension 3 is slow, not too "
            "small: a separating $W$ exists, with largest least margin $\\hat g$, and all runs find it. In the end "
            "every loss follows $1/(\\hat g^2\\eta t)$, with $\\hat g$ from quadratic programming."
        ),
    ),
)
