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


def sharpness(memory: AssociativeMemory, gamma: Array) -> Array:
    r"""Return the largest eigenvalue of the Hessian at points of the plane, shape (..., 2) -> (...), for two classes.

    It is that of :math:`|u_1 - u_2|^2 \sum_x p(x) q_x (1 - q_x) e_x e_x^\top`, q_x the probability of the other class.
    """
    margins = np.asarray(gamma) @ (memory.inputs * np.where(memory.targets == 0, 1.0, -1.0)[:, None]).T
    decay = np.exp(-np.abs(margins))
    difference = memory.outputs[0] - memory.outputs[1]
    weight = decay / (1.0 + decay) ** 2 * memory.frequencies * (difference @ difference)
    first, second = memory.inputs.T
    a, b, c = weight @ first**2, weight @ (first * second), weight @ second**2
    return np.asarray(0.5 * (a + c) + np.hypot(0.5 * (a - c), b))


def sectors(memory: AssociativeMemory) -> tuple[Array, Array]:
    """Return the sectors of the plane between the lines on which a margin vanishes: edges (K + 1,) and errors (K,).

    Edges are angles, anticlockwise, the last one a turn after the first; errors the 0-1 loss inside. Two dimensions.
    """
    normals = np.arctan2(memory.inputs[:, 1], memory.inputs[:, 0])
    turned = np.concatenate([normals - 0.5 * np.pi, normals + 0.5 * np.pi]) % (2.0 * np.pi)
    edges = np.unique(turned)
    edges = np.append(edges, edges[0] + 2.0 * np.pi)
    middle = 0.5 * (edges[1:] + edges[:-1])
    return edges, error_rate(memory, np.stack([np.cos(middle), np.sin(middle)], axis=-1))
