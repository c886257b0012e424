"""Each measure's one meaning, on runs written by hand and against the kernels that know it by name."""

from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np
import pytest

import traindyn as td
from traindyn.dynamics.measures import MEASURES, Measure, measure_named, measures_of, needs_of
from traindyn.dynamics.status import Status
from traindyn.dynamics.two_token_columns import two_token_columns
from traindyn.errors import InputError

COUNTS = ("spike_duration", "spike_count", "last_rise")


class Run(dict):
    """Rows of a run that nobody made."""

    def __init__(self, status: Status = Status.COMPLETED, step=None, **columns) -> None:
        super().__init__({name: np.asarray(values, dtype=float) for name, values in columns.items()})
        length = len(next(iter(self.values())))
        self.step = np.arange(length) if step is None else np.asarray(step)
        self.status = status


CASES = [
    # one spike [1, 3): up from 1 to 4, back to 1 at index 3
    ("spike_height", {"loss": [1, 3, 4, 1, 0.5]}, 3),
    ("spike_duration", {"loss": [1, 3, 4, 1, 0.5]}, 2),
    # two spikes; the second one is higher above the least loss before it, though its peak is lower
    ("spike_height", {"loss": [5, 6, 1, 3, 2, 0.9]}, 2),
    ("spike_duration", {"loss": [5, 6, 1, 3, 2, 0.9]}, 2),
    ("peak_loss", {"loss": [5, 6, 1, 3, 2, 0.9]}, 6),
    ("peak_step", {"loss": [5, 6, 1, 6, 2, 0.9]}, 1),
    # of two equally high ones the first; a dip that does not come back to the start does not end a spike
    ("spike_duration", {"loss": [2, 3, 2, 3, 2.5, 2]}, 1),
    ("spike_duration", {"loss": [2, 5, 3, 4, 2.1, 2, 1]}, 4),
    # never up; up until the end; a higher one before it is finished
    ("spike_height", {"loss": [3, 2, 1]}, 0),
    ("spike_duration", {"loss": [3, 2, 1]}, 0),
    ("spike_height", {"loss": [3, 2, 4, 5]}, 3),
    ("spike_duration", {"loss": [3, 2, 4, 5]}, math.nan),
    ("spike_duration", {"loss": [2, 9, 1, 3]}, 1),
    # rounding noise is no spike
    ("spike_duration", {"loss": [1, 1 - 1e-13, 1, 1 - 2e-13]}, 0),
    ("spike_height", {"loss": [1, 1 - 1e-13, 1, 1 - 2e-13]}, 0),
    ("steps_to_accuracy", {"accuracy": [0, 0.5, 1, 0.5, 1, 1]}, 2),
    ("steps_to_settle", {"accuracy": [0, 0.5, 1, 0.5, 1, 1]}, 4),
    ("steps_to_accuracy", {"accuracy": [1, 0.5]}, 0),
    ("steps_to_settle", {"accuracy": [1, 0.5]}, math.nan),
    ("steps_to_settle", {"accuracy": [1, 1]}, 0),
    ("steps_to_accuracy", {"accuracy": [0.9, 1 - 2**-53]}, math.nan),
    ("final_loss", {"loss": [3, 2, 4, 5]}, 5),
    ("final_accuracy", {"accuracy": [1, 0.5]}, 0.5),
    ("smallest_margin", {"smallest_margin": [0, -3, 2]}, -3),
    # two spikes, the second one lasts to the end; a dip inside of a spike and a rise out of it
    ("spike_count", {"loss": [2, 3, 1, 4, 3, 4]}, 2),
    ("spike_count", {"loss": [3, 2, 1]}, 0),
    ("steps_above_initial", {"loss": [2, 3, 1, 2, 3, 2.5, 2 + 1e-13]}, 3),
    ("last_rise", {"loss": [2, 3, 1, 4, 3, 4, 1]}, 5),
    ("last_rise", {"loss": [3, 2, 1]}, 0),
    ("last_rise", {"loss": [1, 1 - 1e-13, 1]}, 0),
]


@pytest.mark.parametrize(("name", "columns", "expected"), CASES)
def test_meaning(name, columns, expected):
    assert measure_named(name)(Run(**columns)) == pytest.approx(expected, nan_ok=True, rel=0, abs=0)


def test_a_run_that_broke_off_decides_only_what_it_has_seen():
    run = Run(Status.NOT_FINITE, loss=[1, 2, 1], accuracy=[0, 1, 1], smallest_margin=[0, 1, 2])
    values = {name: measure(run) for name, measure in MEASURES.items()}
    assert values.pop("steps_to_accuracy") == 1
    assert all(math.isnan(value) for value in values.values())


def test_the_run_that_simulate_is_told_to_make_shows_each_measure():
    memory, rule = td.AssociativeMemory.two_tokens(), td.GradientDescent(learning_rate=10.0)
    shown = {}
    for name in MEASURES:
        needs = needs_of(measures_of(name), memory)
        run = td.simulate(memory, rule, steps=60, observe=needs.observe, stop=needs.stop, save=needs.save)
        shown[name] = MEASURES[name](run)
        assert (run.step.size == 2) == (name in ("steps_to_accuracy", "final_loss", "final_accuracy"))
    assert shown["steps_to_accuracy"] == 2
    assert shown["steps_to_settle"] == 15
    assert (shown["peak_step"], round(shown["peak_loss"], 5)) == (5, 1.34866)  # Figure 2
    assert shown["spike_duration"] == 3
    together = needs_of(measures_of(tuple(MEASURES)), memory)
    run = td.simulate(memory, rule, steps=60, observe=together.observe, stop=together.stop, save=together.save)
    assert {name: measure(run) for name, measure in MEASURES.items()} == shown


@pytest.mark.parametrize("momentum", [0.0, 0.5])
def test_the_kernels_mean_the_same_by_each_name(momentum):
    """Counts equal, numbers to 1e-12; spikes, settling after first accuracy and unreached events all occur."""
    correlation, first, rate = np.meshgrid([-0.5, 0.5, 0.95], [0.5, 0.75, 0.99], [0.3, 3.0, 20.0, 300.0])
    cells = np.stack([correlation.ravel(), first.ravel(), rate.ravel()], axis=1)
    columns = {
        "correlation": cells[:, 0].copy(), "frequencies": np.stack([cells[:, 1], 1 - cells[:, 1]], axis=1),
        "learning_rate": cells[:, 2].copy(), "momentum": np.full(len(cells), momentum),
    }  # fmt: skip
    names = tuple(MEASURES)
    values, status = two_token_columns(columns, names, 80)
    assert set(status) == {list(Status).index(Status.COMPLETED)}
    for (alpha, frequent, eta), row in zip(cells, values, strict=True):
        memory = td.AssociativeMemory.two_tokens(alpha, (frequent, 1 - frequent))
        needs = needs_of(measures_of(names), memory)
        run = td.simulate(memory, td.GradientDescent(eta, momentum=momentum), steps=80, observe=needs.observe)
        expected = [MEASURES[name](run) for name in names]
        counts = [index for index, name in enumerate(names) if "step" in name or name in COUNTS]
        assert np.array_equal(row[counts], np.array(expected)[counts], equal_nan=True), (alpha, frequent, eta)
        np.testing.assert_allclose(row, expected, rtol=1e-11, atol=1e-13, equal_nan=True)
    assert np.isnan(values[:, names.index("steps_to_accuracy")]).any()
    assert (values[:, names.index("steps_to_settle")] > values[:, names.index("steps_to_accuracy")]).any()
    assert (values[:, names.index("spike_duration")] > 1).any()


def test_statuses_of_a_sweep_for_one_event():
    columns = {"correlation": np.array([0.5, 1.0]), "frequencies": np.array([[0.6, 0.4]]),
               "learning_rate": np.ones(1), "momentum": np.zeros(1)}  # fmt: skip
    values, status = two_token_columns(columns, ("steps_to_accuracy",), 50)
    assert [list(Status)[code] for code in status] == [Status.THRESHOLD_REACHED, Status.STEPS_EXHAUSTED]
    assert values[0, 0] == 1
    assert math.isnan(values[1, 0])


def test_needs():
    both = needs_of(measures_of(("steps_to_accuracy", "peak_loss")))
    assert both.observe == ("accuracy", "loss")
    assert both.stop is None
    assert both.save.interval == 1
    own = needs_of(measures_of(len), SimpleNamespace(default_observables=("loss", "x")))
    assert own.observe == ("loss", "x")
    assert own.stop is None
    assert needs_of(measures_of((len, "final_loss"))).observe is None


@pytest.mark.parametrize(
    ("measure", "law"),
    [
        ("peak_los", "did you mean 'peak_loss'"),
        (3, "a measure is a name"),
        ((), "at least one"),
        (("peak_loss", "peak_loss"), "a name of its own"),
        ((lambda run: 1.0, lambda run: 2.0), "a name of its own"),
    ],
)
def test_what_is_refused(measure, law):
    with pytest.raises(InputError, match=law):
        measures_of(measure)


def test_a_function_must_return_a_number():
    run = Run(loss=[1.0])
    assert Measure("mine", None, lambda run: run["loss"].max())(run) == 1.0
    for wrong in (lambda run: "fast", lambda run: [1.0, 2.0]):
        with pytest.raises(InputError, match="must return one number"):
            Measure("mine", None, wrong)(run)
