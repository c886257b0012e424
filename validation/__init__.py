"""Claims and verdicts, figures, reports, and tools for other people's suites.

Names are imported on first use: nothing heavy is loaded before it is needed. The verbs `check`, `claims`, `verify`,
`figure` and `figures` live at the root of the package (`traindyn.check`), since here their names are modules.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from . import assumptions, precision, strategies
    from .assumption import Assumption, Condition
    from .case import Case, Evidence, Exact, Family, Parameter
    from .claim import Claim, Source
    from .papers import cite
    from .registry import find
    from .suite import ClaimCheck, ClaimFailed, parametrize_with_claims
    from .verdict import Outcome, Verdict, Witness

_HOME = {
    "assumption": ("Assumption", "Condition"),
    "case": ("Case", "Evidence", "Exact", "Family", "Parameter"),
    "claim": ("Claim", "Source"),
    "papers": ("cite",),
    "registry": ("find",),
    "suite": ("ClaimCheck", "ClaimFailed", "parametrize_with_claims"),
    "verdict": ("Outcome", "Verdict", "Witness"),
}
_LAZY = {name: module for module, names in _HOME.items() for name in names}
_MODULES = ("assumptions", "precision", "strategies")

__all__ = [
    "Assumption",
    "Case",
    "Claim",
    "ClaimCheck",
    "ClaimFailed",
    "Condition",
    "Evidence",
    "Exact",
    "Family",
    "Outcome",
    "Parameter",
    "Source",
    "Verdict",
    "Witness",
    "assumptions",
    "cite",
    "find",
    "parametrize_with_claims",
    "precision",
    "strategies",
]


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        value = getattr(importlib.import_module(f".{_LAZY[name]}", __name__), name)
        globals()[name] = value
        return value
    if name in _MODULES:
        return importlib.import_module(f".{name}", __name__)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
