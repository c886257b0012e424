"""Lane-wise arithmetic: + - * / and minus signs, fused products, extremes, roots and roundings.

A scalar among the operands is converted to the vector's type and stands in every lane.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

from . import expression
from .expression import Expression
from .instruction import instruction, operator_instruction
from .splatting import spread
from .vector_types import FLOATS, Vector, is_number


def alike(*kinds: Any) -> Any:
    """Typing of lane-wise operations: vectors of one type, or scalars beside them; the same type comes out."""
    vector = next((kind for kind in kinds if isinstance(kind, Vector)), None)
    if vector is None or not all(kind == vector or is_number(kind) for kind in kinds):
        return None
    return vector, [vector if kind == vector else vector.dtype for kind in kinds]


def floats_alike(*kinds: Any) -> Any:
    """As `alike`, for floats only."""
    typed = alike(*kinds)
    return typed if typed is not None and typed[0].dtype in FLOATS else None


def _teach_arithmetic(symbol: Any, in_place: Any, typing: Callable[..., Any]) -> None:
    def write(left: Expression, right: Expression) -> Expression:
        result: Expression = symbol(*spread(left, right))
        return result

    for key in (symbol, in_place):
        operator_instruction(key, lambda left, right: typing(left, right))(write)


_teach_arithmetic(operator.add, operator.iadd, alike)
_teach_arithmetic(operator.sub, operator.isub, alike)
_teach_arithmetic(operator.mul, operator.imul, alike)
_teach_arithmetic(operator.truediv, operator.itruediv, floats_alike)


@operator_instruction(operator.neg, lambda vector: alike(vector))
def _negative(vector: Expression) -> Expression:
    return -vector


def _three(left: Any, right: Any, addend: Any) -> Any:
    return floats_alike(left, right, addend)


@instruction(_three)
def fma(left: Expression, right: Expression, addend: Expression) -> Expression:
    """Return left * right + addend, rounded once."""
    return expression.fma(*spread(left, right, addend))


@instruction(_three)
def fnma(left: Expression, right: Expression, addend: Expression) -> Expression:
    """Return addend - left * right, rounded once."""
    left, right, addend = spread(left, right, addend)
    return expression.fma(-left, right, addend)


@instruction(lambda left, right: floats_alike(left, right))
def maximum(left: Expression, right: Expression) -> Expression:
    """Return left where left > right, else right: the second operand where one of them is a NaN."""
    return expression.larger(*spread(left, right))


@instruction(lambda left, right: floats_alike(left, right))
def minimum(left: Expression, right: Expression) -> Expression:
    """Return left where left < right, else right: the second operand where one of them is a NaN."""
    return expression.smaller(*spread(left, right))


def _one(vector: Any) -> Any:
    return floats_alike(vector)


@instruction(_one)
def absolute(vector: Expression) -> Expression:
    """Return |x|."""
    return vector.call("fabs")


@instruction(_one)
def square_root(vector: Expression) -> Expression:
    """Return the square root, correctly rounded; NaN below zero."""
    return vector.call("sqrt")


@instruction(_one)
def floor(vector: Expression) -> Expression:
    """Return the largest integer not above x."""
    return vector.call("floor")


@instruction(_one)
def nearest(vector: Expression) -> Expression:
    """Return the nearest integer, the even one of two."""
    return vector.call("rint")
