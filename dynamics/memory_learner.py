"""What problems share that learn the associations of a memory through parameters other than W itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from .associative_memory import AssociativeMemory


class MemoryLearner:
    """A problem with a `memory`, whose tokens, classes and frequencies are its own."""

    memory: AssociativeMemory

    @property
    def n_tokens(self) -> int:
        """N, the number of tokens."""
        return self.memory.n_tokens

    @property
    def n_classes(self) -> int:
        """M, the number of classes."""
        return self.memory.n_classes

    @property
    def dim(self) -> int:
        """d, the dimension of the embeddings."""
        return self.memory.dim

    @property
    def targets(self) -> NDArray[np.int64]:
        """(N,): the class of each token."""
        return self.memory.targets

    @property
    def frequencies(self) -> NDArray[np.float64]:
        """(N,): the frequency of each token."""
        return self.memory.frequencies
