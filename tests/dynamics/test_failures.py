"""An observable or schedule that fails ends a run with an error that names it and keeps what was computed."""

from __future__ import annotations

import pickle
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from traindyn.dynamics import (
    AssociativeMemory,
    GradientDescent,
    GradientFlow,
    State,
    Status,
    Trajectory,
    at,
    every,
    simulate,
)
from traindyn.dynamics.failing import RunFailed
from traindyn.errors import InputError, TraindynError

MEMORY = AssociativeMemory.random(5, 3, 4, "gaussian", "zipf", rng=1)
RULE = GradientDescent(1.0)


class Brittle:
    """The norm of W, which fails the first time that it is asked for at one step or from one time on."""

    def __init__(self, place: float) -> None:
        self.place, self.failed = place, False

    def __call__(self, state: State) -> float:
        if not self.failed and (state.time if state.step is None else state.step) >= self.place:
            self.failed = True
            raise ZeroDivisionError("no norm today")
        return float(np.abs(state.weights).sum())


def assert_same(one: Trajectory, other: Trajectory) -> None:
    np.testing.assert_array_equal(one.time, other.time)
    np.testing.assert_array_equal(one.final, other.final)
    for name in other:
        np.testing.assert_array_equal(one[name], other[name])


def test_a_failing_observable_keeps_the_run(tmp_path: Path) -> None:
    observe: Any = ("loss", "margin", {"size": Brittle(12)})
    with pytest.raises(TraindynError, match="'size' raised ZeroDivisionError at step 12: no norm today") as caught:
        simulate(MEMORY, RULE, steps=40, observe=observe, save=every(3))
    assert isinstance(caught.value, RunFailed)
    assert isinstance(caught.value.__cause__, ZeroDivisionError)
    run = caught.value.trajectory
    assert run is not None
    assert run.status is Status.FAILED
    assert "no norm today" in run.message
    assert run.step.tolist() == [0, 3, 6, 9]
    run.save(tmp_path / "run.npz")
    assert Trajectory.load(tmp_path / "run.npz").status is Status.FAILED
    whole = simulate(MEMORY, RULE, steps=40, observe=observe, save=every(3))
    assert_same(simulate(MEMORY, RULE, steps=40, observe=observe, resume=run), whole)
    assert isinstance(pickle.loads(pickle.dumps(caught.value)), RunFailed)


def test_a_failing_observable_keeps_the_flow() -> None:
    observe: Any = ("loss", {"size": Brittle(3.0)})
    save = at([1.0, 2.0, 5.0])
    with pytest.raises(RunFailed, match="'size' raised ZeroDivisionError at time 5") as caught:
        simulate(MEMORY, GradientFlow(), time=9.0, observe=observe, save=save)
    run = caught.value.trajectory
    assert run is not None
    assert run.time.tolist() == [0.0, 1.0, 2.0]
    whole = simulate(MEMORY, GradientFlow(), time=9.0, observe=observe, save=save)
    assert_same(simulate(MEMORY, GradientFlow(), time=9.0, observe=observe, resume=run), whole)


def test_a_failing_start_has_nothing_to_keep() -> None:
    for options in ({"rule": RULE, "steps": 3}, {"rule": GradientFlow(), "time": 3.0}):
        with pytest.raises(RunFailed, match="ZeroDivisionError at ") as caught:
            simulate(MEMORY, observe={"size": Brittle(0)}, **options)  # type: ignore[arg-type]
        assert caught.value.trajectory is None


@pytest.mark.parametrize("observe", [("loss", "margin"), ("loss", "weights")])
@pytest.mark.parametrize("kind", ["raises", "not a number"])
def test_a_failing_schedule_keeps_the_steps_before_it(kind: str, observe: tuple[str, ...]) -> None:
    def good(step: int) -> float:
        return 1.0 / (1.0 + step)

    def brittle(step: int) -> float:
        if step >= 13:
            if kind == "raises":
                raise KeyError("table")
            return np.nan
        return good(step)

    law = "schedule .*brittle raised KeyError at step 13" if kind == "raises" else "got nan at step 13"
    with pytest.raises(TraindynError, match=law) as caught:
        simulate(MEMORY, GradientDescent(brittle), steps=1000, observe=observe)
    run: Trajectory = caught.value.trajectory  # type: ignore[attr-defined]
    assert_same(run, simulate(MEMORY, GradientDescent(good), steps=13, observe=observe))


@pytest.mark.parametrize(
    "value",
    [None, "high", [1.0, "x"], [[1.0], [1.0, 2.0]], object()],
    ids=["none", "text", "mixed", "ragged", "object"],
)
def test_observables_return_numbers(value: Any) -> None:
    for options in ({"rule": RULE, "steps": 3}, {"rule": GradientFlow(), "time": 3.0}):
        with pytest.raises(InputError, match="the observable 'mine' must return a number"):
            simulate(MEMORY, observe={"mine": lambda state: value}, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("rate", ["1", b"1", True, np.True_, None], ids=["text", "bytes", "bool", "numpy bool", "none"])
def test_rates_are_numbers(rate: Any) -> None:
    with pytest.raises(InputError, match="learning_rate must be a finite number"):
        GradientDescent(rate)
    with pytest.raises(InputError, match="momentum must be a finite number"):
        GradientDescent(1.0, momentum=rate)


def test_schedules_return_numbers() -> None:
    for value in ("1", True):
        with pytest.raises(InputError, match=r"a schedule must return a number; got .* at step 2"):
            simulate(MEMORY, GradientDescent(lambda step, value=value: value if step == 2 else 1.0), steps=5)


def test_points_after_the_end_are_refused() -> None:
    with pytest.raises(InputError, match="until the end of the run; got 200 with steps=100"):
        simulate(MEMORY, RULE, steps=100, save=at([3, 200]))
    with pytest.raises(InputError, match=r"until the end of the run; got 20\.5 with time=20"):
        simulate(MEMORY, GradientFlow(), time=20.0, save=at([3.0, 20.5]))


def test_an_infinite_time_is_no_warning() -> None:
    orthogonal = AssociativeMemory.two_tokens(correlation=0.0)
    for rate in (1e308, lambda step: 1e308):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            run = simulate(orthogonal, GradientDescent(rate), steps=10)
        assert run.time[-1] == np.inf
        assert run.time[1] == 1e308
