"""Bounds that are sharp: two per cent more, and each of them is violated."""

import dataclasses

import numpy as np
import pytest

import traindyn as td
from traindyn.validation.claims.cabannes2024 import early_training
from traindyn.validation.registry import find
from traindyn.validation.verdict import Outcome

SHARP = [
    ("theorem4.flow_mean_margin", "corrected"),
    ("theorem4.growth_constant", "corrected"),
    ("theorem4.growth_constant_upper", "corrected"),
    ("theorem4.descent_mean_margin", "corrected"),
    ("appendix_c.flow_mean_margin_lower", "printed"),
    ("appendix_c.flow_tilt_level", "corrected"),
    ("appendix_c.flow_tilt_power", "corrected"),
    ("appendix_c.growth_share", "corrected"),
    ("appendix_c.descent_tilt", "corrected"),
    ("appendix_b.correction_domain", "corrected"),
    ("theorem2.flow_correction_sign", "corrected"),
    ("theorem2.flow_correction_upper", "corrected"),
    ("theorem2.flow_correction_constant", "corrected"),
    ("theorem2.descent_margin", "corrected"),
    ("theorem2.loss_bound", "corrected"),
    ("proposition5.first_step", "corrected"),
    ("proposition5.criterion", "corrected"),
    ("new.no_spike_certificate", "corrected"),
    ("new.perfect_time", "corrected"),
    ("new.spike_peak", "corrected"),
    ("new.lemma1", "corrected"),
    ("new.lemma2", "corrected"),
    ("new.lemma3", "corrected"),
    ("new.multiclass_loss_bound", "corrected"),
]


def changed(claim, bound):
    def evaluate(case):
        evidence = claim.evaluate(case)
        return dataclasses.replace(evidence, bound=bound(evidence.bound))

    return dataclasses.replace(claim, evaluate=evaluate, exact=None)


@pytest.mark.parametrize(("name", "form"), SHARP)
def test_two_per_cent_tighter_is_violated(name, form):
    claim = find(f"cabannes2024.{name}", form)
    sign = 1 if claim.relation in (">=", ">") else -1
    assert td.check(changed(claim, lambda b: b + sign * 0.02 * np.abs(b))).outcome == Outcome.VIOLATED


def test_the_upper_end_of_the_tilt_alone_is_reached():
    """The claim stacks both ends, and the lower one is attained anyway."""
    claim = find("cabannes2024.appendix_c.flow_tilt_level", "corrected")

    def evaluate(case):
        evidence = claim.evaluate(case)
        upper = slice(0, len(evidence.axis) // 2)
        return dataclasses.replace(
            evidence, axis=evidence.axis[upper], quantity=evidence.quantity[upper],
            bound=0.98 * evidence.bound[upper], error=np.asarray(evidence.error)[upper],
        )  # fmt: skip

    lone = dataclasses.replace(claim, evaluate=evaluate, exact=None)
    assert td.check(lone).outcome == Outcome.VIOLATED


def test_half_the_bound_on_imperfect_steps_is_almost_reached():
    """The largest ratio known is below 1/2 and comes close to it."""
    claim = find("cabannes2024.new.imperfect_steps", "corrected")
    assert td.check(changed(claim, lambda b: 0.48 * b)).outcome == Outcome.VIOLATED


@pytest.mark.parametrize("claim", early_training.CLAIMS, ids=lambda claim: claim.form)
def test_early_training(claim):
    verdict = td.check(claim)
    assert verdict.outcome == claim.expected
    assert verdict.certified == (claim.form == "printed")


def test_early_training_notices_slips():
    claim = find("cabannes2024.section4.early_training", "corrected")
    assert td.check(changed(claim, lambda b: 1.001 * b)).outcome == Outcome.VIOLATED

    def uniform(case):
        evidence = claim.evaluate(case)
        problem = case.problem
        outputs = (problem.outputs - problem.outputs.mean(axis=0))[problem.targets]
        return dataclasses.replace(evidence, bound=(outputs.T @ problem.inputs / problem.n_tokens).ravel())

    assert td.check(dataclasses.replace(claim, evaluate=uniform)).outcome == Outcome.VIOLATED
    two = td.AssociativeMemory.random(2, 2, 2, embedding="orthonormal", rng=0)
    evidence = find("cabannes2024.section4.early_training", "printed").evaluate(
        td.validation.case.Case(problem=two, rule=td.GradientDescent(0.1), steps=1)
    )
    # the cosine of the two directions, sqrt(1 - 1/M)
    assert abs(evidence.quantity @ evidence.bound - np.sqrt(0.5)) < 1e-12
