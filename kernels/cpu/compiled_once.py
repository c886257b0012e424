"""Functions whose machine code is made once and called by all others by its address.

Numba copies what a compiled function calls into it and optimises it there anew. For a large function that many others
call, such as the matrix product, that would cost its compile time again in each of them. Here the caller gets nothing
but the name of a symbol, which the linker finds when the code of the caller is loaded, from the disk as well: what is
kept there of the caller says which functions are to be loaded before it.
"""

from __future__ import annotations

import functools
import hashlib
import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import llvmlite.binding
from numba import types
from numba.core import cgutils
from numba.core.typing.templates import AbstractTemplate, infer, infer_global, signature
from numba.extending import lower_builtin

from ...errors import InputError
from ..compile import compiled

_Function = TypeVar("_Function", bound=Callable[..., Any])
_Kinds = tuple[Any, ...]


def compiled_once(*kinds: _Kinds) -> Callable[[_Function], _Function]:
    """Return the decorator that compiles a function once for all its callers, when the first of them is compiled.

    With `kinds`, tuples of numba types, arguments are converted to the first of them that fits; without, there is a
    machine code for each kind of arguments. The result is for use in compiled functions only.

    Cost: a call costs about 2 ns more than one of a copied function.
    """

    def decorate(function: _Function) -> _Function:
        once = _Once(function)

        @functools.wraps(function)
        def in_python(*_: object) -> Any:
            raise InputError(f"{function.__name__} is for compiled code", None, "call it from a compiled function")

        in_python.once = once  # type: ignore[attr-defined]

        def generic(self: Any, args: _Kinds, kws: dict[str, Any]) -> Any:
            if kws:
                return None
            have = tuple(types.unliteral(kind) for kind in args)
            want = _fitting(self.context, kinds, have) if kinds else have
            return None if want is None else signature(once.result_of(want), *want)

        template = type(f"{function.__name__}_template", (AbstractTemplate,), {"key": in_python, "generic": generic})
        infer(template)
        infer_global(in_python, types.Function(template))

        @lower_builtin(in_python, types.VarArg(types.Any))  # type: ignore[untyped-decorator]
        def call(context: Any, builder: Any, sig: Any, args: tuple[Any, ...]) -> Any:
            convention = context.call_conv
            kind = convention.get_function_type(sig.return_type, sig.args)
            callee = cgutils.get_or_insert_function(builder.module, kind, once.symbol(sig.args))
            status, result = convention.call_function(builder, callee, sig.return_type, sig.args, args)
            with cgutils.if_unlikely(builder, status.is_error):
                convention.return_status_propagate(builder, status)
            # numba hands this on to the callers of the caller, keeps it on disk, and calls it before it loads them
            context.active_code_library._reload_init.add(_Needed(function.__module__, function.__qualname__, sig.args))
            return result

        return in_python  # type: ignore[return-value]

    return decorate


class _Once:
    """A function and its machine codes."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self._dispatcher: Any = compiled(internal=True)(function)
        self._name = f"{function.__module__}.{function.__qualname__}"
        self._results: dict[_Kinds, Any] = {}

    def symbol(self, arguments: _Kinds) -> str:
        """Return the name under which the linker finds the code."""
        return f"{self._name}.{hashlib.sha256(repr(arguments).encode()).hexdigest()[:16]}"

    def result_of(self, arguments: _Kinds) -> Any:
        """Return the type of the result, after the code is there."""
        if arguments not in self._results:
            self._dispatcher.compile(arguments)
            made = self._dispatcher.overloads[arguments]
            address = made.library.get_pointer_to_function(made.fndesc.llvm_func_name)
            llvmlite.binding.add_symbol(self.symbol(arguments), address)
            self._results[arguments] = made.signature.return_type
        return self._results[arguments]


@dataclass(frozen=True)
class _Needed:
    """Makes or loads a machine code that another one calls."""

    module: str
    name: str
    arguments: _Kinds

    def __call__(self) -> None:
        getattr(importlib.import_module(self.module), self.name).once.result_of(self.arguments)


def _fitting(context: Any, kinds: tuple[_Kinds, ...], have: _Kinds) -> _Kinds | None:
    """Return the kinds of arguments that those of a call are converted to."""
    fitting = [want for want in kinds if len(want) == len(have)]
    exact = [want for want in fitting if _alike(want, have)]
    for want in exact or fitting:
        if all(context.can_convert(one, other) is not None for one, other in zip(have, want, strict=True)):
            return want
    return None


def _alike(key: _Kinds, args: _Kinds) -> bool:
    """Whether floats are of the same width and arrays of the same numbers."""
    return all(
        getattr(have, "dtype", have) == getattr(want, "dtype", want)
        for have, want in zip(args, key, strict=True)
        if isinstance(want, (types.Float, types.Array))
    )
