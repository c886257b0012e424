"""Ctrl-C as a wish that no loop in between can swallow.

`simulate` answers Ctrl-C by returning what it has; inside a verification that would let a claim be judged on half a
trajectory.  So while a verification runs, SIGINT raises `Stop`, which is neither an `Exception` nor a
`KeyboardInterrupt`, and which nothing but the verification catches.
"""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from types import FrameType


class Stop(BaseException):
    """Raised at the place where the program happens to be when the user asks it to stop."""


@dataclass
class Wish:
    """Whether the user has asked to stop."""

    asked: bool = False


@contextlib.contextmanager
def stopping() -> Iterator[Wish]:
    """Turn SIGINT into `Stop` while the block runs; outside the main thread SIGINT is left alone.

    A second Ctrl-C while the first is being answered is a plain `KeyboardInterrupt`.
    """
    wish = Wish()
    if threading.current_thread() is not threading.main_thread():
        yield wish
        return

    def handle(number: int, frame: FrameType | None) -> None:
        if wish.asked:
            raise KeyboardInterrupt
        wish.asked = True
        raise Stop

    before = signal.getsignal(signal.SIGINT)
    signal.signal(signal.SIGINT, handle)
    try:
        yield wish
    finally:
        signal.signal(signal.SIGINT, before if before is not None else signal.SIG_DFL)
