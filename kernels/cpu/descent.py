"""Slices of gradient descent with momentum, minibatches or noise, in each exact form of the state.

Every form advances the same dual coefficients, so that W = W0 + U^T A^T E throughout:

    D = diag(w_t) (softmax(S) - Y),   V <- beta V + D,   dA = -rate_t V (+ noise),   A <- A + dA.

They differ in what is carried on to the next step: the scores, S <- S + G_E dA G_U (equation 12), the
weights, W <- W + U^T dA^T E (equation 5), or for two classes the margins (equations 13 and 17). w_t are the token
weights of the step: the frequencies, the shares of a minibatch, or the noisy weights of a stochastic gradient flow.

A slice advances from `start` to `end`, records the steps that are due before each update, from the scores of
that update, and looks at the state of `end` without advancing it. It returns (step reached, next row, code).
"""

from __future__ import annotations

from ..arrays import Labels, Matrix, Vector
from ..compile import compiled
from .descent_products import add_into, multiply
from .descent_record import NOT_FINITE, REACHED_END, STOPPED, look, residuals


@compiled()
def dual_increment(
    residual: Matrix, velocity: Matrix, momentum: float, rate: float, out: Matrix
) -> None:  # fmt: skip
    """Fill out = -rate V after V <- momentum V + residual."""
    for i in range(residual.shape[0]):
        for k in range(residual.shape[1]):
            velocity[i, k] = momentum * velocity[i, k] + residual[i, k]
            out[i, k] = -rate * velocity[i, k]


@compiled()
def add_noise(left: Matrix, draw: Matrix, right: Matrix, scale: float, half: Matrix, full: Matrix, out: Matrix) -> None:
    """Add scale * left @ draw @ right to `out`."""
    multiply(left, draw, half)
    multiply(half, right, full)
    for i in range(out.shape[0]):
        for k in range(out.shape[1]):
            out[i, k] += scale * full[i, k]


@compiled()
def particle_slice(
    scores: Matrix, dual: Matrix, velocity: Matrix, input_gram: Matrix, output_gram: Matrix,
    inputs: Matrix, inputs_transposed: Matrix, outputs: Matrix, outputs_transposed: Matrix,
    targets: Labels, frequencies: Vector, token_weights: Matrix, rates: Vector, momentum: float,
    noise_left: Matrix, noise: Matrix, noise_right: Matrix, noise_scale: float,
    residual: Matrix, increment: Matrix, half: Matrix, full: Matrix, square: Matrix, noise_half: Matrix,
    rows: Matrix, current: Vector, start: int, end: int,
    save_steps: Labels, next_row: int, scalars: Matrix, saved_margins: Matrix,
    stop_column: int, stop_relation: int, stop_threshold: float,
) -> tuple[int, int, int]:  # fmt: skip
    """Advance scores (N, M) and dual coefficients (N, M). Cost a step: 2 N M (N + M) operations, N M exponentials.

    With embeddings and a work array (d, d) in place of the Gram matrices, which are then empty, the increment goes by
    way of the weights, as in `weight_slice`, at that cost: where dA moves no score, E^T dA U is rounding noise and
    adds none to the scores, whereas that of G_E dA G_U would lie outside what later steps correct.
    """
    losses, margins, firsts = rows[0], rows[1], rows[2]
    step = start
    while True:
        index = step - start
        weights = token_weights[index if index < token_weights.shape[0] else token_weights.shape[0] - 1]
        if not residuals(scores, targets, weights, residual, losses, margins, firsts):
            return step, next_row, NOT_FINITE
        next_row, stop = look(
            step, frequencies, losses, margins, firsts, save_steps, next_row, scalars, saved_margins,
            stop_column, stop_relation, stop_threshold, current,
        )  # fmt: skip
        if stop:
            return step, next_row, STOPPED
        if step == end:
            return step, next_row, REACHED_END
        rate = rates[index if index < rates.shape[0] else rates.shape[0] - 1]
        dual_increment(residual, velocity, momentum, rate, increment)
        if noise.shape[0] > 0:
            add_noise(noise_left, noise[index], noise_right, noise_scale, noise_half, full, increment)
        add_into(dual, increment)
        if square.shape[0] == 0:
            multiply(input_gram, increment, half)
            multiply(half, output_gram, full)
        else:
            weight_increment(inputs_transposed, increment, outputs, half, square)
            scores_of_weights(inputs, square, outputs_transposed, half, full)
        add_into(scores, full)
        step += 1


@compiled()
def scores_of_weights(
    inputs: Matrix, transposed: Matrix, outputs_transposed: Matrix, work: Matrix, out: Matrix
) -> None:
    """Fill the scores E W^T U^T, associating on the side of the smaller of N and M."""
    if outputs_transposed.shape[1] <= inputs.shape[0]:
        multiply(transposed, outputs_transposed, work)
        multiply(inputs, work, out)
    else:
        multiply(inputs, transposed, work)
        multiply(work, outputs_transposed, out)


@compiled()
def weight_increment(inputs_transposed: Matrix, dual: Matrix, outputs: Matrix, work: Matrix, out: Matrix) -> None:
    """Fill E^T A U (d, d), the transposed weights of the dual coefficients A (N, M)."""
    if dual.shape[1] <= dual.shape[0]:
        multiply(inputs_transposed, dual, work)
        multiply(work, outputs, out)
    else:
        multiply(dual, outputs, work)
        multiply(inputs_transposed, work, out)


@compiled()
def weight_slice(
    transposed: Matrix, velocity: Matrix, inputs: Matrix, inputs_transposed: Matrix,
    outputs: Matrix, outputs_transposed: Matrix,
    targets: Labels, frequencies: Vector, token_weights: Matrix, rates: Vector, momentum: float,
    noise_left: Matrix, noise: Matrix, noise_right: Matrix, noise_scale: float,
    scores: Matrix, residual: Matrix, increment: Matrix, half: Matrix, full: Matrix, noise_half: Matrix,
    rows: Matrix, current: Vector, start: int, end: int,
    save_steps: Labels, next_row: int, scalars: Matrix, saved_margins: Matrix,
    stop_column: int, stop_relation: int, stop_threshold: float,
) -> tuple[int, int, int]:  # fmt: skip
    """Advance W^T (d, d). Cost a step: 4 N M d + 4 min(N, M) d^2 operations, N M exponentials."""
    losses, margins, firsts = rows[0], rows[1], rows[2]
    step = start
    while True:
        index = step - start
        weights = token_weights[index if index < token_weights.shape[0] else token_weights.shape[0] - 1]
        scores_of_weights(inputs, transposed, outputs_transposed, half, scores)
        if not residuals(scores, targets, weights, residual, losses, margins, firsts):
            return step, next_row, NOT_FINITE
        next_row, stop = look(
            step, frequencies, losses, margins, firsts, save_steps, next_row, scalars, saved_margins,
            stop_column, stop_relation, stop_threshold, current,
        )  # fmt: skip
        if stop:
            return step, next_row, STOPPED
        if step == end:
            return step, next_row, REACHED_END
        rate = rates[index if index < rates.shape[0] else rates.shape[0] - 1]
        dual_increment(residual, velocity, momentum, rate, increment)
        weight_increment(inputs_transposed, increment, outputs, half, full)
        add_into(transposed, full)
        if noise.shape[0] > 0:
            add_noise(noise_left, noise[index], noise_right, noise_scale, noise_half, full, transposed)
        step += 1
