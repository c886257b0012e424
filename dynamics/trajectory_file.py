"""Trajectories on disk: an npz archive without pickles, ended by a checksum of everything before it."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import FileError
from .provenance import environment
from .status import Status
from .trajectory import Restart, Trajectory

if TYPE_CHECKING:
    from numpy.typing import NDArray

FORMAT = "traindyn.trajectory"
VERSION = 1

# the comment that ends a zip archive: readers of npz skip it
_SEAL = b"traindyn sha256 "
_SEAL_LENGTH = len(_SEAL) + 64


def write(run: Trajectory, path: str | os.PathLike[str]) -> None:
    """Write a run, whole or not at all."""
    facts = {
        **run.restart.facts,
        **{name: run.provenance[name] for name in ("problem_name", "problem_digest", "rule_name", "rule_digest")},
        "environment": run.restart.facts.get("environment") or environment(),
    }
    header = {
        "format": FORMAT, "version": VERSION, "status": run.status.name, "message": run.message, "facts": facts,
    }  # fmt: skip
    arrays: dict[str, NDArray[Any]] = {
        "header": np.frombuffer(json.dumps(header).encode(), dtype=np.uint8),
        "step": run.step,
        "time": run.time,
        "final": run.final,
        **{f"column.{name}": values for name, values in run.columns.items()},
        **{f"restart.{name}": values for name, values in run.restart.arrays.items()},
        **{f"error.{name}": values for name, values in run.known_errors.items()},
    }
    objects = [name for name, values in arrays.items() if values.dtype.hasobject]
    if objects:
        raise FileError(f"{objects[0]} holds Python objects, which are not saved; let the observable return numbers")
    _replace(Path(path), _sealed(arrays))


def _sealed(arrays: Mapping[str, NDArray[Any]]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        archive.comment = _SEAL + b"0" * 64
        for name, array in arrays.items():
            with archive.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True) as member:
                np.lib.format.write_array(member, np.asanyarray(array), allow_pickle=False)
    content = buffer.getvalue()[:-64]
    return content + hashlib.sha256(content).hexdigest().encode()


def _replace(path: Path, content: bytes) -> None:
    temporary = ""
    try:
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        mask = os.umask(0)
        os.umask(mask)
        os.chmod(temporary, 0o666 & ~mask)
        os.replace(temporary, path)
    except OSError as error:
        with contextlib.suppress(OSError):
            if temporary:
                os.unlink(temporary)
        raise FileError(f"cannot write {path}: {error.strerror}; choose a folder that exists and is writable") from None


def read(path: str | os.PathLike[str]) -> Trajectory:
    """Read a run, or say what is wrong with the file."""
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise FileError(f"cannot read {path}: {error.strerror}") from None
    arrays = _opened(content, str(path))
    header = _header(arrays, str(path))
    if content[-64:] != hashlib.sha256(content[:-64]).hexdigest().encode():
        raise FileError(f"{path} is damaged: its checksum does not match; take another copy or simulate again")
    try:
        return Trajectory(
            columns=_group(arrays, "column."),
            step=arrays["step"],
            time=arrays["time"],
            final=arrays["final"],
            status=Status[header["status"]],
            message=header["message"],
            restart=Restart(header["facts"], _group(arrays, "restart.")),
            known_errors=_group(arrays, "error."),
        )
    except KeyError as error:
        raise FileError(f"{path} lacks {error}; it was not written by Trajectory.save") from None


def _opened(content: bytes, path: str) -> dict[str, NDArray[Any]]:
    if not content.startswith(b"PK"):
        raise FileError(f"{path} is not a trajectory: not an npz file; pass a file written by Trajectory.save")
    if content[-_SEAL_LENGTH:-64] != _SEAL:
        if b"traindyn.trajectory" in content[:65536]:
            raise FileError(f"{path} is truncated or damaged at its end; take another copy or simulate again")
        raise FileError(f"{path} is not a trajectory: another program's npz; pass a file written by Trajectory.save")
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except Exception as error:  # zip and npy readers raise many kinds on damaged bytes
        raise FileError(f"{path} is damaged ({error}); take another copy or simulate again") from None


def _header(arrays: Mapping[str, NDArray[Any]], path: str) -> dict[str, Any]:
    try:
        header = json.loads(arrays["header"].tobytes())
        known, version = header["format"] == FORMAT, int(header["version"])
    except (KeyError, ValueError, TypeError):
        raise FileError(f"{path} is damaged: no readable header; take another copy or simulate again") from None
    if not known:
        raise FileError(f"{path} is not a trajectory but a {header['format']}")
    if version > VERSION:
        raise FileError(
            f"{path} has format version {version}, this traindyn reads up to {VERSION}; "
            "upgrade: pip install -U traindyn"
        )
    return header  # type: ignore[no-any-return]


def _group(arrays: Mapping[str, NDArray[Any]], prefix: str) -> dict[str, NDArray[Any]]:
    return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}
