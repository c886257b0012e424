"""Functions whose machine code is made once and called by all others by its address.

Numba copies what a compiled function calls into it and optimises it there anew. For a large function that many others
call, such as the matrix product, that would cost its compile time again in each of them. Here the caller gets nothing
but the name of a symbol, which the linker finds when the code of the caller is loaded, from the disk as well.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import llvmlite.binding
from numba import types
from numba.core import cgutils
from numba.core.typing.templates import AbstractTemplate, infer, infer_global, signature
from numba.extending import lower_builtin

from ...errors import InputError
from ..compile import compiled

_Function = Callable[..., Any]


def compiled_once(*kinds: tuple[Any, ...]) -> Callable[[_Function], _Function]:
    """Return the decorator that compiles a function at once, for arguments of each of the given numba types.

    The result is for use in compiled functions only; arguments are converted where numba converts them safely.

    Cost: the compile time for each of `kinds` at import, a few ms when the code is found on disk; a call costs about
    2 ns more than one of a copied function.
    """

    def decorate(function: _Function) -> _Function:
        dispatcher: Any = compiled()(function)
        results, symbols = {}, {}
        for arguments in kinds:
            dispatcher.compile(arguments)
            made = dispatcher.overloads[arguments]
            symbols[arguments] = f"{function.__module__}.{function.__qualname__}.{kinds.index(arguments)}"
            address = made.library.get_pointer_to_function(made.fndesc.llvm_func_name)
            llvmlite.binding.add_symbol(symbols[arguments], address)
            results[arguments] = made.signature.return_type

        @functools.wraps(function)
        def in_python(*_: object) -> Any:
            raise InputError(f"{function.__name__} is for compiled code", None, "call it from a compiled function")

        in_python.compiled = dispatcher  # type: ignore[attr-defined]  # keeps the machine code alive

        def generic(self: Any, args: tuple[Any, ...], kws: dict[str, Any]) -> Any:
            if kws:
                return None
            fitting = [key for key in kinds if len(key) == len(args)]
            exact = [key for key in fitting if _alike(key, args)]
            for key in exact or fitting:
                if all(self.context.can_convert(have, want) is not None for have, want in zip(args, key, strict=True)):
                    return signature(results[key], *key)
            return None

        template = type(f"{function.__name__}_template", (AbstractTemplate,), {"key": in_python, "generic": generic})
        infer(template)
        infer_global(in_python, types.Function(template))

        @lower_builtin(in_python, types.VarArg(types.Any))  # type: ignore[untyped-decorator]
        def call(context: Any, builder: Any, sig: Any, args: tuple[Any, ...]) -> Any:
            convention = context.call_conv
            kind = convention.get_function_type(sig.return_type, sig.args)
            callee = cgutils.get_or_insert_function(builder.module, kind, symbols[sig.args])
            status, result = convention.call_function(builder, callee, sig.return_type, sig.args, args)
            with cgutils.if_unlikely(builder, status.is_error):
                convention.return_status_propagate(builder, status)
            return result

        return in_python

    return decorate


def _alike(key: tuple[Any, ...], args: tuple[Any, ...]) -> bool:
    """Whether floats are of the same width and arrays of the same numbers."""
    return all(
        getattr(have, "dtype", have) == getattr(want, "dtype", want)
        for have, want in zip(args, key, strict=True)
        if isinstance(want, (types.Float, types.Array))
    )


