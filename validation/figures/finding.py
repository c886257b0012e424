"""One sentence of an experiment's answer, with the number and the interval that decide it."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any, Literal, TypeAlias

from ...errors import InputError, unknown_name

Outcome: TypeAlias = Literal["supported", "refuted", "open"]
OUTCOMES: tuple[Outcome, ...] = ("supported", "refuted", "open")


@dataclass(frozen=True)
class Finding:
    """A statement, the estimate it is about with its interval, and whether the numbers support it.

    Attributes
    ----------
    statement : a sentence that the numbers can refute
    value, low, high : the estimate and its interval; equal when the number is exact
    basis : what the interval is, such as "95 % interval over 50 seeds"
    outcome : "supported", "refuted" or "open", computed from the numbers by a rule, such as `judged`

    Raises
    ------
    InputError : an interval that does not hold its estimate, an unknown outcome, or an empty sentence.

    >>> print(Finding("Half of the runs spike", 0.48, 0.38, 0.58, "95 % interval over 100 runs", "supported"))
    supported  0.48 [0.38, 0.58]  Half of the runs spike (95 % interval over 100 runs)
    """

    statement: str
    value: float
    low: float
    high: float
    basis: str
    outcome: Outcome

    def __post_init__(self) -> None:
        for name in ("value", "low", "high"):
            object.__setattr__(self, name, float(getattr(self, name)))
        if not self.low <= self.value <= self.high:  # also where one is NaN
            raise InputError("a finding's value must lie in its interval", f"{self.value} in [{self.low}, {self.high}]")
        if self.outcome not in OUTCOMES:
            raise unknown_name("outcome of a finding", self.outcome, OUTCOMES)
        if not self.statement.strip() or not self.basis.strip():
            raise InputError("a finding needs a statement and a basis", (self.statement, self.basis))

    @property
    def exact(self) -> bool:
        """Whether the number has no uncertainty."""
        return self.low == self.value == self.high

    @property
    def number(self) -> str:
        """The estimate and its interval in words.

        ``0.48 [0.38, 0.58]``; ``4211`` when it is exact; ``0.01251 +- 3e-13`` when the interval is too narrow to print.
        """
        value, low, high = _told(self.value), _told(self.low), _told(self.high)
        if self.exact:
            return value
        if low == value == high:
            return f"{value} +- {max(self.high - self.value, self.value - self.low):.1g}"
        return f"{value} [{low}, {high}]"

    def record(self) -> dict[str, Any]:
        """Return the finding as JSON takes it; an infinite bound becomes the text "inf" or "-inf"."""
        return {key: str(x) if isinstance(x, float) and math.isinf(x) else x for key, x in asdict(self).items()}

    def __str__(self) -> str:
        return f"{self.outcome:9}  {self.number}  {self.statement} ({self.basis})"


def judged(low: float, high: float, *, at_least: float = -math.inf, at_most: float = math.inf) -> Outcome:
    """Return whether an interval lies in a range: the rule for a statement "the number is within ...".

    Parameters
    ----------
    low, high : the interval of the estimate
    at_least, at_most : the range that the statement names; either may be left out

    Returns
    -------
    "supported" when the whole interval lies in the range, "refuted" when it lies outside, "open" when it crosses an
    end of the range.

    >>> judged(0.38, 0.58, at_least=0.3), judged(0.38, 0.58, at_least=0.5), judged(0.38, 0.58, at_most=0.2)
    ('supported', 'open', 'refuted')
    """
    if at_least <= low and high <= at_most:
        return "supported"
    return "refuted" if high < at_least or low > at_most else "open"


def _told(number: float) -> str:
    if abs(number) < 1e6 and number == round(number):
        return f"{number + 0.0:.0f}"  # no minus before zero
    return f"{number:.4g}"
