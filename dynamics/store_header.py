"""What a store belongs to: the definition of its sweep, item by item, under a digest, and what else it notes."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..errors import FileError, InputError
from .store_rows import CURE

NAME = "traindyn.sweep"
# items are compared in this order, so that the cause is named before what follows from it
_ORDER = ("traindyn", "grid", "measures", "n_cells", "steps", "time", "dtype", "entropy", "rng", "definition")
_BY_BYTE_CODE = {"python", "definition", "functions", "options", "built"}


def described(
    header: Mapping[str, Any], n_cells: int, measures: Sequence[str], notes: Mapping[str, Any] | None
) -> dict[str, str]:
    """Return the rows of the header table of a new store, {name: JSON}."""
    items = {f"item.{name}": _json(f"header[{name!r}]", value) for name, value in header.items()}
    counts = {"n_cells": json.dumps(n_cells), "measures": json.dumps(list(measures))}
    rows = {"format": json.dumps(NAME), **counts, **items}
    rows["digest"] = json.dumps(digest(rows))
    rows["created"] = json.dumps(time.strftime("%Y-%m-%dT%H:%M:%S%z"))
    rows["notes"] = _json("notes", dict(notes or {}))
    rows["seal"] = _seal(rows)
    return rows


def _json(name: str, value: Any) -> str:
    """Return JSON in the order given: the order of the axes is a part of what a sweep is."""
    try:
        text = json.dumps(value, allow_nan=False, ensure_ascii=False)
        text.encode()
        return text
    except (TypeError, ValueError) as error:
        raise InputError(f"{name} must hold JSON values: texts, finite numbers, lists, dicts with text keys",
                         f"{error}") from None  # fmt: skip


def digest(rows: Mapping[str, str]) -> str:
    """Return the sha256 of what defines a sweep, in hexadecimal."""
    return _hashed((name, text) for name, text in rows.items() if _defines(name))


def _defines(name: str) -> bool:
    return name in ("n_cells", "measures") or name.startswith("item.")


def _hashed(rows: Iterable[tuple[str, str]]) -> str:
    mark = hashlib.sha256()
    for name, text in sorted(rows):
        content = text.encode()
        mark.update(f"{name!r} {len(content)} ".encode() + content)
    return mark.hexdigest()


def _seal(rows: Mapping[str, str]) -> str:
    return _hashed((name, text) for name, text in rows.items() if name != "seal")


def check_seal(rows: Mapping[str, str], path: Path) -> bytes:
    """Return the key of the checksums of all rows, or raise FileError where the header is not as it was written."""
    if rows.get("seal") != _seal(rows):
        raise FileError(f"{path} is damaged: the checksum of its header does not match; {CURE}")
    if rows["format"] != json.dumps(NAME):
        raise FileError(f"{path} is not a store of a sweep but a {rows['format']}; choose another file")
    return bytes.fromhex(rows["seal"])


def definition(rows: Mapping[str, str]) -> dict[str, Any]:
    """Return the definition as it was given."""
    return {name.removeprefix("item."): json.loads(text) for name, text in rows.items() if name.startswith("item.")}


def check_same_sweep(found_rows: Mapping[str, str], wanted_rows: Mapping[str, str], path: Path) -> None:
    """Raise FileError, naming what differs, where a file holds another sweep than the one asked for."""
    found, wanted = (
        {name.removeprefix("item."): text for name, text in rows.items() if _defines(name)}
        for rows in (found_rows, wanted_rows)
    )
    names = sorted(wanted | found, key=lambda name: (_ORDER.index(name) if name in _ORDER else len(_ORDER), name))
    differing = [name for name in names if wanted.get(name) != found.get(name)]
    if not differing:
        return
    first = differing[0]
    cure = "give this sweep another file, or ask for the sweep that the file holds"
    if first == "traindyn" and first in found:
        cure = (f"versions are not mixed in one store: pip install traindyn=={json.loads(found[first])} and go on, or "
                "give this sweep another file")  # fmt: skip
    versions = [json.loads(rows["python"]) for rows in (found, wanted) if "python" in rows]
    if len(set(versions)) == 2 and set(differing) <= _BY_BYTE_CODE:
        raise FileError(
            f"{path} was begun with Python {versions[0]}, and this is {versions[1]}; functions are known by their byte "
            "code, which changes with the version: go on with the one that began it, or begin anew in another file; "
            "sweeps of td.Recipe and named measures go on with any"
        )
    also = f" (and in: {', '.join(differing[1:])})" if differing[1:] else ""
    told = _told(first, found.get(first), wanted.get(first))
    raise FileError(f"{path} holds another sweep: it differs in {told}{also}; {cure}")


def _told(name: str, found: str | None, wanted: str | None) -> str:
    if name == "grid" and found and wanted:
        return _told_grid(json.loads(found), json.loads(wanted))
    start = 0
    if found is not None and wanted is not None:
        same = next((i for i, (a, b) in enumerate(zip(found, wanted, strict=False)) if a != b), 0)
        start = max(0, same - 20)
    return f"{name}, {_short(found, start)} there and {_short(wanted, start)} here"


def _short(text: str | None, start: int) -> str:
    if text is None:
        return "absent"
    if len(text) <= 60:
        return text
    return ("..." if start else "") + text[start : start + 50] + ("..." if start + 50 < len(text) else "")


def _told_grid(found: Any, wanted: Any) -> str:
    if not (isinstance(found, dict) and isinstance(wanted, dict)) or list(found) != list(wanted):
        axes = [", ".join(grid) if isinstance(grid, dict) else str(grid)[:60] for grid in (found, wanted)]
        return f"grid, axes {axes[0]} there and {axes[1]} here"
    for name, there in found.items():
        here = wanted[name]
        if there == here:
            continue
        if not (isinstance(there, list) and isinstance(here, list)) or len(there) != len(here):
            sizes = [f"{len(x)} values" if isinstance(x, list) else str(x)[:60] for x in (there, here)]
            return f"grid, axis {name} with {sizes[0]} there and {sizes[1]} here"
        place = next(i for i, (a, b) in enumerate(zip(there, here, strict=True)) if a != b)
        return f"grid, axis {name}[{place}], {there[place]!r} there and {here[place]!r} here"
    return "grid, the kind of its numbers"
