"""Philox 4x64-10: random words that are a function of a key and a position, many blocks of four at a time.

The words are those of `numpy.random.Philox`, bit for bit. Source: Salmon, Moraes, Dror, Shaw 2011, "Parallel random
numbers: as easy as 1, 2, 3".
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types

from .simd.expression import Expression
from .simd.instruction import instruction
from .simd.splatting import in_all_lanes
from .simd.vector_types import LANES64, Vector

ROUNDS = 10
MULTIPLIERS = (0xD2E7470EE14C6C93, 0xCA5A826395121157)
KEY_STEPS = (0x9E3779B97F4A7C15, 0xBB67AE8584CAA73B)
WORDS = Vector(types.uint64, LANES64)


def full_product(words: Expression, constant: int) -> tuple[Expression, Expression]:
    """Return the upper and the lower half of the 128 bits of words * constant."""
    if words.lanes <= 1:
        wide = words.shaped(ir.IntType(128))
        product = words.new(words.builder.zext(words.value, wide)) * constant
        upper = words.builder.trunc((product >> 64).value, words.type)
        return words.new(upper), words * constant
    # CPUs multiply vectors of 32 bits by 32 bits: schoolbook, on halves
    mask = (1 << 32) - 1
    low, high = words & mask, words >> 32
    low_low = low * (constant & mask)
    middle = high * (constant & mask) + (low_low >> 32)
    other = low * (constant >> 32) + (middle & mask)
    return high * (constant >> 32) + (middle >> 32) + (other >> 32), (other << 32) | (low_low & mask)


def ten_rounds(counter: list[Expression], key: list[Expression]) -> list[Expression]:
    """Return the four words of each lane's counter."""
    for number in range(ROUNDS):
        if number:
            key = [part + step for part, step in zip(key, KEY_STEPS, strict=True)]
        (high0, low0), (high1, low1) = (
            full_product(counter[2 * k], multiplier) for k, multiplier in enumerate(MULTIPLIERS)
        )
        counter = [high1 ^ counter[1] ^ key[0], low1, high0 ^ counter[3] ^ key[1], low0]
    return counter


def interleaved(first: Expression, second: Expression) -> tuple[Expression, Expression]:
    """Return first[0], second[0], first[1], second[1], ... as two vectors."""
    lanes = first.lanes
    order = [k // 2 + (k % 2) * lanes for k in range(2 * lanes)]
    parts = []
    for half in (order[:lanes], order[lanes:]):
        positions = ir.Constant(ir.VectorType(ir.IntType(32), lanes), half)
        parts.append(first.new(first.builder.shuffle_vector(first.value, second.value, positions)))
    return parts[0], parts[1]


def _position(block: Any, step: Any, key0: Any, key1: Any) -> Any:
    if not all(isinstance(kind, types.Integer) for kind in (block, step, key0, key1)):
        return None
    return types.UniTuple(WORDS, 4), [types.uint64] * 4


@instruction(_position)
def random_words(
    block: Expression, step: Expression, key0: Expression, key1: Expression
) -> tuple[Expression, Expression, Expression, Expression]:
    """Return the words of the blocks from `block` on, in order, as four vectors.

    Word i of step t is that of ``numpy.random.Philox(key=key, counter=[0, t, 0, 0])``: block i // 4 is the function
    of the counter (block + 1, t, 0, 0).
    """
    first = in_all_lanes(block, LANES64)
    numbers = first.new(ir.Constant(first.type, [lane + 1 for lane in range(LANES64)]))
    zero = first.like(0)
    key = [in_all_lanes(part, LANES64) for part in (key0, key1)]
    words = ten_rounds([first + numbers, in_all_lanes(step, LANES64), zero, zero], key)
    even, odd = interleaved(words[0], words[2]), interleaved(words[1], words[3])
    return (*interleaved(even[0], odd[0]), *interleaved(even[1], odd[1]))
