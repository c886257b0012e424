"""Folders of compiled code that nobody has used for a month are removed, never one that a process is using.

Every change of the sources, and every width of vectors, makes a folder of its own (see `compile`). A process holds a
shared lock on the file ``in-use`` of its folder as long as it lives, and renews that file's date. When a folder is
made, its siblings are looked over: one whose ``in-use`` is 30 days old and can be locked by nobody else's leave is
renamed, so that no process can come to it any more, and deleted.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import re
import shutil
import time
from pathlib import Path
from typing import IO

try:
    import fcntl
except ImportError:  # Windows: nothing can be held, so nothing is removed
    fcntl = None  # type: ignore[assignment]

DAYS_UNUSED = 30
_DAY = 86400.0
_MARK = "in-use"
_FOLDER = re.compile(r"kernels-[0-9a-f]{16}")
_held: list[IO[str]] = []


def hold(folder: Path) -> None:
    """Mark a folder as in use until this process ends; make it again if it was removed a moment ago."""
    if fcntl is None:
        return
    with contextlib.suppress(OSError):  # no locks on this file system: its date still says that it is used
        while True:
            mark = open(folder / _MARK, "a", encoding="utf-8")  # noqa: SIM115  (open until the process ends)
            fcntl.flock(mark, fcntl.LOCK_SH)  # waits while the folder is being removed
            with contextlib.suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(mark.fileno()), (folder / _MARK).stat()):
                    break
            mark.close()
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if time.time() - os.fstat(mark.fileno()).st_mtime > _DAY:
            os.utime(folder / _MARK)
        _held.append(mark)
        atexit.register(mark.close)


def remove_unused(base: Path, keep: Path) -> list[Path]:
    """Remove the folders in `base`, other than `keep`, that were unused for 30 days; return those removed."""
    removed = []
    with contextlib.suppress(OSError):
        for entry in sorted(base.iterdir()):
            ours = _FOLDER.fullmatch(entry.name) and entry.is_dir() and not entry.is_symlink() and entry != keep
            if ours and _removed(entry):
                removed.append(entry)
    return removed


def _removed(folder: Path) -> bool:
    if fcntl is None:
        return False
    mark = folder / _MARK
    try:
        if time.time() - (mark if mark.exists() else folder).stat().st_mtime < DAYS_UNUSED * _DAY:
            return False
        with open(mark, "a", encoding="utf-8") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            gone = folder.with_name(f"removed-{os.getpid()}-{folder.name}")
            folder.rename(gone)
    except OSError:  # in use, or not ours to remove
        return False
    shutil.rmtree(gone, ignore_errors=True)
    return True
