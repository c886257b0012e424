"""What a check answers: an outcome, the least slack, and a witness where a claim fails."""

from __future__ import annotations

import enum
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from .case import Case, Evidence
    from .claim import Claim


class Outcome(enum.StrEnum):
    """The five answers that a check can give."""

    HOLDS = "holds"
    VIOLATED = "violated"
    INCONCLUSIVE = "inconclusive"
    NOT_APPLICABLE = "not_applicable"
    NOT_TESTABLE = "not_testable"


@dataclass(frozen=True)
class Witness:
    """A case in which a claim fails: where, by how much, and the lines that show it again."""

    claim_id: str
    form: str
    parameters: Mapping[str, Any]
    axis_name: str
    axis_value: float
    quantity: float
    bound: float
    slack: float
    exact_slack: str | None = None
    exact_error: str | None = None
    method: str | None = None
    own_arguments: str = ""

    @property
    def code(self) -> str:
        """Return the lines of Python that reproduce the witness."""
        how = f"parameters={_literal(self.parameters)}" if self.parameters else self.own_arguments
        note = "" if self.parameters else "  # your own objects"
        call = f"verdict = td.check({self.claim_id!r}, form={self.form!r}, {how}){note}"
        return f"import traindyn as td\n{call}\nprint(verdict)"

    def to_json(self) -> dict[str, Any]:
        """Return a dictionary of JSON values (non-finite numbers as strings)."""
        return {
            "parameters": {name: _json_value(value) for name, value in self.parameters.items()},
            "axis": {"name": self.axis_name, "value": _json_value(self.axis_value)},
            "quantity": _json_value(self.quantity),
            "bound": _json_value(self.bound),
            "slack": _json_value(self.slack),
            "exact_slack": self.exact_slack,
            "exact_error": self.exact_error,
            "method": self.method,
            "code": self.code,
        }


def _literal(parameters: Mapping[str, Any]) -> str:
    return "{" + ", ".join(f"{name!r}: {_plain(value)!r}" for name, value in parameters.items()) + "}"


def _plain(value: Any) -> Any:
    if hasattr(value, "tolist"):
        value = value.tolist()
    return tuple(_plain(item) for item in value) if isinstance(value, (list, tuple)) else value


def _json_value(value: Any) -> Any:
    value = _plain(value)
    if isinstance(value, tuple):
        return [_json_value(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value if isinstance(value, (bool, int, float, str, type(None))) else str(value)


@dataclass(frozen=True)
class Verdict:
    """The answer of `check` to one claim.

    `slack` is the least signed slack found (negative where the claim fails), `where` the case and the point on
    the axis at which it occurred, `cases` the number of cases evaluated. `certified` means that the slack is
    negative by more than 10^6 times the error estimate of a 50-digit evaluation. A verdict has no truth value:
    compare `verdict.outcome`.
    """

    claim: Claim
    outcome: Outcome
    slack: float | None = None
    where: Mapping[str, Any] = field(default_factory=dict)
    cases: int = 0
    seed: int | None = None
    witness: Witness | None = None
    certified: bool = False
    failed_assumption: str | None = None
    message: str = ""
    seconds: float = 0.0
    case: Case | None = field(default=None, repr=False)
    evidence: Evidence | None = field(default=None, repr=False)

    @property
    def expected(self) -> Outcome:
        """Return the outcome that the claim's own record leads one to expect."""
        return self.claim.expected

    @property
    def as_expected(self) -> bool:
        """Return whether the outcome is the expected one."""
        return self.outcome == self.claim.expected

    def __bool__(self) -> NoReturn:
        raise TypeError("a Verdict has five outcomes and no truth value; compare verdict.outcome, e.g. == 'holds'")

    def __str__(self) -> str:
        lines = [f"{self.claim.id} [{self.claim.form}]: {self.outcome} (expected: {self.expected})"]
        lines.append(f"  claim: {self.claim.quantity} {self.claim.relation} {self.claim.bound}  ({self.claim.source})")
        if self.failed_assumption:
            lines.append(f"  the assumption that fails: {self.failed_assumption}")
        if self.slack is not None:
            place = ", ".join(f"{name}={_plain(value)}" for name, value in self.where.items())
            lines.append(f"  least slack {self.slack:.6g} at {place} ({self.cases} cases, seed {self.seed})")
        if self.witness is not None:
            w = self.witness
            lines.append(f"  quantity {w.quantity:.17g}, bound {w.bound:.17g}")
            if w.exact_slack is not None:
                sure = "certified" if self.certified else "not certified"
                lines.append(f"  in high precision: slack {w.exact_slack} ± {w.exact_error} ({w.method}; {sure})")
            lines += ["  reproduce:"] + [f"    {line}" for line in w.code.splitlines()]
        if self.message:
            lines.append(f"  {self.message}")
        return "\n".join(lines)

    def to_json(self) -> dict[str, Any]:
        """Return the verdict as a dictionary of JSON values."""
        slack = self.slack if self.slack is None or math.isfinite(self.slack) else None
        return {
            "claim": self.claim.id,
            "form": self.claim.form,
            "source": str(self.claim.source),
            "outcome": str(self.outcome),
            "expected": str(self.expected),
            "slack": slack,
            "cases": self.cases,
            "witness": None if self.witness is None else self.witness.to_json(),
            "certified": self.certified,
            "seconds": round(self.seconds, 4),
        }
