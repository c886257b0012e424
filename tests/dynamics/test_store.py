"""The store of a sweep: what is written is read, by us and by any SQLite; once, in any order, and by one process."""

from __future__ import annotations

import math
import os
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from traindyn.dynamics import store as store_module
from traindyn.dynamics.status import Status
from traindyn.dynamics.store import Store
from traindyn.errors import FileError, InputError

GRID = {"learning_rate": [0.1 * i for i in range(1, 26)], "rule": ["descent", "flow"], "tokens": [2, 3, 5, 8]}
HEADER = {"traindyn": "1.0", "grid": GRID, "steps": 35, "definition": "two tokens", "entropy": 2**127 + 1}
CELLS, MEASURES = 200, ("final_loss", "steps_to_accuracy", "seconds")
SPECIAL = [0.0, -0.0, 1.0, -1.0, math.inf, -math.inf, math.nan, 5e-324, -5e-324, 2.2250738585072009e-308, math.pi,
           2.2250738585072014e-308, 1.7976931348623157e308, 0.1, 1 / 3, 2.0**53 + 2, 4503599627370497.5]  # fmt: skip


def results(cells: int = CELLS, measures: int = len(MEASURES)) -> tuple[Any, Any]:
    rng = np.random.default_rng(7)
    # every exponent and sign, and the ends of the format
    values = rng.integers(0, 2**64, (cells, measures), dtype=np.uint64).view(np.float64)
    values[np.isnan(values)] = np.nan
    values.flat[: len(SPECIAL)] = SPECIAL
    return values, rng.integers(0, len(Status), cells).astype(np.int8)


VALUES, STATUS = results()


def opened(path: Path, **others: Any) -> Store:
    return Store.open(path, HEADER, CELLS, MEASURES, **others)


def fill(store: Store, ranges: list[tuple[int, int]], **others: Any) -> None:
    for first, stop in ranges:
        store.write(first, VALUES[first:stop], STATUS[first:stop], **others)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "sweep ?#%20ü.db"


@pytest.mark.parametrize("wal", [False, True])
def test_what_is_written_is_read_bit_for_bit(path: Path, wal: bool) -> None:
    with opened(path, wal=wal, notes={"why": "a test"}) as store:
        fill(store, [(150, 200), (0, 1), (20, 20), (1, 90)], seconds=2.0)
        assert store.missing() == [(90, 150)]
    with opened(path, wal=wal, notes={"why": "another"}) as store:
        values, status, done, seconds = store.read()
        assert store.missing() == [(90, 150)]
        assert done.tolist() == [not 90 <= cell < 150 for cell in range(CELLS)]
        assert values[done].tobytes() == VALUES[done].tobytes()
        assert (status[done] == STATUS[done]).all()
        assert (status[~done] == -1).all()
        assert np.isnan(values[~done]).all()
        assert seconds[1:90].sum() == pytest.approx(2.0)
        assert np.isnan(seconds[~done]).all()
        assert store.notes == {"why": "a test"}
        assert store.header == HEADER
        fill(store, store.missing())
        assert store.missing() == []
        assert store.read()[0].tobytes() == VALUES.tobytes()


def test_each_cell_may_have_its_own_seconds(path: Path) -> None:
    spent = np.random.default_rng(0).random(CELLS)
    with opened(path) as store:
        store.write(0, VALUES, STATUS, spent)
    with opened(path) as store:
        np.testing.assert_array_equal(store.read()[3], spent)
    assert Store.summary(path).sessions[0].seconds == pytest.approx(spent.sum())


def test_many_small_rows_in_random_order(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_module, "COMMIT_SECONDS", 0.0)  # a commit each
    monkeypatch.setattr("traindyn.dynamics.store_check.PIECE_BYTES", 5 * 8192)  # read in pieces of five rows
    order = np.random.default_rng(3).permutation(60)
    texts = {int(cell): f"ValueError: ü {cell}" for cell in order[::9]}
    with opened(path) as store:
        for cell in order:
            fill(store, [(cell, cell + 1)], errors={cell: texts[cell]} if cell in texts else {})
    with opened(path) as store:
        assert store.read()[0][:60].tobytes() == VALUES[:60].tobytes()
        assert store.errors() == dict(sorted(texts.items()))


@pytest.mark.parametrize("measures", [1, 3, 60])
def test_any_number_of_measures(path: Path, measures: int) -> None:
    names = tuple(f"m{i}" for i in range(measures))
    cells = 1000
    values, status = results(cells, measures)
    with Store.open(path, {}, cells, names) as store:
        store.write(0, values[:600], status[:600], 3.0)  # more than one row
        store.write(600, values[600:], status[600:], np.ones(400), {cells - 1: "last"})
    with Store.open(path, {}, cells, names) as store:
        assert store.read()[0].tobytes() == values.tobytes()
        assert store.errors() == {cells - 1: "last"}
        np.testing.assert_allclose(store.read()[3], [0.005] * 600 + [1.0] * 400, rtol=1e-12)
    assert Store.summary(path).sessions[0].seconds == pytest.approx(403.0)


def test_any_sqlite_reads_one_row_a_cell(path: Path) -> None:
    spent = np.linspace(0.0, 1.0, 50)
    with opened(path) as store:
        fill(store, [(0, 100)], seconds=8.0)
        store.write(150, VALUES[150:], STATUS[150:], spent, {160: "ValueError: no"})
        store.flush()
        with sqlite3.connect(path) as plain:  # no function of ours, while it is open for writing
            plain.row_factory = sqlite3.Row
            rows = plain.execute("SELECT * FROM cells ORDER BY cell").fetchall()
        plain.close()
    # seconds is a column of its own: the measure of that name gives way
    names = ["cell", "learning_rate", "rule", "tokens", *MEASURES[:2], "seconds_2", "status", "seconds", "error"]
    assert rows[0].keys() == names
    assert [row["cell"] for row in rows] == [*range(100), *range(150, 200)]
    for row in rows:
        cell = row["cell"]
        a, b, c = np.unravel_index(cell, (25, 2, 4))
        assert tuple(row)[1:4] == (GRID["learning_rate"][a], GRID["rule"][b], GRID["tokens"][c])
        shown = np.array([np.nan if value is None else value for value in tuple(row)[4:7]])
        assert shown.tobytes() == VALUES[cell].tobytes(), f"cell {cell}"
        assert row["status"] == list(Status)[STATUS[cell]].name
        assert row["seconds"] == (0.08 if cell < 100 else spent[cell - 150])
        assert row["error"] == ("ValueError: no" if cell == 160 else None)


def test_the_view_needs_no_python(path: Path) -> None:
    """The SQL of the file alone, in a process that never saw traindyn."""
    with opened(path) as store:
        fill(store, [(0, 200)])
    query = "SELECT count(*), min(tokens) FROM cells"
    code = f"import sqlite3; print(sqlite3.connect({str(path)!r}).execute({query!r}).fetchone())"
    found = subprocess.run([sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "(200, 2)"


def test_columns_whose_names_differ_in_case_only(tmp_path: Path) -> None:
    header = {"grid": {"n": [1, 2], "N": [3, 4], "cell": [5], 'a"b': [2**70, None, True]}}
    with Store.open(tmp_path / "x.db", header, 12, ("loss", "Loss", "status")) as store:
        store.write(0, np.ones((12, 3)), np.zeros(12, int))
    with sqlite3.connect(tmp_path / "x.db") as plain:
        found = plain.execute("SELECT * FROM cells")
        names = [column[0] for column in found.description]
        rows = found.fetchall()
    plain.close()
    assert names == ["cell", "n", "N_2", "cell_2", 'a"b', "loss", "Loss_2", "status_2", "status", "seconds", "error"]
    assert [row[1:5] for row in rows[:4]] == [
        (1, 3, 5, str(2**70)), (1, 3, 5, "null"), (1, 3, 5, 1), (1, 4, 5, str(2**70)),
    ]  # fmt: skip


def test_a_cell_is_written_once(path: Path) -> None:
    with opened(path) as store:
        fill(store, [(10, 20)])
        for first, stop in ((19, 30), (5, 11), (12, 13), (0, 200)):
            with pytest.raises(InputError, match=r"written once; got cell 1\d again"):
                fill(store, [(first, stop)])
        store.flush()
    with opened(path) as store, pytest.raises(InputError, match="cell 10 again"):
        fill(store, [(0, 11)])
    with opened(path) as store:
        assert store.missing() == [(0, 10), (20, 200)]


@pytest.mark.parametrize(
    ("arguments", "law"),
    [
        ((-1, VALUES[:1], STATUS[:1]), "first must be an integer >= 0"),
        ((199, VALUES[:2], STATUS[:2]), "must lie in the grid of 200; got 199 to 200"),
        ((0, VALUES[:2, :2], STATUS[:2]), r"shape \(m, 3\)"),
        ((0, VALUES[:2], STATUS[:3]), r"shape \(m, 3\)"),
        ((0, VALUES[:1], [7]), "from 0 to 6"),
        ((0, VALUES[:1], [-1]), "from 0 to 6"),
        ((0, VALUES[:1], [0.0]), "whole numbers"),
        ((0, VALUES[:1], [0], math.nan), "seconds must be finite"),
        ((0, VALUES[:1], [0], -1.0), "seconds must be finite"),
        ((0, VALUES[:2], [0, 0], np.ones(3)), "one number or one a cell"),
        ((0, VALUES[:2], [0, 0], 0.0, {2: "no"}), "cell 2 of 0 to 1"),
    ],
)
def test_wrong_rows_are_refused_and_nothing_is_written(path: Path, arguments: Any, law: str) -> None:
    with opened(path) as store:
        with pytest.raises(InputError, match=law):
            store.write(*arguments)
        assert store.missing() == [(0, CELLS)]


@pytest.mark.parametrize(
    ("header", "cells", "measures", "law"),
    [
        ({"a": math.nan}, 3, ("x",), r"header\['a'\] must hold JSON values"),
        ({"a": object()}, 3, ("x",), "JSON values"),
        ({"a": "\ud800"}, 3, ("x",), "JSON values"),
        ({}, 0, ("x",), "n_cells must be an integer >= 1"),
        ({}, 3, (), "distinct names"),
        ({}, 3, ("x", "x"), "distinct names"),
        ({}, 3, [f"m{i}" for i in range(1001)], "at most 1000"),
    ],
)
def test_a_wrong_definition_makes_no_file(path: Path, header: Any, cells: int, measures: Any, law: str) -> None:
    with pytest.raises(InputError, match=law):
        Store.open(path, header, cells, measures)
    assert list(path.parent.iterdir()) == []


@pytest.mark.parametrize(
    ("change", "cells", "measures", "told"),
    [
        ({"traindyn": "1.1", "steps": 36}, CELLS, MEASURES, r'traindyn, "1.0" there and "1.1" here \(and in: steps\); '
         "versions are not mixed .* pip install traindyn==1.0"),
        ({"grid": {**GRID, "tokens": [2, 3, 5, 9]}}, CELLS, MEASURES, r"grid, axis tokens\[3\], 8 there and 9 here"),
        ({"grid": {**GRID, "tokens": [2, 3, 5, 8.0]}}, CELLS, MEASURES, "grid, the kind of its numbers"),
        ({"grid": {**GRID, "tokens": [2, 3]}}, 100, MEASURES,
         r"grid, axis tokens with 4 values there and 2 values here \(and in: n_cells"),
        ({"grid": dict(reversed(GRID.items()))}, CELLS, MEASURES,
         "grid, axes learning_rate, rule, tokens there and tokens, rule"),
        ({}, CELLS, MEASURES[::-1], r'measures, \["final_loss", .* there and \["seconds"'),
        ({"steps": 36}, CELLS, MEASURES, "steps, 35 there and 36 here"),
        ({"definition": "x" * 500}, CELLS, MEASURES, 'definition, "two tokens" there and "xxx.*xxx\\.\\.\\. here'),
        ({"momentum": 0.9}, CELLS, MEASURES, "momentum, absent there and 0.9 here"),
        ({"entropy": 2**127}, CELLS, MEASURES, "entropy, .*729 there and .*728 here"),
    ],
    ids=["version", "axis", "kind", "size", "order", "measures", "steps", "definition", "more", "entropy"],
)  # fmt: skip
def test_another_sweep_is_refused_by_what_differs(
    path: Path, change: Any, cells: int, measures: Any, told: str
) -> None:
    with opened(path) as store:
        fill(store, [(0, 10)])
    before = path.read_bytes()
    with pytest.raises(FileError, match=rf"holds another sweep: it differs in {told}"):
        Store.open(path, {**HEADER, **change}, cells, measures)
    assert path.read_bytes() == before
    opened(path).close()  # and nobody holds it


def test_commits_wait_for_half_a_second_at_most(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now, length = [100.0], [0.0]
    write_rows = Store._write_rows

    def slow(self: Store, *others: Any) -> None:
        write_rows(self, *others)
        now[0] += length[0]

    monkeypatch.setattr(Store, "_write_rows", slow)
    monkeypatch.setattr(store_module.time, "monotonic", lambda: now[0])

    def safe() -> int:
        return Store.summary(path).done

    with opened(path) as store:
        now[0] += 0.04
        fill(store, [(0, 1)])
        assert safe() == 0
        now[0] += 0.02
        length[0] = 0.01
        fill(store, [(1, 2)])  # 0.05 s have gone by, and commits cost nothing
        assert safe() == 2
        now[0] += 0.19
        length[0] = 1.0
        fill(store, [(2, 3)])  # twenty times a commit have not
        assert safe() == 2
        now[0] += 0.02
        fill(store, [(3, 4)])
        assert safe() == 4
        now[0] += 0.49  # a commit takes a second now
        fill(store, [(4, 5)])
        assert safe() == 4
        now[0] += 0.02
        fill(store, [(5, 6)])
        assert safe() == 6
        now[0] += 0.1
        assert store.write(6, VALUES[6:7], STATUS[6:7], 0.1, {6: "no"}) is False
        assert store.read()[2].sum() == 7  # this process sees what is pending
        assert store.errors() == {6: "no"}
        assert safe() == 6
        store.flush()
        assert safe() == 7
        fill(store, [(7, 8)])
        assert safe() == 7
    assert safe() == 8  # leaving flushes


def test_leaving_by_an_error_keeps_what_was_written(path: Path) -> None:
    def interrupted() -> None:
        with opened(path) as store:
            fill(store, [(0, 10)])
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    with opened(path) as store:
        assert store.missing() == [(10, 200)]


def test_an_interrupt_just_after_a_commit_writes_nothing_twice(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    transaction = Store._transaction
    with opened(path) as store:
        fill(store, [(0, 10)])

        def interrupted(self: Store, patience: float) -> Any:
            context = transaction(self, patience)

            class Interrupted:
                def __enter__(self) -> None:
                    context.__enter__()

                def __exit__(self, *error: Any) -> None:
                    context.__exit__(*error)
                    raise KeyboardInterrupt

            return Interrupted()

        with monkeypatch.context() as patch:
            patch.setattr(Store, "_transaction", interrupted)
            with pytest.raises(KeyboardInterrupt):
                store.flush()
        fill(store, [(10, 30)], errors={11: "no"})
        store.flush()
        fill(store, [(30, 40)])
    with opened(path) as store:
        assert store.missing() == [(40, 200)]
        assert store.read()[0][:40].tobytes() == VALUES[:40].tobytes()


def test_summary(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1_000_000.0]
    monkeypatch.setattr("traindyn.dynamics.store_sessions.time.time", lambda: now[0])
    with opened(path) as store:
        for first in range(0, 100, 10):
            now[0] += 2.0
            fill(store, [(first, first + 10)], seconds=4.0)
            store.flush()
        running = Store.summary(path)
        assert running.alive
        assert running.holder is not None
        assert running.holder.pid == os.getpid()
        assert running.rate == pytest.approx(5.0)
        assert running.seconds_left == pytest.approx(20.0)
        assert f"written now by process {os.getpid()}" in str(running)
        assert "5 cells a second, about 20.0 s left" in str(running)
    summary = Store.summary(path)
    assert not summary.alive
    assert (summary.n_cells, summary.done) == (200, 100)
    assert summary.by_status == {one.name: int((STATUS[:100] == i).sum()) for i, one in enumerate(Status)}
    session = summary.sessions[0]
    assert (session.pid, session.cells, session.ended) == (os.getpid(), 100, now[0])
    assert session.seconds == pytest.approx(40.0)
    assert session.environment["numpy"] == np.__version__
    assert "nobody is writing it; run the same sweep again to go on" in str(summary)
    assert "100 of 200 cells done (50.0 %)" in str(summary)
    with opened(path) as store:
        fill(store, store.missing())
    summary = Store.summary(path)
    assert [one.cells for one in summary.sessions] == [100, 100]
    assert summary.seconds_left == 0.0
    assert "200 of 200 cells done (100.0 %)" in str(summary)


def test_reading_while_it_is_written(path: Path) -> None:
    with opened(path) as store, Store.load(path) as reader:
        assert reader.n_cells == CELLS
        assert reader.measures == MEASURES
        for first in range(0, CELLS, 50):
            fill(store, [(first, first + 50)], errors={first: "no"})
            store.flush()
            values, _, done, _ = reader.read()
            assert done.sum() == first + 50
            assert values[done].tobytes() == VALUES[: first + 50].tobytes()
            assert len(reader.errors()) == first // 50 + 1
    with pytest.raises(AttributeError):
        reader.write  # noqa: B018


def test_a_closed_store_says_so(path: Path) -> None:
    store = opened(path)
    store.close()
    store.close()
    with pytest.raises(FileError, match="is closed; open it again"):
        fill(store, [(0, 1)])


def test_errors_are_kept_as_text_that_sqlite_takes(path: Path) -> None:
    with opened(path) as store:
        fill(store, [(0, 3)], errors={0: "a\0b", 1: "\ud800", 2: "x" * 10_000})
    with opened(path) as store:
        assert store.errors() == {0: "a\\0b", 1: "?", 2: "x" * 4000}
