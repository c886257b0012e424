"""Claims on two correlated tokens: outcomes, and the slips that must break them."""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Callable
from typing import Any
from unittest import mock

import numpy as np
import pytest

from traindyn.validation.check import check
from traindyn.validation.claim import Claim
from traindyn.validation.verdict import Outcome

HOME = "traindyn.validation.claims.cabannes2024."
MODULES = [
    importlib.import_module(HOME + name)
    for name in (
        "equations_two_tokens", "theorem4_flow", "appendix_c_flow", "theorem4_descent", "appendix_c_descent",
        "section42_two_tokens", "proposition5", "spikes", "spike_durations", "new_two_tokens",
    )
]  # fmt: skip
CASES = importlib.import_module(HOME + "two_token_cases")
SHARED = importlib.import_module(HOME + "flow_evidence")
STATES = importlib.import_module(HOME + "two_token_assumptions")
REGIME = importlib.import_module(HOME + "two_token_regime")
ALL = {claim.key: (claim, module) for module in MODULES for claim in module.CLAIMS}


@pytest.mark.parametrize("key", ALL, ids=lambda key: f"{key[0].removeprefix('cabannes2024.')}-{key[1]}")
def test_outcome_is_the_expected_one(key: tuple[str, str]) -> None:
    claim, _ = ALL[key]
    verdict = check(claim, seed=0)
    assert verdict.outcome == claim.expected, str(verdict)
    if verdict.outcome == Outcome.VIOLATED:
        assert verdict.certified
        assert verdict.witness is not None
        again = check(claim, parameters=verdict.witness.parameters)
        assert again.outcome == Outcome.VIOLATED


def test_every_row_of_the_errata_is_there() -> None:
    rows = {claim.source.erratum for claim, _ in ALL.values()}
    assert {f"T4.{number}" for number in range(1, 18)} | {"P5.1", "P5.2", "L1", "L2", "L3", "(5.2)", "(5.3)"} <= rows
    names = {claim.id.split(".")[1] for claim, _ in ALL.values()}
    assert {f"equation{n}" for n in (16, 17, 18, 19, 21, 30, 31, 32, 33, 34, 35, 36, 37)} <= names


def test_corrected_claims_carry_a_proof_and_all_a_reason() -> None:
    for claim, _ in ALL.values():
        assert claim.reason
        assert claim.proof or claim.form == "printed", claim.id
        if claim.evaluate is not None:
            assert claim.family is not None
            assert claim.family.show is not None


def flipped(correlation: float, pair: Any, distance: float) -> Any:
    return -correlation, pair, distance


def half_distance(correlation: float, pair: Any, distance: float) -> Any:
    return correlation, pair, 0.5 * distance


def double_distance(correlation: float, pair: Any, distance: float) -> Any:
    return correlation, pair, 2.0 * distance


def swapped(correlation: float, pair: Any, distance: float) -> Any:
    return correlation, pair[::-1], distance


def forgotten(correlation: float, pair: Any, distance: float) -> Any:
    return 0.0, pair, distance


def slipped(claim: Claim, module: Any, slip: Callable[..., Any]) -> Claim:
    """The claim with a slip in its bound: the bound's formula gets other numbers than the simulation."""

    def evaluate(case: Any) -> Any:
        assert claim.evaluate is not None
        wrong = {"numbers": lambda case: slip(*CASES.numbers(case))}
        with mock.patch.multiple(module, **wrong), mock.patch.multiple(SHARED, **wrong):
            return claim.evaluate(case)

    return dataclasses.replace(claim, evaluate=evaluate, exact=None)


SLIPS = [
    # 1 - alpha for 1 + alpha, a lost or a spurious 1/2 in c, p_1 for p_2
    ("equation17.margin_step", "printed", (flipped, half_distance, double_distance, swapped)),
    ("equation19.modes", "corrected", (flipped, half_distance, double_distance, swapped)),
    ("equation30.projected_gradient", "printed", (flipped, half_distance, double_distance, swapped)),
    ("equation31.flow_margins", "corrected", (flipped, half_distance, double_distance, swapped)),
    ("equation35.tilt_step", "corrected", (flipped, half_distance, double_distance, swapped)),
    ("equation36.mean_margin_step", "corrected", (flipped, half_distance, double_distance, swapped)),
    ("theorem4.flow_mean_margin", "corrected", (flipped, half_distance, double_distance)),
    ("theorem4.growth_constant", "corrected", (flipped, half_distance, double_distance, swapped)),
    ("theorem4.growth_constant_upper", "corrected", (half_distance, flipped)),
    ("appendix_c.flow_mean_margin_lower", "printed", (flipped, double_distance)),
    ("theorem4.correlation_range", "corrected", (forgotten, double_distance)),
    ("appendix_c.flow_tilt_power", "corrected", (swapped,)),
    ("theorem4.descent_mean_margin", "corrected", (flipped, double_distance)),
    ("equation37.telescope", "printed", (flipped,)),
    ("appendix_c.descent_indications", "corrected", (flipped, double_distance)),
    ("theorem4.descent_tilt", "corrected", (flipped, half_distance)),
    ("appendix_c.descent_tilt", "corrected", (flipped, half_distance)),
    ("appendix_c.descent_alignment", "corrected", (flipped,)),
    ("section42.one_step", "corrected", (flipped, half_distance, double_distance)),
    ("section42.early_training", "corrected", (half_distance, flipped)),
    ("proposition5.first_step", "corrected", (half_distance, double_distance)),
    ("proposition5.criterion", "corrected", (half_distance, forgotten)),
    ("new.spike_steps_above", "corrected", (double_distance, half_distance)),
    ("new.spike_peak", "corrected", (double_distance, half_distance)),
    ("new.first_step_threshold", "corrected", (double_distance, half_distance)),
    ("new.first_step_bracket", "corrected", (half_distance,)),
    ("new.lemma1", "corrected", (double_distance, flipped)),
    ("new.lemma2", "corrected", (double_distance, flipped)),
    ("new.lemma3", "corrected", (half_distance, flipped)),
    ("new.two_token_orbit", "corrected", (flipped, half_distance, double_distance)),
    ("new.tilt_envelope", "corrected", (flipped,)),
    ("new.alignment_exponent", "corrected", (flipped,)),
    ("new.alignment_constant", "corrected", (half_distance, double_distance)),
    ("new.uncorrelated_flow", "corrected", (half_distance, double_distance)),
    ("new.two_token_loss_limit", "corrected", (flipped, half_distance, double_distance)),
    ("new.two_token_loss", "corrected", (flipped, double_distance)),
]


@pytest.mark.parametrize(
    ("name", "form", "slip"),
    [(name, form, slip) for name, form, slips in SLIPS for slip in slips],
    ids=lambda value: getattr(value, "__name__", str(value)),
)
def test_a_plausible_slip_is_seen(name: str, form: str, slip: Callable[..., Any]) -> None:
    claim, module = ALL[f"cabannes2024.{name}", form]
    verdict = check(slipped(claim, module, slip), seed=0)
    assert verdict.outcome == Outcome.VIOLATED, str(verdict)


def test_a_bound_without_its_slack_terms_is_seen() -> None:
    """Slips that no change of the numbers expresses: a lost log 2, the limit for the range, the wrong power."""
    scale = {
        ("proposition5.criterion", "corrected"): (lambda bound: bound - np.log(2.0)),
        ("appendix_c.flow_tilt_level", "corrected"): (lambda bound: 0.5 * bound),
        ("appendix_c.growth_share", "corrected"): (lambda bound: 1.01 * bound),
        ("new.imperfect_steps", "corrected"): (lambda bound: 0.25 * bound),
        ("new.perfect_time", "corrected"): (lambda bound: bound + 1.0),
        ("new.spike_duration", "corrected"): (lambda bound: bound + 1.0),
        ("appendix_c.descent_alignment", "corrected"): (lambda bound: 0.8 * bound),
        ("new.alignment_exponent", "corrected"): (lambda bound: 0.9 * bound),
    }
    for (name, form), change in scale.items():
        claim, _ = ALL[f"cabannes2024.{name}", form]

        def evaluate(case: Any, claim: Claim = claim, change: Any = change) -> Any:
            assert claim.evaluate is not None
            evidence = claim.evaluate(case)
            return dataclasses.replace(evidence, bound=change(evidence.bound))

        verdict = check(dataclasses.replace(claim, evaluate=evaluate, exact=None), seed=0)
        assert verdict.outcome == Outcome.VIOLATED, str(verdict)


def test_the_certificate_is_not_generous() -> None:
    """Rates 1.3 times the certified one spike for strong correlation and nearly equal frequencies."""
    claim, module = ALL["cabannes2024.new.no_spike_certificate", "corrected"]
    assert claim.family is not None
    wider = dataclasses.replace(claim.family, corners=(), build=lambda correlation, rare, share, squared_distance: (
        module._certified_case(max(correlation, 0.9), max(rare, 0.3), 1.3, squared_distance)
    ))  # fmt: skip
    free = dataclasses.replace(claim, family=wider, assumptions=claim.assumptions[:-1], exact=None)
    assert check(free, seed=0).outcome == Outcome.VIOLATED


@pytest.mark.parametrize(
    "assumption",
    [
        CASES.Flow(), CASES.Interfering(), CASES.Interfering(positive=False),
        importlib.import_module(HOME + "spike_durations").SpikeRegime(),
        importlib.import_module(HOME + "spikes").Certified(),
        importlib.import_module(HOME + "spikes").Certified(exceeded=True),
        STATES.PositiveMean(), STATES.TiltWithin(), STATES.Unequal(), STATES.LateEnd(),
        REGIME.SeparatedRates(), REGIME.LateRegime(), REGIME.LateRegime(descent=True),
    ],
    ids=str,
)  # fmt: skip
def test_assumptions_draw_what_they_say(assumption: Any) -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        assert assumption.holds(assumption.draw(rng, "inside"))
        assert assumption.holds(assumption.draw(rng, "boundary"))
        assert not assumption.holds(assumption.draw(rng, "outside"))
        assert str(assumption)


def test_a_case_outside_the_assumptions_is_not_applicable() -> None:
    verdict = check(
        "cabannes2024.theorem4.descent_tilt", form="corrected", problem=CASES.memory(0.5, 0.7),
        rule=CASES.GradientDescent(1.0), steps=10,
    )  # fmt: skip
    assert verdict.outcome == Outcome.NOT_APPLICABLE
    assert verdict.failed_assumption == "$p_1 \\geq p_2$"


def test_a_users_own_case_is_judged() -> None:
    problem, rule = CASES.memory(0.9, 0.1), CASES.GradientDescent(100.0)
    printed = check("cabannes2024.appendix_c.descent_tilt", form="printed", problem=problem, rule=rule, steps=2000)
    assert printed.outcome == Outcome.VIOLATED
    corrected = check("cabannes2024.appendix_c.descent_tilt", form="corrected", problem=problem, rule=rule, steps=2000)
    assert corrected.outcome == Outcome.HOLDS
    flow = check("cabannes2024.theorem4.growth_constant", form="corrected", problem=problem, rule=CASES.GradientFlow())
    assert flow.outcome == Outcome.HOLDS
