"""Instances of the arguments that the operations take."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

Instance = dict[str, Any]
RANK = 3


def build_instance(
    n_tokens: int, n_classes: int, dim: int, seed: int = 0, dtype: str = "float64", degenerate: bool = False
) -> Instance:
    """Every argument of every operation by name: random, not orthogonal, not symmetric."""
    rng = np.random.default_rng([n_tokens, n_classes, dim, seed])
    inputs = rng.normal(size=(n_tokens, dim))
    outputs = rng.normal(size=(n_classes, dim))
    if degenerate:  # equal tokens with different targets, a zero token, equal classes
        inputs[-1] = inputs[0]
        inputs[n_tokens // 2] = 0.0
        outputs[-1] = outputs[0]
    weights = rng.normal(size=(dim, dim)) / np.sqrt(dim)
    frequencies = rng.random(n_tokens) + 0.05
    frequencies /= frequencies.sum()
    instance = {
        "weights": weights,
        "direction": rng.normal(size=(dim, dim)),
        "inputs": inputs,
        "outputs": outputs,
        "targets": rng.integers(0, n_classes, n_tokens),
        "frequencies": frequencies,
        "scores": inputs @ weights.T @ outputs.T,
        "input_gram": inputs @ inputs.T,
        "output_gram": outputs @ outputs.T,
        "learning_rate": 0.7,
        "gain": 1.6,
        "epsilon": 0.02,
        "left": rng.normal(size=(dim, RANK)) / dim,
        "right": rng.normal(size=(dim, RANK)),
    }
    reals = set(instance) - {"targets", "learning_rate", "gain", "epsilon"}
    return {name: value.astype(dtype) if name in reals else value for name, value in instance.items()}


@pytest.fixture
def instance() -> Callable[..., Instance]:
    return build_instance


@pytest.fixture
def memory() -> Callable[..., list[Any]]:
    """The arguments of `softmax_gradient`, in order."""

    def build(*args: Any, **kwargs: Any) -> list[Any]:
        values = build_instance(*args, **kwargs)
        return [values[name] for name in ("weights", "inputs", "outputs", "targets", "frequencies")]

    return build
