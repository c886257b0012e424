"""Figure 1 of Cabannes, Simsek, Bietti 2024: level lines of the loss of two correlated tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from . import landscape, style
from .definition import Definition, Numbers
from .finding import Finding, Outcome, judged
from .request import Request

if TYPE_CHECKING:
    from ...dynamics import AssociativeMemory

Array = NDArray[np.float64]

CORRELATIONS = (-0.5, 0.95)
FREQUENCIES = (0.75, 0.25)
LIMIT = 10.0
TICKS = (-10, -5, 0, 5, 10)
PUBLISHED_POINTS, POINTS = 50, 321


def compute(request: Request) -> Numbers:
    """Return loss and 0-1 loss over the plane for both correlations.

    As published: 50 x 50 points, the loss divided by the number of tokens, ties to the first class.
    """
    from ...dynamics import AssociativeMemory

    as_published = request.as_published
    x, y, points = landscape.grid((-LIMIT, LIMIT), (-LIMIT, LIMIT), PUBLISHED_POINTS if as_published else POINTS)
    arrays: dict[str, Any] = {"gamma_1": x, "gamma_2": y, "correlation": np.array(CORRELATIONS)}
    memories = [AssociativeMemory.two_tokens(alpha, FREQUENCIES) for alpha in CORRELATIONS]
    losses = np.stack([landscape.loss(memory, points) for memory in memories])
    arrays["loss"] = losses / memories[0].n_tokens if as_published else losses
    arrays["error_rate"] = np.stack([landscape.error_rate(m, points, first_index=as_published) for m in memories])
    parameters = {
        "correlations": list(CORRELATIONS),
        "frequencies": list(FREQUENCIES),
        "limit": LIMIT,
        "points": int(x.size),
        "levels": 20,
    }
    digests = {f"correlation {a}": m.digest for a, m in zip(CORRELATIONS, memories, strict=True)}
    return Numbers(arrays, parameters, digests, _findings(memories))


def _findings(memories: list[AssociativeMemory]) -> tuple[Finding, ...]:
    """Judge what the picture shows: the cone of perfect accuracy, and on which side of its edge descent starts."""
    found = []
    for alpha, memory in zip(CORRELATIONS, memories, strict=True):
        # m_1 = gamma_1 > 0, m_2 = -(alpha gamma_1 + s gamma_2) > 0: from (0, -1) to (s, -alpha)
        angle = float(np.degrees(np.arccos(alpha)))
        ends = np.radians([-90.0 + 1e-6, angle - 90.0 - 1e-6, angle - 90.0 + 1e-6, -90.0 - 1e-6])
        edge = np.stack([np.cos(ends), np.sin(ends)], axis=-1)
        perfect = landscape.error_rate(memory, edge) == 0.0
        right: Outcome = "supported" if (perfect == [True, True, False, False]).all() else "refuted"
        found.append(Finding(
            rf"At correlation {alpha:g} the matrices that store both tokens fill a cone of arccos({alpha:g}) degrees",
            angle, angle, angle, "exact; the 0-1 loss just inside and outside of both edges", right,
        ))  # fmt: skip
    for alpha, memory in zip(CORRELATIONS, memories, strict=True):
        least = float((memory.outputs[0] - memory.outputs[1]) @ landscape.weights(memory, _steepest(alpha))
                      @ memory.inputs[1]) * -1.0  # fmt: skip
        found.append(Finding(
            f"At correlation {alpha:g} the first step of descent moves the rare token to its own side",
            least, least, least, "exact; margin of the rare token along the unit direction of the first step",
            judged(least, least, at_least=np.finfo(float).tiny),
        ))  # fmt: skip
    return tuple(found)


def draw(numbers: Numbers, as_published: bool) -> Any:
    """Return the two panels, one a correlation."""
    figure = style.canvas(6.8, 2.95) if not as_published else style.canvas(4.4, 1.9)
    panels = figure.subplots(1, 2, sharey=True)
    for axes, alpha, loss, error in zip(
        panels, CORRELATIONS, numbers.arrays["loss"], numbers.arrays["error_rate"], strict=True
    ):
        x, y = numbers.arrays["gamma_1"], numbers.arrays["gamma_2"]
        if as_published:
            extent = (x[0], x[-1], y[0], y[-1])
            axes.imshow(error, origin="lower", extent=extent, cmap="Blues_r", alpha=0.6, aspect="auto")
            axes.contour(x, y, loss, levels=20, colors="black", linewidths=0.5)
            axes.set_title(rf"$\alpha={alpha:g}$, $p_1={FREQUENCIES[0]:g}$")
        else:
            shade(axes, alpha, LIMIT)
            lines = axes.contour(x, y, loss, levels=20, colors=style.INK, linewidths=0.45)
            spacing = float(lines.levels[1] - lines.levels[0])
            _arrows(axes, alpha)
            axes.set_aspect("equal")
            axes.set_title(rf"$\alpha = {alpha:g}$, $p_1 = {FREQUENCIES[0]:g}$")
        axes.set_xlabel(r"$\gamma_1$")
        axes.set(xticks=TICKS, yticks=TICKS)
    panels[0].set_ylabel(r"$\gamma_2$")
    figure.get_layout_engine().set(wspace=0.08)
    if not as_published:
        panels[1].legend(handles=_legend(spacing), loc="center left", bbox_to_anchor=(1.02, 0.5), handlelength=1.2)
    return figure


def shade(axes: Any, alpha: float, limit: float) -> None:
    """Shade the four sectors by their 0-1 loss, exactly: m_1 = gamma_1, m_2 = -(alpha gamma_1 + s gamma_2)."""
    from matplotlib.patches import Polygon

    far = 4.0 * limit
    root = float(np.sqrt((1 - alpha) * (1 + alpha)))
    upward, sideways = np.array([0.0, far]), np.array([root, -alpha]) * far  # directions of the lines m_1 = 0, m_2 = 0
    for first in (1, -1):
        for second in (1, -1):
            error = FREQUENCIES[0] * (first < 0) + FREQUENCIES[1] * (second < 0)
            # on the side m_1 > 0 the line m_2 = 0 runs along (root, -alpha); m_2 > 0 lies below it
            corners = np.array([[0.0, 0.0], -upward * second, first * sideways - upward * second, first * sideways])
            axes.add_patch(Polygon(corners, closed=True, facecolor=style.ACCURACY[error], edgecolor="none", zorder=0))
    axes.axvline(0.0, color="white", linewidth=0.8, zorder=0.5)
    axes.axline((0.0, 0.0), slope=-alpha / root, color="white", linewidth=0.8, zorder=0.5)
    axes.set(xlim=(-limit, limit), ylim=(-limit, limit))


def _tokens(alpha: float) -> tuple[Array, Array]:
    return np.array([1.0, 0.0]), np.array([alpha, np.sqrt((1 - alpha) * (1 + alpha))])


def _steepest(alpha: float) -> Array:
    """Return the unit direction of the negative gradient at W = 0: p_1 e_1 - p_2 e_2."""
    first, second = _tokens(alpha)
    step = FREQUENCIES[0] * first - FREQUENCIES[1] * second
    return np.asarray(step / np.linalg.norm(step))


def _widest(alpha: float) -> Array:
    """Return the unit direction of the largest margin: e_1 - e_2."""
    first, second = _tokens(alpha)
    return np.asarray((first - second) / np.linalg.norm(first - second))


def _arrows(axes: Any, alpha: float) -> None:
    for direction, colour, length in ((_steepest(alpha), style.SLOW, 4.2), (_widest(alpha), style.FAST, 6.2)):
        end = length * direction
        axes.annotate(
            "", end, (0, 0), arrowprops={"arrowstyle": "-|>", "color": colour, "lw": 1.6, "shrinkA": 0, "shrinkB": 0}
        )
    axes.plot(0, 0, "o", color=style.INK, markersize=3)


def _legend(spacing: float) -> list[Any]:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    shades = [
        Patch(facecolor=colour, edgecolor=style.SOFT, linewidth=0.4, label=rf"$\mathcal{{L}}_{{01}} = {error:g}$")
        for error, colour in style.ACCURACY.items()
    ]
    told = r"level lines of $\mathcal{L}$," + f"\n{spacing:g} apart"
    return [
        Line2D([], [], color=style.INK, linewidth=0.6, label=told),
        Line2D([], [], color=style.SLOW, linewidth=1.6, label="steepest descent\nat $W = 0$"),
        Line2D([], [], color=style.FAST, linewidth=1.6, label="largest margin"),
        *shades,
    ]


FIGURES = (
    Definition(
        "cabannes2024.fig1",
        "Level lines of the loss of two tokens, correlation -1/2 and 0.95",
        1.5,
        compute,
        draw,
        quirks=(
            "gamma_i is drawn as (u_1 - u_2)^T W f_i, the negative of eq. (21) and of the caption",
            "the loss on the grid is divided by the number of tokens (level lines unchanged, values halved)",
            "50 x 50 points, so the edges of the 0-1 loss are stairs",
            "a tie counts for the first class",
            "the window [-10, 10] is our choice: the authors' code draws two windows, the paper does not say which",
        ),
        caption=(
            r"Level lines of the loss over the plane $\gamma_i=(u_1-u_2)^\top W f_i$ in which two tokens live, shaded "
            r"by the 0-1 loss (darkest: both tokens stored). At correlation $-1/2$ the cone of perfect accuracy is "
            r"wide and the first step of descent points into it; at $0.95$ the cone is thin and the first step "
            r"points past it, to where the frequent token alone is stored. Inside the cone level lines are sparse: "
            r"the loss falls only with the logarithm of time."
        ),
    ),
)
