"""What the door refuses, with the law, the value and the way out; and what it lets in."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from traindyn import kernels
from traindyn.errors import InputError, SizeError
from traindyn.kernels.door import enter

GOOD = {
    "weights": np.arange(9.0).reshape(3, 3) / 9,
    "inputs": np.arange(6.0).reshape(2, 3) / 6,
    "outputs": np.arange(12.0).reshape(4, 3) / 12,
    "targets": np.array([0, 3]),
    "frequencies": np.array([0.25, 0.75]),
}


class OnAnotherDevice:
    """What an array on a GPU looks like from outside."""

    __cuda_array_interface__ = {"version": 3}  # noqa: RUF012

    def __array__(self, *_):
        raise TypeError("implicit conversion to a NumPy array is not allowed")


class ForeignTensor:
    """An array of another library that converts through `__array__`."""

    def __init__(self, values, dtype):
        self.values, self.dtype = values, dtype

    def __array__(self, dtype=None, copy=None):
        return np.array(self.values, dtype=self.dtype)


class Unconvertible:
    def __array__(self, *_):
        raise RuntimeError("Can't call numpy() on Tensor that requires grad")


def with_entry(name, index, value):
    array = GOOD[name].copy()
    array[index] = value
    return array


BAD = [
    ("weights", np.zeros((3, 2)), r"weights must have shape \(d, d\).*\(3, 2\)"),
    ("weights", np.zeros(9), r"weights must have shape \(d, d\).*\(9,\).*2 axes"),
    ("weights", with_entry("weights", (1, 2), np.nan), r"weights must be finite.*nan at index \(1, 2\)"),
    ("weights", with_entry("weights", (0, 0), -np.inf), r"weights must be finite.*-inf at index \(0, 0\)"),
    ("weights", GOOD["weights"].astype(complex), "weights must be float64 or float32.*complex128.*astype"),
    ("weights", GOOD["weights"].astype(np.float16), "float16.*convert"),
    ("weights", GOOD["weights"].astype(np.longdouble), "weights must be float64 or float32"),
    ("weights", "abc", "weights must be float64 or float32"),
    ("weights", [[1, 2], [3]], "weights must be convertible.*equal length"),
    ("weights", [[None, 2], [3, 1]], "weights must hold numbers only"),
    ("weights", Unconvertible(), "requires grad.*detach"),
    ("weights", OnAnotherDevice(), "no GPU twins.*copy it to the CPU"),
    ("inputs", np.zeros((2, 4)), r"inputs must have shape \(N, d\).*d = 3.*\(2, 4\)"),
    ("inputs", np.zeros((0, 3)), r"inputs must not be empty.*\(0, 3\)"),
    ("outputs", np.zeros((4, 2)), r"outputs must have shape \(M, d\).*d = 3.*\(4, 2\)"),
    ("outputs", GOOD["outputs"].astype(np.float32), "one floating type.*weights float64 and outputs float32.*astype"),
    ("targets", np.array([0, 4]), r"targets must lie in 0 \.\. 3 .*4 for token 1"),
    ("targets", np.array([-1, 0]), r"targets must lie in 0 \.\. 3 .*-1 for token 0"),
    ("targets", np.array([2**63 + 1, 0], dtype=np.uint64), "targets must lie in"),
    ("targets", np.array([0.0, 1.0]), "targets must be integers.*float64.*astype"),
    ("targets", np.array([True, False]), "targets must be integers.*bool"),
    ("targets", np.array([0, 1, 2]), r"targets must have shape \(N,\).*N = 2 tokens.*\(3,\)"),
    ("targets", np.array([[0], [1]]), r"targets must have shape \(N,\)"),
    ("frequencies", np.array([0.5, 0.4]), "frequencies must sum to 1 within 1e-09.*0.9.*divide"),
    ("frequencies", np.array([0.5, 0.5 + 3e-9]), "frequencies must sum to 1"),
    ("frequencies", np.array([1.5, -0.5]), "frequencies must not be negative.*-0.5 for token 1"),
    ("frequencies", np.array([np.nan, 1.0]), "frequencies must be finite"),
    ("frequencies", [0.75, 0.25, 0.0], r"frequencies must have shape \(N,\)"),
]


@pytest.mark.parametrize(("name", "value", "message"), BAD)
def test_bad_argument(name, value, message):
    with pytest.raises(InputError, match=message) as caught:
        kernels.softmax_gradient(**{**GOOD, name: value})
    assert caught.value.law
    assert caught.value.value is not None
    assert caught.value.cure


@pytest.mark.parametrize(
    ("rate", "message"),
    [
        (0.0, "learning_rate must be positive"),
        (-1.0, "learning_rate must be positive"),
        (np.nan, "learning_rate must be positive and finite"),
        (np.inf, "learning_rate must be positive and finite"),
        ("fast", "learning_rate must be a number"),
        (None, "learning_rate must be a number"),
        ([0.1, 0.2], "learning_rate must be a number"),
    ],
)
def test_bad_learning_rate(rate, message):
    with pytest.raises(InputError, match=message):
        kernels.particle_step([[0.0, 0.0]], [[1.0]], np.eye(2), [0], [1.0], rate)


def test_grams_must_be_square_and_agree():
    with pytest.raises(InputError, match=r"input_gram must have shape \(N, N\)"):
        kernels.particle_step([[0.0, 0.0]], np.eye(2), np.eye(2), [0], [1.0], 1.0)
    with pytest.raises(InputError, match=r"output_gram must have shape \(M, M\)"):
        kernels.particle_step([[0.0, 0.0]], [[1.0]], np.eye(3), [0], [1.0], 1.0)


def test_gpu_array_is_refused_without_its_library():
    before = set(sys.modules)
    with pytest.raises(InputError, match="GPU"):
        kernels.margins(OnAnotherDevice(), [0])
    assert "cupy" not in set(sys.modules) - before


def test_lists_and_integers_take_the_type_of_the_arrays():
    single = {name: value.astype(np.float32) for name, value in GOOD.items() if name not in ("targets", "frequencies")}
    _, gradient = kernels.softmax_gradient(**single, targets=[0, 3], frequencies=[0.25, 0.75])
    assert gradient.dtype == np.float32
    _, gradient = kernels.softmax_gradient([[0]], [[1]], [[1]], [0], [1])
    assert gradient.dtype == np.float64


def test_float32_frequencies_may_be_off_by_their_rounding():
    frequencies = np.full(10, 0.1, dtype=np.float32)
    assert abs(frequencies.sum(dtype=np.float64) - 1) > 1e-9
    kernels.loss(np.zeros((10, 2), dtype=np.float32), [0] * 10, frequencies)
    frequencies[0] *= np.float32(1 + 1e-4)
    with pytest.raises(InputError, match="sum to 1"):
        kernels.loss(np.zeros((10, 2), dtype=np.float32), [0] * 10, frequencies)


def test_foreign_array_is_converted():
    _, expected = kernels.softmax_gradient(**GOOD)
    foreign = ForeignTensor(GOOD["weights"], np.float64)
    np.testing.assert_array_equal(kernels.softmax_gradient(**{**GOOD, "weights": foreign})[1], expected)
    with pytest.raises(InputError, match="one floating type"):
        kernels.softmax_gradient(**{**GOOD, "weights": ForeignTensor(GOOD["weights"], np.float32)})


def test_float64_beyond_float32_is_refused_without_a_warning():
    values = {"scores": [[1e300, 0.0]], "input_gram": np.ones((1, 1), dtype=np.float32)}
    with pytest.raises(InputError, match="scores must be finite in float32"):  # warnings are errors here
        enter({"scores": "NM", "input_gram": "NN"}, values)


def test_behind_the_door_arrays_are_frozen_and_the_caller_s_are_not():
    mine = np.zeros((2, 2))
    arrays, sizes = enter({"scores": "NM"}, {"scores": mine})
    assert np.shares_memory(arrays["scores"], mine)  # no copy where none is needed
    assert not arrays["scores"].flags.writeable
    assert mine.flags.writeable
    assert sizes == {"N": 2, "M": 2}


def test_hessian_that_no_memory_holds_is_refused():
    dim = 2000
    with pytest.raises(SizeError, match=r"d = 2000 needs 1.6e\+05 GB.*hessian_vector_product"):
        kernels.hessian(np.zeros((dim, dim)), np.zeros((1, dim)), np.zeros((2, dim)), [0], [1.0])
