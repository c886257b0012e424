"""One coordinator a store: a lock of the operating system on a file beside it.

The lock is a POSIX one: it ends with the process that took it, however that ends, and is not inherited by workers
forked from it. Such a lock belongs to the process, not to the descriptor: closing any other descriptor of the same file
would end it, so this process remembers what it holds and never opens a lock file twice. The file itself stays:
deleting it would let two coordinators lock two different files of one name.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import socket
import struct
import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from ..errors import FileError

_FLOCK = struct.Struct("hhqqi4x")  # struct flock of 64-bit Linux
_guard = threading.Lock()
_held: dict[tuple[int, int], Holder] = {}


@dataclass(frozen=True)
class Holder:
    """The process that writes a store."""

    pid: int
    host: str
    since: float

    def __str__(self) -> str:
        since = f" since {time.strftime('%Y-%m-%d %H:%M:%S', time.localtime(self.since))}" if self.since else ""
        return f"process {self.pid or '?'} on {self.host or 'another machine'}{since}"


class CoordinatorLock:
    """The right to write one store; `release` gives it back."""

    def __init__(self, store: Path) -> None:
        self.store = store
        self.path = lock_path(store)
        with _guard:
            self._descriptor, self._key = self._taken()

    def _taken(self) -> tuple[int, tuple[int, int]]:
        while True:
            if (ours := _ours(self.path)) is not None:
                raise FileError(f"{self.store} is open in this process already; close that store first, or give this "
                                "sweep another file")  # fmt: skip
            descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
            try:
                fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if not _same(descriptor, self.path):  # deleted between the two calls
                    os.close(descriptor)
                    continue
                me = Holder(os.getpid(), socket.gethostname(), time.time())
                os.ftruncate(descriptor, 0)
                os.pwrite(descriptor, json.dumps(asdict(me)).encode() + b"\n", 0)
            except OSError as error:
                ours = _told(descriptor)
                os.close(descriptor)
                if error.errno in (errno.EAGAIN, errno.EACCES):
                    raise FileError(_refusal(self.store, ours)) from None
                if error.errno in (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP):
                    raise FileError(f"{self.store} lies on a file system without locks ({error.strerror}), where "
                                    "two coordinators would collide; put it on a local disk") from None  # fmt: skip
                raise
            key = _key(os.fstat(descriptor))
            _held[key] = me
            return descriptor, key

    def release(self) -> None:
        """Give the right back; in a forked child, where it was never held, do nothing."""
        with _guard:
            if self._descriptor >= 0 and _held.get(self._key, Holder(0, "", 0.0)).pid == os.getpid():
                del _held[self._key]
                os.close(self._descriptor)
            self._descriptor = -1


def holder(store: Path) -> Holder | None:
    """Return who writes the store now, or None; nothing is locked."""
    path = lock_path(store)
    with _guard:
        if (ours := _ours(path)) is not None:
            return ours
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return None
        try:
            return _told(descriptor)
        finally:
            os.close(descriptor)


def lock_path(store: Path) -> Path:
    """Return the file that the lock of a store is on.

    >>> lock_path(Path("fig3.db")).name
    'fig3.db.lock'
    """
    return store.with_name(store.name + ".lock")


def _ours(path: Path) -> Holder | None:
    with contextlib.suppress(OSError):
        found = _held.get(_key(os.stat(path)))
        return found if found is not None and found.pid == os.getpid() else None
    return None


def _told(descriptor: int) -> Holder | None:
    """Ask the kernel who holds the lock; the host, and the pid of another machine, come from the file's text."""
    question = _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
    try:
        kind, _, _, _, pid = _FLOCK.unpack(fcntl.fcntl(descriptor, fcntl.F_GETLK, question))
    except OSError:
        return None
    if kind == fcntl.F_UNLCK:
        return None
    try:
        written = Holder(**json.loads(os.pread(descriptor, 4096, 0)))
    except (ValueError, TypeError):  # its holder is just writing it
        written = Holder(0, socket.gethostname(), 0.0)
    # another machine's, or another container's, process has no number here
    return written if pid <= 0 or pid == written.pid else Holder(pid, socket.gethostname(), 0.0)


def _refusal(store: Path, who: Holder | None) -> str:
    kill = f", end it (kill {who.pid} on {who.host})" if who is not None and who.pid else ""
    return (
        f"{store} is being written by {who or 'another process, which has just ended'}, and a store has one "
        f"coordinator at a time; wait for it{kill}, or give this sweep another file; "
        f"to look: traindyn sweep --status {store}"
    )


def _same(descriptor: int, path: Path) -> bool:
    try:
        return _key(os.fstat(descriptor)) == _key(os.stat(path))
    except FileNotFoundError:
        return False


def _key(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino
