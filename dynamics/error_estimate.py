"""How far off a run is: the same run in extended precision, or a flow to a tighter tolerance."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import InputError
from .adaptive import Adam, AdamW
from .associative_memory import AssociativeMemory
from .descent import GradientDescent, GradientFlow
from .draws import draws_of
from .observables import class_margins, residuals, token_losses, token_margins
from .restarting import generator_from
from .stochastic import GradientNoise, StochasticGradientDescent, StochasticGradientFlow

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .trajectory import Trajectory

_SHOWN = ("loss", "margin", "smallest_margin", "scores", "margins")


def estimate(run: Trajectory) -> dict[str, NDArray[np.float64]]:
    """Return |run - reference| for each saved quantity among the loss, margins and scores.

    Cost: a run in NumPy with extended precision, about 100 us a step for a small problem.
    """
    if not isinstance(run.problem, AssociativeMemory):
        raise InputError("errors are estimated for an AssociativeMemory", type(run.problem).__name__)
    if isinstance(run.rule, GradientFlow):
        return _flow_errors(run)
    known = (GradientDescent, StochasticGradientDescent, StochasticGradientFlow, Adam, AdamW)
    if type(run.rule) not in known:
        raise InputError("errors are estimated for the rules of the package", type(run.rule).__name__)
    if getattr(run.rule, "input_noise", 0.0) > 0.0:
        raise InputError("errors are estimated without input noise", f"input_noise={run.rule.input_noise!r}")
    if np.finfo(np.longdouble).eps >= np.finfo(np.float64).eps:
        raise InputError("this platform has no extended precision (long double is double)", None, "use x86-64 Linux")
    shown = [name for name in run if name in _SHOWN]
    errors = {name: np.zeros(run[name].shape) for name in shown}
    rows = {int(step): row for row, step in enumerate(run.step)}
    # a resumed run may hold rows of several grids; every one of them is compared
    for step, scores in enumerate(_extended_scores(run, int(run.step[-1]))):
        row = rows.get(step)
        if row is not None:
            for name in shown:
                exact = _quantity(name, scores, run.problem)
                errors[name][row] = np.abs(exact - run[name][row]).astype(np.float64)
    return errors


def _quantity(name: str, scores: NDArray[Any], memory: AssociativeMemory) -> Any:
    margins = class_margins(scores, memory.targets)
    if name == "loss":
        return memory.frequencies.astype(np.longdouble) @ token_losses(margins, memory.targets)
    if name == "scores":
        return scores
    if name == "margins":
        return margins
    least = token_margins(margins, memory.targets)
    return least if name == "margin" else least.min()


def _extended_scores(run: Trajectory, last: int) -> Any:
    """Yield the scores (N, M) of every step in extended precision, by the equations as printed, in weights."""
    memory, rule = run.problem, run.rule
    wide = np.longdouble
    inputs, outputs = memory.inputs.astype(wide), memory.outputs.astype(wide)
    start = run.restart.arrays.get("initial")
    weights = np.zeros((memory.dim, memory.dim), wide) if start is None else start.astype(wide)
    additive = isinstance(rule, StochasticGradientFlow) and not isinstance(rule.noise, GradientNoise)
    span = memory.gradient_span if additive and rule.noise > 0.0 else None
    state = run.restart.facts.get("first_generator")
    draws = draws_of(rule, memory.frequencies, None if state is None else generator_from(state), span, "float64")
    velocity = np.zeros_like(weights)
    memories = rule.init(weights) if isinstance(rule, Adam) else {}
    for step in range(last + 1):
        scores = inputs @ weights.T @ outputs.T
        yield scores
        token_weights, noise = draws.take(1)
        residual = token_weights[0].astype(wide)[:, None] * residuals(scores, memory.targets)
        gradient = outputs.T @ residual.T @ inputs
        if isinstance(rule, Adam):
            weights, memories = rule.step(weights, gradient, memories, step)
            continue
        velocity = getattr(rule, "momentum", 0.0) * velocity + gradient
        weights = weights - wide(rule.rate(step)) * velocity
        if span is not None:
            moved = span.weight_left.astype(wide) @ noise[0] @ span.weight_right
            weights = weights + wide(rule.noise) * np.sqrt(wide(rule.dt)) * moved.T


def _flow_errors(run: Trajectory) -> dict[str, NDArray[np.float64]]:
    from .flow import FlowSystem

    facts, initial = run.restart.facts, run.restart.arrays.get("initial")
    system = FlowSystem(run.problem, facts["form"], initial, run.rule.rtol).companion()
    shown = [name for name in run if name in _SHOWN]
    errors = {name: np.zeros(run[name].shape) for name in shown}
    for row, time in enumerate(run.time):
        system.advance_to(float(time))
        margins = system.margins_to()
        for name in shown:
            if name == "scores":
                exact = system.scores()
            elif name == "margins":
                exact = margins
            elif name == "loss":
                exact = run.problem.frequencies @ token_losses(margins, run.problem.targets)
            else:
                least = token_margins(margins, run.problem.targets)
                exact = least if name == "margin" else least.min()
            # half as much again for the error of the second run, and what rounding does to either
            rounding = 8.0 * np.finfo(np.float64).eps * np.abs(run[name][row])
            errors[name][row] = 1.5 * np.abs(exact - run[name][row]) + rounding
    return errors
