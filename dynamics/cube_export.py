"""Cubes in the formats of others: xarray, pandas, zarr, netCDF, CSV; and from the stores of sweeps."""

from __future__ import annotations

import importlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import FileError, InputError, MissingLibraryError
from .cells import CODES, STATUSES
from .status import Status

if TYPE_CHECKING:
    from .cube import Cube

KINDS = (".csv", ".nc", ".zarr")


def library(name: str, purpose: str) -> Any:
    """Return an optional library, or raise the error with the line that installs it."""
    try:
        return importlib.import_module(name)
    except ImportError:
        raise MissingLibraryError(name, "data", purpose) from None


def _label(values: tuple[Any, ...]) -> Any:
    """Return an axis as an array: numbers as they are, anything else as texts."""
    if all(type(value) in (int, float) for value in values):
        return np.asarray(values)
    return np.asarray([value if isinstance(value, str) else str(value) for value in values])


def to_xarray(cube: Cube) -> Any:
    """Return the dataset of a cube."""
    xarray = library("xarray", "to_xarray")
    names = tuple(cube.axes)
    variables: dict[str, Any] = {name: (names, cube[name]) for name in cube.measures}
    variables["status"] = (
        names, cube.codes.reshape(cube.shape),
        {"flag_values": np.arange(len(STATUSES), dtype=np.int8), "flag_meanings": " ".join(s.name for s in STATUSES)},
    )  # fmt: skip
    plain = {name: value if isinstance(value, (str, int, float)) and not isinstance(value, bool) else json.dumps(value)
             for name, value in cube.provenance.items() if name != "grid"}  # fmt: skip
    coordinates = {name: (name, _label(values)) for name, values in cube.axes.items()}
    return xarray.Dataset(variables, coords=coordinates, attrs=plain)


def to_pandas(cube: Cube) -> Any:
    """Return the table of a cube, a row a cell."""
    pandas = library("pandas", "to_pandas")
    columns: dict[str, Any] = {}
    block = cube.size
    for name, values in cube.axes.items():
        block //= len(values)
        listed = pandas.Series(list(values))
        columns[name] = listed.take(np.arange(cube.size) // block % len(values)).to_numpy()
    columns |= {name: cube[name].ravel() for name in cube.measures}
    columns["status"] = pandas.Categorical.from_codes(cube.codes, [status.name for status in STATUSES])
    return pandas.DataFrame(columns)


def to_zarr(cube: Cube, path: str | os.PathLike[str]) -> None:
    """Write a zarr store beside its place, then move it there."""
    library("zarr", "to_zarr")
    dataset = to_xarray(cube)
    place = Path(path)
    folder = _folder(place)
    if place.exists():
        raise FileError(f"{place} exists; choose another path, or remove it first")
    with tempfile.TemporaryDirectory(prefix=f".{place.name}.", dir=folder) as temporary:
        made = Path(temporary) / "made.zarr"
        dataset.to_zarr(made, mode="w", consolidated=False, zarr_format=2)  # format 3 has no stable texts yet
        shutil.move(made, place)


def write(cube: Cube, path: str | os.PathLike[str]) -> None:
    """Write a cube to a file whose ending names the format: .csv, .nc or .zarr.

    Raises: InputError for another ending; MissingLibraryError; FileError.
    """
    place = Path(path)
    kind = check_output(place)
    if kind == ".zarr":
        return to_zarr(cube, place)
    if kind == ".nc":
        dataset = to_xarray(cube)
        return _replaced(place, lambda made: dataset.to_netcdf(made, engine="scipy"))
    return _replaced(place, lambda made: _write_csv(cube, made))


def check_output(path: str | os.PathLike[str]) -> str:
    """Return the ending of a path if a cube can be written there, before the work is done.

    Raises: InputError for an ending that names no format; MissingLibraryError; FileError.
    """
    place = Path(path)
    kind = place.suffix.lower()
    if kind not in KINDS:
        raise InputError("the ending of the output names its format", str(path), f"one of {', '.join(KINDS)}")
    for name in {".nc": ("xarray",), ".zarr": ("xarray", "zarr")}.get(kind, ()):
        library(name, f"writing {kind}")
    _folder(place)
    if kind == ".zarr" and place.exists():
        raise FileError(f"{place} exists; choose another path, or remove it first")
    return kind


def _write_csv(cube: Cube, path: Path) -> None:
    import csv
    import itertools

    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([*cube.axes, *cube.measures, "status"])
        rows = zip(itertools.product(*cube.axes.values()), cube.table.tolist(), cube.codes.tolist(), strict=True)
        for cell, values, code in rows:
            writer.writerow([*cell, *("" if value != value else repr(value) for value in values), STATUSES[code].name])


def _folder(place: Path) -> Path:
    folder = place.parent
    if not folder.is_dir():
        raise FileError(f"{folder} is not a folder; make it first")
    return folder


def _replaced(place: Path, write_to: Callable[[Path], object]) -> None:
    """Write a file beside its place, then rename it."""
    _folder(place)
    made = place.with_name(f".{place.name}.{os.getpid()}")
    try:
        write_to(made)
        made.replace(place)
    except OSError as error:
        raise FileError(f"{place} cannot be written: {error}") from error
    finally:
        made.unlink(missing_ok=True)


def loaded(path: str | os.PathLike[str]) -> Cube:
    """Return the cube of a store; see `Cube.load`."""
    from .cube import Cube
    from .store import Store

    with Store.load(path) as store:
        values, status, done, _ = store.read()
        header, notes, measures, failures = dict(store.header), dict(store.notes), store.measures, store.errors()
    axes = {name: _tupled(values_of) for name, values_of in header.pop("grid").items()}
    codes = np.where(done, status, CODES[Status.INTERRUPTED]).astype(np.int8)
    return Cube(axes, tuple(measures), values, codes, failures, {**header, **notes})


def _tupled(value: Any) -> Any:
    return tuple(map(_tupled, value)) if isinstance(value, list) else value
