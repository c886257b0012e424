"""The associative memory: fixed embeddings, a table of labels, and one matrix W to learn."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import InputError
from . import embeddings
from .numbers import finite_array, integer, random_generator, read_only
from .one_thread import one_thread

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import ArrayLike, NDArray

    from .draws import Span
    from .numbers import Seed
    from .problem import State
    from .system import System

__all__ = ["AssociativeMemory"]

_FREQUENCY_TOLERANCE = 1e-9


def second_coordinate(alpha: float) -> float:
    """Return sqrt(1 - alpha^2), with full relative precision near the ends too."""
    return math.sqrt((1.0 - alpha) * (1.0 + alpha))


@dataclass(frozen=True, eq=False, repr=False)
class AssociativeMemory:
    r"""Learn N associations token x -> class f(x) with one matrix W.

    The score of class y on token x is ``outputs[y] @ W @ inputs[x]``, and the loss is the cross entropy

    $$L(W) = \sum_x p(x) [\log \sum_y e^{S_{xy}} - S_{x f(x)}], \quad S = E W^T U^T.$$

    Arguments:
        inputs: (N, d), one embedding e_x per token; duplicates and zero vectors are allowed.
        outputs: (M, d), one embedding u_y per class, M >= 2.
        targets: (N,) integers in [0, M), the class of each token.
        frequencies: (N,) positive numbers; their sum lies within 1e-9 of 1 and is then normalised.

    The arrays are copied (C order, float64 and int64) and read-only. Two memories are equal when their
    content is (``digest``).

    Raises: InputError naming the array, the law that it breaks and the first offending entry.
    Cost: one copy of the arrays; the digest and the Gram matrices are computed on first use.
    Source: Cabannes, Simsek, Bietti 2024, equations (1)-(3).

    >>> memory = AssociativeMemory([[1, 0], [0, 1]], [[1, 0], [0, 1]], [0, 1], [0.75, 0.25])
    >>> memory
    AssociativeMemory(2 tokens, 2 classes, dim 2, frequencies 0.25 to 0.75, digest 32d4a02a)
    """

    inputs: NDArray[np.float64]
    outputs: NDArray[np.float64]
    targets: NDArray[np.int64]
    frequencies: NDArray[np.float64]

    def __init__(self, inputs: ArrayLike, outputs: ArrayLike, targets: ArrayLike, frequencies: ArrayLike) -> None:
        arrays: dict[str, Any] = {
            "inputs": finite_array("inputs", inputs, dimensions=2, shape="(n_tokens, dim)"),
            "outputs": finite_array("outputs", outputs, dimensions=2, shape="(n_classes, dim)"),
        }
        n_tokens, dim = arrays["inputs"].shape
        n_classes = arrays["outputs"].shape[0]
        if n_tokens < 1 or dim < 1:
            raise InputError("inputs must have shape (n_tokens >= 1, dim >= 1)", arrays["inputs"].shape)
        if arrays["outputs"].shape[1] != dim:
            raise InputError(
                "inputs (n_tokens, dim) and outputs (n_classes, dim) must have the same dim",
                f"shapes {arrays['inputs'].shape} and {arrays['outputs'].shape}",
                "give embeddings of one dimension, one row per token and one row per class",
            )
        if n_classes < 2:
            raise InputError("outputs must hold at least two classes", n_classes, "give one row per class")
        arrays["targets"] = _checked_targets(targets, n_tokens, n_classes)
        arrays["frequencies"] = _checked_frequencies(frequencies, n_tokens)
        self.__setstate__(arrays)

    @classmethod
    def two_tokens(cls, correlation: float = 0.95, frequencies: ArrayLike = (0.75, 0.25)) -> AssociativeMemory:
        r"""Return the two interfering tokens of Section 4.2: f(x) = x, outputs I_2, <e_1, e_2> = correlation.

        $$e_1 = (1, 0), \quad e_2 = (\alpha, \sqrt{1 - \alpha^2}), \quad |u_1 - u_2|^2 = 2.$$

        Arguments:
            correlation: alpha in [-1, 1].
            frequencies: the two frequencies.

        Raises: InputError. Source: Cabannes, Simsek, Bietti 2024, equation (16).

        >>> AssociativeMemory.two_tokens(correlation=0.6, frequencies=(0.5, 0.5)).inputs
        array([[1. , 0. ],
               [0.6, 0.8]])
        """
        alpha = embeddings.checked_correlation(correlation, -1.0, 1.0)
        inputs = [[1.0, 0.0], [alpha, second_coordinate(alpha)]]
        return cls(inputs, [[1.0, 0.0], [0.0, 1.0]], [0, 1], frequencies)

    @classmethod
    def random(
        cls,
        n_tokens: int,
        n_classes: int,
        dim: int,
        embedding: str = "sphere",
        frequencies: str | ArrayLike = "uniform",
        rng: Seed = 0,
        *,
        output_embedding: str | None = None,
        correlation: float | None = None,
    ) -> AssociativeMemory:
        """Return a memory with random embeddings and targets x mod n_classes.

        Arguments:
            n_tokens, n_classes, dim: N, M, d.
            embedding: family of the inputs: "sphere" (uniform unit vectors), "orthonormal" (N <= d),
                "gaussian" (entries N(0, 1/d)), "equicorrelated" (unit vectors, every pair with the same
                correlation) or "clustered" (unit vectors around isqrt(N) centres).
            frequencies: "uniform", "zipf" (p(x) proportional to 1 / (x + 1)) or an array (N,).
            rng: an integer, a SeedSequence or a Generator.
            output_embedding: family of the outputs; "orthonormal" where n_classes <= dim, else "sphere".
            correlation: of "equicorrelated", in [-1/(N-1), 1] (default 0.5); of "clustered", within a cluster
                and on average, in [0, 1] (default 0.9).

        Raises: InputError. Cost: O((N + M) d^2) at most.

        >>> AssociativeMemory.random(8, 3, 16, rng=1).targets
        array([0, 1, 2, 0, 1, 2, 0, 1])
        """
        sizes = {
            "n_tokens": integer("n_tokens", n_tokens, minimum=1),
            "n_classes": integer("n_classes", n_classes, minimum=2),
            "dim": integer("dim", dim, minimum=1),
        }
        count, classes, width = sizes["n_tokens"], sizes["n_classes"], sizes["dim"]
        generator = random_generator(rng)
        family = output_embedding or ("orthonormal" if classes <= width else "sphere")
        with one_thread(*sizes.values()):
            inputs = embeddings.draw("embedding", embedding, count, width, generator, correlation)
            outputs = embeddings.draw("output_embedding", family, classes, width, generator, None)
        weights = embeddings.frequencies(frequencies, count) if isinstance(frequencies, str) else frequencies
        return cls(inputs, outputs, np.arange(count) % classes, weights)

    def with_label_noise(self, share: float) -> AssociativeMemory:
        """Return the memory whose labels are wrong with probability `share`; see `label_noise.with_label_noise`.

        >>> AssociativeMemory.two_tokens().with_label_noise(0.1).targets
        array([0, 1, 1, 0])
        """
        from .label_noise import with_label_noise

        return with_label_noise(self, share)

    @property
    def n_tokens(self) -> int:
        """N, the number of tokens."""
        return int(self.inputs.shape[0])

    @property
    def n_classes(self) -> int:
        """M, the number of classes."""
        return int(self.outputs.shape[0])

    @property
    def dim(self) -> int:
        """d, the dimension of the embeddings."""
        return int(self.inputs.shape[1])

    @cached_property
    def input_gram(self) -> NDArray[np.float64]:
        """(N, N): <e_i, e_j>, the alpha of equation (11). Read-only."""
        with one_thread(*self.inputs.shape):
            return read_only(self.inputs @ self.inputs.T)

    @cached_property
    def output_gram(self) -> NDArray[np.float64]:
        """(M, M): <u_i, u_j>; beta_ijk of equation (11) is its column difference. Read-only."""
        with one_thread(*self.outputs.shape):
            return read_only(self.outputs @ self.outputs.T)

    @cached_property
    def gradient_span(self) -> Span:
        """Bases of what the gradients span, from singular values: computed where noise or recovered weights need it."""
        from .draws import Span

        return Span(self)

    @property
    def observables(self) -> Mapping[str, Callable[[State], Any]]:
        """Name -> function of a `State`, all that `observe=` takes by name."""
        from .observables import MEMORY_OBSERVABLES

        return MEMORY_OBSERVABLES

    default_observables = ("loss", "accuracy", "margin")

    def initial_weights(self) -> NDArray[np.float64]:
        """Return W = 0, (d, d)."""
        return np.zeros((self.dim, self.dim))

    def scores(self, weights: NDArray[Any]) -> NDArray[np.float64]:
        """Return (N, M): outputs[y] @ W @ inputs[x], equation (10)."""
        with one_thread(self.n_tokens, self.n_classes, self.dim):
            return self.inputs @ weights.T @ self.outputs.T  # type: ignore[no-any-return]

    def loss_and_gradient(self, weights: NDArray[Any]) -> tuple[float, NDArray[np.float64]]:
        """Return the loss (2) and its gradient (d, d) (9) in NumPy: the plain path, for rules of your own."""
        from .observables import class_margins, gradient_of_scores, token_losses

        with one_thread(self.n_tokens, self.n_classes, self.dim):
            scores = self.scores(weights)
            loss = float(self.frequencies @ token_losses(class_margins(scores, self.targets), self.targets))
            return loss, gradient_of_scores(self, scores)

    def system(self, rule: Any, **options: Any) -> System | None:
        """Return this memory moved by one of the package's rules in a compiled form; None for another rule."""
        from .memory_system import memory_system

        return memory_system(self, rule, **options)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the content, in hexadecimal: the same on every machine."""
        state = hashlib.sha256(b"traindyn.AssociativeMemory.1")
        for name in ("inputs", "outputs", "targets", "frequencies"):
            array = getattr(self, name)
            state.update(f"{name}{array.shape}".encode())
            state.update(array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes())
        return state.hexdigest()

    def __eq__(self, other: object) -> bool:
        return self.digest == other.digest if isinstance(other, AssociativeMemory) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.digest)

    def __repr__(self) -> str:
        low, high = float(self.frequencies.min()), float(self.frequencies.max())
        spread = f"frequency {low:.3g}" if low == high else f"frequencies {low:.3g} to {high:.3g}"
        return (
            f"AssociativeMemory({self.n_tokens} tokens, {self.n_classes} classes, dim {self.dim}, {spread}, "
            f"digest {self.digest[:8]})"
        )

    def __getstate__(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in ("inputs", "outputs", "targets", "frequencies")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        for name, array in state.items():
            array.flags.writeable = False
            object.__setattr__(self, name, array)


def _checked_targets(targets: ArrayLike, n_tokens: int, n_classes: int) -> NDArray[np.int64]:
    array = np.asarray(targets)
    if array.shape != (n_tokens,):
        raise InputError(f"targets must have shape ({n_tokens},), one class per token", array.shape)
    if array.dtype.kind not in "iu":
        raise InputError("targets must be integers", f"dtype {array.dtype}", "convert with .astype(int)")
    wrong = (array < 0) | (array >= n_classes)
    if wrong.any():
        x = int(np.argmax(wrong))
        raise InputError(
            f"targets must lie in [0, {n_classes}), the rows of outputs", f"targets[{x}] = {array[x]}",
            "count classes from 0, and give one row of outputs per class",
        )  # fmt: skip
    return np.array(array, dtype=np.int64, order="C")


def _checked_frequencies(frequencies: ArrayLike, n_tokens: int) -> NDArray[np.float64]:
    array = finite_array("frequencies", frequencies, dimensions=1, shape="(n_tokens,)")
    if array.shape != (n_tokens,):
        raise InputError(f"frequencies must have shape ({n_tokens},), one per token", array.shape)
    if array.min() <= 0.0:
        x = int(np.argmin(array))
        raise InputError(
            "frequencies must be positive", f"frequencies[{x}] = {array[x]}", "leave out tokens that never occur"
        )
    total = math.fsum(array)
    if abs(total - 1.0) > _FREQUENCY_TOLERANCE:
        raise InputError(
            "frequencies must sum to 1 within 1e-9", f"sum {total!r}", "pass frequencies / frequencies.sum()"
        )
    return array if total == 1.0 else array / total
