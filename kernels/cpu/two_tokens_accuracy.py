"""Steps until both of two tokens are right, and nothing else: the fastest of the sweeps."""

from __future__ import annotations

import math

import numpy as np
from numba.cpython.unsafe.numbers import trailing_zeros

from ..arrays import Labels, Matrix, Vector
from ..compile import compiled
from .simd import LANES64, all_lanes, load, mask_bits, select, store, store_first
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
    IDLE,
    LANES,
    PULL,
    PUSH,
    RARE_COLUMN,
    RATE,
    SECOND,
    SECOND_COLUMN,
    VECTORS,
    Columns,
    column,
    moves,
    small_of,
    wrong_share,
)

EARLY = 2
"""Steps that the cells of a chunk do side by side before those that are left wait for a lane."""

TOGETHER = 16
"""Steps of a block between two looks for ended runs: a look breaks the flow, an ended run wastes its lane till then."""

ROWS = 6

# integers of a block: its clock, its lanes at work, the next of the waiting cells of its chunk and their number
CLOCK, AT_WORK, NEXT, READY = 0, 1, 2, 3
INTEGERS = 4

_ALL_LANES = (1 << LANES) - 1


@compiled(inline=True)
def _moves(first: Vector, second: Vector, pull: Vector, push: Vector, correlation: Vector) -> tuple[Vector, Vector]:
    """Return by how much the margins grow in a step; pull and push are rate c p_1 and rate c p_2."""
    return moves(
        pull * wrong_share(small_of(first), first), push * wrong_share(small_of(second), second), correlation
    )


@compiled()
def _walk(states: Matrix, block: int, rounds: int, end: int) -> int:
    """Move the lanes of a block by some steps, but for those that are right in both tokens; return these as bits."""
    base = block * ROWS * LANES
    for _ in range(rounds):
        for at in range(base, base + end, LANES64):
            first, second, age = load(states, at), load(states, at + LANES), load(states, at + AGE * LANES)
            right = (first > 0.0) & (second > 0.0)
            grown = _moves(
                first, second, load(states, at + PULL * LANES), load(states, at + PUSH * LANES),
                load(states, at + CORRELATION * LANES),
            )  # fmt: skip
            store(states, at, select(right, first, first + grown[0]))
            store(states, at + LANES, select(right, second, second + grown[1]))
            store(states, at + AGE * LANES, select(right, age, age + 1.0))
    found = 0
    for vector in range(VECTORS):
        at = base + vector * LANES64
        right = (load(states, at) > 0.0) & (load(states, at + LANES) > 0.0)
        found |= mask_bits(right) << (vector * LANES64)
    return found


@compiled()
def _open_chunk(
    block: int, tickets: Labels, columns: Columns, strides: Labels, steps: int, out: Vector,
    chunks: Matrix, waiting: Labels,
) -> int:  # fmt: skip
    """Take the next chunk of the queue through its first steps: how many cells wait for a lane, -1 without a chunk.

    Most cells of a usual grid end here, where they stand side by side and cost a lane of a vector.
    """
    start = next_ticket(tickets) * CHUNK
    if start >= out.shape[0]:
        return -1
    base = block * ROWS * CHUNK
    left = 0
    for index in range(0, min(CHUNK, out.shape[0] - start), LANES64):
        cell = start + index
        count = min(LANES64, out.shape[0] - cell)
        scale = column(columns[RATE], strides[RATE], cell, count)
        scale = scale * column(columns[DISTANCE], strides[DISTANCE], cell, count)
        pull = scale * column(columns[FREQUENT_COLUMN], strides[FREQUENT_COLUMN], cell, count)
        push = scale * column(columns[RARE_COLUMN], strides[RARE_COLUMN], cell, count)
        correlation = column(columns[CORRELATION_COLUMN], strides[CORRELATION_COLUMN], cell, count)
        first = column(columns[FIRST_COLUMN], strides[FIRST_COLUMN], cell, count)
        second = column(columns[SECOND_COLUMN], strides[SECOND_COLUMN], cell, count)
        age = first - first
        right = (first > 0.0) & (second > 0.0)
        for _ in range(min(EARLY, steps)):
            grown = _moves(first, second, pull, push, correlation)
            first, second = select(right, first, first + grown[0]), select(right, second, second + grown[1])
            age = select(right, age, age + 1.0)
            right = (first > 0.0) & (second > 0.0)
        store_first(out, cell, count, select(right, age, math.nan))
        if steps <= EARLY or all_lanes(right):
            continue
        store(chunks, base + index, first)
        store(chunks, base + SECOND * CHUNK + index, second)
        store(chunks, base + PULL * CHUNK + index, pull)
        store(chunks, base + PUSH * CHUNK + index, push)
        store(chunks, base + CORRELATION * CHUNK + index, correlation)
        wrong = mask_bits(~right) & ((1 << count) - 1)
        while wrong != 0:
            waiting[block, left] = cell + trailing_zeros(wrong)
            left += 1
            wrong &= wrong - 1
    return left


@compiled()
def steps_to_accuracy(
    sync: Labels, member: int, members: int, tickets: Labels, rounds: int, columns: Columns, strides: Labels,
    steps: int, out: Vector, states: Matrix, cells: Labels, chunks: Matrix, waiting: Labels, blocks: Labels,
) -> None:  # fmt: skip
    """Fill `out` (n,) with the first step at which both margins are positive, NaN where there is none until `steps`.

    A function for `team.run_team`; it returns after `rounds` steps of a block at the latest, to be called again with
    the same arrays until no lane is at work.

    Cost: 2 exponentials, 2 divisions and 15 other operations a step and lane; some 30 more a cell.
    """
    width = states.shape[2]  # LANES; if the compiler knew, it would unroll the vectors and run out of registers
    for block in range(member, states.shape[0], members):
        clock, at_work = blocks[block, CLOCK], blocks[block, AT_WORK]
        following, ready = blocks[block, NEXT], blocks[block, READY]
        stop = clock + rounds
        until = clock if clock > 0 else stop  # no run is out of steps before
        leaving = _ALL_LANES if clock == 0 else 0
        while True:
            while leaving != 0:
                lane = trailing_zeros(leaving)
                leaving &= leaving - 1
                if cells[block, lane] >= 0:
                    at_work -= 1
                    if states[block, FIRST, lane] > 0.0 and states[block, SECOND, lane] > 0.0:
                        out[cells[block, lane]] = states[block, AGE, lane]
                while following == ready:
                    following = 0
                    ready = _open_chunk(block, tickets, columns, strides, steps, out, chunks, waiting)
                if ready < 0:
                    cells[block, lane] = -1
                    states[block, FIRST, lane] = states[block, SECOND, lane] = IDLE
                    states[block, PULL, lane] = states[block, PUSH, lane] = 0.0
                    continue
                cell = waiting[block, following]
                for row in range(AGE):
                    states[block, row, lane] = chunks[block, row, cell % CHUNK]
                states[block, AGE, lane] = EARLY
                cells[block, lane] = cell
                until = min(until, clock + steps - EARLY)
                following += 1
                at_work += 1
            if at_work == 0 or clock >= stop:
                break
            if clock < until:
                taken = min(TOGETHER, until - clock)
                leaving = _walk(states, block, taken, width)
                clock += taken
                continue
            # runs that are out of steps leave; the oldest of the others says when to look again
            oldest = 0.0
            for lane in range(LANES):
                if cells[block, lane] >= 0:
                    age = states[block, AGE, lane]
                    if age >= steps:
                        leaving |= 1 << lane
                    else:
                        oldest = max(oldest, age)
            until = min(stop, clock + steps - int(oldest))
        blocks[block, CLOCK], blocks[block, AT_WORK] = clock, at_work
        blocks[block, NEXT], blocks[block, READY] = following, ready


def new_blocks(count: int) -> tuple[Matrix, Labels, Matrix, Labels, Labels]:
    """Return the states, cells, chunks, waiting cells and integers of `count` blocks before their start."""
    return (
        np.zeros((count, ROWS, LANES)),
        np.full((count, LANES), -1, np.int64),
        np.zeros((count, ROWS, CHUNK)),
        np.zeros((count, CHUNK), np.int64),
        np.zeros((count, INTEGERS), np.int64),
    )
