"""Batched runs against single ones: the same numbers, whatever runs beside them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading

import numpy as np
import pytest

from traindyn.dynamics import AssociativeMemory, GradientDescent, simulate
from traindyn.dynamics import cells as cells_module
from traindyn.dynamics.batching import group_of, run_group
from traindyn.dynamics.measures import MEASURES, needs_of
from traindyn.dynamics.slicing import cancelled_by
from traindyn.dynamics.status import Status

ALL = tuple(MEASURES)
COUNTS = [ALL.index(name) for name in ALL if "step" in name or name in ("spike_duration", "spike_count", "last_rise")]


def cells(n_tokens, n_classes, dim, count=21, momentum=False):
    """Return problems that differ and rates from small to far beyond stability."""
    problems = [AssociativeMemory.random(n_tokens, n_classes, dim, "gaussian", "zipf", rng=k) for k in range(count)]
    rates = np.geomspace(0.3, 60.0, count)
    return problems, [GradientDescent(rate, 0.1 * (k % 5) if momentum else 0.0) for k, rate in enumerate(rates)]


def one_by_one(problems, rules, measures, steps, dtype="float64"):
    chosen = [MEASURES[name] for name in measures]
    needs = needs_of(chosen)
    values, status = [], []
    for problem, rule in zip(problems, rules, strict=True):
        run = simulate(
            problem, rule, steps=steps, observe=needs.observe, stop=needs.stop, save=needs.save, dtype=dtype,
        )  # fmt: skip
        values.append([measure(run) for measure in chosen])
        status.append(list(Status).index(run.status))
    return np.array(values), np.array(status)


@pytest.mark.parametrize("momentum", [False, True])
@pytest.mark.parametrize("shape", [(5, 5, 10), (4, 2, 6), (7, 3, 9), (1, 2, 3), (6, 11, 12)])
def test_cells_equal_single_runs(shape, momentum):
    # 25 steps: a chaotic run multiplies rounding by less than 1e5 in that time, and 1e-10 is far below any difference
    # that a wrong rate, frequency or index would make
    problems, rules = cells(*shape, momentum=momentum)
    values, status = run_group(problems, rules, ALL, 25)
    expected, wanted = one_by_one(problems, rules, ALL, 25)
    np.testing.assert_array_equal(status, wanted)
    np.testing.assert_allclose(values, expected, rtol=1e-10, atol=1e-10)
    np.testing.assert_array_equal(values[:, COUNTS], expected[:, COUNTS])


def test_single_precision():
    names = ("steps_to_accuracy", "final_loss", "smallest_margin", "peak_loss")
    problems, rules = cells(5, 5, 10)
    problems, rules = problems[:10], rules[:10]  # stable rates: rounding is not multiplied
    values, _ = run_group(problems, rules, names, 40, "float32")
    expected, _ = one_by_one(problems, rules, names, 40, "float32")
    np.testing.assert_array_equal(values[:, 0], expected[:, 0])
    np.testing.assert_allclose(values, expected, rtol=2e-5, atol=2e-5)


def test_cells_that_end_at_accuracy():
    problems, rules = cells(5, 5, 10, 40)
    values, status = run_group(problems, rules, ("steps_to_accuracy",), 12)
    expected, wanted = one_by_one(problems, rules, ("steps_to_accuracy",), 12)
    np.testing.assert_array_equal(values, expected)
    np.testing.assert_array_equal(status, wanted)
    assert {Status.THRESHOLD_REACHED, Status.STEPS_EXHAUSTED} == {list(Status)[code] for code in status}


@pytest.mark.parametrize("steps", [0, 1, 2])
def test_few_steps(steps):
    problems, rules = cells(5, 3, 8)
    np.testing.assert_allclose(
        run_group(problems, rules, ALL, steps)[0], one_by_one(problems, rules, ALL, steps)[0], rtol=1e-13, atol=1e-13
    )


@pytest.mark.parametrize("shape", [(5, 5, 10), (4, 2, 6)])
def test_a_cell_does_not_depend_on_the_others(shape):
    problems, rules = cells(*shape, count=40)
    whole, status = run_group(problems, rules, ALL, 300)
    generator = np.random.default_rng(0)
    for size in (1, 7, 8, 9, 40):
        chosen = generator.permutation(40)[:size]
        part, codes = run_group([problems[k] for k in chosen], [rules[k] for k in chosen], ALL, 300)
        np.testing.assert_array_equal(part, whole[chosen])
        np.testing.assert_array_equal(codes, status[chosen])


@pytest.mark.parametrize("threads", [2, 3, 4])
def test_threads_change_no_bit(threads):
    problems, rules = cells(5, 5, 10, count=60)
    for names in (ALL, ("steps_to_accuracy",)):
        alone, together = (run_group(problems, rules, names, 200, threads=count) for count in (1, threads))
        np.testing.assert_array_equal(alone[0], together[0])
        np.testing.assert_array_equal(alone[1], together[1])


def test_measures_change_no_bit():
    # the code with and the code without losses, chaotic cells included
    problems, rules = cells(5, 5, 10, count=30)
    everything = run_group(problems, rules, ALL, 100)[0]
    for name in ("final_loss", "smallest_margin"):
        np.testing.assert_array_equal(run_group(problems, rules, (name,), 100)[0][:, 0], everything[:, ALL.index(name)])


def test_frequencies_are_those_of_the_cell():
    problems, rules = cells(5, 5, 10, count=4)
    problems = [
        AssociativeMemory(memory.inputs, memory.outputs, memory.targets, np.roll(memory.frequencies, k))
        for k, memory in enumerate(problems)
    ]
    values, _ = run_group(problems, rules, ("final_loss", "peak_loss"), 10)
    expected, _ = one_by_one(problems, rules, ("final_loss", "peak_loss"), 10)
    np.testing.assert_allclose(values, expected, rtol=1e-10, atol=1e-10)


def test_cancelled_cells_are_left_undone():
    problems, rules = cells(5, 5, 10)
    cancelled = threading.Event()
    cancelled.set()
    with cancelled_by(cancelled):
        values, status = run_group(problems, rules, ALL, 100)
    assert {list(Status)[code] for code in status} == {Status.INTERRUPTED}
    assert np.isnan(values).all()


def test_a_range_with_undone_cells_is_given_up(monkeypatch):
    problems, rules = cells(5, 5, 10, count=3)
    work = cells_module.Work(
        lambda cell: (problems[cell], rules[cell]), (MEASURES["final_loss"],), 10, None, "float64", 0, (), named=True
    )
    block = cells_module.Block(0, np.full((3, 1), np.nan), np.full(3, cells_module.FAILED, np.int8), {}, 0.0)
    status = np.array([list(Status).index(one) for one in (Status.COMPLETED, Status.INTERRUPTED, Status.COMPLETED)])
    monkeypatch.setattr(cells_module, "run_group", lambda *_: (np.zeros((3, 1)), status.astype(np.int8)))

    class Range(list):
        first, count = 0, 3

    with pytest.raises(cells_module.Stopped):
        work._objects(Range({"cell": k} for k in range(3)), block, range(3), 1, None)
    assert (block.status == cells_module.FAILED).all()  # nothing of it is kept, the finished cells neither


def test_slices_change_no_bit(monkeypatch):
    problems, rules = cells(5, 5, 10, count=30)
    whole = run_group(problems, rules, ALL, 100)
    monkeypatch.setattr("traindyn.dynamics.batching._SLICE", 1e-6)
    sliced = run_group(problems, rules, ALL, 100)
    np.testing.assert_array_equal(whole[0], sliced[0])


def test_diverging_cells_among_good_ones():
    problems, rules = cells(5, 5, 10, count=20)
    good = run_group(problems, rules, ALL, 60)
    bad = list(rules)
    bad[3] = bad[11] = GradientDescent(1e308)
    for k in (3, 11):  # scores of 1e308 times 1e4 are infinite after one step
        memory = problems[k]
        problems[k] = AssociativeMemory(100.0 * memory.inputs, memory.outputs, memory.targets, memory.frequencies)
    values, status = run_group(problems, bad, ALL, 60)
    expected, wanted = one_by_one([problems[3], problems[11]], [bad[3], bad[11]], ALL, 60)
    kept = [k for k in range(20) if k not in (3, 11)]
    np.testing.assert_array_equal(values[kept], good[0][kept])
    assert list(Status)[status[3]] is Status.NOT_FINITE
    np.testing.assert_array_equal(status[[3, 11]], wanted)
    np.testing.assert_array_equal(values[[3, 11]], expected)


def test_rows_led_by_more_than_an_exponential_holds():
    # a rate of 1e5 moves scores by thousands, where exp overflows; single steps, for the long run is chaotic
    problems, _ = cells(5, 5, 10)
    rules = [GradientDescent(1e5)] * len(problems)
    for steps in (1, 2, 3):
        values, _ = run_group(problems, rules, ("final_loss", "smallest_margin", "peak_loss"), steps)
        expected, _ = one_by_one(problems, rules, ("final_loss", "smallest_margin", "peak_loss"), steps)
        # atol: exponentials below 1e-307 may or may not be cut off
        np.testing.assert_allclose(values, expected, rtol=1e-9, atol=1e-300)


_BITS = """
import json, sys
import numpy as np
from traindyn.dynamics import AssociativeMemory, GradientDescent
from traindyn.dynamics.batching import run_group
names = ("final_loss", "steps_to_settle", "peak_loss", "smallest_margin")
found = []
for shape in ((5, 5, 10), (4, 2, 6)):
    problems = [AssociativeMemory.random(*shape, "gaussian", "zipf", rng=k) for k in range(9)]
    rules = [GradientDescent(rate) for rate in np.geomspace(0.3, 10.0, 9)]
    found.append(run_group(problems, rules, names, 50)[0].tolist())
print(json.dumps(found))
"""


@pytest.mark.slow
def test_vector_widths_change_nothing_but_the_last_bits_of_a_sum():
    found = []
    for bits in ("512", "256", "128", "64"):
        environment = {**os.environ, "TRAINDYN_VECTOR_BITS": bits}
        answer = subprocess.run(
            [sys.executable, "-c", _BITS], env=environment, capture_output=True, text=True, check=True
        )
        found.append(json.loads(answer.stdout))
    for one in found:
        # the loss at the end sums a row lane by lane: up to 3 roundings more where there are fewer lanes
        np.testing.assert_allclose(np.array(one), np.array(found[0]), rtol=8e-16, atol=0.0)
        np.testing.assert_array_equal(np.array(one)[..., 1:], np.array(found[0])[..., 1:])


def test_groups():
    memory = AssociativeMemory.random(5, 5, 10)
    rule = GradientDescent(1.0)

    def key(problem=memory, rule=rule, measures=("final_loss",), dtype="float64", steps=10):
        return group_of(problem, rule, measures, dtype, steps)

    assert key() == key(AssociativeMemory.random(5, 5, 10, rng=1), GradientDescent(2.0, 0.5))
    assert key() != key(AssociativeMemory.random(5, 4, 10))
    assert key(AssociativeMemory.random(5, 5, 3)) is None  # redundant
    assert key(rule=GradientDescent(lambda step: 1.0)) is None
    assert key(measures=("mine",)) is None
    assert key(measures=("spike_height",), dtype="float32") is None
    assert key(dtype="float32", steps=2**24) is None
