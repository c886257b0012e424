"""A reader's own problems, rules and starts: every claim on two tokens answers, and no proved one is called false."""

import importlib

import numpy as np
import pytest

import traindyn as td
from traindyn.errors import InputError
from traindyn.validation.verdict import Outcome

HOME = "traindyn.validation.claims.cabannes2024."
MODULES = [
    importlib.import_module(HOME + name)
    for name in (
        "equations_two_tokens", "theorem4_flow", "appendix_c_flow", "theorem4_descent", "appendix_c_descent",
        "section42_two_tokens", "proposition5", "spikes", "spike_durations", "new_two_tokens",
    )
]  # fmt: skip
CLAIMS = [claim for module in MODULES for claim in module.CLAIMS if claim.evaluate is not None]


def two(correlation, first):
    return td.AssociativeMemory.two_tokens(correlation=correlation, frequencies=(first, 1 - first))


PROBLEMS = {
    "correlated": two(0.5, 0.7), "repelling": two(-0.5, 0.9), "equal": two(0.9, 0.5), "orthogonal": two(0.0, 0.7),
    "rare first": two(0.5, 0.3), "correlation 1": two(1.0, 0.7), "correlation -1": two(-1.0, 0.7),
    "equal, correlation 1": two(1.0, 0.5), "almost 1": two(0.9999, 0.9),
    "labels swapped": td.AssociativeMemory(two(0.5, 0.7).inputs, np.eye(2), [1, 0], [0.7, 0.3]),
    "one label": td.AssociativeMemory(np.eye(2), np.eye(2), [0, 0], [0.6, 0.4]),
    "one class twice": td.AssociativeMemory(np.eye(2), [[1.0, 0], [1.0, 0]], [0, 1], [0.6, 0.4]),
    "zero input": td.AssociativeMemory([[1.0, 0], [0, 0]], np.eye(2), [0, 1], [0.6, 0.4]),
    "zero output": td.AssociativeMemory(np.eye(2), [[1.0, 0], [0, 0]], [0, 1], [0.6, 0.4]),
    "one token": td.AssociativeMemory([[1.0, 0.0]], np.eye(2), [1], [1.0]),
    "three tokens": td.AssociativeMemory.random(3, 3, 3, embedding="orthonormal", rng=0),
}  # fmt: skip
RUNS = {
    "descent": {"rule": td.GradientDescent(1.0), "steps": 40},
    "chaotic": {"rule": td.GradientDescent(1178.457), "steps": 100},
    "slow": {"rule": td.GradientDescent(1e-6), "steps": 40},
    "no step": {"rule": td.GradientDescent(1.0), "steps": 0},
    "one step": {"rule": td.GradientDescent(1.0), "steps": 1},
    "momentum": {"rule": td.GradientDescent(1.0, momentum=0.9), "steps": 20},
    "flow": {"rule": td.GradientFlow(), "time": 1e4},
    "flow of no time": {"rule": td.GradientFlow(), "time": 0.0},
    "short flow": {"rule": td.GradientFlow(), "time": 1e-3},
}
STARTS = {"zero": None, "random": np.random.default_rng(3).normal(size=(2, 2)), "wrong": -3.0 * np.eye(2)}


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: f"{claim.id.removeprefix('cabannes2024.')}-{claim.form}")
def test_every_case_gets_an_answer(claim):
    for name, problem in PROBLEMS.items():
        for kind, run in RUNS.items():
            for start, initial in STARTS.items():
                where = (claim.id, name, kind, start)
                if initial is not None and problem.dim != 2:
                    continue
                try:
                    verdict = td.check(claim, problem=problem, initial=initial, **run)
                except InputError as error:
                    if "cannot be evaluated" in str(error):
                        raise AssertionError(where) from error
                    continue
                if claim.expected is Outcome.HOLDS:
                    shows_nothing = "more than a quarter" in verdict.message  # an identity untested by its budget
                    fine = verdict.outcome in (Outcome.HOLDS, Outcome.NOT_APPLICABLE) or shows_nothing
                    assert fine, (where, str(verdict))
                if verdict.outcome == Outcome.NOT_APPLICABLE:
                    assert verdict.failed_assumption, where


@pytest.mark.parametrize(
    ("name", "problem", "initial", "missing"),
    [
        ("new.lemma1", two(0.5, 0.5), -3.0 * np.eye(2), r"$a=e^{\gamma_2}\geq 1$"),
        ("new.lemma3", two(0.5, 0.7), np.array([[3.0, -3.0], [0.0, 0.0]]), r"$0\leq\gamma_1\leq\log(p_1/p_2)$"),
        ("equation34.turning_level", two(0.5, 0.3), None, r"$p_1 \geq p_2$"),
        ("appendix_c.update_cone", two(1.0, 0.7), None, r"$-1 < \alpha < 1$"),
    ],
)
def test_the_missing_assumption_is_named(name, problem, initial, missing):
    claim = next(c for c in reversed(CLAIMS) if c.id == f"cabannes2024.{name}")
    verdict = td.check(claim, problem=problem, rule=td.GradientDescent(1.0), steps=1, initial=initial)
    assert verdict.outcome == Outcome.NOT_APPLICABLE
    assert verdict.failed_assumption == missing


@pytest.mark.parametrize("correlation", [1.0, -1.0])
def test_both_ends_of_the_correlation_are_certified_by_closed_forms(correlation):
    claim = next(c for c in CLAIMS if c.id == "cabannes2024.theorem4.correlation_range" and c.form == "printed")
    verdict = td.check(claim, problem=two(correlation, 0.7), rule=td.GradientFlow(), time=1e4)
    assert verdict.outcome == Outcome.VIOLATED
    assert verdict.certified


@pytest.mark.parametrize(
    ("correlation", "first", "rate", "steps"),
    [(0.95, 0.6, 30.0, 2000), (0.99, 0.9, 1340.0, 9481), (-0.741, 0.6, 20.6, 402), (0.5, 0.7, 1e6, 1)],
)
def test_a_descent_before_its_late_regime_is_not_judged(correlation, first, rate, steps):
    verdict = td.check(
        "cabannes2024.appendix_c.descent_alignment", form="corrected", problem=two(correlation, first),
        rule=td.GradientDescent(rate), steps=steps,
    )  # fmt: skip
    assert verdict.outcome == Outcome.NOT_APPLICABLE
    assert "at a hundredth of the run" in verdict.failed_assumption


def test_the_exponent_is_not_judged_where_its_constant_may_vanish():
    for correlation in (-0.3, -0.2304, -0.22, 0.0, 0.1):
        verdict = td.check(
            "cabannes2024.new.alignment_exponent", form="corrected", problem=two(correlation, 0.7),
            rule=td.GradientFlow(), time=1e6,
        )  # fmt: skip
        assert verdict.outcome == Outcome.NOT_APPLICABLE


def test_the_constant_of_alignment_is_never_called_false():
    """Rare tokens and short runs: the budget knows the frequencies; most long runs are decided."""
    held = 0
    for correlation in (0.6, 0.8, 0.95, 0.99):
        for first in (0.9, 0.99, 0.999, 0.9999):
            for time in (1e4, 1e6, 1.9e7, 1e10):
                verdict = td.check(
                    "cabannes2024.new.alignment_constant", form="corrected", problem=two(correlation, first),
                    rule=td.GradientFlow(), time=time,
                )  # fmt: skip
                assert verdict.outcome != Outcome.VIOLATED, (correlation, first, time, str(verdict))
                held += verdict.outcome == Outcome.HOLDS
    assert held >= 20


@pytest.mark.parametrize("name", ["new.imperfect_steps", "proposition5.criterion"])
def test_rounded_orthogonal_inputs_are_judged(name):
    tiny = two(0.0, 0.7)
    inputs = np.array([[1.0, 0.0], [-1.6e-16, 1.0]])
    problem = td.AssociativeMemory(inputs, tiny.outputs, tiny.targets, tiny.frequencies)
    verdict = td.check(
        f"cabannes2024.{name}", form="corrected", problem=problem, rule=td.GradientDescent(1.0), steps=20
    )
    assert verdict.outcome == Outcome.HOLDS


@pytest.mark.parametrize(
    "name", ["equation19.modes", "equation31.flow_margins", "equation32.tilt_flow", "equation33.mean_margin_flow"]
)
def test_the_field_is_judged_under_any_rule(name):
    for run in (RUNS["flow"], RUNS["momentum"]):
        verdict = td.check(
            f"cabannes2024.{name}", form="corrected", problem=two(0.5, 0.7), initial=STARTS["random"], **run
        )
        assert verdict.outcome == Outcome.HOLDS, str(verdict)
