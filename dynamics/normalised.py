"""Memories whose hidden vectors W e_x are normalised before they are read."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import InputError, unknown_name
from .associative_memory import AssociativeMemory
from .memory_learner import MemoryLearner
from .numbers import finite_array, random_generator, real
from .one_thread import one_thread

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from .numbers import Seed
    from .problem import State
    from .system import System

__all__ = ["NORMALISATIONS", "NormalisedMemory"]

NORMALISATIONS = ("none", "unit", "layer", "batch")
"""What may be done to the hidden vectors."""

_PARTS = ("memory", "normalisation", "gain", "epsilon", "trained_gain", "start")


@dataclass(frozen=True, eq=False, repr=False)
class NormalisedMemory(MemoryLearner):
    r"""Learn the associations of a memory with a normalisation between W and the outputs.

    The score of class y on token x is $g\, \langle u_y, n_x \rangle$, where n_x is the normalised $h_x = W e_x$:

    $$\text{unit: } \frac{h}{\sqrt{|h|^2 + \epsilon}}, \qquad \text{layer: the same of } h - \bar h, \qquad
    \text{batch: } \frac{h_{xi} - \mu_i}{\sqrt{d\, v_i + \epsilon}}, \qquad \text{none: } h,$$

    with $\bar h$ the mean of the entries of h, and mu_i, v_i mean and variance of entry i over the tokens, weighted by
    their frequencies (by their shares in the batch, for a rule that draws batches). The length of n_x is at most 1,
    for "batch" on average over the tokens. So every score difference of "unit" and "layer" is bounded,
    $|m_j(x)| \leq g\, |u_{f(x)} - u_j|$; the loss has a floor above 0; and but for epsilon it depends on the direction
    of W alone, so that the gradient is orthogonal to W and scales as 1/|W|.

    Arguments:
        memory: the `AssociativeMemory` to learn.
        normalisation: "unit" (that of the paper's code), "layer", "batch", or "none" to compare with. The usual layer
            and batch normalisations, which give each entry the variance 1, are these with gain sqrt(d).
        gain: g > 0.
        epsilon: > 0, added to the squared length.
        trained_gain: whether the gain is learned too. The weights are then (d + 1, d): W, and below it a row with the
            gain in its first entry and zeros.
        scale: standard deviation > 0 of the entries of W at the start, times sqrt(d): independent and normal. At W = 0
            all directions are equal, and nothing is defined but by epsilon.
        rng: seed of the start: an integer, a SeedSequence or a Generator.
        start: (d, d), a start of your own in place of `scale` and `rng`.

    Observables: those of a memory that need no Hessian, with ``weights`` and ``gradient`` in the shape of the weights;
    ``weight_norm`` |W|; ``gain``; ``rate_factor`` 1/|W|^2, by which the learning rate of the direction of W is
    multiplied; ``hidden_norm`` (N,) the lengths of h_x; ``normalised`` (N, d) the n_x; ``radial_share``, the cosine
    between W and its gradient, which is 0 but for epsilon.

    Raises: InputError.

    Cost: a step of the package's rules takes 4 N d^2 + 4 N M d + 12 N d operations, in compiled code.

    Source: the review of Cabannes, Simsek, Bietti 2024, open question 2; Ba, Kiros, Hinton 2016; Ioffe, Szegedy 2015.

    >>> from traindyn.dynamics import GradientDescent, simulate
    >>> memory = NormalisedMemory(AssociativeMemory.random(4, 4, 8), gain=3.0)
    >>> memory
    NormalisedMemory(unit, 4 tokens, 4 classes, dim 8, gain 3, digest ...)
    >>> run = simulate(memory, GradientDescent(1.0), steps=1000, observe=("loss", "weight_norm"))
    >>> run["loss"][[0, 1000]].round(3).tolist(), run["weight_norm"][[0, 1000]].round(2).tolist()
    ([1.911, 0.09], [2.59, 2.99])
    """

    memory: AssociativeMemory
    normalisation: str
    gain: float
    epsilon: float
    trained_gain: bool
    start: NDArray[np.float64]

    default_observables = ("loss", "accuracy", "margin")

    def __init__(
        self, memory: AssociativeMemory, normalisation: str = "unit", gain: float = 1.0, epsilon: float = 1e-6, *,
        trained_gain: bool = False, scale: float = 1.0, rng: Seed = 0, start: ArrayLike | None = None,
    ) -> None:  # fmt: skip
        if not isinstance(memory, AssociativeMemory):
            raise InputError("memory must be an AssociativeMemory", type(memory).__name__)
        if normalisation not in NORMALISATIONS:
            raise unknown_name("normalisation", normalisation, NORMALISATIONS)
        if normalisation == "layer" and memory.dim < 2:
            raise InputError("layer normalisation needs dim >= 2: the mean of one entry leaves nothing", memory.dim)
        if not isinstance(trained_gain, (bool, np.bool_)):
            raise InputError("trained_gain must be True or False", repr(trained_gain))
        size = (memory.dim, memory.dim)
        if start is None:
            deviation = real("scale", scale, above=0.0) / math.sqrt(memory.dim)
            weights = deviation * random_generator(rng).standard_normal(size)
        else:
            weights = finite_array("start", start, dimensions=2, shape=str(size))
            if weights.shape != size:
                raise InputError(f"start must be W of shape {size}", weights.shape)
        self.__setstate__({
            "memory": memory, "normalisation": normalisation, "gain": real("gain", gain, above=0.0),
            "epsilon": real("epsilon", epsilon, above=0.0), "trained_gain": bool(trained_gain), "start": weights,
        })  # fmt: skip

    @property
    def observables(self) -> Mapping[str, Callable[[State], Any]]:
        """Name -> function of a `State`, all that `observe=` takes by name."""
        from .normalised_observables import NORMALISED_OBSERVABLES

        return NORMALISED_OBSERVABLES

    def initial_weights(self) -> NDArray[np.float64]:
        """Return a copy of the start: W (d, d), or with the row of a trained gain below it."""
        if not self.trained_gain:
            return self.start.copy()
        row = np.zeros((1, self.dim))
        row[0, 0] = self.gain
        return np.concatenate([self.start, row])

    def matrix_and_gain(self, weights: NDArray[Any]) -> tuple[NDArray[np.float64], float]:
        """Return W (d, d) and the gain of weights."""
        matrix = np.asarray(weights[: self.dim], dtype=np.float64)
        return matrix, float(weights[self.dim, 0]) if self.trained_gain else self.gain

    def normalised(self, weights: NDArray[Any]) -> NDArray[np.float64]:
        """Return n (N, d), without the gain."""
        return self._forward(self.matrix_and_gain(weights)[0])[0]

    def scores(self, weights: NDArray[Any]) -> NDArray[np.float64]:
        """Return (N, M): gain times outputs[y] @ n_x."""
        matrix, gain = self.matrix_and_gain(weights)
        with one_thread(self.n_tokens, self.n_classes, self.dim):
            return gain * self._forward(matrix)[0] @ self.memory.outputs.T

    def loss_and_gradient(self, weights: NDArray[Any]) -> tuple[float, NDArray[np.float64]]:
        """Return the loss and its gradient, shaped as the weights, in NumPy: the plain path, for rules of your own."""
        from .observables import class_margins, residuals, token_losses

        matrix, gain = self.matrix_and_gain(weights)
        with one_thread(self.n_tokens, self.n_classes, self.dim):
            normal, roots = self._forward(matrix)
            scores = gain * normal @ self.memory.outputs.T
            loss = float(self.frequencies @ token_losses(class_margins(scores, self.targets), self.targets))
            pull = self.frequencies[:, None] * residuals(scores, self.targets) @ self.memory.outputs
            gradient = gain * self._backward(pull, normal, roots).T @ self.memory.inputs
        if not self.trained_gain:
            return loss, gradient
        row = np.zeros((1, self.dim))
        row[0, 0] = np.sum(pull * normal)
        return loss, np.concatenate([gradient, row])

    def _forward(self, matrix: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return n, and the roots by which the hidden vectors were divided, in a shape that divides (N, d)."""
        hidden = self.memory.inputs @ matrix.T
        if self.normalisation == "none":
            return hidden, np.ones((1, 1))
        if self.normalisation == "batch":
            hidden = hidden - self.frequencies @ hidden
            squares = self.dim * (self.frequencies @ hidden**2)[None, :]
        else:
            if self.normalisation == "layer":
                hidden = hidden - hidden.mean(axis=1, keepdims=True)
            squares = np.sum(hidden**2, axis=1, keepdims=True)
        roots = np.sqrt(squares + self.epsilon)
        return hidden / roots, roots

    def _backward(
        self, pull: NDArray[np.float64], normal: NDArray[np.float64], roots: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Return the gradient by the hidden vectors of that by n, (N, d)."""
        if self.normalisation == "none":
            return pull
        if self.normalisation == "batch":
            shares = self.frequencies[:, None]
            moved = (pull - self.dim * shares * normal * np.sum(pull * normal, axis=0)) / roots
            return moved - shares * moved.sum(axis=0)  # type: ignore[no-any-return]
        moved = (pull - normal * np.sum(pull * normal, axis=1, keepdims=True)) / roots
        return np.asarray(moved - moved.mean(axis=1, keepdims=True) if self.normalisation == "layer" else moved)

    def system(self, rule: Any, **options: Any) -> System | None:
        """Return this memory moved by one of the package's rules in compiled code; None for another rule."""
        from .normalised_system import normalised_system

        return normalised_system(self, rule, **options)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the memory, the normalisation and the start: the same on every machine."""
        numbers = f"{self.gain.hex()} {self.epsilon.hex()} {self.trained_gain}"
        state = hashlib.sha256(f"traindyn.NormalisedMemory.1 {self.memory.digest} {self.normalisation} ".encode())
        state.update(f"{numbers} {self.start.shape}".encode())
        state.update(self.start.astype("<f8", copy=False).tobytes())
        return state.hexdigest()

    def __eq__(self, other: object) -> bool:
        return self.digest == other.digest if isinstance(other, NormalisedMemory) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.digest)

    def __repr__(self) -> str:
        gain = f"gain {self.gain:.3g}{', trained' if self.trained_gain else ''}"
        return (
            f"NormalisedMemory({self.normalisation}, {self.n_tokens} tokens, {self.n_classes} classes, "
            f"dim {self.dim}, {gain}, digest {self.digest[:8]})"
        )

    def __getstate__(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in _PARTS}

    def __setstate__(self, state: dict[str, Any]) -> None:
        state["start"].flags.writeable = False
        for name, value in state.items():
            object.__setattr__(self, name, value)
