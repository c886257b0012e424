"""Loss and gradient of a memory whose hidden vectors are normalised, and whole slices of a run of one.

With h_x = W e_x the scores are S = n U^T, where n is gain times, for each kind,

    NONE   h_x
    UNIT   h_x / sqrt(|h_x|^2 + epsilon)
    LAYER  the same of h_x minus the mean of its entries
    BATCH  entry by entry (h_xi - mean_i) / sqrt(d variance_i + epsilon), weighted mean and variance over the tokens

so that the squared length of n is at most gain^2 on average over the tokens. Where the gain is trained, the parameters
have a row below W, whose first entry it is.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from ..arrays import Labels, Matrix, Vector
from ..compile import compiled
from .borrowing import borrowed
from .descent_adaptive import Adaptation, adapt_rows
from .descent_arguments import Record, Rows
from .descent_record import NOT_FINITE, REACHED_END, SCALARS, STOPPED, is_due, summarise
from .descent_tiles import chosen_row
from .parameters import descend, fill_rows, save_row, squared_norm
from .products import multiply, multiply_left_transposed, multiply_right_transposed
from .rows import residual_row

NONE, UNIT, LAYER, BATCH = 0, 1, 2, 3
KINDS = {"none": NONE, "unit": UNIT, "layer": LAYER, "batch": BATCH}
"""Name -> number of a normalisation."""

FURTHER = ("weight_norm", "gain")
"""Columns of the record behind `SCALARS`."""
_NORM, _GAIN = len(SCALARS), len(SCALARS) + 1


class Embeddings(NamedTuple):
    """The problem."""

    inputs: Matrix  # (N, d)
    outputs: Matrix  # (M, d)
    targets: Labels  # (N,)
    frequencies: Vector  # (N,)


class Places(NamedTuple):
    """Work arrays."""

    hidden: Matrix  # (N, d), h, without its mean where that is taken off
    normal: Matrix  # (N, d), n
    factors: Vector  # (max(N, d),), of each token, or of each entry for BATCH: n = gain factor hidden
    pulled: Matrix  # (N, d), the gradient by n, then by h
    scores: Matrix  # (N, M)
    residual: Matrix  # (N, M)
    gradient: Matrix  # as the parameters


@compiled()
def _centre_tokens(rows: Matrix) -> None:
    """Take the mean of its entries off each row."""
    for token in range(rows.shape[0]):
        total = 0.0
        for entry in range(rows.shape[1]):
            total += rows[token, entry]
        mean = rows.dtype.type(total / rows.shape[1])
        for entry in range(rows.shape[1]):
            rows[token, entry] -= mean


@compiled()
def _normalise_tokens(gain: float, epsilon: float, places: Places) -> None:
    hidden, normal = places.hidden, places.normal
    for token in range(hidden.shape[0]):
        squares = 0.0
        for entry in range(hidden.shape[1]):
            squares += np.float64(hidden[token, entry]) ** 2
        # a length that overflows has no direction: the scores are then not numbers
        factor = 1.0 / math.sqrt(squares + epsilon) if squares < math.inf else math.nan
        places.factors[token] = factor
        scale = hidden.dtype.type(gain * factor)
        for entry in range(hidden.shape[1]):
            normal[token, entry] = scale * hidden[token, entry]


@compiled()
def _normalise_entries(weights: Vector, gain: float, epsilon: float, places: Places) -> None:
    hidden, normal = places.hidden, places.normal
    n_tokens, dim = hidden.shape
    for entry in range(dim):
        total = 0.0
        for token in range(n_tokens):
            total += weights[token] * hidden[token, entry]
        mean = hidden.dtype.type(total)
        variance = 0.0
        for token in range(n_tokens):
            hidden[token, entry] -= mean
            variance += weights[token] * np.float64(hidden[token, entry]) ** 2
        factor = 1.0 / math.sqrt(dim * variance + epsilon) if dim * variance < math.inf else math.nan
        places.factors[entry] = factor
        scale = hidden.dtype.type(gain * factor)
        for token in range(n_tokens):
            normal[token, entry] = scale * hidden[token, entry]


@compiled()
def fill_scores(
    kind: int, matrix: Matrix, gain: float, epsilon: float, embeddings: Embeddings, weights: Vector, places: Places
) -> None:
    """Fill the hidden vectors, the normalised ones and the scores; `weights` (N,) are those of BATCH."""
    multiply_right_transposed(embeddings.inputs, matrix, places.hidden)
    if kind == LAYER:
        _centre_tokens(places.hidden)
    if kind in (UNIT, LAYER):
        _normalise_tokens(gain, epsilon, places)
    elif kind == BATCH:
        _normalise_entries(weights, gain, epsilon, places)
    else:
        scale = places.hidden.dtype.type(gain)
        for token in range(places.hidden.shape[0]):
            for entry in range(places.hidden.shape[1]):
                places.normal[token, entry] = scale * places.hidden[token, entry]
    multiply_right_transposed(places.normal, embeddings.outputs, places.scores)


@compiled()
def _pull_tokens(gain: float, places: Places) -> float:
    """Turn the gradient by n into that by h, row by row, and return that by the gain."""
    hidden, pulled = places.hidden, places.pulled
    slope = 0.0
    for token in range(hidden.shape[0]):
        factor = places.factors[token]
        along = 0.0
        for entry in range(hidden.shape[1]):
            along += np.float64(pulled[token, entry]) * np.float64(hidden[token, entry])
        slope += along * factor
        scale, back = hidden.dtype.type(gain * factor), hidden.dtype.type(along * factor * factor)
        for entry in range(hidden.shape[1]):
            pulled[token, entry] = scale * (pulled[token, entry] - back * hidden[token, entry])
    return slope


@compiled()
def _pull_entries(weights: Vector, gain: float, places: Places) -> float:
    """Turn the gradient by n into that by h, entry by entry, and return that by the gain."""
    hidden, pulled = places.hidden, places.pulled
    n_tokens, dim = hidden.shape
    slope = 0.0
    for entry in range(dim):
        factor = places.factors[entry]
        along = 0.0
        for token in range(n_tokens):
            along += np.float64(pulled[token, entry]) * np.float64(hidden[token, entry])
        slope += along * factor
        back = along * factor * factor * dim
        total = 0.0
        for token in range(n_tokens):
            moved = gain * factor * (pulled[token, entry] - back * weights[token] * hidden[token, entry])
            pulled[token, entry] = moved
            total += moved
        for token in range(n_tokens):
            pulled[token, entry] -= hidden.dtype.type(weights[token] * total)
    return slope


@compiled()
def fill_gradient(
    kind: int, gain: float, embeddings: Embeddings, weights: Vector, places: Places, gradient: Matrix
) -> float:
    """Fill the gradient by W (d, d) from the residual, and return that by the gain."""
    pulled = places.pulled
    multiply(places.residual, embeddings.outputs, pulled)
    slope = 0.0
    if kind in (UNIT, LAYER):
        slope = _pull_tokens(gain, places)
        if kind == LAYER:
            _centre_tokens(pulled)
    elif kind == BATCH:
        slope = _pull_entries(weights, gain, places)
    else:
        scale = pulled.dtype.type(gain)
        for token in range(pulled.shape[0]):
            for entry in range(pulled.shape[1]):
                slope += np.float64(pulled[token, entry]) * np.float64(places.hidden[token, entry])
                pulled[token, entry] *= scale
    multiply_left_transposed(pulled, embeddings.inputs, gradient)
    return slope


@compiled()
def normalised_slice(
    parameters: Matrix, velocity: Matrix, momentum: float, adaptation: Adaptation, kind: int, fixed_gain: float,
    epsilon: float, embeddings: Embeddings, places: Places, rows: Rows, token_weights: Matrix, drawn: bool,
    rates: Vector, record: Record, wanted: Labels, next_row: int, start: int, end: int,
) -> tuple[int, int, int]:  # fmt: skip
    """Advance W, and the gain where it is trained, from `start` to `end`: (step reached, next row, code).

    Arguments: those of `factorised_slice`, and
        parameters: W (d, d), with a row more below it where the gain is trained.
        kind: a number of `KINDS`.
        fixed_gain: the gain where it is not trained.

    Where the tokens are drawn, the statistics of BATCH are those of the draw; what is observed has those of all tokens.

    Cost a step: 4 (N + M/2) d (d + M) operations at most, 12 N d of the normalisation, and N M exponentials.
    """
    parameters = borrowed(parameters)
    velocity = borrowed(velocity)
    adaptation = borrowed(adaptation)
    embeddings = borrowed(embeddings)
    places = borrowed(places)
    rows = borrowed(rows)
    record = borrowed(record)
    dim = parameters.shape[1]
    trained = parameters.shape[0] > dim
    matrix, gradient = parameters[:dim], places.gradient[:dim]
    targets, frequencies = embeddings.targets, embeddings.frequencies
    step = start
    while True:
        due = is_due(record, next_row, step)
        looked = due or record.stop_column >= 0
        if step == end and not looked:
            return step, next_row, REACHED_END
        gain = np.float64(parameters[dim, 0]) if trained else fixed_gain
        if looked:
            fill_scores(kind, matrix, gain, epsilon, embeddings, frequencies, places)
            if not fill_rows(places.scores, targets, frequencies, places.residual, rows):
                return step, next_row, NOT_FINITE
            current = np.empty(_GAIN + 1)
            summarise(frequencies, rows.losses, rows.margins, rows.firsts, current)
            current[_NORM] = math.sqrt(squared_norm(matrix)) if wanted[0] != 0 else math.nan
            current[_GAIN] = gain
            stop = save_row(current, rows, record, next_row, due)
            next_row += due
            if stop:
                return step, next_row, STOPPED
        if step == end:
            return step, next_row, REACHED_END
        weights = token_weights[chosen_row(step - start, token_weights.shape[0])] if drawn else frequencies
        if drawn or not looked:
            if kind == BATCH or not looked:
                fill_scores(kind, matrix, gain, epsilon, embeddings, weights, places)
            if not fill_rows(places.scores, targets, weights, places.residual, rows):
                return step, next_row, NOT_FINITE
        slope = fill_gradient(kind, gain, embeddings, weights, places, gradient)
        if trained:
            places.gradient[dim, :] = 0.0
            places.gradient[dim, 0] = slope
        rate = rates[chosen_row(step - start, rates.shape[0])]
        if adaptation.first_moment.shape[0] > 0:
            adapt_rows(0, parameters.shape[0], parameters, places.gradient, adaptation, rate, step)
        else:
            descend(parameters, places.gradient, velocity, momentum, rate)
        step += 1


@compiled()
def normalised_gradient(
    weights: Matrix, inputs: Matrix, outputs: Matrix, targets: Labels, frequencies: Vector, gain: float, epsilon: float,
    kind: int,
) -> tuple[float, Matrix, float]:  # fmt: skip
    """Return the loss, its gradient by W (d, d), and by the gain."""
    (n_tokens, dim), n_classes, number = inputs.shape, outputs.shape[0], weights.dtype
    scores, gradient = np.empty((n_tokens, n_classes), number), np.empty((dim, dim), number)
    embeddings = Embeddings(inputs, outputs, targets, frequencies)
    places = Places(
        np.empty((n_tokens, dim), number), np.empty((n_tokens, dim), number), np.empty(max(n_tokens, dim)),
        np.empty((n_tokens, dim), number), scores, scores, gradient,
    )  # fmt: skip
    fill_scores(kind, weights, gain, epsilon, embeddings, frequencies, places)
    loss = 0.0
    for token in range(n_tokens):
        row = scores[token]
        loss += frequencies[token] * residual_row(row, targets[token], frequencies[token], row)[0]
    slope = fill_gradient(kind, gain, embeddings, frequencies, places, gradient)
    return loss, gradient, slope
