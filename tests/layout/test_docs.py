"""Everything that the documentation prints was printed by the code: its Python blocks and its command lines run.

A page is one session: its ```python blocks with `>>>` share their names, in order. In ```console blocks the lines
after `$ traindyn ...` are compared with what the command prints. `...` stands for anything.
`TRAINDYN_REFRESH_DOCS=1 pytest tests/layout/test_docs.py` writes what is printed now into the pages instead.
"""

from __future__ import annotations

import contextlib
import doctest
import io
import os
import re
import shlex
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest

from traindyn.__main__ import main

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")])
FENCE = re.compile(r"^```(\w*)([^\n]*\n)(.*?)^```$", re.MULTILINE | re.DOTALL)
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
REFRESH = os.environ.get("TRAINDYN_REFRESH_DOCS") == "1"
names_of_pages = [page.relative_to(ROOT).as_posix() for page in PAGES]


def rerun(page: Path, language: str, run: Callable[[str, int], str]) -> None:
    """Run every fenced block of a language; `run` maps its text to the text with what is printed now."""
    before = page.read_text(encoding="utf-8")

    def one(found: re.Match[str]) -> str:
        if found[1] != language:
            return found[0]
        return f"```{found[1]}{found[2]}{run(found[3], before.count(chr(10), 0, found.start()) + 1)}```"

    after = FENCE.sub(one, before)
    if REFRESH:
        page.write_text(after, encoding="utf-8")
    else:
        assert after == before


def matches(wanted: str, printed: str) -> bool:
    return doctest.OutputChecker().check_output(wanted, printed, FLAGS)


def without_seconds(printed: str) -> str:
    """Put dots for what differs from run to run: the last column of the verdicts, and how long a command took."""
    return re.sub(r"(?m)(?<= )\d+\.\d\d$", "...", re.sub(r"(?<= in )[\d.]+ (?:ms|s|min)\b", "... s", printed))


def unless_it_matches(wanted: str, printed: str) -> str:
    return wanted if matches(wanted, printed) else printed


def printed_by(source: str, names: dict[str, object], place: str) -> str:
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        try:
            exec(compile(source, place, "single"), names)
        except Exception as error:  # a traceback is what the page may want to show
            last = traceback.format_exception_only(error)[-1]
            out.write(f"Traceback (most recent call last):\n...\n{last}")
    return re.sub(r"(?m)^[ \t]*\n", "<BLANKLINE>\n", out.getvalue())


@pytest.mark.parametrize("page", PAGES, ids=names_of_pages)
def test_python_blocks(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {"__name__": "__main__"}

    def run(text: str, line: int) -> str:
        if ">>>" not in text:
            compile(text, f"{page}:{line}", "exec")  # a file of an example project: tested in that project
            return text
        new = ""
        for part in doctest.DocTestParser().parse(text):
            if isinstance(part, str):
                new += part
                continue
            shown = part.source.removesuffix("\n").replace("\n", "\n... ")
            now = printed_by(part.source, names, f"{page}:{line + part.lineno}")
            new += f">>> {shown}\n{unless_it_matches(part.want, now)}"
        return new

    rerun(page, "python", run)


@pytest.mark.parametrize("page", PAGES, ids=names_of_pages)
def test_command_lines(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")

    def run(text: str, line: int) -> str:
        new = ""
        for part in re.split(r"(?m)^(?=\$ )", text):
            command, _, wanted = part.partition("\n")
            if command.startswith("$ traindyn ") and wanted.strip():
                with contextlib.suppress(SystemExit):  # --help, --version
                    main(shlex.split(command)[2:])
                captured = capsys.readouterr()
                shown = captured.out + captured.err
                wanted = wanted if matches(wanted, shown) else without_seconds(shown)
            new += f"{command}\n{wanted}" if command else wanted
        return new

    rerun(page, "console", run)


@pytest.mark.parametrize("page", PAGES, ids=names_of_pages)
def test_links_lead_somewhere(page: Path) -> None:
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    targets = [found[1].split("#")[0] for found in re.finditer(r"\]\(([^)\s]+)\)", text) if "://" not in found[1]]
    missing = [target for target in targets if target and not (page.parent / target).exists()]
    assert not missing
