"""The floor of the loss under a normalisation: closed forms, and a certificate that random vectors cannot break."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from traindyn.analytics import normalised_floor, normalised_loss_floor
from traindyn.errors import InputError


def problem(outputs, targets=None, frequencies=None):
    targets = np.arange(len(outputs)) if targets is None else np.asarray(targets)
    frequencies = np.full(targets.size, 1.0 / targets.size) if frequencies is None else np.asarray(frequencies)
    return SimpleNamespace(outputs=np.asarray(outputs, float), targets=targets, frequencies=frequencies)


def random_outputs(n_classes, dim, seed):
    outputs = np.random.default_rng(seed).normal(size=(n_classes, dim))
    return outputs / np.linalg.norm(outputs, axis=1, keepdims=True)


@pytest.mark.parametrize("gain", [0.5, 3.0, 40.0])
@pytest.mark.parametrize("n_classes", [2, 3, 7])
def test_orthonormal_outputs(n_classes, gain):
    floor = normalised_loss_floor(problem(np.eye(n_classes, 9)), gain)
    margin = gain * np.sqrt(n_classes / (n_classes - 1))
    assert floor.value == pytest.approx(np.log1p((n_classes - 1) * np.exp(-margin)), rel=1e-12)
    np.testing.assert_allclose(floor.margins, margin, rtol=1e-10)


@pytest.mark.parametrize("gain", [0.3, 2.0])
def test_two_classes_of_unequal_frequency(gain):
    """log(1 + exp(-g |u_1 - u_2|)) whatever the frequencies; without the mean of the entries where it is centred."""
    outputs = random_outputs(2, 4, 1)
    apart = outputs[0] - outputs[1]
    memory = problem(outputs, [0, 1, 1], [0.9, 0.06, 0.04])
    assert normalised_loss_floor(memory, gain).value == pytest.approx(
        np.log1p(np.exp(-gain * np.linalg.norm(apart))), rel=1e-12
    )
    centred = normalised_loss_floor(memory, gain, centred=True)
    assert centred.value == pytest.approx(np.log1p(np.exp(-gain * np.linalg.norm(apart - apart.mean()))), rel=1e-12)
    np.testing.assert_allclose(centred.points.sum(axis=1), 0.0, atol=1e-12)


@pytest.mark.parametrize("gain", [1.0, 5.0, 20.0])
@pytest.mark.parametrize("shape", [(5, 3), (5, 10), (12, 4)])
def test_no_vector_of_that_length_does_better(shape, gain):
    outputs = random_outputs(*shape, seed=3)
    floor = normalised_loss_floor(problem(outputs), gain)
    assert 0.0 <= floor.gap <= 1e-6 * floor.value
    assert np.linalg.norm(floor.points, axis=1).max() <= gain * (1.0 + 1e-12)
    scores = floor.points @ outputs.T
    reached = np.mean(np.log(np.exp(scores).sum(axis=1)) - np.diag(scores))
    assert reached == pytest.approx(floor.value, rel=1e-9)
    tries = np.random.default_rng(0).normal(size=(4000, shape[1]))
    tries *= gain / np.linalg.norm(tries, axis=1, keepdims=True)
    near = floor.points[:, None] + 0.05 * gain * np.random.default_rng(1).normal(size=(shape[0], 400, shape[1]))
    near *= gain / np.linalg.norm(near, axis=2, keepdims=True)
    best = 0.0
    for label in range(shape[0]):
        scores = np.concatenate([tries, near[label]]) @ outputs.T
        best += np.min(np.log(np.exp(scores).sum(axis=1)) - scores[:, label]) / shape[0]
    assert best >= floor.value - floor.gap


def test_the_gap_tells_of_a_bad_point(monkeypatch):
    """Were the solver to stop anywhere else, the gap would be at least what is missing."""
    memory = problem(random_outputs(4, 5, seed=8))
    best = normalised_loss_floor(memory, 2.0)
    generator = np.random.default_rng(2)

    def anywhere(ahead, gain):
        point = generator.normal(size=ahead.shape[1])
        return gain * point / np.linalg.norm(point)

    monkeypatch.setattr(normalised_floor, "_best", anywhere)
    for _ in range(20):
        worse = normalised_loss_floor(memory, 2.0)
        assert worse.value - worse.gap <= best.value < worse.value


def test_a_class_amid_the_others_rests_inside_the_ball():
    """u_0 = 0 between u_1 and u_2 = -u_1: n = 0 is best, loss log 3, at any gain."""
    memory = problem([[0.0, 0.0], [1.0, 0.0], [-1.0, 0.0]], [0], [1.0])
    floor = normalised_loss_floor(memory, 5.0)
    assert floor.value == pytest.approx(np.log(3.0), rel=1e-12)
    assert floor.gap < 1e-7
    np.testing.assert_allclose(floor.points[0], 0.0, atol=1e-7)
    assert np.isnan(floor.margins[1:]).all()


@pytest.mark.parametrize("gain", [0.0, -1.0, np.nan, np.inf])
def test_gain_is_positive(gain):
    with pytest.raises(InputError, match="gain"):
        normalised_loss_floor(problem(np.eye(2)), gain)


@pytest.mark.parametrize("gain", ["large", None])
def test_gain_is_a_number(gain):
    with pytest.raises(InputError, match="gain must be"):
        normalised_loss_floor(problem(np.eye(3)), gain)


def test_one_class_has_no_loss():
    with pytest.raises(InputError, match="at least two classes"):
        normalised_loss_floor(problem(np.eye(1, 3), targets=[0]), 1.0)


def test_a_floor_below_the_range_of_numbers_keeps_its_margins():
    # at large gains the best point has the largest least margin, which is proportional to the gain
    outputs = random_outputs(4, 3, 0)
    margins = [normalised_loss_floor(problem(outputs), gain).margins / gain for gain in (300.0, 3000.0, 30000.0)]
    np.testing.assert_allclose(margins[0], margins[1], rtol=5e-3)
    np.testing.assert_allclose(margins[1], margins[2], rtol=5e-4)
    orthonormal = normalised_loss_floor(problem(np.eye(3)), 2000.0)
    np.testing.assert_allclose(orthonormal.margins, 2000.0 * np.sqrt(1.5), rtol=1e-9)
    assert orthonormal.value == 0.0
