"""The picture of a claim: quantity against bound above, the slack with its error budget below, as one inline SVG.

The upper panel shows what the claim compares; where both curves coincide to the eye, the lower panel still shows on
which side of zero the slack lies.  A region in which the relation fails is shaded, the least slack is marked.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from html import escape

import numpy as np
from numpy.typing import NDArray

from ..case import Evidence
from . import scale
from .scale import Axis

Array = NDArray[np.float64]

_WIDTH, _LEFT, _RIGHT = 460.0, 52.0, 10.0
_TOP, _UPPER, _GAP, _LOWER, _BOTTOM = 8.0, 172.0, 22.0, 66.0, 22.0
_MOST_POINTS = 240
_FEW = 14  # up to so many points each is marked
_ITEMS = re.compile(r"(token|class|score|margin|entry|component|coordinate|index|row|pair|problem|run|case)s?\b")
"""Axes along which one counts things: their points are not joined by lines."""


@dataclass(frozen=True)
class _Panel:
    """A rectangle of the drawing with its two axes."""

    horizontal: Axis
    vertical: Axis
    top: float
    height: float

    def x(self, values: Array) -> Array:
        return _LEFT + self.horizontal.position(values) * (_WIDTH - _LEFT - _RIGHT)

    def y(self, values: Array) -> Array:
        return self.top + (1.0 - np.clip(self.vertical.position(values), -0.02, 1.02)) * self.height


def draw(evidence: Evidence, relation: str, description: str) -> str:
    """Return the picture as an SVG element.

    Parameters
    ----------
    evidence : Evidence
        Quantity and bound along an axis, with the error budget of their difference.
    relation : str
        ``">="``, ``"<="``, ``"=="``, ``">"`` or ``"<"``.
    description : str
        A sentence for readers who cannot see the picture.

    Cost: O(n), and at most 240 points a curve in the file.
    """
    slack = evidence.slack(relation)
    error = np.abs(np.asarray(evidence.error, dtype=float))
    finite = np.isfinite(evidence.quantity) & np.isfinite(evidence.bound)
    fails = finite & (slack < -error)
    worst = _worst(evidence, relation, slack, error, fails)
    horizontal = _horizontal(evidence)
    values = np.concatenate([evidence.quantity[finite], evidence.bound[finite]])
    upper = _Panel(horizontal, scale.spanning(values, "log" if scale.is_wide(values) else "linear"), _TOP, _UPPER)
    lower, curve, band = _slack_panel(evidence, relation, slack, error, finite, horizontal)
    height = _TOP + _UPPER + _GAP + _LOWER + _BOTTOM

    parts = [_frame(upper, labels=False), _frame(lower, labels=True)]
    joined = not _ITEMS.match(evidence.axis_name)
    for piece in _pieces(evidence.axis):
        keep = piece[_thin(evidence.quantity[piece] - evidence.bound[piece], fails[piece])]
        parts.append(_shade(upper, evidence, keep, fails) if joined else _spans(upper, evidence, keep[fails[keep]]))
        # the dashed bound lies on top, so that both are seen where they coincide
        parts.append(_curve(upper, evidence.axis, evidence.quantity, keep, "quantity", joined))
        parts.append(_curve(upper, evidence.axis, evidence.bound, keep, "bound", joined))
        parts.append(_band(lower, evidence.axis, band, keep, two_sided=relation != "=="))
        parts.append(_curve(lower, evidence.axis, curve, keep, "slack", joined))
        parts.append(_curve(lower, evidence.axis, np.where(fails, curve, np.nan), keep, "slack fails", joined))
    if finite.any():
        parts.append(_mark(upper, lower, evidence, worst, float(curve[worst]), bool(fails[worst])))
    name = "distance" if relation == "==" else "slack"
    parts.append(f'<text class="name" x="{_LEFT:.0f}" y="{lower.top - 5:.0f}">{name}</text>')
    return (
        f'<svg class="plot" viewBox="0 0 {_WIDTH:.0f} {height:.0f}" role="img" '
        f'aria-label="{escape(description, quote=True)}">{"".join(parts)}</svg>'
    )


def _worst(evidence: Evidence, relation: str, slack: Array, error: Array, fails: NDArray[np.bool_]) -> int:
    """Return the index of the least slack relative to the size of the values, violated points first."""
    excess = (slack + error if relation == "==" else slack) / evidence.scale()
    excess = np.where(np.isnan(excess), np.inf, excess)
    return int(np.argmin(np.where(fails, excess, np.inf) if fails.any() else excess))


def _horizontal(evidence: Evidence) -> Axis:
    """Return the horizontal axis: logarithmic if asked for or if it is long; zero then stands at its left end."""
    axis = evidence.axis[np.isfinite(evidence.axis)]
    positive = axis[axis > 0]
    long = evidence.axis_scale == "log" or (positive.size > 2 and scale.is_wide(positive, 500.0))
    if long and positive.size and axis.min() >= 0:
        return scale.spanning(positive, "log", margin=0.02)
    return scale.spanning(axis, "linear", margin=0.02)


def _slack_panel(
    evidence: Evidence, relation: str, slack: Array, error: Array, finite: NDArray[np.bool_], horizontal: Axis
) -> tuple[_Panel, Array, Array]:
    """Return the lower panel, the curve it shows, and the half-width of the error budget."""
    top = _TOP + _UPPER + _GAP
    if relation == "==":
        distance = np.abs(slack)
        shown = np.concatenate([distance[finite], error[finite]])
        positive = shown[shown > 0]
        if positive.size == 0:
            return _Panel(horizontal, Axis("linear", -1.0, 1.0), top, _LOWER), distance, error
        floor = positive.min()  # an exact zero is drawn at the lowest level
        axis = scale.spanning(np.maximum(shown, floor), "log", margin=0.12)
        return _Panel(horizontal, axis, top, _LOWER), np.maximum(distance, floor), error
    sizes = np.abs(slack[finite & (slack != 0)])
    budget = float(np.median(error[finite])) if finite.any() else 0.0
    # linear up to the error budget or a third of the least slack, and never more than eight decades
    if sizes.size:
        budget = max(budget, float(sizes.min()) / 3, float(sizes.max()) * 1e-8)
    unit = budget if budget > 0 else 1.0
    return _Panel(horizontal, scale.signed(slack[finite], unit), top, _LOWER), slack, error


def _pieces(axis: Array) -> list[NDArray[np.int64]]:
    """Return the index ranges along which the axis increases: evidence may stack several curves."""
    _, counts = np.unique(axis, return_counts=True)
    if counts.size and counts[0] > 1 and (counts == counts[0]).all() and (np.diff(axis) >= 0).all():
        return [np.arange(first, axis.size, counts[0]) for first in range(counts[0])]  # several values at each point
    breaks = np.flatnonzero(np.diff(axis) <= 0) + 1
    pieces = np.split(np.arange(axis.size), breaks)
    if len(pieces) > 40:  # not curves but unordered points
        return [np.argsort(axis, kind="stable")]
    return [piece for piece in pieces if piece.size]


def _thin(difference: Array, fails: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return at most about 240 indices that keep the ends, the extremes of the difference and the edges of failures."""
    n = difference.size
    if n <= _MOST_POINTS:
        return np.arange(n)
    edges = np.flatnonzero(np.diff(fails.astype(int)))[:20]
    even = np.linspace(0, n - 1, 90).astype(int)
    grown = np.unique(np.geomspace(1, n, 60).astype(int) - 1)
    safe = np.where(np.isfinite(difference), difference, 0.0)
    blocks = np.array_split(np.arange(n), 40)
    extremes = [int(b[f(safe[b])]) for b in blocks for f in (np.argmin, np.argmax)]
    return np.unique(np.concatenate([even, grown, edges, edges + 1, np.array(extremes, dtype=int)]))


def _points(panel: _Panel, axis: Array, values: Array, keep: NDArray[np.int64]) -> list[list[tuple[float, float]]]:
    """Return the runs of drawable points."""
    with np.errstate(invalid="ignore"):
        x, y = panel.x(_visible(panel.horizontal, axis[keep])), panel.y(values[keep])
    runs: list[list[tuple[float, float]]] = [[]]
    for a, b in zip(x.tolist(), y.tolist(), strict=True):
        if np.isfinite(a) and np.isfinite(b):
            runs[-1].append((a, b))
        elif runs[-1]:
            runs.append([])
    return [run for run in runs if run]


def _visible(horizontal: Axis, axis: Array) -> Array:
    return np.maximum(axis, horizontal.low) if horizontal.kind == "log" else axis


def _path(points: list[tuple[float, float]]) -> str:
    return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points)


def _curve(panel: _Panel, axis: Array, values: Array, keep: NDArray[np.int64], kind: str, joined: bool) -> str:
    runs = _points(panel, axis, values, keep)
    lines = "".join(_path(run) for run in runs if len(run) > 1) if joined or keep.size > _FEW else ""
    radius = 4.0 if kind == "bound" else 2.6  # a ring around the dot
    drawn = f'<path class="{kind}" d="{lines}"/>' if lines else ""
    if keep.size <= _FEW or not lines:
        drawn += "".join(
            f'<circle class="{kind} point" cx="{x:.1f}" cy="{y:.1f}" r="{radius}"/>' for run in runs for x, y in run
        )
    return drawn


def _shade(panel: _Panel, evidence: Evidence, keep: NDArray[np.int64], fails: NDArray[np.bool_]) -> str:
    """Return the area between the curves where the relation fails."""
    shapes = []
    bad = fails[keep]
    starts = np.flatnonzero(np.diff(np.concatenate([[0], bad.astype(int), [0]])))
    for first, last in zip(starts[::2], starts[1::2], strict=True):
        run = keep[first:last]
        there = _points(panel, evidence.axis, evidence.quantity, run)
        back = _points(panel, evidence.axis, evidence.bound, run)
        if len(there) == len(back) == 1 and len(there[0]) > 1:
            shapes.append(_path(there[0] + back[0][::-1]) + "Z")
    return f'<path class="fails" d="{"".join(shapes)}"/>' if shapes else ""


def _spans(panel: _Panel, evidence: Evidence, failing: NDArray[np.int64]) -> str:
    """Return a line from quantity to bound at each item for which the relation fails."""
    x = panel.x(_visible(panel.horizontal, evidence.axis[failing])).tolist()
    ends = (panel.y(evidence.quantity[failing]).tolist(), panel.y(evidence.bound[failing]).tolist())
    spans = [span for span in zip(x, *ends, strict=True) if np.isfinite(span).all()]
    drawn = "".join(f"M{place:.1f} {start:.1f}V{end:.1f}" for place, start, end in spans)
    return f'<path class="worst fails span" d="{drawn}"/>' if drawn else ""


def _band(panel: _Panel, axis: Array, error: Array, keep: NDArray[np.int64], two_sided: bool) -> str:
    above = _points(panel, axis, error, keep)
    below = _points(panel, axis, -error if two_sided else np.full_like(error, panel.vertical.low), keep)
    if len(above) == len(below) == 1 and len(above[0]) > 1:
        return f'<path class="budget" d="{_path(above[0] + below[0][::-1])}Z"/>'
    return ""


def _frame(panel: _Panel, labels: bool) -> str:
    """Return the grid, the tick labels, and the zero line of a panel."""
    right, foot = _WIDTH - _RIGHT, panel.top + panel.height
    parts = [f'<rect class="ground" x="{_LEFT:.0f}" y="{panel.top:.0f}" width="{right - _LEFT:.0f}" '
             f'height="{panel.height:.0f}"/>']  # fmt: skip
    last = np.inf
    for value, label in panel.vertical.ticks(5 if panel.height > 100 else 4):
        y = float(panel.y(np.array([value]))[0])
        if not panel.top - 1 <= y <= foot + 1 or last - y < 11:
            continue
        last = y
        parts.append(f'<path class="{"zero" if value == 0 else "grid"}" d="M{_LEFT:.0f} {y:.1f}H{right:.0f}"/>')
        parts.append(f'<text class="tick end" x="{_LEFT - 6:.0f}" y="{y + 3.5:.1f}">{_label(label)}</text>')
    for value, label in panel.horizontal.ticks(7):
        x = float(panel.x(np.array([value]))[0])
        if not _LEFT - 1 <= x <= right + 1:
            continue
        parts.append(f'<path class="grid" d="M{x:.1f} {panel.top:.0f}V{foot:.0f}"/>')
        if labels:
            parts.append(f'<text class="tick mid" x="{x:.1f}" y="{foot + 15:.1f}">{_label(label)}</text>')
    return "".join(parts)


def _label(text: str) -> str:
    """Return a tick label; the exponent of a power of ten is raised."""
    text = text.replace("-", "−")
    base, caret, exponent = text.partition("^")
    return f'{base}<tspan class="sup" dy="-4">{exponent}</tspan>' if caret else base


def _mark(upper: _Panel, lower: _Panel, evidence: Evidence, worst: int, slack: float, fails: bool) -> str:
    x = float(upper.x(_visible(upper.horizontal, evidence.axis[worst : worst + 1]))[0])
    y = [float(upper.y(np.array([value]))[0]) for value in (evidence.quantity[worst], evidence.bound[worst])]
    z = float(lower.y(np.array([slack]))[0])
    if not np.isfinite([x, *y, z]).all():
        return ""
    kind = "worst fails" if fails else "worst"
    return (
        f'<path class="{kind} line" d="M{x:.1f} {lower.top + lower.height:.0f}V{upper.top:.0f}"/>'
        f'<path class="{kind} span" d="M{x:.1f} {y[0]:.1f}V{y[1]:.1f}"/>'
        f'<circle class="{kind}" cx="{x:.1f}" cy="{y[0]:.1f}" r="3.4"/>'
        f'<circle class="{kind}" cx="{x:.1f}" cy="{z:.1f}" r="3.4"/>'
    )
