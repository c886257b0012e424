"""Connections to a store's file, and what SQLite's errors mean for the person who sees them."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

from ..errors import FileError
from .store_rows import CURE

# where SQLite's write-ahead log cannot work (its index is shared memory) or locks are known to be unreliable
_NETWORK = {
    "nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "afs", "ceph", "lustre", "gpfs", "beegfs", "glusterfs", "pvfs2",
    "orangefs", "panfs", "fuse.sshfs", "fuse.ceph", "fuse.glusterfs", "fuse.s3fs", "fuse.rclone",
}  # fmt: skip


def place_to_write(path: str | os.PathLike[str]) -> Path:
    """Return the real path of a store to be created or resumed, or raise FileError before any work."""
    place = Path(os.path.realpath(path))
    if not place.parent.is_dir():
        raise FileError(f"cannot write {path}: its folder does not exist; create {place.parent} first")
    if os.path.lexists(place):
        _check_kind(place)
        if not os.access(place, os.R_OK | os.W_OK):
            raise FileError(f"cannot write {path}: permission denied, or a read-only file system; "
                            "take a copy that you own, or another file")  # fmt: skip
    # SQLite's journal stands beside the file, so the folder must be writable too
    if not os.access(place.parent, os.W_OK | os.X_OK):
        raise FileError(f"cannot write {path}: the folder {place.parent} is read-only for this user; choose another")
    return place


def place_to_read(path: str | os.PathLike[str]) -> Path:
    """Return the real path of a store that exists, or raise FileError."""
    place = Path(os.path.realpath(path))
    if not os.path.lexists(place):
        raise FileError(f"cannot read {path}: there is no such file; a store is made by sweep(..., store=...)")
    _check_kind(place)
    if not os.access(place, os.R_OK):
        raise FileError(f"cannot read {path}: permission denied; ask its owner, or take a copy")
    return place


def _check_kind(place: Path) -> None:
    facts = place.stat()
    if stat.S_ISDIR(facts.st_mode):
        raise FileError(f"{place} is a folder, and a store is one file; name a file in it: {place / 'sweep.db'}")
    if not stat.S_ISREG(facts.st_mode):
        raise FileError(f"{place} is not a regular file, and a store is one; name another")
    if facts.st_size == 0:
        raise FileError(f"{place} is an empty file, which no sweep has made; remove it, or name another")


def check_log_allowed(place: Path) -> None:
    """Raise FileError where a write-ahead log is asked for on a network file system."""
    kind = file_system(place)
    if kind in _NETWORK:
        raise FileError(f"wal=True needs memory shared by all who open {place}, which a network file system ({kind}) "
                        "does not give; leave wal out, or put the store on a local disk")  # fmt: skip


def file_system(place: Path) -> str:
    """Return the kind of file system that a path lies on ("" if unknown)."""
    best, kind = "", ""
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="surrogateescape").splitlines():
            before, _, after = line.partition(" - ")
            mount = before.split()[4].replace("\\040", " ")
            if len(mount) >= len(best) and (str(place) + "/").startswith(mount.rstrip("/") + "/"):
                best, kind = mount, after.split()[0]
    return kind


def connected(place: Path, *, write: bool) -> sqlite3.Connection:
    """Return a connection in autocommit mode; one that reads can still roll a killed writer's transaction back."""
    able = write or (os.access(place, os.W_OK) and os.access(place.parent, os.W_OK))
    connection = sqlite3.connect(
        f"{place.as_uri()}?mode={'rw' if able else 'ro'}", uri=True, isolation_level=None, check_same_thread=False,
        timeout=10.0,
    )  # fmt: skip
    try:
        # pages are spilled into the file before the commit only when memory ends, since that locks readers out
        for pragma in ("cache_size = -32768", "cache_spill = OFF", "cell_size_check = ON", "trusted_schema = OFF",
                       *(() if write else ("query_only = ON",))):  # fmt: skip
            connection.execute(f"PRAGMA {pragma}")
    except BaseException:
        connection.close()
        raise
    return connection


@contextlib.contextmanager
def told(place: Path, doing: str, kept: Callable[[], str] = str) -> Iterator[None]:
    """Turn SQLite's errors, and what damaged content does to Python, into FileErrors with the reason and a way out."""
    try:
        yield
    except sqlite3.Error as error:
        name = getattr(error, "sqlite_errorname", "") or ""
        also = f"; {kept()}" if kept() else ""
        raise FileError(_meaning(place, doing, name, str(error)) + also) from error
    except (ValueError, TypeError, KeyError, IndexError, OverflowError) as error:
        raise FileError(f"{place} is damaged ({type(error).__name__}: {error}); {CURE}") from error


def is_busy(error: sqlite3.Error) -> bool:
    """Return whether another connection holds what was needed."""
    return (getattr(error, "sqlite_errorname", "") or "").startswith(("SQLITE_BUSY", "SQLITE_LOCKED"))


def _meaning(place: Path, doing: str, name: str, text: str) -> str:
    if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        return (f"cannot {doing} {place}: another program keeps it locked; close what reads it for long "
                "(a database browser, an open query)")  # fmt: skip
    if name.startswith(("SQLITE_FULL", "SQLITE_IOERR")):
        return (f"cannot {doing} {place}: {text} (the disk, a quota or a limit on file sizes is full, or the disk "
                "fails); make room and run the sweep again")  # fmt: skip
    if name.startswith(("SQLITE_READONLY", "SQLITE_CANTOPEN", "SQLITE_PERM", "SQLITE_AUTH")):
        return (f"cannot {doing} {place}: {text}; the file, its folder and its journal must be writable for this user, "
                "and not be moved while in use")  # fmt: skip
    if name == "SQLITE_NOTADB":
        return f"{place} is not a store: not an SQLite file, or its first bytes are damaged; {CURE}"
    return f"{place} is damaged ({text}); {CURE}"
