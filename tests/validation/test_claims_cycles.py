"""The claim that descent has a cycle beyond 2/H*: both sides are sharp, and each is tested alone."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

import traindyn as td
from traindyn.validation.claims.cabannes2024.section51_cycles import CLAIMS, noisy_labels
from traindyn.validation.verdict import Outcome

(CLAIM,) = CLAIMS


@pytest.mark.parametrize("side", [0, 1])
def test_each_side_notices_two_per_cent(side: int) -> None:
    def evaluate(case):
        evidence = CLAIM.evaluate(case)
        if not evidence.bound.size:
            return evidence
        bound = evidence.bound.copy()
        bound[side] *= 1.02
        return dataclasses.replace(evidence, bound=bound)

    assert td.check(dataclasses.replace(CLAIM, evaluate=evaluate), seed=0).outcome == Outcome.VIOLATED


def test_a_memory_of_the_paper() -> None:
    memory = td.dynamics.cabannes2024.circle_memory(seed=9, n_tokens=30)
    verdict = td.check(CLAIM, problem=memory, rule=td.GradientDescent(10.0))
    assert verdict.outcome == Outcome.HOLDS
    below = td.check(CLAIM, problem=memory, rule=td.GradientDescent(6.0))
    assert below.outcome == Outcome.NOT_APPLICABLE


def test_at_the_critical_rate_there_is_no_evidence() -> None:
    memory = noisy_labels(0, 2, 2)
    critical = td.analytics.minimiser_stability(memory, 1.0).critical_rate
    case = dataclasses.replace(CLAIM.family.case(CLAIM.family.show), problem=memory)
    near = dataclasses.replace(case, rule=td.GradientDescent(critical * (1 + 1e-9)))
    assert CLAIM.evaluate(near).quantity.size == 0
    beyond = dataclasses.replace(case, rule=td.GradientDescent(critical * (1 + 1e-5)))
    evidence = CLAIM.evaluate(beyond)
    # at its birth the cycle attains the left side
    np.testing.assert_allclose(evidence.quantity[0], evidence.bound[0], rtol=1e-3)


def test_at_large_rates_the_right_side_is_nearly_attained() -> None:
    case = CLAIM.family.case(CLAIM.family.show | {"fraction": 300.0})
    evidence = CLAIM.evaluate(case)
    assert 0.97 < evidence.bound[1] / evidence.quantity[1] < 1.0
