"""Write the table of claims of a theory page again: `python tools/claims_table.py` (a test holds it up to date)."""

from __future__ import annotations

import re
from pathlib import Path

from traindyn.validation.registry import claims
from traindyn.validation.report.wording import place_order

ROOT = Path(__file__).resolve().parent.parent
PAGES = {"cabannes2024": ROOT / "docs" / "theory" / "cabannes2024.md"}
BETWEEN = re.compile(r"(<!-- claims: \w+ -->\n).*?(<!-- end of claims -->)", re.DOTALL)


def table(paper: str) -> str:
    """Return the claims of a paper as a Markdown table, one row an id."""
    forms: dict[str, dict[str, str]] = {}
    first = {}
    for claim in claims(f"{paper}.*"):
        forms.setdefault(claim.id, {})[claim.form] = str(claim.expected).replace("_", " ")
        first.setdefault(claim.id, claim)
    lines = ["| place | row | claim | as printed | corrected |", "| --- | --- | --- | --- | --- |"]
    for name, outcomes in sorted(forms.items(), key=lambda item: place_order(item[0].split(".")[1])):
        claim = first[name]
        cells = (
            claim.source.place,
            claim.source.erratum,
            f"{claim.title}<br>`{name}`",
            outcomes.get("printed", ""),
            outcomes.get("corrected", ""),
        )
        lines.append("| " + " | ".join(cell.replace("|", r"\|") for cell in cells) + " |")
    return "\n".join(lines) + "\n"


def refreshed(paper: str) -> str:
    """Return the text of a page with its table made anew."""
    text = PAGES[paper].read_text(encoding="utf-8")
    return BETWEEN.sub(lambda found: found[1] + table(paper) + found[2], text)


def main() -> None:
    """Write every page."""
    for paper, page in PAGES.items():
        page.write_text(refreshed(paper), encoding="utf-8")
        print(f"wrote {page.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
