"""What the members of a team use inside compiled code: a barrier, a counter that hands out work, an abort flag.

They share one array of integers, `sync`, made by `traindyn.kernels.team`. The members of a team pass all barriers, in
the same order, or one of them aborts: then no barrier holds anybody any more, and each returns when it sees False.

A waiting member spins for a few microseconds, about as long as the others usually need, and then gives its core away
again and again: where more threads run than there are cores, those that have work go on.
"""

from __future__ import annotations

import platform
import sys
from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from ..arrays import Labels
from ..compile import compiled
from .synchrony_layout import ABORTED, ARRIVED, ROUND, TICKET

_SPINS = 100  # looks before the core is given away, about 3 microseconds
# tells the processor that it is waiting; nothing where that is not known
_PAUSES: dict[str, tuple[str, list[int]]] = {
    "x86_64": ("llvm.x86.sse2.pause", []),
    "amd64": ("llvm.x86.sse2.pause", []),
    "aarch64": ("llvm.aarch64.hint", [1]),
    "arm64": ("llvm.aarch64.hint", [1]),
}
_PAUSE = _PAUSES.get(platform.machine().lower())

_give_away = types.ExternalFunction("SwitchToThread" if sys.platform == "win32" else "sched_yield", types.int32())


def _pointer(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    array = context.make_array(signature.args[0])(context, builder, arguments[0])
    return cgutils.gep_inbounds(builder, array.data, arguments[1])


_Generator = Callable[[Any, Any, Any, Any], Any]


@intrinsic  # type: ignore[untyped-decorator]
def _read(typing: Any, array: Any, index: Any) -> tuple[Any, _Generator]:
    """Return array[index] as it is in memory now."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        word = ir.IntType(64)
        return builder.load_atomic(_pointer(context, builder, signature, arguments), "seq_cst", 8, typ=word)

    return types.int64(array, types.intp), generate


@intrinsic  # type: ignore[untyped-decorator]
def _write(typing: Any, array: Any, index: Any, value: Any) -> tuple[Any, _Generator]:
    """Set array[index], after all that was written before."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        builder.store_atomic(arguments[2], _pointer(context, builder, signature, arguments), "seq_cst", 8)
        return context.get_dummy_value()

    return types.void(array, types.intp, types.int64), generate


@intrinsic  # type: ignore[untyped-decorator]
def _add(typing: Any, array: Any, index: Any, value: Any) -> tuple[Any, _Generator]:
    """Add to array[index] in one piece and return what was there before."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.atomic_rmw("add", _pointer(context, builder, signature, arguments), arguments[2], "seq_cst")

    return types.int64(array, types.intp, types.int64), generate


@intrinsic  # type: ignore[untyped-decorator]
def _pause(typing: Any) -> tuple[Any, _Generator]:
    """Tell the processor that this is a loop that waits."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        if _PAUSE is not None:
            name, numbers = _PAUSE
            word = ir.IntType(32)
            kind = ir.FunctionType(ir.VoidType(), [word] * len(numbers))
            function = cgutils.get_or_insert_function(builder.module, kind, name)
            builder.call(function, [ir.Constant(word, number) for number in numbers])
        return context.get_dummy_value()

    return types.void(), generate


@compiled()
def barrier(sync: Labels, members: int) -> bool:
    """Wait until all members are here; return False as soon as one of them has aborted.

    What a member wrote before the barrier is seen by all of them after it. Cost: 0.1 to 0.3 us when they come together.
    """
    if members == 1:
        return True
    this_round = _read(sync, ROUND)
    if _add(sync, ARRIVED, 1) + 1 == members:
        _write(sync, ARRIVED, 0)
        _write(sync, ROUND, this_round + 1)
        return bool(_read(sync, ABORTED) == 0)
    looks = 0
    while _read(sync, ROUND) == this_round:
        if _read(sync, ABORTED) != 0:
            return False
        if looks < _SPINS:
            looks += 1
            _pause()
        else:
            _give_away()
    return bool(_read(sync, ABORTED) == 0)


@compiled()
def next_ticket(sync: Labels) -> int:
    """Return 0, 1, 2, ... to whichever member asks next, each number once."""
    return int(_add(sync, TICKET, 1))


@compiled()
def first_ticket(sync: Labels) -> None:
    """Let the tickets start at 0 again: for one member, between two barriers."""
    _write(sync, TICKET, 0)


@compiled()
def abort(sync: Labels) -> None:
    """Let every barrier of this team return False from now on."""
    _write(sync, ABORTED, 1)
