"""Slices of gradient descent for two classes, where the margins (N,) are the whole state."""

from __future__ import annotations

from ..arrays import Labels, Matrix, Vector
from ..compile import compiled
from .borrowing import borrowed
from .descent_arguments import Motion, Record, Rows
from .descent_record import NOT_FINITE, REACHED_END, STOPPED, is_due, look
from .descent_tiles import chosen_row
from .simd import (
    absolute,
    exp,
    fma,
    lanes,
    load,
    load_first,
    log1p,
    maximum,
    select,
    splat,
    store,
    store_first,
    sum_lanes,
)


@compiled(inline=True)
def margin_residuals(
    margins: Vector, targets: Labels, weights: Vector, out: Vector, losses: Vector, firsts: Vector, looked_at: bool
) -> bool:
    """Fill -w_x / (1 + e^m); where the step is looked at, also log(1 + e^-m) and whether the target comes first.

    Returns whether all margins are finite. Cost: N exponentials, and N logarithms where looked at.
    """
    count, width = margins.shape[0], lanes(margins)
    zero, one = margins.dtype.type(0), splat(margins.dtype.type(1))
    check = splat(zero)
    for start in range(0, count, width):
        some = min(width, count - start)
        margin = load_first(margins, start, some, zero)
        check = fma(margin, splat(zero), check)
        small = exp(-absolute(margin))
        if looked_at:
            # `out` holds the losses for a moment
            store_first(out, start, some, log1p(small) + maximum(-margin, splat(zero)))
            for token in range(start, start + some):
                losses[token] = out[token]
                firsts[token] = margins[token] > 0.0 or (margins[token] == 0.0 and targets[token] == 0)
        wrong = select(margin >= splat(zero), small, one)
        store_first(out, start, some, wrong / (one + small))
    for token in range(count):
        out[token] *= -weights[token]
    return bool(sum_lanes(check) == zero)


@compiled(inline=True)
def add_rows(coefficients: Vector, matrix: Matrix, out: Vector) -> None:
    """Add coefficients (k,) @ matrix (k, n) to `out` (n,), four vectors at a time."""
    count, width = out.shape[0], lanes(out)
    zero = out.dtype.type(0)
    whole = count - count % (4 * width)
    for start in range(0, whole, 4 * width):
        first, second, third, fourth = splat(zero), splat(zero), splat(zero), splat(zero)
        for row in range(coefficients.shape[0]):
            factor = coefficients[row]
            if factor != zero:  # zero for a token outside the batch
                place = row * count + start
                first = fma(splat(factor), load(matrix, place), first)
                second = fma(splat(factor), load(matrix, place + width), second)
                third = fma(splat(factor), load(matrix, place + 2 * width), third)
                fourth = fma(splat(factor), load(matrix, place + 3 * width), fourth)
        store(out, start, load(out, start) + first)
        store(out, start + width, load(out, start + width) + second)
        store(out, start + 2 * width, load(out, start + 2 * width) + third)
        store(out, start + 3 * width, load(out, start + 3 * width) + fourth)
    for start in range(whole, count, width):
        some = min(width, count - start)
        total = splat(zero)
        for row in range(coefficients.shape[0]):
            factor = coefficients[row]
            if factor != zero:
                total = fma(splat(factor), load_first(matrix, row * count + start, some, zero), total)
        store_first(out, start, some, load_first(out, start, some, zero) + total)


@compiled(inline=True)
def add_noise(left: Matrix, draw: Matrix, right: Matrix, scale: float, increment: Vector) -> None:
    """Add scale * left @ draw @ right, with a `right` of one column, to the increment."""
    for row in range(draw.shape[0]):
        along = 0.0
        for column in range(draw.shape[1]):
            along += draw[row, column] * right[column, 0]
        for token in range(increment.shape[0]):
            increment[token] += scale * left[token, row] * along


@compiled()
def margin_slice(
    margins: Vector, dual: Vector, velocity: Vector, coupling: Matrix, signed: Matrix, across: Matrix,
    targets: Labels, frequencies: Vector, rows: Rows, residual: Vector, increment: Vector, along: Vector,
    motion: Motion, record: Record, next_row: int, start: int, end: int,
) -> tuple[int, int, int]:  # fmt: skip
    """Advance margins and their dual coefficients: m <- m + coupling da, coupling = |u_0 - u_1|^2 s_x s_y <e_x, e_y>.

    Where `coupling` is empty it is applied by way of the weights, first `signed` (N, d), then `across` (d, N): an
    increment that moves no margin then adds no rounding noise, as in `descent_particles`.

    A slice as in `descent_weights`, by one thread. Cost a step: 2 N^2 or 4 N d operations, N exponentials.
    """
    # the caller holds them: the functions below need not count references
    margins = borrowed(margins)
    dual = borrowed(dual)
    velocity = borrowed(velocity)
    coupling = borrowed(coupling)
    signed = borrowed(signed)
    across = borrowed(across)
    targets = borrowed(targets)
    frequencies = borrowed(frequencies)
    rows = borrowed(rows)
    residual = borrowed(residual)
    increment = borrowed(increment)
    along = borrowed(along)
    motion = borrowed(motion)
    record = borrowed(record)
    step = start
    while True:
        index = step - start
        due = is_due(record, next_row, step)
        looked = due or record.stop_column >= 0
        if step == end and not looked:
            return step, next_row, REACHED_END
        weights = motion.token_weights[chosen_row(index, motion.token_weights.shape[0])]
        if not margin_residuals(margins, targets, weights, residual, rows.losses, rows.firsts, looked):
            return step, next_row, NOT_FINITE
        if looked:
            for token in range(margins.shape[0]):
                rows.margins[token] = margins[token]
            stop = look(record, next_row, due, frequencies, rows)
            next_row += due
            if stop:
                return step, next_row, STOPPED
        if step == end:
            return step, next_row, REACHED_END
        rate = motion.rates[chosen_row(index, motion.rates.shape[0])]
        for token in range(margins.shape[0]):
            velocity[token] = motion.momentum * velocity[token] + residual[token]
            increment[token] = -rate * velocity[token]
        if motion.noise.shape[0] > 0:
            add_noise(motion.noise_left, motion.noise[index], motion.noise_right, motion.noise_scale, increment)
        for token in range(margins.shape[0]):
            dual[token] += increment[token]
        if coupling.shape[0] > 0:
            add_rows(increment, coupling, margins)
        else:
            for axis in range(along.shape[0]):
                along[axis] = 0.0
            add_rows(increment, signed, along)
            add_rows(along, across, margins)
        step += 1
