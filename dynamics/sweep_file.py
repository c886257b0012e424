"""Sweeps written down in TOML: what `traindyn sweep FILE.toml` runs."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import FileError, InputError, unknown_name
from . import associative_memory, rules
from .recipe import Recipe

_PROBLEMS = (associative_memory.AssociativeMemory,)
_KEYS = ("problem", "rule", "measure", "steps", "time", "rng", "dtype", "fixed", "grid")
_RANGES: Mapping[str, Callable[..., Any]] = {
    "linspace": np.linspace, "geomspace": np.geomspace, "arange": np.arange,
}  # fmt: skip
_LONGEST = 10**8


def read_sweep(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Return the arguments of `sweep` that a TOML file holds.

    Keys: problem and rule (public constructors such as "AssociativeMemory.two_tokens" and "GradientDescent"), measure
    (a name or a list), steps or time, rng, dtype, a table fixed (values that all cells share) and a table grid, whose
    axes are lists or tables ``{ linspace = [low, high, count] }``, ``{ geomspace = ... }``, ``{ arange = ... }``.

    Raises: FileError for a file that cannot be read; InputError naming the key, the value and the way out.

    >>> _ = Path("fig3.toml").write_text('''
    ... problem = "AssociativeMemory.two_tokens"
    ... rule = "GradientDescent"
    ... measure = "steps_to_accuracy"
    ... steps = 1000
    ... [grid]
    ... learning_rate = { geomspace = [0.1, 10.0, 3] }
    ... ''')
    >>> read_sweep("fig3.toml")["grid"]
    {'learning_rate': [0.1, 1.0, 10.0]}
    """
    place = Path(path)
    try:
        with place.open("rb") as file:
            given = tomllib.load(file)
    except OSError as error:
        raise FileError(f"{place} cannot be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise FileError(f"{place} is not TOML: {error}") from None
    try:
        return _checked(given)
    except InputError as error:
        raise InputError(f"{place}: {error.law}", error.value, error.cure) from None


def _checked(given: dict[str, Any]) -> dict[str, Any]:
    for key in given:
        if key not in _KEYS:
            raise unknown_name("key", key, _KEYS)
    for key in ("problem", "rule", "measure", "grid"):
        if key not in given:
            raise InputError(f"the key {key!r} is missing", None, _EXAMPLES[key])
    if "steps" in given and "time" in given:
        raise InputError("a file has steps or time, not both", f"steps = {given['steps']!r}, time = {given['time']!r}",
                         "steps for rules that move in steps, time for flows")  # fmt: skip
    if not isinstance(given.get("dtype", ""), str):
        raise InputError("dtype must be a text", repr(given["dtype"]), 'dtype = "float64" or "float32"')
    fixed, grid = _table(given, "fixed"), _table(given, "grid")
    recipe = Recipe(_constructor("problem", given["problem"]), _constructor("rule", given["rule"]), **fixed)
    measure = given["measure"]
    names = measure if isinstance(measure, list) else [measure]
    if not all(isinstance(name, str) for name in names):
        raise InputError("measure must be a name or a list of names", repr(measure), _EXAMPLES["measure"])
    arguments: dict[str, Any] = {
        "build": recipe, "grid": {name: _axis(name, values) for name, values in grid.items()}, "measure": tuple(names),
    }  # fmt: skip
    return arguments | {key: given[key] for key in ("steps", "time", "rng", "dtype") if key in given}


_EXAMPLES = {
    "problem": 'such as problem = "AssociativeMemory.two_tokens"',
    "rule": 'such as rule = "GradientDescent"',
    "measure": 'such as measure = ["steps_to_accuracy", "peak_loss"]',
    "grid": "such as a table [grid] with learning_rate = { geomspace = [0.1, 100.0, 31] }",
}


def _table(given: dict[str, Any], key: str) -> dict[str, Any]:
    table = given.get(key, {})
    if not isinstance(table, dict):
        raise InputError(f"{key} must be a table", repr(table), f"begin it with a line [{key}]")
    return table


def _constructor(key: str, name: Any) -> Any:
    known = _known_rules() if key == "rule" else _known_problems()
    if not isinstance(name, str):
        raise InputError(f"{key} must be a text", repr(name), _EXAMPLES[key])
    if name not in known:
        raise unknown_name(key, name, known)
    return known[name]


def _known_rules() -> dict[str, Any]:
    return {name: getattr(rules, name) for name in rules.__all__ if hasattr(getattr(rules, name), "digest")}


def _known_problems() -> dict[str, Any]:
    known: dict[str, Any] = {}
    for problem in _PROBLEMS:
        known[problem.__name__] = problem
        for name, value in vars(problem).items():
            if isinstance(value, classmethod) and not name.startswith("_"):
                known[f"{problem.__name__}.{name}"] = getattr(problem, name)
    return known


def _axis(name: str, values: Any) -> list[Any]:
    if isinstance(values, list):
        return [tuple(value) if isinstance(value, list) else value for value in values]
    if isinstance(values, dict) and len(values) == 1:
        (kind, numbers) = next(iter(values.items()))
        if kind not in _RANGES:
            raise unknown_name(f"range of the axis {name!r}", kind, _RANGES)
        return _range(name, kind, numbers)
    raise InputError(
        f"the axis {name!r} must be a list, or one range", repr(values),
        f"such as {name} = [0.5, 1.0] or {name} = {{ linspace = [0.0, 1.0, 11] }}",
    )  # fmt: skip


def _range(name: str, kind: str, numbers: Any) -> list[Any]:
    law = f"the axis {name!r}: {kind} takes [low, high, {'step' if kind == 'arange' else 'count'}]"
    plain = isinstance(numbers, list) and all(type(one) in (int, float) for one in numbers)
    if not plain or len(numbers) != 3:
        raise InputError(law, repr(numbers), "three numbers")
    low, high, last = numbers
    try:
        count = abs(high - low) / abs(last) if kind == "arange" else last
        values = _RANGES[kind](low, high, last).tolist() if count <= _LONGEST else None
    except (TypeError, ValueError, ArithmeticError) as error:
        raise InputError(law, f"{numbers!r} ({error})") from None
    if values is None:
        raise InputError(f"{law}, with at most {_LONGEST} values", repr(numbers))
    return values  # type: ignore[no-any-return]
