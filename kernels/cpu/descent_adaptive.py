"""Slices of Adam and AdamW: moments of each weight, so that the weights themselves must be carried."""

from __future__ import annotations

from typing import NamedTuple

from ..arrays import Labels, Matrix
from ..compile import compiled
from .borrowing import borrowed
from .descent_arguments import Memory, Motion, Record, Rows, Scratch, Sizes
from .descent_record import GO_ON, NOT_FINITE, REACHED_END, is_due, judge
from .descent_tiles import chosen_row, count_tiles, front
from .descent_weights import fill_tiles, gradient_rows, refresh_rows
from .simd import fma, fnma, lanes, load_first, splat, square_root, store_first
from .synchrony import barrier, next_ticket


class Adaptation(NamedTuple):
    """Both moments of each weight and the numbers of the rule."""

    first_moment: Matrix  # (d, d), as W^T
    second_moment: Matrix
    first_decay: float
    second_decay: float
    epsilon: float
    weight_decay: float


@compiled(inline=True)
def adapt_rows(
    first: int, last: int, transposed: Matrix, gradient: Matrix, adaptation: Adaptation, rate: float, step: int
) -> None:
    """Move rows first, ..., last - 1 of W^T along their gradient (last - first, d)."""
    number = transposed.dtype.type
    count, width, start = gradient.size, lanes(transposed), first * transposed.shape[1]
    first_kept, second_kept = splat(number(adaptation.first_decay)), splat(number(adaptation.second_decay))
    first_new, second_new = splat(number(1.0 - adaptation.first_decay)), splat(number(1.0 - adaptation.second_decay))
    first_scale = splat(number(1.0 / (1.0 - adaptation.first_decay ** (step + 1))))
    second_scale = splat(number(1.0 / (1.0 - adaptation.second_decay ** (step + 1))))
    epsilon, decay = splat(number(adaptation.epsilon)), splat(number(adaptation.weight_decay))
    length = splat(number(rate))
    for place in range(0, count, width):
        some, zero = min(width, count - place), number(0)
        here = start + place
        slope = load_first(gradient, place, some, zero)
        mean = fma(first_kept, load_first(adaptation.first_moment, here, some, zero), first_new * slope)
        square = fma(second_kept, load_first(adaptation.second_moment, here, some, zero), second_new * slope * slope)
        store_first(adaptation.first_moment, here, some, mean)
        store_first(adaptation.second_moment, here, some, square)
        weight = load_first(transposed, here, some, zero)
        move = fma(decay, weight, first_scale * mean / (square_root(second_scale * square) + epsilon))
        store_first(transposed, here, some, fnma(length, move, weight))


@compiled()
def adaptive_slice(
    sync: Labels, member: int, members: int, transposed: Matrix, adaptation: Adaptation, by_class: Matrix,
    memory: Memory, sizes: Sizes, rows: Rows, scratch: Scratch, motion: Motion, record: Record, next_row: int,
    start: int, end: int, ready: bool,
) -> tuple[int, int, int, bool]:  # fmt: skip
    """Advance W^T (d, d) and its two moments. A slice as in `descent_weights`.

    Cost a step: 4 N M d + 4 min(N, M) d^2 operations, N M exponentials, d^2 roots and divisions.
    """
    # the caller holds them: the functions below need not count references
    sync = borrowed(sync)
    transposed = borrowed(transposed)
    adaptation = borrowed(adaptation)
    by_class = borrowed(by_class)
    memory = borrowed(memory)
    rows = borrowed(rows)
    scratch = borrowed(scratch)
    motion = borrowed(motion)
    record = borrowed(record)
    dim = transposed.shape[0]
    blocks = count_tiles(dim, sizes.height)
    taken = 0
    step = start
    for block in range(member, blocks, members):
        refresh_rows(block * sizes.height, min((block + 1) * sizes.height, dim), transposed, by_class, memory, scratch)
    if not barrier(sync, members):
        return step, next_row, REACHED_END, False
    while True:
        due = is_due(record, next_row, step)
        looked = due or record.stop_column >= 0
        if step == end and not looked:
            return step, next_row, REACHED_END, False
        products = not (step == end and next_row == record.save_steps.shape[0] - 1)
        if not ready:
            taken = fill_tiles(
                sync, member, members, taken, transposed, by_class, memory, motion.token_weights[0],
                memory.targets[:0], sizes, rows, scratch, looked, products,
            )  # fmt: skip
            if not barrier(sync, members):
                return step, next_row, REACHED_END, False
        ready = False
        code = judge(sync, member, members, record, next_row, due, memory.frequencies, rows)
        if code == NOT_FINITE:
            return step, next_row, code, False
        next_row += due
        if code != GO_ON:
            return step, next_row, code, False
        if step == end:
            return step, next_row, REACHED_END, products
        rate = motion.rates[chosen_row(step - start, motion.rates.shape[0])]
        while True:
            number = next_ticket(sync) - taken
            if number >= blocks:
                break
            first, last = number * sizes.height, min((number + 1) * sizes.height, dim)
            gradient = front(scratch.scores, member, last - first, dim)
            gradient_rows(first, last, by_class, memory, False, scratch, member, gradient)
            adapt_rows(first, last, transposed, gradient, adaptation, rate, step)
            refresh_rows(first, last, transposed, by_class, memory, scratch)
        taken += blocks + members
        if not barrier(sync, members):
            return step, next_row, REACHED_END, False
        step += 1
