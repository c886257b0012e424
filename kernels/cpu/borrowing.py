"""Arrays whose owner is known to outlive a call: compiled functions then count no references to them.

Numba counts a reference for every array that a compiled function is given, an atomic operation each. In a loop of
short functions that are given dozens of arrays this costs more than the arithmetic of a small problem.

Numba also compiles a function anew for read-only arrays, which borrowed ones no longer are: that nothing writes to
them is then for the compiled code to see to.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numba import types
from numba.extending import intrinsic


def _kind(kind: Any) -> Any:
    if isinstance(kind, types.Array):
        return kind.copy(readonly=False)
    if isinstance(kind, types.NamedTuple):
        return types.NamedTuple(tuple(_kind(part) for part in kind.types), kind.instance_class)
    if isinstance(kind, types.NamedUniTuple):
        return types.NamedUniTuple(_kind(kind.dtype), kind.count, kind.instance_class)
    return kind


def _without_owner(context: Any, builder: Any, kind: Any, value: Any) -> Any:
    if isinstance(kind, types.Array):
        array = context.make_array(kind)(context, builder, value)
        for name in ("meminfo", "parent"):
            setattr(array, name, getattr(array, name).type(None))
        return array._getvalue()
    if isinstance(kind, types.NamedTuple | types.NamedUniTuple):
        for place, part in enumerate(kind.types):
            changed = _without_owner(context, builder, part, builder.extract_value(value, place))
            value = builder.insert_value(value, changed, place)
    return value


@intrinsic  # type: ignore[untyped-decorator]
def borrowed(typing: Any, thing: Any) -> tuple[Any, Callable[[Any, Any, Any, Any], Any]]:
    """Return an array, or a tuple with arrays in it, without its owner; it must not be returned to Python."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return _without_owner(context, builder, signature.args[0], arguments[0])

    return _kind(thing)(thing), generate
