"""How a run ended."""

from __future__ import annotations

from enum import Enum


class Status(Enum):
    """How a run ended; the value is a sentence.

    >>> Status.THRESHOLD_REACHED.value
    'the stop condition was met; the last step is the first one where it holds'
    """

    COMPLETED = "all the steps, or all the time, that were asked for were done"
    THRESHOLD_REACHED = "the stop condition was met; the last step is the first one where it holds"
    STEPS_EXHAUSTED = "the steps, or the time, ran out before the stop condition was met"
    STATIONARY = "the gradient vanishes to working precision; the state no longer moves"
    INTERRUPTED = "interrupted by the user; what was computed until then is kept and can be resumed"
    FAILED = "an observable or a schedule raised an error; what was computed until then is kept and can be resumed"
    NOT_FINITE = "a value became infinite or NaN; the message names the first step and the array"

    def __str__(self) -> str:
        return self.value
