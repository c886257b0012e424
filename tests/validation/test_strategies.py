"""Hypothesis strategies: what they reach, where they stay, and that the slack of a claim steers the search."""

from __future__ import annotations

import math
from typing import Any

import hypothesis
import numpy as np
import pytest
from hypothesis import HealthCheck, find, given, settings
from hypothesis import strategies as st

import traindyn as td
from traindyn.errors import InputError
from traindyn.validation import Case, Claim, ClaimFailed, Evidence, Family, Outcome, Parameter, Source, strategies
from traindyn.validation import find as find_claim
from traindyn.validation.assumptions import OrthogonalInputs, TwoClasses

QUIET = settings(
    max_examples=2000, derandomize=True, database=None, deadline=None, suppress_health_check=list(HealthCheck)
)
NAME = "cabannes2024.theorem2.descent_margin"


def drawn(strategy: st.SearchStrategy[Any], count: int = 300) -> list[Any]:
    """Return examples of a strategy, the same ones every time."""
    values: list[Any] = []

    @settings(QUIET, max_examples=count)
    @given(strategy)
    def collect(value: Any) -> None:
        values.append(value)

    collect()
    return values


def test_learning_rates_are_spread_over_the_decades() -> None:
    rates = np.array(drawn(strategies.learning_rates(1e-3, 1e3), 600))
    assert rates.min() == 1e-3
    assert rates.max() == 1e3
    # uniform in the value, 99 in 100 would lie in the last two decades
    assert np.mean(rates < 1.0) > 0.25
    assert np.mean(rates > 1.0) > 0.25


def test_memories_reach_every_kind_of_degeneracy() -> None:
    wanted = {
        "duplicate inputs": lambda m: m.n_tokens > 1 and (m.inputs[-1] == m.inputs[0]).all(),
        "zero input": lambda m: (m.inputs[0] == 0).all(),
        "duplicate outputs": lambda m: (m.outputs[-1] == m.outputs[0]).all(),
        "rare token": lambda m: m.frequencies.min() < 2e-9,
        "unequal norms": lambda m: np.linalg.norm(m.inputs[-1]) > 1e5 * np.linalg.norm(m.inputs[0]) > 0,
        "antipodal inputs": lambda m: m.n_tokens > 1 and (m.inputs[-1] == -m.inputs[0]).all() and m.inputs[0].any(),
        "one token": lambda m: m.n_tokens == 1,
        "more tokens than dimensions": lambda m: m.n_tokens > m.dim,
        "an unused class": lambda m: len(set(m.targets.tolist())) < m.n_classes,
    }
    assert set(strategies.DEGENERATE) < set(wanted)
    for name, holds in wanted.items():
        assert holds(find(strategies.memories(), holds, settings=QUIET)), name


def test_plain_memories_are_not_degenerate() -> None:
    for memory in drawn(strategies.memories(degenerate=False)):
        assert np.linalg.norm(memory.inputs, axis=1).min() > 1e-3
        assert memory.frequencies.min() >= 1e-6 / memory.n_tokens * 0.99
        assert abs(math.fsum(memory.frequencies) - 1.0) < 1e-12


def test_memories_keep_to_their_limits() -> None:
    for memory in drawn(strategies.memories((2, 3), (2, 2), (4, 5), embeddings=["sphere"])):
        assert 2 <= memory.n_tokens <= 3
        assert memory.n_classes == 2
        assert 4 <= memory.dim <= 5


def test_two_tokens_reach_both_ends() -> None:
    correlations = {float(memory.inputs[0] @ memory.inputs[1]) for memory in drawn(strategies.two_tokens())}
    assert {-1.0, 1.0} <= correlations


def test_rules_are_of_every_kind_and_move() -> None:
    rules = drawn(strategies.rules((*strategies.RULES, "flow"), 0.1, 1.0), 100)
    kinds = {type(rule) for rule in rules}
    assert {td.GradientDescent, td.StochasticGradientDescent, td.Adam, td.AdamW, td.GradientFlow} == kinds
    memory = td.AssociativeMemory.two_tokens(0.5)
    for rule in rules[:30]:
        length = {"time": 1.0} if isinstance(rule, td.GradientFlow) else {"steps": 3}
        assert np.isfinite(td.simulate(memory, rule, **length)["loss"]).all()


@settings(max_examples=20)
@given(st.data())
def test_weights_have_the_shape_of_the_memory(data: st.DataObject) -> None:
    memory = data.draw(strategies.memories())
    weights = data.draw(strategies.weights(memory))
    assert weights.shape == (memory.dim, memory.dim)
    td.simulate(memory, td.GradientDescent(0.1), steps=1, initial=weights)


@pytest.mark.parametrize("assumption", [TwoClasses(), OrthogonalInputs()], ids=str)
def test_domains_lie_on_their_side(assumption: td.Assumption) -> None:
    for where, wanted in (("inside", True), ("boundary", True), ("outside", False)):
        assert {assumption.holds(case) for case in drawn(strategies.domain(assumption, where), 40)} == {wanted}
    assert {assumption.holds(case) for case in drawn(strategies.domain(assumption), 60)} == {True, False}


def test_cases_satisfy_the_assumptions_and_reach_corners() -> None:
    claim = find_claim(NAME, "corrected")
    cases = drawn(strategies.cases(NAME, form="corrected"), 100)
    assert all(assumption.holds(case) for assumption in claim.assumptions for case in cases)
    assert claim.family is not None
    ends = {parameter.name: {parameter.value(0.0), parameter.value(1.0)} for parameter in claim.family.parameters}
    for name, values in ends.items():
        assert values <= {case.parameters[name] for case in cases}, name


@pytest.mark.parametrize(
    ("make", "answer"),
    [
        (lambda: strategies.memories(embeddings=["spheer"]), "did you mean 'sphere'"),
        (lambda: strategies.rules(kinds=["momentun"]), "did you mean 'momentum'"),
        (lambda: strategies.domain(TwoClasses(), "beside"), "unknown place"),
        (lambda: strategies.cases("cabannes2024.theorem2.descent_magin"), "descent_margin"),
    ],
)
def test_wrong_names_are_answered_with_the_nearest(make: Any, answer: str) -> None:
    with pytest.raises(InputError, match=answer):
        drawn(make(), 1)


def test_a_violated_claim_fails_with_its_witness() -> None:
    @settings(QUIET, max_examples=100)
    @given(strategies.cases(NAME, form="printed"))
    def suite(case: Case) -> None:
        strategies.assert_claim(NAME, case, form="printed")

    with pytest.raises(ClaimFailed) as failed:
        suite()
    verdict = failed.value.verdict
    assert verdict.outcome is Outcome.VIOLATED
    assert verdict.certified
    names: dict[str, Any] = {}
    exec(verdict.witness.code.replace("print(verdict)", ""), names)
    assert names["verdict"].outcome is Outcome.VIOLATED


def below(limit: float) -> Claim:
    """A claim that x <= limit on [0, 1], each value of the size 2."""

    def evaluate(case: Case) -> Evidence:
        return Evidence([0.0], [case.parameters["x"]], [limit], 1e-12, axis_name="point", value_scale=2.0)

    family = Family((Parameter("x", 0.0, 1.0),), lambda x: Case({"x": x}))
    return Claim(
        id="mine.place.below", form="printed", title="t", statement="s", source=Source("mine", "p"), quantity="q",
        relation="<=", bound="b", expected=Outcome.VIOLATED, reason="by design", family=family, evaluate=evaluate,
    )  # fmt: skip


def test_hypothesis_is_told_the_relative_slack(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[tuple[float, str]] = []
    seen: list[float] = []
    monkeypatch.setattr(hypothesis, "target", lambda value, label: told.append((value, label)))
    claim = below(3.0)

    @settings(QUIET, max_examples=20)
    @given(strategies.cases(claim))
    def suite(case: Case) -> None:
        strategies.assert_claim(claim, case)
        seen.append(case.parameters["x"])

    suite()
    assert told == [(-(3.0 - x) / 2.0, "mine.place.below [printed]") for x in seen]  # the larger, the nearer to failing


def test_slack_inside_the_error_budget_fails_where_nothing_decides_it() -> None:
    claim = below(1.0)
    assert claim.family is not None
    strategies.assert_claim(claim, claim.family.case({"x": 0.5}))
    with pytest.raises(ClaimFailed, match="claim inconclusive"):
        strategies.assert_claim(claim, claim.family.case({"x": 1.0}))
