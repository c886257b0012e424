"""The same claims under hypothesis: it is told the slack, so it looks where the bound is tight."""

from __future__ import annotations

from hypothesis import given, settings

import traindyn as td
from traindyn.validation import Case, find, strategies


@settings(max_examples=50, deadline=None, derandomize=True, database=None)
@given(strategies.cases("silver.theorem1.rate"))
def test_the_rate(case: Case) -> None:
    strategies.assert_claim("silver.theorem1.rate", case)


@settings(max_examples=50, deadline=None, derandomize=True, database=None)
@given(strategies.domain(find("silver.theorem1.rate").assumptions[0], "outside"))
def test_outside_its_assumption_the_claim_does_not_apply(case: Case) -> None:
    verdict = td.check("silver.theorem1.rate", problem=case.problem, rule=case.rule, steps=case.steps)
    assert verdict.outcome == "not_applicable"
