"""`parametrize_with_claims` and the pytest plugin, seen through suites of other people."""

from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import traindyn as td
from traindyn.errors import InputError
from traindyn.validation import Case, Claim, ClaimCheck, ClaimFailed, Evidence, Family, Outcome, Parameter, Source, find
from traindyn.validation.suite import describe

NAME = "cabannes2024.theorem2.descent_margin"


def pytest_run(folder: Path, text: str, *options: str) -> subprocess.CompletedProcess[str]:
    (folder / "test_theirs.py").write_text(text, encoding="utf-8")
    command = [sys.executable, "-P", "-m", "pytest", "-p", "no:cacheprovider", "--strict-markers", "-W", "error"]
    return subprocess.run(
        [*command, *options, "test_theirs.py"], cwd=folder, capture_output=True, text=True, timeout=300, check=False
    )


THEIRS = """
import numpy as np
import traindyn as td

@td.validation.parametrize_with_claims("cabannes2024.theorem2.descent_margin")
def test_claim(check):
    check()

@td.validation.parametrize_with_claims("cabannes2024.theorem2.descent_margin", form="corrected")
def test_mine(check):
    memory = td.AssociativeMemory(np.eye(3), np.eye(3)[:2], [0, 1, 1], [0.5, 0.3, 0.2])
    check(problem=memory, rule=td.GradientDescent(0.7), steps=100)

@td.validation.parametrize_with_claims("cabannes2024.theorem2.descent_margin", form="corrected", argument="bound")
def test_elsewhere(bound):
    bound(problem=td.AssociativeMemory.two_tokens(0.5), rule=td.GradientDescent(0.7), steps=100)

@td.validation.parametrize_with_claims("cabannes2024.theorem2.descent_margin", form="printed")
def test_wrong(check):
    memory = td.AssociativeMemory(np.eye(2), np.eye(2), [0, 1], [0.5, 0.5])
    check(problem=memory, rule=td.GradientDescent(0.1), steps=100)
"""


def test_a_suite_of_other_people(tmp_path: Path) -> None:
    done = pytest_run(tmp_path, THEIRS, "-v", "-rs")
    shown = done.stdout
    for line in (
        f"test_claim[{NAME}-printed] PASSED",
        f"test_claim[{NAME}-corrected] PASSED",
        f"test_mine[{NAME}-corrected] PASSED",
        f"test_elsewhere[{NAME}-corrected] SKIPPED",
        f"test_wrong[{NAME}-printed] FAILED",
        "does not apply: the input embeddings are orthogonal",
        f"claim violated: {NAME} [printed] (wanted: holds)",
        f"this test: pytest 'test_theirs.py::test_wrong[{NAME}-printed]'",
        "1 failed, 3 passed, 1 skipped",
    ):
        assert line in shown, shown
    assert "Traceback" not in shown
    assert "def test_wrong" not in shown  # the finding, not the source


def test_options_reach_the_checks_and_the_marker_selects(tmp_path: Path) -> None:
    text = """
import traindyn as td

@td.validation.parametrize_with_claims("cabannes2024.theorem2.descent_margin", form="corrected")
def test_seed(check):
    assert (check.budget, check.seed) == ("fast", 7)
    assert check().seed == 7

@td.validation.parametrize_with_claims("cabannes2024.theorem2.descent_margin", form="corrected", seed=0, budget="fast")
def test_own_seed(check):
    assert (check.budget, check.seed) == ("fast", 0)

def test_other():
    raise AssertionError
"""
    done = pytest_run(tmp_path, text, "-q", "-m", "traindyn_claim", "--traindyn-seed", "7")
    assert "2 passed, 1 deselected" in done.stdout, done.stdout
    assert "--traindyn-budget" in pytest_run(tmp_path, text, "--help").stdout
    assert "invalid choice: 'slow'" in pytest_run(tmp_path, text, "--traindyn-budget", "slow").stderr


def wrong_by(factor: float, expected: Outcome = Outcome.HOLDS) -> Claim:
    """x >= factor x on [1, 2]."""
    family = Family((Parameter("x", 1.0, 2.0),), lambda x: Case({"x": x}), show={"x": 1.5})

    def evaluate(case: Case) -> Evidence:
        x = case.parameters["x"]
        return Evidence([0.0], [x], [factor * x], 1e-15, axis_name="point")

    return Claim(
        id="mine.place.what", form="printed", title="t", statement="s", source=Source("mine", "place"), quantity="$x$",
        relation=">=", bound="$kx$", expected=expected, reason="by design", family=family, evaluate=evaluate,
    )  # fmt: skip


def test_a_check_fails_when_the_outcome_is_not_the_expected_one() -> None:
    assert ClaimCheck(wrong_by(0.5))().outcome is Outcome.HOLDS
    assert ClaimCheck(wrong_by(2.0, Outcome.VIOLATED))().outcome is Outcome.VIOLATED
    with pytest.raises(ClaimFailed, match="claim violated: mine"):
        ClaimCheck(wrong_by(2.0))()
    with pytest.raises(ClaimFailed, match=r"claim holds: mine.place.what \[printed\] \(wanted: violated\)"):
        ClaimCheck(wrong_by(0.5, Outcome.VIOLATED))()


def test_a_situation_of_ones_own_fails_only_where_the_claim_is_violated() -> None:
    check = ClaimCheck(wrong_by(2.0, Outcome.VIOLATED))
    with pytest.raises(ClaimFailed):
        check(parameters={"x": 1.25})
    assert ClaimCheck(wrong_by(0.5, Outcome.VIOLATED))(parameters={"x": 1.25}).outcome is Outcome.HOLDS


def test_the_description_says_what_where_by_how_much_and_how_again() -> None:
    with pytest.raises(ClaimFailed) as failed:
        ClaimCheck(wrong_by(2.0))(parameters={"x": 1.25})
    text = str(failed.value)
    assert "says:     $x$ >= $kx$" in text
    assert "where:    x = 1.25, point = 0" in text
    assert "by:       quantity 1.25, bound 2.5: slack -1.25, 0.5 of the bound" in text
    assert "td.check('mine.place.what', form='printed', parameters={'x': 1.25})" in text
    assert describe(failed.value.verdict, Outcome.HOLDS) == failed.value.traindyn_report


def test_a_failure_travels_between_processes() -> None:
    verdict = td.check(NAME, form="printed")
    assert "claim violated" in str(ClaimFailed(verdict))
    copy = pickle.loads(pickle.dumps(InputError("law", 1, "cure")))
    assert str(copy) == "law; got 1; cure"


def test_claim_objects_and_unknown_names() -> None:
    decorate = td.validation.parametrize_with_claims(wrong_by(0.5), find(NAME, "printed"), find(NAME, "printed"))

    @decorate
    def test(check: ClaimCheck) -> None: ...

    (mark,) = test.pytestmark  # type: ignore[attr-defined]
    assert [item.id for item in mark.args[1]] == ["mine.place.what-printed", f"{NAME}-printed"]
    with pytest.raises(InputError, match="descent_margin"):
        td.validation.parametrize_with_claims("cabannes2024.theorem2.descent_margn")


def test_claims_that_cannot_be_tested_are_skipped_with_their_reason() -> None:
    untestable = [claim for claim in td.claims() if claim.evaluate is None]
    if not untestable:
        pytest.skip("every registered claim can be tested")
    decorate = td.validation.parametrize_with_claims(untestable[0])

    @decorate
    def test(check: ClaimCheck) -> None: ...

    (item,) = test.pytestmark[0].args[1]  # type: ignore[attr-defined]
    assert untestable[0].reason in next(mark for mark in item.marks if mark.name == "skip").kwargs["reason"]
    assert np.isscalar(item.id)
