"""Memories whose W has a structure: a product of two factors, blocks on the diagonal, or both."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import InputError
from .associative_memory import AssociativeMemory
from .memory_learner import MemoryLearner
from .numbers import integer, random_generator, read_only, real
from .one_thread import one_thread

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .numbers import Seed
    from .problem import State
    from .system import System

__all__ = ["BlockMemory", "FactorisedMemory"]


class _Structured(MemoryLearner):
    """What the structured memories share: the problem that they learn, and how W comes from their parameters."""

    memory: AssociativeMemory
    blocks: int

    default_observables = ("loss", "accuracy", "margin")

    @cached_property
    def inputs_in_blocks(self) -> NDArray[np.float64]:
        """(k, N, d/k): the parts of the inputs that each block sees. Read-only."""
        return _cut(self.memory.inputs, self.blocks)

    @cached_property
    def outputs_in_blocks(self) -> NDArray[np.float64]:
        """(k, M, d/k): the parts of the outputs that each block writes. Read-only."""
        return _cut(self.memory.outputs, self.blocks)

    def product(self, weights: NDArray[Any]) -> NDArray[np.float64]:
        """Return W (d, d) of the parameters."""
        raise NotImplementedError

    def initial_weights(self) -> NDArray[np.float64]:
        """Return a copy of the parameters at the start."""
        raise NotImplementedError

    def scores(self, weights: NDArray[Any]) -> NDArray[np.float64]:
        """Return (N, M): outputs[y] @ W @ inputs[x]."""
        return self.memory.scores(self.product(weights))

    def loss_and_full_gradient(self, weights: NDArray[Any]) -> tuple[float, NDArray[np.float64]]:
        """Return the loss and its gradient with respect to W (d, d), zero outside the blocks."""
        with one_thread(self.n_tokens, self.n_classes, self.dim):
            loss, gradient = self.memory.loss_and_gradient(self.product(weights))
            return loss, gradient if self.blocks == 1 else gradient * self._mask

    @cached_property
    def _mask(self) -> NDArray[np.float64]:
        side = self.dim // self.blocks
        return read_only(np.kron(np.eye(self.blocks), np.ones((side, side))))

    def system(self, rule: Any, **options: Any) -> System | None:
        """Return this memory moved by one of the package's rules in compiled code; None for another rule."""
        from .factorised_system import factorised_system

        return factorised_system(self, rule, **options)

    def _digest(self, *parts: bytes) -> str:
        state = hashlib.sha256(f"traindyn.{type(self).__name__}.1 {self.memory.digest} {self.blocks}".encode())
        for part in parts:
            state.update(part)
        return state.hexdigest()

    @property
    def digest(self) -> str:
        """SHA-256 of the content, in hexadecimal."""
        raise NotImplementedError

    def __eq__(self, other: object) -> bool:
        return self.digest == other.digest if isinstance(other, type(self)) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.digest)


@dataclass(frozen=True, eq=False, repr=False)
class FactorisedMemory(_Structured):
    r"""Learn the associations of a memory with $W = A B^\top$, two factors in place of one matrix.

    The factors A, B (d, r) are the weights, an array (2, d, r): A first. With G the gradient with respect to W,

    $$\nabla_A L = G B, \quad \nabla_B L = G^\top A, \quad \Delta W = -\eta\,(G B B^\top + A A^\top G) + O(\eta^2).$$

    With blocks k > 1, W is block-diagonal, with blocks $A_b B_b^\top$ of the rows b d/k, ... of both factors.

    Arguments:
        memory: the `AssociativeMemory` to learn.
        rank: r >= 1, of each block; beyond d/k it makes the factors redundant, which is allowed.
        scale: standard deviation > 0 of the independent normal entries of both factors at the start;
            1 / sqrt(d) by default. At zero the gradient vanishes: nothing would be learned.
        balanced: whether the start is A = P sqrt(S), B = Q sqrt(S), where P S Q^T is the singular value decomposition
            of the product of the random factors: the same W, and A^T A = B^T B, which gradient flow conserves.
        blocks: k >= 1, which divides d.
        rng: seed of the start: an integer, a SeedSequence or a Generator.

    ``simulate(..., initial=factors)`` starts from factors of your own. Two problems are equal when memory, structure
    and start are (``digest``).

    Observables: those of a memory that need no Hessian, with ``weights`` the factors, and ``product`` (d, d), W;
    ``singular_values`` (d,) of W; ``product_norm``, Frobenius; ``nuclear_norm``; ``balance`` (k, r, r), A^T A - B^T B
    of each block, and ``imbalance``, its norm; ``rate_gain``, the learning rate with which W itself would go down the
    loss as fast, in units of the rate of the factors: (|dL/dA|^2 + |dL/dB|^2) / |G|^2.

    Raises: InputError.

    Cost: a step of the package's rules takes 4 (N + M) d r + 6 N M r operations, in compiled code.

    Source: the review of Cabannes, Simsek, Bietti 2024, open question 1; Saxe, McClelland, Ganguli 2014.

    >>> from traindyn.dynamics import GradientDescent, simulate
    >>> memory = FactorisedMemory(AssociativeMemory.random(4, 4, 8), rank=2, scale=1e-3, balanced=True)
    >>> memory
    FactorisedMemory(4 tokens, 4 classes, dim 8, rank 2, scale 0.001, balanced, digest ...)
    >>> run = simulate(memory, GradientDescent(1.0), steps=400, observe=("loss", "singular_values"))
    >>> run["singular_values"][[0, 30, 60, 400]].round(1)[:, :3].tolist()
    [[0.0, 0.0, 0.0], [3.8, 0.0, 0.0], [10.5, 3.4, 0.0], [22.2, 14.1, 0.0]]
    """

    memory: AssociativeMemory
    rank: int
    scale: float
    balanced: bool
    blocks: int
    start: NDArray[np.float64]

    def __init__(
        self, memory: AssociativeMemory, rank: int, scale: float | None = None, balanced: bool = False,
        blocks: int = 1, rng: Seed = 0,
    ) -> None:  # fmt: skip
        _check_memory(memory)
        width = integer("rank", rank, minimum=1)
        deviation = 1.0 / math.sqrt(memory.dim) if scale is None else real("scale", scale, above=0.0)
        if not isinstance(balanced, (bool, np.bool_)):
            raise InputError("balanced must be True or False", repr(balanced))
        count = _checked_blocks(blocks, memory.dim)
        start = random_generator(rng).standard_normal((2, memory.dim, width))
        with np.errstate(over="ignore"):
            largest = memory.dim * width * (deviation * np.abs(start).max()) ** 2
        if not largest < math.inf:
            raise InputError("scale must leave W = A B^T within the range of float64", deviation, "pass a smaller one")
        start *= deviation
        if balanced:
            start = _balanced(start, count)
        values = {"memory": memory, "rank": width, "scale": deviation, "balanced": bool(balanced), "blocks": count}
        self.__setstate__({**values, "start": start})

    @property
    def observables(self) -> Mapping[str, Callable[[State], Any]]:
        """Name -> function of a `State`, all that `observe=` takes by name."""
        from .factorised_observables import FACTORISED_OBSERVABLES

        return FACTORISED_OBSERVABLES

    def initial_weights(self) -> NDArray[np.float64]:
        """Return the factors at the start, (2, d, r)."""
        return self.start.copy()

    def product(self, weights: NDArray[Any]) -> NDArray[np.float64]:
        """Return W = A B^T (d, d), block by block."""
        left, right = (np.asarray(factor, dtype=np.float64) for factor in weights)
        with one_thread(self.dim, self.rank):
            whole = left @ right.T
        return whole if self.blocks == 1 else whole * self._mask

    def loss_and_gradient(self, weights: NDArray[Any]) -> tuple[float, NDArray[np.float64]]:
        """Return the loss and its gradient (2, d, r) in NumPy: the plain path, for rules of your own."""
        loss, gradient = self.loss_and_full_gradient(weights)
        with one_thread(self.dim, self.rank):
            return loss, np.stack([gradient @ weights[1], gradient.T @ weights[0]])

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the memory, the structure and the start: the same on every machine."""
        return self._digest(f"{self.start.shape}".encode(), self.start.astype("<f8", copy=False).tobytes())

    def __repr__(self) -> str:
        cut = f", {self.blocks} blocks" if self.blocks > 1 else ""
        sizes = f"{self.n_tokens} tokens, {self.n_classes} classes, dim {self.dim}"
        return (
            f"FactorisedMemory({sizes}, rank {self.rank}{cut}, "
            f"scale {self.scale:.3g}{', balanced' if self.balanced else ''}, digest {self.digest[:8]})"
        )

    def __getstate__(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in ("memory", "rank", "scale", "balanced", "blocks", "start")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        state["start"].flags.writeable = False
        for name, value in state.items():
            object.__setattr__(self, name, value)


@dataclass(frozen=True, eq=False, repr=False)
class BlockMemory(_Structured):
    r"""Learn the associations of a memory with a block-diagonal W: what a block reads, it alone writes.

    The weights are the k blocks $W_b$, an array (k, d/k, d/k) that starts at zero. The score of class y on token x is
    $\sum_b u_{y,b}^\top W_b\, e_{x,b}$, with the parts of the embeddings in the coordinates of block b.

    Arguments:
        memory: the `AssociativeMemory` to learn.
        blocks: k >= 1, which divides d; 1 is the memory itself, k = d a diagonal W.

    Observables: those of a memory that need no Hessian, with ``weights`` the blocks, and ``product`` (d, d), W;
    ``singular_values`` (d,), ``product_norm`` and ``nuclear_norm`` of W.

    Raises: InputError. Cost: a step of the package's rules takes 4 min(N, M) d^2 / k + 4 N M d operations at most.

    Source: the review of Cabannes, Simsek, Bietti 2024, open question 1.

    >>> BlockMemory(AssociativeMemory.random(4, 4, 8), blocks=2)
    BlockMemory(4 tokens, 4 classes, dim 8, 2 blocks of 4, digest ...)
    """

    memory: AssociativeMemory
    blocks: int

    def __init__(self, memory: AssociativeMemory, blocks: int) -> None:
        _check_memory(memory)
        self.__setstate__({"memory": memory, "blocks": _checked_blocks(blocks, memory.dim)})

    @property
    def observables(self) -> Mapping[str, Callable[[State], Any]]:
        """Name -> function of a `State`, all that `observe=` takes by name."""
        from .factorised_observables import STRUCTURED_OBSERVABLES

        return STRUCTURED_OBSERVABLES

    def initial_weights(self) -> NDArray[np.float64]:
        """Return zero, (k, d/k, d/k)."""
        side = self.dim // self.blocks
        return np.zeros((self.blocks, side, side))

    def product(self, weights: NDArray[Any]) -> NDArray[np.float64]:
        """Return W (d, d), the blocks on its diagonal."""
        side = self.dim // self.blocks
        whole = np.zeros((self.blocks, side, self.blocks, side))
        places = np.arange(self.blocks)
        whole[places, :, places] = weights
        return whole.reshape(self.dim, self.dim)

    def loss_and_gradient(self, weights: NDArray[Any]) -> tuple[float, NDArray[np.float64]]:
        """Return the loss and its gradient (k, d/k, d/k) in NumPy: the plain path, for rules of your own."""
        loss, gradient = self.memory.loss_and_gradient(self.product(weights))
        side, places = self.dim // self.blocks, np.arange(self.blocks)
        return loss, gradient.reshape(self.blocks, side, self.blocks, side)[places, :, places]

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the memory and the blocks: the same on every machine."""
        return self._digest()

    def __repr__(self) -> str:
        return (
            f"BlockMemory({self.n_tokens} tokens, {self.n_classes} classes, dim {self.dim}, "
            f"{self.blocks} blocks of {self.dim // self.blocks}, digest {self.digest[:8]})"
        )

    def __getstate__(self) -> dict[str, Any]:
        return {"memory": self.memory, "blocks": self.blocks}

    def __setstate__(self, state: dict[str, Any]) -> None:
        for name, value in state.items():
            object.__setattr__(self, name, value)


def _cut(rows: NDArray[np.float64], blocks: int) -> NDArray[np.float64]:
    return read_only(np.ascontiguousarray(rows.reshape(len(rows), blocks, -1).transpose(1, 0, 2)))


def _check_memory(memory: Any) -> None:
    if not isinstance(memory, AssociativeMemory):
        raise InputError("memory must be an AssociativeMemory", type(memory).__name__)


def _checked_blocks(blocks: Any, dim: int) -> int:
    count = integer("blocks", blocks, minimum=1)
    if dim % count:
        divisors = ", ".join(str(k) for k in range(1, dim + 1) if dim % k == 0)
        raise InputError(f"blocks must divide the dimension {dim}", count, f"one of {divisors}")
    return count


def _balanced(start: NDArray[np.float64], blocks: int) -> NDArray[np.float64]:
    """Return factors of the same product, block by block, with A^T A = B^T B diagonal."""
    _, dim, rank = start.shape
    balanced = np.zeros_like(start)
    for rows in np.split(np.arange(dim), blocks):
        with one_thread(dim, rank):
            left, values, right = np.linalg.svd(start[0, rows] @ start[1, rows].T)
        kept = min(rank, rows.size)  # a product of more columns has no more singular values
        roots = np.sqrt(values[:kept])
        balanced[0, rows, :kept] = left[:, :kept] * roots
        balanced[1, rows, :kept] = right[:kept].T * roots
    return balanced
