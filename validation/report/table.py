"""The verdicts as text: one row a claim, fitted to the terminal."""

from __future__ import annotations

import os
import shutil
import sys
from collections import Counter
from typing import TYPE_CHECKING

from . import wording

if TYPE_CHECKING:
    from ..results import Report, Result

_COLOURS = {"holds": "32", "violated": "33", "error": "31", "inconclusive": "35", "interrupted": "2"}
_RIGHT = frozenset({"slack", "cases", "seconds"})
_HEADINGS = ("claim", "form", "source", "outcome", "expected", "slack", "cases", "certified", "seconds")


def table(report: Report, width: int | None = None, colour: bool | None = None) -> str:
    """Return one row a claim and the counts, at most `width` columns wide.

    Parameters
    ----------
    width : columns; by default those of the terminal, at least 60; unlimited where the output is not a terminal
    colour : whether to colour the outcomes; by default only on a terminal and without NO_COLOR

    On a narrow terminal seconds, certified, cases, source and expected are left out in this order, then ids are
    shortened in the middle.  Rows whose outcome is not the expected one begin with ``!``.
    """
    terminal = sys.stdout.isatty()
    if width is None:
        width = max(60, shutil.get_terminal_size().columns) if terminal else 10_000
    if colour is None:
        colour = terminal and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"
    rows = [_row(result) for result in report.results]
    shown = list(_HEADINGS)
    for heading in ("seconds", "certified", "cases", "source", "expected"):
        if _total(rows, shown) <= width:
            break
        shown.remove(heading)
    spare = max(0, _total(rows, shown) - width)
    longest = max(max((len(row["claim"]) for row in rows), default=5) - spare, 12)
    for row in rows:
        row["claim"] = _shorten(row["claim"], longest)
    widths = {h: max([len(h), *(len(row[h]) for row in rows)]) for h in shown}
    lines = ["  " + "  ".join(_fit(h, h, widths[h]) for h in shown)]
    lines.append("  " + "  ".join("─" * widths[h] for h in shown))
    for result, row in zip(report.results, rows, strict=True):
        cells = [_fit(h, row[h], widths[h]) for h in shown]
        if colour:
            where = shown.index("outcome")
            cells[where] = f"\x1b[{_COLOURS.get(result.outcome, '36')}m{cells[where]}\x1b[0m"
        mark = "! " if not result.as_expected and result.outcome != "interrupted" else "  "
        lines.append((mark + "  ".join(cells)).rstrip())
    return "\n".join([*(line.rstrip() for line in lines), "", *summary(report)])


def summary(report: Report) -> list[str]:
    """Return the closing lines: the counts, what is unexpected, errors and interruption."""
    lines = [tally(report)]
    for result in report.results:
        if result.outcome == "error":
            lines.append(f"error in {result.claim.id} [{result.claim.form}]: {result.trouble}")
    unexpected = [r for r in report.results if not r.as_expected and r.outcome != "interrupted"]
    if unexpected:
        lines.append(f"{wording.count(len(unexpected), 'outcome')} not as expected (marked !)")
    elif not report.interrupted:
        lines.append("every outcome is the expected one")
    if report.interrupted:
        missing = sum(r.outcome == "interrupted" for r in report.results)
        lines.append(f"interrupted: {wording.count(missing, 'claim')} of {len(report.results)} not run")
    return lines


def tally(report: Report) -> str:
    """Return the counts of the outcomes in words."""
    counts = Counter(result.outcome for result in report.results)
    certified = sum(result.verdict is not None and result.verdict.certified for result in report.results)
    parts = []
    for outcome, (_, words) in wording.OUTCOMES.items():
        if counts[outcome]:
            extra = f" ({certified} certified)" if outcome == "violated" and certified else ""
            parts.append(f"{counts[outcome]} {words}{extra}")
    total = f"{wording.count(len(report.results), 'claim')} in {wording.seconds(report.seconds)}"
    return f"{total}: {', '.join(parts)}" if parts else total


def _row(result: Result) -> dict[str, str]:
    verdict, source = result.verdict, result.claim.source
    return {
        "claim": result.claim.id,
        "form": result.claim.form,
        "source": source.place + (f" [{source.erratum}]" if source.erratum else ""),
        "outcome": wording.OUTCOMES[result.outcome][1],
        "expected": wording.OUTCOMES[str(result.claim.expected)][1],
        "slack": wording.number(verdict.slack) if verdict is not None and verdict.slack is not None else "",
        "cases": str(verdict.cases) if verdict is not None and verdict.cases else "",
        "certified": "yes" if verdict is not None and verdict.certified else "",
        "seconds": f"{result.seconds:.2f}",
    }


def _total(rows: list[dict[str, str]], shown: list[str]) -> int:
    return 2 + sum(2 + max([len(h), *(len(row[h]) for row in rows)]) for h in shown) - 2


def _fit(heading: str, text: str, width: int) -> str:
    return text.rjust(width) if heading in _RIGHT else text.ljust(width)


def _shorten(text: str, longest: int) -> str:
    if len(text) <= longest:
        return text
    tail = (longest - 1) * 2 // 3
    return text[: longest - 1 - tail] + "…" + text[len(text) - tail :]
