"""`check`: test one claim, and answer with a verdict."""

from __future__ import annotations

import time as clock
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from ..errors import InputError, TraindynError
from .case import Case
from .claim import Claim
from .registry import find
from .search import Point, judge, run_search
from .verdict import Outcome, Verdict, Witness

DEFAULT_STEPS = 1000
DEFAULT_TIME = 1e4
CERTAIN = 10**6
SHARPER = 1e-3  # how much finer than the error budget an evaluation must be to show that an equality is attained


def check(
    claim: str | Claim,
    form: str | None = None,
    *,
    problem: Any = None,
    rule: Any = None,
    steps: int | None = None,
    time: float | None = None,
    initial: Any = None,
    parameters: Mapping[str, Any] | None = None,
    budget: str = "fast",
    seed: int = 0,
) -> Verdict:
    """Test a claim: search for the case with the least slack, or test the case that you give.

    Without a problem or parameters, the family of the claim is searched: its corners, the boundary of its box,
    random cases, and then downhill from the worst; the worst points are evaluated again in 50 digits where
    the claim has such an evaluation. With `parameters` (of the claim's family; this is how a witness is rerun), or
    with `problem` (and rule, steps or time, initial), only that case is tested.

    Parameters
    ----------
    claim : the id of a registered claim, or a `Claim`
    form : "printed" or "corrected"; may be left out where the claim has one form only
    problem, rule, steps, time, initial : a situation of your own; steps defaults to 1000, time (flows) to 1e4
    parameters : values of the parameters of the claim's family; those left out take the values of its picture
    budget : "fast" (a fraction of a second) or "full" (minutes for all claims)
    seed : of the search; the verdict is a function of (claim, budget, seed)

    Returns
    -------
    Verdict

    Raises
    ------
    InputError : unknown claim, form or parameter name (with the nearest ones), or an unknown budget.

    Examples
    --------
    >>> import traindyn as td
    >>> verdict = td.check("cabannes2024.theorem2.descent_margin", form="printed")
    >>> str(verdict.outcome), verdict.certified
    ('violated', True)
    """
    found = claim if isinstance(claim, Claim) else find(claim, form)
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or seed < 0:
        raise InputError("seed must be an integer >= 0", repr(seed))
    if budget not in ("fast", "full"):
        raise InputError("budget must be 'fast' or 'full'", repr(budget))
    if problem is not None and parameters is not None:
        raise InputError("give either a problem of your own or parameters of the claim's family, not both")
    start = clock.perf_counter()
    verdict = _check(found, _given_case(found, problem, rule, steps, time, initial, parameters), budget, seed)
    return replace(verdict, seconds=clock.perf_counter() - start)


def _given_case(
    claim: Claim,
    problem: Any,
    rule: Any,
    steps: int | None,
    time: float | None,
    initial: Any,
    parameters: Mapping[str, Any] | None,
) -> Case | None:
    if parameters is not None:
        if claim.family is None:
            raise InputError(f"claim {claim.id} [{claim.form}] cannot be tested, so it takes no parameters")
        return claim.family.case(parameters)
    if problem is None:
        if rule is not None or steps is not None or time is not None or initial is not None:
            raise InputError("rule, steps, time and initial go with a problem of your own", None, "pass problem=")
        return None
    if steps is None and time is None:
        flow = type(rule).__name__ == "GradientFlow"
        steps, time = (None, DEFAULT_TIME) if flow else (DEFAULT_STEPS, None)
    return Case({}, problem, rule, steps, time, None if initial is None else np.array(initial, dtype=float))


def _check(claim: Claim, given: Case | None, budget: str, seed: int) -> Verdict:
    if given is not None:
        failed = next((a for a in claim.assumptions if not _holds(a, given)), None)
        if failed is not None:
            reason = _explain(failed, given)
            return Verdict(claim, Outcome.NOT_APPLICABLE, failed_assumption=str(failed), message=reason, case=given)
    if claim.evaluate is None:
        return Verdict(claim, Outcome.NOT_TESTABLE, message=claim.reason)
    if given is not None:
        own = given.problem is not None and not given.parameters
        unfit = _unfit(claim, given) if own else None
        if unfit is not None:
            return _not_applicable(claim, given, *unfit)
        point = _judge_given(claim, given)
        if point is None:
            return _not_applicable(
                claim,
                given,
                "the run is long enough to be compared",
                "the case has no point at which quantity and bound can be compared; give it more steps or time",
            )
        worst, cases = [point], 1
    else:
        search = run_search(claim, budget, seed)
        worst, cases = search.worst, search.cases
    return _decide(claim, worst, cases, seed)


def _not_applicable(claim: Claim, case: Case, assumption: str, reason: str) -> Verdict:
    return Verdict(claim, Outcome.NOT_APPLICABLE, failed_assumption=assumption, message=reason, case=case)


def _unfit(claim: Claim, given: Case) -> tuple[str, str] | None:
    """Return the assumption that a problem of one's own fails because it is not of the kind of the claim's family."""
    assert claim.family is not None
    kind = claim.family.case({}).problem
    if kind is None:
        reason = "the claim speaks of formulas or of a random ensemble: a problem of one's own cannot test it"
        return "a case of the claim's own family", reason
    if not isinstance(given.problem, type(kind)):
        return f"the problem is of type {type(kind).__name__}", f"it is of type {type(given.problem).__name__}"
    return None


def _judge_given(claim: Claim, case: Case) -> Point | None:
    """Judge a case that the family did not make; what breaks on it is told as such."""
    try:
        return judge(claim, case)
    except TraindynError:
        raise
    except Exception as error:
        raise InputError(
            f"claim {claim.id} [{claim.form}] cannot be evaluated on this case ({type(error).__name__}: {error})",
            str(case),
            "its assumptions do not exclude such a case; try more steps, or a case like that of its picture, "
            f"parameters={dict((claim.family.show or {}) if claim.family else {})}",
        ) from error


def _holds(assumption: Any, case: Case) -> bool:
    try:
        return bool(assumption.holds(case))
    except (AttributeError, TypeError, ValueError, ArithmeticError, IndexError):
        return False  # the case lacks what the assumption speaks of (another kind of problem, no rule)


def _explain(assumption: Any, case: Case) -> str:
    try:
        return str(assumption.explain(case))
    except (AttributeError, TypeError, ValueError, ArithmeticError, IndexError):
        return f"{assumption}: the case has nothing of that kind"


def _decide(claim: Claim, worst: list[Point], cases: int, seed: int) -> Verdict:
    """Turn the worst points into an outcome; every point inside or beyond its error budget is evaluated again."""
    message = ""
    undecided: Verdict | None = None
    for point in worst:
        if point.swallowed and undecided is None:
            doubt = f"the error budget {point.error:.3g} is more than a quarter of the values that it compares"
            undecided = _verdict(claim, Outcome.INCONCLUSIVE, point, cases, seed, message=doubt)
        if not (point.violated or point.within_budget(claim.relation)):
            continue
        exact = claim.exact(point.case, point.index) if claim.exact is not None else None
        if exact is None:
            if point.violated:
                return _verdict(claim, Outcome.VIOLATED, point, cases, seed, _witness(claim, point))
            doubt = "the least slack lies inside the error budget"
        else:
            slack = exact.slack(claim.relation)
            if slack < -exact.error or (point.strict and slack == 0):
                certified = bool(slack < -CERTAIN * exact.error)
                witness = _witness(claim, point, _digits(slack), _digits(exact.error), exact.method)
                return _verdict(claim, Outcome.VIOLATED, point, cases, seed, witness, certified=certified)
            seen = f"{exact.method} gives slack {_digits(slack)} ± {_digits(exact.error)}"
            decided = slack > exact.error or exact.error < SHARPER * point.error
            if not point.violated and decided:
                message = f"the least slack lies inside the error budget; {seen}"
                continue
            doubt = f"neither double precision nor {seen} tells the sign of the slack" if not point.violated else (
                f"double precision sees slack {point.slack:.3g}, beyond its error budget {point.error:.3g}, "
                f"but {seen}: the budget of this claim is too small"
            )
        if undecided is None:
            undecided = _verdict(claim, Outcome.INCONCLUSIVE, point, cases, seed, message=doubt)
    if undecided is not None:
        return undecided
    return _verdict(claim, Outcome.HOLDS, worst[0], cases, seed, message=message)


def _digits(value: Any) -> str:
    import mpmath

    return str(mpmath.nstr(value, 12))


def _witness(
    claim: Claim, point: Point, slack: str | None = None, error: str | None = None, method: str | None = None
) -> Witness:
    evidence, i = point.evidence, point.index
    return Witness(
        claim.id,
        claim.form,
        point.case.parameters,
        evidence.axis_name,
        float(evidence.axis[i]),
        float(evidence.quantity[i]),
        float(evidence.bound[i]),
        point.slack,
        slack,
        error,
        method,
        _own_arguments(point.case),
    )


def _own_arguments(case: Case) -> str:
    """Return the arguments of `check` that a case of a user's own was given by."""
    given = ["problem=problem", "rule=rule"] if case.rule is not None else ["problem=problem"]
    given += [f"steps={case.steps}"] if case.steps is not None else []
    given += [f"time={case.time!r}"] if case.time is not None else []
    return ", ".join(given + (["initial=initial"] if case.initial is not None else []))


def _verdict(
    claim: Claim,
    outcome: Outcome,
    point: Point,
    cases: int,
    seed: int,
    witness: Witness | None = None,
    certified: bool = False,
    message: str = "",
) -> Verdict:
    where = {**point.case.parameters, point.evidence.axis_name: float(point.evidence.axis[point.index])}
    return Verdict(
        claim,
        outcome,
        slack=point.slack,
        where=where,
        cases=cases,
        seed=seed,
        witness=witness,
        certified=certified,
        message=message,
        case=point.case,
        evidence=point.evidence,
    )
