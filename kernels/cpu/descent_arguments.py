"""What the descent loops are given: the memory, the motion, the record and the places to work in.

Sizes: N tokens, M classes, d dimensions, k steps of the slice, B tokens of a batch.
"""

from __future__ import annotations

from typing import NamedTuple

from ..arrays import Labels, Matrix, Vector


class Memory(NamedTuple):
    """The problem, each matrix also transposed, so that every product runs along the rows of its operands."""

    inputs: Matrix  # E (N, d)
    inputs_transposed: Matrix  # (d, N)
    outputs: Matrix  # U (M, d)
    outputs_across: Vector  # U^T, packed in blocks of columns
    outputs_along: Vector  # U, packed in blocks of rows
    targets: Labels  # (N,)
    frequencies: Vector  # (N,)


class Motion(NamedTuple):
    """Rates, momentum and random numbers of the steps of a slice; one row stands for all steps."""

    token_weights: Matrix  # (k or 1, N)
    batches: Labels  # (k, B) tokens drawn, each with weight 1/B in place of the token weights; or (0, 0)
    rates: Vector  # (k or 1,)
    momentum: float
    noise_left: Matrix  # noise of a step is noise_scale * left @ draw @ right
    noise: Matrix  # (k, ...) or (0, ...)
    noise_right: Matrix
    noise_scale: float


class Record(NamedTuple):
    """The steps to save, where they are saved, and the condition that ends the run."""

    save_steps: Labels  # ascending
    scalars: Matrix  # a row a saved step
    margins: Matrix  # a row a saved step, or none
    stop_column: int  # of the scalars, -1 for no condition
    stop_relation: int
    stop_threshold: float


class Rows(NamedTuple):
    """What is known of the scores of each token, then of each token of a batch: (N + B,) except the flags."""

    largest: Vector  # of the classes seen so far
    wrong: Vector  # sum over the wrong classes of exp(score - largest)
    right: Vector  # score of the target
    best: Vector  # largest score of a wrong class
    place: Labels  # first class that has it
    losses: Vector
    margins: Vector
    firsts: Vector  # 1 where the target is the first of the largest scores
    flags: Labels  # a tile each, those of the tokens and then those of a batch: 1 where a score is not finite
    decision: Labels  # (1,): whether the stop condition holds


class Sizes(NamedTuple):
    """How the work is cut; by the problem alone, so that results do not depend on the number of members."""

    tile: int  # tokens
    columns: int  # classes in a block of scores
    height: int  # rows of a square matrix


class Scratch(NamedTuple):
    """Work arrays; those with a row a member are used by that member only."""

    scores: Matrix  # (members, tile x columns)
    points: Matrix  # (members, tile x d)
    batch: Matrix  # (members, tile x d), inputs of a batch
    products: Matrix  # (members, ...), half-way products
    pulled: Matrix  # (N, d), (N, M) or for batches (B, ...)
    pulled_packed: Vector  # the same, packed for products where it is large; or empty
    weights_packed: Vector  # W^T, packed for products where it is large; or empty
    gathered: Matrix  # (d, B), the inputs of a batch, transposed
    drawn: Labels  # (B,), the targets of a batch
    shares: Vector  # (B,), the weight of each token of a batch, 1/B


class States(NamedTuple):
    """Scores (N, M) or half-way states (N, d), and how dual coefficients move them."""

    states: Matrix
    dual: Matrix  # of the same shape
    velocity: Matrix  # of the same shape, or no rows
    gram: Matrix  # G_E (N, N), or empty where the weights are gone through
    right: Matrix  # G_U (M, M), by which increments of scores are multiplied; or empty
    moves: Matrix  # increments times `right`; the increments themselves where that is empty
    square: Matrix  # E^T dA or E^T dA U U^T, by way of the weights, (d, d) or (d, M); or empty
    outputs_transposed: Matrix  # (d, M) for scores by way of the weights, or empty
