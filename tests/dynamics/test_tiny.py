"""One tiny run in rows of vectors against the general slice."""

from __future__ import annotations

import numpy as np
import pytest

from traindyn.dynamics import AssociativeMemory, GradientDescent, at, every, schedules, simulate, when
from traindyn.dynamics import tiny_system as tiny
from traindyn.dynamics.status import Status

SHAPES = [(1, 3, 4), (5, 5, 10), (7, 4, 9), (16, 8, 20)]


def in_general(monkeypatch):
    monkeypatch.setattr(tiny, "is_tiny", lambda *_: False)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("shape", SHAPES)
def test_equals_the_general_slice(shape, dtype, monkeypatch):
    memory = AssociativeMemory.random(*shape, "gaussian", "zipf", rng=3)
    rule = GradientDescent(schedules.cosine(2.0, steps=40))
    start = np.random.default_rng(0).normal(size=(memory.dim, memory.dim))
    options = {"steps": 50, "initial": start, "dtype": dtype, "form": "particles"}
    assert tiny.is_tiny(memory, rule, dtype)
    ours = simulate(memory, rule, **options)
    in_general(monkeypatch)
    general = simulate(memory, rule, **options)
    # 50 stable steps: a few hundred roundings of numbers of order ten
    allowed = 2000 * np.finfo(dtype).eps
    for name in ("loss", "accuracy", "margin"):
        np.testing.assert_allclose(ours[name], general[name], rtol=0, atol=allowed)
    np.testing.assert_allclose(
        memory.scores(ours.final), memory.scores(general.final), rtol=0, atol=20 * allowed
    )


def test_stops_where_the_general_slice_does(monkeypatch):
    memory = AssociativeMemory.random(5, 5, 10, "gaussian", "zipf", rng=3)
    options = {"steps": 100, "stop": when("accuracy", ">=", 1.0), "form": "particles"}
    ours = simulate(memory, GradientDescent(0.5), **options)
    in_general(monkeypatch)
    general = simulate(memory, GradientDescent(0.5), **options)
    assert ours.status is general.status is Status.THRESHOLD_REACHED
    np.testing.assert_array_equal(ours.step, general.step)
    np.testing.assert_allclose(ours.final, general.final, rtol=0, atol=1e-12)


def test_resumed_equals_uninterrupted():
    memory = AssociativeMemory.random(5, 5, 10, rng=3)
    rule = GradientDescent(30.0)
    whole = simulate(memory, rule, steps=200, save=every(7), form="particles")
    half = simulate(memory, rule, steps=90, save=every(7), form="particles")
    resumed = simulate(memory, rule, steps=200, resume=half)
    np.testing.assert_array_equal(resumed["margin"], whole["margin"])
    np.testing.assert_array_equal(resumed.final, whole.final)


def test_margins_that_no_exponential_holds(monkeypatch):
    memory = AssociativeMemory.random(5, 5, 10, "gaussian", "zipf", rng=3)
    ours = simulate(memory, GradientDescent(1e5), steps=3, form="particles")
    in_general(monkeypatch)
    general = simulate(memory, GradientDescent(1e5), steps=3, form="particles")
    assert np.abs(ours["margin"]).max() > 800.0
    for name in ("loss", "margin"):
        np.testing.assert_allclose(ours[name], general[name], rtol=1e-11, atol=1e-300)


def test_not_finite():
    memory = AssociativeMemory.random(5, 5, 10, rng=3)
    memory = AssociativeMemory(100.0 * memory.inputs, memory.outputs, memory.targets, memory.frequencies)
    run = simulate(memory, GradientDescent(1e308), steps=5, form="particles")
    assert run.status is Status.NOT_FINITE
    assert run.message.endswith("step 1")
    assert run.step.tolist() == [0]
    unseen = simulate(memory, GradientDescent(1e308), steps=5, save=at([]), form="particles")
    assert unseen.status is Status.NOT_FINITE
    assert unseen.message == run.message
