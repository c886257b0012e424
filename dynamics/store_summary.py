"""How far a sweep is: counted by its sessions, so that nothing but their rows is read."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from .status import Status
from .store_lock import Holder
from .store_sessions import Session


@dataclass(frozen=True)
class Summary:
    """How far a sweep is; `str` of it is what `traindyn sweep --status` prints.

    by_status: cells by the name of their `Status`; sessions: each opening for writing, oldest first, with `.host`,
    `.pid`, `.started`, `.updated`, `.ended` (None after a kill, or while it runs), `.cells`, `.seconds` (of computing),
    `.environment`; holder: who writes it now, or None; rate: cells a second of the last minute, or of the last session;
    seconds_left: at that rate, NaN if unknown.
    """

    path: Path
    n_cells: int
    done: int
    by_status: dict[str, int]
    sessions: tuple[Session, ...]
    holder: Holder | None
    rate: float
    seconds_left: float

    @property
    def alive(self) -> bool:
        """Return whether a process is writing it now."""
        return self.holder is not None

    def __str__(self) -> str:
        share = 100.0 * self.done / self.n_cells
        # never 100 % before the last cell
        shown = f"{share:.1f}" if self.done == self.n_cells or share < 99.95 else "99.9"
        lines = [f"{self.path}: {self.done} of {self.n_cells} cells done ({shown} %)"]
        lines += [f"  {name.lower().replace('_', ' ')}: {count}" for name, count in self.by_status.items()]
        if self.holder is not None:
            left = f", about {_duration(self.seconds_left)} left" if self.seconds_left > 0.0 else ""
            lines.append(f"  written now by {self.holder}; {self.rate:.3g} cells a second{left}")
        elif self.done < self.n_cells:
            left = f" (about {_duration(self.seconds_left)} at the last rate)" if self.seconds_left > 0.0 else ""
            lines.append(f"  nobody is writing it; run the same sweep again to go on{left}")
        computing = _duration(sum(one.seconds for one in self.sessions))
        lines.append(f"  sessions: {len(self.sessions)}, {computing} of computing")
        lines += [f"    {_told(one, self.holder)}" for one in self.sessions[-5:]]
        return "\n".join(lines)


def summarised(path: Path, n_cells: int, sessions: Sequence[Session], holder: Holder | None) -> Summary:
    """Return the summary of a store with these sessions."""
    done = sum(one.cells for one in sessions)
    counts = [sum(one.counts[code] for one in sessions) for code in range(len(Status))]
    by_status = {one.name: count for one, count in zip(Status, counts, strict=True) if count}
    working = [one for one in sessions if one.cells]
    rate = 0.0
    if working:
        last = working[-1]
        rate = last.rate(time.time() if holder is not None and last is sessions[-1] else last.updated)
    left = (n_cells - done) / rate if rate > 0.0 else 0.0 if done == n_cells else float("nan")
    return Summary(path, n_cells, done, by_status, tuple(sessions), holder, rate, left)


def _told(one: Session, holder: Holder | None) -> str:
    start = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(one.started))
    running = holder is not None and one.ended is None and holder.pid == one.pid and holder.host == one.host
    end = "ended" if one.ended is not None else "running" if running else "killed"
    version = one.environment.get("traindyn", "?")
    took = _duration(one.updated - one.started)
    return f"{start} {one.host} pid {one.pid}, traindyn {version}: {one.cells} cells in {took}, {end}"


def _duration(seconds: float) -> str:
    """Return a length of time as a person would say it.

    >>> _duration(0.25), _duration(75.0), _duration(7500.0), _duration(2e5)
    ('0.2 s', '1 min 15 s', '2 h 5 min', '2 d 7 h')
    """
    if seconds < 60.0:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    for size, name, part, unit in ((86400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s")):
        if whole >= size:
            return f"{whole // size} {name} {whole % size // part} {unit}"
    return f"{whole} s"
