"""What a sweep is, in plain values: the header of its store, so that no other sweep is taken for it."""

from __future__ import annotations

import functools
import hashlib
import inspect
import os
import platform
import types
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from .recipe import Recipe

if TYPE_CHECKING:
    from .cells import Work
    from .grid import Grid

_SAMPLES = 5
_DEPTH = 8


def header_of(work: Work, grid: Grid, built: bool = True) -> dict[str, Any]:
    """Return what must agree for a sweep to go on from a store; without what it builds, if nothing is to be compared.

    A recipe is named; a function is known by its code, its closure, and by the problems and rules that it builds for a
    sample of the cells. Functions that it calls are seen through what it builds only.
    """
    from .. import __version__

    header: dict[str, Any] = {
        "traindyn": __version__,
        "definition": definition_of(work.build),
        "grid": {name: _listed(values) for name, values in grid.axes.items()},
        "steps": work.steps, "time": work.time,
        "functions": [definition_of(measure.evaluate) for measure in work.measures if not _in_table(measure)],
        "dtype": work.dtype,
        "entropy": work.entropy if isinstance(work.entropy, int) else [int(word) for word in work.entropy],
        "spawn_key": list(work.spawn_key),
        "options": {name: plain_digest(value) for name, value in sorted(work.options.items())},
    }  # fmt: skip
    if built:
        header["built"] = built_digest(work, grid)
    if not isinstance(work.build, Recipe) or header["functions"]:
        header["python"] = ".".join(platform.python_version_tuple()[:2])  # functions are known by their byte code
    return header


def _listed(values: tuple[Any, ...]) -> list[Any]:
    """Return what JSON gives back: tuples are lists there."""
    return [_listed(value) if isinstance(value, tuple) else value for value in values]


def _in_table(measure: Any) -> bool:
    from .measures import MEASURES

    return measure is MEASURES.get(measure.name)


def definition_of(function: Any) -> str:
    """Return the text that stands for a recipe or a function: its name, and the digest of its code and closure.

    >>> definition_of(lambda **cell: None).split()[0]
    '<lambda>'
    """
    if isinstance(function, Recipe):
        return f"{function!r} {function.digest[:16]}"
    inner = function
    while isinstance(inner, functools.partial):
        inner = inner.func
    name = getattr(inner, "__qualname__", type(inner).__qualname__)
    return f"{name} {plain_digest(function)[:16]}"


def built_digest(work: Work, grid: Grid) -> str:
    """Return the digest of the problems and rules of a sample of the cells, the first and the last among them."""
    places = sorted({round(place) for place in np.linspace(0, grid.size - 1, min(_SAMPLES, grid.size)).tolist()})
    return plain_digest([cell_digest(work, grid.cell(place)) for place in places])


def cell_digest(work: Work, cell: Mapping[str, Any]) -> str:
    """Return the digest of the problem and the rule of a cell."""
    try:
        return plain_digest(list(work.built(cell)))
    except Exception as error:
        return f"{type(error).__name__}"


def plain_digest(value: Any) -> str:
    """Return a SHA-256 of what is plain in a value, the same in every process.

    Numbers, texts, arrays, containers, functions (code, defaults, closure) and attributes count; what has no stable
    content, such as an open file or a lock, counts by its type.
    """
    return hashlib.sha256(_plain(value, _DEPTH).encode()).hexdigest()


def _plain(value: Any, depth: int) -> str:
    if depth == 0:
        return "..."
    inside = functools.partial(_plain, depth=depth - 1)
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float):
        return value.hex()
    if value is None or isinstance(value, (bool, int, str, bytes)):
        return repr(value)
    if isinstance(value, (tuple, list)):
        return "[" + ",".join(map(inside, value)) + "]"
    if isinstance(value, (set, frozenset)):
        return "{" + ",".join(sorted(map(inside, value))) + "}"
    if isinstance(value, Mapping):
        return "{" + ",".join(sorted(f"{inside(key)}:{inside(item)}" for key, item in value.items())) + "}"
    if isinstance(value, np.ndarray) and value.dtype != object:
        data = hashlib.sha256(np.ascontiguousarray(value).tobytes()).hexdigest()
        return f"array{value.shape}{value.dtype.str}{data}"
    if isinstance(value, types.CodeType):
        return f"code({value.co_code.hex()},{inside(value.co_consts)},{inside(value.co_names)})"
    if isinstance(value, types.FunctionType):
        cells = [_content(cell) for cell in value.__closure__ or ()]
        parts = [value.__qualname__, value.__code__, list(value.__defaults__ or ()), value.__kwdefaults__ or {}, cells]
        return "function" + inside(parts)
    if isinstance(value, functools.partial):
        return f"partial{inside([value.func, list(value.args), value.keywords])}"
    if isinstance(value, types.MethodType):
        return f"method{inside([value.__func__, value.__self__])}"
    if isinstance(value, os.PathLike):
        return repr(os.fspath(value))
    kind = f"{getattr(value, '__module__', '')}.{getattr(value, '__qualname__', type(value).__qualname__)}"
    if isinstance(value, (type, types.ModuleType, types.BuiltinFunctionType)):
        return kind
    own = getattr(value, "digest", None)
    if isinstance(own, str):
        return f"{kind}({own})"
    called = inspect.getattr_static(type(value), "__call__", None)
    code = inside(called) if isinstance(called, types.FunctionType) else ""
    return f"{kind}({code}{inside(vars(value)) if hasattr(value, '__dict__') else ''})"


def _content(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # a name that is not bound yet
        return None
