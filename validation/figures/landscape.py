r"""Loss and 0-1 loss over the plane in which a two-class memory in two dimensions lives.

With M = 2 only the component of W along u_1 - u_2 matters, so W is drawn as the vector

$$\gamma_i = (u_1 - u_2)^\top W f_i, \quad W = \frac{u_1 - u_2}{\Vert u_1 - u_2 \Vert^2} \gamma^\top .$$

The text of the paper (eq. 21) has u_2 - u_1; its figures are drawn with u_1 - u_2, and so are ours.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from ...dynamics import AssociativeMemory

Array = NDArray[np.float64]


def weights(memory: AssociativeMemory, gamma: Array) -> Array:
    """Return the matrices W, shape (..., d, d), with these coordinates, shape (..., d)."""
    difference = memory.outputs[0] - memory.outputs[1]
    unit = difference / (difference @ difference)
    return np.asarray(np.einsum("i,...j->...ij", unit, gamma))


def scores(memory: AssociativeMemory, gamma: Array) -> Array:
    """Return the scores, shape (..., N, M), at points of the plane, shape (..., d)."""
    return np.asarray(np.einsum("yi,...ij,xj->...xy", memory.outputs, weights(memory, gamma), memory.inputs))


def loss(memory: AssociativeMemory, gamma: Array) -> Array:
    """Return the population loss (eq. 2) at points of the plane, shape (..., d) -> (...)."""
    table = scores(memory, gamma)
    tokens = np.arange(memory.n_tokens)
    wrong = np.array([[y for y in range(memory.n_classes) if y != f] for f in memory.targets])
    margins = table[..., tokens, memory.targets][..., None] - table[..., tokens[:, None], wrong]
    return np.asarray(np.log1p(np.exp(-margins).sum(axis=-1)) @ memory.frequencies)


def error_rate(memory: AssociativeMemory, gamma: Array, first_index: bool = False) -> Array:
    """Return the 0-1 loss at points of the plane; a tie counts as wrong, or goes to the first class."""
    table = scores(memory, gamma)
    tokens = np.arange(memory.n_tokens)
    if first_index:
        wrong = table.argmax(axis=-1) != memory.targets
    else:
        own = table[..., tokens, memory.targets]
        others = table.copy()
        others[..., tokens, memory.targets] = -np.inf
        wrong = own <= others.max(axis=-1)
    return np.asarray(wrong @ memory.frequencies)


def grid(horizontal: tuple[float, float], vertical: tuple[float, float], points: int) -> tuple[Array, Array, Array]:
    """Return the two axes, shape (n,), and the points of the plane, shape (n, n, 2), row by row."""
    x, y = np.linspace(*horizontal, points), np.linspace(*vertical, points)
    return x, y, np.stack(np.meshgrid(x, y), axis=-1)
