"""The HTML report: one file that holds everything it shows."""

from __future__ import annotations

import importlib.util
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...errors import MissingLibraryError
from . import wording
from .table import tally

if TYPE_CHECKING:
    from ..claim import Claim
    from ..results import Report, Result
    from .entry import Group
    from .formula import FormulaSheet

_FOLDER = Path(__file__).parent


def require_libraries() -> None:
    """Raise `MissingLibraryError`, with the line that installs them, unless the libraries of the report are there."""
    for library in ("matplotlib", "jinja2"):
        if importlib.util.find_spec(library) is None:
            raise MissingLibraryError(library, "report", "the HTML report")


def render(report: Report) -> str:
    """Return the report as one HTML document.

    The document loads nothing: styles, the few lines of script, formulas and pictures are inside it.

    Raises
    ------
    MissingLibraryError : matplotlib or jinja2 is not installed.

    Cost: about 5 ms for each formula that was not set before, 2 ms a picture.
    """
    return Composer().compose(report)


class Composer:
    """Sets the page piece by piece while results arrive, so that little is left to do at the end.

    After an interruption the end must come quickly: templates are compiled and titles are set beforehand.
    """

    def __init__(self, claims: Iterable[Claim] = ()) -> None:
        require_libraries()
        from .formula import FormulaSheet

        self._template = _template()
        self._sheet = FormulaSheet()
        for claim in claims:
            self._sheet.prose(claim.title)
            self._sheet.prose(claim.source.place)

    def add(self, result: Result) -> None:
        """Set the formulas of a result; `compose` then finds them done."""
        from .entry import entry

        entry(result, self._sheet)

    def compose(self, report: Report) -> str:
        """Return the page."""
        return _compose(report, self._sheet, self._template)


def _template() -> Any:
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_FOLDER),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("page.html.jinja")


def _compose(report: Report, sheet: FormulaSheet, template: Any) -> str:
    from markupsafe import Markup

    from .entry import KINDS, group

    groups = group(report.results, sheet)
    kinds = Counter(item.kind for item in groups)
    context: dict[str, Any] = {
        "report": report,
        "papers": _papers(groups),
        "groups": groups,
        "kinds": [(kind, words, kinds[kind]) for kind, words in KINDS.items() if kinds[kind]],
        "sections": _sections(groups),
        "tally": tally(report),
        "provenance": _provenance(report),
        "outcomes": [(name, *pair) for name, pair in wording.OUTCOMES.items() if name in report.counts()],
        "style": Markup((_FOLDER / "page.css").read_text(encoding="utf-8")),
    }
    body: str = template.render(**context)
    return body.replace("<!--glyphs-->", sheet.definitions(), 1)


def _sections(groups: list[Group]) -> list[dict[str, Any]]:
    sections: dict[str, dict[str, Any]] = {}
    for item in groups:
        paper, place = item.section.split(".")
        title = wording.place_title(place)
        anchor = f"{paper}-{title.lower().replace(' ', '-').replace('.', '-')}"
        section = sections.setdefault(anchor, {"anchor": anchor, "title": title, "groups": []})
        section["groups"].append(item)
    return list(sections.values())


def _papers(groups: list[Group]) -> list[dict[str, str]]:
    from ..papers import BIBTEX

    keys = dict.fromkeys(item.id.split(".")[0] for item in groups)
    return [_paper(key, BIBTEX.get(key, "")) for key in keys]


def _paper(key: str, entry: str) -> dict[str, str]:
    """Return title, authors and year from a BibTeX entry, plain text; the key where there is no entry."""
    import re

    def value(name: str) -> str:
        found = re.search(rf"^\s*{name}\s*=\s*\{{(.*)\}},?\s*$", entry, re.MULTILINE)
        text = re.sub(r"\{\\c ([sS])\}", lambda m: {"s": "ş", "S": "Ş"}[m.group(1)], found.group(1) if found else "")
        return text.replace("{", "").replace("}", "")

    names = [" ".join(reversed(name.split(", ", 1))) for name in value("author").split(" and ") if name]
    return {"key": key, "title": value("title") or key, "authors": ", ".join(names), "year": value("year")}


def _provenance(report: Report) -> list[tuple[str, str]]:
    started = report.started[:16].replace("T", " ")
    jobs = wording.count(report.jobs, "process", "processes")
    return [
        ("version", f"traindyn {report.version}"),
        ("run", f"{started} UTC, {wording.seconds(report.seconds)} in {jobs}"),
        ("budget", f"{report.budget}, seed {report.seed}"),
        ("claims", _patterns(report.patterns)),
        ("processor", report.processor),
        ("libraries", report.libraries),
    ]


def _patterns(patterns: tuple[str, ...]) -> str:
    shown = ", ".join(patterns[:3]) or "all"
    return shown + (f" and {len(patterns) - 3} more" if len(patterns) > 3 else "")
