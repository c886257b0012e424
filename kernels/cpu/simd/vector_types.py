"""The types that compiled code gives to vectors and masks, and their places in registers.

A `Vector` is a fixed number of floats or integers in one register; a `Mask` is one truth value for each of its lanes.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import models, register_model

from ...vector_width import vector_bits

LANES64: int = vector_bits() // 64
"""Lanes of a vector of float64."""

LANES32: int = vector_bits() // 32
"""Lanes of a vector of float32."""

FLOATS = (types.float64, types.float32)


class Vector(types.Type):  # type: ignore[misc]
    """Numbers of one numba type `dtype` in `lanes` lanes."""

    def __init__(self, dtype: Any, lanes: int) -> None:
        self.dtype, self.lanes = dtype, lanes
        super().__init__(name=f"Vector({dtype} x {lanes})")


class Mask(types.Type):  # type: ignore[misc]
    """One bit for each of `lanes` lanes."""

    def __init__(self, lanes: int) -> None:
        self.lanes = lanes
        super().__init__(name=f"Mask({lanes})")


@register_model(Vector)
class _VectorModel(models.PrimitiveModel):  # type: ignore[misc]
    def __init__(self, manager: Any, kind: Vector) -> None:
        super().__init__(manager, kind, ir.VectorType(manager[kind.dtype].get_value_type(), kind.lanes))


@register_model(Mask)
class _MaskModel(models.PrimitiveModel):  # type: ignore[misc]
    def __init__(self, manager: Any, kind: Mask) -> None:
        super().__init__(manager, kind, ir.VectorType(ir.IntType(1), kind.lanes))


def lanes_of(bits: int) -> int:
    """Return how many numbers of 64 or 32 bits a vector holds."""
    return LANES64 if bits == 64 else LANES32


def vector_of(dtype: Any) -> Any:
    """Return the type of a full vector of numbers of a numba type; None where it is not of 64 or 32 bits."""
    bits = getattr(dtype, "bitwidth", 0)
    return Vector(dtype, lanes_of(bits)) if bits in (32, 64) else None


def is_number(kind: Any) -> bool:
    """Whether a numba type is that of a scalar that an operation with a vector converts to the vector's type."""
    return isinstance(kind, (types.Integer, types.Float))
