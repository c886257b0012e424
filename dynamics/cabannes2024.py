"""The memories of Cabannes, Simsek, Bietti 2024, each in one line: the embeddings of its figures from their seeds.

>>> from traindyn.dynamics import cabannes2024
>>> cabannes2024.circle_memory(seed=81, n_tokens=3)
AssociativeMemory(3 tokens, 2 classes, dim 2, frequencies 0.182 to 0.545, digest ...)
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from ..errors import unknown_name
from .associative_memory import AssociativeMemory
from .numbers import integer, real
from .torch_normals import TorchNormals

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["FORGETFUL", "circle_memory", "figure6_memory", "forgetful_memory"]

_FIGURE6_SEED, _FIGURE6_COUNT = 43, 5


def circle_memory(seed: int, n_tokens: int, exponent: float = 1.0) -> AssociativeMemory:
    r"""Return a memory of Figures 4 and 5: random tokens on the unit circle, alternately of two classes.

    $$e_x = g_x / |g_x|, \quad f(x) = x \bmod 2, \quad U = I_2, \quad p(x) \propto (x + 1)^{-a}, \quad x = 0, 1, \dots$$

    The published problems are (seed, n_tokens) = (39, 3), (81, 3), (7, 30), (9, 30) with exponent 1, and (11, 10) with
    exponent 2, the one of the stochastic descent.

    Arguments:
        seed: of PyTorch's generator, whose normal numbers g_x are rebuilt (`TorchNormals`).
        n_tokens: N >= 1; from 8 on the numbers are drawn in blocks, so fewer tokens are not the first of more.
        exponent: a >= 0 of the frequencies.

    The normal numbers are PyTorch's float32; rows are normalised in float64, so |e_x| = 1 to rounding, and the
    published rows differ by their rounding to float32.

    Raises: InputError. Cost: microseconds a token. Source: Section 5.1, Figures 4 and 5.

    >>> memory = circle_memory(seed=9, n_tokens=30)
    >>> np.arctan2(memory.inputs[:3, 1], memory.inputs[:3, 0]).round(5)
    array([-2.54994, -0.96544,  0.40455])
    """
    count = integer("n_tokens", n_tokens, minimum=1)
    power = real("exponent", exponent, least=0.0)
    inputs = _unit_rows(TorchNormals(seed), count, 2)
    weights = 1.0 / np.arange(1.0, count + 1.0) ** power
    return AssociativeMemory(inputs, np.eye(2), np.arange(count) % 2, weights / math.fsum(weights))


def figure6_memory(dim: int) -> AssociativeMemory:
    r"""Return the memory of Figure 6: five tokens and five classes of random unit embeddings, f(x) = x, p(x) ~ 1/x.

    Arguments:
        dim: d >= 1; the paper has 3, 5 and 10. Inputs and then outputs come from one stream, seed 43.

    Raises: InputError. Source: Section 5.2, Figure 6.

    >>> figure6_memory(3).inputs[0].round(6)
    array([-0.561736, -0.611498,  0.557246])
    """
    width = integer("dim", dim, minimum=1)
    numbers = TorchNormals(_FIGURE6_SEED)
    inputs = _unit_rows(numbers, _FIGURE6_COUNT, width)
    outputs = _unit_rows(numbers, _FIGURE6_COUNT, width)
    weights = 1.0 / np.arange(1.0, _FIGURE6_COUNT + 1.0)
    return AssociativeMemory(inputs, outputs, np.arange(_FIGURE6_COUNT), weights / math.fsum(weights))


FORGETFUL: dict[str, tuple[float, tuple[float, float, float]]] = {
    "A": (5.0 / 6.0, (0.4, 0.3, 0.3)),
    "B": (math.sqrt(3.0) / 2.0, (0.4, 0.35, 0.25)),
    "C": (math.sqrt(3.0) / 2.0, (0.4, 0.3, 0.3)),
    "D": (math.cos(math.radians(20.0)), (0.45, 0.3, 0.25)),
}
"""For each variant the cosine between the first token and the second, and the frequencies."""


def forgetful_memory(variant: str = "B") -> AssociativeMemory:
    r"""Return three tokens whose cross-entropy minimiser forgets the most frequent one.

    $$e_0 = (-1, 0), \quad e_1 = (-c, -s), \quad e_2 = (c, -s), s = \sqrt{1 - c^2}, f = (0, 1, 0), U = I_2.$$

    The paper says that such problems exist; its own example with three tokens (seed 81) keeps the most frequent one.

    Arguments:
        variant: "A", "B", "C" or "D", with excess risks 0.10, 0.40, 0.10 and 0.45 (`FORGETFUL` holds c and p).

    Raises: InputError. Source: Section 5.1; the review of the paper.

    >>> import traindyn as td
    >>> memory = forgetful_memory("B")
    >>> weights = td.minimise(memory).weights
    >>> round(float(memory.inputs[0] @ weights.T @ [1, -1]), 6)  # the margin of the most frequent token
    -0.255353
    """
    if variant not in FORGETFUL:
        raise unknown_name("variant", variant, FORGETFUL)
    cosine, frequencies = FORGETFUL[variant]
    sine = math.sqrt((1.0 - cosine) * (1.0 + cosine))
    inputs = [[-1.0, 0.0], [-cosine, -sine], [cosine, -sine]]
    return AssociativeMemory(inputs, np.eye(2), [0, 1, 0], frequencies)


def _unit_rows(numbers: TorchNormals, count: int, dim: int) -> NDArray[np.float64]:
    rows = numbers.normal((count, dim)).astype(np.float64)
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True))
