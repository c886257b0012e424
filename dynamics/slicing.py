"""Slices of a long run: short enough for signals and progress, long enough to cost nothing."""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections.abc import Iterator
from types import FrameType
from typing import Any

_AIM = 0.05  # seconds; the contract allows 0.1
_START = 0.01


class Slices:
    """The number of steps of the next slice, adapted to the time that the last ones took."""

    forced: int | None = None
    """A fixed number of steps for every slice, for tests: slicing must change no bit."""

    def __init__(self, seconds_per_step: float, largest: int) -> None:
        self._largest = largest
        self._steps = max(1, int(_START / seconds_per_step))

    @property
    def steps(self) -> int:
        """The number of steps of the next slice."""
        return min(self.forced or self._steps, self._largest)

    def took(self, steps: int, seconds: float) -> None:
        """Adapt to a slice that took a time; growth is limited, as the first call may include compiling."""
        if steps < 1:
            return
        fitting = steps * min(max(_AIM / max(seconds, 1e-9), 0.1), 4.0)
        # a slice cut short by a saved point tells only whether the next ones would be too long
        if steps >= self._steps or (fitting < self._steps and seconds > _AIM):
            self._steps = max(1, int(fitting))


class _OfThread(threading.local):
    cancelled: threading.Event | None = None


_of_thread = _OfThread()


@contextlib.contextmanager
def cancelled_by(event: threading.Event | None) -> Iterator[None]:
    """Let runs of this thread inside the ``with`` block end as by Ctrl-C once the event is set."""
    before, _of_thread.cancelled = _of_thread.cancelled, event
    try:
        yield
    finally:
        _of_thread.cancelled = before


def is_cancelled() -> bool:
    """Return whether the event of `cancelled_by` is set: for loops that Ctrl-C itself may break."""
    return _of_thread.cancelled is not None and _of_thread.cancelled.is_set()


class Interruption:
    """Inside, Ctrl-C only sets `requested`, so that a slice ends with a consistent state; a second one raises."""

    def __init__(self) -> None:
        self._noted = False
        self._installed = False
        self._cancelled = _of_thread.cancelled

    @property
    def requested(self) -> bool:
        """Whether the run should end."""
        return self._noted or (self._cancelled is not None and self._cancelled.is_set())

    def __enter__(self) -> Interruption:
        if threading.current_thread() is threading.main_thread():
            # a caller's own handler is left alone
            self._installed = signal.getsignal(signal.SIGINT) is signal.default_int_handler
            if self._installed:
                signal.signal(signal.SIGINT, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        if self._installed:
            signal.signal(signal.SIGINT, signal.default_int_handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self._noted:
            raise KeyboardInterrupt
        self._noted = True


class Progress:
    """A progress bar over steps or saved points, or nothing."""

    def __init__(self, wanted: bool, total: float, done: float, unit: str) -> None:
        self._bar: Any = None
        self._done = done
        if wanted:
            from tqdm.auto import tqdm

            self._bar = tqdm(total=total, initial=done, unit=unit, dynamic_ncols=True)

    def at(self, done: float) -> None:
        """Show that `done` of the total is done."""
        if self._bar is not None:
            self._bar.update(done - self._done)
            self._done = done

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()


def now() -> float:
    """Return a clock reading in seconds."""
    return time.perf_counter()
