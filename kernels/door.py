"""The one door to the kernels: array-likes in, arrays of one Numba type out, or an error that says what to change.

Behind the door every array is C-contiguous, aligned, in native byte order and read-only; real arrays are all float64
or all float32, labels are int64. A compiled function therefore sees one signature for each of the two types.
Lists, integers and numbers take the floating type of the arrays beside them, float64 where there is none.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError

Array = NDArray[Any]

_REAL = (np.dtype(np.float64), np.dtype(np.float32))
_FEW = 10_000
_MEANING = {"N": "tokens", "M": "classes", "d": "dimensions", "r": "rank"}


def enter(shapes: dict[str, str], values: dict[str, Any]) -> tuple[dict[str, Any], dict[str, int]]:
    """Return the checked arguments and the sizes.

    `shapes` gives each argument's shape in letters ("NM", "" for a number) and `values` its value; both in the same
    order. The arguments named targets, frequencies and learning_rate obey their own laws besides.

    Raises: InputError, with the law, the value and the way out.

    Cost: about a microsecond an argument, and one pass over the arrays.

    >>> arrays, sizes = enter({"scores": "NM", "targets": "N"}, {"scores": [[0, 1], [2, 3]], "targets": [1, 0]})
    >>> arrays["scores"].dtype, arrays["targets"].dtype, sizes
    (dtype('float64'), dtype('int64'), {'N': 2, 'M': 2})
    """
    refuse_other_devices(values)
    given = {name: _as_array(name, values[name]) for name, letters in shapes.items() if letters}
    dtype = _common_type({name: array for name, array in given.items() if name != "targets"}, values)
    sizes: dict[str, int] = {}
    checked: dict[str, Any] = {}
    for name, letters in shapes.items():
        if not letters:
            checked[name] = positive(name, values[name])
            continue
        array = given[name]
        _match(name, letters, array, sizes)
        if name == "targets":
            checked[name] = _labels(array, sizes["M"])
        else:
            checked[name] = _real(name, array, dtype)
            if name == "frequencies":
                _check_frequencies(array)
    return checked, sizes


def refuse_other_devices(values: dict[str, Any]) -> None:
    """Raise InputError for an array that lies on another device; no library of that device is imported."""
    for name, value in values.items():
        if type(value) is not np.ndarray and hasattr(value, "__cuda_array_interface__"):
            raise InputError(
                f"{name} must lie in the memory of the CPU: this version has no GPU twins of the kernels",
                f"{type(value).__module__.split('.')[0]} {type(value).__name__} on a GPU",
                "copy it to the CPU first (cupy: array.get(), torch: tensor.cpu())",
            )


def positive(name: str, value: Any) -> float:
    """Return the number as a float if it is finite and > 0, else raise InputError.

    >>> positive("learning_rate", 1)
    1.0
    """
    try:
        number = float(value)
    except (TypeError, ValueError) as error:
        raise InputError(f"{name} must be a number", repr(value), f"pass {name} > 0") from error
    if not 0.0 < number < math.inf:
        raise InputError(f"{name} must be positive and finite", number, f"pass {name} > 0")
    return number


def _as_array(name: str, value: Any) -> Array:
    if isinstance(value, np.ndarray):
        return np.asarray(value)
    try:
        array = np.asarray(value)
    except Exception as error:  # whatever __array__ of a foreign type raises, the cure is the same
        raise InputError(
            f"{name} must be convertible to a NumPy array ({error})",
            type(value).__name__,
            "pass an array or nested lists of equal length (torch: tensor.detach().cpu())",
        ) from error
    if array.dtype == object:
        raise InputError(f"{name} must hold numbers only", type(value).__name__, "pass an array of numbers")
    return array


def _common_type(arrays: dict[str, Array], values: dict[str, Any]) -> np.dtype[Any]:
    found: dict[np.dtype[Any], str] = {}
    for name, array in arrays.items():
        native = array.dtype if array.dtype.isnative else array.dtype.newbyteorder("=")
        if native.kind in "iub":
            continue
        if native not in _REAL:
            law = f"{name} must be float64 or float32 (integers and lists are converted)"
            raise InputError(law, f"dtype {array.dtype}", f"convert it: {name}.astype(np.float64)")
        if hasattr(values[name], "dtype"):  # a list of numbers adapts, an array does not
            found.setdefault(native, name)
    if len(found) == 2:
        double, single = found[_REAL[0]], found[_REAL[1]]
        raise InputError(
            "all arrays of a call must have one floating type",
            f"{double} float64 and {single} float32",
            f"convert one: {single}.astype(np.float64) or {double}.astype(np.float32)",
        )
    return next(iter(found), _REAL[0])


def _match(name: str, letters: str, array: Array, sizes: dict[str, int]) -> None:
    shape = array.shape
    if len(shape) != len(letters):
        raise InputError(_shape_law(name, letters, sizes), f"shape {shape}", f"pass an array with {len(letters)} axes")
    for letter, size in zip(letters, shape, strict=True):
        if size == 0:
            raise InputError(f"{name} must not be empty", f"shape {shape}", "pass at least one entry along each axis")
        if sizes.setdefault(letter, size) != size:
            cure = f"make it agree with the arguments before it, where {letter} = {sizes[letter]}"
            raise InputError(_shape_law(name, letters, sizes), f"shape {shape}", cure)


def _shape_law(name: str, letters: str, sizes: dict[str, int]) -> str:
    wanted = f"({', '.join(letters)}{',' if len(letters) == 1 else ''})"
    known = (f"{letter} = {sizes[letter]}" if letter in sizes else letter for letter in dict.fromkeys(letters))
    meaning = ", ".join(f"{text} {_MEANING[text[0]]}" for text in known)
    return f"{name} must have shape {wanted} ({meaning})"


def _real(name: str, array: Array, dtype: np.dtype[Any]) -> Array:
    real = _one_type(array, dtype)
    # a finite sum of squares proves a small array finite in a third of the time; one that overflows proves nothing
    if real.size <= _FEW and np.vdot(real, real) < math.inf:
        return real
    finite = np.isfinite(real)
    # the reductions of ufuncs themselves: the methods of arrays cost more than a small array does
    if not np.logical_and.reduce(finite, axis=None):
        place = tuple(int(i) for i in np.argwhere(~finite)[0])
        law = f"{name} must be finite in {dtype}"
        raise InputError(law, f"{array[place]} at index {place}", "remove NaN and infinite entries")
    return real


def _labels(array: Array, n_classes: int) -> Array:
    if array.dtype.kind not in "iu":
        law = "targets must be integers, the index of each token's class"
        raise InputError(law, f"dtype {array.dtype}", "convert them: targets.astype(np.int64)")
    if np.minimum.reduce(array) < 0 or np.maximum.reduce(array) >= n_classes:
        token = int(((array < 0) | (array >= n_classes)).argmax())
        law = f"targets must lie in 0 .. {n_classes - 1} (M = {n_classes} classes)"
        raise InputError(law, f"{array[token]} for token {token}", "classes are counted from 0")
    return _one_type(array, np.dtype(np.int64))


def _check_frequencies(array: Array) -> None:
    if np.minimum.reduce(array) < 0:
        token = int(array.argmin())
        law = "frequencies must not be negative"
        raise InputError(law, f"{array[token]} for token {token}", "pass probabilities that sum to 1")
    total = float(np.add.reduce(array, dtype=np.float64))
    single = array.dtype.kind == "f" and array.itemsize == 4
    # rounding each entry to float32 moves the sum by at most half a float32 ulp of 1 in relative terms
    tolerance = 1.2e-7 if single else 1e-9
    if abs(total - 1.0) > tolerance:
        law = f"frequencies must sum to 1 within {tolerance}"
        raise InputError(law, f"sum {total!r}", "divide them by their sum")


def _one_type(array: Array, dtype: np.dtype[Any]) -> Array:
    if array.dtype != dtype or not (array.flags.c_contiguous and array.flags.aligned and array.dtype.isnative):
        with np.errstate(over="ignore"):  # a float64 beyond float32 becomes infinite, and is refused as such
            array = np.array(array, dtype=dtype, order="C", copy=True)
    array = array.view()
    array.flags.writeable = False
    return array
