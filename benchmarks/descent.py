"""Full-batch gradient descent: the forms of the state against the same loop in NumPy."""

from __future__ import annotations

import functools

import numpy as np
from timing import Row, interleaved

import traindyn as td

SIZES = ((2, 2, 2, 20000), (5, 5, 10, 20000), (100, 100, 64, 400), (100, 2, 16, 4000), (1000, 1000, 256, 6))


def _numpy_loop(memory: td.AssociativeMemory, rate: float, steps: int) -> np.ndarray:
    """The natural NumPy program: scores, softmax, two matrix products a step."""
    inputs, outputs, p = memory.inputs, memory.outputs, memory.frequencies[:, None]
    onehot = np.eye(memory.n_classes)[memory.targets]
    weights = np.zeros((memory.dim, memory.dim))
    for _ in range(steps):
        scores = inputs @ weights.T @ outputs.T
        scores -= scores.max(axis=1, keepdims=True)
        q = np.exp(scores)
        q /= q.sum(axis=1, keepdims=True)
        weights -= rate * (outputs.T @ ((q - onehot) * p).T @ inputs)
    return weights


def _simulate(memory: td.AssociativeMemory, steps: int, form: str | None) -> np.ndarray:
    """Our program; nothing is saved but the ends."""
    rule = td.GradientDescent(1.0)
    return td.simulate(memory, rule, steps=steps, save=td.at([]), observe=("loss",), form=form).final


def rows() -> list[Row]:
    """Time microseconds a step."""
    out = []
    for n_tokens, n_classes, dim, steps in SIZES:
        memory = td.AssociativeMemory.random(n_tokens, n_classes, dim, rng=0)
        forms = [None, "weights", "particles"] + (["margins"] if n_classes == 2 else [])
        run = functools.partial(_simulate, memory, steps)
        reference = _numpy_loop(memory, 1.0, steps)
        for form in forms:
            difference = np.abs(run(form) - reference).max()
            assert difference <= 1e-9 * np.abs(reference).max(), (form, difference)
        candidates = {f"simulate, form {form or 'chosen'}": functools.partial(run, form) for form in forms}
        candidates["NumPy loop"] = lambda memory=memory, steps=steps: _numpy_loop(memory, 1.0, steps)
        out += interleaved(f"descent step, N={n_tokens} M={n_classes} d={dim}", candidates, rounds=5, unit=steps)
    memory = td.AssociativeMemory.two_tokens()
    short = lambda: td.simulate(memory, td.GradientDescent(1.0), steps=50)  # noqa: E731
    out += interleaved("simulate, two tokens, 50 steps, all saved", {"simulate": short}, rounds=200)
    return out
