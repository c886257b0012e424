"""The innermost part of a matrix product: a tile of the result that stays in registers from its first term to its last.

A step of the loop takes one column of the tile's rows of the left matrix and one row of its columns of the right one:
each number of the left is put in all lanes of a vector and multiplied with each vector of the right, in one fused
operation. `ROWS` x `VECTORS` such sums fill the registers, so that the processor is never idle waiting for one of
them, and few numbers are loaded for each product.

The tiles are written as LLVM instructions, one function for each shape that is not inlined, because 27 of them
written in Python would take a minute to compile.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from .simd.vector_types import LANES64, lanes_of

VECTORS = 3
"""Widest tile, in vectors."""

ROWS = 9 if LANES64 >= 8 else 4
"""Highest tile: its sums, VECTORS of the right and one of the left fill 32 registers of 512 bits, else 16."""

MASKED = LANES64 >= 4
"""Whether a part of a vector can be loaded as fast as all of it; where not, the right matrix must be padded."""

_WORD = ir.IntType(64)
_BIT = ir.IntType(1)
_Generator = Callable[[Any, Any, Any, Any], Any]


class _Writer:
    """Writes the function of one tile shape for one kind of float."""

    def __init__(self, module: Any, bits: int) -> None:
        self.module, self.bits, self.lanes = module, bits, lanes_of(bits)
        self.number = ir.DoubleType() if bits == 64 else ir.FloatType()
        self.vector = ir.VectorType(self.number, self.lanes)
        self.pointer = self.number.as_pointer()
        self.zero = ir.Constant(self.vector, [0.0] * self.lanes)

    def llvm(self, operation: str, result: Any, *operands: Any) -> Any:
        """Return an operation of LLVM on vectors of this kind."""
        kind = ir.FunctionType(result, operands)
        suffix = ".p0" if "masked" in operation else ""
        name = f"llvm.{operation}.v{self.lanes}f{self.bits}{suffix}"
        return cgutils.get_or_insert_function(self.module, kind, name)

    def splat(self, builder: Any, number: Any) -> Any:
        """Return the vector with a number, or an integer of as many bits, in every lane."""
        nothing = ir.Constant(ir.VectorType(number.type, self.lanes), ir.Undefined)
        one = builder.insert_element(nothing, number, ir.IntType(32)(0))
        return builder.shuffle_vector(one, nothing, ir.Constant(ir.VectorType(ir.IntType(32), self.lanes), None))

    def first_lanes(self, builder: Any, count: Any) -> Any:
        """Return the mask of the first `count` lanes."""
        integer = ir.IntType(self.bits)
        count = count if self.bits == 64 else builder.trunc(count, integer)
        numbers = ir.Constant(ir.VectorType(integer, self.lanes), list(range(self.lanes)))
        return builder.icmp_signed("<", numbers, self.splat(builder, count))

    def load(self, builder: Any, pointer: Any, mask: Any = None) -> Any:
        pointer = builder.bitcast(pointer, self.vector.as_pointer())
        if mask is None:
            vector = builder.load(pointer)
            vector.align = self.bits // 8
            return vector
        load = self.llvm("masked.load", self.vector, pointer.type, ir.IntType(32), mask.type, self.vector)
        return builder.call(load, [pointer, ir.IntType(32)(self.bits // 8), mask, self.zero])

    def store(self, builder: Any, vector: Any, pointer: Any, mask: Any = None) -> None:
        pointer = builder.bitcast(pointer, self.vector.as_pointer())
        if mask is None:
            builder.store(vector, pointer).align = self.bits // 8
            return
        store = self.llvm("masked.store", ir.VoidType(), self.vector, pointer.type, ir.IntType(32), mask.type)
        builder.call(store, [vector, pointer, ir.IntType(32)(self.bits // 8), mask])

    def tile(self, rows: int, vectors: int) -> Any:
        """Return the function of a tile, written on first use in a module.

        (left, its row stride, its step, right, its step, out, its row stride, length of the sums, columns in the last
        vector, scale, whether to add) -> nothing. Strides are in numbers.
        """
        name = f"traindyn_tile_f{self.bits}_{rows}x{vectors}"
        if name in self.module.globals:
            return self.module.globals[name]
        words = [self.pointer, _WORD, _WORD, self.pointer, _WORD, self.pointer, _WORD, _WORD, _WORD, self.number, _BIT]
        function = ir.Function(self.module, ir.FunctionType(ir.VoidType(), words), name)
        function.linkage = "internal"
        function.attributes.add("noinline")
        left, left_row, left_step, right, right_step, out, out_row, length, columns, scale, add = function.args
        for pointer in (left, right, out):
            pointer.add_attribute("noalias")
        entry, loop, done = (function.append_basic_block(label) for label in ("entry", "loop", "done"))
        places = [(row, vector) for row in range(rows) for vector in range(vectors)]

        builder = ir.IRBuilder(entry)
        last = self.first_lanes(builder, columns)
        builder.cbranch(builder.icmp_signed(">", length, _WORD(0)), loop, done)

        builder = ir.IRBuilder(loop)
        step = builder.phi(_WORD)
        sums = {place: builder.phi(self.vector) for place in places}
        line = builder.gep(right, [builder.mul(step, right_step)])
        terms = [
            self.load(
                builder,
                builder.gep(line, [_WORD(vector * self.lanes)]),
                last if MASKED and vector == vectors - 1 else None,
            )
            for vector in range(vectors)
        ]
        column = builder.mul(step, left_step)
        fma = self.llvm("fma", self.vector, self.vector, self.vector, self.vector)
        new = {}
        for row in range(rows):
            place = builder.add(column, builder.mul(_WORD(row), left_row))
            factor = self.splat(builder, builder.load(builder.gep(left, [place])))
            for vector in range(vectors):
                new[row, vector] = builder.call(fma, [factor, terms[vector], sums[row, vector]])
        following = builder.add(step, _WORD(1))
        again = builder.cbranch(builder.icmp_signed("<", following, length), loop, done)
        again.set_metadata("llvm.loop", self._not_unrolled(name))
        for phi, start, then in [(step, _WORD(0), following), *((sums[p], self.zero, new[p]) for p in places)]:
            phi.add_incoming(start, entry)
            phi.add_incoming(then, loop)

        builder = ir.IRBuilder(done)
        totals = {place: builder.phi(self.vector) for place in places}
        for place in places:
            totals[place].add_incoming(self.zero, entry)
            totals[place].add_incoming(new[place], loop)
        scales = self.splat(builder, scale)
        with builder.if_else(add) as branches:
            for adding, branch in zip((True, False), branches, strict=True):
                with branch:
                    for row, vector in places:
                        place = builder.add(builder.mul(_WORD(row), out_row), _WORD(vector * self.lanes))
                        pointer = builder.gep(out, [place])
                        mask = last if vector == vectors - 1 else None
                        total = totals[row, vector]
                        if adding:
                            total = builder.call(fma, [scales, total, self.load(builder, pointer, mask)])
                        else:
                            total = builder.fmul(scales, total)
                        self.store(builder, total, pointer, mask)
        builder.ret_void()
        return function

    def _not_unrolled(self, name: str) -> Any:
        """Return the loop's metadata: unrolled, the sums no longer fit into the registers, at half the speed."""
        switch = self.module.add_metadata([ir.MetaDataString(self.module, "llvm.loop.unroll.disable")])
        loop = self.module.add_metadata([switch, ir.MetaDataString(self.module, name)])
        loop.operands = (loop, switch)  # LLVM wants the node itself as its first operand
        return loop

    def transpose(self) -> Any:
        """Return the function that transposes at most lanes x lanes numbers, written on first use in a module.

        (source, its row stride, rows, columns, out, its row stride) -> nothing: out[j, i] = source[i, j], and 0 in the
        lanes of out beyond `rows`.
        """
        name = f"traindyn_transpose_f{self.bits}"
        if name in self.module.globals:
            return self.module.globals[name]
        words = [self.pointer, _WORD, _WORD, _WORD, self.pointer, _WORD]
        function = ir.Function(self.module, ir.FunctionType(ir.VoidType(), words), name)
        function.linkage = "internal"
        function.attributes.add("noinline")
        source, source_row, rows, columns, out, out_row = function.args
        builder = ir.IRBuilder(function.append_basic_block("entry"))
        lines = []
        for row in range(self.lanes):
            inside = builder.select(builder.icmp_signed("<", _WORD(row), rows), columns, _WORD(0))
            pointer = builder.gep(source, [builder.mul(_WORD(row), source_row)])
            lines.append(self.load(builder, pointer, self.first_lanes(builder, inside)))
        distance = self.lanes // 2
        while distance:  # swaps the blocks of `distance` beside the diagonal
            for row in range(self.lanes):
                if not row & distance:
                    above, below = lines[row], lines[row + distance]
                    low, high = [], []
                    for lane in range(self.lanes):
                        low.append(lane if not lane & distance else self.lanes + lane - distance)
                        high.append(lane + distance if not lane & distance else self.lanes + lane)
                    index = ir.VectorType(ir.IntType(32), self.lanes)
                    lines[row] = builder.shuffle_vector(above, below, ir.Constant(index, low))
                    lines[row + distance] = builder.shuffle_vector(above, below, ir.Constant(index, high))
            distance //= 2
        for row in range(self.lanes):
            with builder.if_then(builder.icmp_signed("<", _WORD(row), columns)):
                self.store(builder, lines[row], builder.gep(out, [builder.mul(_WORD(row), out_row)]))
        builder.ret_void()
        return function


def _bits_of(number: Any) -> int:
    return int(number.bitwidth)


@intrinsic  # type: ignore[untyped-decorator]
def tile(
    typing: Any, rows: Any, vectors: Any, left: Any, left_row: Any, left_step: Any, right: Any, right_step: Any,
    out: Any, out_row: Any, length: Any, columns: Any, scale: Any, add: Any,
) -> tuple[Any, _Generator]:  # fmt: skip
    """Compute one tile of the product: out = scale left @ right, or out += that where `add`.

    Arguments: `rows` <= ROWS and `vectors` <= VECTORS of the tile; addresses of the first numbers and strides in
    numbers of the left matrix (to the next row, and to the next term of the sum), of the right one (to the next term)
    and of the result (to the next row); `length` of the sums; `columns` >= 1 in the last vector. Where not `MASKED` the
    right matrix is read to the end of that vector. The result must not overlap the others.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        rows, vectors, *operands, add = arguments
        left, left_row, left_step, right, right_step, out, out_row, length, columns, scale = operands
        writer = _Writer(builder.module, _bits_of(signature.args[11]))
        left, right, out = (builder.inttoptr(address, writer.pointer) for address in (left, right, out))
        add = context.get_value_as_data(builder, types.boolean, add)
        add = builder.trunc(add, _BIT) if add.type != _BIT else add
        shape = builder.add(builder.mul(rows, _WORD(VECTORS + 1)), vectors)
        end = builder.append_basic_block("tile_end")
        switch = builder.switch(shape, end)
        for high in range(1, ROWS + 1):
            for wide in range(1, VECTORS + 1):
                block = builder.append_basic_block("tile")
                switch.add_case(_WORD(high * (VECTORS + 1) + wide), block)
                with builder.goto_block(block):
                    numbers = [left, left_row, left_step, right, right_step, out, out_row, length, columns, scale, add]
                    builder.call(writer.tile(high, wide), numbers)
                    builder.branch(end)
        builder.position_at_end(end)
        return context.get_dummy_value()

    word, address = types.intp, types.uintp
    return types.void(
        word, word, address, word, word, address, word, address, word, word, word, scale, types.boolean
    ), generate  # fmt: skip


@intrinsic  # type: ignore[untyped-decorator]
def transpose_block(
    typing: Any, like: Any, source: Any, source_row: Any, rows: Any, columns: Any, out: Any, out_row: Any
) -> tuple[Any, _Generator]:
    """Fill out[j, i] = source[i, j] for i < `rows`, j < `columns`, at most one vector of each, and 0 in i beyond.

    Arguments: a number `like` those of the matrices; addresses and row strides, in numbers, of both.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        _, source, source_row, rows, columns, out, out_row = arguments
        writer = _Writer(builder.module, _bits_of(signature.args[0]))
        source, out = (builder.inttoptr(address, writer.pointer) for address in (source, out))
        builder.call(writer.transpose(), [source, source_row, rows, columns, out, out_row])
        return context.get_dummy_value()

    word, address = types.intp, types.uintp
    return types.void(like, address, word, word, word, address, word), generate


@intrinsic  # type: ignore[untyped-decorator]
def copy_vector(typing: Any, like: Any, source: Any, count: Any, out: Any) -> tuple[Any, _Generator]:
    """Copy `count` numbers, at most one vector, and write 0 to the rest of the vector at `out`."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        _, source, count, out = arguments
        writer = _Writer(builder.module, _bits_of(signature.args[0]))
        source, out = (builder.inttoptr(address, writer.pointer) for address in (source, out))
        writer.store(builder, writer.load(builder, source, writer.first_lanes(builder, count)), out)
        return context.get_dummy_value()

    return types.void(like, types.uintp, types.intp, types.uintp), generate
