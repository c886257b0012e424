"""How many bits the vectors of the compiled code have: a choice made once a process, from the CPU's features.

A vector of 512 bits holds 8 numbers of float64 or 16 of float32. The width is the widest that the CPU has (and that
numba was not told to leave alone by ``NUMBA_CPU_NAME``, ``NUMBA_CPU_FEATURES`` or ``NUMBA_ENABLE_AVX=0``);
``TRAINDYN_VECTOR_BITS`` sets it to 512, 256, 128 or 64, on any CPU: what is wider than a register takes several.
"""

from __future__ import annotations

import functools
import os

from ..errors import InputError

WIDTH_VARIABLE = "TRAINDYN_VECTOR_BITS"
WIDTHS = (512, 256, 128, 64)


@functools.cache
def vector_bits() -> int:
    """Return the number of bits of a vector: 512, 256, 128 or 64.

    Raises: `InputError` where ``TRAINDYN_VECTOR_BITS`` is none of them. Cost: imports numba.

    >>> vector_bits() in (512, 256, 128, 64)
    True
    """
    wanted = os.environ.get(WIDTH_VARIABLE, "").strip()
    if wanted:
        if wanted not in {str(width) for width in WIDTHS}:
            law = f"{WIDTH_VARIABLE} must be 512, 256, 128 or 64"
            raise InputError(law, wanted, "unset it to use the CPU's own width")
        return int(wanted)
    features = _features()
    if {"+avx512f", "+avx512dq", "+avx512bw", "+avx512vl"} <= features:
        return 512
    return 256 if "+avx2" in features else 128


def _features() -> frozenset[str]:
    import numba
    from numba.core.codegen import get_host_cpu_features

    # the very features that numba hands to LLVM
    chosen = numba.config.CPU_FEATURES
    text = get_host_cpu_features() if chosen is None else chosen
    return frozenset(text.split(","))
