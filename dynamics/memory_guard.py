"""How much memory is free."""

from __future__ import annotations

import os
from pathlib import Path


def free_memory() -> float | None:
    """Return the bytes that a new allocation may take without swapping; None where the system does not tell.

    >>> available = free_memory()
    >>> available is None or available > 0
    True
    """
    free = _available()
    limit = _group_limit()
    if free is None or limit is None:
        return free if limit is None else limit
    return min(free, limit)


def _available() -> float | None:
    try:
        for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return 1024.0 * float(line.split()[1])
    except (OSError, ValueError):
        pass
    try:
        return float(os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    except (AttributeError, OSError, ValueError):
        return None


def _group_limit() -> float | None:
    # inside a container the control group may allow less than the machine has
    try:
        limit = Path("/sys/fs/cgroup/memory.max").read_text(encoding="ascii").strip()
        used = Path("/sys/fs/cgroup/memory.current").read_text(encoding="ascii").strip()
        return None if limit == "max" else max(float(limit) - float(used), 0.0)
    except (OSError, ValueError):
        return None
