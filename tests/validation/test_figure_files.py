"""A figure's files: whole or absent, the same at every call; a killed or interrupted figure goes on."""

import contextlib
import json
import os
import resource
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from traindyn.__main__ import main
from traindyn.dynamics import Cube, Status
from traindyn.dynamics.cells import CODES
from traindyn.errors import FileError, InputError, TraindynError
from traindyn.validation.figures import Definition, Finding, Numbers, Request, catalogue, figure, style, writing

SLOW = Path(__file__).with_name("slow_figure.py")
KINDS = ("png", "svg", "pdf", "npz", "json")


def started(folder, seconds, log):
    return subprocess.Popen(
        [sys.executable, "-P", str(SLOW), str(folder), str(seconds), str(log)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=folder.parent,
    )  # fmt: skip


def finished(folder, log):
    process = started(folder, 0.0, log)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    return out


def stopped(folder, log, number):
    """Start the figure, wait until some but not all cells are in its store, and send a signal."""
    process = started(folder, 0.25, log)
    store = folder / "test.slow.grid.db"
    limit = time.monotonic() + 60
    done = 0
    while done < 3 and process.poll() is None and time.monotonic() < limit:
        time.sleep(0.02)
        with contextlib.suppress(FileError, FileNotFoundError):
            cube = Cube.load(store)
            done = cube.size - cube.missing
    assert 3 <= done < 12, process.communicate()
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    return process.returncode, err


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    home = tmp_path_factory.mktemp("whole")
    printed = finished(home / "out", home / "log")
    return home, printed


def test_a_figure_that_was_not_disturbed(undisturbed):
    home, printed = undisturbed
    assert sorted(path.name for path in (home / "out").iterdir()) == sorted(f"test.slow.{kind}" for kind in KINDS)
    assert len((home / "log").read_text().splitlines()) == 12
    found = json.loads((home / "out" / "test.slow.json").read_text())["findings"][0]
    assert f"supported  {found['value']:.4g}  The peak is above log 2\n" in printed
    assert "(exact in 12 cells)\n" in printed
    assert all(f"test.slow.{kind}" in printed for kind in KINDS)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT], ids=["killed", "interrupted"])
def test_a_stopped_figure_goes_on_with_the_missing_cells(tmp_path, undisturbed, number):
    home, _ = undisturbed
    status, said = stopped(tmp_path / "out", tmp_path / "log", number)
    if number == signal.SIGINT:
        assert status == 130
        assert "draw the same figure into the same folder to go on" in said
    else:
        assert status == -signal.SIGKILL
    left = {path.name for path in (tmp_path / "out").iterdir()}
    assert not {f"test.slow.{kind}" for kind in KINDS} & left
    assert {"test.slow.first.db", "test.slow.grid.db"} <= left
    cube = Cube.load(tmp_path / "out" / "test.slow.grid.db")
    assert 3 <= cube.size - cube.missing < 12

    finished(tmp_path / "out", tmp_path / "second")
    assert len((tmp_path / "second").read_text().splitlines()) == cube.missing
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(f"test.slow.{kind}" for kind in KINDS)
    for kind in KINDS:
        name = f"test.slow.{kind}"
        assert (tmp_path / "out" / name).read_bytes() == (home / "out" / name).read_bytes()


def compute(request):
    request.bar(3, "counting").close()
    finding = Finding("a sentence of many words that a terminal of sixty columns cannot hold", 1, 0, 2, "b", "open")
    parameters = {"one": np.float64(np.inf), "many": np.arange(3), "seed": request.rng, "what": {1: (2.5, None)}}
    return Numbers({"line": np.arange(4.0)}, parameters, findings=(finding,))


def draw(numbers, as_published):
    canvas = style.canvas(2.0, 1.5)
    canvas.subplots().plot(numbers["line"])
    return canvas


TINY = Definition(
    "test.tiny", "a line", 0.25, compute, draw, published=False, quick_seconds=0.1, caption="A line that rises.",
    question="Does it?", hypothesis="It does.", method="Look.",
)  # fmt: skip


@pytest.fixture
def register(monkeypatch):
    def one(definition):
        monkeypatch.setattr(catalogue, "_all", lambda: {definition.name: definition})

    one(TINY)
    return one


def test_the_stem_says_which_size_and_the_record_what_was_found(tmp_path, register):
    drawn = figure("test.tiny", tmp_path, quick=True, rng=7)
    assert [path.name for path in drawn.paths] == [f"test.tiny-quick.{kind}" for kind in KINDS]
    record = json.loads(drawn.provenance.read_text())
    assert (record["size"], record["seed"], record["caption"]) == ("quick", 7, "A line that rises.")
    assert record["parameters"] == {"one": "inf", "many": [0, 1, 2], "seed": 7, "what": {"1": [2.5, None]}}
    assert record["findings"] == [drawn.findings[0].record()]
    assert set(record["sha256"]) == {"png", "svg", "pdf", "npz"}


def test_pictures_have_no_dates(tmp_path, register):
    first, second = figure("test.tiny", tmp_path / "a"), figure("test.tiny", tmp_path / "b")
    assert first.document.read_bytes().startswith(b"%PDF")
    for one, other in zip(first.paths, second.paths, strict=True):
        content = one.read_bytes()
        assert content == other.read_bytes()
        assert b"Date" not in content
        assert not any(word in content for word in (b"dc:date", b"CreationDate"))


def test_a_full_disk_changes_nothing(tmp_path, register):
    drawn = figure("test.tiny", tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    register(replace(TINY, title="another title"))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before[drawn.vector]) - 1, hard))  # a real one: PNG fits, SVG not
    try:
        with pytest.raises(FileError, match=r"File too large; make room, or choose another folder"):
            figure("test.tiny", tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_files_appear_only_when_all_are_written(tmp_path, monkeypatch):
    seen = []

    def looked(source, target):
        seen.append(sorted(path.name for path in tmp_path.iterdir()))
        real(source, target)

    real = os.replace
    monkeypatch.setattr(writing.os, "replace", looked)
    writing.write_together(tmp_path, {"a": b"1", "b": b"2"})
    assert [[name.split(".")[1] if name.endswith(".part") else f"{name}!" for name in names] for names in seen] == [
        ["a", "b"], ["b", "a!"]
    ]  # fmt: skip
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"]


def test_another_call_that_writes_the_same_figure_meanwhile_does_no_harm(tmp_path, monkeypatch):
    def meanwhile(source, target):
        monkeypatch.setattr(writing.os, "replace", real)
        writing.write_together(tmp_path, {"a": b"other", "b": b"other"})
        real(source, target)

    real = os.replace
    monkeypatch.setattr(writing.os, "replace", meanwhile)
    writing.write_together(tmp_path, {"a": b"own", "b": b"own"})
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"a": b"own", "b": b"own"}


def test_a_folder_that_takes_no_files_is_refused_before_any_work(register):
    def compute(request):
        raise AssertionError("work was done")

    register(replace(TINY, compute=compute))
    with pytest.raises(FileError, match="takes no files"):
        figure("test.tiny", "/proc")


@pytest.mark.parametrize(
    ("options", "law"), [({"as_published": True}, "no as-published version"), ({"quick": True}, "no quick size")]
)
def test_versions_that_do_not_exist_are_refused_before_any_work(tmp_path, register, options, law):
    def work(request):
        raise AssertionError("work was done")

    register(Definition("test.plain", "plain", 1.0, work, draw, published=False))
    with pytest.raises(InputError, match=law):
        figure("test.plain", tmp_path / "never", **options)
    assert not (tmp_path / "never").exists()


def test_the_command_prints_the_findings_and_the_files(tmp_path, register, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    assert main(["figure", "test.tiny", "--quick", "--out", str(tmp_path), "--seed", "3"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[:4] == [
        "outcome    number    finding",
        "open       1 [0, 2]  a sentence of many words that a",
        " " * 21 + "terminal of sixty columns cannot hold",
        " " * 21 + "(b)",
    ]
    assert lines[5:] == [f"wrote {tmp_path / f'test.tiny-quick.{kind}'}" for kind in KINDS]
    assert json.loads((tmp_path / "test.tiny-quick.json").read_text())["seed"] == 3


def test_wrong_calls_of_the_command(tmp_path, register, capsys):
    for words, told in [
        (["test.tyni"], "did you mean 'test.tiny'?"),
        (["tiny"], "did you mean 'test.tiny'?"),
        (["test.tiny", "--as-published"], "no as-published version"),
        (["test.tiny", "--jobs", "0"], "jobs must be an integer >= 1"),
    ]:
        assert main(["figure", *words, "--out", str(tmp_path / "never")]) == 2
        assert told in capsys.readouterr().err
    assert not (tmp_path / "never").exists()


def test_the_list_is_aligned_and_grouped(register, capsys):
    assert main(["figures"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "experiments  seconds  quick  as published  title"
    assert lines[1] == "test.tiny       0.25    0.1  -             a line"


def test_a_cell_that_fails_is_an_error_with_its_text(tmp_path):
    import traindyn as td

    def build(correlation):
        return td.AssociativeMemory.two_tokens(correlation), td.GradientDescent(1.0)

    with pytest.raises(TraindynError, match=r"1 of 2 cells of the sweep 'grid' failed; .*'correlation': 1.5.*got 1.5"):
        Request().sweep("grid", build, grid={"correlation": [0.5, 1.5]}, measure="peak_loss", steps=2)


def test_an_interrupted_sweep_does_not_pass_for_a_whole_one(monkeypatch):
    import traindyn.dynamics

    cut = Cube({"x": (1, 2)}, ("m",), np.ones((2, 1)), np.full(2, CODES[Status.INTERRUPTED], np.int8), {}, {})
    assert cut.missing == 2
    monkeypatch.setattr(traindyn.dynamics, "sweep", lambda *arguments, **options: cut, raising=False)
    with pytest.raises(KeyboardInterrupt):
        Request().sweep("grid", lambda x: None, grid={"x": [1, 2]}, measure="m", steps=1)


def test_a_store_of_another_seed_is_refused_with_a_way_out(tmp_path):
    import traindyn as td

    def build(learning_rate):
        return td.AssociativeMemory.two_tokens(0.5), td.GradientDescent(learning_rate)

    def asked(rng):
        request = Request(store=tmp_path / "stem", rng=rng)
        request.sweep("grid", build, grid={"learning_rate": [0.5, 1.5]}, measure="peak_loss", steps=2)
        return request

    assert {path.name for path in asked(0).kept()} >= {"stem.grid.db"}
    with pytest.raises(FileError, match=r"part of a figure that is not finished: draw that again .* or remove it"):
        asked(1)


@pytest.mark.parametrize("name", ["", "a/b", "../a", "a b"])
def test_names_of_sweeps_are_words(name):
    with pytest.raises(InputError, match="name of a sweep"):
        Request(store=Path("x")).file(name)


def test_definitions_that_contradict_themselves_are_refused():
    with pytest.raises(InputError, match="quirks"):
        Definition("a", "b", 1.0, compute, draw, quirks=("one",), published=False)
    with pytest.raises(InputError, match="question, hypothesis, method and quick_seconds"):
        Definition("a", "b", 1.0, compute, draw, published=False, question="Why?")
    with pytest.raises(InputError, match="two figures have one name"):
        catalogue._add({"test.tiny": TINY}, (TINY,), "here")
    with pytest.raises(InputError, match="must hold Definition"):
        catalogue._add({}, (compute,), "here")


def test_another_package_brings_figures_by_an_entry_point(monkeypatch):
    class Point:
        name, value = "mine", "mine.figures:FIGURES"

        def load(self):
            return (TINY,)

    monkeypatch.setattr(catalogue, "entry_points", lambda group: [Point()] if group == "traindyn.figures" else [])
    table = catalogue._all.__wrapped__()
    assert table["test.tiny"] is TINY
    assert "cabannes2024.fig1" in table
