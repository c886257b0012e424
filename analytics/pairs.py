"""The smallest exact coordinates of an associative memory: the span in which every gradient lies."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..errors import SizeError
from .protocol import Memory

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Coordinates:
    """Inputs and outputs in orthonormal bases of span{e_x} and span{u_i - u_j}: margins and norms are unchanged."""

    inputs: Array
    """Shape (N, k)."""
    outputs: Array
    """Shape (M, l)."""
    targets: npt.NDArray[np.int64]
    input_basis: Array
    """Shape (d, k)."""
    output_basis: Array
    """Shape (d, l)."""

    @property
    def unknowns(self) -> int:
        """Dimension of the gradients' span, l k (the rank of the Hessian)."""
        return int(self.inputs.shape[1] * self.outputs.shape[1])

    def lift(self, reduced: Array) -> Array:
        """Return the (d, d) weights of the reduced ones, given as (l, k) or flat."""
        return np.asarray(
            self.output_basis @ reduced.reshape(self.outputs.shape[1], self.inputs.shape[1]) @ self.input_basis.T
        )

    def margins(self, reduced: Array) -> Array:
        """Return the score differences S[x, f(x)] - S[x, y], shape (N, M), zero at the target."""
        weights = reduced.reshape(self.outputs.shape[1], self.inputs.shape[1])
        scores = self.inputs @ weights.T @ self.outputs.T
        return np.asarray(scores[np.arange(len(scores)), self.targets][:, None] - scores)

    def rows(self, tokens: npt.NDArray[np.int64], classes: npt.NDArray[np.int64]) -> Array:
        """Return the rows (u_f(x) - u_y) outer e_x, flat, shape (number of pairs, l k)."""
        if len(tokens) * self.unknowns > 2e8:
            raise SizeError(
                f"the {len(tokens)} x {self.unknowns} matrix of margins needs more than 1.6 GB; take fewer tokens"
            )
        difference = self.outputs[self.targets[tokens]] - self.outputs[classes]
        return np.asarray((difference[:, :, None] * self.inputs[tokens][:, None, :]).reshape(len(tokens), -1))

    def all_pairs(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Return token and wrong class of each of the N (M - 1) margins."""
        wrong = np.arange(len(self.outputs))[None, :] != self.targets[:, None]
        tokens, classes = np.nonzero(wrong)
        return tokens.astype(np.int64), classes.astype(np.int64)


def coordinates(memory: Memory) -> Coordinates:
    """Return the problem in the smallest exact coordinates. Cost: two SVDs."""
    inputs = np.asarray(memory.inputs, dtype=np.float64)
    outputs = np.asarray(memory.outputs, dtype=np.float64)
    input_basis = _basis(inputs)
    output_basis = _basis(outputs[1:] - outputs[:1])
    centred = outputs - outputs.mean(axis=0)
    return Coordinates(
        inputs @ input_basis,
        centred @ output_basis,
        np.asarray(memory.targets, dtype=np.int64),
        input_basis,
        output_basis,
    )


def _basis(rows: Array) -> Array:
    """Return an orthonormal basis of the row space, shape (d, rank); the unit basis itself when the rank is full."""
    dim = rows.shape[1]
    if rows.size == 0:
        return np.zeros((dim, 0))
    _, sizes, axes = np.linalg.svd(rows, full_matrices=False)
    rank = int(np.sum(sizes > max(rows.shape) * np.finfo(float).eps * max(float(sizes[0]), 1e-300)))
    return np.eye(dim) if rank == dim else np.asarray(axes[:rank].T)
