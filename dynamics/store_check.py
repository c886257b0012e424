"""What is verified before a store is believed: SQLite's structures, and every byte that SQLite does not check."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..errors import FileError
from .status import Status
from .store_header import check_seal
from .store_rows import CURE, NOT_DONE, PAGE_BYTES, PIECE_BYTES, Cells, Row, checked
from .store_schema import APPLICATION, FORMAT, changed
from .store_sessions import COLUMNS, Session

if TYPE_CHECKING:
    from numpy.typing import NDArray

_ROWS = (
    "SELECT first, session, count, seconds, checksum, status, measured, each FROM chunk "
    "WHERE first > ? ORDER BY first LIMIT ?"
)


def header_of(connection: sqlite3.Connection, path: Path) -> tuple[dict[str, str], bytes]:
    """Return the header table and the key of the checksums, or raise FileError where this is not a store to read."""
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
    if application != APPLICATION or "header" not in tables:
        if application == APPLICATION or {"header", "chunk"} <= tables:
            raise FileError(f"{path} is damaged: its mark, or its header, is missing; {CURE}")
        if not tables:
            raise FileError(f"{path} is not a store: there is nothing in it, or it was cut short; {CURE}")
        raise FileError(f"{path} is a database of another program, not a store of a sweep; name another file")
    if version > FORMAT:
        raise FileError(f"{path} has format version {version}, this traindyn reads up to {FORMAT}; "
                        "upgrade: pip install -U traindyn")  # fmt: skip
    rows = dict(connection.execute("SELECT name, value FROM header").fetchall())
    return rows, check_seal(rows, path)


def packed_rows(
    connection: sqlite3.Connection, header: Mapping[str, str], seal: bytes, path: Path
) -> Iterator[tuple[Row, list[tuple[int, str]]]]:
    """Yield every row, checked, with the errors of its cells; read in pieces, so that no lock is held for long.

    Rows are never changed once written, so pieces that are read while another process writes fit together.
    """
    cells, measures = int(header["n_cells"]), len(json.loads(header["measures"]))
    last, end, limit = -1, 0, PIECE_BYTES // PAGE_BYTES
    while True:
        connection.execute("BEGIN")
        try:
            rows = connection.execute(_ROWS, (last, limit)).fetchall()
            stop = rows[-1][0] + rows[-1][2] if len(rows) == limit else cells
            errors = connection.execute("SELECT cell, text FROM error WHERE cell >= ? AND cell < ? ORDER BY cell",
                                        (end, stop)).fetchall()  # fmt: skip
        finally:
            connection.execute("ROLLBACK")
        known = 0
        for row in rows:
            own = known
            while own < len(errors) and errors[own][0] < row[0] + row[2]:
                own += 1
            texts = errors[known:own]
            if texts and texts[0][0] < row[0]:
                raise FileError(_orphan(path, texts[0][0]))
            yield checked(row, texts, cells=cells, measures=measures, seal=seal, start=end, place=str(path)), texts
            known, last, end = own, row[0], row[0] + row[2]
        if known < len(errors):
            raise FileError(_orphan(path, errors[known][0]))
        if len(rows) < limit:
            return


def _orphan(path: Path, cell: int) -> str:
    return f"{path} is damaged: an error of cell {cell}, which is not done; {CURE}"


def all_cells(connection: sqlite3.Connection, header: Mapping[str, str], seal: bytes, path: Path) -> Cells:
    """Return every cell, done or not; each row is checked."""
    found = Cells.none_done(int(header["n_cells"]), len(json.loads(header["measures"])))
    for row, errors in packed_rows(connection, header, seal, path):
        found.take(row)
        found.errors.update(errors)
    return found


def sessions_of(connection: sqlite3.Connection, seal: bytes, path: Path) -> list[Session]:
    """Return the sessions, oldest first, each checked."""
    rows = connection.execute(f"SELECT {COLUMNS} FROM session ORDER BY id").fetchall()
    return [Session.from_row(row, seal, path) for row in rows]


def verify(connection: sqlite3.Connection, header: Mapping[str, str], seal: bytes, path: Path) -> NDArray[np.bool_]:
    """Return which cells are done, (n,), after checking the whole file; FileError where anything is not as written.

    SQLite checks its pages; the tables that never change are compared with ones built anew; rows and sessions have
    checksums; and the sessions say how many rows and cells of each status there must be.
    """
    problems = [text.splitlines()[-1] for (text,) in connection.execute("PRAGMA quick_check(3)")]
    if problems != ["ok"]:
        raise FileError(f"{path} is damaged ({'; '.join(problems)}); {CURE}")
    part = changed(connection, header)
    if part is not None:
        raise FileError(f"{path} is damaged: its {part} is not as it was written; {CURE}")
    done = np.full(int(header["n_cells"]), NOT_DONE, np.int8)
    tallies: dict[int, list[int]] = {}
    for (first, session, count, _, _, status, _, _), _ in packed_rows(connection, header, seal, path):
        done[first : first + count] = np.frombuffer(status, np.int8)
        tally = tallies.setdefault(session, [0] * (1 + len(Status)))
        tally[0] += 1
        for code in set(status):
            tally[1 + code] += status.count(code)
    for one in sessions_of(connection, seal, path):
        if tallies.pop(one.id, [0] * (1 + len(Status))) != [one.rows, *one.counts]:
            raise FileError(f"{path} is damaged: rows of its session {one.id} are missing; {CURE}")
    if tallies:
        raise FileError(f"{path} is damaged: rows of sessions that are not listed; {CURE}")
    return np.not_equal(done, NOT_DONE)
