"""Figure 2 of Cabannes, Simsek, Bietti 2024: loss spikes of two correlated tokens at a large learning rate."""

from __future__ import annotations

from typing import Any

import numpy as np

from . import landscape, style
from .cabannes2024_fig1 import shade
from .definition import Definition, Numbers

CORRELATION = 0.95
FREQUENCIES = (0.75, 0.25)
RATES = (10.0, 1.0)
STEPS = 34
WINDOW = ((-1.0, 8.0), (-17.0, 10.0))
PUBLISHED_POINTS, POINTS = 50, 321


def compute(as_published: bool) -> Numbers:
    """Return both trajectories in the plane, their losses and 0-1 losses, and the landscape under them.

    As published: ties go to the first class (so the 0-1 loss of W = 0 is 1/4, not 1), the landscape has 50 x 50 points
    and its loss is divided by the number of tokens.
    """
    from ...dynamics import AssociativeMemory, GradientDescent, simulate

    memory = AssociativeMemory.two_tokens(CORRELATION, FREQUENCIES)
    accuracy = "accuracy_first_index" if as_published else "accuracy"
    runs = [
        simulate(memory, GradientDescent(learning_rate=rate), steps=STEPS, observe=("loss", accuracy, "margin"))
        for rate in RATES
    ]
    margins = np.stack([run["margin"] for run in runs])
    root = np.sqrt((1 - CORRELATION) * (1 + CORRELATION))
    x, y, points = landscape.grid(*WINDOW, PUBLISHED_POINTS if as_published else POINTS)
    surface = landscape.loss(memory, points)
    arrays = {
        "learning_rate": np.array(RATES),
        "step": np.asarray(runs[0].step),
        "loss": np.stack([run["loss"] for run in runs]),
        "error_rate": 1.0 - np.stack([run[accuracy] for run in runs]),
        "margin": margins,
        "gamma_1": margins[:, :, 0],
        "gamma_2": -(margins[:, :, 1] + CORRELATION * margins[:, :, 0]) / root,
        "grid_gamma_1": x,
        "grid_gamma_2": y,
        "grid_loss": surface / memory.n_tokens if as_published else surface,
        "grid_error_rate": landscape.error_rate(memory, points, first_index=as_published),
    }
    parameters = {
        "correlation": CORRELATION,
        "frequencies": list(FREQUENCIES),
        "learning_rates": list(RATES),
        "steps": STEPS,
        "window": [list(side) for side in WINDOW],
        "points": int(x.size),
    }
    return Numbers(arrays, parameters, {"two tokens": memory.digest})


def draw(numbers: Numbers, as_published: bool) -> Any:
    """Return the trajectories on the landscape (left) and the losses by step (right)."""
    figure = style.canvas(4.4, 1.9) if as_published else style.canvas(6.6, 2.7)
    left, right = figure.subplots(1, 2, width_ratios=(1, 1) if as_published else (1, 1.35))
    trajectories(left, numbers, as_published)
    traces(right, numbers, as_published)
    return figure


def trajectories(axes: Any, numbers: Numbers, as_published: bool) -> None:
    """Draw where W moves, on the level lines of the loss and the sectors of the 0-1 loss."""
    a = numbers.arrays
    x, y = a["grid_gamma_1"], a["grid_gamma_2"]
    if as_published:
        extent = (x[0], x[-1], y[0], y[-1])
        axes.imshow(a["grid_error_rate"], origin="lower", extent=extent, cmap="Blues_r", alpha=0.6, aspect="auto")
        axes.contour(x, y, a["grid_loss"], levels=10, colors="black", linewidths=0.5, linestyles="dashed")
    else:
        shade(axes, CORRELATION, 20.0)
        axes.contour(x, y, a["grid_loss"], levels=10, colors=style.INK, linewidths=0.4, alpha=0.7)
        axes.plot(0, 0, "o", color=style.INK, markersize=3.2, zorder=5)
    for row, (colour, width) in reversed(list(enumerate(_lines(as_published)))):
        marks: dict[str, Any] = {} if as_published else {"marker": "o", "markersize": 2.0}
        axes.plot(a["gamma_1"][row], a["gamma_2"][row], color=colour, linewidth=width, **marks)
    axes.set(xlim=WINDOW[0], ylim=WINDOW[1], xlabel=r"$\gamma_1$", ylabel=r"$\gamma_2$")


def traces(axes: Any, numbers: Numbers, as_published: bool) -> None:
    """Draw loss and 0-1 loss by step."""
    a = numbers.arrays
    for row, (colour, width) in enumerate(_lines(as_published)):
        name = rf"$\eta = {RATES[row]:g}$"
        axes.plot(a["step"], a["loss"][row], color=colour, linewidth=width, label=name)
        axes.plot(a["step"], a["error_rate"][row], color=colour, linewidth=0.8 * width, linestyle=(0, (3, 2)))
    axes.set(xlabel="epoch" if as_published else "step $t$", xlim=(0, STEPS))
    if as_published:
        axes.legend(loc="upper right")
        return
    axes.axhline(np.log(2), color=style.SOFT, linewidth=0.6, linestyle=(0, (1, 2)), zorder=0)
    level = {"ha": "right", "va": "bottom", "color": style.SOFT, "fontsize": 8}
    axes.text(STEPS, np.log(2) + 0.02, r"$\log 2 = \mathcal{L}(0)$", **level)
    peak = int(np.argmax(a["loss"][0]))
    axes.annotate(
        f"peak {a['loss'][0, peak]:.3f} at $t = {peak}$",
        (a["step"][peak], a["loss"][0, peak]),
        xytext=(peak + 3.5, 1.27),
        va="center",
        fontsize=8,
        arrowprops={"arrowstyle": "-", "color": style.SOFT, "lw": 0.6, "shrinkB": 3},
    )
    axes.plot([], [], color=style.SOFT, linewidth=1.2, label=r"loss $\mathcal{L}(W_t)$")
    axes.plot([], [], color=style.SOFT, linewidth=1.0, linestyle=(0, (3, 2)), label=r"0-1 loss $\mathcal{L}_{01}(W_t)$")
    axes.legend(loc="upper right", bbox_to_anchor=(1.0, 1.04), ncols=2, columnspacing=1.2)
    axes.set_ylim(-0.03, 1.62)
    style.open_frame(axes)


def _lines(as_published: bool) -> tuple[tuple[str, float], tuple[str, float]]:
    if as_published:
        return (style.PUBLISHED_FAST, 1.0), (style.PUBLISHED_SLOW, 1.0)
    return (style.FAST, 1.4), (style.SLOW, 1.4)


FIGURES = (
    Definition(
        "cabannes2024.fig2",
        "Loss spikes of two tokens at learning rate 10, none at 1",
        1.5,
        compute,
        draw,
        quirks=(
            "a tie counts for the first class: the 0-1 loss of W = 0 is 1/4 (it is 1 where ties are wrong)",
            "gamma_i is drawn as (u_1 - u_2)^T W f_i, the negative of eq. (21)",
            "the loss of the landscape is divided by the number of tokens",
            "50 x 50 points under the trajectories, dashed level lines, green and red",
        ),
    ),
)
