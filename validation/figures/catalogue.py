"""The list of figures, and the function that draws one into files."""

from __future__ import annotations

import datetime
import functools
import hashlib
import importlib
import importlib.util
import io
import json
import os
import pkgutil
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import FileError, MissingLibraryError, unknown_name
from ..provenance import libraries, processor, version
from .definition import Definition, FigureFiles, Numbers


@functools.cache
def _all() -> dict[str, Definition]:
    home = importlib.import_module(__package__)
    found: dict[str, Definition] = {}
    for info in sorted(pkgutil.iter_modules(home.__path__), key=lambda info: info.name):
        module = importlib.import_module(f"{home.__name__}.{info.name}")
        for definition in getattr(module, "FIGURES", ()):
            found[definition.name] = definition
    return found


def figures() -> tuple[Definition, ...]:
    """Return the figures that can be drawn; each has a name, a title and its cost in seconds.

    >>> from traindyn.validation.figures import figures
    >>> [figure.name for figure in figures()][:2]
    ['cabannes2024.fig1', 'cabannes2024.fig2']
    """
    return tuple(_all().values())


def figure(
    name: str, out: str | os.PathLike[str] = ".", as_published: bool = False, date: bool = False
) -> FigureFiles:
    """Draw a figure from simulations and write picture, data and provenance.

    Parameters
    ----------
    name : one of `figures()`, e.g. "cabannes2024.fig2"
    out : folder for the files; made if it does not exist
    as_published : keep the conventions of the published picture, slips included (the provenance names them)
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
    if name not in _all():
        raise unknown_name("figure", name, _all())
    if importlib.util.find_spec("matplotlib") is None:
        raise MissingLibraryError("matplotlib", "report", "a figure")
    definition, folder = _all()[name], _folder(out)
    numbers = definition.compute(as_published)
    stem = name + ("-as-published" if as_published else "")
    files = {
        "png": _picture(definition, numbers, as_published, "png"),
        "svg": _picture(definition, numbers, as_published, "svg"),
        "npz": _packed(numbers),
    }
    provenance = _provenance(definition, numbers, as_published, files, date)
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
    definition: Definition, numbers: Numbers, as_published: bool, files: dict[str, bytes], date: bool
) -> dict[str, Any]:
    record: dict[str, Any] = {
        "figure": definition.name,
        "title": definition.title,
        "as_published": as_published,
        "quirks_kept": list(definition.quirks) if as_published else [],
        "version": version(),
        "processor": processor(),
        "libraries": libraries(),
        "seed": numbers.parameters.get("seed"),
        "parameters": dict(numbers.parameters),
        "problems": dict(numbers.problems),
        "sha256": {kind: hashlib.sha256(content).hexdigest() for kind, content in files.items()},
    }
    if date:
        record["date"] = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    return record
