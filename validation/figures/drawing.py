"""The function that draws a figure into files: pictures, data, and where they come from."""

from __future__ import annotations

import datetime
import hashlib
import importlib.util
import io
import json
import os
from concurrent.futures import Executor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import FileError, InputError, MissingLibraryError, unknown_name
from ..provenance import libraries, processor, version
from .catalogue import by_name
from .definition import Definition, Numbers
from .request import Request


@dataclass(frozen=True)
class FigureFiles:
    """The files that `figure` wrote, and the numbers that it drew."""

    name: str
    picture: Path
    vector: Path
    data: Path
    provenance: Path
    numbers: Numbers = field(repr=False)

    @property
    def paths(self) -> tuple[Path, ...]:
        """Return the four files: PNG, SVG, NPZ, JSON."""
        return self.picture, self.vector, self.data, self.provenance

    def __getitem__(self, name: str) -> NDArray[Any]:
        """Return an array of the figure by name."""
        return self.numbers[name]

    def __str__(self) -> str:
        return ", ".join(str(path) for path in self.paths)


def figure(
    name: str,
    out: str | os.PathLike[str] = ".",
    as_published: bool = False,
    *,
    quick: bool = False,
    executor: Executor | None = None,
    progress: bool = False,
    rng: int = 0,
    date: bool = False,
) -> FigureFiles:
    """Draw a figure from simulations and write picture, data and provenance.

    Parameters
    ----------
    name : one of `figures()`, e.g. "cabannes2024.fig2"
    out : folder for the files; made if it does not exist
    as_published : keep the conventions of the published picture, slips included (the provenance names them)
    quick : the small size of an experiment
    executor : any ``concurrent.futures.Executor`` for its sweeps; by default this process with all its cores
    progress : whether bars are shown
    rng : seed of everything that is drawn
    date : whether the provenance says when; without it the same inputs give the same files

    Returns
    -------
    FigureFiles
        ``name.png``, ``name.svg``, ``name.npz`` (every number shown) and ``name.json`` (version, processor, seed,
        problem digests, parameters); with `as_published` the stem ends in ``-as-published``. The arrays drawn are
        ``result["loss"]`` and so on.

    Raises
    ------
    InputError : unknown name, with the nearest ones.
    FileError : the folder cannot be made or written; before any work.
    MissingLibraryError : matplotlib (extra ``report``) is not installed; before any work.

    Examples
    --------
    >>> import traindyn as td
    >>> td.figure("traindyn.overview", out="pictures").picture.name
    'traindyn.overview.png'
    """
    if name not in by_name():
        raise unknown_name("figure", name, by_name())
    if importlib.util.find_spec("matplotlib") is None:
        raise MissingLibraryError("matplotlib", "report", "a figure")
    definition = by_name()[name]
    if as_published and not definition.published:
        raise InputError("this figure has no as-published version", repr(name), "leave as_published out")
    if quick and definition.quick_seconds is None:
        raise InputError("this figure has no quick size", repr(name), "leave quick out")
    folder = _folder(out)
    stem = name + ("-as-published" if as_published else "") + ("-quick" if quick else "")
    request = Request(as_published, quick, folder / stem, executor, progress, rng)
    numbers = definition.compute(request)
    files = {
        "png": _picture(definition, numbers, as_published, "png"),
        "svg": _picture(definition, numbers, as_published, "svg"),
        "npz": _packed(numbers),
    }
    provenance = _provenance(definition, numbers, request, files, date)
    files["json"] = (json.dumps(provenance, indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode()
    paths = {}
    for kind, content in files.items():
        paths[kind] = folder / f"{stem}.{kind}"
        try:
            paths[kind].write_bytes(content)
        except OSError as error:
            raise FileError(f"{str(paths[kind])!r} cannot be written: {error.strerror}; choose a folder") from error
    return FigureFiles(name, paths["png"], paths["svg"], paths["npz"], paths["json"], numbers)


def _folder(out: str | os.PathLike[str]) -> Path:
    folder = Path(out)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FileError(
            f"the folder {str(folder)!r} cannot be made: {error.strerror}; choose another path for the figure"
        ) from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise FileError(f"the folder {str(folder)!r} is write-protected; choose another path for the figure")
    return folder


def _picture(definition: Definition, numbers: Numbers, as_published: bool, kind: str) -> bytes:
    import matplotlib

    from .style import SETTINGS

    with matplotlib.rc_context(SETTINGS | {"svg.hashsalt": definition.name}):
        drawn = definition.draw(numbers, as_published)
        stream = io.BytesIO()
        metadata: dict[str, Any] = {"Software": None} if kind == "png" else {"Date": None, "Creator": None}
        drawn.savefig(stream, format=kind, dpi=300, metadata=metadata)
    return stream.getvalue()


def _packed(numbers: Numbers) -> bytes:
    stream = io.BytesIO()
    arrays: dict[str, Any] = dict(numbers.arrays)
    np.savez_compressed(stream, **arrays)
    return stream.getvalue()


def _provenance(
    definition: Definition, numbers: Numbers, request: Request, files: dict[str, bytes], date: bool
) -> dict[str, Any]:
    record: dict[str, Any] = {
        "figure": definition.name,
        "title": definition.title,
        "as_published": request.as_published,
        "size": "quick" if request.quick else "full",
        "quirks_kept": list(definition.quirks) if request.as_published else [],
        "version": version(),
        "processor": processor(),
        "libraries": libraries(),
        "seed": request.rng,
        "findings": [finding.record() for finding in numbers.findings],
        "parameters": dict(numbers.parameters),
        "problems": dict(numbers.problems),
        "sha256": {kind: hashlib.sha256(content).hexdigest() for kind, content in files.items()},
    }
    if date:
        record["date"] = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    return record
