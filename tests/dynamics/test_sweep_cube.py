"""Cubes: reading, selecting, exporting; and sweeps written down in files."""

from __future__ import annotations

import csv
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import traindyn as td
from traindyn.__main__ import main
from traindyn.dynamics.cells import CODES
from traindyn.dynamics.cube_export import write
from traindyn.errors import FileError, InputError

EXAMPLE = Path(__file__).resolve().parents[2] / "docs" / "examples" / "sweep" / "figure3.toml"
AXES: dict[str, tuple[Any, ...]] = {"rule": ("a", "b"), "pair": ((0.5, 0.5), (0.25, 0.75)), "rate": (0.1, 1.0, 2.0)}


@pytest.fixture
def cube() -> td.Cube:
    table = np.arange(24.0).reshape(12, 2)
    table[5, 1] = math.nan
    codes = np.zeros(12, np.int8)
    codes[5] = CODES[td.Status.FAILED]
    codes[7] = CODES[td.Status.INTERRUPTED]
    return td.Cube(AXES, ("x", "y"), table, codes, {5: "build: no"}, {"steps": 3, "environment": {"cpu": "one"}})


def test_reading(cube: td.Cube) -> None:
    assert cube.values.shape == cube.shape == (2, 2, 3)
    assert cube["y"][1, 0, 2] == 17.0
    assert cube.status[0, 1, 2] is td.Status.FAILED
    assert cube.errors == {(0, 1, 2): "build: no"}
    assert cube.cell(0, 1, 2) == {"rule": "a", "pair": (0.25, 0.75), "rate": 2.0}
    assert cube.counts == {td.Status.COMPLETED: 10, td.Status.FAILED: 1, td.Status.INTERRUPTED: 1}
    assert cube.missing == 1
    with pytest.raises(InputError, match="unknown measure of this sweep; got 'z'"):
        cube["z"]


def test_nothing_can_be_written(cube: td.Cube) -> None:
    for array in (cube.values, cube.status, cube["y"]):
        with pytest.raises(ValueError, match="read-only"):
            array[0, 0, 0] = 1.0
    with pytest.raises(AttributeError):
        cube.measures = ("z",)  # type: ignore[misc]


def test_repr_says_what_is_to_know(cube: td.Cube) -> None:
    text = repr(cube)
    assert "Cube (rule 2, pair 2, rate 3): 12 cells, 10 COMPLETED, 1 INTERRUPTED, 1 FAILED" in text
    assert "y 1 .. 23, 1 cells without" in text
    assert "first failure, at {'rule': 'a', 'pair': (0.25, 0.75), 'rate': 2.0}: build: no" in text
    assert "1 cells were not run" in text


def test_selecting(cube: td.Cube) -> None:
    one = cube.select(rule="b", pair=(0.5, 0.5))
    assert list(one.axes) == ["rate"]
    assert one["x"].tolist() == cube["x"][1, 0].tolist()
    some = cube.select(pair=[(0.25, 0.75)], rate=[2.0, 0.1])
    assert some.axes["rate"] == (2.0, 0.1)
    assert some["x"].tolist() == cube["x"][:, 1:, [2, 0]].tolist()
    assert some.errors == {(0, 0, 0): "build: no"}
    assert cube.select(rate=2.0 * (1.0 + 1e-12)).shape == (2, 2)
    assert cube.select(rule="a", pair=(0.25, 0.75), rate=2.0).values.shape == ()
    with pytest.raises(InputError, match=r"no such value; got 0.9; the nearest are \[1.0, 0.1, 2.0\]"):
        cube.select(rate=0.9)
    with pytest.raises(InputError, match="did you mean 'rate'"):
        cube.select(rte=0.9)
    with pytest.raises(InputError, match="it has 'a', 'b'"):
        cube.select(rule="c")


def test_xarray(cube: td.Cube) -> None:
    pytest.importorskip("xarray")
    data = cube.to_xarray()
    assert data["x"].dims == ("rule", "pair", "rate")
    one = cube.select(rule="b", pair=(0.5, 0.5), rate=1.0)
    assert float(data["x"].sel(rule="b", rate=1.0).isel(pair=0)) == one.values
    assert data.attrs["steps"] == 3
    assert int(data["status"].max()) == max(CODES[status] for status in cube.counts)
    assert data["status"].attrs["flag_meanings"].split()[CODES[td.Status.FAILED]] == "FAILED"


def test_pandas(cube: td.Cube) -> None:
    pytest.importorskip("pandas")
    table = cube.to_pandas()
    assert list(table.columns) == ["rule", "pair", "rate", "x", "y", "status"]
    for number in (0, 5, 11):
        row = table.iloc[number]
        index = np.unravel_index(number, cube.shape)
        assert {name: row[name] for name in AXES} == cube.cell(*(int(i) for i in index))
        assert row["status"] == cube.status[index].name
        assert row["x"] == cube["x"][index]


@pytest.mark.parametrize("kind", ["zarr", "nc"])
def test_files_of_xarray(cube: td.Cube, kind: str, tmp_path: Path) -> None:
    xarray = pytest.importorskip("xarray")
    pytest.importorskip("zarr")
    place = tmp_path / f"cube.{kind}"
    write(cube, place)
    read = xarray.open_zarr(place, consolidated=False) if kind == "zarr" else xarray.open_dataset(place, engine="scipy")
    with read:
        assert read["y"].values.tobytes() == cube["y"].tobytes()
        assert read["rate"].values.tolist() == [0.1, 1.0, 2.0]
        assert [str(value) for value in read["rule"].values] == ["a", "b"]
    assert [path.name for path in tmp_path.iterdir()] == [place.name]
    if kind == "zarr":
        with pytest.raises(FileError, match="exists"):
            cube.to_zarr(place)


def test_csv(cube: td.Cube, tmp_path: Path) -> None:
    write(cube, tmp_path / "cube.csv")
    with (tmp_path / "cube.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [float(row["x"]) for row in rows] == cube["x"].ravel().tolist()
    assert rows[5]["y"] == ""
    assert rows[5]["status"] == "FAILED"
    with pytest.raises(InputError, match=r"one of \.csv, \.nc, \.zarr"):
        write(cube, tmp_path / "cube.xls")
    with pytest.raises(FileError, match="is not a folder"):
        write(cube, tmp_path / "no" / "cube.csv")


def test_a_store_gives_the_cube_back(tmp_path: Path) -> None:
    def build(pair: tuple[float, float], rate: float, name: str) -> tuple[Any, Any]:
        return td.AssociativeMemory.two_tokens(0.5, pair), td.GradientDescent(rate)

    grid = {"pair": [(0.5, 0.5), (0.25, 0.75)], "rate": [1, 0.3], "name": ["x"]}
    cube = td.sweep(build, grid, ("peak_loss", "final_loss"), steps=5, store=tmp_path / "a.db")
    read = td.Cube.load(tmp_path / "a.db")
    assert read.axes == cube.axes
    assert read.table.tobytes() == cube.table.tobytes()
    assert (read.status == cube.status).all()
    assert read.measures == cube.measures


SMALL = """
problem = "AssociativeMemory.two_tokens"
rule = "GradientDescent"
measure = ["steps_to_accuracy", "peak_loss"]
steps = 100
rng = 3
[fixed]
frequencies = [0.6, 0.4]
[grid]
correlation = { linspace = [0.0, 0.9, 4] }
learning_rate = [0.5, 5.0]
"""


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "small.toml").write_text(SMALL)
    return tmp_path / "small.toml"


def test_a_file_is_the_sweep_that_it_says(small: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sweep", "small.toml", "--store", "small.db", "--out", "small.csv"]) == 0
    assert "8 cells, all COMPLETED" in capsys.readouterr().out
    recipe = td.Recipe(td.AssociativeMemory.two_tokens, td.GradientDescent, frequencies=[0.6, 0.4])
    grid = {"correlation": np.linspace(0.0, 0.9, 4), "learning_rate": [0.5, 5.0]}
    wanted = td.sweep(recipe, grid, ("steps_to_accuracy", "peak_loss"), steps=100)
    assert td.Cube.load("small.db").table.tobytes() == wanted.table.tobytes()
    assert main(["sweep", "--status", "small.db"]) == 0
    assert "8 of 8 cells done (100.0 %)" in capsys.readouterr().out
    assert main(["sweep", "small.toml", "--store", "small.db", "--jobs", "2", "--quiet"]) == 0
    assert capsys.readouterr().err == ""


def test_the_example_is_a_sweep(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sweep", str(EXAMPLE), "--dry-run"]) == 0
    assert "Estimate: 992 cells" in capsys.readouterr().out


def test_failed_cells_are_told_by_the_exit_status(small: Path, capsys: pytest.CaptureFixture[str]) -> None:
    small.write_text(SMALL.replace("[0.5, 5.0]", "[0.5, -5.0]"))
    assert main(["sweep", "small.toml"]) == 1
    assert "4 FAILED" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("old", "new", "answer"),
    [
        ("steps = 100", "step = 100", "unknown key; got 'step'; did you mean 'steps'"),
        ("steps = 100", "steps = 100\ntime = 1.0", "a file has steps or time, not both"),
        ("steps = 100", "steps = 9007199254740992", "steps must be less than 2^53"),
        ("steps = 100", "steps = 100\ndtype = 64", "dtype must be a text; got 64"),
        ('rule = "GradientDescent"', 'rule = ["GradientDescent"]', "rule must be a text"),
        ("[0.0, 0.9, 4]", "[0.0, 0.9]", "linspace takes [low, high, count]; got [0.0, 0.9]; three numbers"),
        ("[0.0, 0.9, 4]", "[0.0, 0.9, true]", "three numbers"),
        ("[0.0, 0.9, 4]", "[0.0, 0.9, 1000000000000]", "with at most 100000000 values"),
        ("linspace = [0.0, 0.9, 4]", "arange = [0.0, 0.9, 0]", "arange takes [low, high, step]; got [0.0, 0.9, 0]"),
        ("linspace = [0.0, 0.9, 4]", "arange = [0.0, 0.9, 1e-12]", "with at most 100000000 values"),
        ("steps = 100", "steps = 1.5", "steps must be an integer"),
        ("steps = 100", "", "needs steps= or time="),
        ("GradientDescent", "GradientDecent", "unknown rule; got 'GradientDecent'; did you mean 'GradientDescent'"),
        ("AssociativeMemory.two_tokens", "AssociativeMemory.two_token", "did you mean 'AssociativeMemory.two_tokens'"),
        ("AssociativeMemory.two_tokens", "os.system", "unknown problem"),
        ("peak_loss", "peak_los", "did you mean 'peak_loss'"),
        ("linspace = [0.0, 0.9, 4]", "linspce = [0.0, 0.9, 4]", "did you mean 'linspace'"),
        ("linspace = [0.0, 0.9, 4]", "linspace = [0.0, 0.9, -4]", "linspace takes [low, high, count]"),
        ("linspace = [0.0, 0.9, 4]", "linspace = 3", "linspace takes [low, high, count]"),
        ("{ linspace = [0.0, 0.9, 4] }", "0.5", "must be a list, or one range; got 0.5"),
        ("frequencies", "frequences", "did you mean 'frequencies'"),
        ("[grid]", "[gird]", "unknown key; got 'gird'"),
        ('rule = "GradientDescent"', "", "the key 'rule' is missing; such as rule ="),
        ("rng = 3", "rng = [", "is not TOML"),
    ],
)
def test_wrong_files_are_refused_in_one_line(
    old: str, new: str, answer: str, small: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert old in SMALL
    small.write_text(SMALL.replace(old, new))
    assert main(["sweep", "small.toml", "--store", "small.db"]) == 2
    printed = capsys.readouterr()
    assert answer in printed.err
    assert printed.err.count("\n") == 1
    assert not Path("small.db").exists()


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        ([], "needs a file, or --status"),
        (["small.toml", "--status", "x.db"], "needs a file, or --status"),
        (["no.toml"], "cannot be read"),
        (["--status", "no.db"], "no.db"),
        (["small.toml", "--out", "a.xls"], "one of .csv, .nc, .zarr"),
        (["small.toml", "--out", "no/a.csv"], "no is not a folder"),
        (["small.toml", "--jobs", "0"], "jobs must be an integer >= 1"),
    ],
)
def test_wrong_calls(words: list[str], answer: str, small: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sweep", *words]) == 2
    assert answer in capsys.readouterr().err
