"""One scalar in every lane."""

from __future__ import annotations

from typing import Any

from llvmlite import ir

from .expression import Expression
from .instruction import instruction
from .vector_types import lanes_of, vector_of


def spread(*operands: Expression) -> list[Expression]:
    """Return the operands with every scalar among them put in all lanes of the vectors."""
    lanes = max(operand.lanes for operand in operands)
    return [operand if operand.lanes == lanes else in_all_lanes(operand, lanes) for operand in operands]


def in_all_lanes(scalar: Expression, lanes: int) -> Expression:
    """Return the vector with a scalar in every lane."""
    kind = ir.VectorType(scalar.type, lanes)
    first = scalar.builder.insert_element(ir.Constant(kind, ir.Undefined), scalar.value, ir.Constant(ir.IntType(32), 0))
    zeros = ir.Constant(ir.VectorType(ir.IntType(32), lanes), [0] * lanes)
    return scalar.new(scalar.builder.shuffle_vector(first, ir.Constant(kind, ir.Undefined), zeros))


def _splat_type(scalar: Any) -> Any:
    vector = vector_of(scalar)
    return None if vector is None else (vector, [vector.dtype])


@instruction(_splat_type)
def splat(scalar: Expression) -> Expression:
    """Return the full vector with a scalar in every lane."""
    return in_all_lanes(scalar, lanes_of(scalar.bits))
