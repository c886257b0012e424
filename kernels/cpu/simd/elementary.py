"""How a formula becomes a function of compiled code for vectors and scalars alike."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .expression import Expression, written_once
from .instruction import instruction
from .vector_types import FLOATS, Vector


def _one_argument(x: Any) -> Any:
    return (x, [x]) if x in FLOATS or (isinstance(x, Vector) and x.dtype in FLOATS) else None


def elementary(formula: Callable[[Expression], Expression]) -> Callable[..., Any]:
    """Return the instruction that a formula stands for.

    Its argument is a vector or a scalar of floats; the instructions are the same, and so are the bits of the result.
    """

    def write(x: Expression) -> Expression:
        return written_once(formula.__name__, formula, x)

    write.__name__, write.__doc__ = formula.__name__, formula.__doc__
    return instruction(_one_argument)(write)
