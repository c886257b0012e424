"""Two-token cells of a sweep: a recipe and a function agree; a sweep that ends gives up what is not done."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import traindyn as td
from traindyn.dynamics import cells as cells_module
from traindyn.dynamics import fan_out, slicing
from traindyn.dynamics.cells import Stopped, Work
from traindyn.dynamics.grid import Grid
from traindyn.dynamics.measures import MEASURES, measures_of
from traindyn.dynamics.scheduling import Schedule
from traindyn.dynamics.store import Store
from traindyn.dynamics.two_token_columns import row_of, two_token_columns
from traindyn.errors import FileError

RECIPE = td.Recipe(td.AssociativeMemory.two_tokens, td.GradientDescent)
NAMES = tuple(MEASURES)
# rounding decides some of these cells, others stand still, and in the last ones the margins overflow
HARD: dict[str, Any] = {
    "correlation": [-1.0, -0.5, 0.0, 0.6, 0.9, 0.9999999, 1.0],
    "learning_rate": [1e-300, 1e-12, *np.geomspace(0.01, 1000.0, 12).tolist(), 1e150, 1e290, 1e300, 1.7e308],
    "frequencies": [(0.5, 0.5), (0.75, 0.25), (1.0 - 1e-12, 1e-12)],
}


def by_hand(correlation: float, learning_rate: float, frequencies: tuple[float, float]) -> tuple[Any, Any]:
    inputs = [[1.0, 0.0], [correlation, np.sqrt((1.0 - correlation) * (1.0 + correlation))]]
    memory = td.AssociativeMemory(inputs, np.eye(2), [0, 1], frequencies)
    return memory, td.GradientDescent(learning_rate)


@pytest.mark.parametrize("measures", [("steps_to_accuracy",), NAMES])
def test_a_recipe_and_a_function_give_the_same_bits(measures: tuple[str, ...]) -> None:
    recipe = td.sweep(RECIPE, HARD, measures, steps=300)
    function = td.sweep(by_hand, HARD, measures, steps=300)
    assert recipe.table.tobytes() == function.table.tobytes()
    assert recipe.codes.tobytes() == function.codes.tobytes()
    assert td.Status.NOT_FINITE in recipe.counts


def test_values_and_statuses_speak_of_the_same_run() -> None:
    cube = td.sweep(RECIPE, HARD, NAMES, steps=300)
    finite = cube.status != td.Status.NOT_FINITE
    always = ("peak_loss", "peak_step", "spike_height", "final_loss", "final_accuracy", "smallest_margin")
    for name in always:
        assert (np.isnan(cube[name]) == ~finite).all(), name
    right = cube["final_accuracy"] == 1.0
    assert (np.isnan(cube["steps_to_settle"]) == ~(right & finite)).all()
    assert (cube["smallest_margin"] > 0.0)[right].sum() == 0  # all start at W = 0, where nothing is right
    assert not np.isnan(cube["steps_to_accuracy"][right]).any()
    alone = td.sweep(RECIPE, HARD, "steps_to_accuracy", steps=300)
    assert alone.values.tobytes() == cube["steps_to_accuracy"].tobytes()
    reached = alone.status == td.Status.THRESHOLD_REACHED
    assert (reached | ~np.isfinite(alone.values)).all()
    assert (np.isnan(alone.values) == ~reached)[finite].all()


@pytest.mark.parametrize(
    "cell",
    [
        (td.AssociativeMemory.two_tokens(0.5), td.GradientDescent(1.0, momentum=0.1)),
        (td.AssociativeMemory.two_tokens(0.5), td.GradientDescent(lambda step: 1.0)),
        (td.AssociativeMemory.two_tokens(0.5), td.GradientDescent(1e300)),
        (td.AssociativeMemory.two_tokens(0.5), td.Adam(1.0)),
        (td.AssociativeMemory(np.eye(2), np.eye(2), [1, 0], [0.5, 0.5]), td.GradientDescent(1.0)),
        (td.AssociativeMemory(np.eye(2), np.eye(2), [0, 0], [0.5, 0.5]), td.GradientDescent(1.0)),
        (td.AssociativeMemory(2.0 * np.eye(2), np.eye(2), [0, 1], [0.5, 0.5]), td.GradientDescent(1.0)),
        (td.AssociativeMemory(np.eye(2), 2.0 * np.eye(2), [0, 1], [0.5, 0.5]), td.GradientDescent(1.0)),
        (td.AssociativeMemory([[1, 0], [0.6, -0.8]], np.eye(2), [0, 1], [0.5, 0.5]), td.GradientDescent(1.0)),
        (td.AssociativeMemory([[1, 1e-300], [0.6, 0.8]], np.eye(2), [0, 1], [0.5, 0.5]), td.GradientDescent(1.0)),
        (td.AssociativeMemory.random(3, 2, 2), td.GradientDescent(1.0)),
        (td.AssociativeMemory.random(2, 3, 2), td.GradientDescent(1.0)),
    ],
)  # fmt: skip
def test_other_cells_are_not_taken_for_two_tokens(cell: tuple[Any, Any]) -> None:
    assert row_of(*cell) is None


ENDLESS: dict[str, Any] = {"correlation": [0.5], "learning_rate": [1e-300]}


def gives_up(run: Any) -> float:
    """Return the seconds that `run` takes to return once it is told to."""
    cancelled = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(run, cancelled)
        time.sleep(0.3)
        assert not future.done()
        start = time.monotonic()
        cancelled.set()
        future.result(timeout=60)
    return time.monotonic() - start


@pytest.mark.parametrize("measures", [("steps_to_accuracy",), ("final_loss",)])
def test_columns_that_never_end_are_given_up(measures: tuple[str, ...]) -> None:
    columns = {"correlation": np.array([0.5]), "frequencies": np.array([[0.75, 0.25]]), "momentum": np.zeros(1),
               "learning_rate": np.full(3, 1e-300)}  # fmt: skip

    def run(cancelled: threading.Event) -> None:
        with slicing.cancelled_by(cancelled):
            values, status = two_token_columns(columns, measures, 2**52)
        assert np.isnan(values).all()
        assert (status == cells_module.CODES[td.Status.INTERRUPTED]).all()

    two_token_columns(columns, measures, 3)
    assert gives_up(run) < 20.0


def batched(rate: float) -> tuple[Any, Any]:
    return td.AssociativeMemory.random(5, 3, 6, rng=0), td.GradientDescent(rate)


def single(rate: float) -> tuple[Any, Any]:
    return td.AssociativeMemory.random(5, 3, 6, rng=0), td.Adam(rate)


@pytest.mark.parametrize(
    ("build", "grid"),
    [
        (RECIPE, ENDLESS),
        # lawful columns, and others that are built: neither may pass for the other
        (RECIPE, {"learning_rate": [1e-300, 1e300, -1.0], "correlation": [0.5]}),
        (batched, {"rate": [1e-9, 1e-8]}),
        (single, {"rate": [1e-9, 1e-8]}),
        # no cell comes after it, before which it could be noticed
        (single, {"rate": [1e-9]}),
    ],
    ids=["columns", "mixed", "batch", "alone", "one"],
)  # fmt: skip
def test_a_block_that_was_given_up_is_no_block(build: Any, grid: dict[str, Any]) -> None:
    checked = Grid.of(grid)
    measures = measures_of("final_loss")
    Work(build, measures, 3, None, "float64", 0, (), True).run(checked.cells(0, checked.size))
    endless = Work(build, measures, 2**52, None, "float64", 0, (), True)

    def run(cancelled: threading.Event) -> None:
        with pytest.raises(Stopped):
            endless.run(checked.cells(0, checked.size), 1, cancelled)

    assert gives_up(run) < 20.0


def test_what_is_given_up_is_not_stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of five cells, the first three end; then the sweep is stopped as by Ctrl-C, while a batch and columns run."""
    place = tmp_path / "a.db"
    asked = []

    class Interrupted:
        """Ctrl-C, two seconds after the first of the endless cells was handed out."""

        requested = property(lambda self: bool(asked) and time.monotonic() - asked[0] > 2.0)

        def __enter__(self) -> Any:
            return self

        def __exit__(self, *_: object) -> None:
            pass

    original = Work.built

    def built(self: Work, cell: Any) -> Any:
        if cell["kind"] == 3:
            asked.append(time.monotonic())
        return original(self, cell)

    def build(kind: int) -> tuple[Any, Any]:
        slow = kind >= 3
        if kind % 2:
            inputs = np.eye(4)[[0, 0, 1] if slow else [0, 1, 2]]  # one embedding for two classes: never right
            return td.AssociativeMemory(inputs, np.eye(4), [0, 1, 2], [0.3, 0.3, 0.4]), td.GradientDescent(1.0)
        return td.AssociativeMemory.two_tokens(), td.GradientDescent(1e-300 if slow else 10.0)

    monkeypatch.setattr(fan_out, "Interruption", Interrupted)
    monkeypatch.setattr(Work, "built", built)
    monkeypatch.setattr("traindyn.dynamics.definition.built_digest", lambda *_: "")
    cube = td.sweep(build, {"kind": range(5)}, "steps_to_accuracy", steps=2**52, store=place)
    undone = cube.status == td.Status.INTERRUPTED
    assert undone.tolist() == [False, False, False, True, True]
    assert np.isnan(cube.values[undone]).all()
    with Store.load(place) as stored:
        _, status, done, _ = stored.read()
    assert (done == ~undone).all()
    assert (status[done] != cells_module.CODES[td.Status.INTERRUPTED]).all()


def test_a_store_of_another_python_says_why_it_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    grid = {"rate": [1e-3, 1e-2]}

    def swept(build: Any, measure: Any) -> td.Cube:
        return td.sweep(build, grid, measure, steps=3, store=tmp_path / "a.db")

    def last(run: Any) -> float:
        return float(run["loss"][-1])

    swept(single, last)
    monkeypatch.setattr("traindyn.dynamics.definition.platform.python_version_tuple", lambda: ("3", "99", "1"))
    monkeypatch.setattr("traindyn.dynamics.definition.definition_of", lambda function: "other byte code")
    with pytest.raises(FileError, match=r"begun with Python 3\.\d+, and this is 3\.99; functions are known by"):
        swept(single, last)
    with pytest.raises(FileError, match="holds another sweep: it differs in measures"):
        swept(single, "final_loss")


def test_an_estimate_does_not_speak_of_its_last_cells() -> None:
    schedule = Schedule([(0, 800)], width=2)
    done, largest, spent = np.zeros(8), np.ones(8), 0.0
    while schedule.waiting > 12 and (chosen := schedule.next()) is not None:
        count, part = chosen[1] - chosen[0], chosen[0] // 100
        seconds = 0.01 + 0.001 * count  # most of a small chunk is not its cells
        schedule.took(chosen[0], seconds)
        done[part] += count
        largest[part] = max(largest[part], count)
        spent += seconds
    assert count < largest[part]
    assert 0 < 800 - done.sum() <= 12
    expected = spent + ((100 - done) * (0.001 + 0.01 / largest)).sum()
    np.testing.assert_allclose(schedule.work_in_all, expected, rtol=1e-12)


def test_cells_of_several_shapes_are_compiled_before_they_are_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first cell of every kind takes long, as if it compiled: the estimate must not count that."""
    seen: set[int] = set()
    original = Work.run

    def run(self: Work, cells: Any, *others: Any) -> Any:
        kinds = {cell["kind"] for cell in cells}
        block = original(self, cells, *others)
        late = 5.0 if kinds - seen else 0.0
        seen.update(kinds)
        return replace(block, seconds=block.seconds + late)

    monkeypatch.setattr(Work, "run", run)

    def build(kind: int, rate: float) -> tuple[Any, Any]:
        return single(rate)

    estimate = td.sweep(
        build, {"kind": range(8), "rate": [1e-3, 1e-2, 1e-1, 1.0]}, "final_loss", steps=2, threads=1, dry_run=True
    )
    assert estimate.seconds < 5.0


def test_a_spawned_seed_gives_spawned_streams() -> None:
    def build(copy: int) -> tuple[Any, Any]:
        return td.AssociativeMemory.random(4, 2, 4, rng=1), td.StochasticGradientDescent(1.0, batch_size=1)

    child = np.random.SeedSequence(5, spawn_key=(2,))
    values = td.sweep(build, {"copy": range(3)}, "final_loss", steps=20, rng=child).values
    for copy in range(3):
        stream = np.random.SeedSequence(5, spawn_key=(2, copy))
        assert values[copy] == td.simulate(*build(copy), steps=20, rng=stream)["loss"][-1]
    parent = td.sweep(build, {"copy": range(3)}, "final_loss", steps=20, rng=5).values
    assert not np.isin(parent, values).any()
