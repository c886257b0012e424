"""Timing that can be trusted: candidates checked against each other, then interleaved in one process."""

from __future__ import annotations

import json
import math
import platform
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np
from cores import whole

LIBRARIES = ("traindyn", "numpy", "scipy", "numba", "llvmlite", "torch", "jax", "jaxlib")
_LEAST_SECONDS = 0.02
_PAUSE = 0.07
_LONG = 3.0  # seconds, compilation included: such a call needs no other to warm it
_ATTEMPTS, _LOOKS = 4, 20


@dataclass(frozen=True)
class Row:
    """One line of a table: what was timed, by whom, and how long a unit of work took in seconds."""

    work: str
    candidate: str
    median: float = math.nan
    low: float = math.nan
    high: float = math.nan
    ratio: float = math.nan
    """Median over the rounds of our time over this candidate's."""
    threads: int = 1
    share: float = math.nan
    """Share of the physical limit of this machine, measured in the same process."""
    note: str = ""


def absent(work: str, candidate: str, library: str, threads: int = 1) -> Row:
    """Return the row of a peer that is not installed."""
    note = f"{library} is not installed: pip install '.[bench]'"
    return Row(work, candidate, threads=threads, note=note)


def interleaved(
    work: str,
    candidates: Mapping[str, Callable[[], object]],
    rounds: int = 7,
    unit: float = 1.0,
    threads: int = 1,
    note: str = "",
    tolerance: float | None = None,
    compared: Callable[[object], object] = lambda result: result,
    limit: float | None = None,
    least: float = _LEAST_SECONDS,
) -> list[Row]:
    """Time the candidates round-robin, so that a drift of the machine's speed cancels; the first one is ours.

    `unit` is how many units of work one call does (steps, runs): times are per unit. A call is repeated until it takes
    `least` seconds. With a `tolerance`, what `compared` makes of every candidate's result is first compared with that
    of the first: largest difference over largest entry. `limit` is the least time of a unit that the machine allows.
    With several threads each candidate is preceded by a pause and a call that does not count: idle workers of one
    library spin for milliseconds and would slow the next one. A time taken while the threads had no core each (see
    `cores`) is taken again, a few times; the note counts those that had none in the end.
    """
    results, once = {}, {}
    for name, call in candidates.items():
        start = time.perf_counter()
        results[name] = call()
        once[name] = time.perf_counter() - start
    if tolerance is not None:
        _compare(work, {name: compared(result) for name, result in results.items()}, tolerance)
    for name, call in candidates.items():
        if once[name] < _LONG:
            start = time.perf_counter()
            call()
            once[name] = time.perf_counter() - start
    repeats = {name: max(1, math.ceil(least / max(seconds, 1e-9))) for name, seconds in once.items()}
    times: dict[str, list[float]] = {name: [] for name in candidates}
    order = list(candidates)
    shared = 0
    for turn in range(rounds):
        for name in order if turn % 2 == 0 else reversed(order):
            seconds, fair = _timed(candidates[name], repeats[name], threads, warm=once[name] < _LONG)
            times[name].append(seconds / unit)
            shared += not fair
    if shared:
        shortage = f"cores shared in {shared} of {rounds * len(order)} timings"
        note = f"{note}; {shortage}" if note else shortage
    ours = times[order[0]]
    rows = []
    for index, (name, spent) in enumerate(times.items()):
        ratio = statistics.median(a / b for a, b in zip(ours, spent, strict=True))
        median = statistics.median(spent)
        share = limit / median if limit else math.nan
        rows.append(Row(work, name, median, min(spent), max(spent), ratio, threads, share, note if index == 0 else ""))
    return rows


def _timed(call: Callable[[], object], repeats: int, threads: int, warm: bool) -> tuple[float, bool]:
    """Return the seconds of a call, and whether each thread had a core of its own before and after."""
    for attempt in range(_ATTEMPTS):
        fair = _whole_soon(threads)
        if threads > 1:
            time.sleep(_PAUSE)
            if warm:
                call()
        start = time.perf_counter()
        for _ in range(repeats):
            call()
        seconds = (time.perf_counter() - start) / repeats
        if (fair and whole(threads)) or (seconds > _LONG and attempt):
            return seconds, fair
    return seconds, False


def _whole_soon(threads: int) -> bool:
    """Wait for whole cores, but not for long."""
    for _ in range(_LOOKS):
        if whole(threads):
            return True
        time.sleep(_PAUSE)
    return False


def _compare(work: str, results: Mapping[str, object], tolerance: float) -> None:
    names = list(results)
    reference = np.asarray(results[names[0]], dtype=np.float64)
    for name in names[1:]:
        found = np.asarray(results[name], dtype=np.float64)
        difference = np.abs(found - reference).max() / np.abs(reference).max()
        if not difference <= tolerance:
            raise SystemExit(f"{work}: {name} differs from {names[0]} by {difference:.1e}, allowed {tolerance:.1e}")


def shown(seconds: float) -> str:
    """Return a time with a unit that fits it."""
    if math.isnan(seconds):
        return ""
    for factor, unit in ((1.0, "s"), (1e3, "ms"), (1e6, "µs")):
        if seconds * factor >= 1:
            return f"{seconds * factor:.3g} {unit}"
    return f"{seconds * 1e9:.3g} ns"


def table(rows: list[Row]) -> str:
    """Return the rows as a Markdown table."""
    lines = [
        "| work | threads | candidate | median | min .. max | ours / it | share of limit | note |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for row in rows:
        spread = "" if math.isnan(row.low) else f"{shown(row.low)} .. {shown(row.high)}"
        ratio = "" if math.isnan(row.ratio) else f"{row.ratio:.3g}"
        share = "" if math.isnan(row.share) else f"{row.share:.0%}"
        cells = (row.work, str(row.threads), row.candidate, shown(row.median), spread, ratio, share, row.note)
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
    for library in LIBRARIES:
        try:
            facts[library] = version(library)
        except PackageNotFoundError:
            facts[library] = "absent"
    return facts


def write_json(rows: list[Row], path: Path) -> None:
    """Write the rows and the machine as JSON; what was not measured is null."""
    path.parent.mkdir(parents=True, exist_ok=True)
    kept = [{k: None if isinstance(v, float) and math.isnan(v) else v for k, v in asdict(row).items()} for row in rows]
    path.write_text(json.dumps({"machine": machine(), "rows": kept}, indent=1) + "\n")


def read_json(path: Path) -> list[Row]:
    """Return the rows that `write_json` wrote."""
    rows = json.loads(path.read_text())["rows"]
    return [Row(**{k: math.nan if v is None else v for k, v in row.items()}) for row in rows]
