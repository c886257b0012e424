"""The framework of claims: outcomes, witnesses, assumptions, errors; on claims whose truth is known."""

from __future__ import annotations

import dataclasses
import json
import math

import mpmath
import numpy as np
import pytest

import traindyn as td
from traindyn.errors import InputError
from traindyn.validation import Condition, assumptions
from traindyn.validation.case import Case, Evidence, Exact, Family, Parameter
from traindyn.validation.claim import Claim, Source
from traindyn.validation.precision import Descent, evaluate_twice
from traindyn.validation.verdict import Outcome

X = np.linspace(0.0, 3.0, 31)
UNIT = float(np.finfo(float).eps)


def _family(low: float = 0.0, high: float = 3.0, **kwargs: object) -> Family:
    return Family((Parameter("slope", low, high),), build=lambda slope: Case({"slope": slope}), **kwargs)


def _exponential(case: Case) -> Evidence:
    """exp(x) against 1 + slope x, true on x >= 0 for slope <= 1 only."""
    bound = 1 + case.parameters["slope"] * X
    return Evidence(X, np.exp(X), bound, error=4 * UNIT * np.exp(X), axis_name="x")


def _exponential_exact(case: Case, index: int) -> Exact:
    def both() -> tuple[object, object]:
        x = mpmath.mpf(float(X[index]))
        return mpmath.exp(x), 1 + mpmath.mpf(case.parameters["slope"]) * x

    return evaluate_twice(both, "exponential")


def _claim(**changes: object) -> Claim:
    base: dict[str, object] = {
        "id": "test.convexity.tangent",
        "form": "printed",
        "title": "tangent",
        "statement": "$e^x \\geq 1 + a x$",
        "source": Source("test", "nowhere"),
        "quantity": "$e^x$",
        "relation": ">=",
        "bound": "$1 + a x$",
        "expected": Outcome.VIOLATED,
        "reason": "needs a <= 1",
        "family": _family(),
        "evaluate": _exponential,
        "exact": _exponential_exact,
    }
    return Claim(**(base | changes))  # type: ignore[arg-type]


def test_false_claim_is_violated_and_certified_with_a_witness_that_reproduces() -> None:
    verdict = td.check(_claim())
    assert verdict.outcome == "violated"
    assert verdict.certified
    assert verdict.slack is not None
    assert verdict.slack < 0
    assert verdict.witness is not None
    again = td.check(_claim(), parameters=verdict.witness.parameters)
    assert again.slack == verdict.slack
    assert again.cases == 1
    # the search is directed: the worst slope is the largest; cases are ranked by the slack relative to the values
    relative = (np.exp(X) - 1 - 3 * X) / (1 + 3 * X)
    assert verdict.where["x"] == pytest.approx(X[relative.argmin()])
    assert verdict.slack == pytest.approx(float((np.exp(X) - 1 - 3 * X)[relative.argmin()]), rel=1e-6)


def test_true_claim_with_equality_at_the_boundary_holds_through_the_exact_evaluation() -> None:
    verdict = td.check(_claim(form="corrected", family=_family(0.0, 1.0), expected=Outcome.HOLDS))
    assert verdict.outcome == "holds", verdict
    assert "50 and 70 digits" in verdict.message  # x = 0 is an equality, decided beyond double precision


def test_without_exact_an_equality_is_inconclusive() -> None:
    verdict = td.check(_claim(form="corrected", family=_family(0.0, 1.0), expected=Outcome.HOLDS, exact=None))
    assert verdict.outcome == "inconclusive"


def test_a_slightly_wrong_bound_is_caught() -> None:
    """The bound is off by one part in 10^5, on one end of the family only: the search must get there."""
    verdict = td.check(_claim(family=_family(0.0, 1.00001), directed=(60, 60)), seed=3)
    x_fine = np.linspace(0, 1e-4, 31)

    def evaluate(case: Case) -> Evidence:
        bound = 1 + case.parameters["slope"] * x_fine
        return Evidence(x_fine, np.exp(x_fine), bound, error=4 * UNIT, value_scale=1e-9)

    fine = td.check(_claim(family=_family(0.0, 1.00001), evaluate=evaluate, exact=None))
    assert verdict.outcome == "holds"  # the grid of x is too coarse to see it ...
    assert fine.outcome == "violated"  # ... and a finer one is not


def test_wrong_float_budget_is_inconclusive_not_violated() -> None:
    def noisy(case: Case) -> Evidence:
        evidence = _exponential(case)
        return dataclasses.replace(evidence, quantity=evidence.quantity - 1e-3, error=1e-12)

    verdict = td.check(_claim(form="corrected", family=_family(0.0, 1.0), evaluate=noisy, expected=Outcome.HOLDS))
    assert verdict.outcome == "inconclusive"
    assert "budget" in verdict.message


def test_identity_relation() -> None:
    def evaluate(case: Case, factor: float = 1.0) -> Evidence:
        return Evidence(X, np.exp(X), factor * np.cosh(X) + factor * np.sinh(X), error=8 * UNIT * np.exp(X))

    good = td.check(_claim(relation="==", evaluate=evaluate, exact=None, expected=Outcome.HOLDS))
    assert good.outcome == "holds"
    bad = td.check(_claim(relation="==", evaluate=lambda case: evaluate(case, 1 + 1e-12), exact=None))
    assert bad.outcome == "violated"


def test_strict_relations_are_broken_by_equality() -> None:
    def evaluate(case: Case) -> Evidence:
        return Evidence(X, X, np.zeros_like(X))

    for relation, outcome in ((">=", "holds"), (">", "violated")):
        verdict = td.check(_claim(relation=relation, evaluate=evaluate, exact=None))
        assert verdict.outcome == outcome

    def doubtful(case: Case) -> Evidence:
        return Evidence(X, X, np.zeros_like(X), error=1e-12)

    def exact(case: Case, index: int) -> Exact:
        return Exact(mpmath.mpf(float(X[index])), mpmath.mpf(0), mpmath.mpf(10) ** -50, "by hand")

    for relation, outcome in ((">=", "holds"), (">", "violated")):
        assert td.check(_claim(relation=relation, evaluate=doubtful, exact=exact)).outcome == outcome


def test_not_testable_and_its_rules() -> None:
    claim = _claim(evaluate=None, exact=None, family=None, expected=Outcome.NOT_TESTABLE, reason="a bare O(.)")
    verdict = td.check(claim)
    assert verdict.outcome == "not_testable"
    assert verdict.slack is None
    with pytest.raises(InputError, match="without evaluate"):
        _claim(expected=Outcome.NOT_TESTABLE)
    with pytest.raises(InputError, match="family"):
        _claim(family=None)


def test_not_applicable_names_the_failed_assumption() -> None:
    claim = _claim(assumptions=(assumptions.OrthogonalInputs(),))
    memory = td.AssociativeMemory.two_tokens(correlation=0.5)
    verdict = td.check(claim, problem=memory, rule=td.GradientDescent(1.0), steps=3)
    assert verdict.outcome == "not_applicable"
    assert verdict.failed_assumption == "the input embeddings are orthogonal"
    assert "0.5" in verdict.message


def _with_problem(slope: float) -> Case:
    return Case({"slope": slope}, problem=td.AssociativeMemory.two_tokens(), rule=td.GradientDescent(1.0), steps=3)


def test_a_problem_that_the_claim_would_ignore_is_not_applicable() -> None:
    memory, rule = td.AssociativeMemory.two_tokens(), td.GradientDescent(1.0)
    verdict = td.check(_claim(), problem=memory, rule=rule, steps=3)
    assert verdict.outcome == "not_applicable"
    assert "problem of one's own" in verdict.message


def test_a_case_that_breaks_the_evaluation_is_told_as_such() -> None:
    def evaluate(case: Case) -> Evidence:
        if case.steps == 0:
            return Evidence([], [], [])  # type: ignore[arg-type]
        return Evidence(X, X, X * (1 // len(case.parameters)))

    claim = _claim(family=Family((Parameter("slope", 0.0, 3.0),), build=_with_problem), evaluate=evaluate)
    memory, rule = td.AssociativeMemory.two_tokens(), td.GradientDescent(1.0)
    with pytest.raises(InputError, match="ZeroDivisionError"):
        td.check(claim, problem=memory, rule=rule, steps=3)
    empty = td.check(claim, problem=memory, rule=rule, steps=0)
    assert empty.outcome == "not_applicable"
    assert "no point" in empty.message


def test_another_kind_of_problem_is_not_applicable() -> None:
    claim = _claim(family=Family((Parameter("slope", 0.0, 3.0),), build=_with_problem))
    verdict = td.check(claim, problem=object(), rule=td.GradientDescent(1.0), steps=3)
    assert verdict.failed_assumption == "the problem is of type AssociativeMemory"


def test_an_identity_within_a_huge_budget_is_inconclusive() -> None:
    def evaluate(case: Case) -> Evidence:
        return Evidence(X, np.full_like(X, 1.2), np.ones_like(X), error=0.5 if case.steps == 1 else 0.25)

    family = Family((Parameter("slope", 0.0, 3.0),), build=_with_problem)
    claim = _claim(relation="==", family=family, evaluate=evaluate)
    memory, rule = td.AssociativeMemory.two_tokens(), td.GradientDescent(1.0)
    assert td.check(claim, problem=memory, rule=rule, steps=1).outcome == "inconclusive"
    assert td.check(claim, problem=memory, rule=rule, steps=2).outcome == "holds"


def test_the_witness_of_a_case_of_ones_own_names_its_arguments() -> None:
    def evaluate(case: Case) -> Evidence:
        return Evidence(X, X, X + 1)

    claim = _claim(family=Family((Parameter("slope", 0.0, 3.0),), build=_with_problem), evaluate=evaluate, exact=None)
    memory = td.AssociativeMemory.two_tokens()
    verdict = td.check(claim, problem=memory, rule=td.GradientFlow(), time=5.0, initial=np.eye(2))
    assert verdict.witness is not None
    assert "problem=problem, rule=rule, time=5.0, initial=initial)" in verdict.witness.code


def test_assumptions_filter_the_search() -> None:
    slope = Condition("slope at most 1", lambda case: 1 - case.parameters["slope"], _family())
    verdict = td.check(_claim(form="corrected", assumptions=(slope,), expected=Outcome.HOLDS))
    assert verdict.outcome == "holds"
    never = Condition("never", lambda case: -1.0, _family())
    with pytest.raises(InputError, match="no case of its family"):
        td.check(_claim(assumptions=(never,)))


def test_condition_boundary_is_found() -> None:
    slope = Condition("slope at most 1", lambda case: 1 - case.parameters["slope"], _family())
    rng = np.random.default_rng(0)
    assert slope.draw(rng, "inside").parameters["slope"] <= 1
    assert slope.draw(rng, "outside").parameters["slope"] > 1
    assert slope.draw(rng, "boundary").parameters["slope"] == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize(
    "assumption",
    [
        assumptions.OrthogonalInputs(),
        assumptions.OrthonormalInputs(),
        assumptions.OrthonormalOutputs(),
        assumptions.OrthogonalOutputs(),
        assumptions.IndependentInputs(),
        assumptions.TwoClasses(),
        assumptions.TwoTokens(),
        assumptions.FrequentFirst(),
        assumptions.CorrelationBetween(0.0, 1.0, open_high=True),
        assumptions.CorrelationBetween(-1.0, 1.0, open_low=True, open_high=True),
        assumptions.ZeroStart(),
        assumptions.ConstantRateDescent(),
    ],
    ids=lambda a: f"{type(a).__name__}",
)
def test_assumptions_draw_what_they_say(assumption: td.Assumption) -> None:
    rng = np.random.default_rng(1)
    for _ in range(20):
        assert assumption.holds(assumption.draw(rng, "inside"))
        assert assumption.holds(assumption.draw(rng, "boundary"))
        assert not assumption.holds(assumption.draw(rng, "outside"))
    assert str(assumption) == assumption.statement


def test_verdict_has_no_truth_value_and_prints_what_one_needs() -> None:
    verdict = td.check(_claim())
    with pytest.raises(TypeError, match="outcome"):
        bool(verdict)
    text = str(verdict)
    for part in ("test.convexity.tangent", "violated", "least slack", "reproduce", "td.check("):
        assert part in text
    row = json.loads(json.dumps(verdict.to_json(), allow_nan=False))
    assert row["certified"] is True
    assert row["witness"]["parameters"] == dict(verdict.witness.parameters)  # type: ignore[union-attr]


def test_same_seed_same_verdict_other_seed_other_cases() -> None:
    claim = _claim(form="corrected", family=_family(0.1, 0.9), expected=Outcome.HOLDS)
    first, second, third = td.check(claim, seed=5), td.check(claim, seed=5), td.check(claim, seed=6)
    assert first.slack == second.slack
    assert first.where == second.where
    assert first.cases == second.cases == third.cases


def test_nan_is_an_error_not_a_verdict() -> None:
    def broken(case: Case) -> Evidence:
        return Evidence(X, np.full_like(X, math.nan), X)

    with pytest.raises(InputError, match="must be numbers"):
        td.check(_claim(evaluate=broken))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: td.claims("cabannes2024.theorem1.*", form="corrected"), "have no form"),
        (lambda: td.check(_claim(), budget="huge"), "budget"),
        (lambda: td.check(_claim(), seed="a"), "seed"),  # type: ignore[arg-type]
        (lambda: td.check(_claim(), parameters={"slop": 1.0}), "did you mean 'slope'"),
        (lambda: td.check(_claim(), rule=td.GradientDescent(1.0)), "problem"),
        (lambda: td.check("cabannes2024.theorem2.descent_margn", form="printed"), "did you mean"),
        (lambda: _claim(id="Bad Id"), "words joined by dots"),
        (lambda: _claim(relation="=>"), "relation"),
        (lambda: Parameter("x", 0.0, 1.0, "log"), "log scale"),
        (lambda: Parameter("x", 2.0, 1.0), "low must not exceed"),
        (lambda: Evidence(X, X[:3], X), "one shape"),
    ],
)
def test_wrong_calls(call: object, message: str) -> None:
    with pytest.raises(td.TraindynError, match=message):
        call()  # type: ignore[operator]


def test_parameter_scales_hit_their_ends_exactly() -> None:
    for scale in ("linear", "log", "logit"):
        parameter = Parameter("x", 0.1, 0.7, scale)  # type: ignore[arg-type]
        assert parameter.value(0.0) == 0.1
        assert parameter.value(1.0) == 0.7
        values = [parameter.value(x) for x in np.linspace(0, 1, 11)]
        assert values == sorted(values)
    whole = Parameter("n", 2, 5, "integer")
    drawn = {whole.value(x) for x in np.linspace(0, 1, 101)}
    assert drawn == {2, 3, 4, 5}


def test_high_precision_descent_agrees_with_the_simulation() -> None:
    """Shares no code with the kernels: a wrong sign, a transposed W or a lost frequency would show."""
    rng = np.random.default_rng(2)
    memory = td.AssociativeMemory(
        rng.normal(size=(3, 4)), rng.normal(size=(3, 4)), [2, 0, 1], [0.5, 0.3, 0.2]
    )
    start = rng.normal(size=(4, 4))
    run = td.simulate(memory, td.GradientDescent(0.1), steps=20, initial=start, observe=("loss", "margin"))
    with mpmath.workdps(50):
        exact = Descent(memory, 0.1, start).run(20)
        np.testing.assert_allclose([float(m) for m in exact.margins()], run["margin"][-1], rtol=1e-11, atol=1e-12)
        assert float(exact.loss()) == pytest.approx(run["loss"][-1], rel=1e-12)
