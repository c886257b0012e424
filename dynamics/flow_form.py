"""The coordinates in which a gradient flow is integrated, and the way back to scores and weights.

W - W0 stays in span{u_y - u_z} (x) span{e_x} (after eq. 9), so the smallest exact state has rank(u - mean u) times
rank(e) coordinates. Three forms, each exact:

* ``"weights"``: W = W0 + V_U Z^T V_E^T with orthonormal bases V_E (d, a) and V_U (d, b) of the two spans; a b unknowns.
* ``"particles"``: W = W0 + U^T Lambda^T E, where Lambda (N, M) is the integral of p (onehot - softmax);
  N (M - 1) unknowns, for each row of Lambda sums to zero.
* ``"margins"``, two classes only: the same with one column; N unknowns.

The last two integrate *dual coefficients* rather than the scores: the scores are a fixed linear map of them, a
Runge-Kutta method commutes with linear maps, so the scores come out the same, and W needs no pseudo-inverse, which
would multiply rounding errors by the condition number of the Gram matrices.

The bases of "weights" are singular vectors, so its coordinates are those in which the Gram matrices are diagonal.
Between nearly parallel tokens the dual coefficients grow like log(t) / (1 - alpha) and cancel in the margins (at
alpha = 1 - 1e-6 seven digits are lost); the singular coordinates do not cancel. Orthogonal tokens, on the other hand,
stay exactly uncoupled in the dual forms. Hence the default: the fewest unknowns; of equals the dual form where the
Gram matrices have condition at most 100, else "weights". Implicit steps and the last step to a minimiser are taken in
"weights" whatever the form, for with more dual coefficients than dimensions their linear systems are singular.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np

from ..errors import InputError, unknown_name

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .associative_memory import AssociativeMemory

    Array: TypeAlias = NDArray[np.float64]

FormName: TypeAlias = Literal["weights", "particles", "margins"]
FORMS = ("weights", "particles", "margins")
_CONDITION_OF_DUAL = 100.0


def thin_basis(rows: Array) -> tuple[Array, Array]:
    """Return orthonormal columns that span the rows (d, r), and the rows in that basis (n, r).

    >>> basis, coordinates = thin_basis(np.array([[3.0, 4.0], [6.0, 8.0]]))
    >>> basis.shape, np.abs(coordinates).round(12).tolist()
    ((2, 1), [[5.0], [10.0]])
    """
    _, sizes, directions = np.linalg.svd(rows, full_matrices=False)
    rank = int(np.count_nonzero(sizes > max(rows.shape) * np.finfo(float).eps * sizes[0])) if sizes.size else 0
    basis = np.ascontiguousarray(directions[: max(rank, 1)].T)
    return basis, np.ascontiguousarray(rows @ basis)


class FlowForm:
    """A problem written as dz/dt = left_adjoint F(D) right_adjoint, D = start + moved(left z right).

    Arguments:
        problem: the memory.
        name: "weights", "particles" or "margins"; None picks by the number of unknowns, then by condition.
        initial: W0 (d, d); zero where None.

    Attributes: name, unknowns, binary, dual, shape (of z), columns q, start (N, q), left (N, a), right (b, q), and
    the adjoints; rate, an upper bound on |dD/dt| for one token.

    Raises: InputError for an unknown form, or "margins" with more than two classes.
    """

    def __init__(self, problem: AssociativeMemory, name: str | None = None, initial: Array | None = None) -> None:
        self.problem = problem
        tokens, classes, dim = problem.n_tokens, problem.n_classes, problem.dim
        self.initial = np.zeros((dim, dim)) if initial is None else np.array(initial, dtype=np.float64, order="C")
        if self.initial.shape != (dim, dim):
            raise InputError(f"initial must have shape ({dim}, {dim})", self.initial.shape)
        if not np.isfinite(self.initial).all():
            raise InputError("initial must be finite", "an entry that is not", "pass a finite matrix W0")
        self.binary = classes == 2
        self._centred = problem.outputs - problem.outputs.mean(axis=0)
        self._gap = problem.outputs[0] - problem.outputs[1]
        self._signs = np.where(problem.targets == 0, 1.0, -1.0)
        self.name = self._chosen(name)
        self.dual = self.name != "weights"
        self.columns = 1 if self.binary else classes
        self.start: Array = self._start()
        self.left: Array
        self.right: Array
        self._matrices()
        self.shape = (self.left.shape[1], self.right.shape[0])
        self.unknowns = tokens * (classes - 1) if self.dual else self.shape[0] * self.shape[1]
        self.rate = self._rate()

    @cached_property
    def _inputs(self) -> tuple[Array, Array]:
        return thin_basis(self.problem.inputs)

    @cached_property
    def _outputs(self) -> tuple[Array, Array]:
        return thin_basis(self._centred)

    def _chosen(self, name: str | None) -> FormName:
        if name is None:
            (basis, coordinates), condition = self._inputs, 1.0
            unknowns = basis.shape[1]
            sizes = [np.linalg.norm(coordinates, axis=0)]
            if not self.binary:
                unknowns *= self._outputs[0].shape[1]
                sizes.append(np.linalg.norm(self._outputs[1], axis=0))
            for size in sizes:  # the columns are singular vectors times singular values
                condition *= float(size[0] / size[-1]) ** 2 if size[-1] > 0.0 else 1.0
            fewest = self.problem.n_tokens * (self.problem.n_classes - 1)
            if unknowns < fewest or condition > _CONDITION_OF_DUAL:
                return "weights"
            return "margins" if self.binary else "particles"
        if name not in FORMS:
            raise unknown_name("form", name, FORMS)
        if name == "margins" and not self.binary:
            raise InputError('form "margins" needs two classes', f"{self.problem.n_classes} classes",
                             'pass form="particles" or "weights"')  # fmt: skip
        return "margins" if name == "particles" and self.binary else name  # type: ignore[return-value]

    def _start(self) -> Array:
        """(N, q): score differences at W0, from differences of outputs, so that large common scores drop out."""
        hidden = self.problem.inputs @ self.initial.T
        if self.binary:
            return np.ascontiguousarray((self._signs * (hidden @ self._gap))[:, None])
        centred = hidden @ self._centred.T
        own = np.take_along_axis(centred, self.problem.targets[:, None], axis=1)
        return np.ascontiguousarray(own - centred)

    def _matrices(self) -> None:
        inputs = self.problem.inputs
        if self.binary:
            signed = self._signs[:, None] * (inputs if self.dual else self._inputs[1])
            self.right = np.array([[float(self._gap @ self._gap)]])
            self.right_adjoint = np.ones((1, 1))
        else:
            signed = inputs if self.dual else self._inputs[1]
            self.right = np.ascontiguousarray(self._centred @ self._centred.T if self.dual else self._outputs[1].T)
            self.right_adjoint = np.ascontiguousarray(self.right.T)
        self.left = np.ascontiguousarray(signed @ signed.T if self.dual else signed)
        self.left_adjoint = np.ascontiguousarray(self.left.T)

    def _rate(self) -> float:
        norms = np.einsum("xd,xd->x", self.problem.inputs, self.problem.inputs)
        spread = (
            float(self._gap @ self._gap)
            if self.binary
            else float(2.0 * np.einsum("yd,yd->y", self._centred, self._centred).max())
        )
        return float((self.problem.frequencies * norms).max()) * spread

    def changes(self, state: Array) -> Array:
        """Return D - start (N, q), linear in the state; small changes keep their relative precision."""
        moved: Array = self.left @ state @ self.right
        if self.binary:
            return moved
        own: Array = np.take_along_axis(moved, self.problem.targets[:, None], axis=1)
        return own - moved

    def differences(self, state: Array) -> Array:
        """Return D (N, q): the margin for two classes, else target minus each class (zero at the target)."""
        return self.start + self.changes(state)

    def margins_to(self, state: Array) -> Array:
        """Return (N, M): score of the target minus score of each class; zero at the target."""
        difference = self.differences(state)
        if not self.binary:
            return difference
        full = np.zeros((self.problem.n_tokens, 2))
        full[np.arange(full.shape[0]), 1 - self.problem.targets] = difference[:, 0]
        return full

    def moved_weights(self, state: Array) -> Array:
        """Return W - W0 (d, d)."""
        if self.binary:
            along = self.problem.inputs.T @ (self._signs * state[:, 0]) if self.dual else self._inputs[0] @ state[:, 0]
            return np.outer(self._gap, along)
        if self.dual:
            return np.array(self._centred.T @ state.T @ self.problem.inputs)
        return np.asarray(self._outputs[0] @ state.T @ self._inputs[0].T)

    def scores(self, state: Array) -> Array:
        """Return S (N, M), without going through W."""
        initial = self.problem.inputs @ self.initial.T @ self.problem.outputs.T
        if self.binary:
            along = self.left @ state[:, 0] * self._signs
            return initial + np.outer(along, self.problem.outputs @ self._gap)
        hidden = self.left @ state @ (self._centred if self.dual else self._outputs[0].T)
        return np.asarray(initial + hidden @ self.problem.outputs.T)

    def to_weights(self, state: Array) -> Array:
        """Return the state (a, b) of the form "weights" with the same W; needs no inverse."""
        if not self.dual:
            return state
        if self.binary:
            return np.ascontiguousarray((self._signs[:, None] * self._inputs[1]).T @ state)
        return np.ascontiguousarray(self._inputs[1].T @ state @ self._outputs[1])
