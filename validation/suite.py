"""Claims as test items of somebody's suite: one pytest item a claim, and failures that read like a finding.

pytest is imported only when a suite uses it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NoReturn

from ..errors import MissingLibraryError
from .check import check
from .claim import Claim
from .registry import claims
from .verdict import Outcome, Verdict

if TYPE_CHECKING:
    from types import ModuleType

DEFAULT_BUDGET = "fast"
DEFAULT_SEED = 0


class ClaimFailed(AssertionError):
    """A verdict is not the one that a test asks for; the pytest plugin prints it as `describe` does."""

    def __init__(self, verdict: Verdict, wanted: Outcome = Outcome.HOLDS) -> None:
        self.verdict, self.wanted = verdict, wanted
        super().__init__(describe(verdict, wanted))

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.verdict, self.wanted)

    @property
    def traindyn_report(self) -> str:
        """Return the text that the pytest plugin prints in place of a traceback."""
        return str(self)


class ClaimCheck:
    """What a test made by `parametrize_with_claims` is handed: call it to check its claim.

    `claim` is the claim. Called without arguments it searches the claim's own cases and fails unless the outcome is
    the expected one. Called with `problem=` (and rule, steps, time, initial) or `parameters=` it tests that situation:
    it fails when the claim is violated there, and skips, naming the assumption, when the claim does not speak of it.
    """

    def __init__(self, claim: Claim, budget: str | None = None, seed: int | None = None) -> None:
        self.claim, self.budget, self.seed = claim, budget, seed

    def traindyn_defaults(self, budget: str, seed: int) -> None:
        """Take budget and seed of the command line, where the suite left them open (called by the plugin)."""
        self.budget = self.budget or budget
        self.seed = seed if self.seed is None else self.seed

    def __call__(self, **situation: Any) -> Verdict:
        verdict = check(
            self.claim,
            budget=self.budget or DEFAULT_BUDGET,
            seed=DEFAULT_SEED if self.seed is None else self.seed,
            **situation,
        )
        if not situation:
            if not verdict.as_expected:
                raise ClaimFailed(verdict, verdict.expected)
        elif verdict.outcome == Outcome.NOT_APPLICABLE:
            _skip(f"{self.claim.id} does not apply: {verdict.message or verdict.failed_assumption}")
        elif verdict.outcome in (Outcome.VIOLATED, Outcome.INCONCLUSIVE):
            raise ClaimFailed(verdict, Outcome.HOLDS)
        return verdict

    def __repr__(self) -> str:
        return f"ClaimCheck({self.claim.id} [{self.claim.form}])"


def parametrize_with_claims(
    *patterns: str | Claim,
    form: str | None = None,
    budget: str | None = None,
    seed: int | None = None,
    argument: str = "check",
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Return a decorator that makes one test item of each claim.

    The test is handed a `ClaimCheck` under the name `argument`. Items are named after the claim and its form and carry
    the marker `traindyn_claim`; a claim that cannot be tested is skipped with its reason.

    Parameters
    ----------
    patterns : shell patterns over claim ids, or `Claim` objects
    form : "printed" or "corrected"; both by default
    budget : "fast" or "full"; by default the option --traindyn-budget of pytest
    seed : of the search; by default the option --traindyn-seed of pytest
    argument : the name of the test's argument

    Raises
    ------
    InputError : no claim matches a pattern; the message names the nearest.
    MissingLibraryError : pytest is not installed.

    Examples
    --------
    >>> import traindyn as td
    >>> @td.validation.parametrize_with_claims("cabannes2024.theorem2.*", form="corrected")
    ... def test_theorem_2(check):
    ...     check()
    """
    pytest = _pytest()
    chosen = [claim for pattern in patterns or ("*",)
              for claim in ((pattern,) if isinstance(pattern, Claim) else claims(pattern, form))]  # fmt: skip
    unique = {claim.key: claim for claim in chosen}
    items = []
    for (name, kind), claim in unique.items():
        marks = [pytest.mark.traindyn_claim(name, kind)]
        if claim.evaluate is None:
            marks.append(pytest.mark.skip(reason=f"{name} [{kind}] cannot be tested: {claim.reason}"))
        items.append(pytest.param(ClaimCheck(claim, budget, seed), id=f"{name}-{kind}", marks=marks))
    decorate: Callable[[Callable[..., Any]], Callable[..., Any]] = pytest.mark.parametrize(argument, items)
    return decorate


def describe(verdict: Verdict, wanted: Outcome = Outcome.HOLDS) -> str:
    """Return a verdict as a person would want to read it: claim, where, by how much, how to reproduce.

    >>> import traindyn as td
    >>> verdict = td.check("cabannes2024.theorem2.descent_margin", form="printed")
    >>> print(describe(verdict))  # doctest: +ELLIPSIS
    claim violated: cabannes2024.theorem2.descent_margin [printed] (wanted: holds)
    ...
    """
    claim, witness = verdict.claim, verdict.witness
    verb = {Outcome.NOT_APPLICABLE: "not applicable", Outcome.NOT_TESTABLE: "not testable"}.get(
        verdict.outcome, str(verdict.outcome)
    )
    rows = [
        ("says", f"{claim.quantity} {claim.relation} {claim.bound}"),
        ("source", str(claim.source)),
    ]
    if verdict.failed_assumption:
        rows.append(("assumes", f"{verdict.failed_assumption}, which fails here"))
    if verdict.where:
        rows.append(("where", ", ".join(f"{name} = {_short(value)}" for name, value in verdict.where.items())))
    if witness is not None:
        share = f", {abs(witness.slack / witness.bound):.3g} of the bound" if witness.bound else ""
        rows.append(
            ("by", f"quantity {witness.quantity:.10g}, bound {witness.bound:.10g}: slack {witness.slack:.6g}{share}")
        )
        if witness.exact_slack is not None:
            sure = "certified" if verdict.certified else "not certified"
            rows.append(("exactly", f"slack {witness.exact_slack} ± {witness.exact_error} ({witness.method}; {sure})"))
    elif verdict.slack is not None:
        rows.append(("slack", f"{verdict.slack:.6g} is the least of {verdict.cases} cases"))
    if verdict.message:
        rows.append(("note", verdict.message))
    lines = [f"claim {verb}: {claim.id} [{claim.form}] (wanted: {wanted})"]
    lines += [f"  {name + ':':9} {text}" for name, text in rows]
    if witness is not None:
        lines += ["  reproduce:", *(f"    {line}" for line in witness.code.splitlines())]
    return "\n".join(lines)


def _short(value: Any) -> str:
    return f"{value:.10g}" if isinstance(value, float) else str(value)


def _pytest() -> ModuleType:
    try:
        import pytest
    except ImportError as absent:
        raise MissingLibraryError("pytest", "check", "parametrize_with_claims") from absent
    return pytest


def _skip(reason: str) -> NoReturn:
    _pytest().skip(reason)
    raise AssertionError("unreachable: pytest.skip raises")
