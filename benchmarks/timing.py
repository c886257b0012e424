"""Timing that can be trusted: candidates interleaved in one process, medians and spread."""

from __future__ import annotations

import json
import platform
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path


@dataclass(frozen=True)
class Row:
    """One line of a table: what was timed, by whom, and how long it took in seconds."""

    work: str
    candidate: str
    median: float
    low: float
    high: float
    ratio: float
    note: str = ""


def interleaved(
    work: str, candidates: Mapping[str, Callable[[], object]], rounds: int = 7, unit: float = 1.0, note: str = ""
) -> list[Row]:
    """Time the candidates round-robin, so that a drift of the machine's speed cancels; the first one is ours.

    `unit` is how many units of work one call does (steps, runs): times are per unit. `ratio` is ours over the
    candidate.
    """
    for call in candidates.values():
        call()
    times: dict[str, list[float]] = {name: [] for name in candidates}
    for _ in range(rounds):
        for name, call in candidates.items():
            start = time.perf_counter()
            call()
            times[name].append((time.perf_counter() - start) / unit)
    ours = statistics.median(next(iter(times.values())))
    return [
        Row(work, name, statistics.median(t), min(t), max(t), ours / statistics.median(t), note if i == 0 else "")
        for i, (name, t) in enumerate(times.items())
    ]


def shown(seconds: float) -> str:
    """Return a time with a unit that fits it."""
    for factor, unit in ((1.0, "s"), (1e3, "ms"), (1e6, "µs")):
        if seconds * factor >= 1:
            return f"{seconds * factor:.3g} {unit}"
    return f"{seconds * 1e9:.3g} ns"


def table(rows: list[Row]) -> str:
    """Return the rows as a Markdown table."""
    lines = ["| work | candidate | median | min .. max | ours / it | note |", "| --- | --- | --- | --- | --- | --- |"]
    for row in rows:
        spread = f"{shown(row.low)} .. {shown(row.high)}"
        cells = (row.work, row.candidate, shown(row.median), spread, f"{row.ratio:.3g}", row.note)
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def machine() -> dict[str, str]:
    """Return what the times depend on: processor, Python, and the versions of the libraries."""
    facts = {"processor": platform.processor() or platform.machine(), "python": platform.python_version()}
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        lines = cpuinfo.read_text().splitlines()
        names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
        facts["processor"] = f"{names[0]} x {len(names)}" if names else facts["processor"]
    for library in ("traindyn", "numpy", "scipy", "numba"):
        try:
            facts[library] = version(library)
        except PackageNotFoundError:
            facts[library] = "absent"
    return facts


def write_json(rows: list[Row], path: Path) -> None:
    """Write the rows and the machine as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"machine": machine(), "rows": [asdict(row) for row in rows]}, indent=1) + "\n")
