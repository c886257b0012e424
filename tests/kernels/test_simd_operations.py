"""Vectors: every operation against NumPy, lanes and masks, memory that must not be touched."""

from __future__ import annotations

import runpy
from pathlib import Path

import numba
import numpy as np
import pytest
from numba.core.errors import TypingError

from traindyn.kernels.cpu.simd import (
    all_lanes,
    any_lane,
    count_lanes,
    extract,
    first_lanes,
    fma,
    fnma,
    insert,
    lane_numbers,
    lanes,
    load,
    load_first,
    mask_bits,
    max_lanes,
    min_lanes,
    splat,
    splat_lane,
    store,
    store_first,
    sum_lanes,
)

CASES = runpy.run_path(str(Path(__file__).with_name("simd_cases.py")))
DTYPES = ("float64", "float32")


def expected(name: str, dtype: str) -> np.ndarray:
    x, y, z = CASES["numbers"](dtype)
    kind = np.dtype(dtype).type
    two = {"less": np.less, "less_equal": np.less_equal, "greater": np.greater, "greater_equal": np.greater_equal,
           "equal": np.equal, "differs": np.not_equal, "add": np.add, "subtract": np.subtract, "multiply": np.multiply,
           "divide": np.divide}  # fmt: skip
    one = {"negative": np.negative, "absolute": np.abs, "square_root": np.sqrt, "floor": np.floor, "nearest": np.rint}
    if name in two:
        return two[name](x, y).astype(dtype)
    if name in one:
        return one[name](x)
    less, more = x < y, x > 0
    other = {
        "maximum": lambda: np.where(x > y, x, y),
        "minimum": lambda: np.where(x < y, x, y),
        "and": lambda: less & more,
        "or": lambda: less | more,
        "xor": lambda: less ^ more,
        "not": lambda: ~less,
        "scalar_right": lambda: x * kind(2) - kind(1),
        "scalar_left": lambda: kind(1.5) - x,
        "splat": lambda: x[2] + x,
        "splat_at": lambda: x[3] + x,
        "in_place": lambda: (x + y - z) * y / z,
    }
    return other[name]().astype(dtype)


def same(got: np.ndarray, wanted: np.ndarray) -> bool:
    """The same numbers, NaNs and signs of zeros."""
    numbers = ~np.isnan(wanted)
    return bool(
        (np.isnan(got) == ~numbers).all()
        and (got[numbers] == wanted[numbers]).all()
        and (np.signbit(got[numbers]) == np.signbit(wanted[numbers])).all()
    )


@pytest.mark.parametrize("dtype", DTYPES)
def test_lane_wise_operations_are_those_of_numpy(dtype: str) -> None:
    rows = CASES["arithmetic_rows"](dtype)
    with np.errstate(all="ignore"):
        wrong = [
            name
            for name, row in zip(CASES["ARITHMETIC"], rows, strict=True)
            if name not in ("fma", "fnma") and not same(row, expected(name, dtype))
        ]
    assert wrong == []


@pytest.mark.parametrize("dtype", DTYPES)
def test_fused_products_round_once(dtype: str) -> None:
    """x^2 - round(x^2) is the rounding error of the product: zero if it were rounded before the sum."""

    @numba.njit
    def errors(x, out):
        from_fma, from_fnma = out[0], out[1]
        for i in range(0, x.size, lanes(x)):
            a = load(x, i)
            store(from_fma, i, fma(a, a, -(a * a)))
            store(from_fnma, i, fnma(a, a, a * a))

    x = np.random.default_rng(1).normal(size=64).astype(dtype)
    out = np.empty((2, 64), dtype)
    errors(x, out)
    exact = x.astype(np.longdouble) ** 2 if dtype == "float64" else x.astype(np.float64) ** 2
    if dtype == "float32":
        assert (out[0] == exact - (x * x)).all()
    assert (out[0] != 0).mean() > 0.8
    assert (np.abs(out[0]) <= np.spacing(x * x) / 2).all()
    assert (out[1] == -out[0]).all()


@numba.njit
def lane_facts(x):
    v = load(x, 0)
    count = lanes(v)
    positive = v > 0
    changed = insert(v, count - 1, 5)
    return (
        (sum_lanes(v), max_lanes(v), min_lanes(v), sum_lanes(splat_lane(v, count - 1)), extract(v, 0)),
        (extract(changed, count - 1), sum_lanes(lane_numbers(v))),
        (lanes(x), count, lanes(x[0]), mask_bits(positive), count_lanes(positive)),
        (any_lane(positive), all_lanes(positive), any_lane(v > 100), all_lanes(v < 100)),
    )


@pytest.mark.parametrize("dtype", DTYPES)
def test_lanes_and_their_folds(dtype: str) -> None:
    x = np.array([(-1) ** k * (k + 1) for k in range(32)], dtype)
    numbers, more, integers, truths = lane_facts(x)
    n = integers[0]
    first = x[:n]
    assert numbers == (first.sum(), first.max(), first.min(), n * first[-1], first[0])
    assert more == (5.0, n * (n - 1) / 2)
    assert integers == (n, n, n, sum(1 << k for k in range(0, n, 2)), (n + 1) // 2)
    assert truths == (True, n == 1, False, True)


@pytest.mark.parametrize("dtype", DTYPES)
def test_first_lanes(dtype: str) -> None:
    @numba.njit
    def bits(x, count):
        return mask_bits(first_lanes(load(x, 0), count)), lanes(x)

    x = np.zeros(16, dtype)
    _, n = bits(x, 0)
    for count in (-(2**40), -1, 0, 1, n - 1, n, n + 1, 2**32, 2**40 + 1):
        assert bits(x, count)[0] == (1 << min(max(count, 0), n)) - 1, count


@numba.njit
def copy_parts(x, start, count, out, to):
    store_first(out, to, count, load_first(x, start, count, -3))


@pytest.mark.parametrize("dtype", DTYPES)
def test_masked_tails_leave_the_neighbours_alone(dtype: str) -> None:
    for count in range(-1, 18):
        x = np.arange(1, 33, dtype=dtype)
        out = np.full(40, -7.0, dtype)
        copy_parts(x, 5, count, out, 11)
        moved = min(max(count, 0), lanes_of(x))
        wanted = np.full(40, -7.0, dtype)
        wanted[11 : 11 + moved] = x[5 : 5 + moved]
        assert (out == wanted).all(), count


def test_masked_loads_do_not_touch_the_page_behind(tmp_path: Path) -> None:
    """The last numbers of a mapped file lie at the end of a page behind which nothing is mapped."""
    ctypes = pytest.importorskip("ctypes")
    mmap = pytest.importorskip("mmap")
    if not hasattr(mmap, "PROT_READ"):
        pytest.skip("no protection of pages here")
    page = mmap.PAGESIZE
    area = mmap.mmap(-1, 2 * page)
    start = ctypes.addressof(ctypes.c_char.from_buffer(area))
    libc = ctypes.CDLL(None)
    if libc.mprotect(ctypes.c_void_p(start + page), ctypes.c_size_t(page), 0) != 0:
        pytest.skip("pages cannot be protected here")
    try:
        for dtype in DTYPES:
            whole = np.frombuffer(area, dtype, count=page // np.dtype(dtype).itemsize)
            last = whole[-3:]
            last[:] = [1, 2, 3]
            out = np.zeros(3, dtype)
            copy_parts(last, 0, 3, out, 0)
            assert out.tolist() == [1, 2, 3]
            copy_parts(out, 0, 3, last, 0)
            assert last.tolist() == [1, 2, 3]
    finally:
        libc.mprotect(ctypes.c_void_p(start + page), ctypes.c_size_t(page), 3)


@numba.njit
def lanes_of(x):
    return lanes(x)


@numba.njit
def filled(out):
    store(out, 0, splat(out.dtype.type(2)))


@numba.njit
def first(x):
    return sum_lanes(load(x, 0))


def test_arrays_of_any_dimension_count_flat() -> None:
    x = np.arange(64.0).reshape(4, 4, 4)
    n = lanes_of(x)
    assert first(x[1]) == sum(range(16, 16 + n))


def test_what_cannot_be_right_does_not_compile() -> None:
    with pytest.raises(TypingError, match="C-contiguous"):
        first(np.zeros((40, 40))[:, ::2])
    readonly = np.zeros(16)
    readonly.flags.writeable = False
    with pytest.raises(TypingError, match="read-only"):
        filled(readonly)

    @numba.njit
    def mixed(x, y):
        return sum_lanes(load(x, 0) + load(y, 0))

    with pytest.raises(TypingError):
        mixed(np.zeros(16), np.zeros(16, np.float32))
    with pytest.raises(TypingError):
        first(np.zeros(16, np.int8))
