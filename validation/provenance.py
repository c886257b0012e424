"""What a result was obtained with: versions and processor, in words."""

from __future__ import annotations

import os
import platform
import sys
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as version_of


def version() -> str:
    """Return the version of traindyn."""
    from .. import __version__

    return __version__


def processor() -> str:
    """Return the processor's name and the number of usable cores."""
    name = ""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:
            name = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "")
    except OSError:
        pass
    name = name or platform.processor() or platform.machine() or "unknown processor"
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)
    return f"{name}, {usable} {'core' if usable == 1 else 'cores'}"


def libraries() -> str:
    """Return the versions of Python and the numerical libraries."""
    parts = [f"Python {platform.python_version()} on {sys.platform}"]
    for name in ("numpy", "scipy", "numba", "mpmath"):
        try:
            parts.append(f"{name} {version_of(name)}")
        except PackageNotFoundError:
            continue
    return ", ".join(parts)
