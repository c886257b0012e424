"""However an array is stored, a compiled kernel sees one type: one signature for each of the two floating types."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest

# in a fresh interpreter: other tests call compiled functions directly, with types of their own
PROGRAM = """
import json
import sys
from typing import Any

import numpy as np

from traindyn import kernels

sys.path.insert(0, sys.argv[1])
from conftest import build_instance


def disguises(array):
    yield array
    yield array.tolist()
    yield np.asfortranarray(array)
    yield array.astype(array.dtype.newbyteorder(">"))
    frozen = array.copy()
    frozen.flags.writeable = False
    yield frozen
    wide = np.zeros(tuple(2 * n for n in array.shape), array.dtype)
    strided = wide[tuple(slice(None, None, 2) for _ in array.shape)]
    strided[...] = array
    yield strided
    yield array[::-1].copy()[::-1]
    shifted = np.zeros(array.nbytes + 1, np.uint8)[1:].view(array.dtype).reshape(array.shape)
    shifted[...] = array
    yield shifted
    if array.dtype.kind == "i":
        yield array.astype(np.uint8)
        yield array.astype(np.int32)


differences = []
for dtype in ("float64", "float32"):
    for size in ((4, 3, 9), (1, 1, 1)):
        values = build_instance(*size, dtype=dtype)
        for name, operation in kernels.OPERATIONS.items():
            def call(**changed: Any):
                result = getattr(kernels, name)(*({**values, **changed}[a] for a in operation.arguments))
                return result[1] if isinstance(result, tuple) else result
            expected = call()
            reals = [a for a, letters in operation.arguments.items() if letters and a != "targets"]
            for argument, letters in operation.arguments.items():
                if letters:
                    for disguise in disguises(values[argument]):
                        if isinstance(disguise, list) and reals == [argument]:
                            continue  # a list on its own is float64
                        if not np.array_equal(call(**{argument: disguise}), expected):
                            differences.append([name, argument])

from numba.core.dispatcher import Dispatcher
from traindyn.kernels.cpu import curvature, eigenvalue_search, gradient, particles, scores, tokens

entered = [scores.scores, tokens.loss, tokens.margins, tokens.accuracy, gradient.softmax_gradient,
           particles.particle_step, curvature.hessian, curvature.product_at, eigenvalue_search.search]
teams = {"product_at", "search"}  # their own arguments follow three of the team
# what kernels call among themselves is compiled with writeable temporaries: count what comes through the door
counts = {
    f.__name__: sum(isinstance(f, Dispatcher) and not s[3 * (f.__name__ in teams)].mutable for s in f.signatures)
    for f in entered
}
print(json.dumps({"counts": counts, "differences": differences}))
"""


@pytest.fixture(scope="module")
def report(request):
    command = [sys.executable, "-P", "-c", PROGRAM, str(request.path.parent)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_two_signatures_a_kernel(report):
    assert set(report["counts"].values()) == {2}, report["counts"]


def test_storage_changes_no_bit(report):
    assert report["differences"] == []


def test_types_behind_the_door():
    from traindyn.kernels.door import enter

    shapes = {"scores": "NM", "targets": "N"}
    for scores in ([[1, 2]], np.ones((1, 2), ">f8"), np.ones((2, 4)).T[1:2, :2], np.ones((1, 2), order="F")):
        arrays, _ = enter(shapes, {"scores": scores, "targets": np.zeros(1, ">i2")})
        for array in arrays.values():
            assert array.flags.c_contiguous
            assert array.flags.aligned
            assert array.dtype.isnative
        assert (arrays["scores"].dtype, arrays["targets"].dtype) == (np.float64, np.int64)
