"""Files that a long computation will write: refused before it starts, written whole or not at all."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path

from ...errors import FileError


def claim_path(path: str | os.PathLike[str], what: str) -> Path:
    """Return the path if a file can be written there, and say what is wrong if not.

    The folder must exist; nothing is left behind by the test.

    Raises
    ------
    FileError : the path is a folder, its folder does not exist, or one may not write there.
    """
    given = Path(path)
    target = Path(os.path.realpath(given))
    if given.name in ("", ".", "..") or target.is_dir():
        raise FileError(f"{what} must be a file; {str(path)!r} is a folder; add a file name")
    folder = target.parent
    if not folder.is_dir():
        raise FileError(f"{what} cannot be written; the folder {str(folder)!r} does not exist; create it first")
    if target.exists():
        if not os.access(target, os.W_OK):
            raise FileError(f"{what} cannot be written; {str(path)!r} is write-protected; choose another path")
        if not target.is_file():
            return target  # a device or a pipe is written to, never replaced
    try:
        handle, probe = tempfile.mkstemp(prefix=".traindyn-", dir=folder)
        os.close(handle)
        os.unlink(probe)
    except OSError as error:
        raise FileError(
            f"{what} cannot be written; the folder {str(folder)!r} refuses: {error.strerror}; choose another path"
        ) from error
    return target


def write_whole(target: Path, text: str) -> None:
    """Write a text file so that a reader sees the old content or the new one, never a part."""
    if target.exists() and not target.is_file():
        target.write_text(text, encoding="utf-8")
        return
    handle, name = tempfile.mkstemp(prefix=".traindyn-", dir=target.parent)
    try:
        with open(handle, "w", encoding="utf-8") as stream:
            stream.write(text)
        mode = target.stat().st_mode & 0o777 if target.exists() else 0o666 & ~_umask()
        os.chmod(name, mode)
        os.replace(name, target)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(name)
        raise


def _umask() -> int:
    current = os.umask(0o022)
    os.umask(current)
    return current
