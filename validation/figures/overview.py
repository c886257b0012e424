"""The picture of the README: a spike that a theorem allows, and a bound that a simulation refutes."""

from __future__ import annotations

from typing import Any

import numpy as np

from . import cabannes2024_fig2, style
from .definition import Definition, Numbers
from .finding import Finding, judged
from .request import Request

RATE = 0.1  # eta c_x, where the printed bound fails at every step
STEPS = 1000
ROUNDINGS = 1e4  # a margin after 1000 steps is a sum of as many rounded numbers


def compute(request: Request) -> Numbers:
    """Return the numbers of figure 2 and the margin of one token with the printed and the corrected bounds."""
    from ...analytics import descent_margin_bounds
    from ...dynamics import AssociativeMemory, GradientDescent, simulate

    memory = AssociativeMemory.two_tokens(correlation=0.0, frequencies=(0.5, 0.5))
    run = simulate(memory, GradientDescent(learning_rate=RATE), steps=STEPS)  # c_x = |u_1 - u_2|^2 p(x) = 1
    lower, upper = descent_margin_bounds(np.arange(STEPS + 1), RATE)
    spikes = cabannes2024_fig2.compute(request)
    arrays = dict(spikes.arrays) | {
        "margin_step": np.asarray(run.step),
        "token_margin": run["margin"][:, 0],
        "printed_bound": np.log1p(RATE * np.arange(STEPS + 1)),
        "lower_bound": lower,
        "upper_bound": upper,
    }
    parameters = dict(spikes.parameters) | {"orthogonal_rate": RATE, "orthogonal_steps": STEPS}
    findings = (*spikes.findings, *_findings(arrays))
    return Numbers(arrays, parameters, dict(spikes.problems) | {"orthogonal tokens": memory.digest}, findings)


def _findings(arrays: dict[str, Any]) -> tuple[Finding, ...]:
    margin, steps = arrays["token_margin"], len(arrays["margin_step"])
    rounding = ROUNDINGS * np.finfo(float).eps * margin
    below = float((margin < arrays["printed_bound"] - rounding).sum())
    outside = float(((margin < arrays["lower_bound"] - rounding) | (margin > arrays["upper_bound"] + rounding)).sum())
    basis = f"number of steps of {steps} that lie outside"
    return (
        Finding(r"The margin is at least the printed bound, log(eta c_x t + 1)", below, below, below, basis,
                judged(below, below, at_most=0.0)),
        Finding("The margin lies in the proved enclosure", outside, outside, outside, basis,
                judged(outside, outside, at_most=0.0)),
    )  # fmt: skip


def draw(numbers: Numbers, as_published: bool) -> Any:
    """Return both panels."""
    figure = style.canvas(7.6, 2.9)
    panels = figure.subplot_mosaic([["loss", "margin"], ["error", "margin"]], height_ratios=(3, 1))
    cabannes2024_fig2.traces(panels["loss"], panels["error"], numbers)
    panels["loss"].set_title("simulate: two correlated tokens", loc="left")
    right = panels["margin"]
    a = numbers.arrays
    t = a["margin_step"]
    words = {"supported": "holds", "refuted": "violated", "open": "open"}
    printed, enclosed = (words[finding.outcome] for finding in numbers.findings[-2:])
    right.fill_between(t, a["token_margin"], a["printed_bound"], color=style.FAILS, alpha=0.18, linewidth=0)
    right.fill_between(t, a["lower_bound"], a["upper_bound"], color=style.SIMULATED, alpha=0.35, linewidth=0)
    right.plot(t, a["printed_bound"], color=style.BOUND, linestyle=(0, (4, 2)), linewidth=1.4,
               label=rf"printed bound $\log(\eta c_x t + 1)$: {printed}")  # fmt: skip
    right.plot(t, a["token_margin"], color=style.SIMULATED, linewidth=1.6, label=r"simulated margin $m_t$")
    band = {"color": style.SIMULATED, "alpha": 0.35, "linewidth": 0}
    right.fill_between([], [], [], label=f"proved enclosure: {enclosed} (within the line)", **band)
    right.set(xscale="log", xlim=(1, STEPS), ylim=(0, None), xlabel="step $t$", ylabel="margin of a token")
    right.set_title("check: Theorem 2, gradient descent", loc="left")
    right.legend(loc="upper left")
    style.open_frame(right)
    return figure


FIGURES = (
    Definition(
        "traindyn.overview",
        "The picture of the README: simulate and check",
        2.0,
        compute,
        draw,
        caption=(
            r"Left: loss and 0-1 loss of two correlated tokens, at a learning rate that spikes and one that does not. "
            r"Right: the margin of a token among orthogonal ones (line) stays below the bound that the paper prints "
            r"for gradient descent (dashes; the shade is the gap) and within an enclosure that is proved."
        ),
        published=False,
    ),
)
