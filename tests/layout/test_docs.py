"""Everything that the documentation prints was printed by the code: its Python blocks and its command lines run.

A page is one session: its ```python blocks with `>>>` share their names, in order. In ```console blocks the lines
after `$ traindyn ...` are compared with what the command prints. `...` stands for anything.
"""

from __future__ import annotations

import doctest
import re
import shlex
from pathlib import Path

import pytest

from traindyn.__main__ import main

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")])
FENCE = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
name_of = {page: page.relative_to(ROOT).as_posix() for page in PAGES}


def blocks(page: Path, language: str) -> list[tuple[int, str]]:
    """Return (line number, text) of each fenced block in a language."""
    text = page.read_text(encoding="utf-8")
    return [(text.count("\n", 0, found.start()) + 1, found[2]) for found in FENCE.finditer(text) if found[1] == language]


@pytest.mark.parametrize("page", PAGES, ids=name_of.get)
def test_python_blocks(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    parser, runner = doctest.DocTestParser(), doctest.DocTestRunner(optionflags=FLAGS)
    names: dict[str, object] = {"__name__": "__main__"}
    printed: list[str] = []
    for line, text in blocks(page, "python"):
        if ">>>" not in text:
            compile(text, f"{name_of[page]}:{line}", "exec")  # files of an example project: tested in that project
            continue
        session = parser.get_doctest(text, names, name_of[page], str(page), line)
        runner.run(session, out=printed.append, clear_globs=False)
        names = session.globs
    assert runner.failures == 0, "".join(printed)


def commands(page: Path) -> list[tuple[str, str]]:
    found = []
    for _, text in blocks(page, "console"):
        for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
            command, _, output = part.partition("\n")
            if command.startswith("traindyn "):
                found.append((command, output))
    return found


@pytest.mark.parametrize("page", [page for page in PAGES if commands(page)], ids=name_of.get)
def test_command_lines(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    for command, expected in commands(page):
        try:
            main(shlex.split(command)[1:])
        except SystemExit:  # --help, --version
            pass
        captured = capsys.readouterr()
        shown = captured.out + captured.err
        assert doctest.OutputChecker().check_output(expected, shown, FLAGS), f"$ {command}\n{shown}"


@pytest.mark.parametrize("page", PAGES, ids=name_of.get)
def test_links_lead_somewhere(page: Path) -> None:
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    targets = [found[1].split("#")[0] for found in re.finditer(r"\]\(([^)\s]+)\)", text) if "://" not in found[1]]
    missing = [target for target in targets if target and not (page.parent / target).exists()]
    assert not missing
