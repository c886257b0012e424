"""Which cells of a sweep come next, how many at a time, and how long the rest will take."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

_SEGMENTS = 8
_GROWTH = 32
AIM = 0.5  # seconds of work in a chunk
_LEAST = 0.005  # seconds: below, handing a chunk out would cost as much as its work


class _Segment:
    """A part of the grid whose cells are taken in order; its pace is measured by itself."""

    def __init__(self, ranges: Iterable[tuple[int, int]]) -> None:
        self.ranges = deque(ranges)
        self.total = self.waiting = sum(stop - first for first, stop in self.ranges)
        self.done = 0
        self.seconds = 0.0
        self.counted = 0
        self.pace: float | None = None  # seconds a cell, of the last chunk
        self.fullest = (0, 0.0)  # the largest chunk and its seconds
        self.spent = 0.0

    def take(self, count: int) -> tuple[int, int]:
        first, stop = self.ranges.popleft()
        if stop - first > count:
            self.ranges.appendleft((first + count, stop))
            stop = first + count
        self.waiting -= stop - first
        return first, stop

    @property
    def mean(self) -> float | None:
        return self.seconds / self.counted if self.counted else self.pace


class Schedule:
    """Ranges of cells, sized so that each takes about half a second.

    The cells to do are cut into eight segments that advance side by side: the cost of a cell changes along the axes,
    and so what has been seen soon speaks for the whole grid. The results do not depend on the ranges.

    >>> schedule = Schedule([(0, 100)], width=1)
    >>> schedule.next(), schedule.next()
    ((0, 1), (12, 13))
    """

    forced: int | None = None
    """A fixed number of cells for every range, for tests: the ranges must change no bit."""

    def __init__(self, missing: Iterable[tuple[int, int]], width: int, aim: float = AIM) -> None:
        self._segments = [_Segment(ranges) for ranges in _cut(list(missing), _SEGMENTS)]
        self.width = width
        self._aim = aim
        self._largest = 0
        self._pace: float | None = None
        self._first = True
        self._out: dict[int, tuple[_Segment, int]] = {}

    @property
    def waiting(self) -> int:
        """The cells that were not handed out yet."""
        return sum(segment.waiting for segment in self._segments)

    def next(self) -> tuple[int, int] | None:
        """Return the next range (first, stop) to do; None when all are handed out."""
        open_ones = [segment for segment in self._segments if segment.waiting]
        if not open_ones:
            return None
        segment = max(open_ones, key=lambda one: one.waiting / one.total)
        first, stop = segment.take(self._size(segment))
        self._out[first] = (segment, stop)
        return first, stop

    def _size(self, segment: _Segment) -> int:
        if self.forced is not None:
            return self.forced
        pace = self._pace if segment.pace is None else segment.pace
        if pace is None:
            return 1
        pace = max(pace, 1e-12)
        # the last ranges are shorter, so that the workers finish together
        share = max(self.waiting / (2.0 * self.width), _LEAST / pace)
        return max(1, int(min(self._aim / pace, share, _GROWTH * max(self._largest, 1))))

    def took(self, first: int, seconds: float) -> None:
        """Note how long a range took in its worker."""
        segment, stop = self._out.pop(first)
        count = stop - first
        self._pace = segment.pace = seconds / count
        self._largest = max(self._largest, count)
        segment.fullest = max(segment.fullest, (count, seconds))
        segment.spent += seconds
        segment.done += count
        if not self._first:  # the first one may have compiled
            segment.seconds += seconds
            segment.counted += count
        self._first = False

    @property
    def seconds_left(self) -> float | None:
        """Seconds until all is done, by what each part of the grid took so far; None before anything was seen."""
        known = [segment.mean for segment in self._segments if segment.mean is not None]
        if not known:
            return None
        typical = sum(known) / len(known)
        work = sum((one.total - one.done) * (typical if one.mean is None else one.mean) for one in self._segments)
        return work / self.width

    @property
    def work_in_all(self) -> float:
        """Seconds of one worker: those of the cells done, and for others the pace of the largest chunk of their part.

        Of its cells most shared a call, as they do in a sweep; the last chunk may be one long cell.
        """
        paces = [one.fullest[1] / one.fullest[0] for one in self._segments if one.done]
        typical = sum(paces) / max(len(paces), 1)
        pace_of = [one.fullest[1] / one.fullest[0] if one.done else typical for one in self._segments]
        return sum(
            one.spent + (one.total - one.done) * pace for one, pace in zip(self._segments, pace_of, strict=True)
        )

    @property
    def starts(self) -> list[int]:
        """A cell of each part."""
        return [segment.ranges[0][0] for segment in self._segments if segment.ranges]


def _cut(ranges: list[tuple[int, int]], parts: int) -> list[list[tuple[int, int]]]:
    """Cut ranges into up to `parts` lists of about equal numbers of cells, in order."""
    total = sum(stop - first for first, stop in ranges)
    parts = max(1, min(parts, total))
    bounds = [total * part // parts for part in range(parts + 1)]
    cut: list[list[tuple[int, int]]] = [[] for _ in range(parts)]
    seen = 0
    for first, stop in ranges:
        for part in range(parts):
            low = max(seen, bounds[part])
            high = min(seen + stop - first, bounds[part + 1])
            if low < high:
                cut[part].append((first + low - seen, first + high - seen))
        seen += stop - first
    return [one for one in cut if one]
