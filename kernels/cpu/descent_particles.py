"""Slices of gradient descent in scores S (N, M), "particles", or half-way in V = E W^T (N, d), "half".

Both advance dual coefficients, of which W = W0 + U^T A^T E or W = W0 + A^T E:

    D = Q or Q U,   velocity <- beta velocity + D,   dA = -rate velocity (+ noise),   A <- A + dA,
    S <- S + G_E dA G_U (equation 12)   or   V <- V + G_E dA,

with Q = diag(w) (softmax(S) - Y). Where there are more tokens than dimensions, or for particles more classes, the
increment goes by way of the weights: where dA moves no score, E^T dA is rounding noise and adds none to the state,
whereas that of G_E dA would lie outside what later steps correct.

A slice as in `descent_weights`, with one phase more, for all increments must be there before any state moves.
"""

from __future__ import annotations

from ..arrays import Labels, Matrix, Vector
from ..compile import compiled
from .borrowing import borrowed
from .compiled_once import compiled_once
from .descent_arguments import Memory, Motion, Record, Rows, Scratch, Sizes, States
from .descent_record import GO_ON, NOT_FINITE, REACHED_END, is_due, judge
from .descent_tiles import chosen_row, count_tiles, front, pull, residual_tile
from .products import multiply, multiply_add
from .synchrony import barrier, next_ticket


@compiled(inline=True)
def _copy_rows(source: Matrix, first: int, out: Matrix) -> None:
    for row in range(out.shape[0]):
        for column in range(out.shape[1]):
            out[row, column] = source[first + row, column]


@compiled(inline=True)
def _gather_rows(source: Matrix, batch: Labels, first: int, memory: Memory, scratch: Scratch, out: Matrix) -> None:
    for row in range(out.shape[0]):
        token = batch[first + row]
        scratch.drawn[first + row] = memory.targets[token]
        for column in range(out.shape[1]):
            out[row, column] = source[token, column]


@compiled(inline=True)
def _tile_of_states(
    states: Matrix, is_half: bool, memory: Memory, sizes: Sizes, targets: Labels, weights: Vector, rows: Rows,
    first: int, looked: bool, scratch: Scratch, member: int, out: Matrix, products: bool,
) -> bool:  # fmt: skip
    """Fill D of a tile of states; return whether all scores are finite."""
    if is_half:
        return pull(
            states, memory, sizes, targets, weights, rows, first, looked, scratch.scores, member, out, products
        )  # fmt: skip
    scores = out if products else front(scratch.scores, member, states.shape[0], states.shape[1])
    _copy_rows(states, 0, scores)
    return residual_tile(scores, targets, weights, rows, first, looked)


@compiled_once()
def _fill_tiles(
    sync: Labels, member: int, members: int, taken: int, particles: States, is_half: bool, memory: Memory,
    weights: Vector, batch: Labels, sizes: Sizes, rows: Rows, scratch: Scratch, looked: bool, products: bool,
) -> int:  # fmt: skip
    """Run the first phase, as `descent_weights.fill_tiles`."""
    states = particles.states
    n_tokens, width = states.shape
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
        some = front(scratch.batch, member, last - first, width) if drawn else states[first:last]
        if drawn:
            _gather_rows(states, batch, first, memory, scratch, some)
        targets = scratch.drawn if drawn else memory.targets
        shares = scratch.shares if drawn else weights
        finite = _tile_of_states(
            some, is_half, memory, sizes, targets[first:last], shares[first:last], rows,
            n_tokens + first if drawn else first, looked and not drawn, scratch, member,
            scratch.pulled[first:last] if keep else scratch.pulled[:0], keep,
        )  # fmt: skip
        rows.flags[tiles + part if drawn else part] = 0 if finite else 1


@compiled(inline=True)
def _increase(
    first: int, last: int, particles: States, motion: Motion, rate: float, noise: Matrix, is_batch: bool,
    scratch: Scratch, member: int,
) -> None:  # fmt: skip
    """Turn rows of D into dA, add them to A where they are those of all tokens, and fill what moves the states."""
    increments = scratch.pulled
    factor = increments.dtype.type(-rate)
    velocity = particles.velocity
    if velocity.shape[0] > 0:
        kept = increments.dtype.type(motion.momentum)
        for row in range(first, last):
            for column in range(increments.shape[1]):
                velocity[row, column] = kept * velocity[row, column] + increments[row, column]
                increments[row, column] = factor * velocity[row, column]
    else:
        for row in range(first, last):
            for column in range(increments.shape[1]):
                increments[row, column] *= factor
    if noise.shape[0] > 0:
        half = front(scratch.products, member, last - first, noise.shape[1])
        multiply(motion.noise_left[first:last], noise, half)
        multiply_add(motion.noise_scale, half, motion.noise_right, increments[first:last])
    if not is_batch:
        for row in range(first, last):
            for column in range(increments.shape[1]):
                particles.dual[row, column] += increments[row, column]
    if particles.right.shape[0] > 0:
        multiply(increments[first:last], particles.right, particles.moves[first:last])


@compiled(inline=True)
def _move(
    first: int, last: int, particles: States, memory: Memory, batch: Labels, scratch: Scratch, member: int
) -> None:
    """Move the states of a tile by G_E moves, or by way of the weights."""
    states = particles.states[first:last]
    if particles.square.shape[0] > 0:
        multiply_add(1.0, memory.inputs[first:last], particles.square, states)
    elif batch.shape[0] == 0:
        multiply_add(1.0, particles.gram[first:last], particles.moves, states)
    else:
        size = batch.shape[0]
        left = front(scratch.products, member, last - first, size)
        for row in range(first, last):
            for drawn in range(size):
                left[row - first, drawn] = particles.gram[row, batch[drawn]]
        multiply_add(1.0, left, particles.moves[:size], states)
        for drawn in range(size):
            token = batch[drawn]
            if first <= token < last:
                for column in range(particles.dual.shape[1]):
                    particles.dual[token, column] += scratch.pulled[drawn, column]


@compiled(inline=True)
def _collect(first: int, last: int, particles: States, memory: Memory, scratch: Scratch, member: int) -> None:
    """Fill rows of what increments add to the weights, times U^T for scores."""
    left, square = memory.inputs_transposed[first:last], particles.square[first:last]
    if particles.outputs_transposed.shape[0] == 0:
        multiply(left, particles.moves, square)
        return
    # the sum over the tokens first: of two classes its columns cancel to the last bit, and no score drifts
    by_class = front(scratch.scores, member, last - first, square.shape[1])
    weights = front(scratch.products, member, last - first, memory.outputs.shape[1])
    multiply(left, particles.moves, by_class)
    multiply(by_class, memory.outputs, weights)
    multiply(weights, particles.outputs_transposed, square)


@compiled()
def particle_slice(
    sync: Labels, member: int, members: int, particles: States, is_half: bool, memory: Memory, sizes: Sizes,
    rows: Rows, scratch: Scratch, motion: Motion, record: Record, next_row: int, start: int, end: int, ready: bool,
) -> tuple[int, int, int, bool]:  # fmt: skip
    """Advance scores (N, M) or half-way states (N, d), and the dual coefficients, which are of the same shape.

    Cost a step: 2 N M (N + M) operations, half-way 4 N M d + 2 N^2 d, and N M exponentials.
    """
    # the caller holds them: the functions below need not count references
    sync = borrowed(sync)
    particles = borrowed(particles)
    memory = borrowed(memory)
    rows = borrowed(rows)
    scratch = borrowed(scratch)
    motion = borrowed(motion)
    record = borrowed(record)
    n_tokens, dim = memory.inputs.shape
    tiles = count_tiles(n_tokens, sizes.tile)
    blocks = count_tiles(dim, sizes.height) if particles.square.shape[0] > 0 else 0
    is_batch = motion.batches.shape[0] > 0
    taken = 0
    step = start
    while True:
        index = step - start
        due = is_due(record, next_row, step)
        looked = due or record.stop_column >= 0
        if step == end and not looked:
            return step, next_row, REACHED_END, False
        products = not (step == end and (is_batch or next_row == record.save_steps.shape[0] - 1))
        batch = motion.batches[chosen_row(index, motion.batches.shape[0])] if is_batch else memory.targets[:0]
        if not ready:
            taken = _fill_tiles(
                sync, member, members, taken, particles, is_half, memory,
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
        pulled = batch.shape[0] if is_batch else n_tokens
        parts = count_tiles(pulled, sizes.tile)
        while True:
            number = next_ticket(sync) - taken
            if number >= parts:
                break
            first, last = number * sizes.tile, min((number + 1) * sizes.tile, pulled)
            _increase(first, last, particles, motion, rate, noise, is_batch, scratch, member)
        taken += parts + members
        if not barrier(sync, members):
            return step, next_row, REACHED_END, False
        if blocks > 0:
            while True:
                number = next_ticket(sync) - taken
                if number >= blocks:
                    break
                first, last = number * sizes.height, min((number + 1) * sizes.height, dim)
                _collect(first, last, particles, memory, scratch, member)
            taken += blocks + members
            if not barrier(sync, members):
                return step, next_row, REACHED_END, False
        while True:
            number = next_ticket(sync) - taken
            if number >= tiles:
                break
            first, last = number * sizes.tile, min((number + 1) * sizes.tile, n_tokens)
            _move(first, last, particles, memory, batch, scratch, member)
        taken += tiles + members
        if not barrier(sync, members):
            return step, next_row, REACHED_END, False
        step += 1
