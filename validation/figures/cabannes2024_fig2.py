"""Figure 2 of Cabannes, Simsek, Bietti 2024: loss spikes of two correlated tokens at a large learning rate."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from . import landscape, style
from .cabannes2024_fig1 import shade
from .definition import Definition, Numbers
from .finding import Finding, Outcome, judged
from .request import Request

if TYPE_CHECKING:
    from ...dynamics import AssociativeMemory

CORRELATION = 0.95
FREQUENCIES = (0.75, 0.25)
RATES = (10.0, 1.0)
STEPS = 34
WINDOW = ((-1.0, 8.0), (-17.0, 10.0))
PUBLISHED_POINTS, POINTS = 50, 321


def compute(request: Request) -> Numbers:
    """Return both trajectories in the plane, their losses and 0-1 losses, and the landscape under them.

    As published: ties go to the first class (so the 0-1 loss of W = 0 is 1/4, not 1), the landscape has 50 x 50 points
    and its loss is divided by the number of tokens.
    """
    from ...dynamics import AssociativeMemory, GradientDescent, simulate

    as_published = request.as_published
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
    return Numbers(arrays, parameters, {"two tokens": memory.digest}, _findings(memory, arrays))


def _findings(memory: AssociativeMemory, arrays: dict[str, Any]) -> tuple[Finding, ...]:
    """Judge what the picture shows: spikes of loss and accuracy at the large rate only, and a lower loss in the end."""
    from ...kernels import sharpness

    first = float(sharpness(np.zeros((2, 2)), memory.inputs, memory.outputs, memory.targets, memory.frequencies))
    threshold = 2.0 / first
    fast, slow = arrays["loss"]
    worse = np.diff(arrays["error_rate"], axis=1) > 0
    between: Outcome = "supported" if RATES[1] < threshold < RATES[0] else "refuted"

    def exact(statement: str, value: float, basis: str, outcome: Outcome) -> Finding:
        return Finding(statement, value, value, value, basis, outcome)

    spike, rise = float(fast.max() / fast[0]), float(np.diff(slow).max())
    lost, gain = float(worse[0].sum()), float(slow[-1] / fast[-1])
    return (
        exact(f"At learning rate {RATES[0]:g} the loss rises above its start", spike,
              f"largest of {STEPS + 1} losses over the first", judged(spike, spike, at_least=1.0)),
        exact(f"At learning rate {RATES[0]:g} steps that lose a token follow steps that store it", lost,
              f"number of steps after which the 0-1 loss is higher, of {STEPS}", judged(lost, lost, at_least=1.0)),
        exact(f"At learning rate {RATES[1]:g} the loss falls at every step", rise,
              f"largest change in {STEPS} steps", judged(rise, rise, at_most=0.0)),
        exact(f"After {STEPS} steps the rate that spiked has the lower loss", gain,
              f"loss at rate {RATES[1]:g} over loss at rate {RATES[0]:g}", judged(gain, gain, at_least=1.0)),
        exact("The rate of classical stability at the start, 2 / sharpness, lies between the two", threshold,
              "largest eigenvalue of the Hessian at W = 0", between),
    )  # fmt: skip


def draw(numbers: Numbers, as_published: bool) -> Any:
    """Return the trajectories on the landscape (left) and the losses by step (right)."""
    if as_published:
        figure = style.canvas(4.4, 1.9)
        left, right = figure.subplots(1, 2)
        trajectories(left, numbers, as_published)
        published_traces(right, numbers)
        return figure
    figure = style.canvas(6.8, 2.9)
    panels = figure.subplot_mosaic([["plane", "loss"], ["plane", "error"]], width_ratios=(1, 1.3), height_ratios=(3, 1))
    trajectories(panels["plane"], numbers, as_published)
    traces(panels["loss"], panels["error"], numbers)
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
        _name_sectors(axes)
    for row, (colour, width) in reversed(list(enumerate(_lines(as_published)))):
        marks = {} if as_published else _marks(row, 2.2)
        axes.plot(a["gamma_1"][row], a["gamma_2"][row], color=colour, linewidth=width, **marks)
    axes.set(xlim=WINDOW[0], ylim=WINDOW[1], xlabel=r"$\gamma_1$", ylabel=r"$\gamma_2$")


def _name_sectors(axes: Any) -> None:
    """Write the 0-1 loss into its sector, with a halo of the sector's shade."""
    from matplotlib.patheffects import withStroke

    for place, error in (((0.25, -15.9), 0.0), ((6.2, -11.2), 0.25), ((-0.85, -8.0), 0.75), ((-0.85, 7.6), 1.0)):
        told = r"$\mathcal{L}_{01}=0$" if error == 0.0 else f"{error:g}"
        halo = [withStroke(linewidth=2.2, foreground=style.ACCURACY[error])]
        axes.text(*place, told, fontsize=8, zorder=6, path_effects=halo)


def published_traces(axes: Any, numbers: Numbers) -> None:
    """Draw loss and, dashed, 0-1 loss by step in one panel, as the paper does."""
    a = numbers.arrays
    for row, (colour, width) in enumerate(_lines(as_published=True)):
        axes.plot(a["step"], a["loss"][row], color=colour, linewidth=width, label=rf"$\eta = {RATES[row]:g}$")
        axes.plot(a["step"], a["error_rate"][row], color=colour, linewidth=width, linestyle="dashed")
    axes.set(xlabel="epoch", xlim=(0, STEPS))
    axes.legend(loc="upper right")


def traces(above: Any, below: Any, numbers: Numbers) -> None:
    """Draw the loss by step above, the 0-1 loss below it."""
    a = numbers.arrays
    for row, (colour, width) in enumerate(_lines(as_published=False)):
        marks = _marks(row, 2.6)
        above.plot(a["step"], a["loss"][row], color=colour, linewidth=width, label=rf"$\eta = {RATES[row]:g}$", **marks)
        below.plot(a["step"], a["error_rate"][row], color=colour, linewidth=width, **marks)
    above.axhline(np.log(2), color=style.SOFT, linewidth=0.6, linestyle=(0, (1, 2)), zorder=0)
    level = {"ha": "right", "va": "bottom", "color": style.SOFT, "fontsize": 8}
    above.text(STEPS, np.log(2) + 0.02, r"$\log 2 = \mathcal{L}(0)$", **level)
    peak = int(np.argmax(a["loss"][0]))
    above.annotate(
        f"peak {a['loss'][0, peak]:.3f} at $t = {peak}$",
        (a["step"][peak], a["loss"][0, peak]),
        xytext=(8, 0),
        textcoords="offset points",
        va="center",
        fontsize=8.5,
    )
    above.legend(loc="upper right")
    above.set(xlim=(-0.4, STEPS + 0.4), ylim=(0, None), ylabel=r"loss $\mathcal{L}(W_t)$", xticklabels=[])
    below.set(xlim=(-0.4, STEPS + 0.4), ylim=(-0.08, 1.08), ylabel=r"$\mathcal{L}_{01}$", xlabel="step $t$")
    for axes in (above, below):
        style.open_frame(axes)


def _marks(row: int, size: float) -> dict[str, Any]:
    """Return round marks, hollow for the small rate, so that the two differ in grey as well."""
    return {"marker": "o", "markersize": size, "markeredgewidth": 0.7} | ({"markerfacecolor": "white"} if row else {})


def _lines(as_published: bool) -> tuple[tuple[str, float], tuple[str, float]]:
    if as_published:
        return (style.PUBLISHED_FAST, 1.0), (style.PUBLISHED_SLOW, 1.0)
    return (style.FAST, 1.2), (style.SLOW, 1.2)


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
        caption=(
            r"Gradient descent from $W_0=0$ on two tokens of correlation 0.95 with frequencies 3/4 and 1/4. At "
            r"$\eta=10$ (filled) the steps jump across the thin cone of perfect accuracy: the loss spikes above its "
            r"start and the accuracy drops with it; from step 15 on both tokens are stored. At $\eta=1$ (hollow) the "
            r"loss falls at every step, yet it ends far higher, and the rare token is still lost after 34 steps."
        ),
    ),
)
