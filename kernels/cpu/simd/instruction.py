"""How a function of this package becomes an instruction of compiled code.

An instruction is one Python function that is run while code is compiled: it gets the operands as `Expression` s,
writes the LLVM instructions, and returns the result (or a tuple, or None). A call costs numba no compilation of its
own, as that of a function compiled by numba would, and nothing remains of it but the instructions.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from numba import types
from numba.core.typing.templates import AbstractTemplate, infer, infer_global, signature
from numba.extending import lower_builtin

from ....errors import InputError
from .expression import Expression
from .vector_types import Mask, Vector

Typing = Callable[..., Any]
"""From the numba types of the arguments to (type of the result, types of the arguments); None: no such operation."""


def instruction(typing: Typing) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Return the decorator that makes a function an instruction for arguments of the types that `typing` accepts.

    Vectors, masks and scalars arrive as an `Expression`, everything else as (context, builder, type, value).
    Called from Python, the function raises `InputError`.
    """

    def decorate(write: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(write)
        def in_python(*_: object, **__: object) -> Any:
            raise InputError(
                f"{write.__name__} is an instruction of compiled code",
                None,
                "call it from a function compiled by numba; where NUMBA_DISABLE_JIT is set nothing is compiled: "
                "use the NumPy twins in traindyn.kernels.reference",
            )

        _teach(in_python, typing, write)
        return in_python

    return decorate


def operator_instruction(symbol: Any, typing: Typing) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Return the decorator that makes a function what an operator, such as `operator.add`, means for vectors."""

    def decorate(write: Callable[..., Any]) -> Callable[..., Any]:
        _teach(symbol, typing, write, (Vector, Mask))
        return write

    return decorate


def _teach(key: Any, typing: Typing, write: Callable[..., Any], among: tuple[type, ...] = ()) -> None:
    def generic(self: Any, args: tuple[Any, ...], kws: dict[str, Any]) -> Any:
        if kws or (among and not any(isinstance(kind, among) for kind in args)):
            return None
        try:
            typed = typing(*args)
        except TypeError:  # another number of arguments
            return None
        return None if typed is None else signature(typed[0], *typed[1])

    template = type(f"{write.__name__}_template", (AbstractTemplate,), {"key": key, "generic": generic})
    infer(template)
    infer_global(key, types.Function(template))

    def lower(context: Any, builder: Any, sig: Any, args: tuple[Any, ...]) -> Any:
        operands = [
            Expression(builder, value) if isinstance(kind, _PLAIN) else (context, builder, kind, value)
            for kind, value in zip(sig.args, args, strict=True)
        ]
        result = write(*operands)
        if isinstance(result, tuple):
            return context.make_tuple(builder, sig.return_type, [part.value for part in result])
        return context.get_dummy_value() if result is None else result.value

    if among:
        for kind in among:
            for kinds in ((kind,), (kind, kind), (kind, types.Number), (types.Number, kind)):
                lower_builtin(key, *kinds)(lower)
    else:
        lower_builtin(key, types.VarArg(types.Any))(lower)


_PLAIN = (Vector, Mask, types.Integer, types.Float, types.Boolean)
