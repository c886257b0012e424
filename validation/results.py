"""What a verification found: one result a claim, and the report that holds them all."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..errors import unknown_name
from .case import Evidence
from .claim import Claim
from .verdict import Verdict


@dataclass(frozen=True)
class Result:
    """What became of one claim in a verification.

    `verdict` is None where the claim raised (`trouble` then says what) or was not reached before an interruption.
    `evidence` is what a report draws, `shown` the parameters of its case.
    """

    claim: Claim
    verdict: Verdict | None = None
    seconds: float = 0.0
    trouble: str = ""
    evidence: Evidence | None = field(default=None, repr=False)
    shown: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @property
    def outcome(self) -> str:
        """Return the verdict's outcome, or "error", or "interrupted"."""
        if self.verdict is not None:
            return str(self.verdict.outcome)
        return "error" if self.trouble else "interrupted"

    @property
    def as_expected(self) -> bool:
        """Return whether the outcome is the one that the claim's record leads one to expect."""
        return self.outcome == str(self.claim.expected)

    def to_json(self) -> dict[str, Any]:
        """Return the row of the JSON file; every value is valid JSON."""
        if self.verdict is not None:
            return self.verdict.to_json() | {"seconds": round(self.seconds, 4)}
        return {
            "claim": self.claim.id,
            "form": self.claim.form,
            "source": str(self.claim.source),
            "outcome": self.outcome,
            "expected": str(self.claim.expected),
            "slack": None,
            "cases": 0,
            "witness": None,
            "certified": False,
            "seconds": round(self.seconds, 4),
        }


@dataclass(frozen=True)
class Report:
    """The results of a verification, in the order of the claims, and what they were obtained with."""

    results: tuple[Result, ...] = field(repr=False)
    patterns: tuple[str, ...]
    budget: str
    seed: int
    jobs: int
    seconds: float
    started: str
    version: str
    processor: str
    libraries: str
    interrupted: bool = False

    @property
    def unexpected(self) -> tuple[Result, ...]:
        """Return the results whose outcome is not the expected one (those not run are left out)."""
        return tuple(r for r in self.results if not r.as_expected and r.outcome != "interrupted")

    @property
    def exit_status(self) -> int:
        """Return 0 if every outcome is the expected one, 1 if one is not, 130 if interrupted."""
        return 130 if self.interrupted else int(bool(self.unexpected))

    def counts(self) -> dict[str, int]:
        """Return how many claims have each outcome."""
        counts: dict[str, int] = {}
        for result in self.results:
            counts[result.outcome] = counts.get(result.outcome, 0) + 1
        return counts

    def __getitem__(self, key: str | tuple[str, str]) -> Result:
        """Return the result of a claim by id (where it has one form) or by (id, form)."""
        found = [r for r in self.results if key in (r.claim.id, r.claim.key)]
        if len(found) != 1:
            raise unknown_name("claim (id, form) of this report", key, {str(r.claim.key) for r in self.results})
        return found[0]

    def table(self, width: int | None = None, colour: bool | None = None) -> str:
        """Return one row a claim and the counts as text; see `traindyn.validation.report.table`."""
        from .report.table import table

        return table(self, width, colour)

    def to_json(self) -> str:
        """Return the rows as JSON text: a list with one object a claim."""
        rows = [result.to_json() for result in self.results]
        return json.dumps(rows, indent=1, ensure_ascii=False, allow_nan=False) + "\n"

    def to_html(self) -> str:
        """Return the self-contained HTML report (needs the extra `report`)."""
        from .report.page import render

        return render(self)

    def __str__(self) -> str:
        return self.table()

    def __repr__(self) -> str:
        from .report.table import tally

        state = "interrupted" if self.interrupted else ("as expected" if not self.unexpected else "NOT as expected")
        return f"Report({tally(self)}; {state}; budget {self.budget}, seed {self.seed}; print(report) shows the table)"
