"""Comparisons and what is done with their outcome.

A comparison of vectors gives a mask; a NaN compares as in Python: only `!=` is true of it.
"""

from __future__ import annotations

import operator
from typing import Any

from llvmlite import ir
from numba import types

from . import expression
from .arithmetic import alike
from .expression import FROM_OPERATOR, Expression
from .instruction import instruction, operator_instruction
from .splatting import in_all_lanes, spread
from .vector_types import Mask, Vector


def _comparison(left: Any, right: Any) -> Any:
    typed = alike(left, right)
    return None if typed is None else (Mask(typed[0].lanes), typed[1])


def _teach_comparison(symbol: Any, method: str) -> None:
    @operator_instruction(symbol, _comparison)
    def compare(left: Expression, right: Expression) -> Expression:
        left, right = spread(left, right)
        result: Expression = getattr(left, method)(right)
        return result


for _symbol, _method in FROM_OPERATOR.items():
    _teach_comparison(_symbol, _method)


def _two_masks(left: Any, right: Any) -> Any:
    return (left, [left, right]) if isinstance(left, Mask) and left == right else None


def _one_mask(mask: Any, result: Any) -> Any:
    return (result, [mask]) if isinstance(mask, Mask) else None


@operator_instruction(operator.and_, _two_masks)
@operator_instruction(operator.iand, _two_masks)
def _and(left: Expression, right: Expression) -> Expression:
    return left & right


@operator_instruction(operator.or_, _two_masks)
@operator_instruction(operator.ior, _two_masks)
def _or(left: Expression, right: Expression) -> Expression:
    return left | right


@operator_instruction(operator.xor, _two_masks)
@operator_instruction(operator.ixor, _two_masks)
def _xor(left: Expression, right: Expression) -> Expression:
    return left ^ right


@operator_instruction(operator.invert, lambda mask: _one_mask(mask, mask))
def _not(mask: Expression) -> Expression:
    return ~mask


def _select_type(mask: Any, yes: Any, no: Any) -> Any:
    typed = alike(yes, no)
    if not isinstance(mask, Mask) or typed is None or typed[0].lanes != mask.lanes:
        return None
    return typed[0], [mask, *typed[1]]


@instruction(_select_type)
def select(mask: Expression, yes: Expression, no: Expression) -> Expression:
    """Return `yes` in the lanes of the mask, `no` in the others; one of them at least is a vector."""
    return expression.select(mask, *spread(yes, no))


def as_bits(mask: Expression) -> Expression:
    """Return a mask as an integer of as many bits, lane 0 the lowest."""
    return mask.new(mask.builder.bitcast(mask.value, ir.IntType(mask.lanes)))


@instruction(lambda mask: _one_mask(mask, types.boolean))
def any_lane(mask: Expression) -> Expression:
    """Whether some lane is true."""
    return as_bits(mask).differs(0)


@instruction(lambda mask: _one_mask(mask, types.boolean))
def all_lanes(mask: Expression) -> Expression:
    """Whether every lane is true."""
    return as_bits(mask).equals(-1)


@instruction(lambda mask: _one_mask(mask, types.int64))
def mask_bits(mask: Expression) -> Expression:
    """Return the mask as an integer, lane i as bit i."""
    return mask.new(mask.builder.zext(as_bits(mask).value, ir.IntType(64)))


@instruction(lambda mask: _one_mask(mask, types.int64))
def count_lanes(mask: Expression) -> Expression:
    """Return the number of true lanes."""
    return mask.new(mask.builder.zext(as_bits(mask).value, ir.IntType(64))).call("ctpop")


def first_of(lanes: int, bits: int, count: Expression) -> Expression:
    """Return the mask of the first `count` of `lanes` lanes; `bits` is the width of the numbers it is used with."""
    inside = expression.larger(expression.smaller(count, lanes), 0)
    narrow = ir.IntType(min(bits, 32))
    numbers = ir.Constant(ir.VectorType(narrow, lanes), list(range(lanes)))
    return count.new(numbers) < in_all_lanes(count.new(count.builder.trunc(inside.value, narrow)), lanes)


def _first_lanes_type(vector: Any, count: Any) -> Any:
    valid = isinstance(vector, Vector) and isinstance(count, types.Integer)
    return (Mask(vector.lanes), [vector, types.intp]) if valid else None


@instruction(_first_lanes_type)
def first_lanes(vector: Expression, count: Expression) -> Expression:
    """Return the mask of the first `count` lanes of a vector like this one: none for count <= 0, at most all."""
    return first_of(vector.lanes, vector.bits, count)
