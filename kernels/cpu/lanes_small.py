"""A step of many runs of a few tokens and classes, one run per lane of a vector, written out without loops.

Scores stand relative to those of class 0: of (N, M, lanes) the entries of class 0 are always zero. With the target f
of a token taken as the reference of its weights w = exp(s - s_f), neither the residual at the target nor that of class
0 is needed, and the moves of a token are

    moved_xz = rate p_x / (1 + sum_k w_xk) sum_k w_xk <u_k - u_f, u_z - u_0>,       k != f,  z = 1 ... M - 1,

with `pulls` of the target for the products: N (M - 1)^2 + N^2 (M - 1) multiply-adds. As loops of known lengths, laid
out in full, a step is a straight line of instructions whose sums stay in registers.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import NativeValue, models, register_model, typeof_impl, unbox

from .simd.exponential import exp_bounded
from .simd.expression import Expression, fma, larger
from .simd.instruction import instruction
from .simd.logarithm import log1p
from .simd.memory import load, store
from .simd.vector_types import vector_of

_Array = tuple[Any, Any, Any, Any]

MOST = 6
"""Tokens and classes up to which a step is written out."""

_SUMS = 20  # that are kept in registers at once


@dataclass(frozen=True)
class Size:
    """Numbers of tokens and classes that code is compiled for, and whether it computes losses."""

    n_tokens: int
    n_classes: int
    with_loss: bool


class SizeType(types.Type):  # type: ignore[misc]
    """Numba's type of a `Size`: its numbers are part of the type."""

    def __init__(self, size: Size) -> None:
        self.size = size
        super().__init__(name=f"{size}")


@typeof_impl.register(Size)  # type: ignore[untyped-decorator]
def _type_of(size: Size, _: Any) -> SizeType:
    return SizeType(size)


register_model(SizeType)(models.OpaqueModel)


@unbox(SizeType)  # type: ignore[untyped-decorator]
def _unboxed(_: Any, __: Any, context: Any) -> Any:
    return NativeValue(context.context.get_dummy_value())


def _written(function: Any) -> Callable[..., Any]:
    """Return the function that writes the instructions of an instruction."""
    write: Callable[..., Any] = function.__wrapped__
    return write


def _at(array: _Array, index: int) -> Expression:
    """Return the vector at a place counted in vectors, known now."""
    return _from(array, _number(array, index * vector_of(array[2].dtype).lanes))


def _from(array: _Array, index: Expression) -> Expression:
    loaded: Expression = _written(load)(array, index)
    return loaded


def _number(array: _Array, value: int) -> Expression:
    return Expression(array[1], ir.Constant(ir.IntType(64), value))


def _put(array: _Array, index: int, vector: Expression) -> None:
    _written(store)(array, _number(array, index * vector.lanes), vector)


def _integer_at(array: _Array, index: int) -> Expression:
    context, builder, kind, value = array
    data = context.make_array(kind)(context, builder, value).data
    return Expression(builder, builder.load(builder.gep(data, [ir.Constant(ir.IntType(64), index)])))


def _moves_type(size: Any, *arrays: Any) -> Any:
    if not isinstance(size, SizeType) or len(arrays) != 6:
        return None
    vector = vector_of(arrays[0].dtype)
    return types.Tuple((vector, vector)), [size, *arrays]


@instruction(_moves_type)
def small_moves(
    size: Any, scores: _Array, order: _Array, pulls: _Array, frequencies: _Array, rates: _Array, moved: _Array
) -> tuple[Expression, Expression]:
    """Fill moved (N, M - 1, lanes); return how far any wrong class leads at most, and the loss (0 if not wanted).

    Rows led by so much that exponentials overflow are filled with numbers of no meaning: `lead` tells.

    Arguments:
        order: (N, M + 1), where the scores of each token begin, those of the target first, then where its pulls do.
        pulls: (M, M - 1, M - 1, lanes), for each target.
        frequencies, rates: (N, lanes), p and rate times p.
    """
    n_tokens, n_classes = size[2].size.n_tokens, size[2].size.n_classes
    others = range(n_classes - 1)
    loss = _at(scores, 0).like(0.0)
    most = loss.like(-math.inf)
    for token in range(n_tokens):
        right, *places = (_integer_at(order, token * (n_classes + 1) + k) for k in range(n_classes + 1))
        target = _from(scores, right)
        ahead = [_from(scores, place) - target for place in places[:-1]]
        for score in ahead:
            most = larger(score, most)
        weights = [_written(exp_bounded)(score) for score in ahead]
        wrong = weights[0]
        for weight in weights[1:]:
            wrong = wrong + weight
        scale = _at(rates, token) / (wrong + 1.0)
        for z in others:
            pull = None
            for k, weight in enumerate(weights):
                offset = (k * (n_classes - 1) + z) * weight.lanes
                factor = _from(pulls, places[-1] + _number(pulls, offset))
                pull = weight * factor if pull is None else fma(weight, factor, pull)
            _put(moved, token * (n_classes - 1) + z, pull * scale)
        if size[2].size.with_loss:
            loss = fma(_at(frequencies, token), _written(log1p)(wrong), loss)
    return most, loss


def _subtract_type(size: Any, *arrays: Any) -> Any:
    return (types.none, [size, *arrays]) if isinstance(size, SizeType) and len(arrays) == 3 else None


@instruction(_subtract_type)
def small_subtract(size: Any, input_gram: _Array, moved: _Array, scores: _Array) -> None:
    """Subtract input_gram (N, N, lanes) @ moved from the scores of all classes but 0."""
    n_tokens, n_classes = size[2].size.n_tokens, size[2].size.n_classes
    others = range(n_classes - 1)
    height = max(1, _SUMS // (n_classes - 1))
    for first in range(0, n_tokens, height):
        rows = range(first, min(first + height, n_tokens))
        sums = {(x, z): _at(scores, x * n_classes + z + 1) for x in rows for z in others}
        for y in range(n_tokens):
            moves = [_at(moved, y * (n_classes - 1) + z) for z in others]
            for x in rows:
                factor = -_at(input_gram, x * n_tokens + y)
                for z in others:
                    sums[x, z] = fma(factor, moves[z], sums[x, z])
        for (x, z), value in sums.items():
            _put(scores, x * n_classes + z + 1, value)
