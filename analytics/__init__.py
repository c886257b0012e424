"""Exact solutions, proved bounds and static problems: formulas that judge simulations and never run them.

Every name is imported on first use; a module is loaded only when one of its names is asked for.
"""

from __future__ import annotations

import importlib
from typing import Any

# module: its public names. No public name may equal a module's name: importing the module would hide it.
_HOME = {
    "binary_flow": ("flow_displacement", "flow_margin"),
}
_LAZY = {name: module for module, names in _HOME.items() for name in names}

__all__ = sorted(_LAZY)  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        value = getattr(importlib.import_module(f".{_LAZY[name]}", __name__), name)
        globals()[name] = value
        return value
    if name in _HOME:
        return importlib.import_module(f".{name}", __name__)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_LAZY})
