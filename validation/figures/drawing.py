"""`figure`: compute, draw, write; go on where a killed call left off."""

from __future__ import annotations

import importlib.util
import os
from concurrent.futures import Executor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from ...errors import InputError, MissingLibraryError
from .catalogue import find
from .definition import Definition, Numbers
from .finding import Finding
from .rendering import packed, pictures, provenance
from .request import Request
from .writing import remove, writable_folder, write_together


@dataclass(frozen=True)
class FigureFiles:
    """The files that `figure` wrote, and the numbers that it drew."""

    name: str
    picture: Path
    vector: Path
    document: Path
    data: Path
    provenance: Path
    numbers: Numbers = field(repr=False)

    @property
    def paths(self) -> tuple[Path, ...]:
        """Return the five files: PNG, SVG, PDF, NPZ, JSON."""
        return self.picture, self.vector, self.document, self.data, self.provenance

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Return what follows from the numbers."""
        return self.numbers.findings

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
    """Draw a figure, or run an experiment, from simulations and write pictures, data and provenance.

    Parameters
    ----------
    name : one of `figures()`, e.g. "cabannes2024.fig2"
    out : folder for the files; made if it does not exist
    as_published : keep the conventions of the published picture, slips included (the provenance names them)
    quick : the small size of an experiment: the same effects in fewer cells
    executor : any ``concurrent.futures.Executor`` for its sweeps; by default this process with all its cores
    progress : whether bars are shown
    rng : seed of everything that is drawn
    date : whether the provenance says when; without it the same inputs give the same files

    Returns
    -------
    FigureFiles
        ``name.png``, ``.svg``, ``.pdf``, ``.npz`` (every number shown) and ``.json`` (version, processor, seed, problem
        digests, parameters, findings); the stem ends in ``-as-published`` or ``-quick`` where these are asked for.
        The arrays drawn are ``result["loss"]`` and so on, and ``result.findings`` what follows from them.

    The sweeps of a figure are kept in ``name.*.db`` beside its files until these are written. A call that was killed
    or interrupted leaves them, and the same call goes on from them.

    Raises
    ------
    InputError : unknown name, with the nearest ones; a version or a size that the figure does not have.
    FileError : the folder cannot be made or written, before any work; a full disk; a sweep of another version.
    MissingLibraryError : matplotlib (extra ``report``) is not installed; before any work.
    KeyboardInterrupt : with a sentence on how to go on.

    Examples
    --------
    >>> import traindyn as td
    >>> td.figure("traindyn.overview", out="pictures").picture.name
    'traindyn.overview.png'
    """
    definition = find(name)
    _check(definition, as_published, quick)
    folder = writable_folder(out)
    stem = definition.name + ("-as-published" if as_published else "") + ("-quick" if quick else "")
    request = Request(as_published, quick, folder / stem, executor, progress, rng)
    try:
        numbers = definition.compute(request)
        files = pictures(definition, numbers, as_published)
        files["npz"] = packed(numbers.arrays)
        files["json"] = provenance(definition, numbers, request, files, date)  # last: it holds the others' digests
        paths = write_together(folder, {f"{stem}.{kind}": content for kind, content in files.items()})
    except KeyboardInterrupt:
        raise KeyboardInterrupt(_how_to_go_on(request)) from None
    remove(request.kept())
    png, svg, pdf, npz, json = paths.values()
    return FigureFiles(definition.name, png, svg, pdf, npz, json, numbers)


def _check(definition: Definition, as_published: bool, quick: bool) -> None:
    if as_published and not definition.published:
        raise InputError("this figure has no as-published version", repr(definition.name), "draw it without")
    if quick and definition.quick_seconds is None:
        raise InputError(
            "this figure has no quick size", repr(definition.name),
            f"its one size takes about {definition.seconds:g} CPU seconds",
        )  # fmt: skip
    if importlib.util.find_spec("matplotlib") is None:
        raise MissingLibraryError("matplotlib", "report", "a figure")


def _how_to_go_on(request: Request) -> str:
    if not request.kept():
        return "interrupted; nothing was kept"
    kept = f"what is done is kept in {request.store}.*.db"
    return f"interrupted; {kept}: draw the same figure into the same folder to go on"
