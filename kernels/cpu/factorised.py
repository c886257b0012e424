"""Loss and gradient of a factorised W, and whole slices of a run of one: W = A B^T, or blocks of that on the diagonal.

The factors (d, r) stand below each other in one matrix of parameters, A first; block b of W is the product of the rows
b d/k, ..., (b + 1) d/k - 1 of both. With H = E B and K = U A, block by block,

    S = sum_b H_b K_b^T,     dL/dA_b = U_b^T R^T H_b,     dL/dB_b = E_b^T R K_b,     R = diag(p) (P - Y),

so that W itself is never formed. Where B is fixed at the identity, the parameters are those of the blocks of W.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from ..arrays import Labels, Matrix, Vector
from ..compile import compiled
from .borrowing import borrowed
from .descent_adaptive import Adaptation, adapt_rows
from .descent_arguments import Record, Rows
from .descent_record import NOT_FINITE, REACHED_END, SCALARS, STOPPED, is_due, summarise
from .descent_tiles import chosen_row
from .parameters import descend, fill_rows, save_row, squared_norm
from .products import (
    multiply,
    multiply_add_left_transposed,
    multiply_add_right_transposed,
    multiply_left_transposed,
    multiply_right_transposed,
)
from .rows import residual_row

FURTHER = ("rate_gain", "imbalance")
"""Columns of the record behind `SCALARS`."""
_GAIN, _IMBALANCE = len(SCALARS), len(SCALARS) + 1
_COLUMNS = len(SCALARS) + len(FURTHER)


class Embeddings(NamedTuple):
    """The problem, its dimensions cut into k blocks of s."""

    inputs: Any  # (k, N, s)
    outputs: Any  # (k, M, s)
    targets: Labels  # (N,)
    frequencies: Vector  # (N,)


class Places(NamedTuple):
    """Work arrays."""

    seen: Any  # H (k, N, r); the inputs themselves where B is the identity
    read: Any  # K (k, M, r)
    scores: Matrix  # (N, M)
    residual: Matrix  # (N, M)
    token_pull: Matrix  # (N, r), R K
    class_pull: Matrix  # (M, r), R^T H
    gradient: Matrix  # as the parameters
    across: Matrix  # (M, s), R^T E
    square: Matrix  # (s, s), a block of the gradient of W
    balance: Matrix  # (r, r), A^T A - B^T B of a block


@compiled()
def fill_scores(parameters: Matrix, embeddings: Embeddings, places: Places) -> None:
    """Fill H, K and the scores."""
    blocks, side = embeddings.inputs.shape[0], embeddings.inputs.shape[2]
    both = parameters.shape[0] > blocks * side
    for block in range(blocks):
        read, seen = places.read[block], places.seen[block]
        multiply(embeddings.outputs[block], parameters[block * side : (block + 1) * side], read)
        if both:
            first = (blocks + block) * side
            multiply(embeddings.inputs[block], parameters[first : first + side], seen)
        if block == 0:
            multiply_right_transposed(seen, read, places.scores)
        else:
            multiply_add_right_transposed(1.0, seen, read, places.scores)


@compiled()
def fill_gradient(embeddings: Embeddings, places: Places) -> None:
    """Fill the gradient of the parameters from H, K and the residual."""
    blocks, side = embeddings.inputs.shape[0], embeddings.inputs.shape[2]
    gradient = places.gradient
    both = gradient.shape[0] > blocks * side
    for block in range(blocks):
        multiply_left_transposed(places.residual, places.seen[block], places.class_pull)
        first = block * side
        multiply_left_transposed(embeddings.outputs[block], places.class_pull, gradient[first : first + side])
        if both:
            multiply(places.residual, places.read[block], places.token_pull)
            first = (blocks + block) * side
            multiply_left_transposed(embeddings.inputs[block], places.token_pull, gradient[first : first + side])


@compiled()
def _rate_gain(embeddings: Embeddings, places: Places) -> float:
    """Return |dL/dA|^2 + |dL/dB|^2 in units of |dL/dW|^2, W within its blocks; 1 where that is zero."""
    whole = 0.0
    for block in range(embeddings.inputs.shape[0]):
        multiply_left_transposed(places.residual, embeddings.inputs[block], places.across)
        multiply_left_transposed(embeddings.outputs[block], places.across, places.square)
        whole += squared_norm(places.square)
    return squared_norm(places.gradient) / whole if whole > 0.0 else 1.0


@compiled()
def _imbalance(parameters: Matrix, embeddings: Embeddings, places: Places) -> float:
    """Return the Frobenius norm of A^T A - B^T B over all blocks."""
    blocks, side = embeddings.inputs.shape[0], embeddings.inputs.shape[2]
    total = 0.0
    for block in range(blocks):
        left = parameters[block * side : (block + 1) * side]
        right = parameters[(blocks + block) * side : (blocks + block + 1) * side]
        multiply_left_transposed(left, left, places.balance)
        multiply_add_left_transposed(-1.0, right, right, places.balance)
        total += squared_norm(places.balance)
    return math.sqrt(total)


@compiled()
def _look(
    parameters: Matrix, embeddings: Embeddings, places: Places, rows: Rows, record: Record, next_row: int, due: bool,
    wanted: Labels,
) -> bool:  # fmt: skip
    """Save what is due and return whether the stop condition holds."""
    current = np.full(_COLUMNS, math.nan)
    summarise(embeddings.frequencies, rows.losses, rows.margins, rows.firsts, current)
    if wanted.shape[0] > 0 and wanted[0] != 0:
        current[_GAIN] = _rate_gain(embeddings, places)
    if wanted.shape[0] > 0 and wanted[1] != 0:
        current[_IMBALANCE] = _imbalance(parameters, embeddings, places)
    return save_row(current, rows, record, next_row, due)


@compiled()
def factorised_slice(
    parameters: Matrix, velocity: Matrix, momentum: float, adaptation: Adaptation, embeddings: Embeddings,
    places: Places, rows: Rows, token_weights: Matrix, drawn: bool, rates: Vector, record: Record, wanted: Labels,
    next_row: int, start: int, end: int,
) -> tuple[int, int, int]:  # fmt: skip
    """Advance the parameters from `start` to `end`: (step reached, next row, code).

    Arguments:
        parameters: A over B (2 d, r), or the blocks of W over each other (d, s).
        velocity: as the parameters with momentum, else no rows.
        adaptation: its moments are as the parameters for Adam, else without rows.
        token_weights: (k or 1, N), the weights of the tokens in the gradient of each step.
        drawn: whether they are drawn; else they are the frequencies.
        rates: (k or 1,).
        wanted: which of the `FURTHER` columns are to be computed, (2,); (0,) where there are none.

    Cost a step: 4 (N + M) d r + 6 N M r operations and N M exponentials; half of it where B is fixed.
    """
    parameters = borrowed(parameters)
    adaptation = borrowed(adaptation)
    embeddings = borrowed(embeddings)
    places = borrowed(places)
    rows = borrowed(rows)
    record = borrowed(record)
    targets, frequencies = embeddings.targets, embeddings.frequencies
    step = start
    while True:
        due = is_due(record, next_row, step)
        looked = due or record.stop_column >= 0
        if step == end and not looked:
            return step, next_row, REACHED_END
        fill_scores(parameters, embeddings, places)
        sloped = False
        if looked:
            if not fill_rows(places.scores, targets, frequencies, places.residual, rows):
                return step, next_row, NOT_FINITE
            if wanted.shape[0] > 0 and wanted[0] != 0:
                fill_gradient(embeddings, places)
                sloped = not drawn
            stop = _look(parameters, embeddings, places, rows, record, next_row, due, wanted)
            next_row += due
            if stop:
                return step, next_row, STOPPED
        if step == end:
            return step, next_row, REACHED_END
        if drawn or not looked:
            weights = token_weights[chosen_row(step - start, token_weights.shape[0])]
            if not fill_rows(places.scores, targets, weights, places.residual, rows):
                return step, next_row, NOT_FINITE
        if not sloped:
            fill_gradient(embeddings, places)
        rate = rates[chosen_row(step - start, rates.shape[0])]
        if adaptation.first_moment.shape[0] > 0:
            adapt_rows(0, parameters.shape[0], parameters, places.gradient, adaptation, rate, step)
        else:
            descend(parameters, places.gradient, velocity, momentum, rate)
        step += 1


@compiled()
def factorised_gradient(
    left: Matrix, right: Matrix, inputs: Matrix, outputs: Matrix, targets: Labels, frequencies: Vector
) -> tuple[float, Matrix, Matrix]:
    """Return the loss and its gradients with respect to A and B, each (d, r)."""
    n_tokens, dim, n_classes, rank = inputs.shape[0], inputs.shape[1], outputs.shape[0], left.shape[1]
    kind = left.dtype
    seen, read = np.empty((n_tokens, rank), kind), np.empty((n_classes, rank), kind)
    scores = np.empty((n_tokens, n_classes), kind)
    multiply(inputs, right, seen)
    multiply(outputs, left, read)
    multiply_right_transposed(seen, read, scores)
    loss = 0.0
    for token in range(n_tokens):
        row = scores[token]
        loss += frequencies[token] * residual_row(row, targets[token], frequencies[token], row)[0]
    class_pull, token_pull = np.empty((n_classes, rank), kind), np.empty((n_tokens, rank), kind)
    left_gradient, right_gradient = np.empty((dim, rank), kind), np.empty((dim, rank), kind)
    multiply_left_transposed(scores, seen, class_pull)
    multiply_left_transposed(outputs, class_pull, left_gradient)
    multiply(scores, read, token_pull)
    multiply_left_transposed(inputs, token_pull, right_gradient)
    return loss, left_gradient, right_gradient
