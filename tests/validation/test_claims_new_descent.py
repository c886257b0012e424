"""The new results on descent margins: verdicts, and slips that each would notice."""

import dataclasses
import math

import numpy as np
import pytest

import traindyn as td
from traindyn import analytics
from traindyn.validation.claims.cabannes2024 import new_descent, new_descent_loss
from traindyn.validation.claims.cabannes2024 import orthogonal_cases as cases
from traindyn.validation.verdict import Outcome

CLAIMS = [*new_descent.CLAIMS, *new_descent_loss.CLAIMS]


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim.id)
def test_verdict_is_the_expected_one(claim):
    verdict = td.check(claim, seed=3)
    assert verdict.outcome == claim.expected, str(verdict)


def test_the_new_results_are_all_here():
    assert {claim.source.erratum[:3] for claim in CLAIMS} >= {"3.1", "3.2", "3.3", "3.4", "3.5", "3.6"}
    assert all(claim.form == "corrected" and claim.proof for claim in CLAIMS)


def slip(name, change):
    """Return a claim whose bound is changed(case, evidence)."""
    claim = next(claim for claim in CLAIMS if claim.id == f"cabannes2024.new.{name}")

    def evaluate(case):
        evidence = claim.evaluate(case)
        return dataclasses.replace(evidence, bound=change(case, evidence))

    return dataclasses.replace(claim, evaluate=evaluate, exact=None)


def spread(case, evidence, values):
    return np.repeat(values, len(evidence.axis) // case.problem.n_tokens)


def enclosure(case, evidence, side, factor=1.0, more=0, wrong=None):
    """Return the bounds with the rate multiplied, steps added, or another number of wrong classes."""
    constants = cases.tokens(case)
    return analytics.descent_margin_bounds(
        evidence.axis + more, factor * spread(case, evidence, cases.rates(case)),
        spread(case, evidence, constants.start), wrong or constants.wrong,
    )[side]  # fmt: skip


def slow_flow(case, evidence):
    """The flow with a = 1 whatever the number of classes."""
    constants = cases.tokens(case)
    steps = evidence.axis.astype(int)
    times = new_descent._total_rates(case)[steps - 1]
    elapsed = spread(case, evidence, constants.speed) * times
    return analytics.flow_margin(elapsed, spread(case, evidence, constants.start))


def asymptote(case, evidence, sign=1.0, keep=1.0):
    """The constant and its next term, with the sign of that term or the constant changed."""
    k, constants = cases.rates(case), cases.tokens(case)
    limits = np.array([
        analytics.descent_constant(float(rate), float(start), constants.wrong).value
        for rate, start in zip(k, constants.start, strict=True)
    ])  # fmt: skip
    k, limits = spread(case, evidence, k), spread(case, evidence, limits)
    return keep * limits + sign * new_descent._next_term(k, constants.wrong, limits, evidence.axis)


def classes_of(case):
    return case.problem.n_classes


SLIPS = {
    "sides swapped, lower": slip("descent_enclosure_lower", lambda c, e: enclosure(c, e, 1)),
    "sides swapped, upper": slip("descent_enclosure_upper", lambda c, e: enclosure(c, e, 0)),
    "a step too many": slip("descent_enclosure_lower", lambda c, e: enclosure(c, e, 0, more=1)),
    "rate one percent large": slip("descent_enclosure_lower", lambda c, e: enclosure(c, e, 0, factor=1.01)),
    "rate one percent small": slip("descent_enclosure_upper", lambda c, e: enclosure(c, e, 1, factor=0.99)),
    "rate halved, eta c for eta c/2": slip("descent_enclosure_upper", lambda c, e: enclosure(c, e, 1, factor=0.5)),
    "one wrong class": slip("descent_enclosure_lower", lambda c, e: enclosure(c, e, 0, wrong=1.0)),
    "flow of two classes": slip("descent_dominates_flow", slow_flow),
    "k/3 for k/2": slip("descent_enclosure_small_rate", lambda c, e: e.bound - 0.02 * np.abs(e.bound)),
    "C_2 for C_M": slip(
        "multiclass_loss_bound",
        lambda c, e: np.minimum(
            math.log(classes_of(c)), e.bound * 1.0794347 / analytics.descent_loss_constant(classes_of(c))
        ),
    ),
    "C_M one percent small": slip("multiclass_loss_bound", lambda c, e: 0.99 * e.bound),
    "1.0795 reached": slip("loss_constant_sharp", lambda c, e: e.bound * 1.09 / 1.0794347),
    "threshold too low": slip("logarithm_threshold", lambda c, e: np.log1p(1.02 * np.expm1(e.bound))),
    "threshold too high": slip("logarithm_fails_below", lambda c, e: 0.98 * e.bound),
    "unit constant 1.001": slip("unit_loss_constant_fails_late", lambda c, e: 1.02 * e.bound),
    "unit constant 0.999": slip("unit_loss_constant_holds_late", lambda c, e: 0.98 * e.bound),
    "sign of the next term": slip("descent_asymptote", lambda c, e: asymptote(c, e, sign=-1.0)),
    "next term lost": slip("descent_asymptote", lambda c, e: asymptote(c, e, sign=0.0)),
    "constant half a percent off": slip("descent_asymptote", lambda c, e: asymptote(c, e, keep=1.005)),
    "one step more": slip("steps_to_margin_lower", lambda c, e: e.bound + 1),
    "one step less": slip("steps_to_margin_upper", lambda c, e: e.bound - 1),
}  # fmt: skip


@pytest.mark.parametrize("name", SLIPS)
def test_a_plausible_slip_is_noticed(name):
    assert td.check(SLIPS[name], seed=3).outcome == Outcome.VIOLATED


def test_own_problem_with_tied_classes():
    memory = td.AssociativeMemory.random(4, 4, 6, embedding="orthonormal", rng=2)
    for side in ("lower", "upper"):
        name = f"cabannes2024.new.descent_enclosure_{side}"
        verdict = td.check(name, problem=memory, rule=td.GradientDescent(7.0), steps=1000)
        assert verdict.outcome == Outcome.HOLDS
        start = np.random.default_rng(0).normal(size=(6, 6))
        verdict = td.check(name, problem=memory, rule=td.GradientDescent(7.0), steps=10, initial=start)
        assert verdict.outcome == Outcome.NOT_APPLICABLE
