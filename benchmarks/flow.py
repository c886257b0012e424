"""Gradient flow to t = 1e10: time and achieved accuracy, against SciPy on the weights."""

from __future__ import annotations

import numpy as np
from scipy.integrate import solve_ivp
from timing import Row, interleaved

import traindyn as td


def _scipy_weights(memory: td.AssociativeMemory, end: float) -> np.ndarray:
    """What a user would write: the flow of W in log time with LSODA."""
    dim = memory.dim

    def right(s: float, flat: np.ndarray) -> np.ndarray:
        _, gradient = td.kernels.softmax_gradient(
            flat.reshape(dim, dim), memory.inputs, memory.outputs, memory.targets, memory.frequencies
        )
        return -np.exp(s) * gradient.ravel()

    ends = (0.0, np.log1p(end))
    done = solve_ivp(right, ends, np.zeros(dim * dim), method="LSODA", rtol=1e-10, atol=1e-12)
    return done.y[:, -1].reshape(dim, dim)


def rows(threads: int) -> list[Row]:
    """Time one run with 200 log-spaced saved times; the note holds the largest error against the exact margin."""
    frequencies = np.array([0.6, 0.3, 0.1])
    exact_memory = td.AssociativeMemory(np.eye(3), np.eye(3)[:2], [0, 1, 0], frequencies)
    run = td.simulate(exact_memory, td.GradientFlow(), time=1e10)
    exact = td.analytics.flow_margin(2.0 * frequencies * run.time[1:, None])
    error = np.abs(run["margin"][1:] / exact - 1).max()
    out = []
    for name, memory in (
        ("two tokens, correlation 0.95", td.AssociativeMemory.two_tokens()),
        ("N=M=5, d=10", td.AssociativeMemory.random(5, 5, 10, rng=0)),
    ):
        candidates = {
            "simulate": lambda memory=memory: td.simulate(memory, td.GradientFlow(), time=1e10),
            "SciPy LSODA on W, end only": lambda memory=memory: _scipy_weights(memory, 1e10),
        }
        note = f"relative error of margins on an exactly solved flow: {error:.1e}"
        out += interleaved(f"flow to 1e10, {name}", candidates, rounds=5, note=note)
    return out
