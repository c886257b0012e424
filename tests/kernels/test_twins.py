"""Every compiled operation against its NumPy twin, over the table."""

from __future__ import annotations

import numpy as np
import pytest

from traindyn import kernels
from traindyn.kernels import OPERATIONS

SIZES = [(1, 1, 1), (1, 3, 2), (3, 1, 2), (2, 2, 2), (5, 4, 3), (9, 3, 4), (3, 9, 4), (7, 6, 1), (2, 3, 9)]
SIZES += [(20, 30, 12)]  # sharpness by Lanczos
# rounding of sums of at most 30 terms of order 1, some 10 ulp; the largest entry is the unit
TOLERANCE = {"float64": 1e-13, "float32": 2e-5}


def results(name: str, value: object) -> list[np.ndarray]:
    """The comparable parts of a result: eigenvectors have no sign, residuals and counts no common value."""
    parts = value if isinstance(value, tuple) else (value,)
    if name in ("largest_eigenvalue", "hessian_spectrum"):
        parts = parts[:1]
    return [np.asarray(part) for part in parts]


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("degenerate", [False, True])
@pytest.mark.parametrize("name", OPERATIONS)
def test_cpu_equals_reference(name, degenerate, dtype, instance):
    operation = OPERATIONS[name]
    for size in SIZES:
        values = instance(*size, dtype=dtype, degenerate=degenerate)
        arguments = [values[argument] for argument in operation.arguments]
        wide = [a.astype(np.float64) if getattr(a, "dtype", None) == np.float32 else a for a in arguments]
        expected = results(name, operation.twin("reference")(*wide))
        found = results(name, getattr(kernels, name)(*arguments))
        for want, got in zip(expected, found, strict=True):
            assert got.shape == want.shape
            if got.ndim:
                assert got.dtype == dtype
            unit = max(1.0, float(np.abs(want[np.isfinite(want)]).max(initial=0.0)))
            np.testing.assert_allclose(got, want, rtol=0, atol=TOLERANCE[dtype] * unit, err_msg=f"{name} at {size}")


@pytest.mark.parametrize("name", OPERATIONS)
def test_result_has_the_shape_of_the_table(name, instance):
    operation = OPERATIONS[name]
    values, sizes = instance(4, 3, 2), {"N": (4,), "M": (3,), "d": (2,), "r": (3,)}
    result = getattr(kernels, name)(*(values[argument] for argument in operation.arguments))
    parts = result if isinstance(result, tuple) else (result,)
    letters = ["DD"] if operation.result == "(dd)(dd)" else operation.result.split(",")
    assert [np.shape(part) for part in parts] == [
        sum((sizes.get(letter, (4,)) for letter in shape), ()) for shape in letters
    ]


@pytest.mark.parametrize("name", OPERATIONS)
def test_arguments_are_not_written(name, instance):
    values = instance(4, 3, 2)
    before = {key: np.copy(value) for key, value in values.items()}
    result = getattr(kernels, name)(*(values[argument] for argument in OPERATIONS[name].arguments))
    for key, value in values.items():
        np.testing.assert_array_equal(value, before[key])
    for part in result if isinstance(result, tuple) else (result,):
        if isinstance(part, np.ndarray):
            assert part.flags.writeable
            assert not any(np.shares_memory(part, value) for value in values.values() if np.ndim(value))


@pytest.mark.parametrize("name", OPERATIONS)
def test_counts_are_positive_and_grow(name):
    operation = OPERATIONS[name]
    assert 0 < operation.flops(2, 2, 2) < operation.flops(20, 20, 20)
    assert operation.bytes(3, 4, 5, itemsize=4) * 2 == operation.bytes(3, 4, 5)


def test_public_names_are_those_of_the_table():
    functions = {name for name in kernels.__all__ if callable(getattr(kernels, name)) and name[0].islower()}
    assert functions == set(OPERATIONS)
    for name in OPERATIONS:
        assert getattr(kernels.reference, name).__name__ == name == getattr(kernels, name).__name__


def test_table_prints_every_operation():
    from traindyn.kernels.operations import table

    for name in OPERATIONS:
        assert f"| `{name}` |" in table()
