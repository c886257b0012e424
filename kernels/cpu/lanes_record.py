"""What is seen of many runs while they go on, one run per lane: a few vectors that hold what the measures need.

The rows of `seen`, (SEEN, lanes). Indices are floats: exact up to 2^24 in single and 2^53 in double precision.
"""

from __future__ import annotations

import math
from typing import Any

from ..arrays import Matrix
from ..compile import compiled
from .simd import lanes, load, maximum, minimum, select, splat, store

(
    AGE,  # the index that the run stands at
    FIRST_PERFECT,  # first index at which no class leads over a target; infinity
    LAST_IMPERFECT,  # last index at which one does; -1
    LEAD,  # how far any class led at most
    PEAK,  # largest loss
    PEAK_AT,  # first index of it
    LEAST,  # least loss before
    HEIGHT,  # of the highest spike
    LENGTH,  # indices since the last one outside of spikes
    OPEN,  # 1 while the highest spike lasts, else 0
    DURATION,  # of the highest spike
    INITIAL,  # loss of the start
    BEFORE,  # loss of the index before
    SPIKES,  # entered
    ABOVE,  # indices with a loss above that of the start
    LAST_RISE,  # last index with a loss above that of the index before; 0
    SEEN,
) = range(17)

START = (0.0, math.inf, -1.0, -math.inf, -math.inf, 0.0, math.inf, *(0.0,) * 4, math.inf, math.inf, *(0.0,) * 3)
"""The rows of a run that nothing was seen of."""


@compiled()
def look_at_margins(seen: Matrix, lead: Any) -> None:
    """Take note of how far any class leads over a target: accuracy is 1 where none does, and none draws level."""
    number = seen.dtype.type
    width = lanes(seen)
    age = load(seen, AGE * width)
    perfect = lead < number(0.0)
    first, last = load(seen, FIRST_PERFECT * width), load(seen, LAST_IMPERFECT * width)
    store(seen, FIRST_PERFECT * width, select(perfect, minimum(age, first), first))
    store(seen, LAST_IMPERFECT * width, select(perfect, last, age))
    store(seen, LEAD * width, maximum(lead, load(seen, LEAD * width)))


@compiled()
def look_at_loss(seen: Matrix, loss: Any, spike_from: float) -> None:
    """Take note of the loss: its peak, its rises and its spikes, which are by more than a factor of `spike_from`."""
    number = seen.dtype.type
    width = lanes(seen)
    age, peak = load(seen, AGE * width), load(seen, PEAK * width)
    store(seen, PEAK_AT * width, select(loss > peak, age, load(seen, PEAK_AT * width)))
    store(seen, PEAK * width, maximum(loss, peak))

    least = load(seen, LEAST * width)
    inside = loss > least * number(spike_from)
    height, length = load(seen, HEIGHT * width), load(seen, LENGTH * width)
    rise = select(inside, loss - least, number(0.0))
    highest = select(rise > height, splat(number(1.0)), load(seen, OPEN * width))
    ended = ~inside & (highest > number(0.0))
    spikes = load(seen, SPIKES * width)
    store(seen, SPIKES * width, select(inside & (length < number(1.0)), spikes + number(1.0), spikes))
    store(seen, DURATION * width, select(ended, length, load(seen, DURATION * width)))
    store(seen, OPEN * width, select(inside, highest, number(0.0)))
    store(seen, LENGTH * width, select(inside, length + number(1.0), number(0.0)))
    store(seen, HEIGHT * width, maximum(rise, height))
    store(seen, LEAST * width, minimum(loss, least))

    initial = minimum(load(seen, INITIAL * width), select(age > number(0.0), splat(number(math.inf)), loss))
    store(seen, INITIAL * width, initial)
    above = load(seen, ABOVE * width)
    store(seen, ABOVE * width, select(loss > initial * number(spike_from), above + number(1.0), above))
    rises = loss > load(seen, BEFORE * width) * number(spike_from)
    store(seen, LAST_RISE * width, select(rises, age, load(seen, LAST_RISE * width)))
    store(seen, BEFORE * width, loss)
