"""verify: rows, files, exit statuses, refusals before work, errors and interruption."""

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pytest

from traindyn.errors import FileError, InputError, MissingLibraryError
from traindyn.validation import Case, Claim, Evidence, Family, Outcome, Parameter, Source, fleet
from traindyn.validation.report import page
from traindyn.validation.verify import verify

KEYS = ["claim", "form", "source", "outcome", "expected", "slack", "cases", "witness", "certified", "seconds"]


def claim(name, value=1.0, expected="holds", evaluate=None, **changes):
    """A claim that holds with slack `value`, or another evaluation."""

    def constant(case):
        return Evidence(np.arange(3.0), np.full(3, value), np.zeros(3), 1e-12)

    values = {
        "id": f"test2026.section1.{name}",
        "form": "printed",
        "title": "A claim",
        "statement": "Something is positive.",
        "source": Source("test2026", "Section 1", "R1"),
        "quantity": "$q$",
        "relation": ">=",
        "bound": "0",
        "expected": Outcome(expected),
        "reason": "known",
        "family": Family((Parameter("size", 0.0, 1.0),), lambda size: Case()),
        "evaluate": evaluate or constant,
        "cases": (4, 4),
        "directed": (0, 0),
    }
    return Claim(**(values | changes))


def raises(case):
    raise ZeroDivisionError("a slip")


def run(*claims, **options):
    return verify(claims, progress=False, jobs=1, **options)


def test_exit_status_follows_the_expected_outcomes():
    assert run(claim("a"), claim("b", -1.0, "violated")).exit_status == 0
    assert run(claim("a"), claim("b", -1.0, "holds")).exit_status == 1
    assert run(claim("a", expected="violated")).exit_status == 1


def test_a_claim_that_raises_is_reported_and_the_others_go_on():
    report = run(claim("a"), claim("broken", evaluate=raises), claim("c"))
    assert [row.outcome for row in report.results] == ["holds", "error", "holds"]
    assert report.exit_status == 1
    assert "ZeroDivisionError: a slip" in report["test2026.section1.broken"].trouble
    assert "ZeroDivisionError: a slip" in report.table()
    assert "could not be evaluated" in report.to_html()


def test_json_is_valid_and_has_the_agreed_keys(tmp_path):
    infinite = claim("inf", evaluate=lambda case: Evidence(np.zeros(1), np.array([np.inf]), np.zeros(1)))
    target = tmp_path / "v.json"
    run(claim("a"), claim("b", -1.0, "violated"), claim("c", evaluate=raises), infinite, json=target)

    def refuse(constant):
        raise AssertionError(f"{constant} is not JSON")

    rows = json.loads(target.read_text(encoding="utf-8"), parse_constant=refuse)
    assert [list(row) for row in rows] == [KEYS] * 4
    assert [row["outcome"] for row in rows] == ["holds", "violated", "error", "holds"]
    assert rows[0]["slack"] == 1.0
    assert rows[1]["witness"]["code"].startswith("import traindyn as td\n")
    assert rows[3]["slack"] is None
    assert rows[0]["source"] == "test2026, Section 1 [R1]"


def counting(calls):
    def evaluate(case):
        calls.append(case)
        return Evidence(np.arange(3.0), np.ones(3), np.zeros(3))

    return evaluate


@pytest.mark.parametrize("kind", ["json", "html"])
@pytest.mark.parametrize(
    ("path", "law"), [("missing/folder/file", "does not exist"), (".", "is a folder"), ("file/below", "does not exist")]
)
def test_paths_that_cannot_be_written_are_refused_before_any_work(tmp_path, kind, path, law):
    (tmp_path / "file").write_text("kept")
    calls = []
    with pytest.raises(FileError, match=f"the {kind.upper()} file.*{law}"):
        run(claim("a", evaluate=counting(calls)), **{kind: tmp_path / path})
    assert calls == []
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may write everywhere")
def test_a_protected_folder_is_refused(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(FileError, match="refuses"):
        run(claim("a"), json=tmp_path / "v.json")


def test_two_files_at_one_path_are_refused(tmp_path):
    with pytest.raises(InputError, match="two files"):
        run(claim("a"), json=tmp_path / "v", html=tmp_path / "v")


def test_files_are_replaced_whole(tmp_path):
    target = tmp_path / "v.json"
    target.write_text("old")
    run(claim("a"), json=target)
    assert json.loads(target.read_text())[0]["claim"] == "test2026.section1.a"
    assert [p.name for p in tmp_path.iterdir()] == ["v.json"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/null")
def test_a_device_is_written_not_replaced():
    run(claim("a"), json="/dev/null")
    assert not Path("/dev/null").is_file()


@pytest.mark.parametrize("library", ["matplotlib", "jinja2"])
def test_html_without_its_libraries_stops_before_any_work(tmp_path, monkeypatch, library):
    real = page.importlib.util.find_spec
    monkeypatch.setattr(page.importlib.util, "find_spec", lambda name: None if name == library else real(name))
    calls = []
    with pytest.raises(MissingLibraryError, match=r"pip install 'traindyn\[report\]'"):
        run(claim("a", evaluate=counting(calls)), html=tmp_path / "v.html")
    assert calls == []


def test_core_runs_without_the_report_libraries():
    code = """
        import sys
        for name in ("matplotlib", "jinja2", "markupsafe", "hypothesis", "xarray"):
            sys.modules[name] = None
        from traindyn.validation.verify import verify
        sys.path.insert(0, {folder!r})
        import test_verify
        print(verify([test_verify.claim("a")], progress=False, json={target!r}).exit_status)
    """
    folder = str(Path(__file__).parent)
    code = textwrap.dedent(code).format(folder=folder, target=os.devnull)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout == "0\n", done.stderr


@pytest.mark.parametrize("wrong", [{"budget": "huge"}, {"seed": -1}, {"seed": 1.5}, {"jobs": 0}, {"jobs": True}])
def test_wrong_options_are_named(wrong):
    with pytest.raises(InputError, match=next(iter(wrong))):
        verify([claim("a")], progress=False, **wrong)


def test_an_unknown_claim_is_named():
    with pytest.raises(InputError, match="unknown claim"):
        verify("test2026.no_such_thing", progress=False)


def test_the_table_fits_and_marks_what_is_unexpected():
    long = "a_rather_long_name_for_a_claim_that_nobody_would_want_to_type"
    report = run(claim("a"), claim(long, -1.0))
    for width in (60, 80, 120, 200):
        lines = report.table(width=width, colour=False).splitlines()[:4]
        assert max(map(len, lines)) <= width, width
    text = report.table()
    assert "\x1b" not in text  # not a terminal
    assert [line[0] for line in text.splitlines()[2:4]] == [" ", "!"]
    assert "2 claims in" in text
    assert "1 outcome not as expected" in text
    assert "\x1b[" in report.table(colour=True)


def test_repr_says_what_matters():
    assert "2 claims" in repr(run(claim("a"), claim("b")))
    assert "NOT as expected" in repr(run(claim("a", -1.0)))


def test_progress_goes_to_stderr(capsys):
    verify([claim("a")], jobs=1)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "claim" in captured.err


SLOW = """
import sys, time
sys.path.insert(0, {folder!r})
from test_verify import claim
from traindyn.validation import Evidence
from traindyn.validation.verify import verify
import numpy as np

def slow(case):
    print("started", flush=True)
    try:
        for _ in range(3000):
            time.sleep(0.01)
    except KeyboardInterrupt:
        pass  # as a simulation does that keeps what it has
    return Evidence(np.arange(3.0), np.ones(3), np.zeros(3))

claims = [claim("a"), claim("slow", evaluate=slow), claim("c")]
report = verify(claims, json={json!r}, html={html!r}, progress=False, jobs=1)
print(time.monotonic(), report.interrupted, [row.outcome for row in report.results])
sys.exit(report.exit_status)
"""


@pytest.mark.skipif(os.name != "posix", reason="sends SIGINT")
def test_interruption_keeps_what_there_is(tmp_path):
    target, html = tmp_path / "v.json", tmp_path / "v.html"
    code = SLOW.format(folder=str(Path(__file__).parent), json=str(target), html=str(html))
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "started\n"
    begin = time.monotonic()
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "True ['holds', 'interrupted', 'interrupted']" in out
    # the JSON file is the moment at which the run is over; drawing the HTML page comes after it
    assert target.stat().st_mtime - (time.time() - (time.monotonic() - begin)) < 1.5
    assert [row["outcome"] for row in json.loads(target.read_text())] == ["holds", "interrupted", "interrupted"]
    assert "Incomplete: the run was interrupted" in html.read_text()


def test_the_previous_signal_handler_comes_back():
    before = signal.getsignal(signal.SIGINT)
    run(claim("a"))
    assert signal.getsignal(signal.SIGINT) is before


def test_results_do_not_depend_on_the_number_of_processes():
    patterns = ["cabannes2024.equation17.*", "cabannes2024.equation34.*", "cabannes2024.section42.one_step"]
    alone, together = (verify(patterns, progress=False, jobs=jobs) for jobs in (1, 2))
    assert (alone.jobs, together.jobs) == (1, 2)
    rows = [[{**row.to_json(), "seconds": 0} for row in report.results] for report in (alone, together)]
    assert rows[0] == rows[1]
    assert len(rows[0]) >= 3
    assert together.results[0].claim is alone.results[0].claim


def test_worker_processes_answer_each_task_once():
    answers = dict(fleet.run("operator:neg", [1, 2, 3, 4, 5], 2))
    assert answers == {1: -1, 2: -2, 3: -3, 4: -4, 5: -5}


def test_a_worker_that_dies_costs_one_task():
    answers = list(fleet.run("os:_exit", [3], 1))
    assert len(answers) == 1
    assert isinstance(answers[0][1], Exception)
    assert "status 3" in str(answers[0][1])


def test_workers_end_when_the_caller_stops_listening():
    begin = time.monotonic()
    answers = fleet.run("time:sleep", [0.0, 60.0, 60.0], 2)
    assert next(answers)[0] == 0.0
    answers.close()
    assert time.monotonic() - begin < 20
