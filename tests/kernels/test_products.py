"""Matrix products of compiled code: exact on whole numbers, accurate on others, and the same bits however divided."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys

import numpy as np
import pytest

from traindyn.kernels.cpu import products
from traindyn.kernels.cpu.products_blocks import BLOCK_VECTORS, TERMS, block_rows
from traindyn.kernels.cpu.products_tile import ROWS
from traindyn.kernels.cpu.simd import LANES32, LANES64

LANES = {"float64": LANES64, "float32": LANES32}


def forms(left, right, like):
    """The product by every function that fills, then by every one that adds to `like`, half of it."""
    results = []
    left_transposed, right_transposed = np.ascontiguousarray(left.T), np.ascontiguousarray(right.T)
    calls = [
        ("multiply{}", (left, right)),
        ("multiply{}_left_transposed", (left_transposed, right)),
        ("multiply{}_right_transposed", (left, right_transposed)),
        ("multiply{}_packed", (left, products.packed(right))),
        ("multiply{}_packed", (left, products.packed_transposed(right_transposed))),
    ]
    for name, operands in calls:
        out = np.full_like(like, np.nan)
        getattr(products, name.format(""))(*operands, out)
        added = like.copy()
        getattr(products, name.format("_add"))(0.5, *operands, added)
        results.append((name, out, added))
    return results


def shapes(dtype):
    """Sizes around every edge: of a vector, a panel, a tile, a block of rows and of terms."""
    lanes, height = LANES[dtype], block_rows(np.dtype(dtype).itemsize)
    columns = [0, 1, lanes - 1, lanes, lanes + 1, 2 * lanes, 3 * lanes - 1, 3 * lanes, 4 * lanes, 5 * lanes + 1]
    for rows in [0, *range(1, ROWS + 3), 2 * ROWS + 1, 5 * ROWS - 1]:
        for number, width in enumerate(columns):
            yield rows, [0, 1, 2, 5, lanes, lanes + 3][(rows + number) % 6], width
    for terms in (TERMS - 1, TERMS, TERMS + 1, 2 * TERMS + 1):
        yield 3, terms, 3 * lanes + 2
    yield height + 1, TERMS + 2, 26 * lanes + 3  # gathered where the left is transposed
    yield 2 * height + 5, 7, 4 * lanes + 1
    yield 2, 3, (BLOCK_VECTORS + 1) * lanes + 1
    yield ROWS + 1, TERMS, 200 * lanes + 1  # packed on the way, rows at a distance that competes


@pytest.mark.parametrize("dtype", LANES)
def test_exact_on_whole_numbers_for_all_shapes(dtype):
    rng = np.random.default_rng(1)
    for rows, terms, columns in shapes(dtype):
        left = rng.integers(-9, 10, (rows, terms)).astype(dtype)
        right = rng.integers(-9, 10, (terms, columns)).astype(dtype)
        like = rng.integers(-9, 10, (rows, columns)).astype(dtype)
        want = (left.astype(np.int64) @ right.astype(np.int64)).astype(dtype)
        for name, out, added in forms(left, right, like):
            np.testing.assert_array_equal(out, want, err_msg=f"{name} {rows, terms, columns}")
            np.testing.assert_array_equal(added, like + want / 2, err_msg=f"{name} {rows, terms, columns}")


@pytest.mark.parametrize("dtype", LANES)
def test_blocks_of_columns_meet_where_panels_do(dtype):
    """A block of four vectors is read as 2 + 2, of which no cut between blocks may leave 3 + 1."""
    rng = np.random.default_rng(4)
    height = 2 * block_rows(np.dtype(dtype).itemsize) + 1
    left = rng.integers(-9, 10, (height, 2)).astype(dtype)
    for vectors in [*range(BLOCK_VECTORS - 1, BLOCK_VECTORS + 6), *range(2 * BLOCK_VECTORS - 1, 2 * BLOCK_VECTORS + 6)]:
        right = rng.integers(-9, 10, (2, vectors * LANES[dtype] - 1)).astype(dtype)
        out = np.full((height, right.shape[1]), np.nan, dtype)
        products.multiply_packed(left, products.packed(right), out)
        np.testing.assert_array_equal(out, left @ right, err_msg=str(vectors))


@pytest.mark.parametrize("dtype", LANES)
@pytest.mark.parametrize("terms", [3, 200, 1000])
def test_error_of_a_sum_is_that_of_its_order(dtype, terms):
    rng = np.random.default_rng(2)
    left, right = rng.normal(size=(11, terms)).astype(dtype), rng.normal(size=(terms, 19)).astype(dtype)
    wide = np.longdouble
    want = left.astype(wide) @ right.astype(wide)
    # each of the at most TERMS + blocks roundings of a sum is one half ulp of at most sum |a b|
    bound = (min(terms, TERMS) + 5) * np.finfo(dtype).eps / 2 * (abs(left).astype(wide) @ abs(right).astype(wide))
    for _, out, _ in forms(left, right, np.zeros((11, 19), dtype)):
        assert (abs(out - want) <= bound).all()


@pytest.mark.parametrize("dtype", LANES)
def test_no_bit_depends_on_how_the_work_is_divided(dtype):
    rng = np.random.default_rng(3)
    rows, terms, columns = 2 * ROWS + 3, TERMS + 77, 5 * LANES[dtype] + 3
    left, right = rng.normal(size=(rows, terms)).astype(dtype), rng.normal(size=(terms, columns)).astype(dtype)
    like = rng.normal(size=(rows, columns)).astype(dtype)
    (_, whole, added), *others = forms(left, right, like)
    for name, out, other in others:
        np.testing.assert_array_equal(out, whole, err_msg=name)
        np.testing.assert_array_equal(other, added, err_msg=name)
    for cut in range(1, rows):
        out = np.empty_like(whole)
        products.multiply(left[:cut], right, out[:cut])
        products.multiply(left[cut:], right, out[cut:])
        np.testing.assert_array_equal(out, whole)
    for cut in range(1, columns):
        out = np.empty((rows, columns - cut), dtype)
        products.multiply(left, np.ascontiguousarray(right[:, cut:]), out)
        np.testing.assert_array_equal(out, whole[:, cut:])


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_not_finite_stays_in_its_row_and_column(bad):
    left, right = np.ones((7, 5)), np.ones((5, 11))
    left[3, 2] = bad
    for _, out, _ in forms(left, right, np.zeros((7, 11))):
        assert not np.isfinite(out[3]).any()
        assert np.isfinite(np.delete(out, 3, 0)).all()
    left[3, 2], right[1, 10] = 1.0, bad
    for _, out, _ in forms(left, right, np.zeros((7, 11))):
        assert not np.isfinite(out[:, 10]).any()
        assert np.isfinite(out[:, :10]).all()


AT_THE_EDGE = """
import ctypes, mmap, os, sys
import numpy as np
from traindyn.kernels.cpu import products
libc = ctypes.CDLL(None, use_errno=True)
size = 16 * mmap.PAGESIZE
kept = []
def at_the_edge(array):
    memory = mmap.mmap(-1, size + mmap.PAGESIZE)
    kept.append(memory)
    start = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    assert libc.mprotect(ctypes.c_void_p(start + size), mmap.PAGESIZE, 0) == 0
    placed = np.frombuffer(memory, array.dtype, array.size, size - array.nbytes).reshape(array.shape)
    placed[...] = array
    return placed
for dtype in ("float64", "float32"):
    for rows, terms, columns in [(1, 1, 1), (5, 5, 5), (9, 3, 25), (10, 17, 33), (4, 2, 48), (1, 70, 3)]:
        left, right = at_the_edge(np.ones((rows, terms), dtype)), at_the_edge(np.ones((terms, columns), dtype))
        turned = at_the_edge(np.ones((columns, terms), dtype)), at_the_edge(np.ones((terms, rows), dtype))
        out = at_the_edge(np.zeros((rows, columns), dtype))
        products.multiply(left, right, out)
        products.multiply_add_right_transposed(1.0, left, turned[0], out)
        products.multiply_add_left_transposed(1.0, turned[1], right, out)
        products.multiply_add_packed(1.0, left, products.packed(right), out)
        assert (out == 4 * terms).all()
print("done")
sys.stdout.flush()
os._exit(0)  # the views of the memory outlive it
"""


@pytest.mark.skipif(sys.platform != "linux", reason="memory is protected through libc")
def test_nothing_beyond_the_arrays_is_touched():
    """Each array ends where a page begins that nobody may read or write."""
    done = subprocess.run([sys.executable, "-c", AT_THE_EDGE], capture_output=True, text=True, check=False)
    assert done.stdout == "done\n", (done.returncode, done.stderr[-2000:])


BITS = """
import hashlib
import numpy as np
from traindyn.kernels.cpu import products
digest = hashlib.sha256()
rng = np.random.default_rng(5)
for dtype in ("float64", "float32"):
    for rows, terms, columns in [(5, 5, 5), (13, 600, 37), (1, 2, 1), (30, 40, 50), (3, 1, 0)]:
        left, right = rng.normal(size=(rows, terms)).astype(dtype), rng.normal(size=(terms, columns)).astype(dtype)
        out = np.ones((rows, columns), dtype)
        for _ in range(2):
            products.multiply_add(0.3, left, right, out)
            products.multiply_add_right_transposed(0.3, left, np.ascontiguousarray(right.T), out)
            products.multiply_add_left_transposed(0.3, np.ascontiguousarray(left.T), right, out)
        digest.update(out.tobytes())
print(digest.hexdigest())
"""


def digest_with(bits):
    environment = {**os.environ, "TRAINDYN_VECTOR_BITS": bits}
    done = subprocess.run([sys.executable, "-c", BITS], capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def test_no_bit_depends_on_whether_vectors_are_wide_or_narrow():
    assert digest_with(str(64 * LANES64)) == digest_with("64" if LANES64 > 1 else "128")


@pytest.mark.slow
def test_no_bit_depends_on_the_width_of_the_vectors():
    assert len({digest_with(bits) for bits in ("512", "256", "128", "64")}) == 1


@pytest.mark.parametrize("dtype", LANES)
def test_a_matrix_may_be_packed_by_rows_in_any_pieces(dtype):
    rng = np.random.default_rng(4)
    for terms, columns in ((2 * TERMS + 3, 3 * LANES[dtype] + 1), (TERMS + 1, 4 * LANES[dtype]), (7, 1)):
        left = rng.integers(-9, 10, (ROWS + 2, terms)).astype(dtype)
        right = rng.integers(-9, 10, (terms, columns)).astype(dtype)
        panels = np.full(products.packed_size(terms, columns, right), np.nan, dtype)
        cuts = [0, *sorted({1, terms // 3, TERMS - 1, TERMS // 2 + 2} & set(range(1, terms))), terms]
        for first, last in reversed(list(itertools.pairwise(cuts))):
            products.pack_rows(right[first:last], first, terms, panels)
        out = np.empty((left.shape[0], columns), dtype)
        products.multiply_packed(left, panels, out)
        np.testing.assert_array_equal(out, (left.astype(np.int64) @ right.astype(np.int64)).astype(dtype))
