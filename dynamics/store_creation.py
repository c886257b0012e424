"""A store's file comes into being whole or not at all, and is written through the journal that was asked for."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Mapping
from pathlib import Path

from ..errors import FileError
from .store_connection import told
from .store_schema import create


def make(place: Path, rows: Mapping[str, str]) -> None:
    """Create the file whole or not at all: one in the making is never taken for an empty one of someone else."""
    new = place.with_name(f".{place.name}.new")
    new.unlink(missing_ok=True)  # of a creation that was killed; nobody else makes one while this process has the lock
    try:
        with told(place, "create"), contextlib.closing(sqlite3.connect(new, isolation_level=None)) as connection:
            connection.execute("PRAGMA journal_mode = OFF")
            create(connection, rows)
        _synchronise(new)
        _name(new, place)
        _synchronise(place.parent)
    except OSError as error:
        if isinstance(error, FileError):
            raise
        raise FileError(f"cannot create {place}: {error.strerror}; choose another place or make room") from None
    finally:
        with contextlib.suppress(OSError):
            new.unlink(missing_ok=True)


def _synchronise(item: Path) -> None:
    descriptor = os.open(item, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _name(new: Path, place: Path) -> None:
    try:
        os.link(new, place)  # fails where something else has appeared there
    except FileExistsError:
        raise FileError(f"{place} has just been made by another program; name another file") from None
    except OSError:  # a file system without hard links
        os.rename(new, place)


def set_journal(connection: sqlite3.Connection, place: Path, wal: bool, patience: float) -> None:
    """Choose the journal; every commit waits for the disk, so that it also survives a loss of power."""
    wanted = "wal" if wal else "delete"
    connection.execute(f"PRAGMA busy_timeout = {round(1000 * patience)}")
    (mode,) = connection.execute(f"PRAGMA journal_mode = {wanted}").fetchone()
    if mode != wanted:
        raise FileError(f"{place} keeps its journal mode {mode}, since another program has it open; close that, or "
                        f"pass wal={mode == 'wal'}")  # fmt: skip
    connection.execute("PRAGMA synchronous = EXTRA")


def check_room(connection: sqlite3.Connection) -> None:
    """Take a page and give it back: a damaged number of free pages, which SQLite's check passes over, is an error here.

    The file is not touched, since the transaction is rolled back before its pages leave the memory.
    """
    connection.execute("BEGIN IMMEDIATE")
    try:
        connection.execute("CREATE TABLE room(x)")
    finally:
        connection.execute("ROLLBACK")
