"""Problems and rules of a user's own run through the same `simulate`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from traindyn.dynamics import (
    Adam,
    AssociativeMemory,
    GradientDescent,
    GradientFlow,
    Problem,
    Rule,
    State,
    Status,
    StochasticGradientDescent,
    Trajectory,
    logarithmic,
    schedules,
    simulate,
    when,
)
from traindyn.errors import InputError


class Product:
    """Learn the product of two vectors entry by entry: weights (2, n), loss 1/2 |u v - target|^2."""

    default_observables = ("loss", "product")

    def __init__(self, target: list[float]) -> None:
        self.target = np.array(target)

    @property
    def observables(self) -> Mapping[str, Any]:
        return {"product": lambda state: state.weights[0] * state.weights[1]}

    def initial_weights(self) -> np.ndarray:
        return np.full((2, self.target.size), 0.1)

    def loss_and_gradient(self, weights: np.ndarray) -> tuple[float, np.ndarray]:
        gap = weights[0] * weights[1] - self.target
        return float(0.5 * gap @ gap), gap * weights[::-1]


class SignDescent:
    """Move every weight by the rate, against the sign of its average gradient."""

    def __init__(self, learning_rate: float, decay: float = 0.5) -> None:
        self.learning_rate, self.decay = learning_rate, decay

    def init(self, weights: np.ndarray) -> dict[str, np.ndarray]:
        return {"average": np.zeros_like(weights)}

    def step(
        self, weights: np.ndarray, gradient: np.ndarray, memory: Mapping[str, np.ndarray], step: int
    ) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        average = self.decay * memory["average"] + gradient
        return weights - self.learning_rate * np.sign(average), {"average": average}


def test_own_objects_fulfil_the_protocols() -> None:
    assert isinstance(Product([1.0]), Problem)
    assert isinstance(AssociativeMemory.two_tokens(), Problem)
    assert isinstance(SignDescent(0.1), Rule)
    assert isinstance(GradientDescent(0.1), Rule)


def test_own_problem() -> None:
    run = simulate(Product([1.0, 2.0]), GradientDescent(0.1), steps=400, save=logarithmic(20))
    assert set(run) == {"loss", "product"}
    np.testing.assert_allclose(run["product"][-1], [1.0, 2.0], atol=1e-10)
    assert run.final.shape == (2, 2)
    assert run.time[-1] == 0.1 * 400
    stopped = simulate(Product([1.0, 2.0]), GradientDescent(0.1), steps=400, stop=when("loss", "<", 0.1))
    assert stopped.status is Status.THRESHOLD_REACHED
    assert stopped["loss"][-1] < 0.1 <= stopped["loss"][-2]


def test_own_rule_on_a_memory() -> None:
    memory = AssociativeMemory.two_tokens()
    run = simulate(memory, SignDescent(0.25), steps=10, observe=("loss", "accuracy", "margin", "sharpness"))
    weights = np.zeros((2, 2))
    average = np.zeros((2, 2))
    for _ in range(10):
        average = 0.5 * average + memory.loss_and_gradient(weights)[1]
        weights = weights - 0.25 * np.sign(average)
    np.testing.assert_array_equal(run.final, weights)
    assert run["margin"].shape == (11, 2)


@pytest.mark.parametrize(
    "rule", [GradientDescent(schedules.cosine(2.0, 30), momentum=0.5), Adam(0.1)], ids=["descent", "adam"]
)
def test_the_plain_path_agrees_with_the_compiled_one(rule: Any) -> None:
    memory = AssociativeMemory.random(5, 3, 4, rng=1)

    class Plain:
        observables = memory.observables
        inputs, outputs, targets, frequencies = memory.inputs, memory.outputs, memory.targets, memory.frequencies
        initial_weights, loss_and_gradient, scores = memory.initial_weights, memory.loss_and_gradient, memory.scores

    plain = simulate(Plain(), rule, steps=60, observe=("loss", "accuracy", "margin"))
    fast = simulate(memory, rule, steps=60)
    for name in fast:
        np.testing.assert_allclose(plain[name], fast[name], rtol=1e-12, atol=1e-13)
    np.testing.assert_array_equal(plain.time, fast.time)


@pytest.mark.parametrize(
    "rule", [GradientDescent(0.05, momentum=0.9), SignDescent(0.01), Adam(0.1)], ids=lambda rule: type(rule).__name__
)
def test_own_problems_resume_bitwise(rule: Any, tmp_path: Path) -> None:
    problem = Product([1.0, -2.0])
    reference = simulate(problem, rule, steps=30)
    simulate(problem, rule, steps=11).save(tmp_path / "run.npz")
    run = simulate(problem, rule, steps=30, resume=Trajectory.load(tmp_path / "run.npz"))
    np.testing.assert_array_equal(run.final, reference.final)
    np.testing.assert_array_equal(run["loss"], reference["loss"])
    with pytest.raises(InputError, match="resume needs the problem"):
        simulate(Product([1.0, -2.5]), rule, steps=30, resume=run)
    with pytest.raises(InputError, match="resume needs the rule"):
        simulate(problem, SignDescent(0.01, decay=0.4), steps=30, resume=run)


def test_a_blow_up_of_an_own_problem_is_told() -> None:
    with np.errstate(all="ignore"):
        run = simulate(Product([1.0]), GradientDescent(1e200), steps=30)
    assert run.status is Status.NOT_FINITE
    assert "first not finite at step" in run.message


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        (GradientFlow(), "GradientFlow does not move a Product"),
        (StochasticGradientDescent(0.1, 3), "StochasticGradientDescent cannot move a Product"),
        (object(), "no method init"),
    ],
)
def test_rules_that_cannot_move_an_own_problem(rule: Any, message: str) -> None:
    options = {"time": 1.0} if isinstance(rule, GradientFlow) else {"steps": 1}
    with pytest.raises(InputError, match=message):
        simulate(Product([1.0]), rule, **options)


def test_own_state_has_no_scores() -> None:
    def look(state: State) -> Any:
        return state.scores

    with pytest.raises(InputError, match="Product has no scores"):
        simulate(Product([1.0]), GradientDescent(0.1), steps=1, observe={"scores": look})
