"""A reader's own problems and rules: every claim on orthogonal memories answers, none breaks, no proved one fails."""

import numpy as np
import pytest

import traindyn as td
from traindyn.errors import InputError
from traindyn.validation.claims.cabannes2024 import (
    early_training,
    equations_particles,
    minibatches,
    new_descent,
    new_descent_loss,
    orthogonal_assumptions,
    section4_accuracy,
    theorem2_descent,
    theorem2_flow,
    theorem2_weights,
)
from traindyn.validation.verdict import Outcome

MODULES = (
    early_training, equations_particles, minibatches, new_descent, new_descent_loss, section4_accuracy,
    theorem2_descent, theorem2_flow, theorem2_weights,
)  # fmt: skip
CLAIMS = [claim for module in MODULES for claim in module.CLAIMS]
PROBLEMS = {
    "orthonormal, two classes": td.AssociativeMemory.random(3, 2, 5, embedding="orthonormal", rng=4),
    "orthonormal, four classes": td.AssociativeMemory.random(4, 4, 6, embedding="orthonormal", rng=2),
    "Gaussian": td.AssociativeMemory.random(5, 3, 4, embedding="gaussian", rng=1),
    "correlated": td.AssociativeMemory.two_tokens(correlation=0.5),
    "one token": td.AssociativeMemory([[1.0, 0.0]], np.eye(2), [1], [1.0]),
    "a zero input": td.AssociativeMemory([[0.0, 0.0], [1.0, 0.0]], np.eye(2), [0, 1], [0.5, 0.5]),
    "a zero input of three": td.AssociativeMemory(np.diag([1.0, 0.0, 2.0]), np.eye(3), [0, 1, 2], [0.2, 0.3, 0.5]),
    "a rare token": td.AssociativeMemory.two_tokens(correlation=0.3, frequencies=(1 - 1e-12, 1e-12)),
    "norms 1e-3 and 1e3": td.AssociativeMemory(np.diag([1e-3, 1e3]), [[5.0, 1], [0, -2]], [0, 1], [0.99, 0.01]),
}
RULES = {
    "descent": td.GradientDescent(0.7), "large steps": td.GradientDescent(500.0),
    "small steps": td.GradientDescent(1e-6),
    "momentum": td.GradientDescent(0.3, momentum=0.5), "flow": td.GradientFlow(), "Adam": td.Adam(0.1),
    "batches": td.StochasticGradientDescent(0.3, 2), "schedule": td.GradientDescent(lambda step: 1 / (1 + step)),
    "none": None,
}  # fmt: skip
CERTAIN = [claim for claim in CLAIMS if claim.expected is Outcome.HOLDS]


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: f"{claim.id}-{claim.form}")
def test_every_problem_and_rule_gets_an_answer(claim):
    for name, problem in PROBLEMS.items():
        for kind, rule in RULES.items():
            length = {"time": 100.0} if kind == "flow" else {"steps": 60}
            for initial in (None, np.random.default_rng(0).normal(size=(problem.dim, problem.dim))):
                where = (claim.id, name, kind, initial is not None)
                try:
                    verdict = td.check(claim, problem=problem, rule=rule, initial=initial, **length)
                except InputError as error:
                    if "no point at which" not in str(error):
                        raise AssertionError(where) from error
                    continue
                if claim.expected is Outcome.HOLDS:
                    assert verdict.outcome in (Outcome.HOLDS, Outcome.NOT_APPLICABLE), (where, str(verdict))
                if verdict.outcome == Outcome.NOT_APPLICABLE:
                    assert verdict.failed_assumption, where


ASSUMPTIONS = [
    orthogonal_assumptions.Tied(), orthogonal_assumptions.FastTokens(2.0), orthogonal_assumptions.SlowTokens(3.0),
    orthogonal_assumptions.PlainDescent(), orthogonal_assumptions.MiniBatches(), orthogonal_assumptions.StartWithin(),
    orthogonal_assumptions.RunsUntil(15.0), orthogonal_assumptions.LogarithmDecides(1),
    orthogonal_assumptions.LogarithmDecides(-1), orthogonal_assumptions.Asymptotic(),
    section4_accuracy.ExposedTargets(), section4_accuracy.ProvedSteps(), orthogonal_assumptions.NonzeroInputs(),
]  # fmt: skip


@pytest.mark.parametrize("assumption", ASSUMPTIONS, ids=lambda a: f"{type(a).__name__}-{getattr(a, 'sign', '')}")
def test_assumptions_draw_inside_on_and_outside(assumption):
    rng = np.random.default_rng(5)
    for _ in range(5):
        assert assumption.holds(assumption.draw(rng, "inside"))
        assert assumption.holds(assumption.draw(rng, "boundary"))
        outside = assumption.draw(rng, "outside")
        assert not assumption.holds(outside)
        assert str(assumption) in assumption.explain(outside)
