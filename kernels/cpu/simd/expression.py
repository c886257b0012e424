"""Arithmetic written in Python that comes out as LLVM instructions.

The operators of an `Expression` work lane by lane on a vector and alike on a scalar, so that one formula, such as
the polynomial of an exponential, serves vectors of every width, scalars, float64 and float32, with identical bits.
Python numbers among the operands are constants, rounded to the type of the other operand.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from llvmlite import ir

Operand: TypeAlias = "Expression | float"


class Expression:
    """A value of the code being written: a float, an integer, a truth value, or a vector of such."""

    __slots__ = ("builder", "value")

    def __init__(self, builder: Any, value: Any) -> None:
        self.builder, self.value = builder, value

    @property
    def type(self) -> Any:
        """The LLVM type."""
        return self.value.type

    @property
    def element(self) -> Any:
        """The LLVM type of one lane."""
        return self.type.element if self.lanes else self.type

    @property
    def lanes(self) -> int:
        """How many lanes; 0 for a scalar."""
        return self.type.count if isinstance(self.type, ir.VectorType) else 0

    @property
    def bits(self) -> int:
        """Width of one lane."""
        element = self.element
        return element.width if isinstance(element, ir.IntType) else 64 if isinstance(element, ir.DoubleType) else 32

    @property
    def is_float(self) -> bool:
        """Whether the lanes are floats."""
        return not isinstance(self.element, ir.IntType)

    def new(self, value: Any) -> Expression:
        """Return the expression of an LLVM value in the same code."""
        return Expression(self.builder, value)

    def like(self, number: Operand) -> Expression:
        """Return a number as a constant of this type in every lane; an expression as it is."""
        if isinstance(number, Expression):
            return number
        constant = float(number) if self.is_float else int(number) & ((1 << self.bits) - 1)
        return self.new(ir.Constant(self.type, [constant] * self.lanes if self.lanes else constant))

    def shaped(self, element: Any) -> Any:
        """Return the LLVM type with as many lanes as this, of another element type."""
        return ir.VectorType(element, self.lanes) if self.lanes else element

    def _two(self, floats: str, integers: str, other: Operand, swapped: bool = False) -> Expression:
        left, right = self.value, self.like(other).value
        if swapped:
            left, right = right, left
        return self.new(getattr(self.builder, floats if self.is_float else integers)(left, right))

    def __add__(self, other: Operand) -> Expression:
        return self._two("fadd", "add", other)

    def __sub__(self, other: Operand) -> Expression:
        return self._two("fsub", "sub", other)

    def __rsub__(self, other: Operand) -> Expression:
        return self._two("fsub", "sub", other, swapped=True)

    def __mul__(self, other: Operand) -> Expression:
        return self._two("fmul", "mul", other)

    def __truediv__(self, other: Operand) -> Expression:
        return self._two("fdiv", "udiv", other)

    def __rtruediv__(self, other: Operand) -> Expression:
        return self._two("fdiv", "udiv", other, swapped=True)

    __radd__, __rmul__ = __add__, __mul__

    def __neg__(self) -> Expression:
        return self.new(self.builder.fneg(self.value) if self.is_float else self.builder.neg(self.value))

    def __and__(self, other: Operand) -> Expression:
        return self.new(self.builder.and_(self.value, self.like(other).value))

    def __or__(self, other: Operand) -> Expression:
        return self.new(self.builder.or_(self.value, self.like(other).value))

    def __xor__(self, other: Operand) -> Expression:
        return self.new(self.builder.xor(self.value, self.like(other).value))

    def __invert__(self) -> Expression:
        return self.new(self.builder.not_(self.value))

    def __lshift__(self, other: Operand) -> Expression:
        return self.new(self.builder.shl(self.value, self.like(other).value))

    def __rshift__(self, other: Operand) -> Expression:
        """Shift right, zeros coming in."""
        return self.new(self.builder.lshr(self.value, self.like(other).value))

    def _compare(self, symbol: str, other: Operand) -> Expression:
        right = self.like(other).value
        if not self.is_float:
            return self.new(self.builder.icmp_signed(symbol, self.value, right))
        kind = self.builder.fcmp_unordered if symbol == "!=" else self.builder.fcmp_ordered
        return self.new(kind(symbol, self.value, right))

    def __lt__(self, other: Operand) -> Expression:
        return self._compare("<", other)

    def __le__(self, other: Operand) -> Expression:
        return self._compare("<=", other)

    def __gt__(self, other: Operand) -> Expression:
        return self._compare(">", other)

    def __ge__(self, other: Operand) -> Expression:
        return self._compare(">=", other)

    def equals(self, other: Operand) -> Expression:
        """Lanes that are equal (a method: `==` stays Python's identity)."""
        return self._compare("==", other)

    def differs(self, other: Operand) -> Expression:
        """Lanes that are not equal; a NaN differs from everything."""
        return self._compare("!=", other)

    def as_integer(self) -> Expression:
        """The same bits as integers."""
        return self.new(self.builder.bitcast(self.value, self.shaped(ir.IntType(self.bits))))

    def as_float(self) -> Expression:
        """The same bits as floats."""
        element = ir.DoubleType() if self.bits == 64 else ir.FloatType()
        return self.new(self.builder.bitcast(self.value, self.shaped(element)))

    def call(self, name: str, *others: Operand) -> Expression:
        """Call LLVM's own lane-wise function ``llvm.<name>``, all arguments of this type."""
        return self.call_mixed(f"llvm.{name}.{self.suffix}", self.type, [self, *(self.like(other) for other in others)])

    def call_mixed(self, name: str, result: Any, arguments: Sequence[Expression]) -> Expression:
        """Call the external function `name`, declared by the types of the arguments."""
        module = self.builder.module
        function = module.globals.get(name)
        if function is None:
            kind = ir.FunctionType(result, [argument.type for argument in arguments])
            function = ir.Function(module, kind, name)
        return self.new(self.builder.call(function, [argument.value for argument in arguments]))

    @property
    def suffix(self) -> str:
        """What LLVM appends to the name of a function of this type, such as v8f64 or f32."""
        return f"{f'v{self.lanes}' if self.lanes else ''}{'f' if self.is_float else 'i'}{self.bits}"


def fma(left: Expression, right: Operand, addend: Operand) -> Expression:
    """Return left * right + addend, rounded once."""
    return left.call("fma", right, addend)


def select(mask: Expression, yes: Operand, no: Operand) -> Expression:
    """Return `yes` in the lanes of the mask and `no` in the others; one of them at least is an expression."""
    example = yes if isinstance(yes, Expression) else no
    if not isinstance(example, Expression):
        raise TypeError(f"select between two numbers has no type: {yes}, {no}")
    return mask.new(mask.builder.select(mask.value, example.like(yes).value, example.like(no).value))


def larger(left: Expression, right: Operand) -> Expression:
    """Return left where left > right, else right (also where one of them is a NaN)."""
    return select(left > right, left, right)


def smaller(left: Expression, right: Operand) -> Expression:
    """Return left where left < right, else right (also where one of them is a NaN)."""
    return select(left < right, left, right)


def written_once(name: str, formula: Callable[..., Expression], *arguments: Expression) -> Expression:
    """Return formula(*arguments), whose instructions are written once a module and copied into callers by LLVM."""
    first = arguments[0]
    module = first.builder.module
    full_name = f"traindyn.{name}.{first.suffix}"
    function = module.globals.get(full_name)
    if function is None:
        kind = ir.FunctionType(first.type, [argument.type for argument in arguments])
        function = ir.Function(module, kind, full_name)
        function.linkage = "linkonce_odr"
        function.attributes.add("alwaysinline")
        builder = ir.IRBuilder(function.append_basic_block())
        builder.ret(formula(*(Expression(builder, argument) for argument in function.args)).value)
    return first.new(first.builder.call(function, [argument.value for argument in arguments]))


FROM_OPERATOR: dict[Any, str] = {
    operator.lt: "__lt__",
    operator.le: "__le__",
    operator.gt: "__gt__",
    operator.ge: "__ge__",
    operator.eq: "equals",
    operator.ne: "differs",
}
"""Python's comparisons and the methods of an `Expression` that write them."""
