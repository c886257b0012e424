"""Slices of gradient descent in the weights, W <- W - rate V with V <- beta V + sum_x u Q_x e_x^T (equation 5).

Each step has two phases, with a barrier after each. In the first, tiles of tokens give D = Q U, or Q where there are
few classes; in the second, blocks of rows of W^T give E^T D, each with the whole sum over the tokens. So all outputs
are disjoint, nothing is reduced over members, and their number changes no bit.

A slice advances from `start` to `end`, saves the steps that are due from the scores before their update, and looks at
the state of `end`, without advancing it, where that is due. It returns (step reached, next row, code, and whether the
first phase of the next slice is done, given that the token weights are the same).
"""

from __future__ import annotations

from ..arrays import Labels, Matrix, Vector
from ..compile import compiled
from .borrowing import borrowed
from .compiled_once import compiled_once
from .descent_arguments import Memory, Motion, Record, Rows, Scratch, Sizes
from .descent_record import GO_ON, NOT_FINITE, REACHED_END, is_due, judge
from .descent_tiles import chosen_row, count_tiles, front, gather, pull, residual_tile
from .products import multiply, multiply_add, multiply_packed, pack_rows
from .synchrony import barrier, next_ticket


@compiled(inline=True)
def tile_of_tokens(
    inputs: Matrix, transposed: Matrix, by_class: Matrix, memory: Memory, sizes: Sizes, targets: Labels,
    weights: Vector, rows: Rows, first: int, looked: bool, scratch: Scratch, member: int, out: Matrix, products: bool,
) -> bool:  # fmt: skip
    """Fill D, or Q where W^T U^T is given, for tokens with some inputs; return whether all scores are finite."""
    count = inputs.shape[0]
    if by_class.shape[0] == 0:
        points = front(scratch.points, member, count, inputs.shape[1])
        if scratch.weights_packed.shape[0] > 0:
            multiply_packed(inputs, scratch.weights_packed, points)
        else:
            multiply(inputs, transposed, points)
        return pull(
            points, memory, sizes, targets, weights, rows, first, looked, scratch.scores, member, out, products
        )  # fmt: skip
    scores = out if products else front(scratch.scores, member, count, by_class.shape[1])
    multiply(inputs, by_class, scores)
    return residual_tile(scores, targets, weights, rows, first, looked)


@compiled_once()
def fill_tiles(
    sync: Labels, member: int, members: int, taken: int, transposed: Matrix, by_class: Matrix, memory: Memory,
    weights: Vector, batch: Labels, sizes: Sizes, rows: Rows, scratch: Scratch, looked: bool, products: bool,
) -> int:  # fmt: skip
    """Run the first phase: D or Q of all tokens, or of those of a batch; return how many tickets were taken.

    With a batch the other tokens are computed only where the step is looked at.
    """
    n_tokens, dim = memory.inputs.shape
    size = batch.shape[0]
    tiles, of_batch = count_tiles(n_tokens, sizes.tile), count_tiles(size, sizes.tile)
    dense = tiles if looked or of_batch == 0 else 0
    drawn_tiles = of_batch if products else 0
    while True:
        number = next_ticket(sync) - taken
        if number >= dense + drawn_tiles:
            return taken + dense + drawn_tiles + members
        drawn = number >= dense
        part = number - dense if drawn else number
        first = part * sizes.tile
        last = min(first + sizes.tile, size if drawn else n_tokens)
        keep = drawn or (products and of_batch == 0)
        inputs = front(scratch.batch, member, last - first, dim) if drawn else memory.inputs[first:last]
        if drawn:
            gather(memory, batch, first, scratch, inputs)
        targets = scratch.drawn if drawn else memory.targets
        shares = scratch.shares if drawn else weights
        finite = tile_of_tokens(
            inputs, transposed, by_class, memory, sizes, targets[first:last], shares[first:last], rows,
            n_tokens + first if drawn else first, looked and not drawn, scratch, member,
            scratch.pulled[first:last] if keep else scratch.pulled[:0], keep,
        )  # fmt: skip
        rows.flags[tiles + part if drawn else part] = 0 if finite else 1
        if keep and scratch.pulled_packed.shape[0] > 0:
            pack_rows(scratch.pulled[first:last], first, size if drawn else n_tokens, scratch.pulled_packed)


@compiled(inline=True)
def gradient_rows(
    first: int, last: int, by_class: Matrix, memory: Memory, is_batch: bool, scratch: Scratch, member: int, out: Matrix
) -> None:
    """Fill rows first, ..., last - 1 of the transposed gradient E^T Q U."""
    left = scratch.gathered[first:last] if is_batch else memory.inputs_transposed[first:last]
    by_tokens = by_class.shape[0] == 0
    moved = out if by_tokens else front(scratch.products, member, last - first, by_class.shape[1])
    if scratch.pulled_packed.shape[0] > 0:
        multiply_packed(left, scratch.pulled_packed, moved)
    else:
        multiply(left, scratch.pulled, moved)
    if not by_tokens:
        multiply(moved, memory.outputs, out)


@compiled(inline=True)
def move_rows(
    first: int, last: int, transposed: Matrix, velocity: Matrix, by_class: Matrix, memory: Memory, motion: Motion,
    rate: float, noise: Matrix, is_batch: bool, scratch: Scratch, member: int,
) -> None:  # fmt: skip
    """Move rows first, ..., last - 1 of W^T, with momentum where there is a velocity, and by the noise of the step."""
    moving = transposed[first:last]
    gradient = front(scratch.scores, member, last - first, transposed.shape[1])
    gradient_rows(first, last, by_class, memory, is_batch, scratch, member, gradient)
    factor = transposed.dtype.type(rate)
    if velocity.shape[0] == 0:
        for row in range(last - first):
            for column in range(gradient.shape[1]):
                moving[row, column] -= factor * gradient[row, column]
    else:
        kept = velocity.dtype.type(motion.momentum)
        for row in range(last - first):
            for column in range(gradient.shape[1]):
                velocity[first + row, column] = kept * velocity[first + row, column] + gradient[row, column]
                moving[row, column] -= factor * velocity[first + row, column]
    if noise.shape[0] > 0:
        half = front(scratch.products, member, last - first, noise.shape[1])
        multiply(motion.noise_left[first:last], noise, half)
        multiply_add(motion.noise_scale, half, motion.noise_right, moving)


@compiled(inline=True)
def refresh_rows(first: int, last: int, transposed: Matrix, by_class: Matrix, memory: Memory, scratch: Scratch) -> None:
    """Fill what follows from rows first, ..., last - 1 of W^T: those of W^T U^T, or of W^T packed, where used."""
    if scratch.weights_packed.shape[0] > 0:
        pack_rows(transposed[first:last], first, transposed.shape[0], scratch.weights_packed)
    if by_class.shape[0] > 0:
        multiply_packed(transposed[first:last], memory.outputs_across, by_class[first:last])


@compiled()
def weight_slice(
    sync: Labels, member: int, members: int, transposed: Matrix, velocity: Matrix, by_class: Matrix, memory: Memory,
    sizes: Sizes, rows: Rows, scratch: Scratch, motion: Motion, record: Record, next_row: int, start: int, end: int,
    ready: bool,
) -> tuple[int, int, int, bool]:  # fmt: skip
    """Advance W^T (d, d). Cost a step: 4 N M d + 4 min(N, M) d^2 operations, N M exponentials.

    Of a batch of B tokens drawn: 4 B (M d + d^2) operations, and those of all scores where the step is looked at.
    """
    # the caller holds them: the functions below need not count references
    sync = borrowed(sync)
    transposed = borrowed(transposed)
    velocity = borrowed(velocity)
    by_class = borrowed(by_class)
    memory = borrowed(memory)
    rows = borrowed(rows)
    scratch = borrowed(scratch)
    motion = borrowed(motion)
    record = borrowed(record)
    dim = transposed.shape[0]
    blocks = count_tiles(dim, sizes.height)
    is_batch = motion.batches.shape[0] > 0
    taken = 0
    step = start
    for block in range(member, blocks, members):
        refresh_rows(block * sizes.height, min((block + 1) * sizes.height, dim), transposed, by_class, memory, scratch)
    if not barrier(sync, members):
        return step, next_row, REACHED_END, False
    while True:
        index = step - start
        due = is_due(record, next_row, step)
        looked = due or record.stop_column >= 0
        if step == end and not looked:
            return step, next_row, REACHED_END, False
        products = not (step == end and (is_batch or next_row == record.save_steps.shape[0] - 1))
        if not ready:
            batch = motion.batches[chosen_row(index, motion.batches.shape[0])] if is_batch else memory.targets[:0]
            taken = fill_tiles(
                sync, member, members, taken, transposed, by_class, memory,
                motion.token_weights[chosen_row(index, motion.token_weights.shape[0])], batch, sizes, rows, scratch,
                looked, products,
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
        rate = motion.rates[chosen_row(index, motion.rates.shape[0])]
        noise = motion.noise[index] if motion.noise.shape[0] > 0 else motion.noise_left[:0]
        while True:
            number = next_ticket(sync) - taken
            if number >= blocks:
                break
            first, last = number * sizes.height, min((number + 1) * sizes.height, dim)
            move_rows(
                first, last, transposed, velocity, by_class, memory, motion, rate, noise, is_batch, scratch, member
            )
            refresh_rows(first, last, transposed, by_class, memory, scratch)
        taken += blocks + members
        if not barrier(sync, members):
            return step, next_row, REACHED_END, False
        step += 1
