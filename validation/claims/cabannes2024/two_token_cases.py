"""What the claims on two correlated tokens share: assumptions, families of cases, runs.

The modes are tilt = (m_1 - m_2)/2 and mean margin = (m_1 + m_2)/2, the paper's gamma_1 and gamma_2.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ....dynamics import AssociativeMemory, GradientDescent, GradientFlow, at, simulate
from ...assumption import Assumption, Where
from ...assumptions import ConstantRateDescent, CorrelationBetween, FrequentFirst, TwoTokens, ZeroStart
from ...case import Case, Family, Parameter
from .rounding import grown, shadow

Array = NDArray[np.float64]
Picked = NDArray[np.intp]
Pair = tuple[float, float]
Form = Literal["printed", "corrected"]
PAPER = "cabannes2024"
UNIT = float(np.finfo(np.float64).eps)
FLOW_RTOL = 1e-12


@dataclass(frozen=True)
class Flow(Assumption):
    """The rule is gradient flow."""

    statement: str = "gradient flow"

    def holds(self, case: Case) -> bool:
        """Return whether the rule is gradient flow."""
        return isinstance(case.rule, GradientFlow)

    def draw(self, rng: np.random.Generator, where: Where = "inside") -> Case:
        """Return a two-token case; outside has gradient descent, the boundary a very long time."""
        problem = memory(float(rng.uniform(-0.9, 0.9)), float(rng.uniform(0.05, 0.5)))
        if where == "outside":
            return Case(problem=problem, rule=GradientDescent(0.1), steps=100)
        return Case(problem=problem, rule=GradientFlow(), time=1e10 if where == "boundary" else 1e3)


@dataclass(frozen=True)
class Interfering(Assumption):
    """The frequent token pushes the rare one back in the first step: alpha p_1 > p_2 (or the opposite)."""

    positive: bool = True

    @property
    def statement(self) -> str:  # type: ignore[override]
        """Return the condition as a formula."""
        return r"$\alpha p_1 > p_2$" if self.positive else r"$\alpha p_1 \leq p_2$"

    def holds(self, case: Case) -> bool:
        """Return whether alpha p_1 > p_2 (positive) or alpha p_1 <= p_2 (not)."""
        correlation, (frequent, rare), _ = numbers(case)
        return (correlation * frequent > rare) == self.positive

    def draw(self, rng: np.random.Generator, where: Where = "inside") -> Case:
        """Return a two-token case; the boundary has alpha p_1 within 1e-9 of p_2."""
        rare = float(rng.uniform(0.01, 0.4))
        level = rare / (1 - rare)
        if where == "boundary":
            correlation = level * (1.0 + (1e-9 if self.positive else -1e-15))
        else:
            above = (where == "inside") == self.positive
            correlation = float(rng.uniform(level + 1e-3, 0.999) if above else rng.uniform(-0.9, level - 1e-3))
        return Case(problem=memory(correlation, rare), rule=GradientDescent(1.0), steps=1)


SETTING: tuple[Assumption, ...] = (TwoTokens(),)
ORDERED: tuple[Assumption, ...] = (TwoTokens(), FrequentFirst())
OPEN = CorrelationBetween(-1.0, 1.0, open_low=True, open_high=True)
ATTRACTING = CorrelationBetween(0.0, 1.0, open_high=True)
FLOW_PRINTED: tuple[Assumption, ...] = (*ORDERED, Flow(), ZeroStart())
FLOW_CORRECTED: tuple[Assumption, ...] = (*ORDERED, OPEN, Flow(), ZeroStart())
DESCENT_PRINTED: tuple[Assumption, ...] = (*ORDERED, ConstantRateDescent(), ZeroStart())
DESCENT_CORRECTED: tuple[Assumption, ...] = (*ORDERED, OPEN, ConstantRateDescent(), ZeroStart())


def memory(correlation: float, rare: float, squared_distance: float = 2.0) -> AssociativeMemory:
    """Return the two-token memory with |u_1 - u_2|^2 = squared_distance."""
    base = AssociativeMemory.two_tokens(correlation=correlation, frequencies=(1.0 - rare, rare))
    if squared_distance == 2.0:
        return base
    scale = math.sqrt(0.5 * squared_distance)
    return AssociativeMemory(base.inputs, scale * base.outputs, base.targets, base.frequencies)


def numbers(case: Case) -> tuple[float, Pair, float]:
    """Return (correlation, (p_1, p_2), c) of a case's problem."""
    problem = case.problem
    gap = problem.outputs[0] - problem.outputs[1]
    correlation = min(1.0, max(-1.0, float(problem.inputs[0] @ problem.inputs[1])))
    first, second = (float(p) for p in problem.frequencies)
    return correlation, (first, second), float(gap @ gap)


def weights_with_modes(problem: AssociativeMemory, tilt: float, mean: float) -> Array:
    """Return the W in the span of the gradients with these modes, (u_1-u_2)/c (x) sum_i 2 gamma_i f_i/|f_i|^2."""
    gap = problem.outputs[0] - problem.outputs[1]
    total, difference = problem.inputs[0] + problem.inputs[1], problem.inputs[0] - problem.inputs[1]
    direction = 2.0 * tilt * total / (total @ total) + 2.0 * mean * difference / (difference @ difference)
    return np.asarray(np.outer(gap, direction) / (gap @ gap))


# families

CORRELATION = Parameter("correlation", -0.99, 0.999)
RARE = Parameter("rare", 1e-4, 0.5, "log")
RATE = Parameter("learning_rate", 1e-4, 1e4, "log")
DISTANCE = Parameter("squared_distance", 1e-2, 1e2, "log")


def descent_case(
    correlation: float, rare: float, learning_rate: float, squared_distance: float = 2.0, steps: int = 300
) -> Case:
    """Return gradient descent from W_0 = 0."""
    return Case(
        problem=memory(correlation, rare, squared_distance), rule=GradientDescent(learning_rate), steps=int(steps)
    )


DESCENT_CORNERS: tuple[Mapping[str, Any], ...] = (
    {"correlation": 0.9, "rare": 0.1, "learning_rate": 100.0, "squared_distance": 2.0, "steps": 2000},
    {"correlation": 0.8, "rare": 0.45, "learning_rate": 50.0, "squared_distance": 2.0, "steps": 2000},
    {"correlation": 1 - 1e-9, "rare": 0.25, "learning_rate": 1e5, "squared_distance": 2.0, "steps": 2000},
    {"correlation": -1 + 1e-9, "rare": 0.25, "learning_rate": 1e5, "squared_distance": 2.0, "steps": 2000},
    {"correlation": 0.5, "rare": 0.5, "learning_rate": 1e-6, "squared_distance": 2.0, "steps": 2000},
    {"correlation": 0.3, "rare": 1e-12, "learning_rate": 1e6, "squared_distance": 2.0, "steps": 2000},
    {"correlation": 0.95, "rare": 0.25, "learning_rate": 1.0, "squared_distance": 2.0, "steps": 100000},
    {"correlation": -0.5, "rare": 0.3, "learning_rate": 100.0, "squared_distance": 0.02, "steps": 100000},
)


def descent_family(
    show: Mapping[str, Any],
    corners: Sequence[Mapping[str, Any]] = DESCENT_CORNERS,
    correlation: Parameter = CORRELATION,
    rare: Parameter = RARE,
    rate: Parameter = RATE,
    build: Callable[..., Case] = descent_case,
) -> Family:
    """Return the family of descents over correlation, rare frequency, learning rate and |u_1 - u_2|^2."""
    return Family((correlation, rare, rate, DISTANCE), build=build, show=show, corners=tuple(corners))


def flow_case(correlation: float, rare: float, squared_distance: float = 2.0, time: float = 1e6) -> Case:
    """Return gradient flow from W_0 = 0."""
    return Case(problem=memory(correlation, rare, squared_distance), rule=GradientFlow(FLOW_RTOL), time=float(time))


FLOW_CORNERS: tuple[Mapping[str, Any], ...] = (
    {"correlation": -0.8, "rare": 0.3, "squared_distance": 2.0, "time": 1e10},
    {"correlation": 0.0, "rare": 0.3, "squared_distance": 2.0, "time": 1e8},
    {"correlation": 0.5, "rare": 0.1, "squared_distance": 2.0, "time": 1e10},
    {"correlation": 0.9, "rare": 0.01, "squared_distance": 0.02, "time": 1e8},
    {"correlation": 0.3, "rare": 0.5, "squared_distance": 2.0, "time": 1e8},
)
FLOW_CORRELATION = Parameter("correlation", -0.9, 0.9)
FLOW_RARE = Parameter("rare", 1e-3, 0.5, "log")


def flow_family(
    show: Mapping[str, Any],
    corners: Sequence[Mapping[str, Any]] = FLOW_CORNERS,
    correlation: Parameter = FLOW_CORRELATION,
    rare: Parameter = FLOW_RARE,
) -> Family:
    """Return the family of flows over correlation, rare frequency and |u_1 - u_2|^2."""
    return Family((correlation, rare, DISTANCE), build=flow_case, show=show, corners=tuple(corners))


# Flows cost milliseconds each, so their claims try few random cases.
FLOW_CASES = {"cases": (10, 200), "directed": (5, 60)}


def state_case(
    correlation: float, rare: float, squared_distance: float, tilt: float, mean_margin: float, learning_rate: float
) -> Case:
    """Return one step of descent from the W with these modes."""
    problem = memory(correlation, rare, squared_distance)
    start = weights_with_modes(problem, tilt, mean_margin)
    return Case(problem=problem, rule=GradientDescent(learning_rate), steps=1, initial=start)


def state_family(
    show: Mapping[str, Any], corners: Sequence[Mapping[str, Any]] = (), correlation: Parameter | None = None
) -> Family:
    """Return the family of single steps from W with any modes."""
    return Family(
        (
            correlation or Parameter("correlation", -0.99, 0.99),
            Parameter("rare", 1e-3, 0.5, "log"),
            DISTANCE,
            Parameter("tilt", -6.0, 6.0),
            Parameter("mean_margin", -6.0, 6.0),
            Parameter("learning_rate", 1e-2, 1e2, "log"),
        ),
        build=state_case,
        show=show,
        corners=tuple(corners),
    )


# runs


@dataclass(frozen=True)
class Run:
    """A run on two tokens: where it was saved, its margins (n, 2), modes, loss, and the error of a margin."""

    axis: Array
    margins: Array
    loss: Array
    error: Array

    @property
    def tilt(self) -> Array:
        """Return gamma_1."""
        return np.asarray(0.5 * (self.margins[:, 0] - self.margins[:, 1]))

    @property
    def mean(self) -> Array:
        """Return gamma_2."""
        return np.asarray(0.5 * (self.margins[:, 0] + self.margins[:, 1]))


def saved_steps(steps: int, points: int = 200) -> NDArray[np.int64]:
    """Return the steps at which a run is saved: all up to 2000, else every early one and a logarithmic tail."""
    if steps <= 2000:
        return np.arange(steps + 1)
    tail = np.unique(np.rint(np.geomspace(60, steps, points)).astype(np.int64))
    return np.concatenate([np.arange(60), tail])


def descend(case: Case) -> Run:
    """Run gradient descent; the error is a rounding model, 4 ulp of the largest margin for every step so far, plus what
    a shadow of the run shows rounding to grow to.
    """
    run = _saved_descent(case)
    axis = np.asarray(run.step, dtype=np.float64)
    margins = np.asarray(run["margin"])
    largest = np.maximum.accumulate(np.abs(margins).max(axis=1))
    # the embeddings carry an error of one ulp, which weighs 1/(1 -+ correlation) in a mode
    correlation, _, _ = numbers(case)
    spread = 1.0 / max(UNIT, 1.0 - abs(correlation))
    error = 4.0 * UNIT * (axis + spread) * largest
    error = error + grown(margins, np.asarray(_saved_descent(shadow(case), ("margin",))["margin"]))
    return Run(axis, margins, np.asarray(run["loss"]), error)


def _saved_descent(case: Case, observe: tuple[str, ...] = ("margin", "loss")) -> Any:
    steps = int(case.steps or 0)
    return simulate(
        case.problem, case.rule, steps=steps, observe=observe, save=at(saved_steps(steps)), initial=case.initial
    )


def flow_times(time: float, points: int = 40) -> Array:
    """Return log-spaced times from 1e-3 (or time/1e6) to the end; a flow that ends at once has its start only."""
    if time == 0.0:
        return np.zeros(1)
    return np.geomspace(min(1e-3, 1e-6 * time), time, points)


@dataclass(frozen=True, eq=False)
class _Key:
    """A case as the key of the cache of flows: equal when problem, rule, time and start are."""

    case: Case

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Key) and self._content() == other._content()

    def __hash__(self) -> int:
        return hash(self._content())

    def _content(self) -> tuple[Any, ...]:
        start = None if self.case.initial is None else self.case.initial.tobytes()
        return self.case.problem.digest, self.case.time, self.case.rule.rtol, start


@functools.lru_cache(maxsize=256)
def _flow(key: _Key) -> Run:
    case = key.case
    time = float(case.time or 0.0)
    run = simulate(
        case.problem, case.rule, time=time, observe=("margin", "loss"), save=at(flow_times(time)),
        initial=case.initial,
    )  # fmt: skip
    margins = np.asarray(run["margin"])
    largest = np.maximum.accumulate(np.abs(margins).max(axis=1))
    axis = np.asarray(run.time, dtype=np.float64)
    return Run(axis, margins, np.asarray(run["loss"]), 10.0 * case.rule.rtol * largest)


def flow(case: Case) -> Run:
    """Run gradient flow at log-spaced times, kept for later claims; the error is ten times what the rule aims at."""
    return _flow(_Key(case))
