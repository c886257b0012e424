"""What the formulas need to know of a problem: four arrays, under these names."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import numpy.typing as npt


class Memory(Protocol):
    """Anything with the four arrays of an associative memory; `traindyn.AssociativeMemory` is one.

    Shapes: `inputs` (N, d), `outputs` (M, d), `targets` (N,) integers below M, `frequencies` (N,) positive, sum 1.
    """

    @property
    def inputs(self) -> npt.NDArray[np.float64]:
        """Input embeddings e_x, shape (N, d)."""
        ...

    @property
    def outputs(self) -> npt.NDArray[np.float64]:
        """Output embeddings u_y, shape (M, d)."""
        ...

    @property
    def targets(self) -> npt.NDArray[np.int64]:
        """Target class of each token, shape (N,)."""
        ...

    @property
    def frequencies(self) -> npt.NDArray[np.float64]:
        """Probability of each token, shape (N,)."""
        ...
