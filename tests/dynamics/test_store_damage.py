"""A store that is not as it was written is refused with the reason, and left as it is."""

from __future__ import annotations

import os
import random
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from traindyn.dynamics import store_check, store_schema
from traindyn.dynamics.store import Store
from traindyn.errors import FileError

HEADER = {"grid": {"rate": [0.1 * i for i in range(1, 31)], "token": list("abcdefghijklmnopqrst")}, "steps": 35}
CELLS, MEASURES = 600, ("loss", "margin")
DONE = [(0, 250), (300, 320), (400, 500)]
LEFT = [(250, 300), (320, 400), (500, 600)]
RNG = np.random.default_rng(1)
VALUES, STATUS = RNG.standard_normal((CELLS, 2)), RNG.integers(0, 7, CELLS).astype(np.int8)
ERRORS = {7: "ValueError: seven", 310: "no"}


def opened(path: Path) -> Store:
    return Store.open(path, HEADER, CELLS, MEASURES)


def make(path: Path, ranges: list[tuple[int, int]] = DONE) -> bytes:
    with opened(path) as store:
        for first, stop in ranges:
            errors = {cell: text for cell, text in ERRORS.items() if first <= cell < stop}
            store.write(first, VALUES[first:stop], STATUS[first:stop], np.full(stop - first, 0.1), errors)
            store.flush()
    return path.read_bytes()


@pytest.fixture(scope="module")
def content(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return make(tmp_path_factory.mktemp("store") / "sweep.db")


def works(path: Path) -> bool:
    """Return whether the store holds exactly what was written, and can be finished and read again."""
    with opened(path) as store:
        values, status, done, _ = store.read()
        right = store.missing() == LEFT and store.errors() == ERRORS and (status[done] == STATUS[done]).all()
        right = right and values[done].tobytes() == VALUES[done].tobytes()
        for first, stop in store.missing():
            store.write(first, VALUES[first:stop], STATUS[first:stop])
    with Store.load(path) as stored:
        values, status, done, _ = stored.read()
        return bool(right and done.all() and (status == STATUS).all() and values.tobytes() == VALUES.tobytes())


def flips(content: bytes, number: int, seed: int) -> Iterator[tuple[int, bytes]]:
    """Yield places and contents with one byte changed: everywhere, and in the pages' headers, where it is subtle."""
    rng = random.Random(seed)
    places = [*range(100), *(page + i for page in range(0, len(content), 8192) for i in (0, 1, 2, 3, 4, 5, 6, 7, 8, 9))]
    places += [rng.randrange(len(content)) for _ in range(number)]
    for place in rng.sample(places, number):
        broken = bytearray(content)
        broken[place] ^= 1 << rng.randrange(8)
        yield place, bytes(broken)


def outcomes_of_flips(content: bytes, folder: Path, number: int, seed: int) -> dict[str, int]:
    path, outcomes = folder / "broken.db", {"detected": 0, "harmless": 0}
    for place, broken in flips(content, number, seed):
        path.write_bytes(broken)
        try:
            assert works(path), f"byte {place} of page {place // 8192} changed the results; seed {seed}"
            outcomes["harmless"] += 1
        except FileError as error:
            outcomes["detected"] += 1
            if path.read_bytes() != broken:
                pytest.fail(f"byte {place}, seed {seed}: the file was changed, and then refused: {error}")
    return outcomes


def test_any_flipped_byte_is_found_or_harmless(content: bytes, tmp_path: Path) -> None:
    outcomes = outcomes_of_flips(content, tmp_path, 120, seed=0)
    assert outcomes["detected"] > 40, outcomes


@pytest.mark.slow
def test_five_thousand_flipped_bytes_are_found_or_harmless(content: bytes, tmp_path: Path) -> None:
    outcomes = outcomes_of_flips(content, tmp_path, 500, seed=1)
    for seed in range(2, 11):
        for name, number in outcomes_of_flips(content, tmp_path, 500, seed).items():
            outcomes[name] += number
    print(outcomes)


@pytest.mark.parametrize("what", ["measured", "status", "text", "each", "header", "session"])
def test_every_byte_of_what_was_written_is_under_a_checksum(content: bytes, tmp_path: Path, what: str) -> None:
    needles = {
        "measured": VALUES[123, 1].tobytes(), "status": STATUS[400:420].tobytes(), "text": b"ValueError: seven",
        "each": np.full(3, 0.1).tobytes(), "header": b'"traindyn.sweep"', "session": b'"cpu": ',
    }  # fmt: skip
    start = content.index(needles[what])
    for place in range(start, start + len(needles[what])):
        broken = bytearray(content)
        broken[place] ^= 1
        (tmp_path / "broken.db").write_bytes(broken)
        with pytest.raises(FileError, match="is damaged"):
            opened(tmp_path / "broken.db")


@pytest.mark.parametrize("place", range(36, 40))
def test_a_damaged_count_of_free_pages_is_found_before_anything_is_written(
    content: bytes, tmp_path: Path, place: int
) -> None:
    broken = bytearray(content)
    broken[place] ^= 1
    (tmp_path / "broken.db").write_bytes(broken)
    with pytest.raises(FileError, match="is damaged"):
        opened(tmp_path / "broken.db")
    assert (tmp_path / "broken.db").read_bytes() == broken


def test_any_truncation_is_found(content: bytes, tmp_path: Path) -> None:
    rng, path = random.Random(2), tmp_path / "short.db"
    for length in [1, 15, 16, 99, 100, 512, 8191, 8192, 8193, len(content) - 8192, len(content) - 1,
                   *(rng.randrange(len(content)) for _ in range(20))]:  # fmt: skip
        path.write_bytes(content[:length])
        for look in (opened, Store.load):
            with pytest.raises(FileError, match=r"is damaged|is not a store"):
                look(path)
        assert path.read_bytes() == content[:length]


def test_what_is_no_store_is_told(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("learning rates that I tried\n" * 40)
    (tmp_path / "empty.db").touch()
    with sqlite3.connect(tmp_path / "other.db") as other:
        other.execute("CREATE TABLE cells(x)")
    other.close()
    os.mkfifo(tmp_path / "pipe")
    for name, reason in {
        "notes.txt": "notes.txt is not a store: not an SQLite file",
        "empty.db": "is an empty file, which no sweep has made; remove it",
        "other.db": "is a database of another program, not a store of a sweep; name another file",
        "pipe": "is not a regular file",
        "": r"is a folder, and a store is one file; name a file in it: .*sweep\.db",
    }.items():
        before = sorted(tmp_path.iterdir())
        for look in (opened, Store.load, Store.summary):
            with pytest.raises(FileError, match=reason):
                look(tmp_path / name)
        assert {path for path in tmp_path.iterdir() if path.suffix != ".lock"} == {
            path for path in before if path.suffix != ".lock"
        }
    for look in (Store.load, Store.summary):
        with pytest.raises(FileError, match="there is no such file"):
            look(tmp_path / "absent.db")
    assert not (tmp_path / "absent.db").exists()


def test_a_later_format_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        for room in (store_schema, store_check):
            patch.setattr(room, "FORMAT", 2)
        make(tmp_path / "later.db")
    for look in (opened, Store.load, Store.summary):
        with pytest.raises(FileError, match="format version 2, this traindyn reads up to 1; upgrade"):
            look(tmp_path / "later.db")


def forge(path: Path, *statements: str) -> None:
    with sqlite3.connect(path) as hand:
        for statement in statements:
            hand.execute(statement)
    hand.close()


@pytest.mark.parametrize(
    ("statements", "reason"),
    [
        (["DELETE FROM chunk WHERE first = 300", "DELETE FROM error WHERE cell = 310"], "rows of its session 1"),
        (["DELETE FROM chunk WHERE first = 300"], "an error of cell 310, which is not done"),
        (["DELETE FROM error WHERE cell = 7"], "the checksum of cells 0 to"),
        (["INSERT INTO error VALUES (450, 'no')"], "the checksum of cells 400 to"),
        (["INSERT INTO error VALUES (599, 'no')"], "an error of cell 599"),
        (["UPDATE chunk SET first = 330 WHERE first = 300"], "an error of cell 310, which is not done"),
        (["UPDATE chunk SET first = 490 WHERE first = 300", "DELETE FROM error WHERE cell = 310"], "overlap"),
        (["UPDATE chunk SET first = 590 WHERE first = 300", "DELETE FROM error WHERE cell = 310"], "of the 600"),
        (["UPDATE chunk SET first = -1 WHERE first = 0"], "cell 7, which is not done"),
        (["UPDATE chunk SET session = 2 WHERE first = 300"], "the checksum of cells 300 to 319"),
        (["UPDATE chunk SET seconds = 3 WHERE first = 300"], "the checksum of cells 300 to 319"),
        (["UPDATE chunk SET each = NULL WHERE first = 300"], "the checksum of cells 300 to 319"),
        (["UPDATE chunk SET status = substr(status, 2) WHERE first = 300"], "the checksum of cells 300 to 319"),
        (["UPDATE chunk SET status = CAST(substr(status, 2) || substr(status, 1, 1) AS BLOB) WHERE first = 300"],
         "the checksum of cells 300 to 319"),
        (["UPDATE chunk SET measured = CAST(measured AS TEXT) WHERE first = 300"], "is damaged"),
        (["UPDATE session SET cells = 1"], "the checksum of its session 1"),
        (["UPDATE session SET host = 'other'"], "the checksum of its session 1"),
        (["DELETE FROM session"], "rows of sessions that are not listed"),
        (["UPDATE header SET value = '36' WHERE name = 'item.steps'"], "the checksum of its header"),
        (["DELETE FROM header WHERE name = 'seal'"], "the checksum of its header"),
        (["UPDATE power SET scale = 1 WHERE exponent = 1023"], "its power is not as it was written"),
        (["UPDATE axis_value SET value = 9 WHERE number = 3"], "its axis_value is not as it was written"),
        (["DROP VIEW cells", "CREATE VIEW cells AS SELECT * FROM chunk"], "its schema is not as it was written"),
        (["DROP TABLE chunk"], "is damaged"),
        (["PRAGMA application_id = 1"], "is damaged: its mark, or its header, is missing"),
        (["CREATE TABLE mine(x)"], "its schema is not as it was written"),
    ],
)  # fmt: skip
def test_what_other_programs_changed_is_told(
    content: bytes, tmp_path: Path, statements: list[str], reason: str
) -> None:
    path = tmp_path / "forged.db"
    path.write_bytes(content)
    forge(path, *statements)
    for look in (opened, Store.load):
        with pytest.raises(FileError, match=reason):
            look(path)


def test_rows_of_another_sweep_are_not_taken(content: bytes, tmp_path: Path) -> None:
    """The checksums hold the header's seal: a row copied from a twin store is refused."""
    path, twin = tmp_path / "one.db", tmp_path / "twin.db"
    path.write_bytes(content)
    with Store.open(twin, {**HEADER, "steps": 36}, CELLS, MEASURES) as store:
        store.write(500, VALUES[500:], STATUS[500:])
    forge(path, f"ATTACH '{twin}' AS twin", "INSERT INTO chunk SELECT * FROM twin.chunk")
    with pytest.raises(FileError, match="the checksum of cells 500 to 599"):
        opened(path)


def test_a_vacuumed_store_is_still_one(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "sweep.db"
    path.write_bytes(content)
    hand = sqlite3.connect(path, isolation_level=None)
    hand.execute("VACUUM")
    hand.close()
    assert works(path)


def test_readers_check_each_row_while_another_writes(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "sweep.db"
    path.write_bytes(content)
    with opened(path), Store.load(path) as reader:  # the whole file is verified only where nobody writes it
        forge(path, "UPDATE chunk SET checksum = randomblob(16) WHERE first = 300")
        with pytest.raises(FileError, match="the checksum of cells 300 to 319"):
            reader.read()


LOOKS: list[Callable[[Path], object]] = [opened, Store.load, Store.summary]


@pytest.mark.parametrize("look", LOOKS)
def test_nothing_is_left_open_by_a_refusal(tmp_path: Path, look: Callable[[Path], object]) -> None:
    (tmp_path / "notes.db").write_text("no store\n" * 1000)
    before = os.listdir("/proc/self/fd")
    for _ in range(3):
        with pytest.raises(FileError):
            look(tmp_path / "notes.db")
    assert len(os.listdir("/proc/self/fd")) == len(before)
