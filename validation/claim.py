"""Claims: what a paper says, as objects that can be checked."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from ..errors import InputError
from .assumption import Assumption
from .case import Case, Evidence, Exact, Family
from .verdict import Outcome

Relation = Literal[">=", "<=", "==", ">", "<"]


@dataclass(frozen=True)
class Source:
    """Where a claim stands: the paper's key, the place in it, and the row of the errata if there is one."""

    paper: str
    place: str
    erratum: str = ""

    def __str__(self) -> str:
        return f"{self.paper}, {self.place}" + (f" [{self.erratum}]" if self.erratum else "")


@dataclass(frozen=True, kw_only=True)
class Claim:
    r"""A statement `quantity relation bound` under assumptions, with the means to test it.

    `form` is "printed" (as the paper has it) or "corrected". `statement`, `quantity` and `bound` hold formulas
    between dollar signs. `evaluate` maps a case to the quantity and the bound along an axis; `exact` evaluates
    one point of that evidence again in high precision (None where that would take too long). A claim with
    `evaluate=None` cannot be tested and must say why in `reason`. `cases` and `directed` are the numbers of random
    cases and of directed search evaluations, for the budgets "fast" and "full".
    """

    id: str
    form: Literal["printed", "corrected"]
    title: str
    statement: str
    source: Source
    quantity: str
    relation: Relation
    bound: str
    expected: Outcome
    reason: str
    proof: str = ""
    assumptions: tuple[Assumption, ...] = ()
    family: Family | None = None
    evaluate: Callable[[Case], Evidence] | None = None
    exact: Callable[[Case, int], Exact | None] | None = None
    cases: tuple[int, int] = (100, 4000)
    directed: tuple[int, int] = (40, 1000)

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[a-z0-9_]+(\.[a-z0-9_]+){2,}", self.id):
            raise InputError(
                "a claim's id must be words joined by dots: paper.place.what", self.id, "use lower case, digits and _"
            )
        if self.form not in ("printed", "corrected"):
            raise InputError("a claim's form must be 'printed' or 'corrected'", self.form)
        if self.relation not in (">=", "<=", "==", ">", "<"):
            raise InputError("a claim's relation must be one of >=, <=, ==, >, <", self.relation)
        object.__setattr__(self, "expected", Outcome(self.expected))
        testable = self.evaluate is not None
        if testable == (self.expected is Outcome.NOT_TESTABLE):
            raise InputError(
                f"claim {self.id}: a claim without evaluate is expected not_testable, and only such a claim",
                str(self.expected),
            )
        if not testable and not self.reason:
            raise InputError(f"claim {self.id}: a claim that cannot be tested must say why in reason")
        if testable and self.family is None:
            raise InputError(f"claim {self.id}: a testable claim needs a family of cases")

    @property
    def key(self) -> tuple[str, str]:
        """Return (id, form), which identifies the claim."""
        return self.id, self.form

    def __str__(self) -> str:
        return f"{self.id} [{self.form}]: {self.quantity} {self.relation} {self.bound} ({self.source})"
