"""exp, log, tanh and their kin: units in the last place against mpmath, seams, special values, scalars like vectors."""

from __future__ import annotations

import math
import runpy
from collections.abc import Callable
from pathlib import Path

import mpmath
import numpy as np
import pytest

CASES = runpy.run_path(str(Path(__file__).with_name("simd_cases.py")))
NAMES = CASES["ELEMENTARY"]
DTYPES = ("float64", "float32")

# what the docstrings promise
LIMITS = {
    "exp": 1.1, "exp_bounded": 1.1, "expm1": 1.5, "log": 1.0, "log1p": 1.5,
    "tanh": 2.0, "sigmoid": 2.0, "softplus": 2.0,
}  # fmt: skip
EXACT: dict[str, Callable[[mpmath.mpf], mpmath.mpf]] = {
    "exp": mpmath.exp,
    "exp_bounded": mpmath.exp,
    "expm1": mpmath.expm1,
    "log": mpmath.log,
    "log1p": mpmath.log1p,
    "tanh": mpmath.tanh,
    "sigmoid": lambda x: 1 / (1 + mpmath.exp(-x)),
    "softplus": lambda x: mpmath.log1p(mpmath.exp(x)),
}
DOMAIN = {"log": (0.0, math.inf), "log1p": (-1.0, math.inf)}
BOUNDED = {"float64": (-708.0, 0.0), "float32": (-87.0, 0.0)}


def computed(x: np.ndarray, compute: str = "elementary") -> dict[str, np.ndarray]:
    size = -(-x.size // 16) * 16
    padded = np.ones(size, x.dtype)
    padded[: x.size] = x
    out = np.empty((len(NAMES), size), x.dtype)
    CASES[compute](padded, out)
    return {name: row[: x.size] for name, row in zip(NAMES, out, strict=True)}


def units(name: str, x: np.ndarray, values: np.ndarray) -> tuple[float, float]:
    """Return the largest error in units in the last place of the exact result, and where it is."""
    info = np.finfo(x.dtype)
    low, high = DOMAIN.get(name, (-math.inf, math.inf))
    worst, place = 0.0, math.nan
    with mpmath.workprec(160):
        for number, value in zip(x.tolist(), values.tolist(), strict=True):
            if not (low < number < high and math.isfinite(number)):
                continue
            exact = EXACT[name](mpmath.mpf(number))
            if abs(exact) >= mpmath.mpf(float(info.max)) * (1 + mpmath.mpf(2) ** -(info.nmant + 2)):
                assert math.isinf(value), (name, number)
                continue
            exponent = mpmath.frexp(exact)[1] if exact != 0 else -(10**6)
            unit = mpmath.mpf(2) ** max(exponent - 1 - info.nmant, info.minexp - info.nmant)
            error = float(abs(mpmath.mpf(value) - exact) / unit)
            if not error <= worst:
                worst, place = error, number
    return worst, place


def neighbours(centres: list[float], dtype: str) -> np.ndarray:
    """The numbers at each place, next to it and next to those."""
    found = []
    for centre in centres:
        below = above = np.array(centre, dtype)
        found.append(below)
        for _ in range(2):
            below, above = np.nextafter(below, -np.inf, dtype=dtype), np.nextafter(above, np.inf, dtype=dtype)
            found += [below, above]
    return np.array(found, dtype)


# where long scans found the largest errors of these formulas, or of ones that were not good enough
HARD = [
    665.7798793847805, 15.6287841796875, -59.95270538330078, -0.38938991365432646, 0.3473576161402697,
    1.4099576799966813, 1.3970108032226562, 0.4712759867002267, 0.41896137595176697, 0.015431427743727447,
    0.03111945175203535, 0.062349796295166016, 0.06182335317134857, 0.2301990057506733, -1.1026275708398556,
    -3.4544015877084973, -36.74130424980501, -16.6456298828125, 0.00189045529213988, 0.1924898500613343,
    -0.4473268621973645, 0.07252636551856995,
]  # fmt: skip


def seams(dtype: str) -> np.ndarray:
    """Where the reduction or the branch-free choices change: half multiples of log 2, powers of two, range ends."""
    log2 = math.log(2.0)
    info = np.finfo(dtype)
    lowest, largest = math.log(float(info.smallest_subnormal)), math.log(float(info.max))
    ends = (-1075, -1022, -150, -127, -126, -55, -53, -25, -2, -1, 0, 1, 22, 52, 53, 127, 1023)
    halves = [(k + 0.5) * log2 for k in ends]
    centres = [*halves, *(0.5 * h for h in halves[5:14]), lowest, largest, math.log(float(info.tiny)), -lowest]
    centres += [-40.0, 40.0, -80.0, -87.0, -700.0, -708.0, 80.0, 700.0, 22.0, 44.0, 1e-3, -1e-3]
    for k in (-20, -2, -1, 0, 1, 2, 24, 53, 60, 100):
        centres += [2.0**k, -(2.0**k), 2.0**k * math.sqrt(2.0), 2.0**k - 1.0, 2.0**k * math.sqrt(2.0) - 1.0]
    centres += [float(info.tiny), float(info.smallest_subnormal) * 3, -float(info.tiny), 2.0**-60, -(2.0**-60)]
    centres += [sign * part * float(info.max) for sign in (1, -1) for part in (0.999, 0.75, 0.7, 0.5, 0.25)]
    centres += HARD
    return neighbours([c for c in centres if abs(c) < float(info.max)], dtype)


def samples(dtype: str, count: int) -> np.ndarray:
    rng = np.random.default_rng(2)
    integers = np.uint64 if dtype == "float64" else np.uint32
    patterns = rng.integers(0, np.iinfo(integers).max, count, dtype=integers).view(dtype)
    reach = 746.0 if dtype == "float64" else 104.0
    ordinary = [rng.normal(size=count), rng.normal(size=count) * 10, rng.uniform(-reach, reach, count),
                rng.uniform(0.5, 2, count), rng.uniform(-0.9, 0.9, count)]  # fmt: skip
    return np.concatenate([patterns, *(numbers.astype(dtype) for numbers in ordinary)])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("where", ["seams", "samples"])
def test_errors_in_units_of_the_last_place(dtype: str, where: str) -> None:
    x = seams(dtype) if where == "seams" else samples(dtype, 400)
    rows = computed(x)
    for name in NAMES:
        chosen = np.ones(x.size, bool)
        if name == "exp_bounded":
            chosen = (x >= BOUNDED[dtype][0]) & (x <= 0)
        worst, place = units(name, x[chosen], rows[name][chosen])
        assert worst <= LIMITS[name], (name, worst, place)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_every_float32(name: str) -> None:
    """All 2^32 arguments, against float64, whose own error is a 10^-9 of the unit here."""
    step = 1 << 22
    others = {
        "exp_bounded": np.exp,
        "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
        "softplus": lambda x: np.logaddexp(0, x),
    }
    wanted = others.get(name) or getattr(np, name)
    worst = 0.0
    for start in range(0, 1 << 32, step):
        x = np.arange(start, start + step, dtype=np.uint64).astype(np.uint32).view(np.float32)
        if name == "exp_bounded":
            x = x[(x >= -87) & (x <= 0)]
        if x.size == 0:
            continue
        with np.errstate(all="ignore"):
            exact = wanted(x.astype(np.float64))
            rounded = exact.astype(np.float32)
        got = computed(x)[name]
        ordinary = np.isfinite(rounded) & (rounded != 0)
        rest = ~ordinary & ~np.isnan(rounded)
        assert (np.isnan(got) == np.isnan(rounded)).all()
        # beyond the range: infinity, or the largest number one rounding away from it; zero, or the smallest number
        largest = np.finfo(np.float32).max
        assert (np.where(np.isinf(rounded), got >= largest, np.abs(got) <= 2e-45) | ~rest).all()
        error = np.abs(got[ordinary].astype(np.float64) - exact[ordinary]) / np.spacing(np.abs(rounded[ordinary]))
        worst = max(worst, float(error.max(initial=0.0)))
    assert worst <= LIMITS[name]


SPECIAL = {
    # at 0, -0, inf, -inf, NaN
    "exp": (1.0, 1.0, math.inf, 0.0, math.nan),
    "expm1": (0.0, -0.0, math.inf, -1.0, math.nan),
    "log": (-math.inf, -math.inf, math.inf, math.nan, math.nan),
    "log1p": (0.0, -0.0, math.inf, math.nan, math.nan),
    "tanh": (0.0, -0.0, 1.0, -1.0, math.nan),
    "sigmoid": (0.5, 0.5, 1.0, 0.0, math.nan),
    "softplus": (math.log(2.0), math.log(2.0), math.inf, 0.0, math.nan),
}


@pytest.mark.parametrize("dtype", DTYPES)
def test_special_values(dtype: str) -> None:
    rows = computed(np.array([0.0, -0.0, math.inf, -math.inf, math.nan], dtype))
    for name, wanted in SPECIAL.items():
        expected = np.array(wanted, dtype)
        np.testing.assert_array_equal(rows[name], expected, err_msg=name)
        numbers = ~np.isnan(expected)
        assert (np.signbit(rows[name]) == np.signbit(expected))[numbers].all(), name
    outside = computed(np.array([-1.0, -2.0, -1e-30, -1e30], dtype))
    assert np.isnan(outside["log"]).all()
    assert outside["log1p"][0] == -math.inf
    assert np.isnan(outside["log1p"][[1, 3]]).all()
    assert outside["log1p"][2] == np.dtype(dtype).type(-1e-30)


@pytest.mark.parametrize("dtype", DTYPES)
def test_small_arguments_and_results_keep_their_last_bits(dtype: str) -> None:
    info = np.finfo(dtype)
    tiny = np.array([1, 2, 3, 12345], dtype) * info.smallest_subnormal
    rows = computed(np.concatenate([tiny, -tiny]))
    for name in ("expm1", "log1p", "tanh"):
        assert (rows[name] == np.concatenate([tiny, -tiny])).all(), name
    below = np.linspace(math.log(float(info.smallest_subnormal)), math.log(float(info.tiny)), 100).astype(dtype)
    rows = computed(below)
    for name in ("exp", "sigmoid", "softplus"):
        assert units(name, below, rows[name])[0] <= 1.0, name
        assert (rows[name] > 0).all()


@pytest.mark.parametrize("dtype", DTYPES)
def test_exp_bounded_outside_its_interval(dtype: str) -> None:
    """Far below it stays at a number so small that it adds nothing to the largest term of a softmax, 1."""
    far = np.array([-1e4, -1e30, -math.inf, math.nan], dtype)
    got = computed(far)["exp_bounded"]
    assert (got[:3] == got[0]).all()
    assert 0 <= got[0] < 1e-37
    assert np.isnan(got[3])


@pytest.mark.parametrize("dtype", DTYPES)
def test_scalars_have_the_bits_of_vectors(dtype: str) -> None:
    x = np.concatenate([seams(dtype), samples(dtype, 300)])
    vectors, scalars = computed(x), computed(x, "elementary_scalars")
    for name in NAMES:
        np.testing.assert_array_equal(vectors[name], scalars[name], err_msg=name)


def test_both_precisions_in_one_function() -> None:
    """The formulas are written once a module, under a name for each type."""
    import numba

    from traindyn.kernels.cpu.simd import exp, load, max_lanes

    @numba.njit
    def both(x, y):
        return max_lanes(exp(load(x, 0))), max_lanes(exp(load(y, 0))), exp(x[0]), exp(y[0])

    found = both(np.zeros(16), np.zeros(16, np.float32))
    assert found == (1.0, 1.0, 1.0, 1.0)


def test_coefficients_come_from_the_tool() -> None:
    """The tool's fit for one table is that table, to the last bit but for the rounding of nearly free terms."""
    tool = runpy.run_path(str(Path(__file__).resolve().parents[2] / "tools" / "elementary_coefficients.py"))
    from traindyn.kernels.cpu.simd import coefficients

    with mpmath.workdps(60):
        exact = tool["best_polynomial"](
            tool["exponential_tail"], tool["exponential_weight"], (-tool["HALF_LOG2"], tool["HALF_LOG2"]), 5
        )
        log2 = mpmath.log(2)
        for bits, error in ((64, 2.0**-107), (32, 2.0**-49)):
            assert abs(coefficients.LOG2_HIGH[bits] + mpmath.mpf(coefficients.LOG2_LOW[bits]) - log2) < error
    assert [float(np.float32(float(value))) for value in exact] == list(coefficients.EXPONENTIAL_TAIL[32])
