"""The associative memory: what it accepts, what it refuses and says, and its random families."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from traindyn.dynamics import AssociativeMemory
from traindyn.errors import InputError

IDENTITY = [[1.0, 0.0], [0.0, 1.0]]


def test_arrays_are_read_only_copies() -> None:
    inputs = np.asfortranarray(np.arange(6.0).reshape(3, 2))
    memory = AssociativeMemory(inputs, IDENTITY, [0, 1, 1], [0.5, 0.25, 0.25])
    inputs[0, 0] = 7.0
    assert memory.inputs[0, 0] == 0.0
    for array in (memory.inputs, memory.outputs, memory.targets, memory.frequencies, memory.input_gram):
        assert not array.flags.writeable
        assert array.flags.c_contiguous
    with pytest.raises(AttributeError):
        memory.inputs = inputs  # type: ignore[misc]


def test_equality_goes_by_content() -> None:
    one, other = AssociativeMemory.two_tokens(), AssociativeMemory.two_tokens()
    assert one == other
    assert hash(one) == hash(other)
    assert one != AssociativeMemory.two_tokens(correlation=0.9499999999999999)
    assert one != "memory"
    copy = pickle.loads(pickle.dumps(one))
    assert copy == one
    assert not copy.frequencies.flags.writeable


def test_frequencies_are_normalised_within_the_tolerance() -> None:
    memory = AssociativeMemory(IDENTITY, IDENTITY, [0, 1], [0.5, 0.5 + 5e-10])
    assert abs(memory.frequencies.sum() - 1.0) < 1e-15


def test_duplicate_and_zero_embeddings_are_allowed() -> None:
    memory = AssociativeMemory([[1.0, 0.0], [1.0, 0.0], [0.0, 0.0]], IDENTITY, [0, 1, 0], [0.5, 0.25, 0.25])
    assert memory.n_tokens == 3


BAD: dict[str, tuple[Callable[[], Any], str]] = {
    "dimensions differ": (lambda: AssociativeMemory([[1, 0]], [[1, 0, 0], [0, 1, 0]], [0], [1]), "same dim"),
    "one axis": (lambda: AssociativeMemory([1, 0], IDENTITY, [0], [1]), r"inputs must have shape \(n_tokens, dim\)"),
    "ragged": (lambda: AssociativeMemory([[1, 0], [1]], IDENTITY, [0, 1], [0.5, 0.5]), "inputs must be an array"),
    "complex": (lambda: AssociativeMemory([[1j, 0]], IDENTITY, [0], [1]), "inputs must be real"),
    "words": (lambda: AssociativeMemory([["a", "b"]], IDENTITY, [0], [1]), "inputs must be an array of numbers"),
    "nan": (lambda: AssociativeMemory([[np.nan, 0]], IDENTITY, [0], [1]), r"inputs\[0, 0\] = nan"),
    "infinite": (lambda: AssociativeMemory([[1, 0]], [[1, 0], [0, np.inf]], [0], [1]), r"outputs\[1, 1\] = inf"),
    "label too large": (lambda: AssociativeMemory(IDENTITY, IDENTITY, [0, 2], [0.5, 0.5]), r"targets\[1\] = 2"),
    "label negative": (lambda: AssociativeMemory(IDENTITY, IDENTITY, [-1, 1], [0.5, 0.5]), r"targets\[0\] = -1"),
    "label not whole": (lambda: AssociativeMemory(IDENTITY, IDENTITY, [0.5, 1], [0.5, 0.5]), "must be integers"),
    "labels short": (lambda: AssociativeMemory(IDENTITY, IDENTITY, [0], [0.5, 0.5]), r"targets must have shape \(2,\)"),
    "frequency zero": (lambda: AssociativeMemory(IDENTITY, IDENTITY, [0, 1], [1, 0]), r"frequencies\[1\] = 0.0"),
    "frequency negative": (lambda: AssociativeMemory(IDENTITY, IDENTITY, [0, 1], [1.5, -0.5]), "must be positive"),
    "sum": (lambda: AssociativeMemory(IDENTITY, IDENTITY, [0, 1], [0.5, 0.5 + 1e-8]), "must sum to 1"),
    "frequencies short": (lambda: AssociativeMemory(IDENTITY, IDENTITY, [0, 1], [1]), r"must have shape \(2,\)"),
    "no token": (lambda: AssociativeMemory(np.zeros((0, 2)), IDENTITY, [], []), "n_tokens >= 1"),
    "one class": (lambda: AssociativeMemory([[1.0]], [[1.0]], [0], [1]), "at least two classes"),
    "correlation": (lambda: AssociativeMemory.two_tokens(correlation=1.0 + 1e-9), r"correlation must lie in \[-1, 1\]"),
    "correlation nan": (lambda: AssociativeMemory.two_tokens(correlation=np.nan), "correlation must be a finite"),
    "family": (lambda: AssociativeMemory.random(3, 2, 2, "spere"), "did you mean 'sphere'"),
    "orthonormal": (lambda: AssociativeMemory.random(3, 2, 2, "orthonormal"), "count <= dim"),
    "law": (lambda: AssociativeMemory.random(3, 2, 2, frequencies="zip"), "did you mean 'zipf'"),
    "unused correlation": (lambda: AssociativeMemory.random(3, 2, 2, correlation=0.1), "leave correlation out"),
    "equicorrelated": (
        lambda: AssociativeMemory.random(5, 2, 5, "equicorrelated", correlation=-0.26), r"lie in \[-0.25, 1\]",
    ),
    "size": (lambda: AssociativeMemory.random(0, 2, 2), "n_tokens must be an integer >= 1"),
    "size not whole": (lambda: AssociativeMemory.random(3, 2.0, 2), "n_classes must be an integer"),  # type: ignore[arg-type]
    "seed": (lambda: AssociativeMemory.random(3, 2, 2, rng=-1), "rng must be an integer >= 0"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_told(name: str) -> None:
    make, message = BAD[name]
    with pytest.raises(InputError, match=message):
        make()


@pytest.mark.parametrize("family", ["sphere", "orthonormal", "equicorrelated", "clustered"])
def test_unit_norms(family: str) -> None:
    memory = AssociativeMemory.random(9, 3, 12, family, rng=3)
    np.testing.assert_allclose(np.diag(memory.input_gram), 1.0, rtol=0, atol=1e-14)
    np.testing.assert_allclose(memory.output_gram, np.eye(3), atol=1e-14)


@pytest.mark.parametrize("correlation", [-0.25, -0.1, 0.0, 0.3, 1.0])
def test_equicorrelated_gram(correlation: float) -> None:
    memory = AssociativeMemory.random(5, 2, 5, "equicorrelated", correlation=correlation, rng=1)
    expected = (1.0 - correlation) * np.eye(5) + correlation
    np.testing.assert_allclose(memory.input_gram, expected, atol=1e-14)


def test_gaussian_norms_have_mean_one() -> None:
    squared = np.diag(AssociativeMemory.random(4000, 2, 10, "gaussian", rng=5).input_gram)
    # variance of the squared norm is 2 / dim
    assert abs(squared.mean() - 1.0) < 4.0 * np.sqrt(0.2 / 4000)


def test_clustered_correlation_is_the_mean_within_a_cluster() -> None:
    memory = AssociativeMemory.random(400, 2, 30, "clustered", correlation=0.7, rng=2)
    gram = memory.input_gram.reshape(20, 20, 20, 20)
    within = np.array([gram[:, c, :, c][np.triu_indices(20, 1)].mean() for c in range(20)])
    assert abs(within.mean() - 0.7) < 0.01


def test_zipf_and_targets() -> None:
    memory = AssociativeMemory.random(4, 3, 4, frequencies="zipf")
    np.testing.assert_allclose(memory.frequencies * [1, 2, 3, 4], memory.frequencies[0], rtol=1e-15)
    assert memory.targets.tolist() == [0, 1, 2, 0]


def test_seeds_repeat() -> None:
    seed = np.random.SeedSequence(7)
    assert AssociativeMemory.random(4, 3, 5, rng=7) == AssociativeMemory.random(4, 3, 5, rng=7)
    assert AssociativeMemory.random(4, 3, 5, rng=seed) == AssociativeMemory.random(4, 3, 5, rng=7)
    assert AssociativeMemory.random(4, 3, 5, rng=8) != AssociativeMemory.random(4, 3, 5, rng=7)
