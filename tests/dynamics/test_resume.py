"""A run that is cut, and goes on from memory or from a file, equals the uninterrupted one bit by bit; so do slices."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from traindyn.dynamics import (
    Adam,
    AdamW,
    AssociativeMemory,
    GradientDescent,
    GradientFlow,
    GradientNoise,
    Status,
    StochasticGradientDescent,
    StochasticGradientFlow,
    Trajectory,
    at,
    every,
    logarithmic,
    schedules,
    simulate,
    when,
)
from traindyn.dynamics.slicing import Slices
from traindyn.errors import InputError

MANY = AssociativeMemory.random(5, 3, 4, "gaussian", "zipf", rng=1)
TWO = AssociativeMemory.random(5, 2, 4, "gaussian", "zipf", rng=1)
START = np.random.default_rng(2).standard_normal((4, 4))
RULES: dict[str, Any] = {
    "descent": GradientDescent(3.0),
    "momentum": GradientDescent(0.5, momentum=0.9),
    "schedule": GradientDescent(schedules.inverse_time(3.0, 0.7, 0.6), momentum=0.5),
    "batches": StochasticGradientDescent(schedules.cosine(1.0, 40), 3),
    "noise": StochasticGradientFlow(0.3, 0.25),
    "gradient noise": StochasticGradientFlow(GradientNoise(2, 0.5), 0.25),
    "adam": Adam(0.1),
    "adamw": AdamW(schedules.linear_warmup(0.1, 10)),
}
CASES = [
    (name, form)
    for name in RULES
    for form in (("weights",) if name.startswith("adam") else ("weights", "particles", "margins"))
]


def assert_equal(one: Trajectory, other: Trajectory) -> None:
    np.testing.assert_array_equal(one.step, other.step)
    np.testing.assert_array_equal(one.time, other.time)
    np.testing.assert_array_equal(one.final, other.final)
    assert set(one) == set(other)
    for name in one:
        np.testing.assert_array_equal(one[name], other[name])
    assert one.status == other.status


def whole(name: str, form: str, steps: int = 60, **options: Any) -> Trajectory:
    memory = TWO if form == "margins" else MANY
    options = {"initial": START, "rng": 3, "form": form, "observe": ("loss", "margin", "weight_norm"), **options}
    return simulate(memory, RULES[name], steps=steps, **options)


@pytest.mark.parametrize(("name", "form"), CASES)
def test_resuming_changes_no_bit(name: str, form: str, tmp_path: Path) -> None:
    memory = TWO if form == "margins" else MANY
    reference = whole(name, form)
    run = whole(name, form, steps=17)
    assert_equal(simulate(memory, RULES[name], steps=60, resume=run), reference)
    run.save(tmp_path / "run.npz")
    loaded = Trajectory.load(tmp_path / "run.npz")
    assert_equal(loaded, run)
    for stop in (18, 41, 60):
        loaded = simulate(memory, RULES[name], steps=stop, resume=loaded)
        loaded.save(tmp_path / "run.npz")
        loaded = Trajectory.load(tmp_path / "run.npz")
    assert_equal(loaded, reference)


@settings(max_examples=30, deadline=None, derandomize=True, database=None)
@given(cuts=st.lists(st.integers(0, 60), max_size=4), case=st.sampled_from(CASES))
def test_any_cuts(cuts: list[int], case: tuple[str, str]) -> None:
    name, form = case
    memory = TWO if form == "margins" else MANY
    run = whole(name, form, steps=min(cuts, default=60))
    for cut in [*sorted(cuts), 60]:
        run = simulate(memory, RULES[name], steps=cut, resume=run)
    assert_equal(run, whole(name, form))


@pytest.mark.parametrize(("name", "form"), CASES)
@pytest.mark.parametrize("length", [1, 7])
def test_slicing_changes_no_bit(name: str, form: str, length: int, monkeypatch: pytest.MonkeyPatch) -> None:
    save = at([0, 3, 20, 21, 59])
    reference = [whole(name, form, save=save, observe=kind) for kind in (("loss", "margin"), ("loss", "weights"))]
    monkeypatch.setattr(Slices, "forced", length)
    sliced = [whole(name, form, save=save, observe=kind) for kind in (("loss", "margin"), ("loss", "weights"))]
    for one, other in zip(reference, sliced, strict=True):
        assert_equal(one, other)


@pytest.mark.parametrize("name", ["batches", "noise", "gradient noise", "schedule"])
def test_resuming_from_a_threshold_inside_a_slice(name: str) -> None:
    reference = whole(name, "particles", observe=("loss",))
    middle = float(np.sort(reference["loss"])[30])
    run = whole(name, "particles", observe=("loss",), stop=when("loss", "<=", middle))
    assert run.status is Status.THRESHOLD_REACHED
    assert 0 < run.step[-1] < 60
    assert_equal(simulate(MANY, RULES[name], steps=60, resume=run), reference)


def test_an_end_that_is_not_on_the_grid_is_left_out_when_going_on() -> None:
    reference = simulate(MANY, RULES["descent"], steps=60, save=every(7))
    run = simulate(MANY, RULES["descent"], steps=17, save=every(7))
    assert run.step[-1] == 17
    assert_equal(simulate(MANY, RULES["descent"], steps=60, resume=run), reference)
    twice = simulate(MANY, RULES["descent"], steps=60, resume=run, save=logarithmic(5))
    assert set(twice.step) == {0, 7, 14, 60}


@pytest.mark.parametrize("kind", ["MT19937", "Philox", "SFC64"])
def test_other_bit_generators_resume(kind: str, tmp_path: Path) -> None:
    generator = np.random.Generator(getattr(np.random, kind)(5))
    reference = simulate(MANY, RULES["noise"], steps=30, rng=generator)
    run = simulate(MANY, RULES["noise"], steps=10, rng=generator)
    run.save(tmp_path / "run.npz")
    assert_equal(simulate(MANY, RULES["noise"], steps=30, resume=Trajectory.load(tmp_path / "run.npz")), reference)


def test_flows_resume(tmp_path: Path) -> None:
    points = [0.1, 1.0, 3.0, 10.0, 200.0, 1e4]
    reference = simulate(MANY, GradientFlow(), time=1e5, save=at(points), initial=START)
    run = simulate(MANY, GradientFlow(), time=10.0, save=at(points[:4]), initial=START)
    run.save(tmp_path / "run.npz")
    resumed = simulate(MANY, GradientFlow(), time=1e5, save=at(points), resume=Trajectory.load(tmp_path / "run.npz"))
    assert_equal(resumed, reference)


@pytest.mark.parametrize("form", ["weights", "particles", "margins"])
def test_flows_resume_with_the_form_they_were_given(form: str) -> None:
    reference = simulate(TWO, GradientFlow(), time=2.0, save=at([1.0, 2.0]), form=form)
    run = simulate(TWO, GradientFlow(), time=1.0, save=at([1.0]), form=form)
    resumed = simulate(TWO, GradientFlow(), time=2.0, save=at([1.0, 2.0]), form=form, resume=run)
    assert_equal(resumed, reference)
    other = "particles" if form == "weights" else "weights"
    with pytest.raises(InputError, match="has the form"):
        simulate(TWO, GradientFlow(), time=2.0, form=other, resume=run)


def test_single_precision_resumes() -> None:
    reference = simulate(MANY, RULES["momentum"], steps=30, dtype="float32")
    run = simulate(MANY, RULES["momentum"], steps=13, dtype="float32")
    assert_equal(simulate(MANY, RULES["momentum"], steps=30, resume=run), reference)


def test_what_does_not_fit_is_refused() -> None:
    run = simulate(MANY, RULES["descent"], steps=10)

    def go_on(problem: Any = MANY, rule: Any = RULES["descent"], steps: int = 20, **options: Any) -> None:
        simulate(problem, rule, steps=steps, **{"resume": run, **options})

    for options, message in [
        ({"problem": TWO}, "resume needs the problem of the run, AssociativeMemory"),
        ({"rule": GradientDescent(3.0000001)}, r"resume needs the rule of the run, GradientDescent\(learning_rate=3.0"),
        ({"steps": 9}, "steps count from the start"),
        ({"initial": START}, "fresh start"),
        ({"form": "particles"}, "form 'weights'"),
        ({"dtype": "float32"}, "dtype float64"),
        ({"observe": ("loss",)}, "observes what it observed"),
        ({"resume": "run.npz"}, "resume must be a Trajectory"),
    ]:
        with pytest.raises(InputError, match=message):
            go_on(**options)


def test_a_run_that_broke_off_cannot_go_on() -> None:
    memory = AssociativeMemory(1e150 * np.eye(2), np.eye(2), [1, 0], [0.5, 0.5])
    broken = simulate(memory, GradientDescent(1e10), steps=20)
    assert broken.status is Status.NOT_FINITE
    with pytest.raises(InputError, match="no longer finite"):
        simulate(memory, broken.rule, steps=30, resume=broken)
