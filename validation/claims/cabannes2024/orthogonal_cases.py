"""What the claims on orthogonal memories share: families of cases, runs, their 50-digit twins.

With orthogonal inputs every token moves alone: m' = m + k/(a + e^m), with a = 1 for two classes and a = M - 1 for
tied wrong classes. `Tokens` holds the speeds k/eta = c_x, a, and the initial margins of a case.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import mpmath
import numpy as np
from mpmath import mpf

from .... import analytics
from ....dynamics import AssociativeMemory, GradientDescent, GradientFlow, at, simulate
from ...assumptions import off_diagonal
from ...case import Case, Evidence, Exact, Family, Parameter
from ...claim import Claim, Source
from ...precision import evaluate_twice
from ...verdict import Outcome
from .rounding import grown, shadow
from .two_token_cases import PAPER, UNIT, Array, flow, saved_steps

HOLDS, VIOLATED, NOT_TESTABLE = Outcome.HOLDS, Outcome.VIOLATED, Outcome.NOT_TESTABLE
FLOW_RTOL = 1e-12


# ---- cases ----------------------------------------------------------------------------------------------------


def binary_memory(rare: float, squared_norm: float, squared_distance: float) -> AssociativeMemory:
    """Return two orthogonal tokens of two classes: p = (1 - rare, rare), |e_2|^2 and |u_1 - u_2|^2 as given."""
    inputs = np.diag([1.0, math.sqrt(squared_norm)])
    return AssociativeMemory(inputs, math.sqrt(0.5 * squared_distance) * np.eye(2), [0, 1], [1 - rare, rare])


def start_weights(problem: AssociativeMemory, margin: float) -> Array | None:
    """Return weights with this margin on every token and something outside the span of the gradients; None for 0."""
    if margin == 0.0:
        return None
    inside = analytics.binary_weights(
        np.full(problem.n_tokens, margin), problem.inputs, problem.outputs, problem.targets
    )
    return np.asarray(inside + 0.25 * np.outer(problem.outputs.sum(axis=0), problem.inputs.sum(axis=0)))


def binary_case(
    rate: float, rare: float = 0.3, squared_norm: float = 1.0, squared_distance: float = 2.0, initial: float = 0.0,
    steps: int = 300,
) -> Case:  # fmt: skip
    """Return gradient descent in which the slowest token has eta c_x = rate."""
    problem = binary_memory(rare, squared_norm, squared_distance)
    speed = problem.frequencies * np.array([1.0, squared_norm]) * squared_distance
    rule = GradientDescent(float(rate / speed.min()))
    return Case(problem=problem, rule=rule, steps=int(steps), initial=start_weights(problem, initial))


def tied_case(n_classes: int, rate: float, initial: float = 0.0, steps: int = 300, squared_norm: float = 1.0) -> Case:
    """Return descent with M orthonormal outputs, two tokens, eta M p |e|^2 = rate for the first, margins `initial`."""
    classes = int(n_classes)
    dim = max(classes, 2)
    inputs = np.eye(dim)[:2] * np.array([[1.0], [math.sqrt(squared_norm)]])
    problem = AssociativeMemory(inputs, np.eye(dim)[:classes], [0, classes - 1], [0.5, 0.5])
    own = problem.outputs[problem.targets]
    start = initial * own.T @ (inputs / np.sum(inputs**2, axis=1, keepdims=True)) if initial else None
    return Case(problem=problem, rule=GradientDescent(float(rate / (0.5 * classes))), steps=int(steps), initial=start)


def flow_case(
    rare: float = 0.3, squared_norm: float = 1.0, squared_distance: float = 2.0, initial: float = 0.0, time: float = 1e6
) -> Case:
    """Return gradient flow of the binary memory."""
    problem = binary_memory(rare, squared_norm, squared_distance)
    start = start_weights(problem, initial)
    return Case(problem=problem, rule=GradientFlow(FLOW_RTOL), time=float(time), initial=start)


RATE = Parameter("rate", 1e-4, 1e3, "log")
RARE = Parameter("rare", 1e-3, 0.5, "log")
NORM = Parameter("squared_norm", 0.1, 10.0, "log")
DISTANCE = Parameter("squared_distance", 1e-2, 1e2, "log")
START = Parameter("initial", -12.0, 8.0)
# a lone token, in effect: the two tokens of this corner move alike
ALIKE: dict[str, Any] = {"rare": 0.5, "squared_norm": 1.0, "squared_distance": 2.0}
FLOW_CASES = {"cases": (10, 200), "directed": (5, 60)}


def binary_family(
    show: Mapping[str, Any], corners: Sequence[Mapping[str, Any]] = (), rate: Parameter = RATE,
    start: Parameter | None = None, build: Callable[..., Case] = binary_case,
) -> Family:  # fmt: skip
    """Return the family of descents over the slowest token's rate, frequencies, norms (and the initial margin)."""
    parameters = (rate, RARE, NORM, DISTANCE) + ((start,) if start else ())
    full = tuple(ALIKE | dict(corner) for corner in corners)
    return Family(parameters, build=build, show=ALIKE | dict(show), corners=full)


def flow_family(
    show: Mapping[str, Any], corners: Sequence[Mapping[str, Any]] = (), start: Parameter | None = None
) -> Family:
    """Return the family of flows over frequencies, norms, end time (and the initial margin)."""
    parameters = (RARE, NORM, DISTANCE, Parameter("time", 1.0, 1e8, "log")) + ((start,) if start else ())
    full = tuple(ALIKE | dict(corner) for corner in corners)
    return Family(parameters, build=flow_case, show=ALIKE | dict(show), corners=full)


# ---- runs -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Tokens:
    """Speeds c_x (k = eta c_x), the number a of wrong classes, initial margins."""

    speed: Array
    wrong: float
    start: Array


def tokens(case: Case) -> Tokens:
    """Return the speeds, a and initial margins of a case with orthogonal inputs."""
    problem = case.problem
    norms = np.einsum("xd,xd->x", problem.inputs, problem.inputs)
    if problem.n_classes == 2:
        gap = problem.outputs[0] - problem.outputs[1]
        factor = float(gap @ gap)
    else:
        factor = problem.n_classes * float(problem.outputs[0] @ problem.outputs[0])
    start = np.zeros(problem.n_tokens)
    if case.initial is not None:
        scores = problem.scores(case.initial)
        rows = np.arange(problem.n_tokens)
        own = scores[rows, problem.targets].copy()
        scores[rows, problem.targets] = -np.inf
        start = own - scores.max(axis=1)
    return Tokens(problem.frequencies * norms * factor, float(problem.n_classes - 1), start)


@dataclass(frozen=True)
class Run:
    """Steps or times (n,), margins (n, N), loss (n,), and the error of a margin (n, 1)."""

    axis: Array
    margins: Array
    loss: Array
    error: Array


def descend(case: Case, observe: tuple[str, ...] = ("margin", "loss")) -> Run:
    """Run the descent; the error is a rounding model, 4 ulp of the largest score or margin for every step so far, plus
    what a shadow of the run shows rounding to grow to.

    A margin only rises, past where its map has a slope 1 - k e^m/(a + e^m)^2 below -1 in a single step:
    no chaos, but a factor up to k/(4 a).
    """
    run = _saved_descent(case, observe)
    axis = np.asarray(run.step, dtype=np.float64)
    margins = np.asarray(run["margin"])
    largest = np.maximum.accumulate(np.abs(margins).max(axis=1))
    if case.initial is not None:
        largest = np.maximum(largest, np.abs(case.problem.scores(case.initial)).max())
    cosine = off_diagonal(case.problem.inputs @ case.problem.inputs.T)
    # tokens that are orthogonal only to rounding push each other by the cosine times what they have learned
    error = (4.0 * UNIT * (axis + 4.0) + 10.0 * cosine) * largest
    error = error + grown(margins, np.asarray(_saved_descent(shadow(case), ("margin",))["margin"]))
    return Run(axis, margins, np.asarray(run["loss"]), error[:, None])


def _saved_descent(case: Case, observe: tuple[str, ...]) -> Any:
    steps = int(case.steps or 0)
    return simulate(
        case.problem, case.rule, steps=steps, observe=observe, save=at(saved_steps(steps)), initial=case.initial
    )


def after_start(case: Case) -> tuple[Run, Array]:
    """Return the run of a descent without its start, and its saved steps (all >= 1)."""
    run = descend(case)
    return Run(run.axis[1:], run.margins[1:], run.loss[1:], run.error[1:]), saved_axis(case)


def saved_axis(case: Case) -> Array:
    """Return the saved steps >= 1 of a case's descent."""
    return saved_steps(int(case.steps or 0))[1:].astype(np.float64)


def flow_run(case: Case) -> Run:
    """Run the flow (kept for the other claims); the error is 20 times what the rule aims at."""
    run = flow(case)
    largest = max(float(np.abs(tokens(case).start).max()), 1e-300)
    return Run(run.axis, run.margins, run.loss, np.maximum(run.error, 20.0 * case.rule.rtol * largest)[:, None])


def stacked(run: Run, quantity: Array, bound: Array, error: Array, flow_axis: bool = False) -> Evidence:
    """Return evidence of arrays (n, N), one token after the other."""
    shape = quantity.shape
    axis = np.broadcast_to(run.axis[:, None], shape)
    name, scale = ("time t", "log") if flow_axis else ("step t", "linear")
    return Evidence(
        axis.T.ravel(), quantity.T.ravel(), np.broadcast_to(bound, shape).T.ravel(),
        np.broadcast_to(error, shape).T.ravel(), axis_name=name, axis_scale=scale,  # type: ignore[arg-type]
    )  # fmt: skip


def rates(case: Case) -> Array:
    """Return k = eta c_x of every token."""
    return np.asarray(tokens(case).speed * case.rule.learning_rate)


# ---- 50 digits ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class ExactToken:
    """One token in the current mpmath precision: speed c_x, a, initial margin, frequency."""

    speed: Any
    wrong: Any
    start: Any
    frequency: Any


def exact_token(case: Case, token: int) -> ExactToken:
    """Return a token's constants, exactly as the floats of the problem define them."""
    problem = case.problem
    e = [mpf(float(v)) for v in problem.inputs[token]]
    u = [[mpf(float(v)) for v in row] for row in problem.outputs]
    norm = mpmath.fdot(e, e)
    if problem.n_classes == 2:
        factor = mpmath.fsum((a - b) ** 2 for a, b in zip(u[0], u[1], strict=True))
    else:
        factor = problem.n_classes * mpmath.fdot(u[0], u[0])
    start = mpf(0)
    if case.initial is not None:
        image = [mpmath.fdot([mpf(float(w)) for w in row], e) for row in case.initial]
        scores = [mpmath.fdot(row, image) for row in u]
        target = int(problem.targets[token])
        start = scores[target] - max(s for y, s in enumerate(scores) if y != target)
    frequency = mpf(float(problem.frequencies[token]))
    return ExactToken(frequency * norm * factor, mpf(problem.n_classes - 1), start, frequency)


def exact_margin(case: Case, token: int, step: int, given: ExactToken | None = None) -> Any:
    """Return the margin of a token after `step` steps of (28) in the current precision."""
    constants = given or exact_token(case, token)
    rate = mpf(float(case.rule.learning_rate)) * constants.speed
    margin = constants.start
    for _ in range(step):
        margin += rate / (constants.wrong + mpmath.exp(margin))
    return margin


def exact_flow_margin(elapsed: Any, start: Any, wrong: Any = 1) -> Any:
    """Return the root m of e^m + a m = e^{m_0} + a m_0 + x in the current precision, by Newton from the right."""
    total = mpmath.exp(start) + wrong * start + elapsed
    margin = start + elapsed / (wrong + mpmath.exp(start))
    if total > 1:
        top = mpmath.exp(start) + elapsed if start > -1 else total + abs(start) * wrong
        margin = min(margin, mpmath.log(top))
        margin = max(margin, start)
    for _ in range(400):
        step = (mpmath.exp(margin) + wrong * margin - total) / (mpmath.exp(margin) + wrong)
        margin -= step
        if abs(step) <= abs(margin) * mpmath.eps * 4:
            break
    return margin


def exact_descent(
    case: Case, index: int, compare: Callable[[ExactToken, Any, int, Any], tuple[Any, Any]], axis: Array | None = None
) -> Exact:
    """Re-evaluate compare(token, its rate k, step, margin) at one point of evidence stacked by token over `axis`."""
    steps = saved_axis(case) if axis is None else axis
    token, place = divmod(index % (len(steps) * case.problem.n_tokens), len(steps))
    step = int(steps[place])

    def both() -> tuple[Any, Any]:
        constants = exact_token(case, token)
        margin = exact_margin(case, token, step, constants)
        return compare(constants, mpf(float(case.rule.learning_rate)) * constants.speed, step, margin)

    return evaluate_twice(both, "gradient descent of one token (28)")


def exact_loss(case: Case, step: int) -> Any:
    """Return the loss after `step` steps in the current precision."""
    total = mpf(0)
    for token in range(case.problem.n_tokens):
        constants = exact_token(case, token)
        margin = exact_margin(case, token, step, constants)
        total += constants.frequency * mpmath.log1p(constants.wrong * mpmath.exp(-margin))
    return total


# ---- claims ---------------------------------------------------------------------------------------------------


def orthogonal_claim(
    name: str, form: str, source: tuple[str, str], title: str, statement: str,
    relation: tuple[str, str, str], expected: Outcome, reason: str, **more: Any,
) -> Claim:  # fmt: skip
    """Return a claim; `source` is (place, row of the errata), `relation` is (quantity, sign, bound)."""
    place, erratum = source
    return Claim(
        id=f"{PAPER}.{name}", form=form, title=title, statement=statement,  # type: ignore[arg-type]
        source=Source(PAPER, place, erratum), quantity=relation[0], bound=relation[2],
        relation=relation[1],  # type: ignore[arg-type]
        expected=expected, reason=reason, **more,
    )  # fmt: skip
