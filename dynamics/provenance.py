"""What a run was made with: the facts that reproduce it."""

from __future__ import annotations

import functools
import platform
from pathlib import Path

import numpy as np


@functools.cache
def processor() -> str:
    """Return the name of the CPU.

    >>> len(processor()) > 0
    True
    """
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return f"{line.split(':', 1)[1].strip()} ({platform.machine()})"
    except OSError:
        pass
    return platform.processor() or platform.machine() or "unknown"


@functools.cache
def environment() -> dict[str, str]:
    """Return the versions and the CPU that results may depend on."""
    from .. import __version__

    return {
        "traindyn": __version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
        "system": platform.platform(),
        "cpu": processor(),
    }
