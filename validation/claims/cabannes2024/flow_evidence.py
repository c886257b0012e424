"""What the claims on the flow of two tokens share: evidence along a run, its 50-digit twin, a short constructor."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from mpmath import mpf

from .... import analytics
from ...case import Case, Evidence, Exact
from ...claim import Claim, Relation, Source
from ...verdict import Outcome
from .two_token_cases import (
    FLOW_CASES,
    FLOW_CORRECTED,
    FLOW_PRINTED,
    PAPER,
    Array,
    Form,
    Picked,
    Run,
    flow,
    flow_family,
    numbers,
)  # fmt: skip
from .two_token_precision import exact_line_root, exact_numbers, twice_flow

SHOW = {"correlation": 0.5, "rare": 0.1, "squared_distance": 2.0, "time": 1e4}
FAMILY = flow_family(SHOW)
HOLDS, VIOLATED, NOT_TESTABLE = Outcome.HOLDS, Outcome.VIOLATED, Outcome.NOT_TESTABLE


def started(case: Case) -> tuple[Run, Picked]:
    """Return the run and the indices of its times > 0."""
    run = flow(case)
    return run, np.flatnonzero(run.axis > 0)


def flow_evidence(case: Case, measure: Callable[[Run, Picked], tuple[Array, Array, Array]]) -> Evidence:
    run, picked = started(case)
    quantity, bound, error = measure(run, picked)
    axis = np.resize(run.axis[picked], quantity.shape)
    return Evidence(axis, quantity, bound, error, axis_name="time t", axis_scale="log")


def position(case: Case, index: int) -> tuple[float, bool]:
    """Return the time of a point of a (stacked) evidence, and whether it lies in the second half."""
    times = started(case)[0].axis
    times = times[times > 0]
    return float(times[index % len(times)]), index >= len(times)


def exact_point(
    case: Case, index: int, compare: Callable[[Any, Any, float, bool], tuple[Any, Any]]
) -> Exact | None:
    """Re-evaluate compare(tilt, mean, time, second half) at one point of the evidence."""
    time, second = position(case, index)
    return twice_flow(case, [time], lambda states: compare(*states[0], time, second))


def appendix_lower(case: Case) -> Evidence:
    """gamma_2 >= log(c_1 t + 1) - h(c_1 t + 1), which is the root of e^g + g = 1 + c_1 t."""
    correlation, (_, rare), distance = numbers(case)

    def measure(run: Run, picked: Picked) -> tuple[Array, Array, Array]:
        total = (1 - correlation) * distance * rare * run.axis[picked]
        return run.mean[picked], analytics.exponential_line_root(total, 1.0), run.error[picked]

    return flow_evidence(case, measure)


def exact_appendix_lower(case: Case, index: int) -> Exact | None:
    def compare(_: Any, mean: Any, time: float, second: bool) -> tuple[Any, Any]:
        correlation, _, rare, distance = exact_numbers(case)
        return mean, exact_line_root((1 - correlation) * distance * rare * mpf(time), mpf(1))

    return exact_point(case, index, compare)


def flow_claim(
    place: str, name: str, form: Form, erratum: str, where: str, title: str, statement: str, quantity: str,
    relation: Relation, bound: str, expected: Outcome, reason: str,
    evaluate: Callable[[Case], Evidence] | None = None, exact: Callable[[Case, int], Exact | None] | None = None,
    **more: Any,
) -> Claim:  # fmt: skip
    options: dict[str, Any] = {
        "assumptions": FLOW_PRINTED if form == "printed" else FLOW_CORRECTED,
        "family": FAMILY if evaluate is not None else None,
        **FLOW_CASES, **more,
    }  # fmt: skip
    return Claim(
        id=f"{PAPER}.{place}.{name}", form=form, title=title, statement=statement,
        source=Source(PAPER, where, erratum), quantity=quantity, relation=relation, bound=bound,
        expected=expected, reason=reason, evaluate=evaluate, exact=exact, **options,
    )  # fmt: skip
