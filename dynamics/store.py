"""A sweep on disk: one SQLite file that can be killed at any moment, resumed, read while it is written, and trusted.

`docs/how-to/store.md` has the format. The rooms behind: `store_rows` (packing and checksums), `store_schema` (tables
and the view), `store_header` (what a file belongs to), `store_sessions` (who wrote), `store_check` (verification),
`store_lock` (one coordinator), `store_creation` and `store_connection` (the file, and SQLite's errors),
`store_reading` and `store_summary` (how far it is).
"""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import FileError, InputError
from .numbers import integer
from .status import Status
from .store_check import header_of, sessions_of, verify
from .store_connection import check_log_allowed, connected, is_busy, place_to_read, place_to_write, told
from .store_creation import check_room, make, set_journal
from .store_header import check_same_sweep, described
from .store_lock import CoordinatorLock, holder
from .store_reading import StoredCells
from .store_rows import PIECE_BYTES, Cells, Row, packed
from .store_sessions import COLUMNS, Session
from .store_summary import Summary, summarised

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

# a commit is due at the latest so many seconds after the last one; before, when that many times its own length went by
COMMIT_SECONDS = 0.5
_COMMIT_SHARE = 20.0
# how long a reader may hold the file before it is an error: at a commit by `write`, which only postpones; at `flush`
_PATIENCE_WRITE, _PATIENCE_FLUSH = 0.5, 30.0
_ERROR_LENGTH = 4000
_MOST_MEASURES = 1000  # SQLite's views have at most 2000 columns
_PUT_SESSION = f"REPLACE INTO session ({COLUMNS}) VALUES ({', '.join('?' * len(COLUMNS.split(', ')))})"


@dataclass
class _State:
    """This session as it is in the file, and what is not; replaced, or added to, in one step no signal divides."""

    session: Session
    pending: list[tuple[list[Row], list[tuple[int, str]]]] = field(default_factory=list)
    size: int = 0
    since: float = 0.0

    def add(self, rows: list[Row], texts: list[tuple[int, str]], now: float) -> None:
        if not self.pending:
            self.since = now
        self.pending.append((rows, texts))
        self.size += sum(len(row[6]) for row in rows)

    @property
    def rows(self) -> list[Row]:
        return [row for rows, _ in self.pending for row in rows]

    @property
    def texts(self) -> list[tuple[int, str]]:
        return [text for _, texts in self.pending for text in texts]


class Store(StoredCells):
    """A store, opened to be written by this process alone; made by `Store.open`.

    >>> with Store.open("sweep.db", {"grid": {"rate": [0.1, 1.0, 10.0]}}, 3, ("final_loss",)) as store:
    ...     everything_is_on_disk = store.write(0, [[0.5], [0.25]], [0, 0], 0.1)
    ...     store.missing()
    [(2, 3)]
    >>> with Store.load("sweep.db") as stored:
    ...     values, status, done, seconds = stored.read()
    >>> values[:, 0]
    array([0.5 , 0.25,  nan])
    """

    def __init__(
        self, place: Path, connection: sqlite3.Connection, header: dict[str, str], seal: bytes,
        lock: CoordinatorLock, done: NDArray[np.bool_], session: Session,
    ) -> None:  # fmt: skip
        super().__init__(place, connection, header, seal)
        self._lock, self._done = lock, done
        self._file, self._process = _identity(place), os.getpid()
        self._state = _State(session)
        # when a commit was last tried, and how long one takes
        self._asked, self._commit_seconds = time.monotonic(), 0.0
        self._closed = False
        with told(place, "write"), self._transaction(_PATIENCE_FLUSH):
            connection.execute(_PUT_SESSION, session.row(seal))

    @classmethod
    def open(
        cls, path: str | os.PathLike[str], header: Mapping[str, Any], n_cells: int, measures: Sequence[str],
        *, notes: Mapping[str, Any] | None = None, wal: bool = False,
    ) -> Store:  # fmt: skip
        """Create a store, or resume it after verifying every byte that matters.

        path: the file; beside it stands `path`.lock, which is never removed
        header: JSON values that say which sweep this is; on resuming they must be equal. `header["grid"]`, if given as
            {axis: values} in C order, names the columns of the view `cells`
        n_cells, measures: number of cells; names of the k float64 results of each
        notes: kept by the first opening, never compared
        wal: SQLite's write-ahead log, so that long readers never delay a commit; not on network file systems

        Raises FileError, before any work: a file that is foreign, damaged, from another sweep or version, written by
        another process now, or a place that cannot be written. Nothing is deleted or changed then.
        """
        count = integer("n_cells", n_cells, minimum=1)
        rows = described(header, count, _names(measures), notes)
        place = place_to_write(path)
        if wal:
            check_log_allowed(place)
        try:
            lock = CoordinatorLock(place)
        except OSError as error:
            if isinstance(error, FileError):
                raise
            raise FileError(f"cannot write {place}.lock: {error.strerror}; it must be writable for you") from None
        try:
            if not os.path.lexists(place):
                make(place, rows)
            place = place_to_write(place)
            with told(place, "open"):
                return cls._opened(place, rows, wal, lock)
        except BaseException:
            lock.release()
            raise

    @classmethod
    def _opened(cls, place: Path, wanted: Mapping[str, str], wal: bool, lock: CoordinatorLock) -> Store:
        connection = connected(place, write=True)
        try:
            found, seal = header_of(connection, place)
            check_same_sweep(found, wanted, place)
            done = verify(connection, found, seal, place)
            check_room(connection)
            set_journal(connection, place, wal, _PATIENCE_FLUSH)
            number = 1 + len(sessions_of(connection, seal, place))
            return cls(place, connection, found, seal, lock, done, Session.begun(number))
        except BaseException:
            connection.close()
            raise

    @staticmethod
    def load(path: str | os.PathLike[str]) -> StoredCells:
        """Return a store to be read: `.header`, `.notes`, `.n_cells`, `.measures`, `.read()`, `.errors()`.

        Another process may be writing it. If none is, the whole file is verified, else each row that is read.
        """
        place = place_to_read(path)
        with told(place, "read"):
            connection = connected(place, write=False)
            try:
                header, seal = header_of(connection, place)
                if holder(place) is None:
                    verify(connection, header, seal, place)
                return StoredCells(place, connection, header, seal)
            except BaseException:
                connection.close()
                raise

    @staticmethod
    def summary(path: str | os.PathLike[str]) -> Summary:
        """Return how far a sweep is, who writes it and how long it may take, in milliseconds, while it is written."""
        place = place_to_read(path)
        with told(place, "read"), contextlib.closing(connected(place, write=False)) as connection:
            header, seal = header_of(connection, place)
            return summarised(place, json.loads(header["n_cells"]), sessions_of(connection, seal, place), holder(place))

    def missing(self) -> list[tuple[int, int]]:
        """Return the ranges (first, stop) of flat indices that have neither been done nor been handed to `write`."""
        edges = np.flatnonzero(np.diff(np.concatenate([[True], self._done, [True]]).astype(np.int8)))
        return [(int(first), int(stop)) for first, stop in edges.reshape(-1, 2)]

    def write(
        self, first: int, values: ArrayLike, status: ArrayLike, seconds: float | NDArray[np.float64] = 0.0,
        errors: Mapping[int, str] | None = None,
    ) -> bool:  # fmt: skip
        """Add cells first ... first + m - 1, and return whether all that was ever written is on disk.

        values: (m, k), NaN allowed; status: (m,), places in `Status`; seconds: of computing, one number of the whole
        range or (m,); errors: {flat index: text} of cells in the range.

        Rows are committed together, so that commits take at most about a twentieth of the time: 0.05 s after the last
        commit where the disk is quick, at most 0.5 s after it where it is slow. What was handed over since then is
        what a kill costs. It stays pending until the next `write`, `flush` or `close`: call `flush` before a long
        wait. Raises InputError where a cell was written before; FileError where the disk is full: nothing is lost
        then, and `flush` may be called again.
        """
        self._check_open()
        rows, texts = self._rows_of(first, values, status, seconds, errors or {})
        state, now = self._state, time.monotonic()
        self._done[first : first + sum(row[2] for row in rows)] = True
        state.add(rows, texts, now)
        due = max(0.1 * COMMIT_SECONDS, min(COMMIT_SECONDS, _COMMIT_SHARE * self._commit_seconds))
        if now - self._asked >= due or state.size >= PIECE_BYTES:
            self._commit(_PATIENCE_WRITE, postpone=now - state.since < _PATIENCE_FLUSH)
        return not self._state.pending

    def flush(self) -> None:
        """Return when all that was written is on disk: safe from a kill, and from a loss of power."""
        self._check_open()
        if self._state.pending:
            self._commit(_PATIENCE_FLUSH)

    def errors(self) -> dict[int, str]:
        """Return the texts of the errors of cells, {flat index: text}."""
        return dict(sorted((super().errors() | dict(self._state.texts)).items()))

    def _cells(self) -> Cells:
        cells = super()._cells()
        for row in self._state.rows:
            cells.take(row)
        return cells

    def close(self) -> None:
        """Flush, note the end of this session, and give up the right to write."""
        if self._closed or os.getpid() != self._process:
            return
        nothing = not self._state.pending
        try:
            self._state.session.ended = time.time()
            # that the end cannot be noted is no reason to fail where all the results are safe
            with contextlib.suppress(FileError) if nothing else contextlib.nullcontext():
                self._commit(_PATIENCE_FLUSH)
        finally:
            self._closed = True
            self._connection.close()
            self._lock.release()

    def __enter__(self) -> Store:
        return self

    def _rows_of(
        self, first: int, values: ArrayLike, status: ArrayLike, seconds: float | NDArray[np.float64],
        errors: Mapping[int, str],
    ) -> tuple[list[Row], list[tuple[int, str]]]:  # fmt: skip
        first = integer("first", first, minimum=0)
        results = np.asarray(values, dtype=np.float64)
        codes = np.asarray(status)
        if results.ndim != 2 or results.shape[1] != len(self.measures) or codes.shape != results.shape[:1]:
            raise InputError(f"values must have shape (m, {len(self.measures)}) and status (m,)",
                             f"{results.shape} and {codes.shape}")  # fmt: skip
        stop = first + results.shape[0]
        if codes.dtype.kind not in "iu" or (codes.size and not 0 <= int(codes.min()) <= int(codes.max()) < len(Status)):
            raise InputError(f"status must be whole numbers from 0 to {len(Status) - 1}", codes)
        if stop > self.n_cells:
            raise InputError(f"cells must lie in the grid of {self.n_cells}", f"{first} to {stop - 1}")
        if self._done[first:stop].any():
            twice = first + int(np.argmax(self._done[first:stop]))
            raise InputError("a cell is written once", f"cell {twice} again", "write only ranges of missing()")
        spent = np.asarray(seconds, dtype=np.float64)
        if spent.shape not in ((), codes.shape) or not np.isfinite(spent).all() or (spent < 0.0).any():
            raise InputError("seconds must be finite and >= 0, one number or one a cell", seconds)
        wrong = [cell for cell in errors if not first <= cell < stop]
        if wrong:
            raise InputError("errors must belong to cells of the range", f"cell {wrong[0]} of {first} to {stop - 1}")
        texts = {int(cell): _plain(text) for cell, text in sorted(errors.items())}
        each = float(spent) if spent.ndim == 0 else spent
        rows = packed(
            first, results, codes.astype(np.int8), each, texts, session=self._state.session.id, seal=self._seal
        )
        return list(rows), list(texts.items())

    def _commit(self, patience: float, *, postpone: bool = False) -> None:
        self._asked = time.monotonic()
        state = self._state
        if _identity(self.path) != self._file:
            raise FileError(f"{self.path} has gone: it was deleted, moved or replaced while it was written; put it "
                            "back and run the sweep again, or begin anew in another file")  # fmt: skip
        after = state.session.grown(state.rows)
        try:
            with told(self.path, "write", self._kept):
                self._write_rows(state, after, patience)
        except FileError as error:
            cause = error.__cause__
            if postpone and isinstance(cause, sqlite3.Error) and is_busy(cause):
                return
            raise
        self._state = _State(after)
        self._commit_seconds = time.monotonic() - self._asked
        self._asked += self._commit_seconds

    def _write_rows(self, state: _State, after: Session, patience: float) -> None:
        run = self._connection
        with self._transaction(patience):
            newest = run.execute("SELECT id, rows FROM session ORDER BY id DESC LIMIT 1").fetchone()
            if newest is None or newest[0] != after.id:
                raise FileError(f"{self.path} was taken over by another coordinator, past its lock: was the lock file "
                                "deleted, or does the file system not honour locks? This one stops")  # fmt: skip
            # an interrupt may have come after a commit and before that was noted: its rows are not sent again
            there = newest[1] - state.session.rows
            run.executemany("INSERT INTO chunk VALUES (?, ?, ?, ?, ?, ?, ?, ?)", state.rows[there:])
            run.executemany("REPLACE INTO error VALUES (?, ?)", state.texts)
            run.execute(_PUT_SESSION, after.row(self._seal))

    @contextlib.contextmanager
    def _transaction(self, patience: float) -> Any:
        run = self._connection
        run.execute(f"PRAGMA busy_timeout = {round(1000 * patience)}")
        run.execute("BEGIN IMMEDIATE")
        try:
            yield
            run.execute("COMMIT")
        except BaseException:
            if run.in_transaction:
                with contextlib.suppress(sqlite3.Error):
                    run.execute("ROLLBACK")
            raise

    def _kept(self) -> str:
        pending = sum(row[2] for row in self._state.rows)
        safe = int(np.count_nonzero(self._done)) - pending
        return f"{safe} of {self.n_cells} cells are safe in the file, {pending} more were not written"

    def _check_open(self) -> None:
        if self._closed:
            raise FileError(f"{self.path} is closed; open it again with Store.open")
        if os.getpid() != self._process:
            raise FileError(f"{self.path} is written by process {self._process} alone, and this is {os.getpid()}, "
                            "forked from it; let workers return their results")  # fmt: skip


def _names(measures: Sequence[str]) -> tuple[str, ...]:
    names = tuple(measures) if not isinstance(measures, str) else (measures,)
    if not names or not all(isinstance(name, str) and name for name in names) or len(set(names)) < len(names):
        raise InputError("measures must be distinct names, at least one", measures)
    if len(names) > _MOST_MEASURES:
        raise InputError(f"a store holds at most {_MOST_MEASURES} measures of a cell", len(names))
    return names


def _plain(text: str) -> str:
    """Return a text that SQLite stores as it is."""
    return str(text)[:_ERROR_LENGTH].replace("\0", "\\0").encode("utf-8", "replace").decode()


def _identity(place: Path) -> tuple[int, int]:
    try:
        facts = os.stat(place)
    except OSError:
        return (0, 0)
    return facts.st_dev, facts.st_ino
