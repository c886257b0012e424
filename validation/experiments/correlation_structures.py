"""Memories whose inputs are correlated in a given way: the structures of the experiment on correlations."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from ...errors import unknown_name

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ...dynamics import AssociativeMemory

    Floats = NDArray[np.float64]

N_TOKENS = 8
DIM = 16
STRUCTURES = (
    ("sphere", 0.0),
    ("clustered", 0.5),
    ("clustered", 0.9),
    ("equicorrelated", -0.14),
    ("equicorrelated", 0.0),
    ("equicorrelated", 0.5),
    ("equicorrelated", 0.9),
    ("power law", 1.0),
    ("power law", 2.0),
    ("block", 0.5),
    ("block", 0.9),
    ("Toeplitz", -0.7),
    ("Toeplitz", 0.5),
    ("Toeplitz", 0.9),
)
"""Family and parameter: a correlation, or the exponent of the spectrum of a power law."""


def block_gram(count: int, correlation: float) -> Floats:
    """Return the Gram matrix of pairs (0, 1), (2, 3), ...: `correlation` in a pair, 0 between pairs.

    >>> block_gram(3, 0.5).tolist()
    [[1.0, 0.5, 0.0], [0.5, 1.0, 0.0], [0.0, 0.0, 1.0]]
    """
    pair = np.arange(count) // 2
    return np.where(np.eye(count) > 0.0, 1.0, np.where(pair[:, None] == pair, correlation, 0.0))


def toeplitz_gram(count: int, correlation: float) -> Floats:
    """Return the Gram matrix rho^|i-j|.

    >>> toeplitz_gram(3, -0.5).tolist()
    [[1.0, -0.5, 0.25], [-0.5, 1.0, -0.5], [0.25, -0.5, 1.0]]
    """
    place = np.arange(count)
    return np.asarray(correlation ** np.abs(place[:, None] - place).astype(float))


def power_law(count: int, dim: int, exponent: float, generator: np.random.Generator) -> Floats:
    """Return (count, dim) unit vectors: Gaussian with variances k^-exponent along the axes, then normalised."""
    rows = generator.standard_normal((count, dim)) * np.arange(1.0, dim + 1.0) ** (-exponent / 2.0)
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True))


def inputs_of(family: str, parameter: float, generator: np.random.Generator) -> Floats:
    """Return the inputs of a structure, (8, 16)."""
    from ...dynamics import embeddings

    match family:
        case "sphere":
            return embeddings.sphere(N_TOKENS, DIM, generator)
        case "clustered" | "equicorrelated":
            return embeddings.draw("family", family, N_TOKENS, DIM, generator, parameter)
        case "power law":
            return power_law(N_TOKENS, DIM, parameter, generator)
        case "block":
            return embeddings.from_gram(block_gram(N_TOKENS, parameter), DIM)
        case "Toeplitz":
            return embeddings.from_gram(toeplitz_gram(N_TOKENS, parameter), DIM)
    raise unknown_name("structure", family, [name for name, _ in STRUCTURES])


def memory_of(family: str, parameter: float, outputs: str, frequencies: str, seed: int) -> AssociativeMemory:
    """Return eight tokens in 16 dimensions, one class each, with correlated inputs.

    Parameters
    ----------
    family, parameter : one of `STRUCTURES`
    outputs : "orthonormal", or "sphere" for uniform unit vectors, whose correlations are about 1/4
    frequencies : "uniform" or "zipf", given to the tokens in an order of the seed
    seed : of the inputs where they are random, the outputs, and the order of the frequencies

    >>> memory = memory_of("Toeplitz", 0.5, "orthonormal", "zipf", seed=0)
    >>> memory.input_gram[0, :3].round(12).tolist()
    [1.0, 0.5, 0.25]
    """
    from ...dynamics import AssociativeMemory, embeddings

    generator = np.random.default_rng([seed, 1 + int(outputs == "sphere")])
    shuffled = generator.permutation(embeddings.frequencies(frequencies, N_TOKENS))
    drawn = embeddings.draw("outputs", outputs, N_TOKENS, DIM, generator, None)
    inputs = inputs_of(family, parameter, np.random.default_rng([seed, 0]))
    return AssociativeMemory(inputs, drawn, np.arange(N_TOKENS), shuffled / math.fsum(shuffled))


def name_of(family: str, parameter: float) -> str:
    """Return the structure in words: "Toeplitz 0.5"; uniform unit vectors have no parameter."""
    return family if family == "sphere" else f"{family} {parameter:g}"


def perceptron_steps(memory: AssociativeMemory, most: int = 100_000) -> float:
    r"""Return how many steps are imperfect at an infinite learning rate; NaN beyond `most`.

    W/eta then moves, after a first step with a uniform softmax, by
    $\sum_{x\ \mathrm{wrong}} p(x) (u_{f(x)} - u_{\hat y(x)}) e_x^\top$, with the most probable class $\hat y$: a
    perceptron that takes all wrong tokens at once. The start counts as imperfect. For two tokens the wrong steps are
    those of the spike-duration law where its regime holds.

    >>> from traindyn.dynamics import AssociativeMemory
    >>> perceptron_steps(AssociativeMemory.two_tokens(0.95, (0.99, 0.01)))  # the start and ceil(46.525)
    48.0
    """
    from ...analytics import first_step_margins

    tokens = np.arange(memory.n_tokens)
    scores = -first_step_margins(memory)  # up to a number a token
    pull = memory.input_gram * memory.frequencies
    outputs = memory.output_gram
    for step in range(1, most):
        rivals = scores.copy()
        rivals[tokens, memory.targets] = -np.inf
        best = rivals.argmax(axis=1)
        wrong = rivals[tokens, best] >= scores[tokens, memory.targets]
        if not wrong.any():
            return float(step)
        scores += (pull * wrong) @ (outputs[memory.targets] - outputs[best])
    return math.nan
