"""The claims on gradients, particles, mini-batches and accuracy: verdicts, and slips that each would notice."""

import dataclasses

import numpy as np
import pytest

import traindyn as td
from traindyn.validation.claims.cabannes2024 import equations_particles, minibatches, section4_accuracy
from traindyn.validation.verdict import Outcome

CLAIMS = [*equations_particles.CLAIMS, *minibatches.CLAIMS, *section4_accuracy.CLAIMS]


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: f"{claim.id}-{claim.form}")
def test_verdict_is_the_expected_one(claim):
    verdict = td.check(claim, seed=3)
    assert verdict.outcome == claim.expected, str(verdict)
    assert verdict.certified == (claim.expected is Outcome.VIOLATED), str(verdict)


def find(name, form):
    return next(claim for claim in CLAIMS if claim.id == f"cabannes2024.{name}" and claim.form == form)


def slip(name, form, change):
    claim = find(name, form)

    def evaluate(case):
        evidence = claim.evaluate(case)
        return dataclasses.replace(evidence, bound=change(case, evidence))

    return dataclasses.replace(claim, evaluate=evaluate, exact=None)


def without_label(case, evidence):
    """(27) and Theorem 1 without the u_y of u_z - u_y."""
    problem = case.problem
    soft = equations_particles._softmax(problem.scores(case.initial))[0]
    return np.outer(problem.input_gram[:, 0], problem.output_gram @ soft).ravel()


def wrong_particles(case, evidence, change):
    """Return the particle of (12), its step changed, at the worst place of each step."""
    claim = find("theorem1.particle_system", "printed")
    plain = equations_particles.particle_step
    equations_particles.particle_step = change
    try:
        return claim.evaluate(case).bound
    finally:
        equations_particles.particle_step = plain


def opposite(problem, scores, rate):
    return 2 * scores - STEP(problem, scores, rate)


def uniform(problem, scores, rate):
    flat = td.AssociativeMemory(
        problem.inputs, problem.outputs, problem.targets, np.full(problem.n_tokens, 1 / problem.n_tokens)
    )
    return STEP(flat, scores, rate)


def orthogonal_outputs(problem, scores, rate):
    """beta with <u_j, u_f> only: what the gradient would be if outputs were orthonormal."""
    unit = np.linalg.qr(np.random.default_rng(0).normal(size=(problem.n_classes, problem.n_classes)))[0]
    padded = np.zeros((problem.n_tokens, problem.n_classes))
    padded[:, : min(problem.dim, problem.n_classes)] = problem.inputs[:, : problem.n_classes]
    return STEP(td.AssociativeMemory(padded, unit, problem.targets, problem.frequencies), scores, rate)


STEP = equations_particles.particle_step


@pytest.mark.parametrize("change", [opposite, uniform, orthogonal_outputs])
def test_a_wrong_particle_step_is_noticed(change, monkeypatch):
    monkeypatch.setattr(equations_particles, "particle_step", change)
    claim = find("theorem1.particle_system", "printed")
    # the twin in 50 digits has a step of its own, which is right
    assert td.check(dataclasses.replace(claim, exact=None), seed=3).outcome == Outcome.VIOLATED


SLIPS = {
    "no label in the projected gradient": slip("theorem1.projected_gradient", "printed", without_label),
    "gradient transposed": slip(
        "equation9.gradient", "printed",
        lambda c, e: e.bound.reshape(c.problem.dim, c.problem.dim).T.ravel() if c.problem.dim > 1 else e.bound,
    ),
    "gradient of the mean without p": slip("equation9.gradient", "printed", lambda c, e: e.bound * c.problem.n_tokens),
    "batch divided twice": slip("equation7.minibatch_gradient", "corrected", lambda c, e: e.bound / c.rule.batch_size),
    "loss of another batch": slip("theorem1.stochastic_descent", "printed", lambda c, e: np.roll(e.bound, 1)),
}  # fmt: skip


@pytest.mark.parametrize("name", SLIPS)
def test_a_plausible_slip_is_noticed(name):
    assert td.check(SLIPS[name], seed=3).outcome == Outcome.VIOLATED


def test_noise_outside_the_span_is_noticed():
    claim = find("equation9.span", "printed")

    def evaluate(case):
        evidence = claim.evaluate(case)
        return dataclasses.replace(evidence, quantity=evidence.quantity + 1e-9 * evidence.axis)

    assert td.check(dataclasses.replace(claim, evaluate=evaluate), seed=3).outcome == Outcome.VIOLATED


def test_midpoint_class_is_never_learned_and_its_loss_stays_above_log_three():
    case = section4_accuracy._case(0.0, 0.0, 1.0)
    run = td.simulate(case.problem, case.rule, steps=2000, observe=("accuracy", "margin", "scores"))
    assert run["accuracy"].max() < 1
    assert (run["margin"][:, 1] <= 0).all()
    scores = run["scores"][:, 1]
    loss = np.log(np.exp(scores - scores[:, [1]]).sum(axis=1))
    assert loss.min() >= np.log(3) - 1e-12


def test_the_assumption_separates_the_two_forms():
    own = section4_accuracy._case(0.0, 0.2, 1.0).problem
    rule = td.GradientDescent(0.5)
    printed = td.check("cabannes2024.section4.perfect_accuracy", form="printed", problem=own, rule=rule, steps=100)
    corrected = td.check("cabannes2024.section4.perfect_accuracy", form="corrected", problem=own, rule=rule, steps=100)
    assert printed.outcome == Outcome.VIOLATED
    assert corrected.outcome == Outcome.NOT_APPLICABLE
    assert "exposed" in corrected.failed_assumption
    rng = np.random.default_rng(1)
    exposed = section4_accuracy.ExposedTargets()
    assert exposed.holds(exposed.draw(rng, "inside"))
    assert exposed.holds(exposed.draw(rng, "boundary"))
    assert not exposed.holds(exposed.draw(rng, "outside"))
