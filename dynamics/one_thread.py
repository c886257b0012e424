"""One thread for BLAS: the bits of a large product depend on how many share it, and a result must not."""

from __future__ import annotations

import contextlib
from typing import Any

# NumPy's and SciPy's BLAS share no product of matrices up to this size (OpenBLAS: from 96 x 96 on)
_NEVER_SHARED = 64


def one_thread(*sizes: int) -> contextlib.AbstractContextManager[Any]:
    """Return a context in which BLAS stays in the calling thread; for small sizes it costs nothing.

    >>> with one_thread(2, 3):
    ...     pass
    """
    if max(sizes) <= _NEVER_SHARED:
        return contextlib.nullcontext()
    from ..kernels.compile import single_threaded_blas

    return single_threaded_blas
