"""Runs of the flow with orthogonal embeddings that several claims measure."""

from __future__ import annotations

import numpy as np

from ....dynamics import AssociativeMemory, GradientFlow, at, simulate
from ....errors import InputError
from ...assumption import Assumption, Condition
from ...assumptions import FlowRule, OrthonormalInputs, OrthonormalOutputs
from ...case import Array, Case, Family, Parameter
from .situations_multiclass import (
    SEED,
    flow_case,
    orthogonal_memory,
    random_start,
)

_FLOW: tuple[Assumption, ...] = (FlowRule(), OrthonormalInputs(), OrthonormalOutputs())
_CASES = (16, 150)
_DIRECTED = (6, 60)


def flow_scores(case: Case, times: Array) -> tuple[Array, Array]:
    """Return simulated scores (T, N, M) of the flow at the times and the error of each, from the run's own estimate."""
    run = simulate(
        case.problem, case.rule or GradientFlow(), time=float(times[-1]), save=at(times), observe=("scores",),
        initial=case.initial,
    )  # fmt: skip
    rows = np.searchsorted(run.time, times * (1 - 1e-12))
    scores = np.asarray(run["scores"])[rows]
    estimate = np.asarray(run.error["scores"])[rows].max(axis=(1, 2))
    # the estimate compares two tolerances; a decade is left for what both miss
    return scores, 10 * estimate + 1e-12 * (1 + np.abs(scores).max(axis=(1, 2)))


def late_time(case: Case) -> float:
    """Return the end of the flow of a case; a flow that runs for no time shows nothing."""
    if case.time is not None and case.time <= 0:
        raise InputError("the flow must run for a time > 0", case.time)
    return float(case.time if case.time is not None else 1e6)


def _build(seed: int, n_tokens: int, n_classes: int, imbalance: float, time: float) -> Case:
    return flow_case(orthogonal_memory(seed, n_tokens, n_classes, imbalance), time)


def _build_started(seed: int, n_tokens: int, n_classes: int, imbalance: float, time: float, scale: float) -> Case:
    problem = orthogonal_memory(seed, n_tokens, n_classes, imbalance)
    return flow_case(problem, time, random_start(seed, problem.inputs.shape[1], scale))


_BOX = (
    SEED,
    Parameter("n_tokens", 1, 4, "integer"),
    Parameter("n_classes", 2, 8, "integer"),
    Parameter("imbalance", 1.0, 20.0, "log"),
)
_LATE = Family(
    (*_BOX, Parameter("time", 1e4, 1e8, "log")),
    _build,
    show={"seed": 0, "n_tokens": 3, "n_classes": 4, "imbalance": 4.0, "time": 1e8},
    corners=(
        {"n_tokens": 1, "n_classes": 2, "time": 1e8},
        {"n_tokens": 4, "n_classes": 8, "time": 1e8},
        {"n_tokens": 1, "n_classes": 2, "time": 1e14},  # the remainder of the expansion is below 1e-6 here
    ),
)


def _build_norms(seed: int, n_classes: int, ratio: float, time: float, scale: float) -> Case:
    problem = orthogonal_memory(seed, 1, n_classes, output_norms=ratio)
    return flow_case(problem, time, random_start(seed, problem.inputs.shape[1], scale))


_NORMS = Family(
    (SEED, Parameter("n_classes", 3, 6, "integer"), Parameter("ratio", 1.0, 3.0, "log"),
     Parameter("time", 1.0, 1e3, "log"), Parameter("scale", 0.1, 1.0, "log")),
    _build_norms,
    show={"seed": 0, "n_classes": 3, "ratio": 2.0, "time": 100.0, "scale": 0.5},
    corners=({"n_classes": 4, "ratio": 3.0, "time": 1e3}, {"ratio": 1.0}),
)  # fmt: skip


def _scaled(ratio: float) -> AssociativeMemory:
    m = orthogonal_memory(0, 1, 3)
    outputs = m.outputs * np.array([[1.0], [1.0], [max(ratio - 1, 0.0)]])
    return AssociativeMemory(m.inputs, outputs, m.targets, m.frequencies)


_THREE_CLASSES = Condition(
    "there are at least three classes",
    lambda case: float(len(case.problem.outputs) - 3),
    Family((Parameter("n_classes", 2, 6, "integer"),), lambda n_classes: _build(0, 1, n_classes, 1.0, 10.0)),
)
_NO_ZERO_OUTPUT = Condition(
    "no output embedding is zero",
    lambda case: float(np.sum(case.problem.outputs**2, axis=1).min()),
    Family((Parameter("ratio", 0.0, 2.0),), lambda ratio: flow_case(_scaled(ratio), 1.0)),
    strict=True,
)
