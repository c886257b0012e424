"""Sweeps: what is refused before any work, what a cell gives, and that it depends on the cell alone."""

from __future__ import annotations

import math
import multiprocessing
import re
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import traindyn as td
from traindyn.dynamics import cells as cells_module
from traindyn.dynamics.cells import Work
from traindyn.dynamics.grid import Grid
from traindyn.dynamics.scheduling import Schedule
from traindyn.errors import InputError, SizeError

GRID = {"correlation": [0.0, 0.5, 0.95], "learning_rate": [0.5, 1.0, 10.0, 40.0]}


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let worker processes import this file by its name, as they would a user's module."""
    monkeypatch.syspath_prepend(Path(__file__).resolve().parents[2])


def two_tokens(correlation: float, learning_rate: float) -> tuple[Any, Any]:
    return td.AssociativeMemory.two_tokens(correlation), td.GradientDescent(learning_rate)


def mixed(size: int, rule: str, rate: float) -> tuple[Any, Any]:
    """Cells of several shapes, in batches and alone, drawn and not."""
    memory = td.AssociativeMemory.random(size, 2 + size % 2, 6, rng=size)
    rules = {
        "descent": td.GradientDescent(rate, momentum=0.5),
        "stochastic": td.StochasticGradientDescent(rate, batch_size=2),
        "adam": td.Adam(0.1 * rate),
    }
    return memory, rules[rule]


MIXED = {"size": (2, 3, 5), "rule": ("descent", "stochastic", "adam"), "rate": (0.5, 1.0, 2.0)}
MEASURES = ("final_loss", "steps_to_accuracy")


def last_margin(run: Any) -> float:
    return float(run["margin"][-1].min())


def swept(executor: Executor | None = None, **others: Any) -> td.Cube:
    return td.sweep(mixed, MIXED, (*MEASURES, last_margin), steps=30, rng=7, executor=executor, **others)


def same(one: td.Cube, other: td.Cube) -> bool:
    return one.table.tobytes() == other.table.tobytes() and one.codes.tobytes() == other.codes.tobytes()


@pytest.fixture(scope="module")
def reference() -> td.Cube:
    return swept()


class LastFirst(Executor):
    """Runs what it was given only when it must, the last first."""

    def __init__(self) -> None:
        self._waiting: list[tuple[Future[Any], Callable[..., Any], tuple[Any, ...]]] = []
        self._timer: threading.Timer | None = None

    def submit(self, function: Callable[..., Any], /, *arguments: Any, **named: Any) -> Future[Any]:
        future: Future[Any] = Future()
        self._waiting.append((future, function, arguments))
        if self._timer is None or not self._timer.is_alive():
            self._timer = threading.Timer(0.02, self._run)
            self._timer.start()
        return future

    def _run(self) -> None:
        while self._waiting:
            future, function, arguments = self._waiting.pop()
            if future.set_running_or_notify_cancel():
                future.set_result(function(*arguments))


@pytest.fixture(params=["threads", "fork", "spawn", "last first"])
def executor(request: pytest.FixtureRequest) -> Iterator[Executor]:
    if request.param == "threads":
        chosen: Executor = ThreadPoolExecutor(4)
    elif request.param == "last first":
        chosen = LastFirst()
    else:
        method = "forkserver" if request.param == "fork" else "spawn"
        chosen = ProcessPoolExecutor(2, mp_context=multiprocessing.get_context(method))
    with chosen:
        yield chosen


def test_executors_change_no_bit(reference: td.Cube, executor: Executor) -> None:
    assert same(swept(executor), reference)


@pytest.mark.parametrize("forced", [1, 2, 7, 27])
def test_chunks_change_no_bit(reference: td.Cube, forced: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Schedule, "forced", forced)
    assert same(swept(threads=1), reference)


def test_a_cell_is_what_simulate_gives(reference: td.Cube) -> None:
    for number, cell in enumerate(Grid.of(MIXED).cells(0, reference.size)):
        problem, rule = mixed(**cell)
        stream = np.random.SeedSequence(7, spawn_key=(number,))
        run = td.simulate(problem, rule, steps=30, rng=stream)
        index = np.unravel_index(number, reference.shape)
        assert reference["final_loss"][index] == run["loss"][-1]
        assert reference["last_margin"][index] == last_margin(run)
        assert reference.status[index] is run.status


def test_streams_differ_from_cell_to_cell() -> None:
    def build(copy: int) -> tuple[Any, Any]:
        return td.AssociativeMemory.random(4, 2, 4, rng=1), td.StochasticGradientDescent(1.0, batch_size=1)

    values = td.sweep(build, {"copy": range(6)}, "final_loss", steps=20).values
    assert len(set(values.tolist())) == 6
    again = td.sweep(build, {"copy": range(6)}, "final_loss", steps=20, rng=np.random.SeedSequence(0)).values
    assert again.tobytes() == values.tobytes()
    other = td.sweep(build, {"copy": range(6)}, "final_loss", steps=20, rng=1).values
    assert not np.isin(other, values).any()


def test_recipes_and_functions_agree() -> None:
    recipe = td.Recipe(td.AssociativeMemory.two_tokens, td.GradientDescent)
    measures = ("steps_to_accuracy", "steps_to_settle", "peak_step")
    one = td.sweep(recipe, GRID, measures, steps=500)
    other = td.sweep(two_tokens, GRID, measures, steps=500)
    assert one.table.tolist() == other.table.tolist()
    assert (one.codes == other.codes).all()


def test_two_token_columns_build_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A million cells must not pass through Python one by one: after the first one nothing is built."""
    calls = []
    original = Work.built
    monkeypatch.setattr(Work, "built", lambda self, cell: calls.append(cell) or original(self, cell))
    recipe = td.Recipe(td.AssociativeMemory.two_tokens, td.GradientDescent)
    grid = {"correlation": np.linspace(0.0, 0.9, 60), "frequencies": [(0.6, 0.4), (0.9, 0.1)], "learning_rate": [1, 2]}
    cube = td.sweep(recipe, grid, "steps_to_accuracy", steps=50)
    assert len(calls) == 1
    for index in ((0, 0, 0), (59, 1, 1), (30, 1, 0)):
        problem, rule = recipe(**cube.cell(*index))
        wanted = td.simulate(problem, rule, steps=50, stop=td.when("accuracy", ">=", 1.0))
        assert cube.status[index] is wanted.status
        assert cube.values[index] == wanted.step[-1] or math.isnan(cube.values[index])


def test_a_recipe_leaves_what_it_cannot_make_to_the_constructors() -> None:
    recipe = td.Recipe(td.AssociativeMemory.two_tokens, td.GradientDescent, correlation=0.5)
    grid = {"learning_rate": [1.0, -1.0, 2.0], "momentum": [0.0, 0.9, 1.5]}
    cube = td.sweep(recipe, grid, "steps_to_accuracy", steps=100)
    failed = cube.status == td.Status.FAILED
    assert failed.tolist() == [[False, False, True], [True, True, True], [False, False, True]]
    assert np.isnan(cube.values[failed]).all()
    assert not np.isnan(cube.values[~failed]).any()
    assert cube.errors[1, 0].startswith("build: InputError: learning_rate must be")
    assert "momentum" in cube.errors[0, 2]
    alone = td.simulate(*recipe(learning_rate=2.0, momentum=0.9), steps=100, stop=td.when("accuracy", ">=", 1.0))
    assert cube.values[2, 1] == alone.step[-1]


def test_batches_are_called_a_few_times_only(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []
    original = cells_module.run_group
    monkeypatch.setattr(cells_module, "run_group", lambda *a: calls.append(len(a[0])) or original(*a))

    def build(rate: float) -> tuple[Any, Any]:
        return td.AssociativeMemory.random(5, 3, 6, rng=0), td.GradientDescent(rate)

    cube = td.sweep(build, {"rate": np.geomspace(0.1, 5.0, 400)}, "final_loss", steps=5, threads=1)
    assert sum(calls) == 400
    assert len(calls) < 100
    assert cube.missing == 0


def test_failing_cells_do_not_stop_the_others() -> None:
    def build(case: str) -> tuple[Any, Any]:
        if case == "no":
            raise KeyError("nothing here")
        if case == "one":
            return td.AssociativeMemory.two_tokens()  # type: ignore[return-value]
        rule = td.GradientDescent(lambda step: -1.0) if case == "schedule" else td.GradientDescent(1.0)
        return td.AssociativeMemory.two_tokens(), rule

    def picky(run: Any) -> float:
        if run.status is td.Status.COMPLETED and run["loss"][-1] < 0.69:
            raise ArithmeticError("too small")
        return 1.0

    cube = td.sweep(build, {"case": ["fine", "no", "one", "schedule"]}, ("final_loss", picky), steps=20)
    assert [status.name for status in cube.status] == ["FAILED"] * 4
    assert cube.errors[0,].startswith("the measure 'picky'")
    assert "ArithmeticError: too small (test_sweep.py:" in cube.errors[0,]
    assert not math.isnan(cube["final_loss"][0])
    assert math.isnan(cube["picky"][0])
    assert "KeyError: 'nothing here' (test_sweep.py:" in cube.errors[1,]
    assert "build must return (problem, rule)" in cube.errors[2,]
    assert "schedule must return finite rates" in cube.errors[3,]
    assert "first failure, at {'case': 'fine'}" in repr(cube)


def test_diverging_cells_say_so() -> None:
    def build(rate: float) -> tuple[Any, Any]:
        memory = td.AssociativeMemory([[1.0, 0.0], [1e150, 1.0]], np.eye(2), [0, 1], [0.5, 0.5])
        return memory, td.GradientDescent(rate)

    cube = td.sweep(build, {"rate": [1e-3, 1e300]}, "final_loss", steps=10)
    assert cube.status[1] is td.Status.NOT_FINITE
    assert math.isnan(cube.values[1])


def test_measures_that_are_functions_and_their_options() -> None:
    def time_to_half(run: Any) -> float:
        return float(run.time[-1])

    def build(correlation: float) -> tuple[Any, Any]:
        return td.AssociativeMemory.two_tokens(correlation), td.GradientFlow()

    cube = td.sweep(build, {"correlation": [0.0, 0.9]}, time_to_half, time=1e4, stop=td.when("loss", "<=", 0.5))
    assert [status.name for status in cube.status] == ["THRESHOLD_REACHED"] * 2
    assert 0.0 < cube.values[0] < cube.values[1] < 1e4
    with pytest.raises(InputError, match="counts steps, and a gradient flow has none"):
        td.sweep(build, {"correlation": [0.0]}, "steps_to_accuracy", time=1.0)


def refuse(*arguments: Any, **named: Any) -> str:
    """Return the message of a sweep that is refused before any cell runs."""
    ran: list[int] = []
    original = Work.run
    Work.run = lambda self, *a, **k: ran.append(1) or original(self, *a, **k)  # type: ignore[method-assign]
    try:
        with pytest.raises((InputError, SizeError)) as caught:
            td.sweep(*arguments, **named)
    finally:
        Work.run = original  # type: ignore[method-assign]
    assert not ran
    return str(caught.value)


def broken(correlation: float, learning_rate: float) -> Any:
    raise OSError("no such disk")


DRAWS = np.random.default_rng(0)


def drawn(correlation: float, learning_rate: float) -> Any:
    return td.AssociativeMemory.random(2, 2, 2, rng=DRAWS), td.GradientDescent(1.0)


@pytest.mark.parametrize(
    ("changes", "answer"),
    [
        ({"build": 3}, "build must be a function"),
        ({"grid": {}}, "grid must map names"),
        ({"grid": {"correlation": []}}, "must not be empty"),
        ({"grid": {"correlation": 0.5}}, r"must be a sequence of values; got 0.5; pass \[0.5\]"),
        ({"grid": {"correlation": "abc"}}, "must be a sequence"),
        ({"grid": {"correlation": [0.1, math.nan]}}, r"finite numbers; got correlation\[1\] = nan"),
        ({"grid": {"correlation": [0.1, 0.2, 0.1]}}, "must not repeat a value; got 0.1 at places 0 and 2"),
        ({"grid": {"correlation": [1, 1.0]}}, "must not repeat"),
        ({"grid": {"correlation": np.array([0.2, 0.2])}}, "must not repeat"),
        ({"grid": {"correlation": [object()]}}, "numbers, texts, or tuples"),
        ({"grid": {"two words": [1.0]}}, "named like an argument"),
        ({"grid": {"correlation": [0.5]}}, "build must take the axes.*missing a required argument: 'learning_rate'"),
        ({"grid": {**GRID, "momentum": [0.5]}}, "momentum"),
        ({"measure": "steps_to_acuracy"}, "did you mean 'steps_to_accuracy'"),
        ({"measure": ("peak_loss", "peak_loss")}, "name of its own"),
        ({"measure": 3}, "a measure is a name"),
        ({"steps": None}, "needs steps= or time="),
        ({"steps": -1}, "steps must be an integer >= 0"),
        ({"steps": 1.5}, "steps must be an integer"),
        ({"steps": None, "time": 1.0}, "GradientDescent needs steps="),
        ({"dtype": "float16"}, "unknown dtype"),
        ({"rng": -1}, "rng must be an integer >= 0"),
        ({"rng": np.random.default_rng(0)}, "a sweep needs a seed"),
        ({"executor": 4}, "executor must be a concurrent.futures.Executor"),
        ({"threads": 0}, "threads must be an integer >= 1"),
        ({"observe": "los"}, "did you mean 'loss'"),
        ({"stop": "accuracy"}, "stop must be a condition"),
        ({"save": td.every(2)}, "save= is for measures of your own"),
        ({"form": "wheel"}, "wheel"),
        ({"build": broken}, "build fails on the first cell; got OSError: no such disk with {'correlation': 0.0"),
        ({"build": drawn}, "build must return the same for the same cell"),
        ({"build": td.Recipe(td.AssociativeMemory.random, td.GradientDescent)}, "did you mean 'correlation'|n_tokens"),
    ],
)  # fmt: skip
def test_refused_before_any_work(changes: dict[str, Any], answer: str) -> None:
    given = {"build": two_tokens, "grid": GRID, "measure": "peak_loss", "steps": 10, **changes}
    message = refuse(given.pop("build"), **given)
    assert re.search(answer, message), message


def test_what_cannot_be_pickled_is_refused_with_the_cure(monkeypatch: pytest.MonkeyPatch) -> None:
    lock = threading.Lock()

    def build(correlation: float, learning_rate: float) -> tuple[Any, Any]:
        with lock:
            return two_tokens(correlation, learning_rate)

    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        message = refuse(build, GRID, "peak_loss", steps=10, executor=pool)
    assert "must be picklable" in message
    assert "td.Recipe" in message


def test_lambdas_travel_where_cloudpickle_is(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("cloudpickle")
    build = lambda correlation, learning_rate: two_tokens(correlation, learning_rate)  # noqa: E731
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        cube = td.sweep(build, GRID, "peak_loss", steps=10, executor=pool)
    assert same(cube, td.sweep(two_tokens, GRID, "peak_loss", steps=10))


def test_dry_runs_leave_nothing(tmp_path: Any) -> None:
    estimate = td.sweep(two_tokens, GRID, "peak_loss", steps=100, store=tmp_path / "a.db", dry_run=True)
    assert list(tmp_path.iterdir()) == []
    assert estimate.cells == 12
    assert estimate.seconds > 0.0
    assert estimate.batched == 1.0
    assert "12 cells" in repr(estimate)


def test_the_bar_is_shown_when_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    td.sweep(two_tokens, GRID, "peak_loss", steps=10)
    assert capsys.readouterr().err == ""
    td.sweep(two_tokens, GRID, "peak_loss", steps=10, progress=True)
    assert "12/12 cells" in capsys.readouterr().err


def test_a_sweep_saves_at_chosen_steps_and_refuses_those_beyond_the_end() -> None:
    def ends(run: td.Trajectory) -> float:
        return float(run["loss"].size)

    def sweep(points: list[int]) -> td.Cube:
        return td.sweep(
            lambda rate: (td.AssociativeMemory.two_tokens(), td.GradientDescent(rate)),
            grid={"rate": [0.1, 0.2]}, measure=ends, steps=7, save=td.at(points), progress=False,
        )  # fmt: skip

    assert sweep([1, 2, 5]).values.tolist() == [5.0, 5.0]  # the start and the end besides
    with pytest.raises(InputError, match="9"):
        sweep([1, 9])
