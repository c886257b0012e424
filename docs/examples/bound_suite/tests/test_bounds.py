"""The claims of this package, one test item each, and on a problem of its own."""

from __future__ import annotations

import numpy as np
import pytest
from silver import Quadratic, SilverDescent, distance

import traindyn as td


@td.validation.parametrize_with_claims("silver.*")
def test_claims_have_their_expected_outcomes(check: td.validation.ClaimCheck) -> None:
    check()


@td.validation.parametrize_with_claims("silver.theorem1.*")
@pytest.mark.parametrize("smallest", [0.0, 1e-3, 0.5])
def test_bounds_hold_on_my_problems(check: td.validation.ClaimCheck, smallest: float) -> None:
    problem = Quadratic(np.linspace(smallest, 2.0, 5), np.ones(5))
    check(problem=problem, rule=SilverDescent(smoothness=2.0), steps=127)


def test_my_observable() -> None:
    problem = Quadratic(np.array([1.0]), np.array([3.0]))
    run = td.simulate(problem, SilverDescent(1.0), steps=1, observe={"distance": distance})
    np.testing.assert_allclose(run["distance"], [3.0, 3.0 * (np.sqrt(2.0) - 1.0)])
