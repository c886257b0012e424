"""What a figure's files hold: pictures of the same bytes at every call, arrays, and where they come from."""

from __future__ import annotations

import datetime
import hashlib
import io
import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from ..provenance import libraries, processor, version
from .definition import Definition, Numbers
from .request import Request

PICTURES = ("png", "svg", "pdf")
_WITHOUT_DATE: dict[str, dict[str, Any]] = {
    "png": {"Software": None},
    "svg": {"Date": None, "Creator": None},
    "pdf": {"CreationDate": None, "ModDate": None, "Creator": None, "Producer": None},
}


def pictures(definition: Definition, numbers: Numbers, as_published: bool) -> dict[str, bytes]:
    """Return the drawing as PNG (300 dots an inch), SVG and PDF."""
    return {kind: picture(definition, numbers, as_published, kind) for kind in PICTURES}


def picture(definition: Definition, numbers: Numbers, as_published: bool, kind: str, dots_per_inch: int = 300) -> bytes:
    """Return the drawing as "png", "svg" or "pdf"; the dots are those of a PNG, and of what is rasterised in others."""
    import matplotlib

    from .style import SETTINGS

    with matplotlib.rc_context(SETTINGS | {"svg.hashsalt": definition.name}):
        drawn = definition.draw(numbers, as_published)  # anew for each kind: saving moves what a layout engine places
        stream = io.BytesIO()
        drawn.savefig(stream, format=kind, dpi=dots_per_inch, metadata=_WITHOUT_DATE[kind])
    return stream.getvalue()


def packed(arrays: Mapping[str, Any]) -> bytes:
    """Return the arrays as an NPZ file."""
    stream = io.BytesIO()
    np.savez_compressed(stream, **dict(arrays))
    return stream.getvalue()


def provenance(
    definition: Definition, numbers: Numbers, request: Request, files: Mapping[str, bytes], date: bool
) -> bytes:
    """Return the JSON file: what was drawn, how large, from what, with what, the findings, and the files' digests."""
    import matplotlib

    record: dict[str, Any] = {
        "figure": definition.name,
        "title": definition.title,
        "as_published": request.as_published,
        "size": "quick" if request.quick else "full",
        "caption": definition.caption,
        "quirks_kept": list(definition.quirks) if request.as_published else [],
        "version": version(),
        "processor": processor(),
        "libraries": f"{libraries()}, matplotlib {matplotlib.__version__}",
        "seed": request.rng,
        "parameters": dict(numbers.parameters),
        "problems": dict(numbers.problems),
        "findings": [finding.record() for finding in numbers.findings],
        "sha256": {kind: hashlib.sha256(content).hexdigest() for kind, content in files.items()},
    }
    if date:
        record["date"] = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    return (json.dumps(_plain(record), indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode()


def _plain(value: Any) -> Any:
    """Return a value as JSON takes it: arrays as lists, what is not finite as text, what it does not know as text."""
    if isinstance(value, Mapping):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, np.ndarray | np.generic):
        return _plain(value.tolist())
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)
