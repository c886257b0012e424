"""PyTorch's normal numbers: known values, PyTorch itself bit by bit where it is installed, and how draws join."""

from __future__ import annotations

import os
import platform

import numpy as np
import pytest

from traindyn.dynamics import TorchNormals
from traindyn.errors import InputError

SHAPES = [(2, 3), (3,), (5, 3), (4, 4), (30, 2), (1,), (17,), (0,), (16,), (15,), (200, 100), (7, 11, 3)]


@pytest.mark.parametrize(
    ("seed", "shape", "printed"),
    [
        (42, (2, 3), ".3367 .1288 .2345 .2303 -1.1229 -.1863"),
        (0, (4, 4), "-1.1258 -1.1524 -.2506 -.4339"),
        (42, (4, 4), "1.9269 1.4873 .9007 -2.1055"),
    ],
)
def test_known_values(seed: int, shape: tuple[int, int], printed: str) -> None:
    expected = [float(word) for word in printed.split()]
    np.testing.assert_allclose(TorchNormals(seed).normal(shape).ravel()[: len(expected)], expected, rtol=0, atol=5.1e-5)


def test_a_pair_waits_across_calls_and_precisions() -> None:
    numbers, again = TorchNormals(3), TorchNormals(3)
    singly = [float(numbers.normal(1, "float64")[0]) for _ in range(6)]
    joined = [*again.normal(3, "float64"), *again.normal((1, 3), "float64")[0]]
    assert singly == joined
    third = TorchNormals(3)
    third.normal(3, "float64")
    third.normal(16, "float64")  # blocks neither use nor drop what waits
    assert third.normal(1, "float64")[0] == singly[3]


def test_single_precision_blocks_are_box_muller() -> None:
    values = TorchNormals(5).normal(48)
    words = np.random.RandomState(5).randint(0, 2**32, size=48, dtype=np.uint32) & (2**24 - 1)
    uniform = (words / 2.0**24).reshape(3, 2, 8)
    radius, angle = np.sqrt(-2.0 * np.log(1.0 - uniform[:, 0])), 2.0 * np.pi * uniform[:, 1]
    expected = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1).ravel()
    # 2 pi in float32 turns by up to 3e-7, and radii stay below 6
    np.testing.assert_allclose(values, expected, rtol=0, atol=3e-6)
    assert values.dtype == np.float32


def test_the_last_block_is_drawn_again() -> None:
    values, whole = TorchNormals(5).normal(20), TorchNormals(5).normal(16)
    assert (values[:4] == whole[:4]).all()
    assert not np.isin(values[4:], whole).any()


def test_many_are_normal() -> None:
    for dtype in ("float32", "float64"):
        values = TorchNormals(1).normal(200_000, dtype).astype(float)
        assert abs(values.mean()) < 4.0 / 200_000**0.5
        assert abs((values**2).mean() - 1.0) < 4.0 * (2.0 / 200_000) ** 0.5


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("seed", [0, 9, 43, 2**32 + 7])
def test_the_numbers_are_pytorchs(seed: int, dtype: str) -> None:
    torch = pytest.importorskip("torch")
    # elsewhere PyTorch rounds its blocks in another way
    fast = platform.machine() in ("x86_64", "AMD64") and os.environ.get("ATEN_CPU_CAPABILITY") != "default"
    fast = fast and torch.backends.cpu.get_cpu_capability() in ("AVX2", "AVX512")
    torch.manual_seed(seed)
    numbers = TorchNormals(seed)
    for shape in SHAPES:
        theirs, ours = torch.randn(shape, dtype=getattr(torch, dtype)).numpy(), numbers.normal(shape, dtype)
        assert ours.dtype == theirs.dtype
        assert ours.shape == theirs.shape
        if fast or dtype == "float64":
            np.testing.assert_array_equal(ours, theirs)
        else:
            np.testing.assert_allclose(ours, theirs, rtol=0, atol=3e-6)


def test_what_is_refused() -> None:
    with pytest.raises(InputError, match=r"seed must be an integer >= 0; got -1"):
        TorchNormals(-1)
    with pytest.raises(InputError, match="float16"):
        TorchNormals(0).normal(3, "float16")
    with pytest.raises(InputError, match=r"a length of shape must be an integer >= 0; got -2"):
        TorchNormals(0).normal((3, -2))
