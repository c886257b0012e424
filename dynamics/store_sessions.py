"""Sessions of a store: who wrote how much when, updated in the same transaction as the rows it counts."""

from __future__ import annotations

import hashlib
import json
import os
import socket
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import FileError
from .provenance import environment
from .status import Status
from .store_rows import CURE, Row

# the recent rate is taken over the last marks, which are at least this many seconds apart
_MARKS = 12
_MARK_SECONDS = 5.0
COLUMNS = "id, host, pid, started, updated, ended, rows, cells, seconds, counts, marks, environment, checksum"
_TEXTS = ("counts", "marks", "environment")


@dataclass
class Session:
    """One opening of a store for writing; `counts` are cells by status, in the order of Status."""

    id: int
    host: str
    pid: int
    started: float
    updated: float
    ended: float | None = None
    rows: int = 0
    cells: int = 0
    seconds: float = 0.0
    counts: list[int] = field(default_factory=lambda: [0] * len(Status))
    marks: list[list[float]] = field(default_factory=list)
    environment: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def begun(cls, number: int) -> Session:
        """Return the session of this process, which begins now."""
        now = time.time()
        return cls(number, socket.gethostname(), os.getpid(), now, now, marks=[[now, 0]], environment=environment())

    def grown(self, rows: Sequence[Row]) -> Session:
        """Return the session after these rows."""
        now, cells = time.time(), self.cells + sum(row[2] for row in rows)
        status = np.frombuffer(b"".join(row[5] for row in rows), np.int8)
        counts = np.bincount(status, minlength=len(Status))
        marks = [*self.marks, [now, cells]] if now - self.marks[-1][0] >= _MARK_SECONDS else self.marks
        return Session(
            self.id, self.host, self.pid, self.started, now, self.ended, self.rows + len(rows), cells,
            self.seconds + sum(row[3] for row in rows),
            [old + int(new) for old, new in zip(self.counts, counts, strict=True)], marks[-_MARKS:], self.environment,
        )  # fmt: skip

    def rate(self, now: float) -> float:
        """Return the cells a second of the last minute or so, until `now`."""
        since, before = self.marks[0]
        return (self.cells - before) / max(now - since, 1e-9)

    def row(self, seal: bytes) -> tuple[Any, ...]:
        """Return the row of the session table, ended by its checksum."""
        texts = (json.dumps(self.counts), json.dumps(self.marks), json.dumps(dict(self.environment)))
        facts = (self.id, self.host, self.pid, self.started, self.updated, self.ended, self.rows, self.cells,
                 self.seconds, *texts)  # fmt: skip
        return *facts, hashlib.blake2b(repr(facts).encode(), digest_size=16, key=seal).digest()

    @classmethod
    def from_row(cls, row: Sequence[Any], seal: bytes, path: Path) -> Session:
        """Return the session of a row of the table, or raise FileError where the row is not as it was written."""
        if row[-1] != hashlib.blake2b(repr(tuple(row[:-1])).encode(), digest_size=16, key=seal).digest():
            raise FileError(f"{path} is damaged: the checksum of its session {row[0]!r} does not match; {CURE}")
        facts = dict(zip(COLUMNS.split(", "), row, strict=True))
        del facts["checksum"]
        return cls(**{name: json.loads(value) if name in _TEXTS else value for name, value in facts.items()})
