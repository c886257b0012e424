"""The list of figures: what the modules of the two packages of figures and experiments define."""

from __future__ import annotations

import functools
import importlib
import pkgutil

from .definition import Definition

PACKAGES = ("traindyn.validation.figures", "traindyn.validation.experiments")


@functools.cache
def by_name() -> dict[str, Definition]:
    """Return every definition by its name: the figures of the papers first, then the experiments."""
    found: dict[str, Definition] = {}
    for package in PACKAGES:
        home = importlib.import_module(package)
        for info in sorted(pkgutil.iter_modules(home.__path__), key=lambda info: info.name):
            module = importlib.import_module(f"{package}.{info.name}")
            for definition in getattr(module, "FIGURES", ()):
                found[definition.name] = definition
    return found


def figures() -> tuple[Definition, ...]:
    """Return the figures and the experiments that can be drawn; each has a name, a title and its cost in seconds.

    >>> from traindyn.validation.figures import figures
    >>> [figure.name for figure in figures()][:2]
    ['cabannes2024.fig1', 'cabannes2024.fig2']
    """
    return tuple(by_name().values())
