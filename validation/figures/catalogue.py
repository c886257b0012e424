"""The list of figures: what the modules of two packages define, and the entry points of other packages.

A module of `validation.figures` or `validation.experiments` that ends with a tuple `FIGURES` of definitions adds them.
Other packages name such a tuple in the entry-point group `traindyn.figures`.
"""

from __future__ import annotations

import difflib
import functools
import importlib
import pkgutil
from collections.abc import Iterable
from importlib.metadata import entry_points

from ...errors import InputError, unknown_name
from .definition import Definition

ENTRY_POINT_GROUP = "traindyn.figures"
PACKAGES = ("traindyn.validation.figures", "traindyn.validation.experiments")


@functools.cache
def _all() -> dict[str, Definition]:
    """Return every definition by its name, in the order of the modules' names, the figures before the experiments."""
    table: dict[str, Definition] = {}
    for package in PACKAGES:
        home = importlib.import_module(package)
        for info in sorted(pkgutil.iter_modules(home.__path__, package + "."), key=lambda info: info.name):
            _add(table, getattr(importlib.import_module(info.name), "FIGURES", ()), info.name)
    for point in entry_points(group=ENTRY_POINT_GROUP):
        _add(table, point.load(), f"entry point {point.name} = {point.value}")
    return table


def _add(table: dict[str, Definition], definitions: Iterable[Definition], where: str) -> None:
    for definition in definitions:
        if not isinstance(definition, Definition):
            raise InputError(
                "a module of figures must hold Definition objects in FIGURES", f"{definition!r} in {where}"
            )
        if definition.name in table:
            raise InputError("two figures have one name", f"{definition.name} (again in {where})", "rename one")
        table[definition.name] = definition


def figures() -> tuple[Definition, ...]:
    """Return the figures and the experiments that can be drawn; each has a name, a title and its cost in seconds.

    >>> from traindyn.validation.figures import figures
    >>> [figure.name for figure in figures()][:2]
    ['cabannes2024.fig1', 'cabannes2024.fig2']
    """
    return tuple(_all().values())


def find(name: str) -> Definition:
    """Return the figure of this name.

    Raises
    ------
    InputError : there is none; the message holds the nearest names, also by their last word.

    >>> find("fig2")
    Traceback (most recent call last):
    ...
    traindyn.errors.InputError: unknown figure; got 'fig2'; did you mean 'cabannes2024.fig2'? ...
    """
    table = _all()
    if name in table:
        return table[name]
    words = {each.rsplit(".", 1)[-1]: each for each in table}
    word = str(name).rsplit(".", 1)[-1]
    close = [word] if word in words else difflib.get_close_matches(word, words, n=3, cutoff=0.7)
    near = [words[each] for each in close]
    if not near:
        raise unknown_name("figure", name, table)
    raise InputError(
        "unknown figure", repr(name),
        f"did you mean {' or '.join(map(repr, near))}? `traindyn figures` lists all {len(table)}",
    )  # fmt: skip
