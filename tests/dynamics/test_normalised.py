"""Memories with a normalisation: the laws that it brings, and the compiled loop against Python."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from traindyn import kernels
from traindyn.analytics import normalised_loss_floor
from traindyn.dynamics import (
    Adam,
    AssociativeMemory,
    GradientDescent,
    GradientFlow,
    GradientNoise,
    NormalisedMemory,
    Problem,
    StochasticGradientDescent,
    StochasticGradientFlow,
    Trajectory,
    at,
    schedules,
    simulate,
    sweep,
    when,
)
from traindyn.dynamics.draws import draws_of, random_stream
from traindyn.errors import InputError

KINDS = ("none", "unit", "layer", "batch")


def problem(kind: str = "unit", n_tokens: int = 5, dim: int = 4, **more: Any) -> NormalisedMemory:
    memory = AssociativeMemory.random(n_tokens, 3, dim, frequencies="zipf", rng=2)
    return NormalisedMemory(memory, kind, **{"gain": 2.5, "rng": 1, **more})


class OnPython:
    """A rule of the package, on the plain path."""

    def __init__(self, rule: Any) -> None:
        self.rule, self.learning_rate = rule, rule.learning_rate
        self.init, self.step = rule.init, rule.step


@pytest.mark.parametrize("trained", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_gradient_by_differences(kind: str, trained: bool) -> None:
    memory = problem(kind, trained_gain=trained, epsilon=1e-3)
    weights = memory.initial_weights()
    assert weights.shape == ((5, 4) if trained else (4, 4))
    _, gradient = memory.loss_and_gradient(weights)
    free = np.ones(weights.shape, bool)
    free[4:, 1:] = False  # the rest of the gain's row is not used
    for place in np.argwhere(free):
        step = np.zeros_like(weights)
        step[tuple(place)] = 1e-6
        change = memory.loss_and_gradient(weights + step)[0] - memory.loss_and_gradient(weights - step)[0]
        # roundings of 1e-16 / 1e-6, and the third derivative
        assert change / 2e-6 == pytest.approx(gradient[tuple(place)], abs=2e-9)
    assert not gradient[~free].any()


@pytest.mark.parametrize("kind", KINDS)
def test_gradient_equals_the_kernel(kind: str) -> None:
    memory = problem(kind)
    loss, gradient = memory.loss_and_gradient(memory.start)
    inner = memory.memory
    expected = kernels.normalised_gradient(
        memory.start, inner.inputs, inner.outputs, inner.targets, inner.frequencies, 2.5, 1e-6, kind
    )
    assert loss == pytest.approx(expected[0], rel=1e-14)
    np.testing.assert_allclose(gradient, expected[1], rtol=0, atol=1e-14)


@pytest.mark.parametrize("kind", KINDS[1:])
def test_scale_does_not_matter(kind: str) -> None:
    """loss(c W) = loss(W), the gradient scales as 1/c and is orthogonal to W; epsilon breaks it in proportion."""
    memory = problem(kind, epsilon=1e-30)
    loss, gradient = memory.loss_and_gradient(memory.start)
    far, slope = memory.loss_and_gradient(1e3 * memory.start)
    assert far == pytest.approx(loss, rel=1e-13)
    np.testing.assert_allclose(1e3 * slope, gradient, rtol=0, atol=1e-13)
    assert abs(np.sum(memory.start * gradient)) < 1e-14
    broken = [abs(problem(kind, epsilon=e).loss_and_gradient(memory.start)[0] - loss) for e in (1e-6, 1e-8)]
    assert broken[0] == pytest.approx(100.0 * broken[1], rel=1e-2)
    assert broken[0] > 1e-9


def test_what_each_normalisation_leaves_out() -> None:
    weights = problem().start
    shift = np.random.default_rng(0).normal(size=4)
    layer, batch = problem("layer", epsilon=1e-30), problem("batch", epsilon=1e-30)
    same = layer.loss_and_gradient(weights + np.outer(np.ones(4), shift))[0]
    assert same == pytest.approx(layer.loss_and_gradient(weights)[0], rel=1e-13)
    normal = layer.normalised(weights)
    np.testing.assert_allclose(np.linalg.norm(normal, axis=1), 1.0, rtol=1e-14)
    np.testing.assert_allclose(normal.sum(axis=1), 0.0, atol=1e-14)
    normal, shares = batch.normalised(weights), batch.frequencies
    np.testing.assert_allclose(shares @ normal, 0.0, atol=1e-14)
    np.testing.assert_allclose(shares @ normal**2, 0.25, rtol=1e-13)
    scaled = batch.loss_and_gradient(np.diag([1.0, 2.0, 3.0, 4.0]) @ weights)[0]
    assert scaled == pytest.approx(batch.loss_and_gradient(weights)[0], rel=1e-13)


def test_margins_are_bounded_and_their_bound_is_reached() -> None:
    """As many tokens as classes, fewer than dimensions: descent comes to the floor, and its margins to those there."""
    memory = NormalisedMemory(AssociativeMemory.random(3, 3, 6, rng=4), gain=2.0, epsilon=1e-12)
    floor = normalised_loss_floor(memory.memory, 2.0)
    run = simulate(memory, GradientDescent(3.0), steps=3000, observe=("loss", "margin"))
    assert run["loss"].min() >= floor.value - floor.gap - 1e-15
    assert run["loss"][-1] == pytest.approx(floor.value, rel=1e-9)
    assert np.abs(run["margin"]).max() <= 2.0 * np.sqrt(2.0) + 1e-12
    np.testing.assert_allclose(run["margin"][-1], floor.margins, rtol=1e-4)


@pytest.mark.parametrize("kind", KINDS[1:])
def test_the_squared_norm_grows_by_the_squared_step(kind: str) -> None:
    run = simulate(
        problem(kind, epsilon=1e-20), GradientDescent(3.0), steps=50, observe=("weight_norm", "gradient_norm")
    )
    squares = run["weight_norm"] ** 2
    np.testing.assert_allclose(squares[1:], squares[:-1] + 9.0 * run["gradient_norm"][:-1] ** 2, rtol=1e-13)


def test_without_normalisation_it_is_the_memory_with_longer_outputs() -> None:
    memory = problem("none")
    inner = memory.memory
    longer = AssociativeMemory(inner.inputs, 2.5 * inner.outputs, inner.targets, inner.frequencies)
    seen = ("loss", "margin", "accuracy", "accuracy_first_index", "smallest_margin")
    run = simulate(memory, GradientDescent(0.4), steps=60, observe=seen)
    other = simulate(longer, GradientDescent(0.4), steps=60, observe=seen, initial=memory.start, form="weights")
    for name in seen:
        np.testing.assert_allclose(run[name], other[name], rtol=1e-11, atol=1e-12)
    np.testing.assert_allclose(run.final, other.final, rtol=0, atol=1e-12)


RULES = [
    GradientDescent(0.7), GradientDescent(0.3, momentum=0.8), Adam(0.05),
    GradientDescent(schedules.inverse_time(0.9, 5.0)),
]  # fmt: skip


@pytest.mark.parametrize("rule", RULES, ids=["plain", "momentum", "adam", "schedule"])
@pytest.mark.parametrize("kind", KINDS)
def test_compiled_loop_equals_the_plain_path(kind: str, rule: Any) -> None:
    for trained in (False, True):
        memory = problem(kind, trained_gain=trained)
        seen = ("loss", "accuracy", "margin", "weight_norm", "gain", "hidden_norm", "radial_share")
        run = simulate(memory, rule, steps=40, observe=seen)
        other = simulate(memory, OnPython(rule), steps=40, observe=seen)
        for name in seen[:-1]:
            np.testing.assert_allclose(run[name], other[name], rtol=0, atol=1e-11, err_msg=name)
        np.testing.assert_allclose(run.final, other.final, rtol=0, atol=1e-11)


@pytest.mark.parametrize("kind", ["unit", "batch"])
def test_a_batch_has_its_own_statistics_and_the_record_those_of_all(kind: str) -> None:
    memory, rule = problem(kind), StochasticGradientDescent(0.5, batch_size=4)
    run = simulate(memory, rule, steps=2, rng=5)
    shares = draws_of(rule, memory.frequencies, random_stream(5), None, "float64").take(2)[0]
    inner, weights = memory.memory, memory.start
    for step in range(2):
        assert run["loss"][step] == pytest.approx(memory.loss_and_gradient(weights)[0], rel=1e-12)
        drawn = kernels.reference.normalised_gradient(
            weights, inner.inputs, inner.outputs, inner.targets, shares[step], 2.5, 1e-6, kind
        )
        weights = weights - 0.5 * drawn[1]
    np.testing.assert_allclose(run.final, weights, rtol=0, atol=1e-12)
    unseen = simulate(memory, rule, steps=2, rng=5, save=at([]))
    np.testing.assert_array_equal(unseen.final, run.final)


def test_a_run_goes_on_to_the_bit(tmp_path: Path) -> None:
    memory = problem("batch", trained_gain=True)
    for rule in (GradientDescent(0.3, momentum=0.5), StochasticGradientDescent(0.2, 3), Adam(0.01)):
        whole = simulate(memory, rule, steps=30, rng=1)
        simulate(memory, rule, steps=11, rng=1).save(tmp_path / "run.npz")
        resumed = simulate(memory, rule, steps=30, resume=Trajectory.load(tmp_path / "run.npz"))
        np.testing.assert_array_equal(resumed.final, whole.final)
        np.testing.assert_array_equal(resumed["margin"], whole["margin"])


def test_stop_and_single_precision() -> None:
    run = simulate(problem(), GradientDescent(5.0), steps=500, stop=when("weight_norm", ">", 3.0))
    assert run.status.name == "THRESHOLD_REACHED"
    assert np.linalg.norm(run.final) > 3.0
    single = simulate(problem(), GradientDescent(0.5), steps=20, dtype="float32")
    double = simulate(problem(), GradientDescent(0.5), steps=20)  # later it is unstable
    assert single.final.dtype == np.float32
    np.testing.assert_allclose(single["loss"], double["loss"], rtol=1e-5)


def build(normalisation: str, learning_rate: float) -> tuple[Any, Any]:
    return problem(normalisation), GradientDescent(learning_rate)


def test_sweeps() -> None:
    grid = {"normalisation": KINDS, "learning_rate": (0.1, 1.0)}
    cube = sweep(build, grid, ("final_loss", "spike_height"), steps=30)
    alone = simulate(*build("layer", 1.0), steps=30)
    assert cube["final_loss"][2, 1] == alone["loss"][-1]
    assert not cube.missing
    assert not cube.errors


def test_identity_of_problems() -> None:
    one = problem()
    assert isinstance(one, Problem)
    assert one == problem()
    assert hash(one) == hash(pickle.loads(pickle.dumps(one)))
    assert pickle.loads(pickle.dumps(one)) == one
    others = [
        problem("layer"), problem(gain=2.0), problem(epsilon=1e-5), problem(trained_gain=True), problem(rng=2),
        problem(scale=2.0), problem(n_tokens=6),
    ]  # fmt: skip
    assert len({one.digest, *(other.digest for other in others)}) == 8
    assert problem(start=one.start) == one
    assert not one.start.flags.writeable
    assert repr(problem("batch", trained_gain=True)).startswith(
        "NormalisedMemory(batch, 5 tokens, 3 classes, dim 4, gain 2.5, trained, digest "
    )
    start = np.eye(4)
    held = problem(start=start)
    start[0, 0] = 7.0
    assert held.start[0, 0] == 1.0


@pytest.mark.parametrize(
    ("change", "law"),
    [
        ({"kind": "rms"}, "normalisation"), ({"gain": 0.0}, "gain"), ({"epsilon": 0.0}, "epsilon"),
        ({"scale": -1.0}, "scale"), ({"start": np.eye(3)}, "start must be W of shape"),
        ({"start": np.full((4, 4), np.nan)}, "start"), ({"trained_gain": 1}, "trained_gain"),
        ({"kind": "layer", "dim": 1}, "dim >= 2"),
    ],
)  # fmt: skip
def test_what_is_refused(change: dict[str, Any], law: str) -> None:
    with pytest.raises(InputError, match=law):
        problem(**change)


def test_what_cannot_move_it_is_refused() -> None:
    with pytest.raises(InputError, match="AssociativeMemory"):
        NormalisedMemory(np.eye(3))  # type: ignore[arg-type]
    with pytest.raises(InputError, match="GradientFlow"):
        simulate(problem(), GradientFlow(), time=1.0)
    with pytest.raises(InputError, match="weights only"):
        simulate(problem(), GradientDescent(1.0), steps=1, form="particles")
    with pytest.raises(InputError, match="input noise is defined for an AssociativeMemory"):
        simulate(problem(), StochasticGradientDescent(1.0, 2, input_noise=0.1), steps=1)
    flow = StochasticGradientFlow(GradientNoise(1, 0.5), dt=0.1)
    with pytest.raises(InputError, match="which batch normalisation mixes"):
        simulate(problem("batch"), flow, steps=1)
    loss = simulate(problem("unit"), flow, steps=50, rng=0)["loss"]
    assert loss[-1] < loss[0]


@pytest.mark.parametrize("kind", KINDS[1:])
def test_lengths_that_overflow_are_told(kind: str) -> None:
    start = 1e200 * np.random.default_rng(0).standard_normal((4, 4))
    with pytest.raises(InputError, match="starts where everything is finite"):
        simulate(problem(kind, start=start), GradientDescent(1.0), steps=1)


def test_the_rate_factor_of_zero_weights_is_infinite() -> None:
    run = simulate(problem(start=np.zeros((4, 4))), GradientDescent(1.0), steps=1, observe="rate_factor")
    assert run["rate_factor"][0] == np.inf
    assert run["rate_factor"][1] == pytest.approx(np.linalg.norm(run.final) ** -2)
