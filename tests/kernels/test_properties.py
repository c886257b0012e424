"""Laws that hold for every problem, over sizes, scales and degenerate embeddings."""

from __future__ import annotations

import numpy as np
import pytest

hypothesis = pytest.importorskip("hypothesis")
st = hypothesis.strategies

from traindyn import kernels  # noqa: E402


@st.composite
def memories(draw):
    """Weights and problem; scores up to some hundreds, entries that are zero or equal included."""
    n_tokens, n_classes, dim = (draw(st.integers(1, 5)) for _ in range(3))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    scale = 10.0 ** draw(st.floats(-6, 2))
    weights = scale * rng.normal(size=(dim, dim))
    rounding = draw(st.sampled_from([None, 0]))  # whole numbers make ties, duplicates and zero embeddings
    inputs, outputs = rng.normal(size=(n_tokens, dim)), rng.normal(size=(n_classes, dim))
    if rounding is not None:
        inputs, outputs = inputs.round(rounding), outputs.round(rounding)
    frequencies = rng.random(n_tokens) + 1e-3
    return weights, inputs, outputs, rng.integers(0, n_classes, n_tokens), frequencies / frequencies.sum()


@hypothesis.given(memories())
def test_twins_agree(memory):
    loss, gradient = kernels.softmax_gradient(*memory)
    expected_loss, expected = kernels.reference.softmax_gradient(*memory)
    # the reference takes probabilities as differences of numbers of order 1, at scores known to their own rounding
    largest = abs(kernels.scores(*memory[:3])).max() + 1.0
    assert loss == pytest.approx(expected_loss, rel=1e-13, abs=1e-15 * largest)
    np.testing.assert_allclose(gradient, expected, rtol=0, atol=1e-14 * largest * 25)


@hypothesis.given(memories(), st.floats(-300, 300))
def test_a_shift_of_all_classes_changes_nothing(memory, shift):
    weights, inputs, outputs, targets, frequencies = memory
    scores = kernels.scores(weights, inputs, outputs)
    tolerance = 1e-15 * (abs(scores).max() + abs(shift) + 1.0) * 4
    before, after = kernels.loss(scores, targets, frequencies), kernels.loss(scores + shift, targets, frequencies)
    assert after == pytest.approx(before, rel=tolerance, abs=tolerance)
    moved = kernels.margins(scores + shift, targets)
    np.testing.assert_allclose(moved, kernels.margins(scores, targets), rtol=0, atol=tolerance)


@hypothesis.given(memories(), st.integers(0, 2**32 - 1))
def test_hessian_product_is_symmetric_and_positive(memory, seed):
    weights, inputs, outputs, targets, frequencies = memory
    one, two = np.random.default_rng(seed).normal(size=(2, *weights.shape))
    first = kernels.hessian_vector_product(weights, one, inputs, outputs, targets, frequencies)
    second = kernels.hessian_vector_product(weights, two, inputs, outputs, targets, frequencies)
    unit = 1e-14 * np.linalg.norm(inputs) ** 2 * np.linalg.norm(outputs) ** 2 * 25
    assert abs(np.vdot(two, first) - np.vdot(one, second)) <= unit
    assert np.vdot(one, first) >= -unit
    top = kernels.sharpness(weights, inputs, outputs, targets, frequencies)
    assert np.vdot(one, first) <= top * np.vdot(one, one) + unit


@hypothesis.given(memories())
def test_accuracy_and_margins_say_the_same(memory):
    weights, inputs, outputs, targets, frequencies = memory
    scores = kernels.scores(weights, inputs, outputs)
    margins = kernels.margins(scores, targets)
    accuracy = kernels.accuracy(scores, targets, frequencies)
    assert (accuracy == 1.0) == bool((margins > 0).all())
    assert accuracy == pytest.approx(frequencies[margins > 0].sum(), abs=1e-15)
    # the loss is at most that of all other scores tied with the best of them
    bound = np.log1p((outputs.shape[0] - 1) * np.exp(-np.maximum(margins, -700))) @ frequencies
    assert kernels.loss(scores, targets, frequencies) <= bound * (1 + 1e-12) + (abs(margins[margins < -700]).sum())
