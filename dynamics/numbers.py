"""What may enter: finite arrays, whole numbers, positive numbers, seeds."""

from __future__ import annotations

import math
import operator
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from ..errors import InputError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

Seed: TypeAlias = "int | np.random.Generator | np.random.SeedSequence"


def read_only(array: NDArray[Any]) -> NDArray[Any]:
    """Return the array, marked read-only."""
    array.flags.writeable = False
    return array


def finite_array(name: str, value: ArrayLike, *, dimensions: int, shape: str) -> NDArray[np.float64]:
    """Return a fresh C-ordered float64 copy of real, finite entries, or raise InputError."""
    try:
        raw = np.asarray(value)
        if raw.dtype.kind == "c":
            raise InputError(f"{name} must be real", f"dtype {raw.dtype}", "take the real part")
        array = np.array(raw, dtype=np.float64, order="C")
    except (ValueError, TypeError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{name} must be an array of numbers of shape {shape}", f"{error}") from None
    if array.ndim != dimensions:
        raise InputError(f"{name} must have shape {shape}", f"shape {array.shape}")
    if not np.isfinite(array).all():
        index = tuple(int(i) for i in np.argwhere(~np.isfinite(array))[0])
        place = ", ".join(map(str, index))
        raise InputError(f"{name} must be finite", f"{name}[{place}] = {array[index]}", "remove NaN and infinities")
    return array


def integer(name: str, value: object, *, minimum: int) -> int:
    """Return a whole number >= minimum, or raise InputError."""
    try:
        if isinstance(value, (bool, np.bool_)):
            raise TypeError
        number = operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        raise InputError(f"{name} must be an integer", repr(value), f"pass int({name})") from None
    if number < minimum:
        raise InputError(f"{name} must be an integer >= {minimum}", number)
    return number


def real(
    name: str, value: Any, *, above: float | None = None, least: float | None = None, below: float | None = None,
    cure: str = "",
) -> float:  # fmt: skip
    """Return a finite float with above < value, least <= value and value < below, or raise InputError."""
    laws = [f"> {above:g}"] if above is not None else []
    laws += [f">= {least:g}"] if least is not None else []
    laws += [f"< {below:g}"] if below is not None else []
    law = f"{name} must be a finite number" + (" " + " and ".join(laws) if laws else "")
    try:
        # float() would take a text and a truth value
        if isinstance(value, (str, bytes, bytearray, bool, np.bool_)):
            raise TypeError
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        raise InputError(law, repr(value), cure) from None
    inside = (
        math.isfinite(number)
        and (above is None or number > above)
        and (least is None or number >= least)
        and (below is None or number < below)
    )
    if not inside:
        raise InputError(law, repr(number), cure)
    return number


def random_generator(rng: Seed) -> np.random.Generator:
    """Return the generator itself, or a PCG64 one seeded by a whole number >= 0 or a SeedSequence."""
    if isinstance(rng, np.random.Generator):
        return rng
    if isinstance(rng, np.random.SeedSequence):
        return np.random.Generator(np.random.PCG64(rng))
    return np.random.Generator(np.random.PCG64(integer("rng", rng, minimum=0)))
