"""Claims on many classes, curvature and separable problems: every outcome is the expected one, and slips are caught."""

import dataclasses
import importlib

import mpmath
import numpy as np
import pytest
from mpmath import mpf

from traindyn import analytics
from traindyn.validation.case import Family, Parameter
from traindyn.validation.check import check
from traindyn.validation.verdict import Outcome

MODULES = (
    "appendix_a",
    "hessian",
    "multiclass_solutions",
    "section4_equations",
    "section4_invariants",
    "section4_one_step",
    "section51_calibration",
    "section51_sharpness",
    "section5_margins",
    "separable_loss",
    "separable_time",
    "theorem3",
    "theorem3_descent",
)
HOME = "traindyn.validation.claims.cabannes2024."
CLAIMS = {claim.key: claim for name in MODULES for claim in importlib.import_module(HOME + name).CLAIMS}


def names(key):
    return f"{key[0].removeprefix('cabannes2024.')}-{key[1]}"


@pytest.mark.parametrize("key", CLAIMS, ids=names)
def test_outcome_is_the_expected_one(key):
    claim = CLAIMS[key]
    verdict = check(claim, seed=0)
    assert verdict.outcome == claim.expected, str(verdict)
    if claim.expected is Outcome.VIOLATED:
        assert verdict.certified, str(verdict)
        again = check(claim, parameters=verdict.witness.parameters)
        assert again.outcome == Outcome.VIOLATED
        assert again.slack == verdict.slack


def test_every_printed_claim_that_fails_has_a_corrected_form_that_holds():
    for (name, form), claim in CLAIMS.items():
        if form == "printed" and claim.expected is not Outcome.HOLDS and name != "cabannes2024.appendix_b.sum_vanishes":
            assert CLAIMS[name, "corrected"].expected is Outcome.HOLDS
    # what replaces sum w = o(1) is that it is conserved
    assert CLAIMS["cabannes2024.appendix_b.sum_invariant", "printed"].expected is Outcome.HOLDS


def test_every_row_of_the_errata_has_its_claim():
    rows = {claim.source.erratum for claim in CLAIMS.values()}
    assert {"T3.1", "T3.2", "T3.3", "T3.4", "T3.5", "T3.6", "H1", "S5.1", "S5.2", "S5.3", "S5.4"} <= rows


def mutant(name, form="corrected", **fields):
    """Return a claim with some fields replaced, without its exact evaluation."""
    return dataclasses.replace(CLAIMS["cabannes2024." + name, form], exact=None, **fields)


def with_bound(name, change):
    """Return a claim whose bound is changed by a slip."""
    claim = CLAIMS["cabannes2024." + name, "corrected"]

    def evaluate(case):
        evidence = claim.evaluate(case)
        return dataclasses.replace(evidence, bound=change(evidence, case))

    return mutant(name, evaluate=evaluate)


SLIPS = {
    "the constant of the limit is lost by a half": ("theorem3.constant", lambda e, c: 0.5 * e.bound),
    "1/M becomes 1/(M-1) in b": (
        "theorem3.projection", lambda e, c: np.array([e.bound[0], 1 / (len(c.problem.outputs) - 1)])),
    "the remainder lacks its M-1": ("theorem3.limit", lambda e, c: e.bound / len(c.problem.outputs)),
    "log p for log N p": ("section4.independent_of_frequencies",
                          lambda e, c: np.linalg.norm(np.log(c.problem.frequencies)) * np.ones(1)),
    "half of the clock": ("new.tied_flow", lambda e, c: analytics.tied_flow_margin(
        0.5 * e.axis[::len(c.problem.inputs), None] * c.problem.frequencies, len(c.problem.outputs)).ravel()),
    "M-2 wrong classes": ("appendix_b.tightest_factor", lambda e, c: e.bound - 1),
    "c/8 for c/4 in the norm": ("new.hessian_norm", lambda e, c: 0.5 * e.bound),
    "one rank less": ("new.hessian_rank", lambda e, c: e.bound - 1),
    "ceil(D/(2 eta p)) + 1 below": ("new.steps_to_learn", lambda e, c: e.bound + (np.arange(len(e.bound)) == 0)),
    "c+2 for c+1": ("new.descent_tightest_margin", lambda e, c: e.bound[0] + (e.bound - e.bound[0]) * 1.5),
    "1-p1 for (1-p1)/2": ("section51.calibration", lambda e, c: 2 * e.bound),
    "one term too many in Cover's sum": ("new.cover_count", lambda e, c: np.array(
        [float(analytics.separable_labelings(len(c.problem.inputs), c.problem.inputs.shape[1] + 1))])),
    "twice the margin squared": ("new.flow_loss", lambda e, c: 0.5 * e.bound),
    "a wrong class counted twice": ("new.orthonormal_loss", lambda e, c: e.bound * 1.2),
    "R^2 D^2/8 for the loss": ("section51.separable_sharpness", lambda e, c: e.bound / 8),
}  # fmt: skip


@pytest.mark.parametrize("slip", SLIPS)
def test_a_slip_in_the_bound_is_caught(slip):
    name, change = SLIPS[slip]
    assert check(with_bound(name, change), seed=0).outcome == Outcome.VIOLATED


def test_a_step_is_not_enough_from_minus_two_steps():
    claim = CLAIMS["cabannes2024.section4.one_step", "corrected"]
    close = claim.assumptions[-1]
    # a lost factor: 2 eta p for eta p
    from traindyn.validation.claims.cabannes2024 import multiclass_descent as module

    loose = dataclasses.replace(
        close, slack=lambda case: float(min(np.min(m) + 2 * r for m, r in zip(
            module._start_margins(case), module._rates(case), strict=True))))  # fmt: skip
    wide = dataclasses.replace(claim.family, corners=({"rate": 3.0, "scale": 3.0}, {"rate": 1.0, "scale": 2.0}))
    broken = mutant("section4.one_step", assumptions=(*claim.assumptions[:-1], loose), family=wide)
    assert check(broken, seed=0).outcome == Outcome.VIOLATED


def test_contraction_needs_its_rate():
    claim = CLAIMS["cabannes2024.new.descent_contraction", "corrected"]
    parameters = tuple(Parameter("rate", 3.0, 30.0, "log") if p.name == "rate" else p for p in claim.family.parameters)
    family = Family(parameters, claim.family.build)
    broken = mutant("new.descent_contraction", assumptions=(), family=family)
    assert check(broken, seed=0).outcome == Outcome.VIOLATED


def test_the_descent_lemma_is_sharp_to_a_factor_four():
    claim = CLAIMS["cabannes2024.section51.dichotomy", "corrected"]
    parameters = tuple(Parameter("fraction", 3.9, 4.1) if p.name == "fraction" else p for p in claim.family.parameters)
    family = Family(parameters, claim.family.build)
    broken = mutant("section51.dichotomy", assumptions=(), family=family)
    assert check(broken, seed=0).outcome == Outcome.VIOLATED


def test_the_slow_mode_has_a_sign():
    module = importlib.import_module(HOME + "multiclass_solutions")
    from traindyn.validation.claims.cabannes2024.situations_multiclass import start_scores, target_first

    def evaluate(case):
        # the slow term removed with the wrong sign: shift each distance from the lower end by twice the term
        evidence, points = module._slow_points(case)
        f = int(case.problem.targets[0])
        mode = analytics.slow_mode(target_first(start_scores(case)[0], f))
        rate = float(case.problem.frequencies[0])
        term = np.array([
            mode[j] * (rate * t) ** (-1 / (len(mode) + 1))
            for t, (_, j, _) in zip(evidence.axis, points, strict=True)
        ])  # fmt: skip
        sign = np.where([upper for *_, upper in points], -1.0, 1.0)
        return dataclasses.replace(evidence, bound=-2 * sign * term)

    assert check(mutant("new.slow_mode", evaluate=evaluate), seed=0).outcome == Outcome.VIOLATED


@pytest.mark.parametrize("digits", [50, 80])
def test_the_cycle_closes_and_is_stable(digits):
    from traindyn.validation.claims.cabannes2024.section51_sharpness import _build_cycle, line_cycle

    case = _build_cycle(0.75)
    with mpmath.workdps(digits):
        last, closure, multiplier, best = line_cycle(case, 4000)
        after = line_cycle(case, 4001)[0]
        assert closure < mpf(10) ** (5 - digits)
        assert abs(multiplier - mpf("-0.165")) < 0.0006
        assert abs(best - mpf("0.0834621")) < mpf(10) ** -7
        assert sorted([float(last), float(after)]) == pytest.approx([-0.113568, 1.891658], abs=6e-7)
        # the minimum is linearly stable there: |1 - eta c H_v| = 1/2
        z = [0.9, -1.15, 100.0]
        curvature = sum(p * s * s / ((1 + mpmath.exp(s * best)) * (1 + mpmath.exp(-s * best)))
                        for p, s in zip([mpf(0.58), mpf(0.417), mpf(0.003)], z, strict=True))  # fmt: skip
        assert float(2 * case.rule.learning_rate * curvature) == pytest.approx(1.5, abs=1e-9)
        assert 2 * case.rule.learning_rate == pytest.approx(5.7262, abs=6e-5)


def test_given_problems_are_answered():
    import traindyn as td

    claim = CLAIMS["cabannes2024.new.hessian_norm", "corrected"]
    memory = td.AssociativeMemory.random(5, 3, 4, rng=0)
    assert check(claim, problem=memory, initial=np.ones((4, 4))).outcome == Outcome.HOLDS
    lemma = CLAIMS["cabannes2024.section51.dichotomy", "corrected"]
    too_fast = check(lemma, problem=memory, rule=td.GradientDescent(1e6), steps=5)
    assert too_fast.outcome == Outcome.NOT_APPLICABLE
    theorem = CLAIMS["cabannes2024.theorem3.limit", "corrected"]
    assert check(theorem, problem=memory, rule=td.GradientFlow(), time=1e4).outcome == Outcome.NOT_APPLICABLE
    orthonormal = td.AssociativeMemory.random(3, 3, 4, embedding="orthonormal", rng=0)
    assert check(theorem, problem=orthonormal, rule=td.GradientFlow(), time=1e5).outcome == Outcome.HOLDS
    assert check(theorem, problem=orthonormal, rule=td.GradientDescent(1.0), steps=5).outcome == Outcome.NOT_APPLICABLE
