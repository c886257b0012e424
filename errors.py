"""Errors that say the law, the value that broke it, and the way out.

Every error that a user can cause is a `TraindynError`; the subclasses also derive from the built-in
exception that a caller without this package in mind would catch.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class TraindynError(Exception):
    """Base class of all errors raised on purpose by traindyn."""


class InputError(TraindynError, ValueError):
    """An argument breaks a stated law.

    >>> raise InputError("learning_rate must be positive", -0.5, "pass learning_rate > 0")
    Traceback (most recent call last):
    ...
    traindyn.errors.InputError: learning_rate must be positive; got -0.5; pass learning_rate > 0
    """

    def __init__(self, law: str, value: object = None, cure: str = "") -> None:
        self.law, self.value, self.cure = law, value, cure
        parts = [law] + ([] if value is None else [f"got {value}"]) + ([cure] if cure else [])
        super().__init__("; ".join(parts))

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.law, self.value, self.cure)


class FileError(TraindynError, OSError):
    """A file is foreign, truncated, from another version, or cannot be written."""


class SizeError(TraindynError, MemoryError):
    """The work would need more memory than is free."""


class MissingLibraryError(TraindynError, ImportError):
    """An optional library is needed and absent; the message holds the line that installs it."""

    def __init__(self, library: str, extra: str, purpose: str) -> None:
        self.library, self.extra, self.purpose = library, extra, purpose
        super().__init__(f"{purpose} needs {library}, which is not installed; run: pip install 'traindyn[{extra}]'")

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.library, self.extra, self.purpose)


def unknown_name(kind: str, name: object, known: Iterable[str]) -> InputError:
    """Return the error for a name that is not among the known ones, with the nearest of them.

    >>> str(unknown_name("observable", "margn", ["loss", "accuracy", "margin"]))
    "unknown observable; got 'margn'; did you mean 'margin'? known: accuracy, loss, margin"
    """
    names = sorted(known)
    near = difflib.get_close_matches(str(name), names, n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(map(repr, near))}? " if near else ""
    shown = ", ".join(names) if len(names) <= 20 else ", ".join(names[:5]) + f", ... ({len(names)} in all)"
    return InputError(f"unknown {kind}", repr(name), f"{hint}known: {shown}")
