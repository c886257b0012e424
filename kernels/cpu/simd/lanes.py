"""Single lanes of a vector, and folding all of them into one number."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types

from . import expression
from .expression import Expression
from .instruction import instruction
from .splatting import in_all_lanes
from .vector_types import FLOATS, Vector, lanes_of, vector_of


def _counted(thing: Any) -> Any:
    vector = thing if isinstance(thing, Vector) else vector_of(getattr(thing, "dtype", thing))
    return None if vector is None else (types.intp, [thing])


@instruction(_counted)
def lanes(thing: Any) -> Expression:
    """Return the number of lanes of a vector, or of a full vector of the numbers in an array or of a scalar's type.

    A constant of the compiled code.
    """
    if isinstance(thing, Expression):
        builder, count = thing.builder, thing.lanes or lanes_of(thing.bits)
    else:
        builder, count = thing[1], lanes_of(thing[2].dtype.bitwidth)
    return Expression(builder, ir.Constant(ir.IntType(64), count))


def _at_lane(vector: Any, lane: Any, result: Callable[[Any], Any]) -> Any:
    valid = isinstance(vector, Vector) and isinstance(lane, types.Integer)
    return (result(vector), [vector, types.intp]) if valid else None


@instruction(lambda vector, lane: _at_lane(vector, lane, lambda kind: kind.dtype))
def extract(vector: Expression, lane: Expression) -> Expression:
    """Return the scalar in a lane, 0 <= lane < lanes; nothing is checked."""
    return vector.new(vector.builder.extract_element(vector.value, lane.value))


@instruction(lambda vector, lane: _at_lane(vector, lane, lambda kind: kind))
def splat_lane(vector: Expression, lane: Expression) -> Expression:
    """Return the vector with the scalar of one lane in every lane."""
    return in_all_lanes(vector.new(vector.builder.extract_element(vector.value, lane.value)), vector.lanes)


def _insert_type(vector: Any, lane: Any, scalar: Any) -> Any:
    typed = _at_lane(vector, lane, lambda kind: kind)
    valid = typed is not None and isinstance(scalar, (types.Integer, types.Float))
    return (vector, [vector, types.intp, vector.dtype]) if valid else None


@instruction(_insert_type)
def insert(vector: Expression, lane: Expression, scalar: Expression) -> Expression:
    """Return the vector with a scalar put in one lane."""
    return vector.new(vector.builder.insert_element(vector.value, scalar.value, lane.value))


@instruction(lambda vector: (vector, [vector]) if isinstance(vector, Vector) else None)
def lane_numbers(vector: Expression) -> Expression:
    """Return 0, 1, 2, ... as a vector of the same type."""
    number = float if vector.is_float else int
    return vector.new(ir.Constant(vector.type, [number(lane) for lane in range(vector.lanes)]))


def _fold(vector: Expression, join: Callable[[Expression, Expression], Expression]) -> Expression:
    """Join the lower half of the lanes with the upper half, until one lane is left: an order fixed by the width."""
    builder, count = vector.builder, vector.lanes
    while count > 1:
        count //= 2
        kind = ir.VectorType(ir.IntType(32), count)
        nothing = ir.Constant(vector.type, ir.Undefined)
        low = builder.shuffle_vector(vector.value, nothing, ir.Constant(kind, list(range(count))))
        high = builder.shuffle_vector(vector.value, nothing, ir.Constant(kind, list(range(count, 2 * count))))
        vector = join(vector.new(low), vector.new(high))
    return vector.new(builder.extract_element(vector.value, ir.Constant(ir.IntType(32), 0)))


def _scalar_from_floats(vector: Any) -> Any:
    return (vector.dtype, [vector]) if isinstance(vector, Vector) and vector.dtype in FLOATS else None


@instruction(_scalar_from_floats)
def sum_lanes(vector: Expression) -> Expression:
    """Return the sum over the lanes, lower half plus upper half again and again.

    The last bits of a sum depend on how it is divided into lanes, and so on the width of the vectors.
    """
    return _fold(vector, lambda low, high: low + high)


@instruction(_scalar_from_floats)
def max_lanes(vector: Expression) -> Expression:
    """Return the largest lane; unspecified where a lane is a NaN."""
    return _fold(vector, expression.larger)


@instruction(_scalar_from_floats)
def min_lanes(vector: Expression) -> Expression:
    """Return the smallest lane; unspecified where a lane is a NaN."""
    return _fold(vector, expression.smaller)
