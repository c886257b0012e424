"""The look of the figures: colours that survive colour blindness and grey printing, type that fits a paper."""

from __future__ import annotations

from typing import Any

FAST = "#0072B2"  # blue: the large learning rate
SLOW = "#D55E00"  # vermilion: the small learning rate
SIMULATED = "#1f6f8b"
BOUND = "#c77d1e"
FAILS = "#c9512f"
INK = "#1d2329"
SOFT = "#59636d"
PUBLISHED_FAST, PUBLISHED_SLOW = "C2", "C3"  # the paper's green and red

ACCURACY = {0.0: "#9ebcd2", 0.25: "#c9dae6", 0.75: "#e8eff4", 1.0: "#ffffff"}
"""Shade by 0-1 loss for p = (3/4, 1/4): dark where everything is right, as in the paper, but light enough for lines."""

SETTINGS: dict[str, Any] = {
    "font.family": "serif",
    "font.serif": ["STIXGeneral"],
    "mathtext.fontset": "stix",
    "font.size": 9.0,
    "axes.titlesize": 9.5,
    "axes.labelsize": 9.5,
    "axes.linewidth": 0.6,
    "axes.edgecolor": SOFT,
    "axes.labelcolor": INK,
    "text.color": INK,
    "xtick.color": SOFT,
    "ytick.color": SOFT,
    "xtick.labelsize": 8.0,
    "ytick.labelsize": 8.0,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "legend.handlelength": 1.6,
    "lines.solid_capstyle": "round",
    "svg.fonttype": "path",
    "axes.unicode_minus": True,
    "path.simplify": True,
}


def canvas(width: float, height: float) -> Any:
    """Return an empty matplotlib figure of this size in inches, drawn by Agg and without pyplot's global state."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def open_frame(axes: Any) -> None:
    """Leave the left and the lower line of the frame only."""
    axes.spines[["top", "right"]].set_visible(False)
