"""What `simulate` sees, saves, stops at, refuses and survives."""

from __future__ import annotations

import math
import signal
import subprocess
import sys
import textwrap
import time
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from traindyn import kernels
from traindyn.dynamics import (
    AssociativeMemory,
    GradientDescent,
    GradientFlow,
    State,
    Status,
    StochasticGradientFlow,
    at,
    every,
    logarithmic,
    schedules,
    simulate,
    when,
)
from traindyn.dynamics.observables import MEMORY_OBSERVABLES
from traindyn.dynamics.saving import At
from traindyn.errors import InputError, SizeError

MANY = AssociativeMemory.random(5, 3, 4, "gaussian", "zipf", rng=1)
TWO = AssociativeMemory.two_tokens()
RULE = GradientDescent(2.0)
START = np.random.default_rng(2).standard_normal((4, 4))


# --- observables ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["weights", "particles", "margins"])
def test_the_loop_records_what_the_definitions_say(form: str) -> None:
    memory = AssociativeMemory.random(5, 2 if form == "margins" else 3, 4, "gaussian", "zipf", rng=1)
    names = ("loss", "accuracy", "accuracy_first_index", "smallest_margin", "margin")
    looked = {f"own_{name}": MEMORY_OBSERVABLES[name] for name in names}
    run = simulate(memory, RULE, steps=40, initial=START, form=form, observe=(*names, looked))
    for name in names:
        np.testing.assert_allclose(run[name], run[f"own_{name}"], rtol=1e-13, atol=1e-14)
    # the exact values 0 and 1 are exact on both paths
    np.testing.assert_array_equal(run["accuracy"] == 1.0, run["own_accuracy"] == 1.0)


def test_observables_agree_with_the_kernels() -> None:
    run = simulate(MANY, RULE, steps=10, initial=START, observe=tuple(MEMORY_OBSERVABLES))
    arrays = MANY.inputs, MANY.outputs, MANY.targets, MANY.frequencies
    for step in (0, 3, 10):
        weights = run["weights"][step]
        loss, gradient = kernels.softmax_gradient(weights, *arrays)
        assert run["loss"][step] == pytest.approx(loss, rel=1e-13)
        np.testing.assert_allclose(run["gradient"][step], gradient, rtol=0, atol=1e-14)
        np.testing.assert_allclose(run["scores"][step], MANY.inputs @ weights.T @ MANY.outputs.T, rtol=0, atol=1e-13)
        spectrum = np.linalg.eigvalsh(kernels.hessian(weights, *arrays))
        assert run["sharpness"][step] == pytest.approx(spectrum[-1], rel=1e-7)
        assert run["gradient_norm"][step] == pytest.approx(np.linalg.norm(gradient), rel=1e-12)
        assert run["weight_norm"][step] == pytest.approx(np.linalg.norm(weights), rel=1e-13)
        assert run["smallest_margin"][step] == run["margin"][step].min()
        np.testing.assert_allclose(run["probabilities"][step].sum(axis=1), 1.0, rtol=1e-14)
        wrong = run["margins"][step].copy()
        assert (wrong[np.arange(5), MANY.targets] == 0.0).all()
    np.testing.assert_array_equal(run.final, run["weights"][-1])


def test_a_small_loss_keeps_its_relative_precision() -> None:
    memory = AssociativeMemory(np.eye(2), np.eye(2), [0, 1], [0.5, 0.5])
    for form in ("weights", "particles", "margins"):
        run = simulate(memory, RULE, steps=0, initial=350.0 * np.eye(2) - 350.0, form=form)
        assert run["loss"][0] == pytest.approx(math.exp(-350.0), rel=1e-14)


def test_rare_wrong_tokens_keep_the_accuracy_below_one() -> None:
    memory = AssociativeMemory(np.eye(2), np.eye(2), [0, 1], [1.0 - 1e-18, 1e-18])
    initial = np.array([[1.0, 1.0], [0.0, 0.0]])
    run = simulate(
        memory, RULE, steps=0, initial=initial, observe=("accuracy", {"own": MEMORY_OBSERVABLES["accuracy"]})
    )
    assert run["accuracy"][0] == run["own"][0] == math.nextafter(1.0, 0.0)


def test_ties_are_wrong_unless_the_first_index_wins() -> None:
    for form in ("weights", "particles", "margins"):
        run = simulate(TWO, RULE, steps=0, form=form, observe=("accuracy", "accuracy_first_index"))
        assert run["accuracy"][0] == 0.0
        assert run["accuracy_first_index"][0] == 0.75


def test_own_observables_see_the_state() -> None:
    seen: list[State] = []

    def angle(state: State) -> float:
        seen.append(state)
        return float(state.weights[0, 0] + state.step + state.time)

    run = simulate(TWO, RULE, steps=4, observe=("loss", {"angle": angle, "pair": lambda state: state.scores[0]}))
    assert run["angle"].shape == (5,)
    assert run["pair"].shape == (5, 2)
    assert run["angle"][4] == pytest.approx(run.final[0, 0] + 4 + 8.0)
    assert seen[-1].problem is TWO


def test_an_observable_must_keep_its_shape() -> None:
    with pytest.raises(InputError, match=r"keep its shape.*x: \(0,\) at the start, \(1,\) at row 1"):
        simulate(TWO, RULE, steps=4, observe={"x": lambda state: np.zeros(state.step)})


# --- saving and time ------------------------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None, derandomize=True, database=None)
@given(
    last=st.integers(0, 300),
    grid=st.one_of(
        st.integers(1, 400).map(every),
        st.integers(2, 60).map(logarithmic),
        st.lists(st.integers(0, 400), max_size=8).map(at),
    ),
    rate=st.sampled_from([0.1, schedules.inverse_time(0.1, 3.0)]),
)
def test_saved_rows_are_rows_of_the_full_run(last: int, grid: Any, rate: Any) -> None:
    rule = GradientDescent(rate)
    if isinstance(grid, At):
        grid = at(grid.points[grid.points <= last])
    full, run = simulate(TWO, rule, steps=last), simulate(TWO, rule, steps=last, save=grid)
    assert run.step[0] == 0
    assert run.step[-1] == last
    assert (np.diff(run.step) > 0).all()
    np.testing.assert_array_equal(run["loss"], full["loss"][run.step])
    np.testing.assert_array_equal(run["margin"], full["margin"][run.step])
    np.testing.assert_array_equal(run.time, full.time[run.step])
    np.testing.assert_array_equal(run.final, full.final)


def test_time_is_the_compensated_sum_of_the_rates() -> None:
    rates = np.random.default_rng(0).random(3000) * 10.0 ** np.random.default_rng(1).integers(-12, 1, 3000)
    run = simulate(TWO, GradientDescent(lambda step: rates[step]), steps=3000, save=every(500))
    exact = [math.fsum(rates[:step]) for step in run.step]
    np.testing.assert_allclose(run.time, exact, rtol=2.3e-16)
    assert simulate(TWO, GradientDescent(0.1), steps=10).time[-1] == 1.0


def test_flow_saves_the_asked_times() -> None:
    run = simulate(TWO, GradientFlow(), time=5.0, save=at([1.0, 2.5]))
    assert run.time.tolist() == [0.0, 1.0, 2.5, 5.0]
    assert simulate(TWO, GradientFlow(), time=5.0).time.size == 200
    assert simulate(TWO, GradientFlow(), time=5.0, save=every(2.0)).time.tolist() == [0.0, 2.0, 4.0, 5.0]
    alone = simulate(TWO, GradientFlow(), time=2.5)
    np.testing.assert_array_equal(alone["margin"][-1], run["margin"][2])


# --- stopping -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["weights", "particles", "margins"])
@pytest.mark.parametrize("relation", [">=", "<=", ">", "<"])
def test_the_first_step_where_the_condition_holds(form: str, relation: str) -> None:
    full = simulate(TWO, GradientDescent(10.0), steps=60, form=form)
    threshold = 0.3 if "<" in relation else 1.0
    met = {">=": full["loss"] >= threshold, ">": full["loss"] > threshold,
           "<=": full["loss"] <= threshold, "<": full["loss"] < threshold}[relation]  # fmt: skip
    first = int(np.flatnonzero(met)[0])
    stop = when("loss", relation, threshold)
    run = simulate(TWO, GradientDescent(10.0), steps=60, form=form, stop=stop, save=logarithmic(4))
    assert run.status is Status.THRESHOLD_REACHED
    assert run.step[-1] == first
    assert run["loss"][-1] == full["loss"][first]
    slow = simulate(TWO, GradientDescent(10.0), steps=60, form=form, stop=when("own", relation, threshold),
                    observe={"own": MEMORY_OBSERVABLES["loss"]}, save=logarithmic(4))  # fmt: skip
    np.testing.assert_array_equal(slow.step, run.step)


def test_never_is_a_status() -> None:
    run = simulate(TWO, GradientDescent(1.0), steps=20, stop=when("accuracy", ">=", 1.0))
    assert run.status is Status.STEPS_EXHAUSTED
    assert "ran out" in run.status.value
    assert simulate(TWO, GradientDescent(1.0), steps=20).status is Status.COMPLETED


def test_other_scalars_stop_too() -> None:
    full = simulate(TWO, RULE, steps=60, observe=("weight_norm",))
    first = int(np.flatnonzero(full["weight_norm"] >= 4.0)[0])
    run = simulate(TWO, RULE, steps=60, stop=when("weight_norm", ">=", 4.0))
    assert run.step[-1] == first
    with pytest.raises(InputError, match=r"one number.*smallest_margin"):
        simulate(TWO, RULE, steps=60, stop=when("margin", ">=", 0.0))


def test_a_flow_stops_where_the_condition_begins_to_hold() -> None:
    run = simulate(TWO, GradientFlow(), time=1e6, stop=when("smallest_margin", ">", 0.0))
    assert run.status is Status.THRESHOLD_REACHED
    assert 0.0 < run["margin"][-1].min() < 1e-10
    assert (run["margin"][1:-1].min(axis=1) < 0.0).all()
    short = simulate(TWO, GradientFlow(), time=10.0, stop=when("accuracy", ">=", 1.0))
    assert short.status is Status.STEPS_EXHAUSTED


# --- ends that nobody asked for -------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["weights", "particles", "margins"])
def test_the_first_step_that_is_not_finite_is_named(form: str) -> None:
    memory = AssociativeMemory(1e150 * np.eye(2), np.eye(2), [1, 0], [0.5, 0.5])
    run = simulate(memory, GradientDescent(lambda step: 0.0 if step < 3 else 1e10), steps=10, form=form)
    assert run.status is Status.NOT_FINITE
    assert run.message == f"{'margins' if form == 'margins' else 'scores'} first not finite at step 4"
    assert run.step[-1] == 3
    assert np.isfinite(run["loss"]).all()


INTERRUPTED = """
    import threading, os, signal, time
    import traindyn as td
    memory = td.AssociativeMemory.random({sizes}, rng=1)
    td.simulate(memory, {rule}, {warm})
    begun = []
    def interrupt():
        time.sleep(0.7)
        begun.append(time.monotonic())
        os.kill(os.getpid(), signal.SIGINT)
    threading.Thread(target=interrupt).start()
    run = td.simulate(memory, {rule}, {options})
    took = time.monotonic() - begun[0]
    assert took < 1.0, took
    assert run.status is td.Status.INTERRUPTED, run.status
    assert run.step.size >= 2
    assert "interrupted at" in run.message
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    {after}
    print("ended", run.step[-1])
"""


@pytest.mark.parametrize(
    "values",
    [
        {"sizes": "5, 3, 4", "rule": "td.GradientDescent(1.0)", "warm": "steps=3",
         "options": "steps=10**11, save=td.logarithmic(30)",
         "after": "again = td.simulate(memory, td.GradientDescent(1.0), steps=int(run.step[-1]), resume=run)"},
        {"sizes": "300, 300, 64", "rule": "td.GradientDescent(1.0)", "warm": "steps=3", "after": "",
         "options": "steps=10**9, save=td.logarithmic(30), observe=('loss', 'weight_norm')"},
        {"sizes": "60, 60, 20", "rule": "td.GradientFlow()", "warm": "time=1e-3", "after": "",
         "options": "time=1e10, save=td.logarithmic(10**5)"},
    ],
    ids=["tiny", "large", "flow"],
)  # fmt: skip
def test_ctrl_c_ends_a_run_within_a_second(values: dict[str, str]) -> None:
    script = textwrap.dedent(INTERRUPTED).format(**values)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout.split()[1]) > 0


def test_a_handler_of_the_caller_is_left_alone() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        simulate(TWO, RULE, steps=3)
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


def test_long_runs_need_no_memory_for_their_steps() -> None:
    import tracemalloc

    simulate(TWO, RULE, steps=3, save=logarithmic(3))
    tracemalloc.start()
    simulate(TWO, RULE, steps=300_000, save=logarithmic(20))
    assert tracemalloc.get_traced_memory()[1] < 200_000
    tracemalloc.stop()


def test_too_many_rows_are_refused_before_the_start() -> None:
    begun = time.monotonic()
    for options in ({"steps": 10**13}, {"steps": 10**10, "observe": ("scores",)}, {"steps": 10**15}):
        with pytest.raises(SizeError, match="save="):
            simulate(MANY, RULE, **options)
    with pytest.raises(SizeError, match="observe="):
        simulate(MANY, RULE, steps=10**7, observe={"big": lambda state: np.zeros(10**6)})
    with pytest.raises(SizeError):
        simulate(TWO, GradientFlow(), time=1e10, save=every(1e-3))
    assert time.monotonic() - begun < 5.0


# --- bad calls ------------------------------------------------------------------------------------------------------

BAD_CALLS: dict[str, tuple[dict[str, Any], str]] = {
    "no steps": ({}, "GradientDescent needs steps="),
    "steps negative": ({"steps": -1}, "steps must be an integer >= 0; got -1"),
    "steps not whole": ({"steps": 1.5}, "steps must be an integer"),
    "steps true": ({"steps": True}, "steps must be an integer"),
    "time for steps": ({"time": 1.0}, "moves in steps, not for a time"),
    "observable": ({"steps": 1, "observe": ("margn",)}, "unknown observable; got 'margn'; did you mean 'margin'"),
    "one observable": ({"steps": 1, "observe": "los"}, "did you mean 'loss'"),
    "observe number": ({"steps": 1, "observe": 3}, "observe takes names"),
    "observe item": ({"steps": 1, "observe": (3,)}, "observe takes names"),
    "observe value": ({"steps": 1, "observe": {"x": 3}}, "function of a State"),
    "save": ({"steps": 1, "save": 3}, "save must be a grid"),
    "save half": ({"steps": 10, "save": every(0.5)}, "every"),
    "save at half": ({"steps": 10, "save": at([0.5])}, "whole numbers"),
    "stop": ({"steps": 1, "stop": "loss"}, "stop must be a condition"),
    "stop name": ({"steps": 1, "stop": when("los", "<", 1)}, "did you mean 'loss'"),
    "initial shape": ({"steps": 1, "initial": np.zeros((3, 4))}, r"initial must be W of shape \(4, 4\)"),
    "initial nan": ({"steps": 1, "initial": np.full((4, 4), np.nan)}, "initial must be finite"),
    "rng": ({"steps": 1, "rule": StochasticGradientFlow(0.1, 0.1), "rng": -1}, "rng must be"),
    "rng of no use": ({"steps": 1, "rng": 0.5}, "rng must be"),
    "flow dtype": ({"rule": GradientFlow(), "time": 1.0, "dtype": "float32"}, "integrated in float64"),
    "dtype": ({"steps": 1, "dtype": "float16"}, "unknown dtype"),
    "device": ({"steps": 1, "device": "tpu"}, "unknown device"),
    "rule": ({"steps": 1, "rule": "descent"}, "no method init"),
    "problem": ({"steps": 1, "problem": "memory"}, "str is not a problem"),
    "flow steps": ({"rule": GradientFlow(), "steps": 3}, "for a time, not for steps"),
    "flow no time": ({"rule": GradientFlow()}, "time must be a finite number"),
    "flow negative": ({"rule": GradientFlow(), "time": -1.0}, "time must be a finite number >= 0"),
    "flow infinite": ({"rule": GradientFlow(), "time": math.inf}, "time must be a finite number"),
    "noise time": ({"rule": StochasticGradientFlow(0.1, 0.3), "time": 1.0}, "whole number of dt"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD_CALLS)
def test_bad_calls_are_told(name: str) -> None:
    options, message = BAD_CALLS[name]
    options = {"problem": MANY, "rule": RULE, **options}
    with pytest.raises(InputError, match=message):
        simulate(options.pop("problem"), options.pop("rule"), **options)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: every(0), "interval must be"),
        (lambda: logarithmic(1), "number must be an integer >= 2"),
        (lambda: at([-1]), "must be >= 0"),
        (lambda: at([np.nan]), "must be finite"),
        (lambda: when("loss", "==", 1.0), "unknown relation"),
        (lambda: when("loss", "<", math.nan), "threshold must be"),
    ],
)
def test_bad_grids_and_conditions_are_told(make: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        make()


def test_unknown_column() -> None:
    with pytest.raises(InputError, match="unknown observable of this run; got 'margins'; did you mean 'margin'"):
        simulate(TWO, RULE, steps=1)["margins"]
