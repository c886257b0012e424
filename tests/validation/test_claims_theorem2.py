"""The claims on Theorem 2 and its appendix: each verdict as the errata have it, and slips that each would notice."""

import dataclasses

import numpy as np
import pytest

import traindyn as td
from traindyn import analytics
from traindyn.validation.claims.cabannes2024 import orthogonal_cases as cases
from traindyn.validation.claims.cabannes2024 import theorem2_descent, theorem2_flow, theorem2_weights
from traindyn.validation.verdict import Outcome

MODULES = (theorem2_descent, theorem2_flow, theorem2_weights)
CLAIMS = [claim for module in MODULES for claim in module.CLAIMS]


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: f"{claim.id}-{claim.form}")
def test_verdict_is_the_expected_one(claim):
    verdict = td.check(claim, seed=3)
    assert verdict.outcome == claim.expected, str(verdict)
    assert verdict.certified == (claim.expected is Outcome.VIOLATED), str(verdict)


def test_the_rows_of_the_errata_are_all_here():
    rows = {claim.source.erratum for claim in CLAIMS}
    assert {"T2.0", "T2.1", "T2.2", "T2.3", "T2.4", "T2.5", "T2.6", "T2.7", "T2.8"} <= rows


def test_every_corrected_claim_has_a_proof_and_every_claim_a_reason():
    for claim in CLAIMS:
        assert claim.reason
        assert claim.proof or claim.form == "printed", claim.id


def per_token(case, evidence, values):
    """Return per-token values spread over stacked evidence."""
    return np.repeat(values, len(evidence.axis) // case.problem.n_tokens)


def slip(name, change, form="corrected"):
    """Return a claim whose bound is changed(case, evidence)."""
    claim = next(claim for claim in CLAIMS if claim.id == f"cabannes2024.{name}" and claim.form == form)

    def evaluate(case):
        evidence = claim.evaluate(case)
        return dataclasses.replace(evidence, bound=change(case, evidence))

    return dataclasses.replace(claim, evaluate=evaluate, exact=None)


def total(case, evidence):
    return per_token(case, evidence, cases.rates(case)) * evidence.axis


def elapsed(case, evidence):
    return per_token(case, evidence, cases.tokens(case).speed) * evidence.axis


def starts(case, evidence):
    return per_token(case, evidence, cases.tokens(case).start)


SLIPS = {
    "lost 1/2 in the margin": slip("theorem2.descent_margin", lambda c, e: np.log1p(total(c, e))),
    "1/2 a little too large": slip("theorem2.descent_margin", lambda c, e: np.log1p(0.505 * total(c, e))),
    "0.7311 a little too large": slip("theorem2.descent_margin", lambda c, e: np.log(0.735 * (1 + total(c, e)))),
    "one in the shifted logarithm": slip("theorem2.descent_shift", lambda c, e: np.log1p(total(c, e))),
    "loss constant 1": slip("theorem2.loss_bound", lambda c, e: e.bound / 1.0794347),
    "loss constant 1.07": slip("theorem2.loss_bound", lambda c, e: e.bound * 1.07 / 1.0794347),
    "loss of the fast tokens halved": slip("theorem2.loss_bound_large_rate", lambda c, e: e.bound / 2),
    "time c t / 2 in the flow": slip("section4.flow_from_zero", lambda c, e: 1 + 0.5 * elapsed(c, e)),
    "two for one at the start": slip("section4.flow_from_zero", lambda c, e: 2 + elapsed(c, e)),
    "c for c/2 in the flow": slip(
        "appendix_b.flow_closed_form", lambda c, e: analytics.flow_margin(2 * elapsed(c, e), starts(c, e)), "printed"
    ),
    "the start forgotten": slip(
        "appendix_b.flow_closed_form", lambda c, e: analytics.flow_margin(elapsed(c, e)), "printed"
    ),
    "1.02 for 1.0237": slip("theorem2.flow_correction_upper", lambda c, e: e.bound * 1.02 / 1.02371508),
    "0.52 for 1/2": slip("theorem2.flow_correction_sign", lambda c, e: e.bound * 1.04),
    "0.3 for log(1 + 1/e)": slip("theorem2.flow_correction_constant", lambda c, e: e.bound * 0.3 / 0.31326169),
    "0.6 for 1/2": slip("appendix_b.correction_domain", lambda c, e: e.bound * 1.2),
    "c/2 in one step": slip("appendix_b.descent_step", lambda c, e: 0.5 * e.bound, "printed"),
    "norm of the input lost": slip(
        "appendix_b.gradient_on_token",
        lambda c, e: e.bound / np.repeat(np.sum(c.problem.inputs**2, axis=1), c.problem.dim), "printed",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", SLIPS)
def test_a_plausible_slip_is_noticed(name):
    assert td.check(SLIPS[name], seed=3).outcome == Outcome.VIOLATED


def test_own_problems_are_judged_and_assumptions_named():
    memory = td.AssociativeMemory.random(3, 2, 5, embedding="orthonormal", rng=4)
    rule = td.GradientDescent(0.5)
    verdict = td.check("cabannes2024.theorem2.descent_margin", form="printed", problem=memory, rule=rule, steps=50)
    assert verdict.outcome == Outcome.VIOLATED
    verdict = td.check("cabannes2024.theorem2.descent_margin", form="corrected", problem=memory, rule=rule, steps=500)
    assert verdict.outcome == Outcome.HOLDS
    tilted = td.AssociativeMemory.two_tokens(correlation=0.3)
    verdict = td.check("cabannes2024.theorem2.descent_margin", form="corrected", problem=tilted, rule=rule)
    assert verdict.outcome == Outcome.NOT_APPLICABLE
    assert "orthogonal" in verdict.failed_assumption
    verdict = td.check("cabannes2024.theorem2.descent_shift", form="corrected", problem=memory, rule=rule)
    assert verdict.outcome == Outcome.NOT_APPLICABLE
    verdict = td.check("cabannes2024.appendix_b.flow_closed_form", problem=memory, rule=td.GradientFlow(), time=1e6)
    assert verdict.outcome == Outcome.HOLDS


def test_numbers_of_the_printed_counterexamples():
    verdict = td.check("cabannes2024.theorem2.loss_bound", form="printed", parameters={"rate": 1.0, "steps": 40})
    evidence = verdict.evidence
    at = int(np.flatnonzero(evidence.axis == 33)[0])
    assert f"{evidence.quantity[at]:.6f}" == "0.030782"
    assert f"{evidence.bound[at]:.6f}" == "0.030303"
