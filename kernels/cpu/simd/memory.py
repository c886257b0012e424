"""Vectors from and to arrays.

Arrays are C-contiguous, of any dimension; `index` counts elements from the start of the array's memory, and no bound
is checked. Nothing need be aligned.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core.errors import TypingError

from .expression import Expression
from .instruction import instruction
from .masks import first_of
from .splatting import in_all_lanes
from .vector_types import lanes_of, vector_of

Array = tuple[Any, Any, Any, Any]


def _vector_in(array: Any, *integers: Any) -> Any:
    vector = vector_of(array.dtype) if isinstance(array, types.Array) else None
    if vector is None or not all(isinstance(integer, types.Integer) for integer in integers):
        return None
    if array.layout != "C":
        raise TypingError(f"vectors are loaded from and stored to C-contiguous arrays; got {array}")
    return vector


def _writable(array: Any) -> None:
    if not array.mutable:
        raise TypingError(f"vectors are not stored to read-only arrays; got {array}")


def _pointer(array: Array, index: Expression) -> Any:
    """Return the pointer to an element."""
    context, builder, kind, value = array
    data = context.make_array(kind)(context, builder, value).data
    return builder.gep(builder.bitcast(data, context.get_data_type(kind.dtype).as_pointer()), [index.value])


def _vector_pointer(array: Array, index: Expression) -> Any:
    """Return the pointer to the vector that starts at an element."""
    element = array[0].get_data_type(array[2].dtype)
    kind = ir.VectorType(element, lanes_of(array[2].dtype.bitwidth))
    return array[1].bitcast(_pointer(array, index), kind.as_pointer())


def _load_type(array: Any, index: Any) -> Any:
    vector = _vector_in(array, index)
    return None if vector is None else (vector, [array, types.intp])


@instruction(_load_type)
def load(array: Array, index: Expression) -> Expression:
    """Return the vector that starts at element `index`."""
    loaded = index.new(index.builder.load(_vector_pointer(array, index)))
    loaded.value.align = loaded.bits // 8
    return loaded


@instruction(_load_type)
def splat_at(array: Array, index: Expression) -> Expression:
    """Return the full vector with element `index` in every lane."""
    element = index.new(index.builder.load(_pointer(array, index)))
    return in_all_lanes(element, lanes_of(element.bits))


def _store_type(array: Any, index: Any, vector: Any) -> Any:
    if _vector_in(array, index) is None or vector != _vector_in(array, index):
        return None
    _writable(array)
    return types.none, [array, types.intp, vector]


@instruction(_store_type)
def store(array: Array, index: Expression, vector: Expression) -> None:
    """Write the vector to the elements from `index` on."""
    stored = index.builder.store(vector.value, _vector_pointer(array, index))
    stored.align = vector.bits // 8


def _load_first_type(array: Any, index: Any, count: Any, fill: Any) -> Any:
    vector = _vector_in(array, index, count)
    if vector is None or not isinstance(fill, (types.Integer, types.Float)):
        return None
    return vector, [array, types.intp, types.intp, array.dtype]


@instruction(_load_first_type)
def load_first(array: Array, index: Expression, count: Expression, fill: Expression) -> Expression:
    """Return the vector of the `count` elements from `index` on, with `fill` in the lanes beyond.

    Memory beyond the `count` elements is not touched; count <= 0 gives `fill` in every lane.
    """
    pointer = index.new(_vector_pointer(array, index))
    others = in_all_lanes(fill, lanes_of(fill.bits))
    alignment = index.new(ir.Constant(ir.IntType(32), fill.bits // 8))
    arguments = [pointer, alignment, first_of(others.lanes, others.bits, count), others]
    return index.call_mixed(f"llvm.masked.load.{others.suffix}.p0", others.type, arguments)


def _store_first_type(array: Any, index: Any, count: Any, vector: Any) -> Any:
    if _vector_in(array, index, count) is None or vector != _vector_in(array, index, count):
        return None
    _writable(array)
    return types.none, [array, types.intp, types.intp, vector]


@instruction(_store_first_type)
def store_first(array: Array, index: Expression, count: Expression, vector: Expression) -> None:
    """Write the first `count` lanes to the elements from `index` on; memory beyond them is not touched."""
    pointer = index.new(_vector_pointer(array, index))
    alignment = index.new(ir.Constant(ir.IntType(32), vector.bits // 8))
    mask = first_of(vector.lanes, vector.bits, count)
    index.call_mixed(f"llvm.masked.store.{vector.suffix}.p0", ir.VoidType(), [vector, pointer, alignment, mask])
