"""The command line: exit statuses, one-line errors, help with examples, interruption."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import traindyn
from traindyn import __main__ as command_line
from traindyn.__main__ import main, parser

COMMANDS = ("verify", "sweep", "figure", "claims", "figures", "info", "cite")
ONE = "cabannes2024.theorem2.descent_margin"


def test_the_commands_are_the_ones_of_the_design() -> None:
    assert parser().get_default("commands") == ("verify", "sweep", "claims", "figure", "figures", "info", "cite")


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_has_help_with_examples(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main([command, "--help"])
    assert left.value.code == 0
    assert f"examples:\n  traindyn {command}" in capsys.readouterr().out


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(["--version"])
    assert left.value.code == 0
    assert capsys.readouterr().out == f"traindyn {traindyn.__version__}\n"


def refused(words: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """Return the one line on stderr with which a call is refused, with status 2."""
    try:
        status = main(words)
    except SystemExit as left:
        status = left.code  # type: ignore[assignment]
    printed = capsys.readouterr()
    assert status == 2
    assert printed.out == ""
    assert printed.err.count("\n") == 1
    assert "Traceback" not in printed.err
    return printed.err


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        (["verfy"], "did you mean 'verify'?"),
        (["verify", "--budget", "fst"], "invalid choice: 'fst'"),
        (["verify", "--seed", "x"], "invalid int value: 'x'"),
        (["verify", "--seed", "-1"], "seed must be an integer >= 0"),
        (["verify", "--jobs", "0"], "jobs must be an integer >= 1"),
        (["verify", "cabannes2024.theorm2.descent_margin"], "cabannes2024.theorem2.descent_margin"),
        (["claims", "nobody.*"], "unknown claim"),
        (["cite", "cabanes2024"], "did you mean 'cabannes2024'?"),
        (["figure", "cabannes2024.fig22"], "cabannes2024.fig2"),
        (["figure"], "the following arguments are required: NAME"),
        (["verify", ONE, "--json", "no/such/folder/x.json"], "does not exist"),
        (["verify", ONE, "--html", "."], "is a folder"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_wrong_calls_are_refused_in_one_line(
    words: list[str], answer: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert answer in refused(words, capsys)
    assert list(tmp_path.iterdir()) == []


def test_nothing_said_shows_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert "`traindyn verify` is the main" in capsys.readouterr().out


def test_verify_writes_and_answers(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "verdicts.json"
    assert main(["verify", ONE, "--json", str(path), "--quiet"]) == 0
    shown = capsys.readouterr().out
    assert ONE in shown
    assert f"wrote {path}" in shown
    rows = json.loads(path.read_text(encoding="utf-8"))
    assert {row["form"] for row in rows} == {"printed", "corrected"}


def test_an_unexpected_outcome_is_status_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    from dataclasses import replace

    from traindyn.validation import Outcome, find, registry

    wrong = replace(find(ONE, "corrected"), expected=Outcome.VIOLATED)
    monkeypatch.setattr(registry, "_all", lambda: {wrong.key: wrong})
    assert main(["verify", ONE, "--quiet", "--jobs", "1"]) == 1
    assert "not as expected" in capsys.readouterr().out


def test_claims_are_listed_once_in_order(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["claims", ONE, "cabannes2024.theorem2.*"]) == 0
    rows = [line.split()[:3] for line in capsys.readouterr().out.splitlines()]
    assert rows[:2] == [[ONE, "printed", "violated"], [ONE, "corrected", "holds"]]
    assert len({(name, form) for name, form, _ in rows}) == len(rows)


def test_info_names_every_library(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info"]) == 0
    shown = capsys.readouterr().out
    for name in (*command_line.CORE, *command_line.OPTIONAL, "processor", "threads", "compiled code"):
        assert re.search(rf"(?m)^{name} ", shown), name
    assert "missing" not in shown


def test_as_a_module_and_into_a_closed_pipe() -> None:
    command = [sys.executable, "-P", "-m", "traindyn", "claims"]
    running = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert running.stdout is not None
    assert running.stderr is not None
    running.stdout.close()
    assert running.stderr.read() == b""
    running.stderr.close()
    assert running.wait() == 0


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
def test_ctrl_c_ends_verify_with_what_it_had(tmp_path: Path) -> None:
    path = tmp_path / "verdicts.json"
    command = [sys.executable, "-P", "-m", "traindyn", "verify", "--budget", "full", "--jobs", "1", "--quiet"]
    with open(tmp_path / "printed", "w") as printed:
        running = subprocess.Popen([*command, "--json", str(path)], stdout=printed, stderr=printed)
        time.sleep(6.0)  # imports, and some of the first claims
        running.send_signal(signal.SIGINT)
        asked = time.monotonic()
        assert running.wait(timeout=60) == 130
        waited = time.monotonic() - asked
    assert waited < 5.0  # promised: a second; here the cores may be busy
    rows = json.loads(path.read_text(encoding="utf-8"))
    assert any(row["outcome"] == "interrupted" for row in rows)
    assert "Traceback" not in (tmp_path / "printed").read_text()
