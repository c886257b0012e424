r"""All measures of two-token runs in one pass: steps to accuracy and to settle, peak, spikes, end, least margin.

A run need not go to its last step where its measures are decided. Write a_i = rate c p_i for the largest pulls,
q_i = 1/(1 + e^m_i) and l_i = log(1 + e^-m_i), so that L = p_1 l_1 + p_2 l_2. In exact arithmetic, for unit inputs:

*Settled.* Let T_1, T_2 >= 0 be such that (i) a_i q (1 - q) <= 1 at m_i = T_i, and (ii) corr a_1 q_1 <= a_2 q_2 and
corr a_2 q_2 <= a_1 q_1 at (T_1, T_2). Where m_1 >= T_1 and m_2 >= T_2 once, so it is for ever. Proof: by (i)
m + a_i/(1 + e^m) grows with m from T_i on, and the other's pull is at most its pull at its T, so that the next m_1 is
at least T_1 + a_1 q_1(T_1) - corr a_2 q_2(T_2) >= T_1 by (ii); m_2 likewise. Such a pair always exists: take the least
T_i >= 0 with (i), 2 cosh T_i = a_i - 2 where a_i > 4, then raise the one whose pull is too strong for (ii) until
corr times it equals the other's. For correlations <= 0 no margin ever falls, and a perfect step is settled at once.

*Calm.* If rate c L_t <= 2 then L never rises again. Proof: the Hessian is sum_i p_i q_i (1 - q_i) c e_i e_i^T along
u_0 - u_1, with q_i = 1 - e^-l_i <= l_i, so that its norm is at most c sum_i p_i l_i = c L. The set {L <= L_t} is
convex and the Hessian at most c L_t on it; where rate c L_t <= 2, a step that starts in it cannot leave it (the
descent lemma along the step, up to the first exit), and lowers L. Induction.

Rounding does not spoil this, for some room is kept: margins must exceed T_i by 1e-9, which keeps them from 0 by about
as much, far more than rounding; and rate c L_t <= 1.75 leaves a step an eighth of its first-order fall of the loss,
while rounding moves a margin by half a unit in its last place at most, and not at all where the step is shorter. So:

* steps_to_settle is decided at a settled step;
* peak_loss, peak_step, and all that is counted or measured of spikes and rises, at a calm step outside of spikes;
* smallest_margin at a settled step if some margin was not positive before;
* final_loss and final_accuracy at the last step.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba.cpython.unsafe.numbers import trailing_zeros

from ..arrays import Labels, Matrix
from ..compile import compiled
from .simd import LANES64, load, log1p, mask_bits, maximum, minimum, select, store
from .synchrony import next_ticket
from .two_tokens import (
    AGE,
    CHUNK,
    CORRELATION,
    CORRELATION_COLUMN,
    DISTANCE,
    FIRST,
    FIRST_COLUMN,
    FREQUENT_COLUMN,
    LANES,
    PULL,
    PUSH,
    RARE_COLUMN,
    RATE,
    SECOND,
    SECOND_COLUMN,
    VECTORS,
    Columns,
    moves,
    small_of,
    wrong_share,
)

MEASURED = (
    "steps_to_accuracy", "steps_to_settle", "peak_loss", "peak_step", "spike_height", "spike_duration", "final_loss",
    "final_accuracy", "smallest_margin", "spike_count", "steps_above_initial", "last_rise",
)  # fmt: skip
"""The columns of the results."""

# what decides a run, as bits
LOSSES, ACCURACY, SETTLED, CALM, LEAST_MARGIN, TO_THE_END, COUNTS = 1, 2, 4, 8, 16, 32, 64

SPIKE_TOLERANCE = 1e-12
_CALM = 1.75
_ROOM = 1e-9

# rows beyond those that all two-token sweeps have
FREQUENT, RARE, SCALE, FIRST_SETTLED, SECOND_SETTLED = 6, 7, 8, 9, 10
REACHED, LAST_WRONG, SMALLEST, LOSS = 11, 12, 13, 14
PEAK, PEAK_STEP, LEAST, HEIGHT, START, HIGHEST_START, DURATION = 15, 16, 17, 18, 19, 20, 21
INITIAL, SPIKES, ABOVE, LAST_RISE = 22, 23, 24, 25
ROWS = 26

# integers of a block: its clock, its lanes at work, the next cell of its chunk and the end of the chunk
CLOCK, AT_WORK, NEXT, END = 0, 1, 2, 3
INTEGERS = 4

_ALL = (1 << LANES64) - 1
_RIGHT, _SECOND_RIGHT = 16, 32  # places of the bits in what `_look_and_step` returns


@compiled()
def _look_and_step(states: Matrix, at: int, steps: int, wanted: int) -> int:
    """Look at the lanes from element `at` of the first row, then move them by a step.

    Returns, as bits, the lanes whose runs are decided and, 16 and 32 bits above, those right in either token.
    """
    first, second, age = load(states, at), load(states, at + LANES), load(states, at + AGE * LANES)
    small_first, small_second = small_of(first), small_of(second)
    pull = load(states, at + PULL * LANES) * wrong_share(small_first, first)
    push = load(states, at + PUSH * LANES) * wrong_share(small_second, second)

    first_right, second_right = first > 0.0, second > 0.0
    right = first_right & second_right
    reached = load(states, at + REACHED * LANES)
    reached = select(right & (reached < 0.0), age, reached)
    store(states, at + REACHED * LANES, reached)
    store(states, at + LAST_WRONG * LANES, select(right, load(states, at + LAST_WRONG * LANES), age))
    smallest = minimum(minimum(first, second), load(states, at + SMALLEST * LANES))
    store(states, at + SMALLEST * LANES, smallest)

    alive = age >= 0.0
    decided = alive
    settled = right & (first >= load(states, at + FIRST_SETTLED * LANES))
    settled = settled & (second >= load(states, at + SECOND_SETTLED * LANES))
    if wanted & SETTLED:
        decided = decided & settled
    if wanted & ACCURACY:
        decided = decided & (reached >= 0.0)
    if wanted & LEAST_MARGIN:
        decided = decided & settled & (smallest <= 0.0)

    if wanted & LOSSES:
        first_loss = log1p(small_first) + maximum(-first, 0.0)
        second_loss = log1p(small_second) + maximum(-second, 0.0)
        loss = load(states, at + FREQUENT * LANES) * first_loss + load(states, at + RARE * LANES) * second_loss
        before = load(states, at + LOSS * LANES)
        store(states, at + LOSS * LANES, loss)
        peak = load(states, at + PEAK * LANES)
        higher = loss > peak
        store(states, at + PEAK * LANES, select(higher, loss, peak))
        store(states, at + PEAK_STEP * LANES, select(higher, age, load(states, at + PEAK_STEP * LANES)))
        least = load(states, at + LEAST * LANES)
        inside = loss > least * (1.0 + SPIKE_TOLERANCE)
        if wanted & COUNTS:
            _count(states, at, age, loss, before, inside)
        rise = loss - least
        height = load(states, at + HEIGHT * LANES)
        higher = inside & (rise > height)
        start = select(inside, load(states, at + START * LANES), age + 1.0)
        highest = select(higher, start, load(states, at + HIGHEST_START * LANES))
        duration = select(inside & (start == highest), age + 1.0 - start, load(states, at + DURATION * LANES))
        store(states, at + HEIGHT * LANES, select(higher, rise, height))
        store(states, at + START * LANES, start)
        store(states, at + HIGHEST_START * LANES, highest)
        store(states, at + DURATION * LANES, duration)
        store(states, at + LEAST * LANES, minimum(loss, least))
        if wanted & CALM:
            decided = decided & ~inside & (load(states, at + SCALE * LANES) * loss <= _CALM)

    grown = moves(pull, push, load(states, at + CORRELATION * LANES))
    store(states, at, first + grown[0])
    store(states, at + LANES, second + grown[1])
    store(states, at + AGE * LANES, age + 1.0)
    ended = alive & (age >= steps)
    bits = mask_bits(ended) if wanted & TO_THE_END else mask_bits(ended | decided)
    if bits == 0:
        return 0
    return int(bits | (mask_bits(first_right) << _RIGHT) | (mask_bits(second_right) << _SECOND_RIGHT))


@compiled(inline=True)
def _count(states: Matrix, at: int, age: Any, loss: Any, before: Any, inside: Any) -> None:
    """Count spikes and losses above the first, and note the last rise; the row of starts is not yet that of `age`."""
    above = 1.0 + SPIKE_TOLERANCE
    # outside of spikes the row of starts holds the next index, which is this one
    enters = inside & (load(states, at + START * LANES) >= age)
    spikes = load(states, at + SPIKES * LANES)
    store(states, at + SPIKES * LANES, select(enters, spikes + 1.0, spikes))
    initial = select(age > 0.0, load(states, at + INITIAL * LANES), loss)
    store(states, at + INITIAL * LANES, initial)
    higher = load(states, at + ABOVE * LANES)
    store(states, at + ABOVE * LANES, select(loss > initial * above, higher + 1.0, higher))
    # at index 0 the loss before is that of another run, and a rise would note index 0, which means none
    last = load(states, at + LAST_RISE * LANES)
    store(states, at + LAST_RISE * LANES, select(loss > before * above, age, last))


@compiled(inline=True)
def _write(
    states: Matrix, block: int, lane: int, first_right: bool, second_right: bool, places: Labels, out: Matrix, cell: int
) -> None:
    """Write the measures of a lane's run that are wanted, each to its place (-1: nowhere)."""
    age = states[block, AGE, lane] - 1.0
    if places[0] >= 0:
        reached = states[block, REACHED, lane]
        out[cell, places[0]] = reached if reached >= 0.0 else math.nan
    if places[1] >= 0:
        last = states[block, LAST_WRONG, lane]
        out[cell, places[1]] = last + 1.0 if last < age else math.nan
    if places[2] >= 0:
        out[cell, places[2]] = states[block, PEAK, lane]
    if places[3] >= 0:
        out[cell, places[3]] = states[block, PEAK_STEP, lane]
    if places[4] >= 0:
        out[cell, places[4]] = states[block, HEIGHT, lane]
    if places[5] >= 0:
        lasting = states[block, START, lane] == states[block, HIGHEST_START, lane]
        out[cell, places[5]] = math.nan if lasting else states[block, DURATION, lane]
    if places[6] >= 0:
        out[cell, places[6]] = states[block, LOSS, lane]
    if places[7] >= 0:
        accuracy = 1.0 if first_right and second_right else 0.0
        if first_right != second_right:
            wrong = states[block, RARE if first_right else FREQUENT, lane]
            accuracy = min(max(1.0 - wrong, 0.0), 1.0 - 2.0**-53)
        out[cell, places[7]] = accuracy
    if places[8] >= 0:
        out[cell, places[8]] = states[block, SMALLEST, lane]
    if places[9] >= 0:
        out[cell, places[9]] = states[block, SPIKES, lane]
    if places[10] >= 0:
        out[cell, places[10]] = states[block, ABOVE, lane]
    if places[11] >= 0:
        out[cell, places[11]] = states[block, LAST_RISE, lane]


@compiled(inline=True)
def _settled(pull: float, push: float, correlation: float) -> tuple[float, float]:
    """Return the margins T_1, T_2 from which on a run is settled, with room for rounding."""
    if correlation <= 0.0:
        return -math.inf, -math.inf
    # e^T by (i), then by (ii)
    first, second = 1.0, 1.0
    if pull > 4.0:
        half = 0.5 * pull - 1.0
        first = half + math.sqrt((half - 1.0) * (half + 1.0))
    if push > 4.0:
        half = 0.5 * push - 1.0
        second = half + math.sqrt((half - 1.0) * (half + 1.0))
    ratio = correlation * pull * (1.0 + second) / (push * (1.0 + first))
    if ratio > 1.0:
        first = (1.0 + first) * ratio - 1.0
    ratio = correlation * push * (1.0 + first) / (pull * (1.0 + second))
    if ratio > 1.0:
        second = (1.0 + second) * ratio - 1.0
    return (1.0 + _ROOM) * math.log(first) + _ROOM, (1.0 + _ROOM) * math.log(second) + _ROOM


@compiled(inline=True)
def _begin(states: Matrix, block: int, lane: int, columns: Columns, strides: Labels, cell: int) -> None:
    """Let a lane start with a cell; -1 leaves it without work."""
    states[block, AGE, lane] = -math.inf
    if cell >= 0:
        frequent = columns[FREQUENT_COLUMN][cell * strides[FREQUENT_COLUMN]]
        rare = columns[RARE_COLUMN][cell * strides[RARE_COLUMN]]
        correlation = columns[CORRELATION_COLUMN][cell * strides[CORRELATION_COLUMN]]
        scale = columns[RATE][cell * strides[RATE]] * columns[DISTANCE][cell * strides[DISTANCE]]
        states[block, FIRST, lane] = columns[FIRST_COLUMN][cell * strides[FIRST_COLUMN]]
        states[block, SECOND, lane] = columns[SECOND_COLUMN][cell * strides[SECOND_COLUMN]]
        states[block, PULL, lane] = scale * frequent
        states[block, PUSH, lane] = scale * rare
        states[block, CORRELATION, lane] = correlation
        states[block, AGE, lane] = 0.0
        states[block, FREQUENT, lane] = frequent
        states[block, RARE, lane] = rare
        states[block, SCALE, lane] = scale
        first_settled, second_settled = _settled(scale * frequent, scale * rare, correlation)
        states[block, FIRST_SETTLED, lane], states[block, SECOND_SETTLED, lane] = first_settled, second_settled
        states[block, REACHED, lane] = states[block, LAST_WRONG, lane] = -1.0
        states[block, SMALLEST, lane] = states[block, LEAST, lane] = math.inf
        states[block, PEAK, lane] = -math.inf
        states[block, PEAK_STEP, lane] = states[block, HEIGHT, lane] = states[block, DURATION, lane] = 0.0
        states[block, HIGHEST_START, lane] = -1.0
        states[block, SPIKES, lane] = states[block, ABOVE, lane] = states[block, LAST_RISE, lane] = 0.0


@compiled(inline=True)
def _next_cell(blocks: Labels, block: int, tickets: Labels, n_cells: int) -> int:
    """Return the next cell of a block's chunk, of a new chunk where that is empty, or -1 where there is none left."""
    if blocks[block, NEXT] == blocks[block, END]:
        start = min(next_ticket(tickets) * CHUNK, n_cells)
        blocks[block, NEXT] = start
        blocks[block, END] = min(start + CHUNK, n_cells)
        if start == n_cells:
            return -1
    blocks[block, NEXT] += 1
    return int(blocks[block, NEXT] - 1)


@compiled()
def two_token_measures(
    sync: Labels, member: int, members: int, tickets: Labels, rounds: int, columns: Columns, strides: Labels,
    steps: int, wanted: int, places: Labels, out: Matrix, states: Matrix, cells: Labels, blocks: Labels,
) -> None:  # fmt: skip
    """Fill out[:, places[k]] (n, ...) with the k-th of `MEASURED` where places[k] >= 0; `wanted` says what decides.

    A function for `team.run_team`; it returns after `rounds` steps of a block at the latest, to be called again with
    the same arrays until no lane is at work.

    Cost: 2 exponentials, 2 divisions, 30 other operations a step and lane; with losses 2 logarithms, 40 more.
    """
    for block in range(member, states.shape[0], members):
        clock, at_work = blocks[block, CLOCK], blocks[block, AT_WORK]
        stop = clock + rounds
        fresh = clock == 0
        while (at_work > 0 or fresh) and clock < stop:
            clock += 1
            for vector in range(VECTORS):
                bits = _ALL
                if not fresh:
                    bits = _look_and_step(states, block * ROWS * LANES + vector * LANES64, steps, wanted)
                leaving = bits & _ALL
                while leaving != 0:
                    place = trailing_zeros(leaving)
                    leaving &= leaving - 1
                    lane = vector * LANES64 + place
                    if cells[block, lane] >= 0:
                        at_work -= 1
                        first_right = (bits >> (_RIGHT + place)) & 1 == 1
                        second_right = (bits >> (_SECOND_RIGHT + place)) & 1 == 1
                        _write(states, block, lane, first_right, second_right, places, out, cells[block, lane])
                    cell = _next_cell(blocks, block, tickets, out.shape[0])
                    cells[block, lane] = cell
                    _begin(states, block, lane, columns, strides, cell)
                    at_work += int(cell >= 0)
            fresh = False
        blocks[block, CLOCK], blocks[block, AT_WORK] = clock, at_work


def new_blocks(count: int) -> tuple[Matrix, Labels, Labels]:
    """Return the states, cells and integers of `count` blocks before their start."""
    return (
        np.zeros((count, ROWS, LANES)),
        np.full((count, LANES), -1, np.int64),
        np.zeros((count, INTEGERS), np.int64),
    )


def wanted(names: tuple[str, ...]) -> int:
    """Return what decides runs of which these measures are wanted, as the bits above."""
    counts = {"spike_count", "steps_above_initial", "last_rise"}
    losses = {"peak_loss", "peak_step", "spike_height", "spike_duration"} | counts
    bits = 0
    if counts & set(names):
        bits |= COUNTS
    if losses & set(names):
        bits |= LOSSES | CALM
    if "steps_to_accuracy" in names:
        bits |= ACCURACY
    if "steps_to_settle" in names:
        bits |= SETTLED
    if "smallest_margin" in names:
        bits |= LEAST_MARGIN
    if "final_accuracy" in names:
        bits |= TO_THE_END
    if "final_loss" in names:
        bits |= LOSSES | TO_THE_END
    return bits
