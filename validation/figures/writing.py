"""The files of a figure: all of them whole, or none of them changed."""

from __future__ import annotations

import contextlib
import itertools
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

from ...errors import FileError

WAY_OUT = "choose another folder for the figure"
_CALLS = itertools.count()


def writable_folder(out: str | os.PathLike[str]) -> Path:
    """Return the folder, made if it does not exist, after a probe that a file can be written there.

    Raises
    ------
    FileError : it cannot be made, or it takes no file.
    """
    folder = Path(out)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FileError(f"the folder {str(folder)!r} cannot be made: {error.strerror}; {WAY_OUT}") from error
    try:
        handle, probe = tempfile.mkstemp(prefix=".traindyn-", dir=folder)
        os.close(handle)
        os.unlink(probe)
    except OSError as error:
        raise FileError(f"the folder {str(folder)!r} takes no files: {error.strerror}; {WAY_OUT}") from error
    return folder


def write_together(folder: Path, contents: Mapping[str, bytes]) -> dict[str, Path]:
    """Write files by name, and return their paths.

    All contents are on the disk, under names that begin with a dot and end with ``.part``, before the first file is
    renamed to its own name: a full disk changes nothing, and a file with its own name is whole.

    Raises
    ------
    FileError : the disk is full, or the folder takes no files; nothing of this call is left behind.
    """
    call = f"{os.getpid()}-{next(_CALLS)}"  # two calls that write one figure at a time take no part from each other
    parts = {name: folder / f".{name}.{call}.part" for name in contents}
    try:
        for name, content in contents.items():
            with parts[name].open("wb") as stream:
                stream.write(content)
                stream.flush()
                os.fsync(stream.fileno())
        paths = {name: folder / name for name in contents}
        for name, path in paths.items():
            os.replace(parts[name], path)
    except OSError as error:
        raise FileError(
            f"the files of the figure cannot be written into {str(folder)!r}: {error.strerror}; make room, or {WAY_OUT}"
        ) from error
    finally:
        for part in parts.values():
            with contextlib.suppress(OSError):
                part.unlink()
    return paths


def remove(paths: list[Path]) -> None:
    """Remove files that may not exist; one that cannot be removed stays."""
    for path in paths:
        with contextlib.suppress(OSError):
            path.unlink()
