"""Names for the arrays that go through the kernels; every array is C-contiguous, in native byte order."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

Vector: TypeAlias = NDArray[Any]
"""One axis, float64 or float32."""

Matrix: TypeAlias = NDArray[Any]
"""Two axes, float64 or float32."""

Labels: TypeAlias = NDArray[np.int64]
"""One class index a token, int64."""

__all__ = ["ArrayLike", "Labels", "Matrix", "Vector"]
