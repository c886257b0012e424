"""Error budgets of descents: chaos makes them as large as the trajectory, and only then."""

import mpmath
import numpy as np
import pytest

import traindyn as td
from traindyn.validation.case import Case
from traindyn.validation.claims.cabannes2024 import (
    equations_particles,
    orthogonal_cases,
    rounding,
    two_token_cases,
    two_token_precision,
)
from traindyn.validation.verdict import Outcome


def chaotic():
    problem = td.AssociativeMemory.two_tokens(correlation=0.99, frequencies=(0.5, 0.5))
    return Case(problem=problem, rule=td.GradientDescent(1178.457), steps=100)


def test_the_budget_of_a_chaotic_run_reaches_its_size():
    run = two_token_cases.descend(chaotic())
    assert run.error[-1] >= np.abs(run.margins).max()
    assert run.error[1] < 1e-9 * np.abs(run.margins).max()


@pytest.mark.parametrize("rate", [1.0, 30.0, 90.0])
def test_the_budget_covers_the_distance_to_fifty_digits(rate):
    """Whether or not rounding grows; and where it does not, the budget stays small."""
    case = two_token_cases.descent_case(0.95, 0.4, rate, steps=60)
    run = two_token_cases.descend(case)
    for step in (1, 10, 30, 60):
        exact = two_token_precision.twice_descent(case, step, lambda tilt, mean: (tilt, mean))
        tilt, mean = float(exact.quantity), float(exact.bound)
        assert abs(run.tilt[step] - tilt) <= run.error[step]
        assert abs(run.mean[step] - mean) <= run.error[step]
    assert rate > 1 or run.error[-1] < 1e-11


def test_one_expanding_step_of_a_lone_margin_is_measured():
    """From -700 with k = 700 the first step ends near 0, where the map has slope 1 - k/4."""
    case = orthogonal_cases.binary_case(699.9, 0.5, initial=-700.0, steps=3)
    run = orthogonal_cases.descend(case)
    for step in (1, 2, 3):
        with mpmath.workdps(50):
            exact = orthogonal_cases.exact_margin(case, 0, step)
        assert abs(run.margins[step, 0] - float(exact)) <= run.error[step, 0]
    assert run.error[3, 0] < 1e-7


def test_identities_are_not_called_false_by_chaos():
    for seed in range(4):
        problem = td.AssociativeMemory.random(4, 3, 3, rng=seed)
        for name, rule in (
            ("theorem1.particle_system", td.GradientDescent(300.0)), ("equation9.span", td.GradientDescent(300.0)),
            ("theorem1.stochastic_descent", td.StochasticGradientDescent(300.0, 2)),
        ):  # fmt: skip
            verdict = td.check(f"cabannes2024.{name}", problem=problem, rule=rule, steps=60)
            assert verdict.outcome == Outcome.HOLDS, (seed, str(verdict))


def test_a_true_bound_on_a_chaotic_run_is_left_to_fifty_digits():
    case = chaotic()
    verdict = td.check(
        "cabannes2024.proposition5.criterion", form="printed", problem=case.problem, rule=case.rule, steps=100
    )
    # equal frequencies: the exact run stays symmetric and never spikes, the one in floats does
    assert verdict.outcome == Outcome.HOLDS
    assert "50" in verdict.message


def test_the_twin_of_the_particles_moves_the_matrix():
    case = Case(problem=td.AssociativeMemory.random(3, 3, 3, rng=1), rule=td.GradientDescent(5.0), steps=8)
    exact = equations_particles._exact_particles(case, 8)
    assert abs(exact.quantity - exact.bound) < 1e-40
    run = td.simulate(case.problem, case.rule, steps=8, observe=("scores",))
    assert np.abs(np.asarray(run["scores"][-1]) - float(exact.quantity)).min() < 1e-9


def test_a_shadow_is_a_few_ulps_away():
    case = Case(problem=td.AssociativeMemory.random(4, 3, 3, rng=1), rule=td.GradientDescent(2.0),
                initial=np.ones((3, 3)), steps=3)  # fmt: skip
    other = rounding.shadow(case)
    assert 0 < abs(other.rule.learning_rate / 2.0 - 1) < 1e-14
    assert 0 < np.abs(other.problem.frequencies / case.problem.frequencies - 1).max() < 1e-14
    assert 0 < np.abs(other.initial - 1).max() < 1e-14
    scheduled = Case(problem=case.problem, rule=td.GradientDescent(lambda step: 1.0 / (1 + step)), steps=3)
    assert 0 < rounding.shadow(scheduled).rule.learning_rate(1) - 0.5 < 1e-14


def test_the_distance_so_far_counts():
    run = np.array([[0.0], [1.0], [2.0]])
    assert rounding.grown(run, np.array([[0.0], [1.5], [2.0]])).tolist() == [0.0, 8.0, 8.0]
