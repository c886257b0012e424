"""The sharpness along a run: warm starts, shared searches, and the same bits after going on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from traindyn import kernels
from traindyn.dynamics import (
    AssociativeMemory,
    GradientDescent,
    GradientFlow,
    Trajectory,
    at,
    every,
    logarithmic,
    simulate,
    when,
)
from traindyn.errors import TraindynError

MEMORY = AssociativeMemory.random(40, 40, 11, "gaussian", "zipf", rng=1)
ARRAYS = MEMORY.inputs, MEMORY.outputs, MEMORY.targets, MEMORY.frequencies
RULE = GradientDescent(1.0)
BOTH = "sharpness", "sharpness_residual"


@pytest.fixture
def searches(monkeypatch: pytest.MonkeyPatch) -> list[tuple[bool, int]]:
    """Whether each search was given a start, and its products, in the order of the calls."""
    made: list[tuple[bool, int]] = []
    whole = kernels.largest_eigenvalue

    def counted(*arguments: Any, **options: Any) -> Any:
        pair = whole(*arguments, **options)
        made.append((options.get("start") is not None, pair.products))
        return pair

    monkeypatch.setattr(kernels, "largest_eigenvalue", counted)
    return made


def test_every_row_agrees_with_a_cold_search_and_costs_fewer_products(searches: list[tuple[bool, int]]) -> None:
    run = simulate(MEMORY, RULE, steps=99, observe=(*BOTH, "weights"))
    # one search a row, though two observables ask, and all but the first with a start
    assert [warm for warm, _ in searches] == [False] + [True] * 99
    spent = sum(products for _, products in searches)
    cold = [kernels.largest_eigenvalue(weights, *ARRAYS) for weights in run["weights"]]
    # a hundredth of chance stays in every start: the iteration still reduces it by six decades
    assert spent < 0.95 * sum(pair.products for pair in cold)
    np.testing.assert_allclose(run["sharpness"], [pair.value for pair in cold], rtol=1e-8)
    assert (run["sharpness_residual"] <= 1e-8 * run["sharpness"]).all()
    assert (run["sharpness_residual"] > 0.0).all()


def test_the_residual_is_that_of_the_pair() -> None:
    seen = []
    run = simulate(MEMORY, RULE, steps=5, observe=(*BOTH, {"own": lambda state: seen.append(state.top_eigenpair) or 0}))
    pair = seen[-1]
    defect = kernels.hessian_vector_product(run.final, pair.vector, *ARRAYS) - pair.value * pair.vector
    assert np.linalg.norm(defect) == pytest.approx(run["sharpness_residual"][-1], abs=1e-13 * pair.value)
    assert run["sharpness"][-1] == pair.value
    assert not pair.vector.flags.writeable  # the next search starts with it


def test_a_new_largest_eigenvalue_is_not_hidden_by_the_start() -> None:
    """Two tokens that do not interact: the second starts far on the wrong side, and curves most on its way back."""
    memory = AssociativeMemory(np.eye(9)[:2], np.eye(9)[:2], [0, 1], [0.4, 0.6])
    start = np.zeros((9, 9))
    start[:2, 1] = 2.0, -2.0
    arrays = memory.inputs, memory.outputs, memory.targets, memory.frequencies
    first = {"first": lambda state: np.sum(state.top_eigenpair.vector[:, 0] ** 2)}
    run = simulate(memory, GradientDescent(0.5), steps=40, initial=start, observe=("sharpness", "weights", first))
    assert run["first"][0] > 0.999  # the top belongs to the first token,
    assert run["first"][-1] < 0.001  # and then to the second
    tops = [np.linalg.eigvalsh(kernels.hessian(weights, *arrays))[-1] for weights in run["weights"]]
    np.testing.assert_allclose(run["sharpness"], tops, rtol=1e-8)


def test_a_degenerate_largest_eigenvalue() -> None:
    memory = AssociativeMemory(np.eye(9)[:2], np.eye(9)[:2], [0, 1], [0.5, 0.5])
    arrays = memory.inputs, memory.outputs, memory.targets, memory.frequencies
    run = simulate(memory, GradientDescent(0.5), steps=20, observe=("sharpness", "weights"))
    for weights, value in zip(run["weights"], run["sharpness"], strict=True):
        assert value == pytest.approx(np.linalg.eigvalsh(kernels.hessian(weights, *arrays))[-1], rel=1e-12)


def test_other_saved_rows_change_it_within_the_tolerance_only() -> None:
    dense = simulate(MEMORY, RULE, steps=60, observe=BOTH)
    for save in (every(7), logarithmic(5), at([31])):
        sparse = simulate(MEMORY, RULE, steps=60, observe=BOTH, save=save)
        np.testing.assert_allclose(sparse["sharpness"], dense["sharpness"][sparse.step], rtol=1e-8)


@pytest.mark.parametrize("cut", [14, 17])  # a row of the whole run; a row only because the run ends there
@pytest.mark.parametrize("stop", [None, when("sharpness", "<", 0.0), when("weight_norm", "<", -1.0)])
@pytest.mark.parametrize("filed", [False, True])
def test_going_on_gives_the_bits_of_the_whole_run(cut: int, stop: Any, filed: bool, tmp_path: Path) -> None:
    options: dict[str, Any] = {"observe": BOTH, "save": every(7), "stop": stop}
    whole = simulate(MEMORY, RULE, steps=40, **options)
    part = simulate(MEMORY, RULE, steps=cut, **options)
    if filed:
        part.save(tmp_path / "run.npz")
        part = Trajectory.load(tmp_path / "run.npz")
    joined = simulate(MEMORY, RULE, steps=40, save=every(7), stop=stop, resume=part)
    again = simulate(MEMORY, RULE, steps=40, save=every(7), resume=simulate(MEMORY, RULE, steps=24, resume=part))
    for name in BOTH:
        np.testing.assert_array_equal(joined[name], whole[name])
        np.testing.assert_array_equal(again[name], whole[name])
    for name, array in whole.restart.arrays.items():
        np.testing.assert_array_equal(array, joined.restart.arrays[name])


def test_a_run_that_failed_goes_on_with_the_same_bits() -> None:
    def fragile(state: Any) -> float:
        if state.step == 14 and broken:
            raise ValueError("broken")
        return 0.0

    broken = True
    options: dict[str, Any] = {"observe": (*BOTH, {"fragile": fragile}), "save": every(7)}
    with pytest.raises(TraindynError) as caught:
        simulate(MEMORY, RULE, steps=40, **options)
    broken = False
    joined = simulate(MEMORY, RULE, steps=40, resume=caught.value.trajectory, **options)  # type: ignore[attr-defined]
    whole = simulate(MEMORY, RULE, steps=40, **options)
    for name in BOTH:
        np.testing.assert_array_equal(joined[name], whole[name])


@pytest.mark.parametrize("cut", [3.0, 4.0])
def test_a_flow_starts_warm_and_goes_on_with_the_same_bits(cut: float, searches: list[tuple[bool, int]]) -> None:
    flow = GradientFlow()
    whole = simulate(MEMORY, flow, time=9.0, observe=(*BOTH, "weights"), save=every(1.5))
    assert [warm for warm, _ in searches].count(False) <= 1
    assert len(searches) == whole.time.size
    for weights, value in zip(whole["weights"], whole["sharpness"], strict=True):
        assert value == pytest.approx(kernels.sharpness(weights, *ARRAYS), rel=1e-8)
    part = simulate(MEMORY, flow, time=cut, observe=(*BOTH, "weights"), save=every(1.5))
    joined = simulate(MEMORY, flow, time=9.0, save=every(1.5), resume=part)
    if cut == 3.0:  # a flow that was cut elsewhere takes other steps
        for name in whole:
            np.testing.assert_array_equal(joined[name], whole[name])
    np.testing.assert_allclose(joined["sharpness"], whole["sharpness"], rtol=1e-8)


def test_a_stop_condition_shares_the_search_of_a_saved_row(searches: list[tuple[bool, int]]) -> None:
    simulate(MEMORY, RULE, steps=10, observe=BOTH, stop=when("sharpness", "<", 0.0))
    assert len(searches) == 11
    searches.clear()
    simulate(MEMORY, RULE, steps=10, observe=("loss",), stop=when("sharpness", "<", 0.0))
    assert [warm for warm, _ in searches] == [False] + [True] * 10


def test_a_few_weights_are_solved_densely_and_nothing_is_kept() -> None:
    memory = AssociativeMemory.random(5, 3, 8, "gaussian", "zipf", rng=1)
    run = simulate(memory, RULE, steps=5, observe=BOTH)
    assert not [name for name in run.restart.arrays if name.startswith("sharpness")]
    want = kernels.sharpness(run.final, memory.inputs, memory.outputs, memory.targets, memory.frequencies)
    assert run["sharpness"][-1] == want


def test_a_curvature_that_vanishes_is_followed_and_float32_runs_too() -> None:
    memory = AssociativeMemory(np.eye(9)[:2], np.eye(9)[:2], [0, 1], [0.5, 0.5])
    start = np.zeros((9, 9))
    start[:2, :2] = [[800.0, -800.0], [-800.0, 800.0]]  # softmax(1600) has no curvature left in float64
    run = simulate(memory, RULE, steps=2, initial=start, observe=BOTH)
    np.testing.assert_array_equal(run["sharpness"], 0.0)
    np.testing.assert_array_equal(run["sharpness_residual"], 0.0)
    single = simulate(MEMORY, RULE, steps=5, dtype="float32", observe=(*BOTH, "weights"))
    for weights, value in zip(single["weights"], single["sharpness"], strict=True):
        assert value == pytest.approx(kernels.sharpness(weights.astype(np.float64), *ARRAYS), rel=1e-8)


def test_a_search_that_does_not_converge_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = kernels.largest_eigenvalue
    monkeypatch.setattr(kernels, "largest_eigenvalue", lambda *a, **k: whole(*a, **k, max_products=2))
    with pytest.raises(TraindynError, match="did not converge"):
        simulate(MEMORY, RULE, steps=1, observe=("sharpness_residual",))
