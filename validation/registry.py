"""Where claims are found: the modules of `validation/claims`, and other packages' entry points.

A module of claims ends with a tuple `CLAIMS`. Other packages register theirs with an entry point in the group
`traindyn.claims` whose value is such a tuple, or a function that returns one.
"""

from __future__ import annotations

import fnmatch
import functools
import importlib
import pkgutil
from collections.abc import Iterable
from importlib.metadata import entry_points

from ..errors import InputError, unknown_name
from .claim import Claim

ENTRY_POINT_GROUP = "traindyn.claims"


@functools.cache
def _all() -> dict[tuple[str, str], Claim]:
    """Return every registered claim by (id, form), in the order of the modules' names."""
    home = importlib.import_module(".claims", __package__)

    table: dict[tuple[str, str], Claim] = {}
    for info in sorted(pkgutil.walk_packages(home.__path__, home.__name__ + "."), key=lambda info: info.name):
        if not info.ispkg:
            _add(table, getattr(importlib.import_module(info.name), "CLAIMS", ()), info.name)
    for point in entry_points(group=ENTRY_POINT_GROUP):
        loaded = point.load()
        _add(table, loaded() if callable(loaded) else loaded, f"entry point {point.name} = {point.value}")
    return table


def _add(table: dict[tuple[str, str], Claim], claims: Iterable[Claim], where: str) -> None:
    for claim in claims:
        if not isinstance(claim, Claim):
            raise InputError("a module of claims must hold Claim objects in CLAIMS", f"{claim!r} in {where}")
        if claim.key in table:
            raise InputError("two claims have the same id and form", f"{claim.key} (again in {where})", "rename one")
        table[claim.key] = claim


def claims(pattern: str = "*", form: str | None = None) -> tuple[Claim, ...]:
    """Return the registered claims whose id matches a pattern.

    Parameters
    ----------
    pattern : a shell pattern over ids, e.g. "cabannes2024.theorem2.*"
    form : "printed" or "corrected"; both by default

    Raises
    ------
    InputError : no claim matches; the message names the nearest ids.

    Examples
    --------
    >>> import traindyn as td
    >>> [claim.form for claim in td.claims("cabannes2024.theorem2.descent_margin")]
    ['printed', 'corrected']
    """
    found = tuple(
        claim
        for (name, kind), claim in _all().items()
        if fnmatch.fnmatchcase(name, pattern) and (form is None or kind == form)
    )
    if not found and form is not None:
        forms = {kind for name, kind in _all() if fnmatch.fnmatchcase(name, pattern)}
        if forms:
            raise InputError(f"claims {pattern!r} have no form {form!r}", f"forms {', '.join(sorted(forms))}")
    if not found:
        raise unknown_name("claim", pattern, {name for name, _ in _all()})
    return found


def find(claim_id: str, form: str | None = None) -> Claim:
    """Return the claim with this id and form; the form may be left out where there is only one.

    >>> from traindyn.validation import find
    >>> find("cabannes2024.theorem2.descent_margin", "corrected").form
    'corrected'
    """
    forms = [claim for (name, _), claim in _all().items() if name == claim_id]
    if not forms:
        raise unknown_name("claim", claim_id, {name for name, _ in _all()})
    if form is None:
        if len(forms) > 1:
            raise InputError(
                f"claim {claim_id} has several forms", ", ".join(claim.form for claim in forms), "pass form="
            )
        return forms[0]
    for claim in forms:
        if claim.form == form:
            return claim
    raise unknown_name(f"form of claim {claim_id}", form, [claim.form for claim in forms])
